// axe, the accessibility checker, on a page whose policy forbids scripts: it comes by the debugger's way.

import assert from "node:assert/strict";
import axe from "axe-core";

/** @import { Page } from "playwright-core" */
/** @typedef {{ id: string, help: string, nodes: { html: string, failureSummary?: string }[] }} Finding */

/**
 * Fails if axe finds anything, or could not decide about something, in either color scheme.
 * @param {Page} page
 * @param {string} name
 */
export async function assertAccessible(page, name) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe.source);
    const { violations, incomplete, passes } = await page.evaluate(async () => {
      const { axe } = /** @type {{ axe: import("axe-core").AxeResults & typeof import("axe-core") }} */ (/** @type {unknown} */ (window));
      const results = await axe.run(document, { resultTypes: ["violations", "incomplete", "passes"] });
      /** @param {Finding[]} findings */
      const short = (findings) =>
        findings.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })) }));
      return { violations: short(results.violations), incomplete: short(results.incomplete), passes: results.passes.map(({ id }) => id) };
    });
    assert.deepEqual({ violations, incomplete }, { violations: [], incomplete: [] }, `${name}, ${colorScheme}`);
    for (const rule of ["color-contrast", "document-title", "html-has-lang", "landmark-one-main", "page-has-heading-one"]) {
      assert.ok(passes.includes(rule), `${name}: axe did not look at ${rule}`);
    }
  }
}
