// docs/migrate-from-usso.md: a Django and a FastAPI service that keep the real SDK, behind the built Worker. Tables, settings
// and code are those of the document; only hosts, URLs and the issuer's key are the test's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readExample } from "../edge/lib/examples.mjs";
import { startFront } from "../edge/lib/front.mjs";
import { send } from "../edge/lib/http.mjs";
import { newKey, startIssuer, tokenOf } from "../edge/lib/issuer.mjs";
import { tampered } from "../edge/lib/tokens.mjs";
import { newEmail, newPath, now, startWorld } from "../edge/lib/world.mjs";
import { blocks, startDjango, startFastApi } from "./lib/peers.mjs";
import { refusedTokens } from "./lib/refused.mjs";

/** @import { Django } from "./lib/peers.mjs" */
/** @import { Example } from "../edge/lib/examples.mjs" */
/** @import { Front } from "../edge/lib/front.mjs" */
/** @import { Issuer, IssuerKey } from "../edge/lib/issuer.mjs" */
/** @import { Sending } from "../edge/lib/site.mjs" */
/** @import { SiteSettings, World } from "../edge/lib/world.mjs" */

const DOCUMENT = "docs/migrate-from-usso.md";
const SDK_MIDDLEWARE = "usso.integrations.django.USSOAuthenticationMiddleware";

const [tables, withoutPhone, inAuthorization] = blocks(DOCUMENT, "toml").map((text) => readExample(text).vars);
/** @param {string} head */
const example = (head) => blocks(DOCUMENT, "python").find((code) => code.startsWith(head)) ?? assert.fail(`no example ${head}`);
const settings = example("# settings.py");

/** @type {Issuer} */
let issuer;
/** @type {IssuerKey} */
let key;
/** @type {Front} */
let front;
/** @type {World} */
let world;
/**
 * The Django services by the site in front of them.
 * @type {Record<string, Django>}
 */
const services = {};
/** The sites of the document: as it is, with the settings for tokens without a phone and for services that read `Authorization`, and further ones before a plain origin. */
/** @type {Record<string, Example["vars"]>} */
const SITES = {
  APP: tables,
  NOPHONE: withoutPhone,
  FASTAPI: inAuthorization,
  HEADER: inAuthorization,
  PLAIN: tables,
  SESSION: tables,
  OPEN: tables,
  DOMAIN: { ...tables, EDGEWARD_ISSUER_USSO: { identity: "email", subject_domain: "users.sso.example.com" } },
};

before(async () => {
  issuer = await startIssuer();
  key = await newKey("EdDSA");
  issuer.publish("/jwks", key);
  front = await startFront({ send: (method, path, options) => world.site("APP").send(method, path, options) });
  const names = { JWKS_URL: `${front.url}/.well-known/jwks.json` };
  services.FASTAPI = await startFastApi({ code: example("from typing"), names });
  services.APP = await startDjango({ code: settings, names });
  assert.ok(settings.includes(SDK_MIDDLEWARE));
  services.NOPHONE = await startDjango({ code: settings.replace(SDK_MIDDLEWARE, "middleware.BySubject"), middleware: example("# middleware.py"), names });
  /** @type {Record<string, SiteSettings & { sources?: string[] }>} */
  const sites = {};
  /** @type {Record<string, unknown>} */
  const vars = {};
  for (const [name, { EDGEWARD_SITE_APP: changes, EDGEWARD_ISSUER_USSO: issuerChanges }] of Object.entries(SITES)) {
    const { hosts, upstream, ...site } = { ...tables.EDGEWARD_SITE_APP, ...changes };
    sites[name] = { query: undefined, ...site, issuers: [name.toLowerCase()], ...(services[name] ? { upstream: services[name].url } : {}) };
    vars[`EDGEWARD_ISSUER_${name}`] = { ...tables.EDGEWARD_ISSUER_USSO, ...issuerChanges, jwks_url: `${issuer.url}/jwks`, loopback_origin: issuer.url };
  }
  delete sites.OPEN.unauthenticated;
  vars.EDGEWARD_RULES_OPEN = [
    { path: "/anonymous", anonymous_ok: true },
    { path: "/public", public: true },
    { prefix: "/", require: { authenticated: true } },
  ];
  sites.SESSION.sources = ["session", ...(sites.SESSION.sources ?? [])];
  world = await startWorld({ sites, vars });
});
after(async () => {
  await world?.stop();
  for (const service of Object.values(services)) await service.stop();
  await front?.stop();
  await issuer?.stop();
});

const ALICE = { sub: "u-alice", phone: "+15550001" };
const BOB = { sub: "u-bob", phone: "+15550002" };
const without = (/** @type {Record<string, unknown>} */ { phone, ...claims }) => claims;

/**
 * A token as USSO makes it: no address, and a type.
 * @param {Record<string, unknown>} claims
 */
const token = (claims) =>
  tokenOf(key, { iss: "https://sso.example.com", aud: "your-app", email: undefined, email_verified: undefined, token_type: "access", ...claims });

/**
 * How a token may come at the site of the document.
 * @type {Record<"bearer" | "sso_cookie", (value: string) => Sending>}
 */
const SOURCES = {
  bearer: (value) => ({ bearer: value }),
  sso_cookie: (value) => ({ cookie: `usso-access-token=${value}` }),
};

/**
 * Whom Django takes the bearer of these claims for.
 * @param {string} site
 * @param {Record<string, unknown>} claims
 */
async function userOf(site, claims, source = SOURCES.bearer) {
  const answer = await world.site(site).client(newPath(), source(await token(claims)));
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.json.origin, "django");
  return answer.json.user;
}

/**
 * Sends a token in each source; each is refused with this status, and the origin sees nothing of it.
 * @param {string} value
 * @param {number} status
 * @param {string} what
 */
async function assertRefused(value, status, what, site = "PLAIN") {
  for (const [source, options] of Object.entries(SOURCES)) {
    const path = newPath();
    const answer = await world.site(site).client(path, options(value));
    assert.equal(answer.status, status, `${what} in ${source}: ${answer}`);
    assert.deepEqual(world.origin.about(path), [], `${what} in ${source} reached the origin`);
  }
}

test("SEC-82: two people are two users of a Django service that keeps the SDK", async () => {
  const alice = await userOf("APP", ALICE);
  const bob = await userOf("APP", BOB);
  assert.deepEqual([alice.username, bob.username], [ALICE.phone, BOB.phone]);
  assert.notEqual(alice.pk, bob.pk);
  for (const { email } of [alice, bob]) assert.match(email, /^usr_[\w-]{22}@/, "the SDK makes an address of Edgeward's id");
  for (const source of Object.values(SOURCES)) {
    assert.deepEqual(await userOf("APP", ALICE, source), alice, "one person stays one user");
    assert.deepEqual(await userOf("APP", BOB, source), bob, "one person stays one user");
  }
});

test("SEC-82: a credential without a phone does not reach a service that finds its users by it", async () => {
  for (const phone of [undefined, null, "", " "]) await assertRefused(await token({ ...ALICE, phone }), 401, `phone ${phone}`);
  await assertRefused(await world.site("PLAIN").issue(newEmail()), 401, "a token that Edgeward issued");
});

test("SEC-82: without a phone, two people are two users by the middleware that finds them by sub", async () => {
  const alice = await userOf("NOPHONE", without(ALICE));
  const bob = await userOf("NOPHONE", without(BOB));
  assert.notEqual(alice.pk, bob.pk);
  assert.match(alice.username, /^usr_[\w-]{22}$/);
  assert.deepEqual([alice.email, bob.email], ["", ""], "tokens without an address");
  assert.deepEqual(await userOf("NOPHONE", without(ALICE)), alice, "one person stays one user");
  assert.deepEqual(await userOf("NOPHONE", without(BOB)), bob, "one person stays one user");
});

test("a Django service of the document takes nobody's word but the assertion's", async () => {
  const assertion = (await world.site("PLAIN").client("/", { bearer: await token(ALICE) })).seen.headers.need("x-edgeward-assertion");
  /** @param {[name: string, value: string][]} headers */
  const ask = async (headers) =>
    (await send({ port: Number(new URL(services.APP.url).port), path: newPath(), headers: [["Host", "origin"], ...headers] })).json.user;
  assert.equal((await ask([["x-edgeward-assertion", assertion]])).username, ALICE.phone);
  for (const headers of /** @type {[name: string, value: string][][]} */ ([
    [],
    [["x-edgeward-assertion", tampered(assertion)]],
    [["x-api-key", "of-the-sdk"]],
    [["Authorization", `Bearer ${assertion}`]],
    [["Cookie", `usso-access-token=${assertion}`]],
  ])) {
    assert.equal(await ask(headers), null, JSON.stringify(headers));
  }
});

test("SEC-19: of USSO's types of tokens only access tokens pass, in every source", async () => {
  for (const [source, options] of Object.entries(SOURCES)) {
    const answer = await world.site("PLAIN").client(newPath(), options(await token(ALICE)));
    assert.equal(answer.status, 200, `${source}: ${answer}`);
  }
  for (const site of ["PLAIN", "NOPHONE", "HEADER"]) {
    for (const token_type of ["refresh", "secure", "one_time", "temporary", "ACCESS", "", true, ["refresh"], {}]) {
      await assertRefused(await token({ ...BOB, token_type }), 401, `type ${JSON.stringify(token_type)}`, site);
    }
    for (const token_type of [undefined, null]) await assertRefused(await token({ ...BOB, token_type }), 401, `type ${token_type}`, site);
  }
});

test("SEC-19: every token that must be refused is, at the sites of all three examples and in every source", async () => {
  const good = { iss: "https://sso.example.com", aud: "your-app", email: undefined, email_verified: undefined, token_type: "access", ...ALICE };
  for (const site of ["PLAIN", "NOPHONE", "HEADER"]) {
    for (const sub of [undefined, null, ""]) await assertRefused(await token({ ...ALICE, sub }), 401, `sub ${sub}`, site);
    for (const [what, value] of Object.entries(await refusedTokens(key, good))) await assertRefused(value, 401, `${what} at ${site}`, site);
  }
});

test("as the document says, people are who their sub says, and an address is theirs only if it is verified", async () => {
  const subjects = [ALICE.sub, BOB.sub, "User:7f3A/ü", "4f9b0c1e-2d1a-4c57-9a52-3f5be2a4b1c0"];
  const seen = new Set();
  for (const sub of subjects) {
    const addresses = [{}, { email: null }, { email: "shared@example.com" }, { email: "shared@example.com", email_verified: true }];
    // The newest token says the address.
    for (const [at, address] of addresses.entries()) {
      const answer = await world.site("PLAIN").client(newPath(), { bearer: await token({ ...ALICE, ...address, sub, iat: now() + 1 + at }) });
      assert.equal(answer.status, 200, String(answer));
      assert.equal(answer.seen.header("x-forwarded-email"), "email_verified" in address ? "shared@example.com" : undefined);
      seen.add(answer.seen.headers.need("x-forwarded-user"));
    }
  }
  assert.equal(seen.size, subjects.length);
});

test("as the document says, subject_domain makes an address of sub, and refuses one that is null or not verified", async () => {
  for (const { sub } of [ALICE, BOB]) {
    const answer = await world.site("DOMAIN").client(newPath(), { bearer: await token({ ...ALICE, sub }) });
    assert.equal(answer.seen.header("x-forwarded-email"), `${sub}@users.sso.example.com`);
  }
  for (const email of [null, "alice@example.com"]) await assertRefused(await token({ ...ALICE, email }), 401, `address ${email}`, "DOMAIN");
  await assertRefused(await token({ ...ALICE, sub: "U-Alice" }), 401, "a sub in capital letters", "DOMAIN");
});

test("SEC-82: two people are two users of a FastAPI service that keeps the SDK, and it takes nobody's word but the assertion's", async () => {
  for (const [{ sub }, roles] of /** @type {const} */ ([
    [ALICE, ["admin"]],
    [BOB, ["editor"]],
  ])) {
    for (const options of Object.values(SOURCES)) {
      const answer = await world.site("FASTAPI").client("/me", options(await token({ sub, roles: [...roles, "root"] })));
      assert.deepEqual([answer.status, answer.json], [200, { id: sub, roles }], String(answer));
    }
  }
  const own = await token(ALICE);
  const assertion = (await world.site("HEADER").client("/", { bearer: own })).seen.headers.need("authorization");
  const port = Number(new URL(services.FASTAPI.url).port);
  /** @param {string} name @param {string} value */
  const ask = async (name, value) =>
    send({
      port,
      path: "/me",
      headers: [
        ["Host", "origin"],
        [name, value],
      ],
    });
  assert.deepEqual((await ask("Authorization", assertion)).json.id, ALICE.sub);
  for (const [name, value] of [
    ["Authorization", `Bearer ${own}`],
    ["Authorization", tampered(assertion)],
    ["Authorization", "Bearer of-the-sdk"],
    ["x-api-key", "of-the-sdk"],
    ["Cookie", `usso-access-token=${own}`],
  ]) {
    assert.equal((await ask(name, value)).status, 401, name);
  }
});

test("SEC-19: a refresh token opens no session", async () => {
  const site = world.site("SESSION");
  /** @param {string} token_type */
  const open = async (token_type) => {
    const answer = await site.navigate("/", { cookie: `usso-access-token=${await token({ ...ALICE, token_type })}` });
    return answer.cookies.find(({ name, cleared }) => name.startsWith("__Host-") && !cleared)?.pair;
  };
  assert.equal((await site.client("/", { cookie: await open("access") })).status, 200);
  assert.equal(await open("refresh"), undefined);
});

test("SEC-19: no rule of the site lets another type of token in", async () => {
  const site = world.site("OPEN");
  const refresh = await token({ ...ALICE, token_type: "refresh" });
  for (const path of ["/anonymous", "/"]) assert.equal((await site.client(path, { bearer: refresh })).status, 401, path);
  assert.equal((await site.client("/public", { bearer: refresh })).seen.header("x-user-sub"), undefined);
  const access = await token(ALICE);
  assert.equal((await site.client("/anonymous", { bearer: access })).seen.header("x-user-sub"), ALICE.sub);
});
