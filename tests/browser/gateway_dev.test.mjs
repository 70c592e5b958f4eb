// "Try it" of docs/gateway.md, as printed: `npm run dev`, the commands of the page, and a real Chromium.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { until } from "../edge/lib/world.mjs";
import { outsideNpm } from "./lib/applications.mjs";
import { launchBrowser } from "./lib/browser.mjs";
import { startDev } from "./lib/dev.mjs";
import { heading, signIn } from "./lib/gateway.mjs";

/** What the page says: an isolate keeps a user for 30 seconds. */
const HALF_A_MINUTE = 35;
const PASSWORD = "a stallion without battery";

const section = /^## Try it\n([\s\S]*?)^## /m.exec(readFileSync(at("docs/gateway.md"), "utf8"))?.[1] ?? assert.fail("no section");
const commands = /^```sh\n([\s\S]*?)^```$/m.exec(section)?.[1].trim().split("\n") ?? assert.fail("no commands");
const addresses = [...section.matchAll(/http:\/\/[\w.]+:8787[\w/]*/g)].map(([address]) => address);

test("docs/gateway.md, Try it: a link, a password, the site without a form, a sign-out, a sign-in", async (t) => {
  const { port, output } = await startDev(t);

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
