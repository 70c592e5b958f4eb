// A page as people see it: axe has no finding in the light and in the dark, nothing sticks out on a small screen and on a wide
// one, and test-output/ has its pictures.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { at } from "../../../scripts/lib/project.mjs";
import { assertAccessible } from "./axe.mjs";

/** @import { Page } from "playwright-core" */

const PICTURES = at("test-output/pages");

/**
 * Checks the page that is open, and takes its pictures.
 * @param {Page} page
 * @param {string} name
 */
export async function look(page, name) {
  mkdirSync(PICTURES, { recursive: true });
  writeFileSync(path.join(PICTURES, ".gitignore"), "*\n");
  for (const width of [320, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    await assertAccessible(page, `${name} at ${width}`);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `${name}: something sticks out at ${width}`);
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: path.join(PICTURES, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
  }
}
