// "Sign in with a provider" of the README, as printed: its command, its addresses and its names, in a real Chromium.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { until } from "../edge/lib/world.mjs";
import { outsideNpm } from "./lib/applications.mjs";
import { assertAccessible } from "./lib/axe.mjs";
import { launchBrowser } from "./lib/browser.mjs";
import { receivedByOrigin } from "./lib/stage.mjs";

const START_SECONDS = 120;

const section = /^### Sign in with a provider\n([\s\S]*?)^## /m.exec(readFileSync(at("README.md"), "utf8"))?.[1] ?? assert.fail("no section");
const steps = [...section.matchAll(/^\d\. (.*)$/gm)].map(([, text]) => text);
const options = /`npm run dev -- (.+?)`/.exec(steps[0])?.[1].split(" ") ?? assert.fail(steps[0]);
/**
 * What a step says to do, in its order: an address to open, or the name of a button.
 * @param {string} text
 */
const doings = (text) => [...text.matchAll(/(http:\/\/[\w.:/]*\w)|\*([^*]+)\*/g)].map(([, address, button]) => ({ address, button }));

test("README.md, Sign in with a provider: Ada has the role and gets the page, Grace is refused it and gets another", async (t) => {
  const [port, originPort, providerPort] = [await freePort(), await freePort(), await freePort()];
  const state = mkdtempSync(path.join(tmpdir(), "edgeward-provider-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const ports = ["--port", port, "--origin-port", originPort, "--provider-port", providerPort].map(String);
  const child = spawn(pinnedNode, [at("scripts/dev.mjs"), ...options, ...ports, "--state", state, "--no-watch"], {
    cwd: at(),
    env: outsideNpm(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  await until(() => {
    assert.equal(child.exitCode, null, output);
    return output.includes("Ctrl-C stops everything");
  }, START_SECONDS);
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
