// The signed assertion for the origin, its keys, and their rotation.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import { claimsOf, headerOf } from "./lib/tokens.mjs";
import { now, startWorld, until } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const HEADER = "x-edgeward-assertion";
const JWKS = "/.well-known/jwks.json";

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld({
    sites: {
      APP: { assertion: {} },
      OWN: { assertion: { header: "X-Id-Token", audience: "https://app.internal", lifetime: 60 } },
      PASS: { unauthenticated: "pass", assertion: {} },
      NONE: {},
    },
  });
  app = world.site("APP");
});
after(() => world?.stop());

/**
 * @param {Site} site
 * @param {string} cookie
 */
const assertionOf = async (site, cookie, header = HEADER) => (await site.client("/", { cookie })).seen.headers.need(header);
const keys = async () => (await app.client(JWKS)).json;

test("the assertion is a short-lived ES256 JWT that the published key verifies, with the site's own audience", async () => {
  const user = await app.createUser({ username: "ada", first_name: "Ada", last_name: "L", roles: ["r1", "r2"], staff: true });
  const { cookie } = await app.signIn(user);
  const assertion = await assertionOf(app, cookie);
  const { payload, protectedHeader } = await jwtVerify(assertion, createLocalJWKSet(await keys()), {
    algorithms: ["ES256"],
    typ: "assertion+jwt",
    issuer: "edgeward",
    audience: world.origin.url,
  });
  assert.deepEqual(Object.keys(protectedHeader).toSorted(), ["alg", "kid", "typ"]);
  assert.equal(payload.sub, user.id);
  assert.equal(payload.email, user.email);
  assert.equal(payload.username, "ada");
  assert.equal(payload.name, "Ada L");
  assert.deepEqual(payload.roles, ["r1", "r2"]);
  assert.equal(payload.staff, true);
  assert.equal(payload.superuser, false);
  assert.ok(payload.sid);
  assert.equal(payload.exp - payload.iat, 300);
  assert.ok(payload.exp > now() && payload.iat <= now() + 1);
});

test("header, audience and lifetime of the assertion are settings of the site", async () => {
  const own = world.site("OWN");
  const { cookie } = await own.signIn();
  const { payload } = await jwtVerify(await assertionOf(own, cookie, "x-id-token"), createLocalJWKSet(await keys()), { audience: "https://app.internal" });
  assert.equal(payload.exp - payload.iat, 60);
  assert.equal((await own.client("/", { cookie })).seen.header(HEADER), undefined);
});

test("the assertion is signed once per session and reused while it is fresh", async () => {
  const one = await app.signIn();
  const first = await assertionOf(app, one.cookie);
  for (let i = 0; i < 5; i++) assert.equal(await assertionOf(app, one.cookie), first);
  const two = await app.signIn(one.user);
  assert.notEqual(await assertionOf(app, two.cookie), first, "another session of the same user");
  const other = await app.signIn();
  assert.notEqual(claimsOf(await assertionOf(app, other.cookie)).sub, one.user.id);
});

test("SEC-26: simultaneous first requests of many sessions each get their own assertion", async () => {
  const sessions = await Promise.all(Array.from({ length: 8 }, () => app.signIn()));
  const twice = [...sessions, ...sessions];
  const subjects = await Promise.all(twice.map(async ({ cookie }) => claimsOf(await assertionOf(app, cookie)).sub));
  assert.deepEqual(
    subjects,
    twice.map(({ user }) => user.id),
  );
});

test("a changed user has a changed assertion at the next request", async () => {
  const { user, cookie } = await app.signIn();
  await assertionOf(app, cookie);
  await app.admin("PATCH", `/api/sso/users/${user.id}`, { roles: ["new"] });
  assert.deepEqual(claimsOf(await assertionOf(app, cookie)).roles, ["new"]);
});

test("an SSO token or a bearer token gets an assertion too; an anonymous request and a site without one get none", async () => {
  const { user, token } = await app.signIn();
  for (const options of [{ bearer: token }, { cookie: `ls_auth_token=${token}` }]) {
    assert.equal(claimsOf((await app.client("/", options)).seen.headers.need(HEADER)).sub, user.id);
  }
  assert.equal((await world.site("PASS").client("/")).seen.header(HEADER), undefined);
  const none = world.site("NONE");
  const { cookie } = await none.signIn(user);
  assert.equal((await none.client("/", { cookie })).seen.header(HEADER), undefined);
});

test("SEC-69: an assertion of one site has another audience than that of any other site with its own", async () => {
  const { user, cookie } = await app.signIn();
  const own = world.site("OWN");
  const there = await own.signIn(user);
  assert.notDeepEqual(claimsOf(await assertionOf(app, cookie)).aud, claimsOf(await assertionOf(own, there.cookie, "x-id-token")).aud);
});

test("the key set is public, cacheable for a minute, and holds no private part", async () => {
  const answer = await app.client(JWKS, { headers: { Origin: "https://verifier.test" } });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.headers.get("cache-control"), "public, max-age=60");
  assert.match(answer.type, /^application\/(jwk-set\+)?json$/);
  assert.deepEqual(answer.cookies, []);
  assert.ok(answer.json.keys.length >= 1);
  for (const key of answer.json.keys) {
    const { kid, x, y, ...rest } = key;
    assert.deepEqual(rest, { kty: "EC", crv: "P-256", use: "sig", alg: "ES256", ...(rest.key_ops ? { key_ops: ["verify"] } : {}) });
    assert.ok(kid && x && y);
  }
});

test("SEC-63: private keys are stored only encrypted, and no admin call shows them", async () => {
  const { cookie } = await app.signIn();
  await assertionOf(app, cookie);
  const listed = await app.admin("GET", "/api/sso/keys");
  assert.equal(listed.status, 200, String(listed));
  assert.doesNotMatch(listed.text, /"d"|PRIVATE|private_key|"k"/);
  const { keys: published } = await keys();
  assert.ok(listed.text.includes(published[0].kid));
  for (const [key, value] of await world.kvEntries()) {
    assert.doesNotMatch(value, /"d"\s*:|PRIVATE KEY/, key);
    for (const secret of Object.values(world.secrets.key)) assert.ok(!value.includes(secret));
  }
});

test("a rotation publishes a new key, keeps the old one until its tokens have ended, and signs no one out", async () => {
  const { cookie, user } = await app.signIn();
  const old = await assertionOf(app, cookie);
  const before = (await keys()).keys.map((/** @type {{ kid: string }} */ { kid }) => kid);
  const answer = await app.admin("POST", "/api/sso/keys/rotate");
  assert.equal(answer.status, 200, String(answer));
  assert.doesNotMatch(answer.text, /"d"|PRIVATE/);
  const after = await until(async () => {
    const set = await keys();
    return set.keys.length > before.length && set;
  });
  const kids = after.keys.map((/** @type {{ kid: string }} */ { kid }) => kid);
  for (const kid of before) assert.ok(kids.includes(kid), "the old key is still published");
  await jwtVerify(old, createLocalJWKSet(after), { audience: world.origin.url });
  // Whatever key signs now, the published set verifies it, and the session lives on.
  const fresh = await app.signIn(user);
  await jwtVerify(await assertionOf(app, fresh.cookie), createLocalJWKSet(await keys()), { audience: world.origin.url });
  assert.equal((await app.client("/", { cookie })).seen.header("x-forwarded-user"), user.id);
});

test("all isolates come to the same keys: after a restart the set is the same and the assertions still verify", async () => {
  const before = await keys();
  const { cookie } = await app.signIn();
  const assertion = await assertionOf(app, cookie);
  await world.restart();
  assert.deepEqual(await keys(), before);
  await jwtVerify(assertion, createLocalJWKSet(await keys()), { audience: world.origin.url });
  const again = await assertionOf(app, cookie);
  assert.ok(before.keys.some((/** @type {{ kid: string }} */ { kid }) => kid === headerOf(again).kid));
});

test("the secret that encrypts the keys can be changed: the keys live on under the new one", async () => {
  const { newSecret } = await import("./lib/world.mjs");
  const before = await keys();
  const { cookie } = await app.signIn();
  const secrets = { ...world.secrets, key: { ...world.secrets.key, 2: newSecret() } };
  await world.restart({ secrets });
  assert.deepEqual(await keys(), before);
  const { payload } = await jwtVerify(await assertionOf(app, cookie), createLocalJWKSet(before), { audience: world.origin.url });
  assert.ok(payload.sub);
});
