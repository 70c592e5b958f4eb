// Signing in with OpenID Connect providers, over real HTTP, in workerd: every module of the OpenID Foundation's plans for relying
// parties by its name, what attackers try, and the shapes of the providers that people use.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { rowsAbout } from "./lib/audit.mjs";
import { AT_GATEWAY, Browser, newPerson, SESSION, withGateway } from "./lib/gateway.mjs";
import { newKey } from "./lib/issuer.mjs";
import { providerTable, SECRET, startProviders } from "./lib/provider.mjs";
import { CLIENT, NAVIGATION, now, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { IssuerKey } from "./lib/issuer.mjs" */
/** @import { Provider, Ways } from "./lib/provider.mjs" */
/** @import { SiteSettings, World } from "./lib/world.mjs" */
/** @import { Site } from "./lib/site.mjs" */

/** The settings of each provider that a test has for itself, so that none is disturbed by another's keys and cool-downs. */
/** @type {Record<string, Record<string, unknown>>} */
const SETTINGS = {
  happy: {},
  basic: {},
  post: { client_auth: "post" },
  public: { client_auth: "none" },
  bad: { keys_cooldown: undefined },
  one_key: {},
  many_keys: {},
  rotated: {},
  just_rotated: {},
  unsigned: {},
  wrong_sig: {},
  other_issuer: {},
  userinfo: { userinfo: true, grant_roles: ["editor"] },
  down: {},
  gone: {},
  fresh: { max_age: 60 },
  known_only: { create_users: false },
  signs_out: { sign_out_at_provider: true },
  no_end: { sign_out_at_provider: true },
  of_domain: { email_domains: ["example.com"] },
  authoritative: { email_authoritative: true, create_users: false },
  keycloak: { roles_from: "access_token", grant_roles: ["editor"], claims: { roles: "realm_access.roles" } },
  google: { preset: "google", hd: "example.com", issuer: undefined },
  entra: { preset: "entra", tenant_ids: ["11111111-2222-3333-4444-555555555555"], issuer: undefined },
  auth0: { issuer: undefined },
};
const ENTRA = "https://login.microsoftonline.com";

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof startProviders>>} */
let server;
/** @type {Record<string, Provider>} */
const providers = {};
/** @type {Site} */
let app;
before(async () => {
  server = await startProviders();
  /** @type {Record<string, unknown>} */
  const vars = {};
  for (const [name, { keys_cooldown: _, ...settings }] of Object.entries(SETTINGS)) {
    providers[name] = await server.add(name);
    /** @type {Record<string, unknown>} */
    const own = { ...settings };
    if (settings.preset) own.discovery_url = `${server.url}/${name}/.well-known/openid-configuration`;
    if (name === "auth0") own.issuer = `${server.url}/auth0/`;
    const table = JSON.parse(JSON.stringify(providerTable(server, name, own)));
    vars[`EDGEWARD_PROVIDER_${name.toUpperCase()}`] = table;
    if (settings.client_auth !== "none") vars[`EDGEWARD_PROVIDER_${name.toUpperCase()}_SECRET`] = SECRET;
  }
  providers.google.issuer = "https://accounts.google.com";
  providers.entra.issuer = `${ENTRA}/{tenantid}/v2.0`;
  providers.auth0.issuer += "/";
  /** @type {SiteSettings} */
  const own = { sources: ["session"], unauthenticated: "login", login: "provider", sso_cookie: undefined, query: undefined };
  const rules = [
    { prefix: "/editors", require: { role: "editor" } },
    { prefix: "/", require: { authenticated: true } },
  ];
  world = await startWorld(
    withGateway(
      {
        sites: {
          APP: { ...own, providers: Object.keys(SETTINGS), rules },
          ONE: { ...own, providers: ["happy"] },
          AWAY: { ...own, providers: ["signs_out"], logout_url: "https://portal.example.test/bye" },
          VIA: AT_GATEWAY,
        },
        vars,
      },
      { providers: ["happy", "basic", "signs_out"] },
    ),
  );
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  await server?.stop();
});

/**
 * A browser goes to a provider: the address to which it is sent.
 * @param {Browser} browser
 * @param {string} name
 */
async function go(browser, name, place = "/page?x=1", site = app) {
  const answer = await browser.open(site, `/api/sso/login/${name}?return_to=${encodeURIComponent(place)}`);
  assert.equal(answer.status, 303, String(answer));
  return answer.target;
}

/**
 * A sign-in from the beginning to the answer of the callback, at a provider with these ways.
 * @param {string} name
 * @param {Ways} [ways]
 * @param {Record<string, string | undefined>} [overrides] Of the response.
 */
async function signIn(name, ways = {}, overrides = {}, browser = new Browser(world)) {
  providers[name].ways = ways;
  const location = await go(browser, name);
  const answer = await browser.open(app, providers[name].respond(location, overrides));
  return { answer, browser };
}

/** @param {Answer} answer */
function isSignedIn(answer) {
  assert.equal(answer.status, 303, String(answer));
  assert.equal(answer.target, `${app.origin}/page?x=1`);
  assert.ok(answer.setCookie(SESSION).value);
}

/**
 * Nobody is signed in, and the page says so with a way back; the log has the reason.
 * @param {Answer} answer
 * @param {[status: number, code: string]} expected
 * @param {RegExp} reason
 */
async function isRefused(answer, [status, code], reason) {
  assert.equal(answer.status, status, String(answer));
  assert.equal(answer.cookie(SESSION), undefined);
  assert.match(answer.text, new RegExp(code));
  assert.match(answer.text, /class="button[^"]*" href="[^"]+"/);
  await world.settled();
  const line = world.events().at(-1);
  assert.match(line.reason, reason);
  assert.equal(line.event, status >= 500 ? "fault" : "denied");
}
/** @type {[number, string]} */
const FAILED = [502, "provider_failed"];

describe("oidcc-client-basic-certification-test-plan", () => {
  test("oidcc-client-test", async () => {
    const { answer, browser } = await signIn("happy");
    isSignedIn(answer);
    const page = await browser.open(app, "/page?x=1");
    assert.equal(page.seen.header("x-forwarded-email"), "ada@example.com");
    const [asked] = providers.happy.exchanges;
    assert.equal(asked.form.grant_type, "authorization_code");
    // What was under way is over, and nothing of it reaches the origin.
    assert.ok(answer.cookies.some(({ name, cleared }) => cleared && name.startsWith(`${SESSION}-signin-`)));
    assert.equal(page.seen.header("cookie"), undefined);
  });
  test("oidcc-client-test-nonce-invalid", async () => {
    const { answer } = await signIn("bad", { claims: { nonce: "x" } });
    await isRefused(answer, FAILED, /^provider bad: ID token: .*nonce/);
    await isRefused((await signIn("bad", { claims: { nonce: undefined } })).answer, FAILED, /nonce/);
  });
  test("oidcc-client-test-client-secret-basic", async () => {
    isSignedIn((await signIn("basic")).answer);
    const encoded = (/** @type {string} */ text) => encodeURIComponent(text);
    const pair = Buffer.from(`${encoded("client/1")}:${encoded(SECRET)}`).toString("base64");
    assert.equal(providers.basic.exchanges[0].authorization, `Basic ${pair}`);
    assert.equal(providers.basic.exchanges[0].form.client_secret, undefined);
    isSignedIn((await signIn("post")).answer);
    assert.equal(providers.post.exchanges[0].form.client_secret, SECRET);
    isSignedIn((await signIn("public")).answer);
    assert.deepEqual([providers.public.exchanges[0].authorization, providers.public.exchanges[0].form.client_id], [undefined, "client/1"]);
  });
  test("oidcc-client-test-scope-userinfo-claims", async () => {
    const userinfo = { email: "ada@example.com", email_verified: true, roles: ["editor", "admin"] };
    const { answer, browser } = await signIn("userinfo", { claims: { email: undefined, email_verified: undefined }, userinfo });
    isSignedIn(answer);
    const page = await browser.open(app, "/editors/a");
    assert.equal(page.seen.header("x-forwarded-email"), "ada@example.com");
    assert.equal(page.seen.header("x-forwarded-groups"), "editor");
  });
  test("oidcc-client-test-kid-absent-single-jwks", async () => {
    isSignedIn((await signIn("one_key", { header: { kid: null } })).answer);
  });
  test("oidcc-client-test-kid-absent-multiple-jwks", async () => {
    const keys = [await newKey("RS256", "other"), await newKey("ES256", "ec"), providers.many_keys.key];
    isSignedIn((await signIn("many_keys", { keys, header: { kid: null } })).answer);
  });
  test("oidcc-client-test-invalid-iss", async () => {
    const { answer } = await signIn("bad", { claims: { iss: "https://other.example" } });
    await isRefused(answer, FAILED, /from another issuer/);
  });
  test("oidcc-client-test-missing-sub", async () => {
    await isRefused((await signIn("bad", { claims: { sub: undefined } })).answer, FAILED, /required claim: sub/);
    for (const sub of ["", "x".repeat(256), 7]) await isRefused((await signIn("bad", { claims: { sub } })).answer, FAILED, /sub/);
  });
  test("oidcc-client-test-invalid-aud", async () => {
    await isRefused((await signIn("bad", { claims: { aud: "other" } })).answer, FAILED, /another audience/);
    await isRefused((await signIn("bad", { claims: { aud: undefined } })).answer, FAILED, /aud/);
  });
  test("oidcc-client-test-missing-iat", async () => {
    await isRefused((await signIn("bad", { claims: { iat: undefined } })).answer, FAILED, /required claim: iat/);
  });
  test("oidcc-client-test-idtoken-sig-rs256", async () => {
    isSignedIn((await signIn("happy", {})).answer);
  });
  test("oidcc-client-test-idtoken-sig-none", async () => {
    await isRefused((await signIn("unsigned", { unsigned: true })).answer, FAILED, /ID token: /);
  });
  test("oidcc-client-test-invalid-sig-rs256", async () => {
    await isRefused((await signIn("wrong_sig", { broken: true })).answer, FAILED, /signature does not match/);
  });
  test("oidcc-client-test-userinfo-invalid-sub", async () => {
    await isRefused((await signIn("userinfo", { userinfo: { sub: "u2" } })).answer, FAILED, /userinfo: sub/);
  });
});

describe("oidcc-client-config-certification-test-plan", () => {
  test("oidcc-client-test-discovery-openid-config", async () => {
    isSignedIn((await signIn("happy")).answer);
    // The document is asked for once by the flow, and once with the keys, and remembered after that.
    assert.ok(providers.happy.requests.filter((path) => path.startsWith(".well-known")).length <= 2);
  });
  test("oidcc-client-test-discovery-jwks-uri-keys", async () => {
    assert.equal(providers.happy.requests.filter((path) => path === "jwks").length, 1);
  });
  test("oidcc-client-test-discovery-issuer-mismatch", async () => {
    for (const issuer of ["https://other.example", `${providers.other_issuer.issuer}/`]) {
      providers.other_issuer.ways = { discovery: { issuer } };
      const answer = await new Browser(world).open(app, "/api/sso/login/other_issuer");
      await isRefused(answer, FAILED, /provider other_issuer: discovery document: .*another issuer/);
    }
  });
  test("oidcc-client-test-idtoken-sig-none: with the algorithm in the header, and without a signature", async () => {
    for (const alg of ["none", "None", "NONE"]) {
      const claims = Buffer.from(JSON.stringify({ iss: providers.unsigned.issuer, aud: "client/1", sub: "u1", iat: now(), exp: now() + 300 }));
      const header = Buffer.from(JSON.stringify({ alg })).toString("base64url");
      const token = { id_token: `${header}.${claims.toString("base64url")}.` };
      await isRefused((await signIn("unsigned", { token })).answer, FAILED, /ID token: /);
    }
  });
  test("oidcc-client-test-signing-key-rotation", async () => {
    isSignedIn((await signIn("rotated")).answer);
    providers.rotated.key = await newKey("RS256", "second");
    isSignedIn((await signIn("rotated")).answer);
  });
  test("oidcc-client-test-signing-key-rotation-just-before-signing", async () => {
    isSignedIn((await signIn("just_rotated")).answer);
    const next = await newKey("RS256", "just-before");
    const beforeSigning = () => {
      providers.just_rotated.key = next;
    };
    isSignedIn((await signIn("just_rotated", { beforeSigning })).answer);
  });
});

describe("fapi2-security-profile-final-client-test-plan", () => {
  const OVER = /sign-in (expired or used|of another browser)/;
  test("fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails", async () => {
    const { answer } = await signIn("happy", {}, { state: "x".repeat(43) });
    await isRefused(answer, [410, "sign_in_over"], OVER);
    await isRefused((await signIn("happy", {}, { state: "x" })).answer, [410, "sign_in_over"], OVER);
  });
  test("fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails", async () => {
    const { answer } = await signIn("happy", {}, { state: undefined });
    await isRefused(answer, [410, "sign_in_over"], OVER);
  });
  test("fapi2-security-profile-final-client-test-invalid-authorization-response-iss", async () => {
    const { answer } = await signIn("bad", {}, { iss: "https://other.example" });
    await isRefused(answer, FAILED, /provider bad: the response has the iss of another issuer/);
    await isRefused((await signIn("bad", {}, { iss: `${providers.bad.issuer}/` })).answer, FAILED, /iss of another issuer/);
  });
  test("fapi2-security-profile-final-client-test-remove-authorization-response-iss", async () => {
    await isRefused((await signIn("bad", {}, { iss: undefined })).answer, FAILED, /or none although one is announced/);
  });
  test("fapi1-advanced-final-client-test-iat-is-week-in-past", async () => {
    const { answer } = await signIn("bad", { claims: { iat: now() - 7 * 86_400, exp: now() + 300 } });
    await isRefused(answer, FAILED, /ID token: /);
    await isRefused((await signIn("bad", { claims: { iat: now() - 640 } })).answer, FAILED, /claim iat/);
  });
  test("fapi1-advanced-final-client-test-invalid-expired-exp", async () => {
    await isRefused((await signIn("bad", { claims: { iat: now() - 300, exp: now() - 60 } })).answer, FAILED, /has expired/);
  });
  test("fapi1-advanced-final-client-test-invalid-secondary-aud", async () => {
    await isRefused((await signIn("bad", { claims: { aud: ["client/1", "other"] } })).answer, FAILED, /azp/);
    await isRefused((await signIn("bad", { claims: { aud: ["client/1", "other"], azp: "other" } })).answer, FAILED, /azp/);
    await isRefused((await signIn("bad", { claims: { azp: "other" } })).answer, FAILED, /azp/);
    isSignedIn((await signIn("bad", { claims: { aud: ["other", "client/1"], azp: "client/1" } })).answer);
  });
  test("fapi1-advanced-final-client-test-invalid-missing-exp", async () => {
    await isRefused((await signIn("bad", { claims: { exp: undefined } })).answer, FAILED, /exp/);
  });
});

describe("oidcc-client-backchannel-rp-initiated-logout-test-plan", () => {
  const EVENT = "http://schemas.openid.net/event/backchannel-logout";
  /**
   * A person who is signed in, and what the provider sends when they have signed out there.
   * @param {string} name
   */
  async function signedIn(name) {
    const { answer, browser } = await signIn(name, { claims: { sub: `out-${randomBytes(4).toString("hex")}` } });
    isSignedIn(answer);
    const sub = providers[name].ways.claims?.sub;
    const isIn = async () => (await browser.open(app, "/page")).status === 200;
    assert.ok(await isIn());
    /**
     * @param {Record<string, unknown>} [claims]
     * @param {Record<string, unknown>} [header]
     * @param {IssuerKey} [key]
     */
    const report = async (claims = {}, header = {}, key = providers[name].key) => {
      const all = {
        iss: providers[name].issuer,
        aud: "client/1",
        sub,
        sid: "s1",
        iat: now(),
        exp: now() + 120,
        jti: randomBytes(8).toString("hex"),
        events: { [EVENT]: {} },
      };
      const token = await providers[name].sign(key, { ...all, ...claims }, { typ: "logout+jwt", ...header });
      return send(token, name);
    };
    return { isIn, report, sub, browser };
  }
  /** @param {string} token */
  const send = (token, name = "happy") =>
    app.send("POST", `/api/sso/backchannel/${name}`, {
      kind: CLIENT,
      headers: [["Content-Type", "application/x-www-form-urlencoded"]],
      body: new URLSearchParams({ logout_token: token }).toString(),
    });
  /**
   * @param {Answer} answer
   * @param {RegExp} reason
   */
  async function isNone(answer, reason) {
    assert.deepEqual([answer.status, answer.json.code], [400, "invalid_request"], String(answer));
    assert.match(answer.headers.need("cache-control"), /no-store/);
    await world.settled();
    assert.match(world.events("denied").at(-1).reason, reason);
  }

  test("oidcc-client-test-backchannel-rp-logout", async () => {
    const one = await signedIn("happy");
    const answer = await one.report();
    assert.equal(answer.status, 200, String(answer));
    assert.match(answer.headers.need("cache-control"), /no-store/);
    assert.equal(await one.isIn(), false);
    // Without a type of its own too, and for somebody who was never here.
    const two = await signedIn("happy");
    assert.equal((await two.report({}, { typ: undefined })).status, 200);
    assert.equal(await two.isIn(), false);
    assert.equal((await two.report({ sub: "nobody" })).status, 200);
  });
  test("SEC-121: a sign-out that a provider reports has a row with the provider", async () => {
    const one = await signedIn("happy");
    const { id } = (await app.client("/api/sso/me", { cookie: one.browser.jar(app).header })).json.user;
    assert.equal((await one.report()).status, 200);
    const rows = await rowsAbout(app, id);
    assert.deepEqual(
      rows.map(({ action, actor }) => [action, actor]),
      [
        ["signed_in", id],
        ["signed_out", "provider:happy"],
      ],
    );
  });

  test("oidcc-client-test-backchannel-rp-logout-alg-none", async () => {
    const one = await signedIn("happy");
    const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { iss: providers.happy.issuer, aud: "client/1", sub: one.sub, iat: now(), exp: now() + 120, jti: "none", events: { [EVENT]: {} } };
    await isNone(await send(`${part({ alg: "none", typ: "logout+jwt" })}.${part(claims)}.`), /logout token: /);
    assert.ok(await one.isIn());
  });
  test("oidcc-client-test-backchannel-rp-logout-no-event", async () => {
    const one = await signedIn("happy");
    for (const events of [undefined, {}, [], EVENT]) await isNone(await one.report({ events }), /events/);
    assert.ok(await one.isIn());
  });
  test("oidcc-client-test-backchannel-rp-logout-with-nonce: neither an ID token nor anything but a logout token for us ends a session", async () => {
    const one = await signedIn("happy");
    await isNone(await one.report({ nonce: "n" }), /nonce/);
    await isNone(await one.report({}, { typ: "at+jwt" }), /another type/);
    await isNone(await send("x"), /logout token: /);
    await isNone(await send(""), /logout token: /);
    await isNone(await one.report({ sub: undefined, sid: undefined }), /sub/);
    for (const name of ["jti", "iat", "exp"]) await isNone(await one.report({ [name]: undefined }), new RegExp(name));
    await isNone(await one.report({ iat: now() - 700 }), /iat/);
    await isNone(await one.report({ iat: now() - 300, exp: now() - 60 }), /expired/);
    assert.ok(await one.isIn());
  });
  test("oidcc-client-test-backchannel-rp-logout-wrong-alg", async () => {
    const one = await signedIn("happy");
    await isNone(await one.report({}, {}, await newKey("ES384", "first")), /algorithm/);
    assert.ok(await one.isIn());
  });
  test("oidcc-client-test-backchannel-rp-logout-wrong-aud", async () => {
    const one = await signedIn("happy");
    await isNone(await one.report({ aud: "other" }), /another audience/);
    assert.ok(await one.isIn());
  });
  test("oidcc-client-test-backchannel-rp-logout-wrong-event", async () => {
    const one = await signedIn("happy");
    await isNone(await one.report({ events: { "http://schemas.openid.net/event/other": {} } }), /events/);
    await isNone(await one.report({ events: { [EVENT]: "x" } }), /events/);
    assert.ok(await one.isIn());
  });
  test("oidcc-client-test-backchannel-rp-logout-wrong-issuer", async () => {
    const one = await signedIn("happy");
    await isNone(await one.report({ iss: "https://other.example" }), /another issuer/);
    assert.ok(await one.isIn());
  });
  test("a logout token counts once, and no session of a later sign-in ends with it", async () => {
    const one = await signedIn("happy");
    const jti = "once";
    assert.equal((await one.report({ jti })).status, 200);
    await isNone(await one.report({ jti }), /logout token: /);
    assert.equal((await app.send("GET", "/api/sso/backchannel/happy")).status, 405);
    assert.equal((await app.send("POST", "/api/sso/backchannel/nobody")).status, 404);
  });
  test("a session that is named by its sid alone ends, whatever else identifies the person, and none of another one", async () => {
    const sid = randomBytes(8).toString("hex");
    const { email } = await app.createUser({ email: "sid@example.com" });
    for (const name of ["happy", "authoritative"]) {
      const other = await signedIn("happy");
      const { answer, browser } = await signIn(name, { claims: { sub: `by-${sid}`, sid, email, email_verified: true } });
      isSignedIn(answer);
      const report = async (/** @type {object} */ claims) => {
        const all = {
          iss: providers[name].issuer,
          aud: "client/1",
          iat: now(),
          exp: now() + 120,
          jti: randomBytes(8).toString("hex"),
          events: { [EVENT]: {} },
        };
        return send(await providers[name].sign(providers[name].key, { ...all, ...claims }, { typ: "logout+jwt" }), name);
      };
      assert.equal((await report({ sid: "of-nobody" })).status, 200);
      assert.equal((await browser.open(app, "/page")).status, 200);
      assert.equal((await report({ sid })).status, 200);
      assert.notEqual((await browser.open(app, "/page")).status, 200, name);
      // A sign-in of the second of the sign-out may be from before it.
      const again = await until(async () => {
        const one = await signIn(name, { claims: { sub: `by-${sid}`, sid: `${sid}2`, email, email_verified: true } });
        return one.answer.status === 303 && one;
      });
      isSignedIn(again.answer);
      assert.equal((await report({ sub: `by-${sid}` })).status, 200);
      assert.notEqual((await again.browser.open(app, "/page")).status, 200, name);
      assert.ok(await other.isIn());
    }
  });
});

describe("oidcc-client-rp-initiated-logout-test-plan", () => {
  const back = `/api/sso/logged-out/signs_out`;
  const end = () => `${providers.signs_out.url}/end`;
  /**
   * A person who is signed in at a provider with this endpoint.
   * @param {Ways} [ways]
   */
  async function signedIn(name = "signs_out", ways = {}, site = app) {
    providers[name].ways = { ...ways, discovery: { end_session_endpoint: end(), ...ways.discovery } };
    const browser = new Browser(world);
    const answer = await browser.open(site, providers[name].respond(await go(browser, name, "/page?x=1", site)));
    assert.equal(answer.status, 303, String(answer));
    return browser;
  }
  /**
   * Signs out by the form of the page that asks. Where the browser is sent.
   * @param {Browser} browser
   */
  async function signOut(browser, site = app, path = "/api/sso/logout", fields = {}) {
    const question = await browser.open(site, path);
    assert.match(question.headers.need("content-security-policy"), /form-action 'self' http:/);
    return browser.submit(site, path, fields);
  }
  const location = (/** @type {Answer} */ answer) => {
    assert.equal(answer.status, 303, String(answer));
    const url = new URL(answer.target);
    return { at: `${url.origin}${url.pathname}`, ...Object.fromEntries(url.searchParams) };
  };
  /** @param {string} session */
  const isIn = async (session, site = app) => (await site.navigate("/page", { cookie: `${SESSION}=${session}` })).status === 200;
  /** @param {Browser} browser */
  const sessionOf = (browser, site = app) => new RegExp(`${SESSION}=([^;]+)`).exec(browser.jar(site).header)?.[1] ?? assert.fail("no session");

  test("oidcc-client-test-rp-init-logout", async () => {
    const browser = await signedIn();
    const session = sessionOf(browser);
    assert.ok(await isIn(session));
    const { at, id_token_hint, state, ...fields } = /** @type {Record<string, string>} */ (
      location(await signOut(browser, app, "/api/sso/logout", { return_to: "/page?x=1" }))
    );
    assert.equal(at, end());
    assert.deepEqual(fields, { client_id: "client/1", post_logout_redirect_uri: `${app.origin}${back}` });
    assert.equal(JSON.parse(Buffer.from(id_token_hint.split(".")[1], "base64url").toString()).sub, "u1");
    assert.match(state, /^[\w-]{43}$/);
    // The session has ended before the provider has heard of it.
    assert.equal(await isIn(session), false);
    const page = await browser.open(app, `${back}?state=${state}`);
    assert.equal(page.status, 200, String(page));
    assert.match(page.text, /Your session on this site has ended/);
    assert.match(page.text, /href="[^"]*page%3Fx%3D1/);
    // It counts once.
    assert.equal((await browser.open(app, `${back}?state=${state}`)).status, 403);
  });
  test("oidcc-client-test-rp-init-logout-invalid-state", async () => {
    const browser = await signedIn();
    const { state } = /** @type {Record<string, string>} */ (location(await signOut(browser)));
    for (const wrong of ["x", "x".repeat(43), state.toLowerCase(), `${state}x`, state.slice(1)]) {
      const answer = await browser.open(app, `${back}?state=${wrong}`);
      assert.equal(answer.status, 403, String(answer));
      assert.match(answer.text, /sign_out_elsewhere/);
    }
    // Of another browser, or of a sign-in, it is none; and a sign-out is no sign-in.
    assert.equal((await new Browser(world).open(app, `${back}?state=${state}`)).status, 403);
    const begun = new URL(await go(browser, "signs_out")).searchParams.get("state");
    assert.equal((await browser.open(app, `${back}?state=${begun}`)).status, 403);
    const asSignIn = await browser.open(app, `/api/sso/callback/signs_out?code=x&state=${state}&iss=${encodeURIComponent(providers.signs_out.issuer)}`);
    assert.equal(asSignIn.status, 410, String(asSignIn));
    assert.equal((await browser.open(app, `${back}?state=${state}`)).status, 200);
  });
  test("oidcc-client-test-rp-init-logout-no-state", async () => {
    const browser = await signedIn();
    await signOut(browser);
    for (const query of ["", "?state=", "?state"]) assert.equal((await browser.open(app, back + query)).status, 403);
    assert.equal((await browser.open(app, "/api/sso/logged-out/nobody?state=x")).status, 404);
    assert.equal((await app.send("POST", back, { kind: NAVIGATION })).status, 405);
  });
  test("a sign-out here never fails because of the provider", async () => {
    // Without the endpoint; with an ID token that is too long.
    const without = await signedIn("no_end", { discovery: { end_session_endpoint: undefined } });
    const session = sessionOf(without);
    assert.match((await signOut(without)).text, /Your session on this site has ended/);
    assert.equal(await isIn(session), false);
    const long = await signedIn("signs_out", { claims: { filler: "x".repeat(5000) } });
    const { id_token_hint, client_id } = /** @type {Record<string, string>} */ (location(await signOut(long)));
    assert.deepEqual([id_token_hint, client_id], [undefined, "client/1"]);
  });
  test("SEC-54: no other site's page begins a sign-out at the provider, and programs get JSON", async () => {
    const browser = await signedIn();
    const cookie = browser.jar(app).header;
    const foreign = await app.send("POST", "/api/sso/logout", {
      cookie,
      kind: NAVIGATION,
      headers: [
        ["Origin", "https://evil.test"],
        ["Sec-Fetch-Site", "cross-site"],
      ],
    });
    assert.equal(foreign.status, 403, String(foreign));
    assert.ok(await isIn(sessionOf(browser)));
    const answer = await app.send("POST", "/api/sso/logout", { cookie, kind: CLIENT });
    assert.deepEqual(answer.json, { ok: true });
    // The tokens are gone with the session: a copy of its cookie brings no ID token to light.
    const copy = await app.form("/api/sso/logout", {}, { cookie });
    assert.ok(!copy.headers.list.join().includes("id_token_hint"));
  });
  test("a site's own address after the sign-out is followed after that of the provider", async () => {
    const away = world.site("AWAY");
    const browser = await signedIn("signs_out", {}, away);
    const { at, state } = /** @type {Record<string, string>} */ (location(await signOut(browser, away)));
    assert.equal(at, end());
    assert.equal((await browser.open(away, `${back}?state=${state}`)).target, "https://portal.example.test/bye");
  });
  /**
   * A person who has entered a site of the gateway with the provider.
   * @param {string} sub
   */
  async function enteredVia(sub, site = world.site("VIA")) {
    const gateway = world.site("GATEWAY");
    const browser = await signedIn("signs_out", { claims: { sub } }, gateway);
    const sent = new URL((await browser.open(site, "/page")).target);
    const entered = new URL((await browser.open(gateway, sent.pathname + sent.search)).target);
    assert.equal((await browser.open(site, entered.pathname + entered.search)).status, 303);
    assert.equal((await browser.open(site, "/page")).status, 200);
    return browser;
  }
  test("from a site of the gateway a sign-out goes on to the provider through the gateway, once, and back to the site", async () => {
    const [gateway, via] = [world.site("GATEWAY"), world.site("VIA")];
    const browser = await enteredVia("via-out");
    const [session, above] = [sessionOf(browser, via), sessionOf(browser, gateway)];
    const hop = new URL((await signOut(browser, via)).target);
    assert.equal(`${hop.origin}${hop.pathname}`, `${gateway.origin}/logout/`);
    assert.deepEqual([...hop.searchParams.keys()], ["code"]);
    // All sessions have ended before.
    assert.equal(await isIn(session, via), false);
    assert.equal((await gateway.navigate("/account/", { cookie: `${SESSION}=${above}` })).status, 303);
    const { at, id_token_hint, state, post_logout_redirect_uri } = /** @type {Record<string, string>} */ (
      location(await browser.open(gateway, hop.pathname + hop.search))
    );
    assert.equal(at, end());
    assert.equal(post_logout_redirect_uri, `${gateway.origin}${back}`);
    assert.equal(JSON.parse(Buffer.from(id_token_hint.split(".")[1], "base64url").toString()).sub, "via-out");
    const page = await browser.open(gateway, `${back}?state=${state}`);
    assert.equal(page.status, 200, String(page));
    assert.ok(page.text.includes(`href="${via.origin}/"`), page.text);
    // The code counts once: after that, it leads nowhere, and there is nobody to be signed out.
    const again = await browser.open(gateway, hop.pathname + hop.search);
    assert.equal(again.status, 200);
    assert.match(again.text, /You are not signed in\./);
  });
  test("SEC-54: no other code signs anybody out at the provider, and the code of a sign-out signs nobody in", async () => {
    const [gateway, via] = [world.site("GATEWAY"), world.site("VIA")];
    const other = await enteredVia("via-other");
    const browser = await enteredVia("via-codes");
    const hop = new URL((await signOut(browser, via)).target);
    const code = hop.searchParams.get("code");
    // What is loaded ahead, or by a page, uses it up no more than a site does.
    for (const kind of [{ "Sec-Purpose": "prefetch" }, { "Sec-Fetch-Mode": "no-cors" }]) {
      const answer = await gateway.send("GET", hop.pathname + hop.search, { headers: Object.entries(kind) });
      assert.notEqual(answer.status, 303, String(answer));
    }
    assert.notEqual((await browser.open(via, `/api/sso/arrive?code=${code}`)).status, 303);
    for (const wrong of ["", "x", `${code}x`]) {
      const answer = await other.open(gateway, `/logout/?code=${wrong}`);
      assert.equal(answer.status, 200, String(answer));
      assert.match(answer.text, /method="post"/);
    }
    // In a browser of somebody else it ends no session here.
    const { at } = /** @type {Record<string, string>} */ (location(await other.open(gateway, hop.pathname + hop.search)));
    assert.equal(at, end());
    assert.equal((await other.open(via, "/page")).status, 200);
    assert.equal((await other.open(gateway, "/account/")).status, 200);
    // The code of a sign-in is none.
    const sent = new URL((await new Browser(world).open(via, "/page")).target);
    const entering = new URL((await other.open(gateway, sent.pathname + sent.search)).target);
    const answer = await other.open(gateway, `/logout/${entering.search}`);
    assert.equal(answer.status, 200, String(answer));
  });
  test("a program that signs out at a site of the gateway is led nowhere", async () => {
    const via = world.site("VIA");
    const browser = await enteredVia("via-program");
    const answer = await via.send("POST", "/api/sso/logout", {
      headers: [
        ["Origin", via.origin],
        ["Cookie", `${SESSION}=${sessionOf(browser, via)}`],
      ],
    });
    assert.deepEqual([answer.status, answer.json], [200, { ok: true }], String(answer));
  });
  test("at the gateway, who has signed in there with that provider is signed out there, and nobody else", async () => {
    const gateway = world.site("GATEWAY");
    const browser = await signedIn("signs_out", { claims: { sub: "at-gateway" } }, gateway);
    const session = sessionOf(browser, gateway);
    const { at, id_token_hint, state, post_logout_redirect_uri } = /** @type {Record<string, string>} */ (
      location(await signOut(browser, gateway, "/logout/"))
    );
    assert.equal(at, end());
    assert.equal(post_logout_redirect_uri, `${gateway.origin}${back}`);
    assert.ok(id_token_hint);
    assert.equal((await gateway.navigate("/account/", { cookie: `${SESSION}=${session}` })).status, 303);
    const page = await browser.open(gateway, `${back}?state=${state}`);
    assert.equal(page.status, 200, String(page));
    assert.match(page.text, /href="\/login\/"/);
    const person = await newPerson(gateway);
    const other = new Browser(world);
    await other.signIn(gateway, person);
    assert.equal((await signOut(other, gateway, "/logout/")).status, 200);
  });
});

describe("attacks", () => {
  test("SEC-53: login CSRF: a response that somebody else began signs nobody in", async () => {
    providers.happy.ways = {};
    const [attacker, victim] = [new Browser(world), new Browser(world)];
    const path = providers.happy.respond(await go(attacker, "happy"));
    await isRefused(await victim.open(app, path), [403, "sign_in_elsewhere"], /another browser/);
    // Nor with a sign-in of their own under way.
    await go(victim, "happy");
    await isRefused(await victim.open(app, path), [410, "sign_in_over"], /expired or used/);
    // The attacker's own response is as good as before: it was of no use to the victim, and it was not used up.
    assert.equal((await attacker.open(app, path)).status, 303);
  });
  test("SEC-42: a link to a stranger's response replaces nobody's session", async () => {
    const mine = await signIn("happy", { claims: { sub: "mine" } });
    const user = async () => (await mine.browser.open(app, "/page")).seen.header("x-forwarded-user");
    const before = await user();
    providers.happy.ways = { claims: { sub: "stranger" } };
    const stranger = new Browser(world);
    const path = providers.happy.respond(await go(stranger, "happy"));
    await isRefused(await mine.browser.open(app, path), [403, "sign_in_elsewhere"], /another browser/);
    assert.ok(before);
    assert.equal(await user(), before);
  });
  test("SEC-58: an address with two @, or whose domain only looks right, is no address of the domain", async () => {
    for (const email of [
      "eve@example.com@evil.example",
      "eve@evil.example@example.com",
      "eve@evilexample.com",
      "eve@example.com.evil.example",
      "eve@sub.example.com",
      "@example.com",
    ]) {
      const { answer } = await signIn("of_domain", { claims: { sub: "eve", email } });
      await isRefused(answer, [403, "account_refused"], /email_domains/);
    }
    isSignedIn((await signIn("of_domain", { claims: { sub: "eve2", email: "eve@EXAMPLE.com" } })).answer);
  });
  test("SEC-62: a response works once, however many send it at once", async () => {
    providers.happy.ways = {};
    const browser = new Browser(world);
    const path = providers.happy.respond(await go(browser, "happy"));
    const cookie = browser.jar(app).header;
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.navigate(path, { cookie })));
    const opened = answers.filter((answer) => answer.cookie(SESSION));
    assert.equal(opened.length, 1);
    for (const answer of answers.filter((answer) => answer !== opened[0])) assert.equal(answer.status, 410, String(answer));
    assert.equal((await app.navigate(path, { cookie })).status, 410);
  });
  test("SEC-62: two tabs both get on, and a fourth takes the place of the first", async () => {
    providers.happy.ways = {};
    const browser = new Browser(world);
    const paths = [];
    for (const place of ["/a", "/b", "/c", "/d"]) paths.push(providers.happy.respond(await go(browser, "happy", place)));
    const kept = browser
      .jar(app)
      .header.split("; ")
      .filter((pair) => pair.startsWith(`${SESSION}-signin-`));
    assert.equal(kept.length, 3);
    assert.equal((await browser.open(app, paths[2])).target, `${app.origin}/c`);
    assert.equal((await browser.open(app, paths[1])).target, `${app.origin}/b`);
    assert.equal((await browser.open(app, paths[0])).status, 410);
    assert.equal((await browser.open(app, paths[3])).target, `${app.origin}/d`);
  });
  test("SEC-61: code injection: the code of another sign-in is refused by PKCE, and its ID token by the nonce", async () => {
    providers.happy.ways = {};
    const [attacker, victim] = [new Browser(world), new Browser(world)];
    const stolen = new URL(providers.happy.respond(await go(victim, "happy")), app.origin).searchParams.get("code") ?? "";
    const mine = providers.happy.respond(await go(attacker, "happy"), { code: stolen });
    await isRefused(await attacker.open(app, mine), FAILED, /token endpoint: status 400, error invalid_grant/);
    // Of a provider that does not look at the verifier.
    providers.bad.ways = { claims: { nonce: "the-nonce-of-the-victim" } };
    const path = providers.bad.respond(await go(attacker, "bad"));
    await isRefused(await attacker.open(app, path), FAILED, /nonce/);
  });
  test("SEC-62: mix-up: a response for one provider is none at another", async () => {
    providers.happy.ways = {};
    const browser = new Browser(world);
    const path = providers.happy.respond(await go(browser, "happy")).replace("/callback/happy", "/callback/bad");
    await isRefused(await browser.open(app, path), [410, "sign_in_over"], /expired or used/);
    assert.equal(
      providers.bad.exchanges.some(({ form }) => form.code && path.includes(form.code)),
      false,
    );
  });
  test("SEC-52: session fixation: each sign-in opens a session of its own", async () => {
    const { answer, browser } = await signIn("happy");
    const before = answer.setCookie(SESSION).value;
    const after = (await signIn("happy", {}, {}, browser)).answer.setCookie(SESSION).value;
    const id = (/** @type {string} */ session) => JSON.parse(Buffer.from(session.split(".")[1], "base64url").toString()).jti;
    assert.notEqual(id(before), id(after));
  });
  test("SEC-20: an address is no identity: neither an unverified nor a verified one takes over an account", async () => {
    const ada = await app.createUser({ email: "taken@example.com", roles: ["editor"] });
    for (const email_verified of [false, undefined, "true", true]) {
      const { answer, browser } = await signIn("happy", { claims: { sub: "attacker", email: ada.email, email_verified } });
      isSignedIn(answer);
      const page = await browser.open(app, "/page");
      assert.notEqual(page.seen.header("x-forwarded-user"), ada.id);
      assert.equal((await browser.open(app, "/editors/a")).status, 403);
    }
    // Where the provider speaks for addresses, only a verified one counts.
    isSignedIn((await signIn("authoritative", { claims: { sub: "x", email: ada.email } })).answer);
    for (const email_verified of [false, undefined, "true"]) {
      const { answer } = await signIn("authoritative", { claims: { sub: "x", email: ada.email, email_verified } });
      await isRefused(answer, [403, "account_refused"], /not verified/);
    }
  });
  test("SEC-20: what userinfo says to be verified is not the address of the ID token", async () => {
    const claims = { sub: "u7", email: "other@example.com", email_verified: undefined };
    const { answer, browser } = await signIn("userinfo", { claims, userinfo: { sub: "u7", email: "mine@example.com", email_verified: true } });
    isSignedIn(answer);
    assert.equal((await browser.open(app, "/page")).seen.header("x-forwarded-email"), undefined);
  });
  test("SEC-48: nobody is led to another host", async () => {
    providers.happy.ways = {};
    for (const place of ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/%5cevil.example", `/${"x".repeat(2100)}`]) {
      const browser = new Browser(world);
      const path = providers.happy.respond(await go(browser, "happy", place));
      assert.equal((await browser.open(app, path)).target, `${app.origin}/`, place);
    }
  });
  test("SEC-62: a cookie that was changed, or made for another site, is none", async () => {
    providers.happy.ways = {};
    const browser = new Browser(world);
    const path = providers.happy.respond(await go(browser, "happy"));
    const [pair] = browser.jar(app).header.split("; ");
    const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
    for (const bad of [value.slice(1), `${value}x`, value.split(".")[0], ""]) {
      assert.notEqual((await app.navigate(path, { cookie: `${name}=${bad}` })).status, 303, bad);
    }
    assert.notEqual((await world.site("ONE").navigate(path, { cookie: pair })).status, 303);
    assert.equal((await browser.open(app, path)).status, 303);
  });
  test("SEC-53: nothing begins or ends by a page that nobody opened, nor by another method", async () => {
    providers.happy.ways = {};
    const browser = new Browser(world);
    const path = providers.happy.respond(await go(browser, "happy"));
    const cookie = browser.jar(app).header;
    for (const headers of [[["Sec-Purpose", "prefetch"]], [["Sec-Fetch-Mode", "no-cors"]]]) {
      assert.equal((await app.navigate(path, { cookie, headers })).status, 503);
      assert.equal((await app.navigate("/api/sso/login/happy", { headers })).status, 503);
    }
    assert.equal((await app.send("POST", path, { cookie, kind: NAVIGATION })).status, 405);
    assert.equal((await browser.open(app, path)).status, 303);
  });
});

describe("what goes wrong", () => {
  test("a person who declines is told so, and may try again", async () => {
    for (const error of ["access_denied", "login_required", "consent_required"]) {
      const { answer } = await signIn("happy", {}, { code: undefined, error, error_description: "<b>x</b>" });
      await isRefused(answer, [403, "sign_in_declined"], /^provider happy: /);
      assert.ok(!answer.text.includes("<b>x"));
    }
    for (const error of ["server_error", "invalid_scope", "<b>"]) {
      const { answer } = await signIn("happy", {}, { code: undefined, error });
      await isRefused(answer, FAILED, /^provider happy: the response has the error (server_error|invalid_scope|unknown)$/);
    }
    await isRefused((await signIn("happy", {}, { code: undefined })).answer, FAILED, /no code/);
    await isRefused((await signIn("happy", {}, { code: "" })).answer, FAILED, /no code/);
  });
  test("a provider that is down is 502, and is asked again once it has had two seconds", async () => {
    providers.gone.isDown = true;
    await isRefused(await new Browser(world).open(app, "/api/sso/login/gone"), FAILED, /provider gone: discovery document: the connection failed/);
    providers.gone.isDown = false;
    await until(async () => (await new Browser(world).open(app, "/api/sso/login/gone")).status === 303);
    isSignedIn((await signIn("gone")).answer);
  });
  test("the keys of a provider can be looked at before anybody signs in", async () => {
    const told = await app.admin("POST", "/api/sso/explain", { issuer: "many_keys" });
    assert.equal(told.status, 200, String(told));
    assert.deepEqual([told.json.issuer, told.json.keys_from, told.json.usable], ["many_keys", "discovery_url", true]);
    providers.gone.isDown = true;
    const failed = await app.admin("POST", "/api/sso/explain", { issuer: "gone" });
    assert.deepEqual([failed.json.usable, failed.json.error], [false, "the connection failed"]);
    providers.gone.isDown = false;
  });
  test("a provider that redirects, or says something else is 502, and the log has why", async () => {
    /** @type {[Ways["instead"], RegExp][]} */
    const ways = [
      [(_, response) => response.writeHead(302, { location: `${server.url}/happy/token` }).end(), /token endpoint: status 302, a redirect/],
      [(_, response) => response.writeHead(200).end("<html>"), /not the expected JSON/],
      [(_, response) => response.writeHead(200).end("{}"), /not the expected JSON/],
      [(_, response) => response.writeHead(200).end('{"id_token":"a","id_token":"b"}'), /not the expected JSON/],
      [(_, response) => response.writeHead(200).end(JSON.stringify({ id_token: "x".repeat(70_000) })), /longer than 64 KB/],
      [(_, response) => response.writeHead(401).end('{"error":"invalid_client"}'), /status 401, error invalid_client/],
      [(_, response) => response.destroy(), /token endpoint: the connection failed/],
      // The last one: the token endpoint is left alone for two seconds then.
      [(_, response) => response.writeHead(500).end("x"), /status 500, error unknown/],
    ];
    for (const [instead, reason] of ways) await isRefused((await signIn("down", { instead })).answer, FAILED, reason);
    await isRefused((await signIn("down")).answer, FAILED, /status 500, error unknown/);
    await until(async () => (await signIn("down")).answer.status === 303);
  });
  test("a provider that does not answer within ten seconds is 502", async () => {
    const started = Date.now();
    const { answer } = await signIn("down", { instead: () => undefined });
    await isRefused(answer, FAILED, /token endpoint: no answer in time/);
    assert.ok(Date.now() - started < 14_000);
  });
  test("at_hash must be that of the access token, where it is", async () => {
    await isRefused((await signIn("bad", { claims: { at_hash: "77QmUPtjPfzWtF2AnpK9RQ" } })).answer, FAILED, /at_hash/);
    const at_hash = createHash("sha256").update("opaque").digest().subarray(0, 16).toString("base64url");
    isSignedIn((await signIn("bad", { claims: { at_hash } })).answer);
  });
  test("with max_age, the person must have signed in there recently", async () => {
    providers.fresh.ways = {};
    assert.equal(new URL(await go(new Browser(world), "fresh")).searchParams.get("max_age"), "60");
    await isRefused((await signIn("fresh")).answer, FAILED, /auth_time/);
    await isRefused((await signIn("fresh", { claims: { auth_time: now() - 100 } })).answer, FAILED, /auth_time/);
    isSignedIn((await signIn("fresh", { claims: { auth_time: now() - 50 } })).answer);
  });
  test("who is not known, disabled, or of another domain may not sign in, and is told so", async () => {
    await isRefused((await signIn("known_only", { claims: { sub: "stranger" } })).answer, [403, "account_refused"], /does not exist/);
    const wrong = { sub: "u9", email: "eve@other.example" };
    await isRefused((await signIn("of_domain", { claims: wrong })).answer, [403, "account_refused"], /email_domains/);
    await isRefused((await signIn("of_domain", { claims: { email_verified: false } })).answer, [403, "account_refused"], /email_domains/);
    isSignedIn((await signIn("of_domain")).answer);
    const { browser } = await signIn("happy", { claims: { sub: "leaver" } });
    const id = (await browser.open(app, "/page")).seen.header("x-forwarded-user");
    assert.equal((await app.admin("PATCH", `/api/sso/users/${id}`, { active: false })).status, 200);
    await isRefused((await signIn("happy", { claims: { sub: "leaver" } })).answer, [403, "user_disabled"], /disabled/);
  });
  test("programs get JSON", async () => {
    const answer = await app.send("GET", "/api/sso/callback/happy?code=x&state=y", { kind: CLIENT });
    assert.deepEqual([answer.status, answer.json.error.code ?? answer.json.code], [403, "sign_in_elsewhere"]);
  });
  test("SEC-63: no token, code or secret is in the log", async () => {
    await world.settled();
    const lines = JSON.stringify(world.logs);
    for (const { form } of Object.values(providers).flatMap(({ exchanges }) => exchanges)) {
      for (const value of [form.code, form.code_verifier]) assert.ok(!lines.includes(value));
    }
    assert.ok(!lines.includes("eyJ") && !lines.includes(SECRET) && !lines.includes("ada@example.com"));
  });
});

describe("where people sign in", () => {
  test("a page that needs a sign-in leads to the list of providers, and back to itself", async () => {
    const browser = new Browser(world);
    const answer = await browser.open(app, "/page?x=1");
    assert.equal(answer.status, 303);
    const { pathname, search } = new URL(answer.target);
    const list = await browser.open(app, pathname + search);
    assert.equal(list.status, 200);
    assert.match(list.text, /Sign in with Happy/);
    assert.ok(!list.text.includes("<form"));
    const href = /href="(\/api\/sso\/login\/happy[^"]*)"/.exec(list.text)?.[1].replaceAll("&#38;", "&") ?? "";
    providers.happy.ways = {};
    const back = await browser.open(app, providers.happy.respond((await browser.open(app, href)).target));
    assert.equal(new URL(back.target).pathname, "/page");
    const onward = await browser.open(app, new URL(back.target).pathname + new URL(back.target).search);
    assert.equal(onward.target, `${app.origin}/page?x=1`);
    assert.equal((await browser.open(app, "/page?x=1")).status, 200);
  });
  test("with a single provider, no page is shown", async () => {
    const one = world.site("ONE");
    const browser = new Browser(world);
    const { pathname, search } = new URL((await browser.open(one, "/page")).target);
    assert.equal(pathname, "/api/sso/login/happy");
    const { target } = await browser.open(one, pathname + search);
    assert.ok(target.startsWith(`${server.url}/happy/authorize?`));
    assert.equal((await browser.open(one, "/api/sso/login?return_to=%2Fa")).target, "/api/sso/login/happy?return_to=%2Fa");
    // A provider that the site does not name is none there, nor is one at a site that uses the gateway.
    for (const path of ["/api/sso/login/basic", "/api/sso/callback/basic"]) assert.equal((await browser.open(one, path)).status, 404);
    for (const path of ["/api/sso/login", "/api/sso/login/happy"]) assert.equal((await browser.open(world.site("VIA"), path)).status, 404);
  });
  test("at the gateway, providers are beside the password, and what they grant holds at its sites", async () => {
    const [gateway, via] = [world.site("GATEWAY"), world.site("VIA")];
    const browser = new Browser(world);
    const { pathname, search } = new URL((await browser.open(via, "/page")).target);
    const page = await browser.open(gateway, pathname + search);
    assert.match(page.text, /type="password"/);
    const href = /href="(\/api\/sso\/login\/happy[^"]*)"/.exec(page.text)?.[1].replaceAll("&#38;", "&") ?? "";
    providers.happy.ways = { claims: { sub: "via-gateway" } };
    const { target } = await browser.open(gateway, href);
    const back = await browser.open(gateway, providers.happy.respond(target));
    assert.equal(back.status, 303, String(back));
    const entered = await browser.open(gateway, new URL(back.target).pathname + new URL(back.target).search);
    const arrive = new URL(entered.target);
    assert.equal(arrive.host, via.host);
    const home = await browser.open(via, arrive.pathname + arrive.search);
    assert.equal(home.status, 303, String(home));
    const seen = (await browser.open(via, "/page")).seen;
    assert.equal(seen.header("x-forwarded-email"), "ada@example.com");
    // Passwords work as before.
    const person = await newPerson(gateway);
    assert.equal((await new Browser(world).signIn(gateway, person)).status, 303);
  });
});

describe("the shapes of providers", () => {
  test("Google: the organisation is that of the claim hd, and not what the address says", async () => {
    isSignedIn((await signIn("google", { claims: { hd: "example.com" } })).answer);
    for (const hd of [undefined, "other.example", ["example.com"]]) {
      await isRefused((await signIn("google", { claims: { hd } })).answer, [403, "account_refused"], /claim:? hd|claim hd/);
    }
  });
  test("Entra: the tenant must be listed, and that of personal accounts never is", async () => {
    const of = (/** @type {string} */ tid) => ({ iss: `${ENTRA}/${tid}/v2.0`, tid, email_verified: undefined });
    const iss = undefined;
    const discovery = { authorization_response_iss_parameter_supported: undefined };
    const listed = "11111111-2222-3333-4444-555555555555";
    isSignedIn((await signIn("entra", { discovery, claims: of(listed) }, { iss })).answer);
    for (const tid of ["9188040d-6c67-4c5b-b112-36a304b66dad", "99999999-2222-3333-4444-555555555555", "{tenantid}"]) {
      await isRefused((await signIn("entra", { discovery, claims: of(tid) }, { iss })).answer, [403, "account_refused"], /another issuer/);
    }
    const claims = { ...of(listed), tid: "9188040d-6c67-4c5b-b112-36a304b66dad" };
    await isRefused((await signIn("entra", { discovery, claims }, { iss })).answer, [403, "account_refused"], /another issuer/);
  });
  test("Keycloak: roles are read from the access token, if that is a JWT for us and of the same person", async () => {
    const accessToken = { aud: "account", typ: "Bearer", azp: "client/1", realm_access: { roles: ["editor", "offline_access"] } };
    const { answer, browser } = await signIn("keycloak", { accessToken });
    isSignedIn(answer);
    assert.equal((await browser.open(app, "/editors/a")).seen.header("x-forwarded-groups"), "editor");
    for (const wrong of [{ azp: "other" }, { sub: "u2" }, { typ: "Refresh" }, { exp: now() - 60 }, { iss: "https://other.example" }]) {
      await isRefused((await signIn("keycloak", { accessToken: { ...accessToken, ...wrong } })).answer, FAILED, /access token: /);
    }
    await isRefused((await signIn("keycloak", {})).answer, FAILED, /access token: /);
  });
  test("Auth0: the slash at the end of the issuer counts", async () => {
    isSignedIn((await signIn("auth0")).answer);
    const claims = { iss: providers.auth0.issuer.slice(0, -1) };
    await isRefused((await signIn("auth0", { claims })).answer, FAILED, /another issuer/);
  });
});
