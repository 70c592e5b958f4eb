// docs/cloudflare-access.md: its configuration, taken from its own text. A stand-in issues tokens of the form that Access
// gives an application, and publishes its keys as Access does; only the address of the keys is the test's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { readExample } from "./lib/examples.mjs";
import { newKey, startIssuer, tokenOf } from "./lib/issuer.mjs";
import { claimsOf, tampered } from "./lib/tokens.mjs";
import { newPath, now, startWorld } from "./lib/world.mjs";

/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const DOCUMENT = "docs/cloudflare-access.md";
const HEADER = "Cf-Access-Jwt-Assertion";
const ADA = "ada@example.com";
const ZOE = "zoe@example.com";

const text = readFileSync(new URL(`../../${DOCUMENT}`, import.meta.url), "utf8");
const { vars } = readExample(/```toml\n([\s\S]*?)```/.exec(text)?.[1] ?? "");
const { EDGEWARD_ISSUER_ACCESS: issuerTable, EDGEWARD_SITE_APP: siteTable } = vars;

/** @type {Issuer} */
let issuer;
/** @type {IssuerKey} */
let key;
/** @type {IssuerKey} */
let next;
/** @type {World} */
let world;
/** @type {Site} */
let site;
before(async () => {
  [key, next] = await Promise.all([newKey("RS256", "5e1f0a"), newKey("RS256", "9c77d2")]);
  issuer = await startIssuer();
  const { pathname } = new URL(String(issuerTable.jwks_url));
  // The same keys a second and a third time, as certificates.
  const certificates = [key, next].map(({ kid, pem }) => ({ kid, cert: pem }));
  issuer.documents.set(pathname, JSON.stringify({ keys: [key.jwk, next.jwk], public_cert: certificates[0], public_certs: certificates }));
  const { upstream, ...settings } = siteTable;
  assert.ok(upstream);
  world = await startWorld({
    sites: { APP: { sso_cookie: undefined, query: undefined, ...settings } },
    vars: { EDGEWARD_ISSUER_ACCESS: { ...issuerTable, jwks_url: `${issuer.url}${pathname}`, loopback_origin: issuer.url } },
  });
  site = world.site();
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
});

/**
 * A token of the form that Access gives an application.
 * @param {Record<string, unknown>} [claims]
 */
const token = (claims = {}, by = key) =>
  tokenOf(by, {
    aud: [issuerTable.audience],
    email: ADA,
    email_verified: undefined,
    exp: now() + 86_400,
    iat: now(),
    nbf: now(),
    iss: issuerTable.issuer,
    jti: undefined,
    type: "app",
    identity_nonce: "6ei69kawdKzMIAPF",
    sub: `7335d417-61da-459d-899c-${Buffer.from(String(claims.email ?? ADA)).toString("hex", 0, 6)}`,
    country: "US",
    ...claims,
  });

/**
 * @param {string} value
 * @param {Record<string, string>} [headers]
 */
const ask = (value, headers = {}, path = newPath()) => site.client(path, { headers: { [HEADER]: value, ...headers } });

/**
 * @param {string | undefined} value
 * @param {string} what
 */
async function assertRefused(value, what) {
  const path = newPath();
  const answer = await site.client(path, { headers: { [HEADER]: value } });
  assert.equal(answer.status, 401, `${what}: ${answer}`);
  assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
}

test(`${DOCUMENT}: two people are two users, and the origin gets who they are and nothing of Access`, async () => {
  /** @type {unknown[]} */
  const subjects = [];
  for (const email of [ADA, ZOE]) {
    const { status, seen, cookies } = await ask(await token({ email }), {
      "Cf-Access-Authenticated-User-Email": "admin@example.com",
      Cookie: "CF_Authorization=x; a=1",
    });
    assert.equal(status, 200);
    assert.deepEqual(cookies, [], "no session is opened");
    assert.equal(seen.header("x-forwarded-email"), email);
    const assertion = claimsOf(seen.headers.need("x-edgeward-assertion"));
    assert.deepEqual([assertion.email, assertion.aud], [email, "https://origin.example.com"]);
    subjects.push(assertion.sub);
    assert.deepEqual(
      seen.headers.list.filter(([name]) => /^cf-access-/i.test(name)),
      [],
    );
    assert.equal(seen.header("cookie"), "CF_Authorization=x; a=1");
  }
  assert.notEqual(subjects[0], subjects[1]);
});

test(`${DOCUMENT}: the next key of Access counts as well`, async () => {
  assert.equal((await ask(await token({ email: ZOE }, next))).seen.header("x-forwarded-email"), ZOE);
});

test(`${DOCUMENT}: a token for another application, of another team, expired, forged or without an address is refused, and so is none`, async () => {
  assert.equal((await ask(await token())).status, 200);
  const stranger = await newKey("RS256", key.kid);
  const other = `${"0".repeat(63)}1`;
  /** @type {Record<string, string | undefined>} */
  const refused = {
    "no token": undefined,
    "one for another application": await token({ aud: [other] }),
    "one for the team": await token({ aud: [], type: "org" }),
    "one of another team": await token({ iss: "https://evil.cloudflareaccess.com" }),
    "an expired one": await token({ iat: now() - 86_400, exp: now() - 60 }),
    "one that is not valid yet": await token({ nbf: now() + 600 }),
    "one that lives longer than a day": await token({ exp: now() + 90_000 }),
    "one by somebody else's key": await token({}, stranger),
    "a tampered one": tampered(await token()),
    "one of a service": await token({ email: undefined, sub: "", common_name: "e367826f93b8d71185e03fe518aff3b4.access" }),
    "one of another domain": await token({ email: "ada@example.net" }),
  };
  for (const [what, value] of Object.entries(refused)) await assertRefused(value, what);
  // The browser's own cookie is not a credential here.
  assert.equal((await site.navigate(newPath(), { cookie: `CF_Authorization=${await token()}` })).status, 401);
});

test(`${DOCUMENT}: a page of another site cannot act with the header that Access writes`, async () => {
  for (const [from, status] of /** @type {const} */ ([
    ["same-origin", 200],
    ["cross-site", 403],
  ])) {
    const answer = await site.send("POST", newPath(), { headers: { [HEADER]: await token(), "Sec-Fetch-Site": from } });
    assert.equal(answer.status, status, from);
  }
});

test(`${DOCUMENT}: a disabled user is refused with a token that is still valid`, async () => {
  const email = "eve@example.com";
  const value = await token({ email });
  assert.equal((await ask(value)).status, 200);
  const { users } = (await site.admin("GET", `/api/sso/users?email=${email}`)).json;
  assert.equal((await site.admin("PATCH", `/api/sso/users/${users[0].id}`, { active: false })).status, 200);
  assert.equal((await ask(value)).status, 403);
});
