// "Try it" of docs/gateway.md, as printed: `npm run dev`, the commands of the page, and a real Chromium.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { until } from "../edge/lib/world.mjs";
import { outsideNpm } from "./lib/applications.mjs";
import { launchBrowser } from "./lib/browser.mjs";
import { heading, signIn } from "./lib/gateway.mjs";

const START_SECONDS = 120;
/** What the page says: an isolate keeps a user for 30 seconds. */
const HALF_A_MINUTE = 35;
const PASSWORD = "a stallion without battery";

const section = /^## Try it\n([\s\S]*?)^## /m.exec(readFileSync(at("docs/gateway.md"), "utf8"))?.[1] ?? assert.fail("no section");
const commands = /^```sh\n([\s\S]*?)^```$/m.exec(section)?.[1].trim().split("\n") ?? assert.fail("no commands");
const addresses = [...section.matchAll(/http:\/\/[\w.]+:8787[\w/]*/g)].map(([address]) => address);

test("docs/gateway.md, Try it: a link, a password, the site without a form, a sign-out, a sign-in", async (t) => {
  const [port, originPort] = [await freePort(), await freePort()];
  const state = mkdtempSync(path.join(tmpdir(), "edgeward-try-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const options = ["--port", String(port), "--origin-port", String(originPort), "--state", state, "--no-watch"];
  const child = spawn(pinnedNode, [at("scripts/dev.mjs"), ...options], { cwd: at(), env: outsideNpm(), stdio: ["ignore", "pipe", "pipe"] });
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

  /** @param {string} text */
  const here = (text) => text.replace(":8787", `:${port}`);
  const url = here("http://127.0.0.1:8787");
  const token = /^admin API token: (\S+)$/m.exec(output)?.[1] ?? assert.fail(output);
  let link = "";
  for (const command of commands) {
    const [, args] = /^npm run admin -- (.+)$/.exec(command) ?? assert.fail(command);
    const env = { ...outsideNpm(), EDGEWARD_URL: url, EDGEWARD_API_TOKEN: token };
    ({ stdout: link } = await promisify(execFile)(pinnedNode, [at("scripts/admin.mjs"), ...args.split(" ")], { env }));
  }
  const account = here(addresses.find((address) => address.endsWith("/account/")) ?? assert.fail());
  const hello = here(addresses.find((address) => address.endsWith("/hello")) ?? assert.fail());
  const logout = here(addresses.find((address) => address.endsWith("/logout/")) ?? assert.fail());
  assert.ok(output.includes(`http://localhost:${port}`), output);
  assert.equal((await fetch(hello)).status, 401, "README.md, Try it: nobody is signed in");

  const browser = await launchBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(link.trim());
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByRole("button", { name: "Set your password" }).click();
  await page.waitForURL(account);
  await page.goto(hello);
  await page.getByRole("heading", { name: "Signed in as ada@example.com" }).waitFor();
  assert.equal(page.url(), hello);
  await page.goto(logout);
  await page.getByRole("button", { name: "Sign out" }).click();
  await heading(page, "Signed out");
  const password = page.getByLabel("Password", { exact: true });
  await until(async () => {
    await page.goto(hello);
    return (await password.count()) === 1;
  }, HALF_A_MINUTE);
  await signIn(page, { email: "ada@example.com", password: PASSWORD });
  await page.waitForURL(hello);
  await page.getByRole("heading", { name: "Signed in as ada@example.com" }).waitFor();
});
