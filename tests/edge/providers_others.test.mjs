// Providers that speak something else than plain OpenID Connect, in workerd, by recorded shapes: GitHub, Apple, clients that
// authenticate with a key; and signing in once more at a provider.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exportPKCS8, importSPKI, jwtVerify } from "jose";
import { Browser, SESSION } from "./lib/gateway.mjs";
import { LIMITED, startGitHub } from "./lib/github.mjs";
import { newKey } from "./lib/issuer.mjs";
import { providerTable, startProviders } from "./lib/provider.mjs";
import { CLIENT, NAVIGATION, now, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Provider } from "./lib/provider.mjs" */
/** @import { SiteSettings, World } from "./lib/world.mjs" */
/** @import { Site } from "./lib/site.mjs" */

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof startProviders>>} */
let server;
/** @type {Awaited<ReturnType<typeof startGitHub>>} */
let github;
/** @type {Record<string, Provider>} */
const providers = {};
/** @type {Record<string, Awaited<ReturnType<typeof newKey>>>} */
const keys = {};
/** @type {Site} */
let app;
before(async () => {
  server = await startProviders();
  github = await startGitHub();
  for (const name of ["apple", "ec", "rsa", "id"]) providers[name] = await server.add(name);
  for (const [name, alg] of [
    ["apple", "ES256"],
    ["ec", "ES256"],
    ["rsa", "RS256"],
  ])
    keys[name] = await newKey(alg);
  /** @param {string} name */
  const pem = (name) => exportPKCS8(/** @type {CryptoKey} */ (keys[name].privateKey));
  const discovery_url = `${server.url}/apple/.well-known/openid-configuration`;
  providers.apple.issuer = "https://appleid.apple.com";
  const octo = {
    preset: "github",
    client_id: "Iv1.8a61f9b3a7aba766",
    create_users: true,
    discovery_url: `${github.url}/.well-known/openid-configuration`,
    loopback_origin: github.url,
  };
  const apple = JSON.parse(
    JSON.stringify(
      providerTable(server, "apple", {
        preset: "apple",
        issuer: undefined,
        discovery_url,
        team_id: "DEF123GHIJ",
        key_id: "ABC123DEFG",
        client_id: "com.example.web",
      }),
    ),
  );
  /** @type {SiteSettings} */
  const own = { sources: ["session"], unauthenticated: "login", login: "provider", sso_cookie: undefined, query: undefined };
  const rules = [
    { prefix: "/fresh", require: { max_age: 60 } },
    { prefix: "/mfa", require: { amr: "provider:id:mfa" } },
    { prefix: "/", require: { authenticated: true } },
  ];
  world = await startWorld({
    sites: { APP: { ...own, providers: ["octo", "team", "apple", "ec", "rsa", "id"], rules } },
    vars: {
      EDGEWARD_PROVIDER_OCTO: octo,
      EDGEWARD_PROVIDER_OCTO_SECRET: "DEV-ONLY",
      EDGEWARD_PROVIDER_TEAM: { ...octo, organizations: ["github", "octo-org"] },
      EDGEWARD_PROVIDER_TEAM_SECRET: "DEV-ONLY",
      EDGEWARD_PROVIDER_APPLE: apple,
      EDGEWARD_PROVIDER_APPLE_SECRET: await pem("apple"),
      EDGEWARD_PROVIDER_EC: providerTable(server, "ec", { client_auth: "private_key_jwt", key_id: "k-ec" }),
      EDGEWARD_PROVIDER_EC_SECRET: (await pem("ec")).replaceAll("\n", "\\n"),
      EDGEWARD_PROVIDER_RSA: providerTable(server, "rsa", { client_auth: "private_key_jwt" }),
      EDGEWARD_PROVIDER_RSA_SECRET: (await pem("rsa")).replaceAll(/-----[^-]+-----|\n/g, ""),
      EDGEWARD_PROVIDER_ID: providerTable(server, "id"),
      EDGEWARD_PROVIDER_ID_SECRET: "DEV-ONLY",
    },
  });
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  await server?.stop();
  await github?.stop();
});

/**
 * @param {Browser} browser
 * @param {string} name
 */
async function go(browser, name) {
  const answer = await browser.open(app, `/api/sso/login/${name}?return_to=%2Fpage`);
  assert.equal(answer.status, 303, String(answer));
  return { to: answer.target, answer };
}

/** @param {Answer} answer */
function isSignedIn(answer) {
  assert.equal(answer.status, 303, String(answer));
  assert.equal(answer.target, `${app.origin}/page`);
  assert.ok(answer.setCookie(SESSION).value);
}

/**
 * @param {Answer} answer
 * @param {[status: number, code: string]} expected
 * @param {RegExp} reason
 */
async function isRefused(answer, [status, code], reason) {
  assert.equal(answer.status, status, String(answer));
  assert.equal(answer.cookie(SESSION), undefined);
  assert.match(answer.text, new RegExp(code));
  await world.settled();
  assert.match(world.events().at(-1).reason, reason);
}
/** @type {[number, string]} */
const FAILED = [502, "provider_failed"];
/** @type {[number, string]} */
const REFUSED = [403, "account_refused"];

/** @param {Browser} browser */
const me = async (browser) => (await app.send("GET", "/api/sso/me", { kind: CLIENT, cookie: browser.jar(app).header })).json.user;

describe("GitHub", () => {
  /** @param {string} [name] */
  async function signIn(name = "octo") {
    const browser = new Browser(world);
    const { to } = await go(browser, name);
    return { answer: await browser.open(app, github.respond(to)), browser, to };
  }
  before(() => {
    github.memberships = {};
    github.instead = {};
  });

  test("a person signs in by OAuth with PKCE, and is known by the number", async () => {
    const { answer, browser, to } = await signIn();
    isSignedIn(answer);
    const { origin, pathname, searchParams: asked } = new URL(to);
    assert.equal(`${origin}${pathname}`, `${github.url}/login/oauth/authorize`);
    assert.equal(asked.get("scope"), "read:user user:email");
    assert.equal(asked.get("code_challenge_method"), "S256");
    const { client_id, client_secret, redirect_uri } = github.exchange;
    assert.deepEqual([client_id, client_secret, redirect_uri], ["Iv1.8a61f9b3a7aba766", "DEV-ONLY", `${app.origin}/api/sso/callback/octo`]);
    const calls = github.calls.slice(-3);
    assert.deepEqual(
      calls.map(({ path }) => path),
      ["/login/oauth/access_token", "/api/v3/user", "/api/v3/user/emails"],
    );
    assert.equal(calls[0].accept, "application/json");
    assert.ok(calls[1].agent);
    const first = await me(browser);
    const seen = (await browser.open(app, "/page")).seen;
    assert.equal(seen.header("x-forwarded-email"), "octocat@example.com");
    // The login is another one, the number is the same.
    github.user = { ...github.user, login: "renamed" };
    const { browser: again } = await signIn();
    assert.equal((await me(again)).id, first.id);
    assert.match(first.id, /^usr_/);
    // The login is somebody else's now.
    github.user = { ...github.user, login: "octocat", id: 99 };
    github.emails = [];
    assert.notEqual((await me((await signIn()).browser)).id, first.id);
    github.user = { ...github.user, id: 583231 };
  });

  test("SEC-20: an address counts only if it is the primary one and verified", async () => {
    for (const [id, emails] of /** @type {[number, typeof github.emails][]} */ ([
      [1001, [{ email: "ada@example.com", primary: true, verified: false, visibility: null }]],
      [1002, [{ email: "ada@example.com", primary: false, verified: true, visibility: null }]],
      [1003, []],
    ])) {
      github.user = { ...github.user, id };
      github.emails = emails;
      const { answer, browser } = await signIn();
      isSignedIn(answer);
      assert.equal((await browser.open(app, "/page")).seen.header("x-forwarded-email"), undefined, JSON.stringify(emails));
    }
  });

  test("errors with the status 200, a limit, and what is no user sign nobody in", async () => {
    const browser = new Browser(world);
    const { to } = await go(browser, "octo");
    const path = github.respond(to).replace("e72e16c7e42f292c6912", "another");
    await isRefused(await browser.open(app, path), FAILED, /token endpoint: status 200, error bad_verification_code/);
    for (const [path, said, reason] of /** @type {[string, import("./lib/github.mjs").Said, RegExp][]} */ ([
      ["/login/oauth/access_token", { status: 200, body: { error: "incorrect_client_credentials" } }, /error incorrect_client_credentials/],
      ["/login/oauth/access_token", { status: 200, body: { error: "x<script>" } }, /error unknown/],
      ["/login/oauth/access_token", { status: 200, body: { token_type: "bearer" } }, /token endpoint: the answer is not/],
      ["/api/v3/user", LIMITED, /userinfo endpoint: .*403/],
      ["/api/v3/user", { status: 200, body: { login: "octocat" } }, /userinfo endpoint: the answer is not/],
      ["/api/v3/user", { status: 200, body: { login: "octocat", id: "583231" } }, /userinfo endpoint: the answer is not/],
      ["/api/v3/user", { status: 200, body: { login: "octocat", id: 0 } }, /userinfo endpoint: the answer is not/],
      ["/api/v3/user/emails", { status: 404, body: { message: "Not Found" } }, /list of addresses: .*404/],
      ["/api/v3/user/emails", { status: 200, body: {} }, /list of addresses: the answer is not/],
    ])) {
      github.instead = { [path]: said };
      await isRefused((await signIn()).answer, FAILED, reason);
    }
    github.instead = {};
  });

  test("SEC-117: with organizations, only an active member of one of them signs in", async () => {
    for (const memberships of [{}, { github: "pending" }, { other: "active" }]) {
      github.memberships = /** @type {Record<string, string>} */ (memberships);
      await isRefused((await signIn("team")).answer, REFUSED, /organizations/);
    }
    github.memberships = { "octo-org": "active" };
    const { answer, to } = await signIn("team");
    isSignedIn(answer);
    assert.equal(new URL(to).searchParams.get("scope"), "read:user user:email read:org");
    // An organisation that does not let the application ask; and a limit, which says nothing of the person.
    github.instead = { "/api/v3/user/memberships/orgs/github": { status: 403, body: { message: "OAuth App access restrictions" } } };
    isSignedIn((await signIn("team")).answer);
    github.instead = { "/api/v3/user/memberships/orgs/github": LIMITED };
    await isRefused((await signIn("team")).answer, FAILED, /membership: .*403/);
    github.instead = {};
  });

  test("what others send for a logout token is none of GitHub's", async () => {
    const answer = await app.send("POST", "/api/sso/backchannel/octo", {
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "logout_token=a.b.c",
    });
    assert.equal(answer.status, 404);
  });
});

describe("Apple", () => {
  /**
   * What Apple's page does: it sends a form across sites.
   * @param {Browser} browser
   * @param {string} to
   * @param {Record<string, string>} [more]
   */
  async function post(browser, to, more = {}, cookie = browser.jar(app).header) {
    const back = new URL(providers.apple.respond(to), app.origin);
    const fields = Object.fromEntries(back.searchParams);
    const answer = await app.send("POST", back.pathname, {
      kind: NAVIGATION,
      cookie,
      headers: { "content-type": "application/x-www-form-urlencoded", origin: "https://appleid.apple.com", "sec-fetch-site": "cross-site" },
      body: new URLSearchParams({ ...fields, ...more }).toString(),
    });
    browser.jar(app).take(answer);
    return answer;
  }
  const user = JSON.stringify({ name: { firstName: "Ada", lastName: "Lovelace" }, email: "ada@example.com" });

  test("its form signs in; the client's secret is signed for minutes; the name is for a new user only", async () => {
    providers.apple.ways = { claims: { sub: "001234.abc", email_verified: "true" } };
    const browser = new Browser(world);
    const { to, answer: begun } = await go(browser, "apple");
    const asked = new URL(to).searchParams;
    assert.deepEqual([asked.get("response_mode"), asked.get("scope")], ["form_post", "openid name email"]);
    const kept = begun.headers.all("set-cookie");
    assert.match(kept.find((value) => value.includes("-signin-")) ?? "", /SameSite=None.*Secure|Secure.*SameSite=None/);
    const answer = await post(browser, to, { user });
    isSignedIn(answer);
    const { form } = providers.apple.exchanges.at(-1) ?? assert.fail("no exchange");
    assert.equal(form.client_id, "com.example.web");
    const key = await importSPKI(keys.apple.pem, "ES256");
    const { payload, protectedHeader } = await jwtVerify(form.client_secret, key, {
      issuer: "DEF123GHIJ",
      audience: "https://appleid.apple.com",
      subject: "com.example.web",
    });
    assert.equal(protectedHeader.kid, "ABC123DEFG");
    assert.ok((payload.exp ?? 0) - now() <= 600 && payload.iat);
    const users = (await app.admin("GET", "/api/sso/users?email=ada%40example.com")).json;
    const first = await me(browser);
    assert.match(JSON.stringify(first) + JSON.stringify(users), /Ada/);
    // Nobody is renamed by what a browser sends later.
    const again = new Browser(world);
    const name = JSON.stringify({ name: { firstName: "Eve", lastName: "X" } });
    isSignedIn(await post(again, (await go(again, "apple")).to, { user: name }));
    assert.doesNotMatch(JSON.stringify(await me(again)), /Eve/);
  });

  test("SEC-116: login CSRF: a form of somebody else's sign-in signs nobody in", async () => {
    providers.apple.ways = { claims: { sub: "001234.abc" } };
    const attacker = new Browser(world);
    const { to } = await go(attacker, "apple");
    const victim = new Browser(world);
    await isRefused(await post(victim, to), [403, "sign_in_elsewhere"], /another browser/);
    await go(victim, "apple");
    await isRefused(await post(victim, to), [410, "sign_in_over"], /expired or used/);
    // The attacker's own sign-in was not used up, and works once.
    isSignedIn(await post(attacker, to));
    assert.equal((await post(attacker, to)).status, 403);
  });

  test("SEC-116: no other provider takes a form, and no other cookie goes across sites", async () => {
    const browser = new Browser(world);
    const { to, answer } = await go(browser, "id");
    const back = new URL(providers.id.respond(to), app.origin);
    const sent = await app.send("POST", back.pathname, {
      kind: NAVIGATION,
      cookie: browser.jar(app).header,
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: back.searchParams.toString(),
    });
    assert.equal(sent.status, 405);
    const kept = answer.headers.all("set-cookie");
    assert.doesNotMatch(kept.join("\n"), /SameSite=None/);
    assert.equal((await browser.open(app, back.pathname + back.search)).status, 303);
  });

  test("names that are none, and a person who cancels, do no harm", async () => {
    for (const bad of ["", "[]", "{", '{"name":7}', '{"name":{"firstName":["x"]}}', `{"name":{"firstName":"${"x".repeat(5000)}"}}`]) {
      const browser = new Browser(world);
      isSignedIn(await post(browser, (await go(browser, "apple")).to, { user: bad }));
    }
    const browser = new Browser(world);
    const { to } = await go(browser, "apple");
    await isRefused(await post(browser, to, { error: "user_cancelled_authorize" }), [403, "sign_in_declined"], /declined/);
  });
});

describe("private_key_jwt", () => {
  for (const [name, alg] of [
    ["ec", "ES256"],
    ["rsa", "RS256"],
  ]) {
    test(`a client authenticates with a key for ${alg}: for this provider, once, for minutes`, async () => {
      /** @type {Set<unknown>} */
      const ids = new Set();
      for (let n = 0; n < 2; n++) {
        const browser = new Browser(world);
        const { to } = await go(browser, name);
        isSignedIn(await browser.open(app, providers[name].respond(to)));
        const { authorization, form } = providers[name].exchanges.at(-1) ?? assert.fail("no exchange");
        assert.equal(authorization, undefined);
        assert.equal(form.client_secret, undefined);
        assert.equal(form.client_assertion_type, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        const options = { issuer: "client/1", subject: "client/1", audience: `${server.url}/${name}`, maxTokenAge: 60 };
        const { payload, protectedHeader } = await jwtVerify(form.client_assertion, await importSPKI(keys[name].pem, alg), options);
        assert.equal(protectedHeader.kid, name === "ec" ? "k-ec" : undefined);
        assert.ok((payload.exp ?? 0) - (payload.iat ?? 0) <= 300);
        ids.add(payload.jti);
      }
      assert.equal(ids.size, 2);
    });
  }
});

describe("signing in once more at a provider", () => {
  /** @param {Browser} browser @param {string} path @param {Record<string, unknown>} claims */
  async function through(browser, path, claims) {
    providers.id.ways = { claims };
    const sent = await browser.open(app, path);
    assert.equal(sent.status, 303, String(sent));
    const way = new URL(sent.target);
    // With several providers there is a list first, where the rule does not name one.
    const listed = await browser.open(app, way.pathname + way.search);
    const href = listed.text.match(/href="(\/api\/sso\/login\/id\?[^"]*)"/)?.[1].replaceAll("&#38;", "&") ?? assert.fail(String(listed));
    const { target } = await browser.open(app, href);
    assert.equal(new URL(target).searchParams.get("prompt"), "login");
    const back = await browser.open(app, providers.id.respond(target));
    assert.equal(back.status, 303, String(back));
    const to = new URL(back.target);
    return { answer: await browser.open(app, to.pathname + to.search), target };
  }
  async function signedIn() {
    providers.id.ways = {};
    const browser = new Browser(world);
    const { to } = await go(browser, "id");
    isSignedIn(await browser.open(app, providers.id.respond(to)));
    return browser;
  }

  test("a fresh sign-in leads back to the page, and one that asked nobody to a page that says why", async () => {
    const browser = await signedIn();
    const { answer, target } = await through(browser, "/fresh/page?x=1", { auth_time: now() });
    assert.equal(new URL(target).searchParams.get("max_age"), "60");
    assert.equal(answer.target, `${app.origin}/fresh/page?x=1`);
    assert.equal((await browser.open(app, "/fresh/page?x=1")).seen.url, "/fresh/page?x=1");
    const silent = await signedIn();
    const { answer: refused } = await through(silent, "/fresh/page", { auth_time: now() - 3600 });
    assert.equal(refused.status, 401, String(refused));
    assert.match(refused.text, /sign_in_again/);
  });

  test("a method that the provider says satisfies; programs are told by RFC 9470", async () => {
    const browser = await signedIn();
    const cookie = browser.jar(app).header;
    const told = await app.send("GET", "/fresh/x", { kind: CLIENT, cookie });
    assert.equal(told.status, 401);
    assert.match(told.text, /sign_in_again/);
    assert.match(told.headers.get("www-authenticate") ?? "", /error="insufficient_user_authentication".*max_age="60"/);
    const { answer } = await through(browser, "/mfa/x", { amr: ["pwd", "mfa"] });
    assert.equal(answer.target, `${app.origin}/mfa/x`);
    assert.equal((await browser.open(app, "/mfa/x")).seen.url, "/mfa/x");
  });
});
