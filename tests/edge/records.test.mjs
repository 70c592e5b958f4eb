// The writers of records, in workerd: what each change comes to, and that KV gets it whatever KV does (SEC-77).

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { startWorld, until } from "./lib/world.mjs";

/** @import { Calling, Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-records-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/slow.js", import.meta.url)), script);
  world = await startWorld({ script, edgeward: { user_cache: 1 }, sites: { APP: { assertion: {} } } });
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {object} plan */
const slow = (plan) => app.send("POST", "/__test/slow", { body: JSON.stringify(plan) });
/** @param {object} step */
const record = async (step) => (await app.send("POST", "/__test/record", { body: JSON.stringify(step) })).json.gives;
/** @param {string} key */
const inKv = async (key) => (await world.kv).get(key);
const kids = async () => (await app.client("/.well-known/jwks.json")).json.keys.map((/** @type {{ kid: string }} */ { kid }) => kid);
/**
 * @param {Record<string, unknown>} [fields]
 * @param {Calling} [options]
 */
const newToken = async (fields, options) => (await app.admin("POST", "/api/sso/tokens", { name: "n", scopes: ["users:read"], ...fields }, options)).json;

const CONTRACT = JSON.parse(readFileSync(new URL("../contracts/records.json", import.meta.url), "utf8"));

for (const { name, steps } of CONTRACT) {
  test(`the writers keep their contract: ${name}`, async () => {
    for (const { gives, ...step } of steps) {
      // What follows a change may take a moment.
      if ("read" in step || "kept" in step || "events" in step) await until(async () => JSON.stringify(await record(step)) === JSON.stringify(gives));
      else if ("keep" in step) await record(step);
      else assert.deepEqual(await record(step), gives, JSON.stringify(step));
    }
  });
}

test("SEC-77: a write that KV refuses is made later, and the newest value is what KV has in the end", async () => {
  await slow({ refused: 3 });
  assert.equal(await record({ change: { key: "refused", to: "1" } }), "done");
  assert.equal(await record({ change: { key: "refused", from: "1", to: "2" } }), "done");
  assert.equal(await record({ read: "refused" }), "2");
  await until(async () => (await inKv("refused")) === "2", 20);
});

test("SEC-77: a write that KV takes and loses is made again", async () => {
  await slow({ lost: 2 });
  assert.equal(await record({ change: { key: "lost", to: "1" } }), "done");
  assert.equal(await inKv("lost"), null);
  await until(async () => (await inKv("lost")) === "1", 20);
});

test("SEC-77: a KV that never answers holds up no later change", async () => {
  await slow({ name: "kv.put", nth: 0, mode: "lost" });
  assert.equal(await record({ change: { key: "deaf", to: "1" } }), "done");
  assert.equal(await record({ change: { key: "deaf", from: "1", to: "2" } }), "done");
  await until(async () => (await inKv("deaf")) === "2", 20);
  await slow({ name: "kv.get", nth: 0, mode: "lost" });
  await record({ read: "deaf-read" }).catch(() => {});
  assert.equal(await record({ read: "deaf-read" }), null);
});

test("SEC-77: the answer to an older change, come late, brings nothing back in the isolate that has made a newer one", async () => {
  const user = await app.createUser({ roles: ["boss"] });
  const token = await app.issue(user.email);
  const attempt = async () => (await app.client("/", { bearer: token })).status;
  assert.equal(await attempt(), 200);
  await slow({ name: "kv.put", nth: 0, mode: "after", ms: 400 });
  // The address is written before the answer, and that takes long.
  const late = app.admin("PATCH", `/api/sso/users/${user.id}`, { email: `moved-${user.email}` });
  await until(async () => (await app.client("/__test/state")).json.begun);
  assert.equal((await app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false, roles: [] })).status, 200);
  assert.equal(await attempt(), 403);
  assert.equal((await late).status, 200);
  assert.equal(await attempt(), 403);
  const shown = (await app.admin("GET", `/api/sso/users/${user.id}`)).json;
  assert.deepEqual([shown.active, shown.roles], [false, []]);
});

test("what KV shows for long enough is KV's alone, and a change that comes then begins with that", async () => {
  assert.equal(await record({ change: { key: "old", to: "1" } }), "done");
  assert.equal(await record({ forgotten: "old" }), false);
  await until(() => record({ forgotten: "old" }), 10);
  // As a restored backup does.
  await (await world.kv).put("old", "2");
  assert.deepEqual(await record({ change: { key: "old", from: "1", to: "3" } }), { holds: "2" });
  assert.equal(await record({ change: { key: "old", from: "2", to: "3" } }), "done");
});

test("a value that is kept stays with its writer until it is removed", async () => {
  assert.equal(await record({ change: { key: "kept", to: "first", keep: true } }), "done");
  assert.equal(await record({ change: { key: "kept", from: "first", to: "second", keep: true } }), "done");
  // Longer than writers here remember anything else.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.equal(await record({ kept: "kept" }), "second");
  // KV is not asked.
  await (await world.kv).put("kept", "third");
  assert.equal(await record({ kept: "kept" }), "second");
  await (await world.kv).put("kept-by-nobody", "1");
  assert.equal(await record({ kept: "kept-by-nobody" }), null);
  assert.equal(await record({ change: { key: "kept", from: "second" } }), "done");
  await until(() => record({ forgotten: "kept" }), 10);
});

test("SEC-77: a change that is told twice is made once", async () => {
  const change = { key: "twice", to: "1", id: "the-same" };
  assert.equal(await record({ change }), "done");
  assert.equal(await record({ change: { key: "twice", from: "1", to: "2" } }), "done");
  assert.equal(await record({ change }), "done");
  assert.equal(await record({ read: "twice" }), "2");
});

test("SEC-77: a thousand changes at once from one view are made one after the other", async () => {
  assert.equal(await record({ change: { key: "many", to: "0" } }), "done");
  const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => record({ change: { key: "many", from: "0", to: `mine-${i}` } })));
  const winners = results.flatMap((result, i) => (result === "done" ? [`mine-${i}`] : []));
  assert.equal(winners.length, 1);
  assert.ok(results.every((result) => result === "done" || result.holds === winners[0]));
  await until(async () => (await inKv("many")) === winners[0]);
});

test("SEC-77: a KV that shows no signing keys makes no others, in an isolate that has never seen any", async () => {
  const before = await kids();
  // The answer does not wait until they are kept.
  await until(async () => {
    await app.client("/");
    return !(await record({ forgotten: "signing_keys" }));
  });
  await world.restart();
  await slow({ empty: "signing_keys" });
  assert.deepEqual(await kids(), before);
  assert.equal((await app.admin("POST", "/api/sso/keys/rotate")).status, 200);
  await slow({});
  await world.restart();
  assert.ok((await kids()).includes(before[0]));
});

test("SEC-77: an API token cannot change itself, and can end itself", async () => {
  const { id, token } = await newToken({ scopes: ["tokens:write"], expires_in: 60 });
  const answer = await app.admin("PATCH", `/api/sso/tokens/${id}`, { expires_in: 3600 }, { token });
  assert.deepEqual([answer.status, answer.json.code], [403, "own_token"]);
  assert.equal((await app.admin("POST", `/api/sso/tokens/${id}/revoke`, undefined, { token })).status, 200);
  assert.equal((await app.admin("GET", "/api/sso/tokens", undefined, { token })).status, 401);
});

test("SEC-77: a token that is deleted stays revoked, also where an older record of it comes back", async () => {
  const { id, token } = await newToken();
  const old = await inKv(`api_token:${id}`);
  assert.equal((await app.admin("DELETE", `/api/sso/tokens/${id}`)).status, 204);
  assert.ok(old);
  // As from a backup.
  await (await world.kv).put(`api_token:${id}`, old);
  await world.restart();
  assert.equal((await app.admin("GET", "/api/sso/users", undefined, { token })).status, 401);
});

test("SEC-77: revoking tells which tokens of its making go on, and ends them too when asked to", async () => {
  const parent = await newToken({ scopes: ["tokens:write", "users:read"] });
  const child = await newToken({ scopes: ["tokens:write", "users:read"] }, { token: parent.token });
  const grandchild = await newToken({}, { token: child.token });
  const other = await newToken();
  const works = async (/** @type {{ token: string }} */ { token }) => (await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status === 200;
  const told = (await app.admin("POST", `/api/sso/tokens/${parent.id}/revoke`)).json;
  assert.deepEqual(told.children.toSorted(), [child.id, grandchild.id].toSorted());
  assert.ok((await works(child)) && (await works(grandchild)));
  const ended = (await app.admin("POST", `/api/sso/tokens/${parent.id}/revoke?with_children=true`)).json;
  assert.equal(ended.children_revoked, 2);
  assert.deepEqual(await Promise.all([child, grandchild, other].map(works)), [false, false, true]);
  assert.equal((await app.admin("POST", `/api/sso/tokens/${parent.id}/revoke?with_children=maybe`)).status, 400);
});
