// What one request, or one client, can make the Worker do: signatures to check, rules to try, and reads of KV each have
// a bound.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { issuerTable, newKey, startIssuer, tokenOf } from "./lib/issuer.mjs";
import { newPath, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** The most globs that a site may have, each of which any path keeps alive to its end, and the longest path for them. */
const GLOBS = 256;
const LONGEST = 2048;

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** @type {IssuerKey} */
let key;
/** @type {IssuerKey} */
let stranger;
/** @type {string} */
let robot;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-work-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/counted.js", import.meta.url)), script);
  issuer = await startIssuer();
  [key, stranger] = await Promise.all([newKey("ES256"), newKey("ES256", "unknown")]);
  issuer.publish("/keys", key);
  /** @param {number} n */
  const heavy = (n) => `/**/*a*b*${"x*".repeat(40)}/**/*c*d${n}`;
  const options = {
    script,
    edgeward: { user_cache: 1 },
    vars: { EDGEWARD_ISSUER_ID: issuerTable({ algorithms: ["ES256"], jwks_url: `${issuer.url}/keys`, loopback_origin: issuer.url, keys_cooldown: 10 }) },
    sites: {
      APP: { issuers: ["id"] },
      KEYS: { sources: ["api_key", "session"], sso_cookie: undefined, query: undefined },
      GLOBS: { unauthenticated: undefined, rules: [{ glob: Array.from({ length: GLOBS }, (_, n) => heavy(n)), deny: true }, { anonymous_ok: true }] },
    },
  };
  world = await startWorld({ ...options, variants: { guarded: { ...options, limits: { failures: 5 } } } });
  const keys = world.site("KEYS");
  const user = await keys.createUser();
  const made = await keys.admin("POST", "/api/sso/tokens", { name: "robot", acts_as: user.id });
  assert.equal(made.status, 201, String(made));
  robot = made.json.token;
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("SEC-78: more than four credentials of one source are not looked at, and their cookie is cleared", async () => {
  const app = world.site("APP");
  /** @param {string[]} tokens */
  const cookies = (tokens) => tokens.map((token) => `ls_auth_token=${token}`).join("; ");
  const good = await tokenOf(key);
  assert.equal((await app.client(newPath(), { cookie: cookies(Array(4).fill(good)) })).status, 200);
  const asked = issuer.requests.length;
  for (const tokens of [Array(5).fill(good), await Promise.all(Array.from({ length: 100 }, (_, n) => tokenOf(stranger, { jti: String(n) })))]) {
    const path = newPath();
    const answer = await app.client(path, { cookie: cookies(tokens) });
    assert.equal(answer.status, 401, String(answer));
    assert.ok(answer.setCookie("ls_auth_token").cleared, String(answer));
    assert.deepEqual(world.origin.about(path), []);
  }
  assert.equal(issuer.requests.length, asked, "one unknown key would have made us ask the issuer");
  assert.equal((await app.client(newPath(), { cookie: cookies([await tokenOf(stranger)]) })).status, 401);
  assert.equal(issuer.requests.length, asked + 1);
});

test("SEC-78: the heaviest rules judge the longest path, and a longer one is 414", async () => {
  const site = world.site("GLOBS");
  for (const filling of ["a", "x/", "ab"]) {
    const longest = `/${filling.repeat(LONGEST)}`.slice(0, LONGEST);
    assert.equal((await site.client(longest)).status, 200);
    const answer = await site.client(`${longest}a`);
    assert.deepEqual([answer.status, answer.json.code], [414, "path_too_long"], String(answer));
    assert.deepEqual(world.origin.about(`${longest}a`), []);
  }
});

/** A token that was never made, and that could have been. */
function guess() {
  const body = `ewt_${randomBytes(32).toString("base64url")}`;
  return body + createHash("sha256").update(body).digest("hex").slice(0, 6);
}

/** @param {string} address */
const from = (address) => ({ "CF-Connecting-IP": address });
/** @type {((site: Site, token: string | undefined, address: string) => Promise<Answer>)[]} */
const WAYS = [
  (site, token, address) => site.admin("GET", "/api/sso/users", undefined, { token, headers: from(address) }),
  (site, token, address) => site.admin("POST", "/api/sso/token", { email: "a@example.test" }, { token, headers: from(address) }),
  (site, token, address) => site.client(newPath(), { headers: { "X-API-Key": token, ...from(address) } }),
  (site, token, address) => site.client(newPath(), { headers: { Authorization: `Token ${token}`, ...from(address) } }),
];
/** @param {Answer} answer */
const reads = (answer) => Number(answer.headers.get("x-test-reads"));

for (const [name, way] of /** @type {[string, number][]} */ ([
  ["the admin API", 0],
  ["the endpoint for SSO tokens", 1],
  ["a site, in x-api-key", 2],
  ["a site, in Authorization", 3],
])) {
  test(`SEC-78: whoever guesses at API tokens is soon turned down before KV is read, at ${name}`, async () => {
    const site = world.site("KEYS", "guarded");
    const [address, neighbour] = [`2001:db8:${way + 1}:7::1`, `2001:DB8:${way + 1}:7:FFFF::2`];
    const attempt = () => WAYS[way](site, guess(), address);
    const first = await attempt();
    assert.equal(first.status, 401, String(first));
    assert.ok(reads(first) > 0);
    await until(async () => (await attempt()).status === 429);
    for (const other of WAYS) {
      for (const place of [address, neighbour]) {
        const answer = await other(site, guess(), place);
        assert.deepEqual([answer.status, reads(answer)], [429, 0], String(answer));
        assert.ok(Number(answer.headers.get("retry-after")) > 0);
      }
    }
    assert.equal((await WAYS[way](site, guess(), `2001:db8:${way + 1}:8::1`)).status, 401, "another network is not affected");
  });
}

test("SEC-78: a good API token goes on from an address where another one is wrong", async () => {
  const site = world.site("KEYS", "guarded");
  const address = "192.0.2.77";
  const good = async () => [(await WAYS[2](site, robot, address)).status, (await WAYS[0](site, undefined, address)).status];
  assert.deepEqual(await good(), [200, 200]);
  await until(async () => (await WAYS[2](site, guess(), address)).status === 429);
  // Past what the isolate knows of the token: its record is read again.
  const seconds = Date.now();
  await until(async () => {
    assert.deepEqual(await good(), [200, 200]);
    assert.notEqual((await WAYS[2](site, guess(), address)).status, 200);
    return Date.now() > seconds + 1500;
  });
});
