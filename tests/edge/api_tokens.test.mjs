// The admin API for API tokens: `/api/sso/tokens`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { newEmail, now, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Calling, Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const TOKENS = "/api/sso/tokens";
/** @param {string} text */
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld({ variants: { limited: { limits: { calls: 5 } }, guarded: { limits: { failures: 5 } } } });
  app = world.site();
});
after(() => world?.stop());

/**
 * @param {Answer} answer
 * @param {number} status
 * @param {string} code
 * @param {string} [field]
 */
function assertError(answer, status, code, field) {
  assert.equal(answer.status, status, String(answer));
  assert.equal(answer.type, "application/json");
  assert.equal(answer.json.code, code, String(answer));
  if (field !== undefined) assert.equal(answer.json.field, field, String(answer));
}

/** @param {Calling} [options] */
async function create(fields = {}, options) {
  const answer = await app.admin("POST", TOKENS, { name: "n", scopes: ["users:read"], ...fields }, options);
  assert.equal(answer.status, 201, String(answer));
  return answer.json;
}

test("a new API token is shown once, with a recognisable prefix and a checksum", async () => {
  const { token, ...shown } = await create({ name: "sync", scopes: ["users:read", "users:write"] });
  assert.match(token, /^ewt_[\w-]{43}[0-9a-f]{6}$/);
  assert.equal(token.slice(-6), sha256(token.slice(0, -6)).slice(0, 6));
  assert.equal(shown.id, sha256(token).slice(0, 32));
  const answer = await app.admin("GET", `${TOKENS}/${shown.id}`);
  assert.equal(answer.status, 200, String(answer));
  assert.ok(!("token" in answer.json), "never again");
  assert.deepEqual(answer.json, shown);
});

test("an API token has name, scopes, active, created_at, created_by, expires_at, last_used_at and revoked_at", async () => {
  const creator = await world.adminToken();
  const before = now();
  const { token: _, id: __, created_at, expires_at, issue_for, ...rest } = await create({ name: "named", expires_in: 3600 });
  assert.ok(created_at >= before && created_at <= now());
  assert.equal(expires_at, created_at + 3600);
  assert.ok(issue_for === null || issue_for === undefined || Object.keys(issue_for).length === 0);
  assert.equal(rest.created_by, sha256(creator).slice(0, 32));
  delete rest.created_by;
  assert.deepEqual(rest, { name: "named", scopes: ["users:read"], active: true, last_used_at: null, revoked_at: null });
});

test("an API token is stored only as a hash", async () => {
  const { token } = await create();
  const secret = token.slice(4, 47);
  for (const [key, value] of await world.kvEntries()) {
    assert.ok(!key.includes(secret) && !key.includes(token), key);
    assert.ok(!value.includes(secret) && !value.includes(await world.adminToken()), key);
  }
});

test("the list shows every API token, page by page by cursor, and no secret", async () => {
  const created = await Promise.all(Array.from({ length: 5 }, () => create()));
  const seen = [];
  /** @type {string | undefined} */
  let cursor;
  do {
    const answer = await app.admin("GET", `${TOKENS}?limit=2${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    assert.equal(answer.status, 200, String(answer));
    assert.doesNotMatch(answer.text, /ewt_/);
    seen.push(...answer.json.tokens.map((/** @type {{ id: string }} */ { id }) => id));
    cursor = answer.json.cursor;
  } while (cursor);
  assert.equal(new Set(seen).size, seen.length);
  for (const { id } of created) assert.ok(seen.includes(id));
});

test("name, expiry and active can be changed, and an inactive API token is refused at once", async () => {
  const { token, id } = await create();
  const use = () => app.admin("GET", "/api/sso/users?limit=1", undefined, { token });
  assert.equal((await use()).status, 200);
  const renamed = await app.admin("PATCH", `${TOKENS}/${id}`, { name: "other", expires_in: 60 });
  assert.equal(renamed.status, 200, String(renamed));
  assert.equal(renamed.json.name, "other");
  assert.ok(renamed.json.expires_at <= now() + 60);
  assert.equal((await app.admin("PATCH", `${TOKENS}/${id}`, { active: false })).status, 200);
  assertError(await use(), 401, "invalid_api_token");
  assert.equal((await app.admin("PATCH", `${TOKENS}/${id}`, { active: true })).status, 200);
  assert.equal((await use()).status, 200);
});

test("a revoked API token is refused at once, says when it was revoked, and stays revoked", async () => {
  const { token, id } = await create();
  const use = () => app.admin("GET", "/api/sso/users?limit=1", undefined, { token });
  assert.equal((await use()).status, 200);
  const answer = await app.admin("POST", `${TOKENS}/${id}/revoke`);
  assert.equal(answer.status, 200, String(answer));
  assert.ok(answer.json.revoked_at <= now() && answer.json.revoked_at > now() - 60);
  assertError(await use(), 401, "invalid_api_token");
  await app.admin("PATCH", `${TOKENS}/${id}`, { active: true });
  assertError(await use(), 401, "invalid_api_token");
});

test("a deleted API token is refused at once and gone", async () => {
  const { token, id } = await create();
  assert.equal((await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status, 200);
  assert.equal((await app.admin("DELETE", `${TOKENS}/${id}`)).status, 204);
  assertError(await app.admin("GET", "/api/sso/users?limit=1", undefined, { token }), 401, "invalid_api_token");
  assertError(await app.admin("GET", `${TOKENS}/${id}`), 404, "not_found");
});

test("last_used_at is known after a use, and not written on every call", async () => {
  const { token, id } = await create();
  const use = () => app.admin("GET", "/api/sso/users?limit=1", undefined, { token });
  await use();
  await until(async () => (await app.admin("GET", `${TOKENS}/${id}`)).json.last_used_at !== null);
  const stored = async () => JSON.stringify((await world.kvEntries()).filter(([key, value]) => key.includes(id) || value.includes(id)));
  const before = await stored();
  // Across a full second, so that a write on every call would change the value.
  const start = now();
  await until(async () => (await use()).status === 200 && now() > start + 1);
  assert.equal(await stored(), before);
});

test("SEC-64: an API token grants only scopes that it has", async () => {
  const token = await world.apiToken("tokens:write");
  for (const scopes of [["admin"], ["users:write"], ["token:issue"], ["tokens:write", "users:read"]]) {
    assertError(await app.admin("POST", TOKENS, { name: "n", scopes }, { token }), 403, "insufficient_scope");
  }
  await create({ scopes: ["tokens:write"] }, { token });
});

test("SEC-64: an API token that issues only for some cannot make one that issues for all", async () => {
  const { token } = await create({ scopes: ["tokens:write", "token:issue"], issue_for: { email_domains: ["allowed.test"] } });
  for (const issue_for of [{}, { email_domains: ["evil.test"] }, { email_domains: ["allowed.test", "evil.test"] }, { roles: ["x"] }]) {
    assertError(await app.admin("POST", TOKENS, { name: "wider", scopes: ["token:issue"], issue_for }, { token }), 403, "insufficient_scope");
  }
  // Without a limit of its own it has that of its maker.
  for (const issue_for of [undefined, null]) {
    const answer = await app.admin("POST", TOKENS, { name: "as narrow", scopes: ["token:issue"], issue_for }, { token });
    assert.equal(answer.status, 201, String(answer));
    const issued = await app.issueAnswer({ email: `someone-${newEmail()}`.replace("example.test", "evil.test") }, { token: answer.json.token });
    assert.equal(issued.status, 403, `${JSON.stringify(issue_for)}: ${issued}`);
  }
});

test("SEC-64: an API token makes none that outlives it, and prolongs none beyond itself", async () => {
  const maker = await create({ scopes: ["tokens:write"], expires_in: 600 });
  const unlimited = await create({ scopes: ["tokens:write"], expires_in: undefined }, { token: maker.token });
  // Without an end of its own it ends with its maker, to the second.
  assert.ok([maker.expires_at, maker.expires_at - 1].includes(unlimited.expires_at), `${unlimited.expires_at} ${maker.expires_at}`);
  const longer = { name: "longer", scopes: ["tokens:write"], expires_in: 86_400 };
  assertError(await app.admin("POST", TOKENS, longer, { token: maker.token }), 403, "insufficient_scope");
  const short = await create({ scopes: ["tokens:write"], expires_in: 60 }, { token: maker.token });
  const prolonged = await app.admin("PATCH", `${TOKENS}/${short.id}`, { expires_in: 86_400 }, { token: maker.token });
  assertError(prolonged, 403, "insufficient_scope");
});

test("SEC-64: only tokens:write and admin change API tokens", async () => {
  const { id } = await create();
  for (const scope of ["token:issue", "users:read", "users:write"]) {
    const token = await world.apiToken(scope);
    assertError(await app.admin("GET", TOKENS, undefined, { token }), 403, "insufficient_scope");
    assertError(await app.admin("POST", TOKENS, { name: "n", scopes: [scope] }, { token }), 403, "insufficient_scope");
    assertError(await app.admin("DELETE", `${TOKENS}/${id}`, undefined, { token }), 403, "insufficient_scope");
    assertError(await app.admin("POST", `${TOKENS}/${id}/revoke`, undefined, { token }), 403, "insufficient_scope");
    assertError(await app.admin("GET", "/api/sso/keys", undefined, { token }), 403, "insufficient_scope");
    assertError(await app.admin("POST", "/api/sso/keys/rotate", undefined, { token }), 403, "insufficient_scope");
  }
});

test("a wrong value is 400 and names the field", async () => {
  for (const [field, value] of /** @type {[string, unknown][]} */ ([
    ["name", ""],
    ["name", 1],
    ["scopes", []],
    ["scopes", "admin"],
    ["scopes", ["root"]],
    ["expires_in", 0],
    ["expires_in", -5],
    ["expires_in", "1h"],
    ["issue_for", { email_domains: "x" }],
  ])) {
    const answer = await app.admin("POST", TOKENS, { name: "n", scopes: ["users:read"], [field]: value });
    assert.equal(answer.status, 400, `${field} ${JSON.stringify(value)}: ${answer}`);
    assert.equal(answer.json.code, "invalid_request");
    assert.ok(answer.json.field?.startsWith(field), String(answer));
  }
});

test("SEC-65: calls with one API token are limited, and say when to come again", async () => {
  const limited = world.site("APP", "limited");
  const answers = [];
  for (let i = 0; i < 12; i++) answers.push(await limited.admin("GET", "/api/sso/users?limit=1"));
  const refused = answers.find(({ status }) => status === 429);
  assert.ok(refused, answers.map(({ status }) => status).join());
  assertError(refused, 429, "rate_limited");
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.equal(answers[0].status, 200);
});

test("SEC-65: failed attempts from one address are limited, whatever the path, and others still get in", async () => {
  const guarded = world.site("APP", "guarded");
  /**
   * @param {string} ip
   * @param {number} i
   */
  const attempt = (ip, i) =>
    guarded.admin(i % 2 ? "GET" : "POST", i % 2 ? "/api/sso/users" : "/api/sso/token", undefined, {
      token: `ewt_guess${i}`,
      headers: { "CF-Connecting-IP": ip },
    });
  const statuses = [];
  for (let i = 0; i < 12; i++) statuses.push((await attempt("192.0.2.1", i)).status);
  assert.ok(statuses.includes(429), statuses.join());
  assert.equal(statuses[0], 401);
  assert.equal((await attempt("192.0.2.2", 0)).status, 401, "another address is not affected");
  const other = await guarded.admin("GET", "/api/sso/users?limit=1", undefined, { headers: { "CF-Connecting-IP": "192.0.2.3" } });
  assert.equal(other.status, 200, "a good credential from elsewhere is not affected");
});
