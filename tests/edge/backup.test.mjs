// Backups: what one deployment has written another one with its key secret takes back, and nobody else's, and nothing more.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { addPasskey, newPasskey, optionsOf, signInForm } from "./lib/authenticator.mjs";
import { startFront } from "./lib/front.mjs";
import { Browser, call, newPerson, newService, withGateway } from "./lib/gateway.mjs";
import { newSecret, startWorld } from "./lib/world.mjs";

/** @import { Front } from "./lib/front.mjs" */
/** @import { Passkey } from "./lib/authenticator.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */
/** @typedef {{ kind: string, record: { id: string, [name: string]: unknown }, password?: string, passkeys?: object, code: string }} Line */

const BACKUP = "/api/sso/backup";
const KEY = newSecret();

/** @type {World} */
let old;
/** @type {World} With the same key secret, and nothing in it. */
let fresh;
/** @type {World} With another key secret. */
let foreign;
/** @type {string} */
let folder;
/** @type {Map<World, Front>} */
const fronts = new Map();
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-backup-"));
  const start = async (/** @type {string} */ key) => {
    const world = await startWorld(withGateway({ sites: { APP: {} }, isolates: 2, secrets: { key: { 1: key } } }, { passkeys: { rp_id: "example.test" } }));
    fronts.set(world, await startFront(world.site()));
    return world;
  };
  [old, fresh, foreign] = [await start(KEY), await start(KEY), await start(newSecret())];
});
after(async () => {
  for (const [world, front] of fronts) {
    await front.stop();
    await world.stop();
  }
  rmSync(folder, { recursive: true, force: true });
});

/**
 * @param {World} world
 * @param {...string} args
 * @returns {Promise<{ status: number, out: string, error: string }>}
 */
async function backup(world, ...args) {
  const env = { ...process.env, EDGEWARD_URL: fronts.get(world)?.url, EDGEWARD_API_TOKEN: await world.adminToken() };
  return new Promise((resolve) => {
    execFile(pinnedNode, [at("scripts/admin.mjs"), "backup", ...args], { env }, (error, out, err) =>
      resolve({ status: Number(error?.code ?? 0), out, error: err }),
    );
  });
}

let files = 0;
/** @param {World} world */
async function created(world) {
  const file = path.join(folder, `backup-${++files}`);
  const { status, out, error } = await backup(world, "create", file, "--json");
  assert.equal(status, 0, error);
  const [head, ...lines] = readFileSync(file, "utf8").trimEnd().split("\n");
  assert.equal(head, '{"kind":"edgeward backup","format":1}');
  return { file, told: JSON.parse(out), lines, records: lines.map((line) => /** @type {Line} */ (JSON.parse(line))) };
}

/**
 * @param {World} world
 * @param {string} file
 */
async function restored(world, file) {
  const { status, out, error } = await backup(world, "restore", file, "--json");
  return { status, error, ...JSON.parse(out || "{}") };
}

/**
 * @param {World} world
 * @param {Line[]} records
 */
async function sent(world, records) {
  const answer = await world.site().admin("POST", `${BACKUP}/restore`, { records });
  assert.equal(answer.status, 200, String(answer));
  return /** @type {{ status: string, code?: string, field?: string }[]} */ (answer.json.results);
}

const PLACE = (/** @type {Site} */ gateway) => ({ rpId: "example.test", origin: `http://${gateway.host}` });

/**
 * Somebody who is signed in and has added so many passkeys.
 * @param {number} count
 */
async function withPasskeys(count) {
  const gateway = old.site("GATEWAY");
  const [person, browser] = [await newPerson(gateway), new Browser(old)];
  assert.equal((await browser.signIn(gateway, person)).status, 303);
  const passkeys = Array.from({ length: count }, () => newPasskey());
  for (const passkey of passkeys) assert.equal((await addPasskey(browser, gateway, passkey, PLACE(gateway))).status, 303);
  return { person, browser, passkeys };
}

/**
 * @param {Browser} browser
 * @param {Passkey} passkey
 */
async function removePasskey(browser, passkey) {
  const gateway = old.site("GATEWAY");
  await browser.open(gateway, "/account/");
  const removed = await browser.submit(gateway, "/account/", { action: "remove_passkey", id: passkey.id.toString("base64url") });
  assert.equal(removed.status, 303, String(removed));
}

/** @param {Line} line */
const ofUser = ({ kind }) => kind === "user";

test("SEC-127: users, services and API tokens come back as they were, and sign in as before", async () => {
  const [app, gateway] = [old.site(), old.site("GATEWAY")];
  const person = await newPerson(gateway, { roles: ["editor"], first_name: "Ada" });
  const browser = new Browser(old);
  assert.equal((await browser.signIn(gateway, person)).status, 303);
  const passkey = newPasskey();
  const place = { rpId: "example.test", origin: `http://${gateway.host}` };
  assert.equal((await addPasskey(browser, gateway, passkey, place)).status, 303);
  const plain = await app.createUser({ staff: true, roles: ["a", "b"] });
  const subject = (await app.admin("POST", "/api/sso/users", { subject: { issuer: "https://id.example.com", sub: "42" } })).json;
  const tenant = await app.createUser({ tenant: "acme" });
  const service = await newService(gateway, "https://service.example.com");
  const reader = await old.apiToken("users:read");
  const made = (await app.admin("POST", "/api/sso/tokens", { name: "revoked", scopes: ["users:read"] })).json;
  assert.equal((await app.admin("POST", `/api/sso/tokens/${made.id}/revoke`)).status, 200);

  const begun = Math.floor(Date.now() / 1000);
  const one = await created(old);
  assert.equal(statSync(one.file).mode & 0o777, 0o600);
  assert.deepEqual([one.told.user, one.told.service], [4, 1]);
  for (const secret of [reader, service.token, service.secret, "$argon2id$", made.token]) assert.ok(!one.lines.join().includes(secret));

  const back = await restored(fresh, one.file);
  assert.deepEqual([back.status, back.created, back.left], [0, one.records.length, []], back.error);
  assert.deepEqual(back.services, [service.id]);
  assert.match(back.error, new RegExp(`service rotate ${service.id}`));
  const [newApp, newGateway] = [fresh.site(), fresh.site("GATEWAY")];
  for (const { id } of [person, plain, subject, tenant]) {
    const [before, after] = [await app.admin("GET", `/api/sso/users/${id}`), await newApp.admin("GET", `/api/sso/users/${id}`)];
    // No session of before counts.
    assert.ok(after.json.sessions_valid_after >= begun, String(after));
    assert.deepEqual({ ...after.json, sessions_valid_after: null }, { ...before.json, sessions_valid_after: null });
  }
  assert.equal((await new Browser(fresh).signIn(newGateway, person)).status, 303);
  const visitor = new Browser(fresh);
  const options = await optionsOf(visitor, newGateway, "sign_in");
  passkey.counter += 1;
  const opened = await visitor.submit(newGateway, "/login/", signInForm(passkey, options, { ...place, origin: `http://${newGateway.host}` }));
  assert.equal(opened.status, 303, String(opened));
  assert.equal((await newApp.admin("GET", "/api/sso/users", undefined, { token: reader })).status, 200);
  assert.equal((await newApp.admin("GET", "/api/sso/users", undefined, { token: made.token })).status, 401);
  assert.equal((await call(newGateway, "obtain", { token: service.token, next_url: "/" })).status, 200);
  const rotated = await newGateway.admin("POST", `/api/sso/services/${service.id}/rotate`, { what: "webhook_secret" });
  assert.equal(rotated.status, 200, String(rotated));

  // Byte for byte, but for the version of users and when their sessions ended, and for the API token that has restored.
  const two = await created(fresh);
  const kept = one.lines.filter((line) => !line.includes('"kind":"user"'));
  assert.ok(kept.length >= 4);
  assert.deepEqual(
    two.lines.filter((line) => kept.includes(line)),
    kept,
  );
  assert.equal(two.lines.length, one.lines.length + 1);
  const bare = (/** @type {Line[]} */ records) => records.filter(ofUser).map(({ record }) => ({ ...record, version: 0, sessions_valid_after: null }));
  assert.deepEqual(bare(two.records), bare(one.records));
  const again = await restored(fresh, one.file);
  assert.deepEqual([again.created, again.unchanged], [0, one.records.length], again.error);
});

test("SEC-127: nothing that is there is replaced, and what was revoked stays revoked", async () => {
  const [app, gateway] = [old.site(), old.site("GATEWAY")];
  const [changed, repassworded, deleted] = [await newPerson(gateway), await newPerson(gateway), await app.createUser()];
  const [robbed, stripped] = [await withPasskeys(2), await withPasskeys(1)];
  const { cookie } = await app.signIn(deleted);
  const reader = (await app.admin("POST", "/api/sso/tokens", { name: "gone", scopes: ["users:read"] })).json;
  const { file } = await created(old);
  await app.admin("PATCH", `/api/sso/users/${changed.id}`, { active: false });
  await gateway.admin("PUT", `/api/sso/users/${repassworded.id}/password`, { password: "another horse battery" });
  assert.equal((await app.admin("DELETE", `/api/sso/users/${deleted.id}`)).status, 204);
  assert.equal((await app.admin("DELETE", `/api/sso/tokens/${reader.id}`)).status, 204);
  for (const { browser, passkeys } of [robbed, stripped]) await removePasskey(browser, /** @type {Passkey} */ (passkeys.at(-1)));
  const taken = await app.createUser({ email: deleted.email });
  const back = await restored(old, file);
  assert.equal(back.status, 1);
  const why = Object.fromEntries(back.left.map((/** @type {{ id: string, status: string }} */ { id, status }) => [id, status]));
  const differing = [changed, repassworded, deleted, robbed.person, stripped.person].map(({ id }) => [id, "differs"]);
  assert.deepEqual(why, { ...Object.fromEntries(differing), [reader.id]: "revoked" });
  for (const { passkeys } of [robbed, stripped]) {
    const visitor = new Browser(old);
    const options = await optionsOf(visitor, gateway, "sign_in");
    const refused = await visitor.submit(gateway, "/login/", signInForm(/** @type {Passkey} */ (passkeys.at(-1)), options, PLACE(gateway)));
    assert.equal(refused.status, 400, String(refused));
  }
  assert.equal((await app.admin("GET", `/api/sso/users/${changed.id}`)).json.active, false);
  assert.equal((await new Browser(old).signIn(gateway, repassworded)).status, 403);
  assert.equal((await new Browser(old).signIn(gateway, { ...repassworded, password: "another horse battery" })).status, 303);
  assert.equal((await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(deleted.email)}`)).json.users[0].id, taken.id);
  assert.equal((await app.admin("GET", "/api/sso/users", undefined, { token: reader.token })).status, 401);
  // Somebody who was deleted comes back if nobody else has the address.
  await app.admin("DELETE", `/api/sso/users/${taken.id}`);
  assert.equal((await restored(old, file)).created, 1);
  for (const name of ["edge", "edge-2"]) {
    const site = old.site("APP", name);
    assert.equal((await site.admin("GET", `/api/sso/users/${deleted.id}`)).json.email, deleted.email);
    // Nobody is signed in who was before.
    assert.equal((await site.client("/", { cookie })).status, 401);
  }
  // Every isolate believes a change of the restored record, though some remember later versions of the deleted one.
  assert.equal((await app.admin("PATCH", `/api/sso/users/${deleted.id}`, { active: false })).status, 200);
  assert.equal((await app.admin("GET", `/api/sso/users/${deleted.id}`)).json.active, false);
});

test("SEC-127: nobody makes or changes a record, and another key secret reads none", async () => {
  const [app, gateway] = [old.site(), old.site("GATEWAY")];
  const [ada, eve] = [await newPerson(gateway), await newPerson(gateway)];
  const token = (await app.admin("POST", "/api/sso/tokens", { name: "reader", scopes: ["users:read"] })).json;
  const { file, records } = await created(old);
  const of = (/** @type {string} */ id) => /** @type {Line} */ (records.find(({ record }) => record.id === id));
  await app.admin("DELETE", `/api/sso/users/${ada.id}`);
  const forged = [
    { ...of(ada.id), record: { ...of(ada.id).record, superuser: true } },
    { ...of(ada.id), password: of(eve.id).password },
    { ...of(token.id), record: { ...of(token.id).record, scopes: ["admin"] } },
    { ...of(ada.id), code: "" },
    { ...of(ada.id), code: of(eve.id).code },
    { ...of(ada.id), code: of(ada.id).code.replace(/^1/, "2") },
    { ...of(ada.id), kind: "api_token" },
  ];
  for (const { status, code, field } of await sent(old, forged)) assert.deepEqual([status, code, field], ["invalid", "invalid_request", "code"]);
  assert.equal((await app.admin("GET", `/api/sso/users/${ada.id}`)).status, 404);
  const elsewhere = await restored(foreign, file);
  assert.deepEqual([elsewhere.status, elsewhere.created, elsewhere.invalid], [1, 0, records.length]);
  assert.deepEqual((await foreign.site().admin("GET", "/api/sso/users")).json.users, []);
  assert.deepEqual(
    (await sent(old, [of(ada.id)])).map(({ status }) => status),
    ["created"],
  );
});

test("SEC-127: a backup wants the scope admin without limits, and no API token restores one that may do more or lives longer", async () => {
  const app = old.site();
  const { records } = await created(old);
  const weak = await old.apiToken("users:read", "users:write", "tokens:write", "audit:read");
  const limited = (await app.admin("POST", "/api/sso/tokens", { name: "limited", scopes: ["admin"], issue_for: { email_domains: ["example.com"] } })).json
    .token;
  for (const token of [weak, limited]) {
    assert.equal((await app.admin("GET", BACKUP, undefined, { token })).status, 403);
    assert.equal((await app.admin("POST", `${BACKUP}/restore`, { records: [] }, { token })).status, 403);
  }
  const brief = (await app.admin("POST", "/api/sso/tokens", { name: "brief", scopes: ["admin"], expires_in: 600 })).json.token;
  const token = (await app.admin("POST", "/api/sso/tokens", { name: "long", scopes: ["users:read"] })).json;
  const line = /** @type {Line} */ ((await created(old)).records.find(({ record }) => record.id === token.id));
  const answer = await fresh.site().admin("POST", `${BACKUP}/restore`, { records: [line] }, {});
  assert.equal(answer.json.results[0].status, "created");
  const refused = await app.admin("POST", `${BACKUP}/restore`, { records: [line] }, { token: brief });
  assert.deepEqual([refused.json.results[0].status, refused.json.results[0].code], ["invalid", "insufficient_scope"]);
  const many = Array.from({ length: 51 }, () => records[0]);
  assert.equal((await app.admin("POST", `${BACKUP}/restore`, { records: many })).json.field, "records");
  assert.equal((await app.admin("GET", `${BACKUP}?cursor=x`)).json.code, "invalid_cursor");
});

test("a file that is no backup changes nothing, and a file that is there is not replaced", async () => {
  const file = path.join(folder, "other");
  writeFileSync(file, '{"kind":"user"}\n');
  const { status, error } = await backup(old, "restore", file);
  assert.deepEqual([status, /is no backup, and nothing was changed/.test(error)], [1, true], error);
  const there = await backup(old, "create", file);
  assert.deepEqual([there.status, /exists already/.test(there.error)], [2, true], there.error);
  assert.equal(readFileSync(file, "utf8"), '{"kind":"user"}\n');
});

test("rows of the audit log tell who was restored, and each answer of a backup", async () => {
  const app = old.site();
  const user = await app.createUser();
  const { records } = await created(old);
  await app.admin("DELETE", `/api/sso/users/${user.id}`);
  const line = /** @type {Line} */ (records.find(({ record }) => record.id === user.id));
  await sent(old, [line]);
  const rows = (await app.admin("GET", `/api/sso/audit?user=${user.id}&limit=1`)).json.rows;
  assert.deepEqual([rows[0].action, rows[0].result], ["user.created", "done"]);
  const [intent] = (await app.admin("GET", "/api/sso/audit?action=backup.restored&limit=1")).json.rows;
  assert.equal(intent.seq, rows[0].of);
  assert.ok((await app.admin("GET", "/api/sso/audit?action=backup.exported&limit=10")).json.rows.length >= 3);
});
