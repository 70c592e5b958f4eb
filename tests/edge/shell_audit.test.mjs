// `npm run admin -- audit …`: the audit log from a shell.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { startWorld, until } from "./lib/world.mjs";

/** @import { Front } from "./lib/front.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Front} */
let front;
/** @type {string} */
let folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-shell-audit-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/audited.js", import.meta.url)), script);
  world = await startWorld({ script });
  app = world.site();
  front = await startFront(app);
});
after(async () => {
  await front?.stop();
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const variables = async () => ({ ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.apiToken("audit:read") });

/**
 * @param {...string} args
 * @returns {Promise<{ status: number, out: string, error: string }>}
 */
async function audit(...args) {
  const env = await variables();
  return new Promise((resolve) => {
    execFile(pinnedNode, [at("scripts/admin.mjs"), "audit", ...args], { env }, (error, out, err) =>
      resolve({ status: Number(error?.code ?? 0), out, error: err }),
    );
  });
}

test("audit list shows the rows that are asked for, as a table and as JSON", async () => {
  const user = await app.createUser();
  await app.issue(user.email);
  const shown = await audit("list", "--user", user.id);
  assert.equal(shown.status, 0, shown.error);
  assert.deepEqual(
    [...shown.out.matchAll(/user\.created|sso_token\.issued/g)].map(([action]) => action),
    ["user.created", "sso_token.issued"],
  );
  const told = await audit("list", "--user", user.id, "--action", "sso_token.issued", "--from", "2020-01-01", "--json");
  assert.deepEqual(
    JSON.parse(told.out).map((/** @type {{ user: string }} */ row) => row.user),
    [user.id],
  );
  assert.equal((await audit("list", "--user", user.id, "--until", "2020-01-01")).out, "no rows\n");
  assert.equal((await audit("list", "--from", "yesterday-ish")).status, 2);
  assert.equal((await audit("list", "--action", "no.such")).status, 1);
});

test("audit list --follow prints new rows as they come, and ends with Ctrl-C", async () => {
  const child = spawn(pinnedNode, [at("scripts/admin.mjs"), "audit", "list", "--follow", "--json", "--limit", "0"], { env: await variables() });
  let out = "";
  let error = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (error += chunk));
  const ended = once(child, "exit");
  try {
    // What came before the command is not new.
    await until(async () => out.includes((await app.createUser()).id) || out !== "");
    const user = await app.createUser();
    await until(async () => out.includes(user.id));
    const rows = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).seq);
    assert.equal(new Set(rows).size, rows.length, "none of them twice");
  } finally {
    child.kill("SIGINT");
  }
  assert.deepEqual(await ended, [0, null], error);
});

test("audit export writes a whole file, and none over another one", async () => {
  const file = path.join(folder, "log.ndjson");
  const done = await audit("export", file);
  assert.equal(done.status, 0, done.error);
  const rows = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    rows.map(({ seq }) => seq),
    rows.map((_, i) => i + 1),
  );
  assert.ok(!existsSync(`${file}.part`));
  assert.match((await audit("export", file)).error, /is there already/);
});

test("SEC-123: audit verify shows the last hash of each month, and fails when a row was changed", async () => {
  const good = await audit("verify", "--json");
  assert.equal(good.status, 0, good.error);
  const [month] = JSON.parse(good.out).months;
  assert.match(month.head, /^[0-9a-f]{64}$/);
  const sql = ["UPDATE row SET line = replace(line, 'done', 'none') WHERE seq = 2"];
  await app.send("POST", "/__test/audit", { body: JSON.stringify({ log: month.month, sql }) });
  const bad = await audit("verify");
  assert.equal(bad.status, 1);
  assert.match(bad.out, /TAMPERED/);
});
