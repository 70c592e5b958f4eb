// Odd paths: what we judge is what the origin gets, or it is 400.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld();
  app = world.site();
});
after(() => world?.stop());

/** @param {string} target */
const raw = (target, /** @type {{ cookie?: string, method?: string, headers?: string }} */ { cookie, method = "GET", headers = "" } = {}) =>
  exchangeRaw({
    port: app.port,
    text: `${method} ${target} HTTP/1.1\r\nHost: ${app.host}\r\n${cookie ? `Cookie: ${cookie}\r\n` : ""}${headers}Connection: close\r\n\r\n`,
  });

/**
 * The path as a browser's URL parser (the WHATWG URL Standard) has it.
 * @param {string} target
 */
const canonical = (target) => new URL(`http://h${target}`).pathname;

/**
 * The same with all that RFC 3986 section 6 calls equivalent made equal, and empty segments left out.
 * @param {string} target
 */
const normal = (target) =>
  canonical(target)
    .replace(/%[0-9a-f]{2}/gi, (encoded) => {
      const letter = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
      return /[\w.~-]/.test(letter) ? letter : encoded.toUpperCase();
    })
    .replace(/\/{2,}/g, "/");

// Read alike by all servers once they are normalised.
const ARRIVING = [
  "/a/b",
  "/",
  "/a/",
  "//",
  "//a",
  "/a//b",
  "///a",
  "/./a",
  "/a/./b",
  "/a/.",
  "/a/..",
  "/a/../b",
  "/../a",
  "/../../a",
  "/a/b/../../c",
  "/a/.../b",
  "/..a",
  "/a..",
  "/%2e/a",
  "/%2e%2e/a",
  "/a/%2e%2e/b",
  "/a/.%2e/b",
  "/a/%2E./b",
  "/a%20b",
  "/%20",
  "/a%20",
  "/%c3%a9",
  "/%C3%A9",
  "/%f0%9f%98%80",
  "/%25",
  "/a%23b",
  "/a%3fb",
  "/%3f",
  "/a%26b",
  "/a:b@c",
  "/@evil.test",
  "/a,b",
  "/a+b",
  "/a=b",
  "/~a",
  "/a*b",
  "/a'b",
  "/a(b)",
  "/a!b$c",
  "/%41%5a",
  "/a-b_c.d",
];

// Read in different ways by different servers.
const REFUSED = [
  "/a\\b",
  "/a\\..\\b",
  "/..\\a",
  "/\\a",
  "/a;/../b",
  "/%2e%2e%2f%2e%2e%2fa",
  "/a%2fb",
  "/a%2Fb",
  "/%2f",
  "/%2fa",
  "/a/%2f/b",
  "/a%5cb",
  "/a%5Cb",
  "/%5c..%5ca",
  "/a%00b",
  "/%00",
  "/a%0d%0ab",
  "/a%0ab",
  "/a%09b",
  "/a%7fb",
  "/a;x=1/b",
  "/..;/a",
  "/;a",
  "/a;x=%2e%2e/b",
  "/a/..;x/b",
  "/%c0%af",
  "/%c0%ae%c0%ae/a",
  "/%e0%80%af",
  "/%ff",
  "/%252e%252e/a",
  "/%2525",
  "/a%252fb",
  "/%25%32%65",
  "/%zz",
  "/%",
  "/a%",
  "/%2",
  "/%%2e",
  "/%u002e",
];

for (const path of REFUSED) {
  test(`SEC-33: ${path} is 400`, async () => {
    const { cookie } = await session();
    const before = world.origin.requests.length;
    const answer = await raw(path, { cookie });
    assert.equal(answer.status, 400, String(answer));
    assert.equal(world.origin.requests.length, before);
  });
}

for (const path of ARRIVING) {
  test(`SEC-33: ${path} arrives as it was judged`, async () => {
    const { cookie } = await session();
    const answer = await raw(path, { cookie });
    assert.equal(answer.status, 200, String(answer));
    const { path: arrived } = answer.seen;
    assert.equal(canonical(arrived), arrived, "the origin's parser cannot read another path out of it");
    assert.equal(normal(arrived), normal(path), "and it is the one that was asked for");
    const anonymous = await raw(path);
    assert.equal(anonymous.status, 401, String(anonymous));
  });
}

let signedIn;
const session = () => (signedIn ??= app.signIn());

// Forms of our own paths that some server would read as one, and what we make of each.
/** @type {[path: string, status: number][]} */
const DISGUISES = [
  ["/api/sso/users", 401],
  ["/api/sso//users", 401],
  ["/api//sso/users", 401],
  ["//api/sso/users", 401],
  ["/./api/sso/users", 401],
  ["/x/../api/sso/users", 401],
  ["/api/./sso/users", 401],
  ["/api/sso/x/../users", 401],
  ["/api/sso/./users", 401],
  ["/%61pi/sso/users", 401],
  ["/api/%73so/users", 401],
  ["/api%2fsso/users", 400],
  ["/api/sso%2fusers", 400],
  ["/api/sso/%75sers", 401],
  ["/x/%2e%2e/api/sso/users", 401],
  ["/x/..%2fapi/sso/users", 400],
  ["/api\\sso\\users", 400],
  ["/api%5csso/users", 400],
  ["/\\api/sso/users", 400],
  ["/api/sso/users;x", 400],
  ["/api/sso;x/users", 400],
  ["/api;x/sso/users", 400],
  ["/API/SSO/users", 404],
  ["/api/sso/users/", 404],
  ["/api/sso/users%20", 404],
  ["/api/sso/users%00", 400],
  ["/api/sso%00/users", 400],
  ["/api/sso/users%23", 404],
  ["/api/sso/%2e%2e/sso/users", 401],
];

for (const [path, status] of DISGUISES) {
  test(`SEC-33 and SEC-65: ${path} never hands our own path to the origin`, async () => {
    const { cookie } = await session();
    const before = world.origin.requests.length;
    const answer = await raw(path, { cookie });
    assert.equal(answer.status, status, String(answer));
    assert.equal(world.origin.requests.length, before);
  });
}

test("SEC-35: %23 is a byte like any other in path and query, and never cuts the path; escaped twice it is 400", async () => {
  const { cookie } = await session();
  assert.equal((await raw("/a%2523b", { cookie })).status, 400);
  for (const target of ["/a%23b/c", "/%23", "/a%23?x=%23&y=1", "/a?x=%23&y=1"]) {
    const answer = await raw(target, { cookie });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.url, target);
  }
});

test("SEC-35: # in the request target opens nothing, and what is judged is what arrives", async () => {
  for (const target of ["/secret#/api/sso/health", "/secret#?x=/public", "/secret?x#/../public", "/#", "/a%23#b"]) {
    const anonymous = await raw(target);
    assert.equal(anonymous.status, 401, `${target}: ${anonymous}`);
    const { cookie } = await session();
    const answer = await raw(target, { cookie });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.url, target.split("#")[0]);
  }
});

test("SEC-34: a path in the query is no path", async () => {
  const { cookie } = await session();
  for (const target of ["/secret?/api/sso/health", "/secret?x=/../api/sso/health", "/secret?../../x", "/secret??x", "/secret?%2e%2e/"]) {
    assert.equal((await raw(target)).status, 401, target);
    const answer = await raw(target, { cookie });
    assert.equal(answer.seen.url, target);
  }
});

test("a query arrives byte for byte", async () => {
  const { cookie } = await session();
  for (const query of [
    "",
    "a",
    "a=",
    "=",
    "&",
    "&&",
    "a=1&a=2&b",
    "a=%zz&b=%",
    "a=+&b=%2B%20",
    "q=%E2%82%AC&r=%ff",
    "x=a/b?c:d@e!$()*,;",
    "%61=%62",
    "a[]=1&a[b]=2",
    "~-._",
  ]) {
    const answer = await raw(`/p?${query}`, { cookie });
    assert.equal(answer.status, 200, `${query}: ${answer}`);
    assert.equal(answer.seen.url, query === "" ? "/p" : `/p?${query}`);
  }
});

test("an absolute request target and a Host with more than a host in it open nothing", async () => {
  const { cookie } = await session();
  for (const [target, host, anonymous, signedIn] of /** @type {[target: string, host: string, anonymous: number, signedIn: number][]} */ ([
    ["http://app.example.test/x", "evil.test", 404, 404],
    ["http://evil.test/x", "app.example.test", 401, 200],
    ["/x", "app.example.test/api", 401, 200],
    ["/x", "user:pass@app.example.test", 400, 400],
    ["/x", "app.example.test?", 401, 200],
    ["/x", "app.example.test#", 401, 200],
    ["/x", "evil.test@app.example.test", 400, 400],
    ["/x", "app.example.test\\x", 404, 404],
  ])) {
    const answer = await exchangeRaw({ port: app.port, text: `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n` });
    assert.equal(answer?.status, anonymous, `${target} ${host}: ${answer}`);
    const signedInThere = await exchangeRaw({
      port: app.port,
      text: `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
    });
    assert.equal(signedInThere?.status, signedIn, `${target} ${host}: ${signedInThere}`);
    if (signedIn === 200) assert.equal(signedInThere?.seen.header("x-forwarded-host"), "app.example.test");
  }
});
