// Our own endpoints for visitors: who am I, logout, health; and which hosts we answer for.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cookieAttributes, formOf, exchangeRaw } from "./lib/http.mjs";
import { expiredSsoToken, ssoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { NAVIGATION, newPath, now, startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const SESSION = "__Host-edgeward";
const ME = "/api/sso/me";
const LOGOUT = "/api/sso/logout";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let out;
before(async () => {
  world = await startWorld({
    isolates: 2,
    sites: {
      APP: {},
      OUT: { logout_url: "https://portal.example.test/bye?x=1", trusted_origins: ["https://portal.example.test"] },
      PORT: { hosts: ["port.example.test:8443", "second.example.test"] },
      IDN: { hosts: ["xn--bcher-kva.example.test"] },
    },
  });
  app = world.site("APP");
  out = world.site("OUT");
});
after(() => world?.stop());

test("who am I: the user, where the credential came from and when it ends", async () => {
  const user = await app.createUser({ first_name: "Ada", last_name: "L", username: "ada", roles: ["r1", "r2"], staff: true });
  const token = await app.issue(user.email);
  const { cookie } = await app.signIn(user);
  const cases = { session: { cookie }, sso_cookie: { cookie: `${SSO}=${token}` }, bearer: { bearer: token } };
  for (const [source, options] of Object.entries(cases)) {
    const answer = await app.client(ME, options);
    assert.equal(answer.status, 200, String(answer));
    const { user: shown, source: from, expires_at, ...rest } = answer.json;
    assert.deepEqual(rest, {});
    assert.equal(from, source);
    assert.deepEqual(shown, {
      id: user.id,
      email: user.email,
      username: "ada",
      first_name: "Ada",
      last_name: "L",
      roles: ["r1", "r2"],
      staff: true,
      superuser: false,
    });
    assert.ok(expires_at > now() && expires_at <= now() + 43_200, String(expires_at));
    assert.equal(answer.headers.get("cache-control"), "no-store");
  }
  const query = await app.client(`${ME}?token=${await app.issue(user.email)}`);
  assert.equal(query.json.source, "query", String(query));
});

test("who am I is 401 for those who are not signed in, and a page for a browser", async () => {
  const user = await app.createUser();
  for (const options of [
    {},
    { kind: NAVIGATION },
    { cookie: `${SSO}=${expiredSsoToken(app, user)}` },
    { bearer: tampered(ssoToken(app, user)) },
    { cookie: `${SESSION}=x` },
  ]) {
    const answer = await app.client(ME, options);
    assert.equal(answer.status, 401, String(answer));
    assert.equal(answer.type, options.kind === undefined ? "application/json" : "text/html");
    assert.match(answer.headers.need("www-authenticate"), /^Bearer realm="edgeward"/);
  }
});

test("logout by POST ends the session: the cookie is cleared with its attributes, and worthless from then on", async () => {
  const { cookie } = await app.signIn();
  assert.equal((await app.client("/", { cookie })).status, 200);
  const answer = await app.form(LOGOUT, {}, { cookie });
  assert.equal(answer.status, 200, String(answer));
  assert.ok(answer.cookie(SESSION)?.cleared);
  assert.deepEqual(cookieAttributes(answer.setCookie(SESSION)), { path: "/", secure: true, httponly: true, samesite: "lax" });
  assert.equal(answer.headers.get("cache-control"), "no-store");
  const replayed = await app.client("/", { cookie });
  assert.equal(replayed.status, 401, `a copy of the cookie: ${replayed}`);
});

test("logout ends this session and no other one of the same user", async () => {
  const one = await app.signIn();
  const two = await app.signIn(one.user);
  await app.form(LOGOUT, {}, { cookie: one.cookie });
  assert.equal((await app.client("/", { cookie: two.cookie })).status, 200);
});

test("logout sends a browser to logout_url, or shows that it is signed out", async () => {
  const there = await out.signIn();
  const sent = await out.form(LOGOUT, {}, { cookie: there.cookie });
  assert.equal(sent.status, 303, String(sent));
  assert.equal(sent.location, "https://portal.example.test/bye?x=1");
  const here = await app.signIn();
  const page = await app.form(LOGOUT, {}, { cookie: here.cookie });
  assert.equal(page.status, 200, String(page));
  assert.match(page.text, /signed out/i);
});

test("logout answers a program with JSON", async () => {
  const { cookie } = await app.signIn();
  const answer = await app.send("POST", LOGOUT, { cookie, headers: { Origin: app.origin } });
  assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(answer.json, { ok: true });
  assert.ok(answer.cookie(SESSION)?.cleared);
});

test("logout clears a leftover SSO cookie too, so that the next page does not sign in again", async () => {
  const { user, cookie } = await app.signIn();
  const answer = await app.form(LOGOUT, {}, { cookie: `${cookie}; ${SSO}=${await app.issue(user.email)}` });
  assert.ok(answer.cookie(SSO)?.cleared, String(answer));
});

test("SEC-81: every session that was presented ends with the sign-out, and both forms of the cookie are cleared", async () => {
  const other = world.site("APP", "edge-2");
  for (const same of [true, false]) {
    const one = await app.signIn();
    const two = await app.signIn(same ? one.user : undefined);
    const kept = await app.signIn(one.user);
    for (const pairs of [
      [one.cookie, two.cookie],
      [two.cookie, one.cookie],
    ]) {
      const answer = await app.form(LOGOUT, {}, { cookie: pairs.join("; ") });
      assert.equal(answer.status, 200, String(answer));
      const cleared = answer.cookies.filter(({ name }) => name === SESSION);
      assert.ok(cleared.every((cookie) => cookie.cleared));
      assert.deepEqual(cleared.map(cookieAttributes), [
        { path: "/", secure: true, httponly: true, samesite: "lax" },
        { path: "/", secure: true, httponly: true, samesite: "none", partitioned: true },
      ]);
      for (const { cookie } of [one, two]) {
        assert.equal((await app.client("/", { cookie })).status, 401);
        assert.equal((await other.client("/", { cookie })).status, 401, "an isolate that had not seen it");
      }
    }
    assert.equal((await app.client("/", { cookie: kept.cookie })).status, 200);
  }
});

test("SEC-54: GET shows a page with a form that logs out, and ends nothing itself", async () => {
  const { cookie } = await app.signIn();
  for (const headers of [{}, { "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site" }]) {
    const page = await app.navigate(LOGOUT, { cookie, headers });
    assert.equal(page.status, 200, String(page));
    assert.deepEqual(page.cookies, []);
    const form = formOf(page);
    assert.equal(form.method, "post");
    assert.equal(new URL(form.action, app.origin + LOGOUT).pathname, LOGOUT);
    assert.match(page.headers.need("content-security-policy"), /frame-ancestors 'none'/);
  }
  assert.equal((await app.client("/", { cookie })).status, 200, "still signed in");
  const done = await app.form(LOGOUT, formOf(await app.navigate(LOGOUT, { cookie })).fields, { cookie });
  assert.ok(done.cookie(SESSION)?.cleared);
});

test("SEC-54: no other site can log someone out, unless it is a trusted origin", async () => {
  const { cookie } = await app.signIn();
  const foreign = [
    { Origin: "https://evil.test", "Sec-Fetch-Site": "cross-site" },
    { Origin: "null", "Sec-Fetch-Site": "cross-site" },
    { Origin: "https://evil.test" },
    { Origin: "http://out.example.test", "Sec-Fetch-Site": "same-site" },
    { "Sec-Fetch-Site": "cross-site" },
    { Origin: "https://portal.example.test", "Sec-Fetch-Site": "cross-site" },
  ];
  for (const headers of foreign) {
    const answer = await app.send("POST", LOGOUT, { kind: NAVIGATION.filter(([name]) => name !== "Sec-Fetch-Site"), cookie, headers, body: "" });
    assert.equal(answer.status, 403, `${JSON.stringify(headers)}: ${answer}`);
    assert.deepEqual(answer.cookies, []);
  }
  assert.equal((await app.client("/", { cookie })).status, 200, "still signed in");
  const there = await out.signIn();
  const trusted = await out.form(LOGOUT, {}, { cookie: there.cookie, headers: { Origin: "https://portal.example.test", "Sec-Fetch-Site": "same-site" } });
  assert.equal(trusted.status, 303, String(trusted));
});

test("SEC-22: logout by a forged session ends no one's session", async () => {
  const { cookie } = await app.signIn();
  await app.form(LOGOUT, {}, { cookie: `${SESSION}=${tampered(cookieValue(cookie))}` });
  assert.equal((await app.client("/", { cookie })).status, 200);
});

test("health is 200 for machines, without a credential and without asking the origin", async () => {
  const before = world.origin.requests.length;
  const answer = await app.client("/api/sso/health");
  assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(answer.json, { status: "ok" });
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.equal(world.origin.requests.length, before);
});

test("SEC-36: the host is compared without case, trailing dot and default port", async () => {
  const { cookie, user } = await app.signIn();
  for (const host of ["APP.Example.TEST", "app.example.test.", "app.example.test:80", "App.Example.Test.:80"]) {
    const answer = await app.client("/", { cookie, host });
    assert.equal(answer.status, 200, `${host}: ${answer}`);
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
  }
  const idn = await world.site("IDN").client("/", { host: "XN--BCHER-KVA.example.test" });
  assert.equal(idn.status, 401, String(idn));
});

test("SEC-36: over https the default port is 443, and x-forwarded-proto says https", async () => {
  const { cookie, user } = await app.signIn();
  for (const host of ["app.example.test", "app.example.test:443"]) {
    const answer = await exchangeRaw({
      port: world.entryPort,
      text: `GET / HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-Proto: https\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
    });
    assert.equal(answer.status, 200, `${host}: ${answer}`);
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    assert.equal(answer.seen.header("x-forwarded-proto"), "https");
    assert.equal(answer.seen.header("x-forwarded-host"), "app.example.test");
  }
});

test("SEC-36 and SEC-69: a host that is no site's is 404 for every path, and reaches no origin", async () => {
  const { cookie } = await app.signIn();
  const hosts = [
    "other.test",
    "example.test",
    "app.example.test.evil.test",
    "evilapp.example.test",
    "app.example.test:8443",
    "port.example.test",
    "edgeward.account.workers.dev",
    "127.0.0.1",
    "app.example.test..",
    "app..example.test",
  ];
  for (const host of hosts) {
    for (const path of [newPath(), "/api/sso/token", "/api/sso/users", "/api/sso/health", "/.well-known/jwks.json"]) {
      const answer = await app.client(path, { cookie, host, headers: { "X-Forwarded-Host": "app.example.test" } });
      assert.equal(answer.status, 404, `${host}${path}: ${answer}`);
      assert.deepEqual(world.origin.about(path), []);
    }
  }
});

test("SEC-36: a site can have several hosts, with a port or without", async () => {
  for (const host of ["port.example.test:8443", "second.example.test"]) assert.equal((await app.client("/", { host })).status, 401, host);
  for (const host of ["port.example.test:8444", "second.example.test:8443"]) assert.equal((await app.client("/", { host })).status, 404, host);
});

test("SEC-19: an SSO token of one site is none at another", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  for (const options of [{ bearer: token }, { cookie: `${SSO}=${token}` }]) assert.equal((await out.client("/", options)).status, 401);
  assert.equal((await out.client(`/?token=${token}`)).status, 401);
  const { cookie } = await app.signIn(user);
  assert.equal((await out.client("/", { cookie })).status, 401, "nor is a session");
});

test("a trusted origin may send what changes something, with cookies; no other may", async () => {
  const { cookie } = await out.signIn();
  const path = newPath();
  /** @param {string} Origin */
  const send = (Origin) => out.send("POST", path, { cookie, body: "x", headers: { Origin, "Sec-Fetch-Site": "cross-site" } });
  assert.equal((await send("https://portal.example.test")).status, 200);
  for (const origin of [
    "https://portal.example.test.evil.test",
    "http://portal.example.test",
    "https://portal.example.test:444",
    "https://xportal.example.test",
  ]) {
    const answer = await send(origin);
    assert.equal(answer.status, 403, origin);
    assert.equal(answer.json.code, "cross_origin");
  }
  assert.equal(world.origin.about(path).length, 1);
});
