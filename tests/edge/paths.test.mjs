// Odd paths: the origin gets the bytes that came, and only if every way to read them is judged alike.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

// Public, for one role, and for everybody who is signed in.
const RULES = [
  { prefix: "/static", public: true },
  { prefix: "/admin", require: { role: "admin" } },
  { prefix: "/", require: { authenticated: true } },
];

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld({ sites: { APP: {}, STRICT: { paths: "strict" }, RULED: { rules: RULES } } });
  app = world.site("APP");
});
after(() => world?.stop());

/** @param {string} target */
const raw = (
  target,
  /** @type {{ cookie?: string, method?: string, headers?: string, host?: string }} */ { cookie, method = "GET", headers = "", host = app.host } = {},
) =>
  exchangeRaw({
    port: app.port,
    text: `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${cookie ? `Cookie: ${cookie}\r\n` : ""}${headers}Connection: close\r\n\r\n`,
  });

/**
 * The path as a URL parser (the WHATWG URL Standard) has it, as that of the runtime that sends it.
 * @param {string} target
 */
const parsed = (target) => new URL(`http://h${target}`).pathname;

// They arrive byte for byte.
const ARRIVING = [
  "/a/b",
  "/",
  "/a/",
  "//",
  "//a",
  "/a//b",
  "///a",
  "/a/.../b",
  "/..a",
  "/a..",
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
  "/a[b]|c",
  "/%41%5a",
  "/a-b_c.d",
  "/%2e%2e%2f%2e%2e%2fa",
  "/a%2fb",
  "/a%2Fb",
  "/%2f",
  "/%2fa",
  "/a/%2f/b",
  "/a%5cb",
  "/a%5Cb",
  "/%5c..%5ca",
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
];

// A URL parser changes these, and so does the runtime with all that it sends.
/** @type {[target: string, arrives: string][]} */
const RESOLVED = [
  ["/./a", "/a"],
  ["/a/./b", "/a/b"],
  ["/a/.", "/a/"],
  ["/a/..", "/"],
  ["/a/../b", "/b"],
  ["/../a", "/a"],
  ["/../../a", "/a"],
  ["/a/b/../../c", "/c"],
  ["/a//../b", "/a/b"],
  ["/.//a", "//a"],
  ["/%2e/a", "/a"],
  ["/%2e%2e/a", "/a"],
  ["/a/%2e%2e/b", "/b"],
  ["/a/.%2e/b", "/b"],
  ["/a/%2E./b", "/b"],
  ['/{a}^"', "/%7Ba%7D%5E%22"],
  // Not as a slash, which a URL parser would make of it.
  ["/a\\b", "/a%5Cb"],
  ["/a\\..\\b", "/a%5C..%5Cb"],
  ["/..\\a", "/..%5Ca"],
  ["/\\a", "/%5Ca"],
];

// Refused whatever the rules are.
const REFUSED = ["/a%00b", "/%00", "/a%0d%0ab", "/a%0ab", "/a%09b", "/a%7fb", "/a%250ab", "/a%c0%80", "/%zz", "/%", "/a%", "/%2", "/%%2e", "/%u002e"];

for (const path of REFUSED) {
  test(`SEC-33: ${path} is 400`, async () => {
    const { cookie } = await session();
    const before = world.origin.requests.length;
    const answer = await raw(path, { cookie });
    assert.deepEqual([answer.status, answer.json.code], [400, "bad_request"], String(answer));
    assert.equal(world.origin.requests.length, before);
  });
}

for (const path of ARRIVING) {
  test(`SEC-33: ${path} arrives as it came`, async () => {
    const { cookie } = await session();
    const answer = await raw(path, { cookie });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.path, path);
    assert.equal((await raw(path)).status, 401);
  });
}

for (const [path, arrives] of RESOLVED) {
  test(`SEC-33: ${path} arrives as ${arrives}`, async () => {
    const { cookie } = await session();
    const answer = await raw(path, { cookie });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.path, arrives);
    assert.equal(parsed(arrives), arrives, "and no URL parser changes it again");
    assert.equal((await raw(path)).status, 401);
  });
}

let signedIn;
const session = () => (signedIn ??= app.signIn());

// Forms of our own paths that some server would read as one, and what we make of each.
/** @type {[path: string, status: number][]} */
const DISGUISES = [
  ["/api/sso/users", 401],
  ["/api/sso//users", 400],
  ["/api//sso/users", 400],
  ["//api/sso/users", 400],
  ["/./api/sso/users", 401],
  ["/x/../api/sso/users", 401],
  ["/api/./sso/users", 401],
  ["/api/sso/x/../users", 401],
  ["/api/sso/./users", 401],
  ["/%61pi/sso/users", 400],
  ["/api/%73so/users", 400],
  ["/api%2fsso/users", 400],
  ["/api/sso%2fusers", 400],
  ["/api/sso/%75sers", 400],
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
  ["/api/sso/users%20", 400],
  ["/api/sso/users.", 400],
  ["/api/sso/users%00", 400],
  ["/api/sso%00/users", 400],
  ["/api/sso/users%23", 400],
  ["/api/sso/%2e%2e/sso/users", 401],
  ["/%2561pi/sso/users", 400],
  ["/%c1%a1pi/sso/users", 400],
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

test("SEC-35: %23 is a byte like any other in path and query, and never cuts the path, also escaped twice", async () => {
  const { cookie } = await session();
  for (const target of ["/a%2523b", "/a%23b/c", "/%23", "/a%23?x=%23&y=1", "/a?x=%23&y=1"]) {
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

// What real applications have in their paths.
/** @type {[id: string, what: string, target: string][]} */
const APPLICATIONS = [
  ["P1", "a scoped package of npm", "/@angular%2fcore"],
  ["P1", "a scoped package's archive", "/@angular%2Fcore/-/core-1.0.0.tgz"],
  ["P1", "RabbitMQ's default vhost", "/api/queues/%2F/orders"],
  ["P1", "a repository in Argo CD", "/api/v1/repositories/https%3A%2F%2Fgit.example%2Fa"],
  ["P1", "a project in GitLab", "/api/v4/projects/group%2Fproject"],
  ["P2", "a title in MediaWiki", "/wiki/Steins;Gate"],
  ["P2", "a session id of Java", "/a;jsessionid=1"],
  ["P2", "matrix parameters", "/map;lat=50;long=20/tiles;z=3"],
  ["P2", "an escaped semicolon", "/a%3Bb.txt"],
  ["P4", "a URL in an archive", "/web/2020/https://example.com/a.png"],
  ["P4", "a URL in an image proxy", "/unsafe/300x200/https://example.com//b.png"],
  ["P4", "a URL at the root", "/https://example.com/c"],
  ["P5", "a file name in Latin-1", "/caf%E9"],
  ["P5", "a file name in Shift-JIS", "/%83e%83X%83g.txt"],
  ["P6", "a user's address", "/user%40x.org/"],
  ["P6", "commas and colons, escaped and not", "/a%2Cb/a:b"],
  ["P6", "names in WebDAV", "/dav/100%25%20%5Bdraft%5D%20#1%3f.txt".replace("#", "%23")],
];

for (const [id, what, target] of APPLICATIONS) {
  test(`${id}: ${what} (${target}) arrives byte for byte`, async () => {
    const { cookie } = await session();
    for (const query of ["", "?a=%2F;b//c"]) {
      const answer = await raw(target + query, { cookie });
      assert.equal(answer.status, 200, String(answer));
      assert.equal(answer.seen.url, target + query);
    }
    const anonymous = await raw(target);
    assert.equal(anonymous.status, 401, String(anonymous));
  });
}

test("P1 and P2: with rules, a path passes if all its readings have the same rule, and is 400 otherwise", async () => {
  const { cookie } = await world.site("RULED").signIn();
  const ask = (/** @type {string} */ target, /** @type {string | undefined} */ by = undefined) => raw(target, { host: world.site("RULED").host, cookie: by });
  for (const target of ["/static/a%2Fb", "/static//a;x/b", "/static/https://x.example/a."]) {
    const answer = await ask(target);
    assert.equal(answer.seen.url, target);
  }
  for (const target of ["/@scope%2fpkg", "/wiki/Steins;Gate", "/x//y"]) {
    assert.equal((await ask(target)).status, 401, target);
    assert.equal((await ask(target, cookie)).seen.url, target);
  }
  for (const target of ["/admin/a%2Fb", "/admin/x;y", "/admin//x"]) {
    assert.equal((await ask(target, cookie)).status, 403, target);
  }
  const before = world.origin.requests.length;
  for (const target of [
    "//admin",
    "/%61dmin",
    "/admin;x",
    "/admin.",
    "/admin%20/x",
    "/admin%2fx",
    "/admin\\x",
    "/static/..%2fadmin",
    "/static/..;/admin",
    "/static/%2e%2e%2fadmin",
    "/static/..%5cadmin",
    "/static\\..\\admin",
    "/static/%252e%252e/admin",
    "/static/%c0%ae%c0%ae/admin",
    "/static/..%20/admin",
    "/static/..%3b/x",
    "/x/..;/static/y",
  ]) {
    for (const by of [undefined, cookie]) {
      const answer = await ask(target, by);
      assert.deepEqual([answer.status, answer.json.code], [400, "ambiguous_path"], target);
    }
  }
  assert.equal(world.origin.requests.length, before);
  await world.settled();
  const reasons = world.events("denied").map(({ reason }) => reason);
  assert.ok(reasons.includes("servers read the path in different ways: rule 1, or rule 2"), JSON.stringify(reasons));
});

test("a site with strict paths gets none that servers read differently, and all others in one form", async () => {
  const strict = world.site("STRICT");
  const { cookie } = await strict.signIn();
  for (const target of ["/a%2fb", "/a\\b", "/a;x", "/%252e", "/%ff", "/%00", "/%zz"]) {
    const answer = await raw(target, { host: strict.host, cookie });
    assert.deepEqual([answer.status, answer.json.code], [400, "bad_request"], target);
  }
  for (const [target, arrives] of [
    ["//a//b", "/a/b"],
    ["/%61%5a", "/aZ"],
    ["/%c3%a9", "/%C3%A9"],
    ["/a/../b", "/b"],
  ]) {
    assert.equal((await raw(target, { host: strict.host, cookie })).seen.url, arrives);
  }
});

test("a link cleaned of its token leads back to the same bytes on the same site", async () => {
  const { user } = await session();
  for (const [target, back] of [
    ["/@scope%2fpkg", "/@scope%2fpkg"],
    ["/wiki/Steins;Gate", "/wiki/Steins;Gate"],
    ["/caf%E9", "/caf%E9"],
    ["/web/https://x.example/a", "/web/https://x.example/a"],
    ["//evil.example/x", "/.//evil.example/x"],
    ["/\\evil.example", "/%5Cevil.example"],
  ]) {
    const token = await app.issue(user.email);
    const answer = await raw(`${target}?token=${token}`, {
      headers: "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\n",
    });
    assert.equal(answer.status, 303, String(answer));
    assert.equal(answer.target, `http://${app.host}${back}`);
    assert.equal(new URL(answer.target).host, app.host);
  }
});
