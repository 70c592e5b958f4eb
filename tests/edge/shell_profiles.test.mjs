// `npm run admin -- profile …`, `--profile` and `token …`: which deployment a command calls, with which API token, and that
// API tokens are managed by calls of the admin API, without wrangler.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { newEmail, startWorld, until } from "./lib/world.mjs";
import { serveKv } from "./lib/wrangler.mjs";

/** @import { Front } from "./lib/front.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */
/** @import { KvServer } from "./lib/wrangler.mjs" */

const BOUND = 5;

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Front} */
let front;
/** @type {KvServer} */
let kv;
/** @type {string[]} */
const folders = [];
before(async () => {
  world = await startWorld({ edgeward: { user_cache: 1 } });
  app = world.site();
  front = await startFront(app);
  kv = await serveKv(world);
});
after(async () => {
  await front?.stop();
  await kv?.stop();
  await world?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A person with a home of their own, who runs the admin command with nothing in the environment. */
function person() {
  const home = mkdtempSync(path.join(tmpdir(), "edgeward-profiles-"));
  folders.push(home);
  const file = path.join(home, "edgeward/profiles.json");
  const { EDGEWARD_URL: _url, EDGEWARD_API_TOKEN: _token, EDGEWARD_ENDPOINTS: _endpoints, ...inherited } = process.env;
  /**
   * Runs the command with this standard input and these variables: `{ status, out, error }`.
   * @param {{ input?: string, env?: Record<string, string> }} with_
   * @param {...string} args
   */
  const run = async ({ input = "", env = {} }, ...args) => {
    const child = spawn(pinnedNode, [at("scripts/admin.mjs"), ...args], { env: { ...inherited, ...kv.env, XDG_CONFIG_HOME: home, ...env } });
    child.stdin.on("error", () => {}).end(input);
    const [out, error, status] = await Promise.all([text(child.stdout), text(child.stderr), new Promise((resolve) => child.on("close", resolve))]);
    return { status, out, error };
  };
  /** @param {...string} args */
  const admin = (...args) => run({}, ...args);
  /**
   * @param {string} name
   * @param {string} token
   * @param {...string} args
   */
  const add = (name, token, ...args) => run({ input: `${token}\n` }, "profile", "add", name, "--url", front.url, ...args);
  /** @param {...string} args */
  const json = async (...args) => {
    const { status, out, error } = await admin(...args, "--json");
    assert.equal(status, 0, error);
    return JSON.parse(out);
  };
  return { file, run, admin, add, json };
}

test("a profile holds URL and token in a file that only its owner can read, and the first one is the default", async () => {
  const { file, admin, add, json } = person();
  const token = await world.adminToken();
  const added = await add("production", token);
  assert.equal(added.status, 0, added.error);
  assert.match(added.out, /^The profile production of http:.* It is the default one/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(path.dirname(file)).mode & 0o777, 0o700);
  const user = await json("user", "create", newEmail("profile"));
  assert.equal((await app.admin("GET", `/api/sso/users/${user.id}`)).status, 200);

  const listed = await admin("profile", "list");
  assert.match(listed.out, new RegExp(`^\\* +production +${front.url}$`, "m"));
  for (const told of [added, listed, await admin("profile", "list", "--json")]) assert.ok(!`${told.out}${told.error}`.includes(token), "no token is shown");
});

test("a command that changes something says at which deployment; one that reads does not", async () => {
  const { admin, add } = person();
  await add("staging", await world.adminToken());
  const email = newEmail("said");
  const made = await admin("user", "create", email);
  assert.equal(made.error, `at ${front.url} (the profile staging)\n`);
  assert.equal((await admin("user", "show", email)).error, "");
});

test("--profile names one at any place; another default is chosen by name, and none takes the place of one that is removed", async () => {
  const { admin, add, json } = person();
  const [reader, ops] = [await world.apiToken("users:read"), await world.adminToken()];
  await add("reader", reader);
  await add("ops", ops);
  assert.match((await admin("user", "create", newEmail())).error, /403 .*insufficient_scope/);
  for (const args of [
    ["--profile", "ops", "user", "create", newEmail()],
    ["user", "--profile=ops", "create", newEmail()],
    ["user", "create", newEmail(), "--profile", "ops"],
  ]) {
    const made = await admin(...args);
    assert.equal(made.status, 0, made.error);
  }
  assert.equal((await admin("profile", "use", "ops")).status, 0);
  assert.equal((await admin("user", "create", newEmail())).status, 0);
  assert.match((await admin("profile", "remove", "ops")).out, /stays valid at http:.* The default is now the deployment of `npm run dev`/);
  const left = await json("profile", "list");
  assert.deepEqual(
    left.map((/** @type {{ name: string, default: boolean }} */ one) => [one.name, one.default]),
    [
      ["reader", false],
      ["local", true],
    ],
  );
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/there is no profile ops/, "user", "list", "--profile", "ops"],
    [/there is no profile toString/, "user", "list", "--profile", "toString"],
    [/there is no profile ops/, "profile", "use", "ops"],
    [/there is no profile ops/, "profile", "remove", "ops"],
    [/--profile needs a name/, "user", "list", "--profile"],
    [/--profile is given twice/, "user", "list", "--profile", "reader", "--profile", "reader"],
    [/goes through wrangler and has no option --profile/, "secret", "list", "--profile", "reader"],
    [/goes through wrangler and has no option --profile/, "token", "list", "--remote", "--profile", "reader"],
  ])) {
    const { status, error } = await admin(...args);
    assert.equal(status, 1, args.join(" "));
    assert.match(error, pattern);
  }
});

test("the environment wins over the default profile, is refused beside --profile, and no deployment gets another one's token", async () => {
  const { run, add } = person();
  await add("reader", await world.apiToken("users:read"));
  const env = { EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() };
  const made = await run({ env }, "user", "create", newEmail());
  assert.deepEqual([made.status, made.error], [0, `at ${front.url}\n`]);
  const before = front.requests.length;
  for (const [wanted, pattern, given, ...args] of /** @type {[number, RegExp, Record<string, string>, ...string[]][]} */ ([
    [2, /--profile reader, but EDGEWARD_URL is set/, env, "--profile", "reader"],
    [2, /--profile reader, but EDGEWARD_API_TOKEN is set/, { EDGEWARD_API_TOKEN: "ewt_x" }, "--profile", "reader"],
    [1, /set EDGEWARD_API_TOKEN to an API token of http/, { EDGEWARD_URL: front.url }],
  ])) {
    for (const command of [
      ["user", "list"],
      ["token", "list"],
    ]) {
      const { status, error } = await run({ env: given }, ...command, ...args);
      assert.equal(status, wanted, error);
      assert.match(error, pattern);
      assert.doesNotMatch(error, /^ +at .*mjs/m, "no stack trace");
    }
  }
  assert.deepEqual(front.requests.slice(before), []);
});

test("a file that others can read is refused with the command that mends it, and nothing is sent", async () => {
  const { file, admin, add } = person();
  await add("production", await world.adminToken());
  const before = front.requests.length;
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    chmodSync(file, mode);
    for (const args of [
      ["user", "list"],
      ["token", "list"],
      ["profile", "list"],
      ["profile", "use", "production"],
    ]) {
      const { status, error, out } = await admin(...args);
      assert.deepEqual([status, out], [1, ""]);
      assert.ok(error.includes(`its mode ${mode.toString(8)} lets others`) && error.includes(`Run: chmod 600 '${file}'`), error);
    }
  }
  assert.deepEqual(front.requests.slice(before), []);
  chmodSync(file, 0o600);
  assert.equal((await admin("user", "list")).status, 0);
  // What counts is the file that is read, not the link to it.
  const kept = `${file}.kept`;
  writeFileSync(kept, readFileSync(file), { mode: 0o644 });
  rmSync(file);
  symlinkSync(kept, file);
  assert.match((await admin("user", "list")).error, /chmod 600/);
  for (const content of [
    "{",
    "[]",
    "null",
    '{"profiles": {"x": {"url": 1, "token": "ewt_x"}}}',
    '{"profiles": {"x": null}}',
    '{"default": 1, "profiles": {}}',
  ]) {
    rmSync(file);
    writeFileSync(file, content, { mode: 0o600 });
    const { status, error } = await admin("user", "list");
    assert.equal(status, 1, content);
    assert.match(error, /is not (JSON|a file of profiles)/);
    assert.doesNotMatch(error, /^ +at /m, "no stack trace");
  }
});

test("a profile that is not right is not kept, and one that is there is replaced only when that is said", async () => {
  const { file, run, add, admin } = person();
  const token = await world.adminToken();
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  for (const [wanted, pattern, input, ...args] of /** @type {[number, RegExp, string, ...string[]][]} */ ([
    [1, /401 .*invalid_api_token[\s\S]*Nothing was changed/, "ewt_nonsense", "p", "--url", front.url],
    [1, /does not answer[\s\S]*Nothing was changed/, token, "p", "--url", nowhere],
    [1, /but not from Edgeward[\s\S]*Nothing was changed/, token, "p", "--url", world.origin.url],
    [1, /is not an API token/, "secret", "p", "--url", front.url],
    [2, /standard input is empty/, "", "p", "--url", front.url],
    [2, /--url is missing/, token, "p"],
    [2, /has no https/, token, "p", "--url", "http://app.example.com"],
    [2, /is not the URL of a site/, token, "p", "--url", "app.example.com"],
    [2, /is not a name/, token, "../p", "--url", front.url],
    [2, /cannot be added/, token, "local", "--url", front.url],
    [2, /takes one <name>/, "", "p", token, "--url", front.url],
  ])) {
    const { status, error } = await run({ input }, "profile", "add", ...args);
    assert.equal(status, wanted, `${args.join(" ")}: ${error}`);
    assert.match(error, pattern);
    assert.ok(!existsSync(file), args.join(" "));
  }
  assert.equal((await run({ input: token }, "profile", "add", "later", "--url", nowhere, "--unchecked")).status, 0);
  assert.equal((await add("p", token)).status, 0);
  const again = await add("p", await world.apiToken("users:read"));
  assert.deepEqual([again.status, /--replace/.test(again.error)], [1, true]);
  assert.equal((await add("p", await world.apiToken("token:issue"), "--replace")).status, 0, "a token that may not list users is one, too");
  assert.match((await admin("user", "list", "--profile", "p")).error, /403/);
});

test("API tokens are made, listed, changed, revoked and deleted by calls, and wrangler is not started", async () => {
  const { admin, add, json } = person();
  await add("production", await world.adminToken());
  const asked = kv.asked.length;
  const { token, id } = await json(
    "token",
    "create",
    "--name",
    "portal",
    "--scope",
    "token:issue",
    "--scope",
    "users:read",
    "--expires-in",
    "3600",
    "--email-domain",
    "allowed.test",
    "--role",
    "r",
  );
  const shown = await json("token", "show", id);
  assert.deepEqual(
    [shown.name, shown.scopes.toSorted(), shown.issue_for],
    ["portal", ["token:issue", "users:read"], { email_domains: ["allowed.test"], roles: ["r"] }],
  );
  assert.equal(shown.expires_at, shown.created_at + 3600);
  assert.notEqual(shown.created_by, "shell");
  assert.match(
    (await admin("token", "create", "--name", "x", "--scope", "admin")).out,
    /^ewt_[\w-]+\n\nThis is the API token [0-9a-f]{32}\. It is not shown again\.\n$/,
  );

  const called = () => app.admin("GET", "/api/sso/users?limit=1", undefined, { token });
  assert.equal((await called()).status, 200);
  assert.equal((await json("token", "change", id, "--name", "old portal", "--disable")).active, false);
  await until(async () => (await called()).status === 401, BOUND);
  assert.equal((await json("token", "change", id, "--enable")).name, "old portal");
  await until(async () => (await called()).status === 200, BOUND);
  const listed = await admin("token", "list");
  assert.match(listed.out, new RegExp(`^${id} +old portal +token:issue,users:read +until .*Z +`, "m"));
  assert.doesNotMatch(listed.out, /ewt_/);
  const revoked = await admin("token", "revoke", id);
  assert.match(revoked.out, new RegExp(`^API token ${id} \\(old portal\\) is revoked\\..*created no API tokens`));
  await until(async () => (await called()).status === 401, BOUND);
  assert.match((await admin("token", "list")).out, new RegExp(`^${id} .* revoked `, "m"));
  assert.equal((await admin("token", "delete", id)).status, 0);
  assert.match((await admin("token", "show", id)).error, /there is no API token/);
  assert.equal(kv.asked.length, asked, "wrangler was started");
});

test("an API token is revoked with those that it made", async () => {
  const { admin, add, json } = person();
  const parent = (await app.admin("POST", "/api/sso/tokens", { name: "parent", scopes: ["admin"] })).json;
  const child = (await app.admin("POST", "/api/sso/tokens", { name: "child", scopes: ["users:read"] }, { token: parent.token })).json;
  await add("production", await world.adminToken());
  assert.match((await admin("token", "revoke", parent.id)).out, new RegExp(`still work: ${child.id}\\. To revoke them as well, add --with-children`));
  assert.match((await admin("token", "revoke", parent.id, "--with-children")).out, /So are 1 API tokens that it created/);
  assert.notEqual((await json("token", "show", child.id)).revoked_at, null);
});

test("a command about API tokens that is written wrongly or refused changes nothing", async () => {
  const { admin, add } = person();
  await add("limited", await world.apiToken("tokens:write"));
  const before = await world.kvEntries();
  const of = (/** @type {[string, string][]} */ entries) => entries.filter(([key]) => key.startsWith("api_token:")).length;
  for (const [wanted, pattern, ...args] of /** @type {[number, RegExp, ...string[]][]} */ ([
    [2, /--name is missing/, "create", "--scope", "admin"],
    [2, /--scope is missing/, "create", "--name", "n"],
    [2, /--expires-in takes seconds/, "create", "--name", "n", "--scope", "tokens:write", "--expires-in", "1h"],
    [2, /is not an API token's id/, "revoke", "x"],
    [2, /is not an API token's id/, "delete", "../users"],
    [2, /nothing to change/, "change", "0".repeat(32)],
    [1, /there is no API token 0/, "revoke", "0".repeat(32)],
    [1, /400 .*scopes/, "create", "--name", "n", "--scope", "root"],
    [1, /403 .*insufficient_scope/, "create", "--name", "n", "--scope", "admin"],
  ])) {
    const { status, error } = await admin("token", ...args);
    assert.equal(status, wanted, `${args.join(" ")}: ${error}`);
    assert.match(error, pattern);
  }
  assert.equal(of(await world.kvEntries()), of(before));
});

test("the first API token is made through wrangler, also where a profile names a deployment", async () => {
  const { admin, add } = person();
  await add("production", await world.apiToken("users:read"));
  const asked = kv.asked.length;
  const made = await admin("token", "create", "--name", "first", "--scope", "admin", "--with-wrangler", "--json");
  assert.equal(made.status, 0, made.error);
  assert.ok(kv.asked.length > asked);
  const { id, token } = JSON.parse(made.out);
  const shown = await app.admin("GET", `/api/sso/tokens/${id}`, undefined, { token });
  assert.equal(shown.json.created_by, "shell");
});
