// Broken stores and odd input: every error ends in a refusal, and the Worker lives on.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sendRaw } from "./lib/http.mjs";
import { ssoToken, cookieValue } from "./lib/tokens.mjs";
import { NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Sending, Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SESSION = "__Host-edgeward";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let pass;
before(async () => {
  world = await startWorld({ isolates: 2, sites: { APP: { assertion: {} }, PASS: { unauthenticated: "pass", assertion: {} } } });
  app = world.site("APP");
  pass = world.site("PASS");
});
after(() => world?.stop());

/**
 * Overwrites every KV value that has to do with a text. The second isolate has nothing of it in its cache.
 * @param {string} text
 * @param {string} value
 */
async function spoil(text, value) {
  const kv = await world.kv;
  /** @type {[key: string, value: string][]} */
  const spoilt = [];
  for (const [key, old] of await world.kvEntries()) {
    if (!key.includes(text) && !old.includes(text)) continue;
    spoilt.push([key, old]);
    await kv.put(key, value);
  }
  assert.ok(spoilt.length, `something is stored about ${text}`);
  return async () => {
    const kv = await world.kv;
    for (const [key, old] of spoilt) await kv.put(key, old);
  };
}

for (const value of ["{", "null", "[]", '"x"', "{}", "\u0000", '{"id":"usr_other"}']) {
  test(`SEC-38: a user's record that reads ${JSON.stringify(value)} ends in a refusal, not in access`, async () => {
    const { user, cookie, token } = await app.signIn();
    const there = world.site("APP", "edge-2");
    const passing = world.site("PASS", "edge-2");
    const own = await passing.issue(user.email);
    const restore = await spoil(user.id, value);
    const path = newPath();
    for (const options of [{ cookie }, { bearer: token }, { cookie: `ls_auth_token=${token}` }]) {
      for (const kind of [NAVIGATION, SCRIPT]) {
        const answer = await there.client(path, { ...options, kind });
        assert.equal(answer.status, 503, String(answer));
      }
    }
    assert.deepEqual(world.origin.about(path), []);
    const passed = newPath();
    assert.equal((await passing.client(passed, { bearer: own })).status, 503, "not anonymous either");
    assert.deepEqual(world.origin.about(passed), []);
    await restore();
  });
}

test("SEC-38: an API token's record that is broken opens nothing", async () => {
  const { token, id } = (await app.admin("POST", "/api/sso/tokens", { name: "n", scopes: ["admin"] })).json;
  const there = world.site("APP", "edge-2");
  for (const value of ["{", "null", "{}", '{"scopes":["admin"]}']) {
    const restore = await spoil(id, value);
    for (const answer of [await there.admin("GET", "/api/sso/users", undefined, { token }), await there.issueAnswer({ email: "a@example.test" }, { token })]) {
      assert.equal(answer.status, 503, String(answer));
    }
    await restore();
  }
});

test("SEC-38: signing keys that cannot be read end in a refusal where an assertion belongs to the request", async () => {
  const { cookie } = await app.signIn();
  const { keys } = (await app.client("/.well-known/jwks.json")).json;
  const restore = await spoil(keys[0].kid, "{");
  const there = world.site("APP", "edge-2");
  await world.restart();
  const path = newPath();
  const answer = await there.client(path, { cookie });
  assert.deepEqual([answer.status, answer.json.code], [503, "temporarily_unavailable"]);
  assert.deepEqual(world.origin.about(path), []);
  await restore();
  await world.restart();
  assert.equal((await there.client(path, { cookie })).status, 200);
});

/**
 * A small generator of pseudo-random numbers, so that every run does the same.
 * @param {number} seed
 */
function generator(seed) {
  let state = seed;
  return (/** @type {number} */ below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("SEC-72: no input is a 5xx, and the Worker lives on after each", async () => {
  const { user, cookie } = await app.signIn();
  const random = generator(20_260_101);
  /**
   * @template T
   * @param {T[]} list
   */
  const pick = (list) => list[random(list.length)];
  const token = ssoToken(app, user);
  const bits = [
    "",
    ".",
    "..",
    "=",
    ";",
    ",",
    " ",
    '"',
    "\\",
    "%",
    "%00",
    "%ff",
    "\xff\xfe",
    "\xc3\xa9",
    "{}",
    "[]",
    "null",
    "0",
    "-1",
    "1e400",
    "a".repeat(300),
    "eyJ",
    token.slice(0, 40),
    token.split(".")[1],
    token,
    cookieValue(cookie),
    "__Host-edgeward=",
    "ls_auth_token=",
    "usr_",
    "ewt_",
    "../",
    "\u0000".replace("\u0000", "%0"),
    "&",
    "token=",
    "Bearer ",
    "Token ",
  ];
  const noise = () => Array.from({ length: random(6) }, () => pick(bits)).join("");
  /** @param {string} text */
  const latin = (text) => text.replace(/[^\x20-\x7e\x80-\xff]/g, "");
  /** @param {string} text */
  const mutate = (text) => {
    const at = random(text.length + 1);
    return pick([text.slice(0, at) + pick(bits) + text.slice(at), text.slice(0, at), text.slice(0, at) + text.slice(at + 1 + random(5)), text.repeat(2)]);
  };
  const statuses = new Map();
  /** @type {[method: string, path: string, options: Sending][]} */
  const attempts = [];
  for (let i = 0; i < 400; i++) {
    const method = pick(["GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "PATCH", "PUT"]);
    const path =
      `/${pick(["", "a", "api/sso/me", "api/sso/token", "api/sso/users", `api/sso/users/${user.id}`, "api/sso/users/bulk", "api/sso/tokens", "api/sso/keys", "api/sso/logout", "api/sso/switch", ".well-known/jwks.json"])}${pick(["", "?", `?token=${mutate(token)}`, `?cursor=${noise()}&limit=${noise()}`, `?email=${noise()}`, `/${noise()}`])}`.replace(
        /[^\x21-\x7e]/g,
        "",
      );
    const headers = [
      ["Cookie", latin(pick([mutate(cookie), `${cookie}; ${noise()}`, `ls_auth_token=${mutate(token)}`, noise()]))],
      ["Authorization", latin(pick([`Bearer ${mutate(token)}`, `Token ${noise()}`, noise(), `Token ${await world.adminToken()}`]))],
      ["Origin", latin(pick([app.origin, "null", noise()]))],
      ["Content-Type", pick(["application/json", "application/x-www-form-urlencoded", "x"])],
    ].filter(() => random(3) > 0);
    const body = ["POST", "PUT", "PATCH"].includes(method)
      ? pick([
          "",
          "{}",
          "[]",
          noise(),
          '{"email":',
          `{"email":"${"a".repeat(random(400))}@example.test"}`,
          '{"users":[{}],"on_existing":"x"}',
          `token=${mutate(token)}&return_to=${noise()}`,
          '{"email":{"a":[[[[]]]]}}',
        ])
      : undefined;
    attempts.push([method, path, { headers, body, kind: pick([NAVIGATION, SCRIPT, []]) }]);
  }
  for (const [method, path, options] of attempts) {
    const answer = await app.send(method, path, options);
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    assert.ok(answer.status < 500, `${method} ${path} ${JSON.stringify(options)}: ${answer}`);
  }
  assert.ok(statuses.size >= 5, [...statuses].join("; "));
  assert.equal((await app.client("/api/sso/health")).status, 200);
});

test("SEC-72: lines that are hardly HTTP leave the Worker standing", async () => {
  const lines = [
    "GET /\r\n\r\n",
    "GET  / HTTP/1.1\r\n\r\n",
    "\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: ${app.host}\r\nContent-Length: -1\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${app.host}\r\nCookie: ${"a=1; ".repeat(3000)}\r\nConnection: close\r\n\r\n`,
    `POST /api/sso/token HTTP/1.1\r\nHost: ${app.host}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n`,
    `GET / HTTP/1.1\r\nHost: ${app.host}\r\nHost: evil.test\r\nConnection: close\r\n\r\n`,
  ];
  for (const text of lines) {
    await Promise.race([sendRaw({ port: app.port, text }), new Promise((resolve) => setTimeout(resolve, 500))]);
    assert.equal((await app.client("/api/sso/health")).status, 200, JSON.stringify(text).slice(0, 60));
  }
});

test("a hundred requests at once are each answered as who they are", async () => {
  const people = await Promise.all(Array.from({ length: 10 }, () => app.signIn()));
  const visits = Array.from({ length: 100 }, (_, i) => people[i % 10]);
  const answers = await Promise.all(visits.map(({ cookie }, i) => (i % 3 ? app : world.site("APP", "edge-2")).client(`/busy/${i}`, { cookie })));
  for (const [i, answer] of answers.entries()) {
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), visits[i].user.id);
    assert.equal(answer.seen.url, `/busy/${i}`);
  }
  assert.equal((await pass.client("/", { cookie: `${SESSION}=x` })).status, 401);
});
