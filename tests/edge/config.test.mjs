// A wrong configuration answers 500 to everything and says why in the log, all at once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AT_GATEWAY, withGateway } from "./lib/gateway.mjs";
import { NAVIGATION, newPath, newSecret, startWorld, until } from "./lib/world.mjs";

/** @import { World, WorldOptions } from "./lib/world.mjs" */

/** The secret that the label-studio-sso documentation shows. */
const PUBLISHED = "x7KjN9mP2vL5wQ8rT4gH1nY6uB3sC0dE9fA5xZ7kM2p";
const WELL_KNOWN = [PUBLISHED, "your-256-bit-secret-your-256-bit-secret", "your-256-bit-secret", "secretsecretsecretsecretsecretsecret"];

const good = {
  APP: {},
};
/** @param {string} value */
const session = (value) => ({ secrets: { session: { 1: value } } });

// Each alone makes the whole Worker refuse: name → options, and the path that the log must name.
/**
 * @param {Record<string, unknown>} [settings]
 * @returns {WorldOptions}
 */
const gatewayOf = (settings) => withGateway({ sites: { APP: {} } }, settings);

/** @type {Record<string, [options: WorldOptions, path: string]>} */
const FAULTS = {
  "two header names that fold to one": [{ sites: { APP: { custom_headers: { "X-Id": "id", x_id: "email" } } } }, "EDGEWARD_SITE_APP.custom_headers"],
  "our own secret as an upstream credential": [
    { sites: { APP: { upstream_credential: { header: "X-Key", secret: "EDGEWARD_SESSION_SECRET_1" } } } },
    "EDGEWARD_SITE_APP.upstream_credential.secret",
  ],
  "an upstream that only begins like this machine": [{ sites: { APP: { upstream: "http://127.0.0.1.evil.test" } } }, "EDGEWARD_SITE_APP.upstream"],
  "a gateway without hosts": [gatewayOf({ hosts: undefined }), "EDGEWARD_GATEWAY.hosts"],
  "a gateway at the host of a site": [gatewayOf({ hosts: ["app.example.test"] }), "hosts"],
  "an unknown key of the gateway": [gatewayOf({ upstream: "https://origin.example.test" }), "EDGEWARD_GATEWAY.upstream"],
  "a gateway that calls people by something else": [gatewayOf({ identity: "phone" }), "EDGEWARD_GATEWAY.identity"],
  "a logo without TLS": [gatewayOf({ logo: "http://cdn.example.test/logo.png" }), "EDGEWARD_GATEWAY.logo"],
  "a logo that is a page": [gatewayOf({ logo: "data:text/html,<script>1</script>" }), "EDGEWARD_GATEWAY.logo"],
  "an accent that is no colour": [gatewayOf({ accent: "red;}body{display:none" }), "EDGEWARD_GATEWAY.accent"],
  "an accent on which white cannot be read": [gatewayOf({ accent: "#ffff00" }), "EDGEWARD_GATEWAY.accent"],
  "a text that no page has": [gatewayOf({ texts: { welcom: "x" } }), "EDGEWARD_GATEWAY.texts"],
  "a frame ancestor that is everybody": [gatewayOf({ frame_ancestors: ["*"] }), "EDGEWARD_GATEWAY.frame_ancestors"],
  "a service for links that is none": [gatewayOf({ link_service: "Wiki" }), "EDGEWARD_GATEWAY.link_service"],
  "a sender of mail with a name": [gatewayOf({ mail_from: "Wiki <login@example.test>" }), "EDGEWARD_GATEWAY.mail_from"],
  "a sender of mail with another header": [gatewayOf({ mail_from: "login@example.test\r\nBcc: eve@example.net" }), "EDGEWARD_GATEWAY.mail_from"],
  "a gateway that is text": [{ vars: { EDGEWARD_GATEWAY: "x" } }, "EDGEWARD_GATEWAY"],
  "a site that uses a gateway that is not there": [{ sites: { APP: AT_GATEWAY } }, "EDGEWARD_SITE_APP.login"],
  "a gateway without the queue of events": [{ ...gatewayOf(), unbound: ["EDGEWARD_OUTBOX"] }, "EDGEWARD_OUTBOX"],
  "a gateway without what checks passwords": [{ ...gatewayOf(), unbound: ["EDGEWARD_ATTEMPTS"] }, "EDGEWARD_ATTEMPTS"],
  "a gateway without a limit of attempts": [{ ...gatewayOf(), unbound: ["EDGEWARD_SIGN_IN_LIMIT"] }, "EDGEWARD_SIGN_IN_LIMIT"],
  "a gateway without a key secret": [{ ...gatewayOf(), secrets: { key: null } }, "EDGEWARD_KEY_SECRET"],
  "no session secret": [{ secrets: { session: null } }, "EDGEWARD_SESSION_SECRET"],
  "no token secret": [{ secrets: { token: null } }, "EDGEWARD_TOKEN_SECRET"],
  "no key secret": [{ secrets: { key: null }, sites: { APP: { assertion: {} } } }, "EDGEWARD_KEY_SECRET"],
  "an empty secret": [session(""), "EDGEWARD_SESSION_SECRET_1"],
  "a short secret": [session("0123456789abcdefghijklmnopqrstu"), "EDGEWARD_SESSION_SECRET_1"],
  "a secret of few characters": [session("ababababababababababababababababababababababab"), "EDGEWARD_SESSION_SECRET_1"],
  "a published secret": [{ secrets: { token: { 1: PUBLISHED } } }, "EDGEWARD_TOKEN_SECRET_1"],
  "a second secret that is bad": [{ secrets: { session: { 1: newSecret(), 2: "short" } } }, "EDGEWARD_SESSION_SECRET_2"],
  "a secret with a bad number": [{ vars: { EDGEWARD_SESSION_SECRET_X: newSecret() } }, "EDGEWARD_SESSION_SECRET_X"],
  "an unknown name": [{ vars: { EDGEWARD_SESION_SECRET_1: newSecret() } }, "EDGEWARD_SESION_SECRET_1"],
  "no site": [{ sites: {} }, "EDGEWARD_SITE"],
  "a site that is text": [{ vars: { EDGEWARD_SITE_TEXT: "x" } }, "EDGEWARD_SITE_TEXT"],
  "an unknown global key": [{ edgeward: { isuer: "x" } }, "EDGEWARD.isuer"],
  "an unknown site key": [{ sites: { APP: { hots: ["x"] } } }, "EDGEWARD_SITE_APP.hots"],
  "an unknown nested key": [{ sites: { APP: { session: { same_sit: "lax" } } } }, "EDGEWARD_SITE_APP.session.same_sit"],
  "no hosts": [{ sites: { APP: { hosts: undefined } } }, "EDGEWARD_SITE_APP.hosts"],
  "an empty list of hosts": [{ sites: { APP: { hosts: [] } } }, "EDGEWARD_SITE_APP.hosts"],
  "a host with a path that servers read differently": [{ sites: { APP: { hosts: ["app.example.test/x/../y"] } } }, "EDGEWARD_SITE_APP.hosts"],
  "a host of two sites": [{ sites: { APP: {}, SAME: { hosts: ["APP.example.test."] } } }, "hosts"],
  "one audience of two sites": [{ sites: { APP: { audience: "same" }, TWO: { audience: "same" } } }, "audience"],
  "a login_url on the site itself": [
    { sites: { APP: { unauthenticated: "login", login_url: "https://app.example.test/login" } } },
    "EDGEWARD_SITE_APP.login_url",
  ],
  "a header name that a preset has": [{ sites: { APP: { custom_headers: { "Remote-User": "id" } } } }, "EDGEWARD_SITE_APP.custom_headers"],
  "methods of a gateway at a site without one": [{ sites: { APP: { amr: ["password"] } } }, "EDGEWARD_SITE_APP.amr"],
  "an issuer that leaves no room in a cookie": [{ edgeward: { issuer: "i".repeat(2500) } }, "EDGEWARD.issuer"],
  "no upstream": [{ sites: { APP: { upstream: undefined } } }, "EDGEWARD_SITE_APP.upstream"],
  "an upstream without TLS": [{ sites: { APP: { upstream: "http://origin.example.test" } } }, "EDGEWARD_SITE_APP.upstream"],
  "an upstream with a query": [{ sites: { APP: { upstream: "https://origin.example.test/app?x" } } }, "EDGEWARD_SITE_APP.upstream"],
  "an upstream with a password": [{ sites: { APP: { upstream: "https://u:p@origin.example.test" } } }, "EDGEWARD_SITE_APP.upstream"],
  "no sources": [{ sites: { APP: { sources: undefined } } }, "EDGEWARD_SITE_APP.sources"],
  "an unknown source": [{ sites: { APP: { sources: ["session", "basic"] } } }, "EDGEWARD_SITE_APP.sources"],
  "a source twice": [{ sites: { APP: { sources: ["session", "session"] } } }, "EDGEWARD_SITE_APP.sources"],
  "no word on the unauthenticated": [{ sites: { APP: { unauthenticated: undefined } } }, "EDGEWARD_SITE_APP.unauthenticated"],
  "an unknown word on the unauthenticated": [{ sites: { APP: { unauthenticated: "allow" } } }, "EDGEWARD_SITE_APP.unauthenticated"],
  "login without login_url": [{ sites: { APP: { unauthenticated: "login" } } }, "EDGEWARD_SITE_APP.login_url"],
  "a login_url without TLS": [{ sites: { APP: { unauthenticated: "login", login_url: "http://portal.example.test/" } } }, "EDGEWARD_SITE_APP.login_url"],
  "a login_url that is a script": [{ sites: { APP: { unauthenticated: "login", login_url: "javascript:alert(1)" } } }, "EDGEWARD_SITE_APP.login_url"],
  "sso_cookie as a source without its settings": [{ sites: { APP: { sso_cookie: undefined } } }, "EDGEWARD_SITE_APP.sso_cookie"],
  "query as a source without its settings": [{ sites: { APP: { query: undefined } } }, "EDGEWARD_SITE_APP.query"],
  "a reserved header that a request needs": [{ sites: { APP: { reserved_headers: ["X-Vault-*", "Cookie"] } } }, "EDGEWARD_SITE_APP.reserved_headers"],
  "a reserved beginning that takes everything": [{ sites: { APP: { reserved_headers: ["*"] } } }, "EDGEWARD_SITE_APP.reserved_headers"],
  "a reserved beginning of what a request needs": [{ sites: { APP: { reserved_headers: ["content-*"] } } }, "EDGEWARD_SITE_APP.reserved_headers"],
  "query as the only source": [{ sites: { APP: { sources: ["query"] } } }, "EDGEWARD_SITE_APP.sources"],
  "query beside others and without session": [{ sites: { APP: { sources: ["bearer", "query", "sso_cookie"] } } }, "EDGEWARD_SITE_APP.sources"],
  "query without single_use": [{ sites: { APP: { query: { user_switch: "confirm" } } } }, "EDGEWARD_SITE_APP.query.single_use"],
  "query without user_switch": [{ sites: { APP: { query: { single_use: true } } } }, "EDGEWARD_SITE_APP.query.user_switch"],
  "a link that works for long": [{ sites: { APP: { query: { single_use: true, user_switch: "confirm", max_age: 301 } } } }, "EDGEWARD_SITE_APP.query.max_age"],
  "a session cookie without the prefix": [{ sites: { APP: { session: { cookie: "edgeward" } } } }, "EDGEWARD_SITE_APP.session.cookie"],
  "a session cookie with an odd name": [{ sites: { APP: { session: { cookie: "__Host-a b" } } } }, "EDGEWARD_SITE_APP.session.cookie"],
  "partitioned without SameSite=None": [{ sites: { APP: { session: { partitioned: true } } } }, "EDGEWARD_SITE_APP.session.partitioned"],
  "an idle lifetime beyond the absolute one": [{ sites: { APP: { session: { idle: 1000, absolute: 900 } } } }, "EDGEWARD_SITE_APP.session.idle"],
  "an absolute lifetime beyond 30 days": [{ sites: { APP: { session: { absolute: 2_592_001 } } } }, "EDGEWARD_SITE_APP.session.absolute"],
  "an SSO token of more than 15 minutes": [{ sites: { APP: { sso_token: { lifetime: 901 } } } }, "EDGEWARD_SITE_APP.sso_token.lifetime"],
  "an unknown algorithm": [{ sites: { APP: { sso_token: { algorithm: "none" } } } }, "EDGEWARD_SITE_APP.sso_token.algorithm"],
  "an unknown preset": [{ sites: { APP: { identity_headers: ["x-auth"] } } }, "EDGEWARD_SITE_APP.identity_headers"],
  "an unknown field of a user": [{ sites: { APP: { custom_headers: { "X-P": "password" } } } }, "EDGEWARD_SITE_APP.custom_headers"],
  "a header name that is none": [{ sites: { APP: { custom_headers: { "X P": "id" } } } }, "EDGEWARD_SITE_APP.custom_headers"],
  "an assertion for long": [{ sites: { APP: { assertion: { lifetime: 901 } } } }, "EDGEWARD_SITE_APP.assertion.lifetime"],
  "an upstream credential whose secret is not there": [
    { sites: { APP: { upstream_credential: { header: "Authorization", secret: "NOT_THERE" } } } },
    "EDGEWARD_SITE_APP.upstream_credential.secret",
  ],
  "a text for a boolean": [{ sites: { APP: { close_websockets: "no" } } }, "EDGEWARD_SITE_APP.close_websockets"],
  "a trusted origin with a path": [{ sites: { APP: { trusted_origins: ["https://portal.example.test/x"] } } }, "EDGEWARD_SITE_APP.trusted_origins"],
  "a trusted origin that is a pattern": [{ sites: { APP: { trusted_origins: ["https://*.example.test"] } } }, "EDGEWARD_SITE_APP.trusted_origins"],
  "Strict-Transport-Security beside plain http": [{ sites: { APP: { http: "serve", hsts: "max-age=1" } } }, "EDGEWARD_SITE_APP.hsts"],
  "a gateway with an unknown word for http": [gatewayOf({ http: "yes" }), "EDGEWARD_GATEWAY.http"],
  "everybody as a frame ancestor": [{ sites: { APP: { frame_ancestors: ["*"] } } }, "EDGEWARD_SITE_APP.frame_ancestors"],
  "a user cache of more than a minute": [{ edgeward: { user_cache: 61 } }, "EDGEWARD.user_cache"],
  "a number as text": [{ edgeward: { user_cache: "30" } }, "EDGEWARD.user_cache"],
};

/** @param {string} name */
const slug = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-");

/** @type {World} */
let world;
before(async () => {
  /** @type {Record<string, WorldOptions>} */
  const variants = Object.fromEntries(Object.entries(FAULTS).map(([name, [options]]) => [slug(name), options]));
  for (const [i, secret] of WELL_KNOWN.entries()) variants[`well-known-${i}`] = { secrets: { token: { 1: secret } } };
  world = await startWorld({ sites: good, variants });
});
after(() => world?.stop());

/**
 * Asks one of the Workers, and gives the answer and what it logged meanwhile.
 * @param {string} variant
 */
async function ask(variant, path = newPath(), options = {}) {
  const from = world.events("misconfigured").length;
  const answer = await world.site("APP", variant).client(path, options);
  return { answer, logged: () => world.events("misconfigured").slice(from) };
}

for (const [name, [, path]] of Object.entries(FAULTS)) {
  test(`${name} is a configuration error that the log names as ${path}`, async () => {
    const target = newPath();
    const { answer, logged } = await ask(slug(name), target);
    assert.equal(answer.status, 500, String(answer));
    assert.equal(answer.json.code, "misconfigured");
    assert.deepEqual(world.origin.about(target), []);
    /** @param {{ path: string }} error */
    const names = (error) => error.path.startsWith(path) || error.path.endsWith(path);
    const named = await until(() => {
      const found = logged()
        .flatMap(({ errors }) => errors)
        .filter(names);
      return found.length > 0 && found;
    });
    assert.ok(named.every(({ error }) => typeof error === "string" && error.length > 3));
  });
}

test("SEC-14: a secret from published examples is refused", async () => {
  for (const [i] of WELL_KNOWN.entries()) assert.equal((await ask(`well-known-${i}`)).answer.status, 500, WELL_KNOWN[i]);
});

test("a misconfigured Worker answers 500 to everything: paths of the site, our endpoints, other hosts, browsers", async () => {
  const site = world.site("APP", slug("an unknown site key"));
  const token = await world.adminToken();
  for (const path of ["/", "/api/sso/health", "/api/sso/me", "/.well-known/jwks.json", "/api/sso/nothing"]) {
    const answer = await site.client(path);
    assert.equal(answer.status, 500, `${path}: ${answer}`);
    assert.equal(answer.json.code, "misconfigured");
    assert.equal(answer.headers.get("cache-control"), "no-store");
  }
  assert.equal((await site.client("/", { host: "other.test" })).status, 500);
  assert.equal((await site.admin("GET", "/api/sso/users", undefined, { token })).status, 500);
  assert.equal((await site.issueAnswer({ email: "a@example.test" }, { token })).status, 500);
  const page = await site.navigate("/");
  assert.equal(page.status, 500);
  assert.equal(page.type, "text/html");
  const socket = await site.webSocket("/ws", { headers: { Origin: site.origin } });
  assert.equal(socket.status, 500);
});

test("the reason is in the log and not in the answer", async () => {
  for (const name of ["an unknown site key", "a published secret", "an upstream without TLS"]) {
    for (const kind of [NAVIGATION, []]) {
      const { answer } = await ask(slug(name), "/", { kind });
      assert.doesNotMatch(answer.text, /hots|EDGEWARD_|upstream|origin\.example/, String(answer));
      assert.ok(!answer.text.includes(PUBLISHED));
    }
  }
  assert.ok(!world.logs.some(({ message }) => message.includes(PUBLISHED)), "and the secret is in neither");
});

test("the log has one line with all errors and their paths, however many requests come", async () => {
  const world = await startWorld({
    broken: true,
    edgeward: { user_cache: 0, unknown: 1 },
    secrets: { session: { 1: "short" }, token: null },
    sites: { APP: { unauthenticated: undefined, upstream: "ftp://x", session: { cookie: "x", idle: -1 } }, TWO: { hosts: [] } },
  });
  try {
    const site = world.site("APP");
    for (let i = 0; i < 5; i++) assert.equal((await site.client("/")).status, 500);
    await world.settled();
    const lines = world.events("misconfigured");
    assert.equal(lines.length, 1);
    const paths = lines[0].errors.map((/** @type {{ path: string }} */ { path }) => path);
    for (const path of [
      "EDGEWARD.user_cache",
      "EDGEWARD.unknown",
      "EDGEWARD_SESSION_SECRET_1",
      "EDGEWARD_TOKEN_SECRET",
      "EDGEWARD_SITE_APP.unauthenticated",
      "EDGEWARD_SITE_APP.upstream",
      "EDGEWARD_SITE_APP.session.cookie",
      "EDGEWARD_SITE_APP.session.idle",
      "EDGEWARD_SITE_TWO.hosts",
    ]) {
      assert.ok(
        paths.some((/** @type {string} */ found) => found.startsWith(path)),
        `${path} is not in ${paths}`,
      );
    }
  } finally {
    await world.stop();
  }
});

test("settings: the issuer, and an upstream without TLS where the site says that it is meant", async () => {
  const world = await startWorld({
    edgeward: { issuer: "label-studio", log: "all" },
    sites: { APP: { upstream_plaintext: true, audience: "label-studio-sso", sso_token: { lifetime: 60, max_lifetime: 120 } } },
  });
  try {
    const site = world.site("APP");
    const { claimsOf } = await import("./lib/tokens.mjs");
    const user = await site.createUser();
    const token = await site.issue(user.email);
    const { iss, aud, iat, exp } = claimsOf(token);
    assert.deepEqual({ iss, aud, lifetime: exp - iat }, { iss: "label-studio", aud: "label-studio-sso", lifetime: 60 });
    assert.equal((await site.client("/", { bearer: token })).status, 200);
    assert.equal((await site.client("/", { bearer: token.replace(/^./, "x") })).status, 401);
  } finally {
    await world.stop();
  }
});

test("SEC-68 and SEC-69: the template for deployers leaves no way around the route: no workers.dev, no preview URLs", async () => {
  const { readFileSync } = await import("node:fs");
  const template = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8");
  const top = template.split(/^\[/m)[0];
  assert.match(top, /^workers_dev\s*=\s*false$/m);
  assert.match(top, /^preview_urls\s*=\s*false$/m);
  for (const [, value] of template.matchAll(/^(?:workers_dev|preview_urls)\s*=\s*(\w+)/gm)) assert.equal(value, "false");
});
