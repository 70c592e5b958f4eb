// "Sign in with a provider" of the README, as printed: its command, its addresses and its names, in a real Chromium.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { assertAccessible } from "./lib/axe.mjs";
import { launchBrowser } from "./lib/browser.mjs";
import { startDev } from "./lib/dev.mjs";
import { receivedByOrigin } from "./lib/stage.mjs";

const section = /^### Sign in with a provider\n([\s\S]*?)^## /m.exec(readFileSync(at("README.md"), "utf8"))?.[1] ?? assert.fail("no section");
const steps = [...section.matchAll(/^\d\. (.*)$/gm)].map(([, text]) => text);
const options = /`npm run dev -- (.+?)`/.exec(steps[0])?.[1].split(" ") ?? assert.fail(steps[0]);
/**
 * What a step says to do, in its order: an address to open, or the name of a button.
 * @param {string} text
 */
const doings = (text) => [...text.matchAll(/(http:\/\/[\w.:/]*\w)|\*([^*]+)\*/g)].map(([, address, button]) => ({ address, button }));

test("README.md, Sign in with a provider: Ada has the role and gets the page, Grace is refused it and gets another", async (t) => {
  const providerPort = await freePort();
  const { port, output } = await startDev(t, [...options, "--provider-port", String(providerPort)]);
  assert.match(output, new RegExp(`provider at http://localhost:${providerPort}`));
  assert.match(output, new RegExp(`Open http://127.0.0.1:${port}/admin`));

  const browser = await launchBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(15_000);
  /** @param {string} text */
  const here = (text) => text.replace(":8787", `:${port}`);
  /** @param {{ address?: string, button?: string }} doing */
  async function follow({ address, button }) {
    if (button !== undefined) return page.getByRole("button", { name: button }).click();
    await page.goto(here(address ?? ""));
    if (!address?.endsWith("/logout")) return undefined;
    await page.getByRole("button", { name: "Sign out" }).click();
    return page.getByRole("heading", { name: "Signed out" }).waitFor();
  }

  const [open, ada, ...none] = doings(steps[1]);
  assert.deepEqual(none, []);
  await follow(open);
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
  await assertAccessible(page, "local provider");
  await follow(ada);
  await page.waitForURL(here(open.address));
  const received = await receivedByOrigin(page);
  const header = /`(x-[\w-]+)`/.exec(steps[1])?.[1] ?? assert.fail(steps[1]);
  assert.deepEqual([received.header("x-forwarded-email"), received.header(header), received.header("cookie")], ["ada@example.com", "admin", undefined]);

  const [out, again, grace, hello] = doings(steps[2]);
  await follow(out);
  await follow(again);
  const refused = page.waitForResponse((one) => one.url() === here(again.address) && one.status() === 403);
  await Promise.all([refused, follow(grace)]);
  await page.getByRole("heading", { level: 1 }).waitFor();
  assert.equal(await page.getByText("Headers, in the order of the wire").count(), 0, "the origin has not been asked");
  await follow(hello);
  const other = await receivedByOrigin(page);
  assert.deepEqual([other.header("x-forwarded-email"), other.header(header)], ["grace@example.com", undefined]);

  // Who says no at the provider is told so at the site, and may try again.
  await follow(out);
  await follow(again);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("heading", { name: "Not signed in" }).waitFor();
});
