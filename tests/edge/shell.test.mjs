// `npm run admin -- token …`: the same as the admin API, from a shell, through wrangler's KV commands (here a stand-in over
// the test's KV; `npm run dev` has its own test with the real one). `user …` has a file of its own.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startWorld, until } from "./lib/world.mjs";
import { serveKv } from "./lib/wrangler.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */
/** @import { KvServer } from "./lib/wrangler.mjs" */

const BOUND = 5;

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {KvServer} */
let kv;
before(async () => {
  world = await startWorld({ edgeward: { user_cache: 1 } });
  app = world.site();
  kv = await serveKv(world);
});
after(async () => {
  await kv?.stop();
  await world?.stop();
});

/**
 * Runs the admin command: `{ status, out, error }`.
 * @param {...string} args
 */
function admin(...args) {
  return new Promise((resolve) => {
    const [group, ...rest] = args;
    const command = [at("scripts/admin.mjs"), group, "--with-wrangler", ...rest];
    execFile(pinnedNode, command, { env: { ...process.env, ...kv.env } }, (error, out, err) => resolve({ status: error ? error.code : 0, out, error: err }));
  });
}
/**
 * The same with `--json`, for a command that must work.
 * @param {...string} args
 */
async function json(...args) {
  const { status, out, error } = await admin(...args, "--json");
  assert.equal(status, 0, error);
  return JSON.parse(out);
}

test("the first API token is made before any HTTP call can, and works at once", async () => {
  const { token, id } = await json("token", "create", "--name", "ops", "--scope", "admin");
  const answer = await app.admin("GET", `/api/sso/tokens/${id}`, undefined, { token });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.json.name, "ops");
  assert.deepEqual(answer.json.scopes, ["admin"]);
  assert.equal(answer.json.created_by, "shell");
});

test("scopes, expiry and limits of an API token are what was asked for", async () => {
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
  );
  const shown = (await app.admin("GET", `/api/sso/tokens/${id}`)).json;
  assert.deepEqual(shown.scopes.toSorted(), ["token:issue", "users:read"]);
  assert.equal(shown.expires_at, shown.created_at + 3600);
  assert.equal((await app.issueAnswer({ email: "a@allowed.test" }, { token })).status, 200);
  assert.equal((await app.issueAnswer({ email: "a@other.test" }, { token })).status, 403);
});

test("the list of API tokens shows those that HTTP made, and no secret; a revocation holds", async () => {
  const { token, id } = (await app.admin("POST", "/api/sso/tokens", { name: "by http", scopes: ["users:read"] })).json;
  const listed = await json("token", "list");
  assert.equal(listed.find((/** @type {{ id: string }} */ one) => one.id === id).name, "by http");
  assert.doesNotMatch((await admin("token", "list")).out, /ewt_/);
  assert.equal((await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status, 200);
  assert.equal((await admin("token", "revoke", id)).status, 0);
  await until(async () => (await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status === 401, BOUND);
});

test("an unknown id or scope is an error that says so, and changes nothing", async () => {
  const before = await world.kvEntries();
  for (const args of [
    ["token", "revoke", "x"],
    ["token", "revoke", "0".repeat(32)],
    ["token", "create", "--name", "n", "--scope", "root"],
    ["token", "create", "--name", "", "--scope", "admin"],
  ]) {
    const { status, error } = await admin(...args);
    assert.notEqual(status, 0, args.join(" "));
    assert.ok(error.trim().length > 5, args.join(" "));
  }
  assert.deepEqual(await world.kvEntries(), before);
});

test("no command for users goes through wrangler: it would write what it read a minute ago", async () => {
  const user = await app.createUser();
  const { status, error } = await admin("user", "logout", user.email);
  assert.equal(status, 2);
  assert.match(error, /no option --with-wrangler/);
  const remote = await admin("user", "logout", user.email, "--remote");
  assert.equal(remote.status, 2);
  assert.match(remote.error, /no option --/);
});
