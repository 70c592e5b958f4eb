// Every request goes all steps, and what an isolate remembers of earlier ones decides nothing: nobody is taken for another,
// whatever two requests share. And what crosses to the core and back is bounded. In the built Worker.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { json } from "node:stream/consumers";
import { decodeJwt } from "jose";
import { bundle } from "../../scripts/lib/build.mjs";
import { CLIENT, NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer, Pair, Seen } from "./lib/http.mjs" */
/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {string} */
let folder;
/** @type {string} */
let script;
/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-one-path-"));
  script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/observed.js", import.meta.url)), script);
  world = await startWorld({
    script,
    isolates: 2,
    sites: {
      APP: { assertion: {}, hosts: ["app.example.test", "also.example.test"], custom_headers: { "User-Agent": "username" } },
      RULES: {
        unauthenticated: undefined,
        assertion: {},
        rules: [{ prefix: "/public", public: true }, { prefix: "/admin", require: { role: "admin" } }, { require: { authenticated: true } }],
      },
      KEYS: { sources: ["session", "sso_cookie", "bearer", "api_key", "header"], token_headers: [{ name: "x-access-token" }] },
      CORS: { cors: { origins: ["https://page.example.test"], credentials: true } },
    },
  });
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Often enough for whatever is remembered to be there. */
const TIMES = [1, 2, 3];

/**
 * What crossed for a request: how many texts, and what the core was told of it.
 * @param {Answer} answer
 */
const crossed = (answer) => JSON.parse(answer.headers.need("x-test-crossed"));

/** What the origin received, without the name of the request. */
const received = (/** @type {Seen} */ { method, url, headers, body }) => ({
  method,
  url,
  body,
  headers: headers.list.filter(([name]) => name.toLowerCase() !== "x-request-id"),
});

test("what the origin receives later is what it received the first time, but for what the client changed", async () => {
  const { cookie } = await app.signIn();
  /** @param {number} n */
  const ray = (n) => ["CF-Ray", `8f0c2b7d4e5a6b${n}c-FRA`];
  const headers = [
    ["Referer", "one"],
    ["CF-Connecting-IP", "203.0.113.9"],
    ["X-Forwarded-User", "root"],
    ["X_Forwarded_Email", "root@x"],
    ["X-Custom", "kept"],
    ["X-Real-IP", "1.2.3.4"],
  ];
  for (const kind of [NAVIGATION, SCRIPT, CLIENT]) {
    const options = { kind, cookie: `theme=dark; ${cookie}; x="a b"` };
    const path = newPath();
    const first = await app.send("GET", path, { ...options, headers: [...headers, ray(1)] });
    assert.equal(first.status, 200);
    assert.ok(!first.seen.headers.names.includes("x-request-id") && first.seen.header("x-forwarded-for") === "203.0.113.9");
    for (let n = 2; n < 6; n += 1) {
      const changed = headers.map(([name, value]) => [name, name === "Referer" ? `page ${n}` : value]);
      const next = await app.send("GET", `${path}/${n}?n=%2${n}&${n}`, { ...options, headers: [...changed, ray(n)] });
      const expected = received(first.seen);
      expected.url = `${path}/${n}?n=%2${n}&${n}`;
      expected.headers = expected.headers.map(([name, value]) => {
        if (name.toLowerCase() === "referer") return [name, `page ${n}`];
        return name.toLowerCase() === "cf-ray" ? [name, ray(n)[1]] : [name, value];
      });
      assert.deepEqual(received(next.seen), expected);
      assert.equal(next.headers.get("cache-control"), "private");
      assert.match(next.headers.need("vary"), /Cookie, Authorization/);
    }
  }
});

test("each request has a name of its own, the CDN's or ours", async () => {
  const { cookie } = await app.signIn();
  const names = new Set();
  for (let n = 0; n < 5; n += 1) {
    const answer = await app.client(newPath(), { cookie });
    names.add(answer.seen.header("x-request-id"));
  }
  assert.equal(names.size, 5);
  assert.ok(
    [...names].every((name) => /^[0-9a-f]+-\d+$/.test(name)),
    [...names].join(),
  );
  /** @param {string} ray */
  const named = (ray) => app.client(newPath(), { cookie, headers: { "CF-Ray": ray } });
  for (const ray of ["abc-1", "abc-2", "abc-3", "no ray", "abc-4", "", "abc-5"]) {
    const answer = await named(ray);
    const { seen } = answer;
    // The runtime drops an empty one, and heads without any were here before.
    assert.equal(seen.header("cf-ray") ?? "", ray);
    assert.equal(seen.header("x-request-id") === undefined, /^\w+-\d$/.test(ray), `ray ${ray}`);
  }
});

test("bodies stream as they are, with their own length", async () => {
  const { cookie } = await app.signIn();
  for (const body of ["", "a", "b".repeat(100_000), "cc", ""]) {
    const answer = await app.send("POST", newPath(), {
      cookie,
      kind: SCRIPT,
      body,
      headers: [
        ["Origin", app.origin],
        ["Content-Type", `text/${body.length}`],
      ],
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.seen.body?.size, body.length);
    assert.equal(answer.seen.header("content-type"), `text/${body.length}`);
  }
});

test("requests under way at once keep their own headers and bodies", async () => {
  const { cookie } = await app.signIn();
  /** @param {number} n */
  const begin = (n) =>
    app.open("POST", `${newPath()}/${n}`, {
      cookie,
      kind: SCRIPT,
      headers: [
        ["Origin", app.origin],
        ["Content-Type", `text/${n}`],
        ["Referer", `page ${n}`],
        ["Transfer-Encoding", "chunked"],
      ],
    });
  for (let round = 0; round < 3; round += 1) {
    const open = Array.from({ length: 20 }, (_, n) => begin(n));
    for (const [n, exchange] of open.entries()) await exchange.write(`${n}`.repeat(n + 1));
    for (const exchange of open) exchange.end();
    for (const [n, exchange] of open.entries()) {
      const message = await exchange.answer;
      const { headers, body } = /** @type {{ headers: string[], body: { size: number } }} */ (await json(message));
      const list = Array.from({ length: headers.length / 2 }, (_, at) => [headers[at * 2].toLowerCase(), headers[at * 2 + 1]]);
      /** @param {string} name */
      const value = (name) =>
        list
          .filter(([key]) => key === name)
          .map(([, text]) => text)
          .join();
      assert.deepEqual([value("content-type"), value("referer"), body.size], [`text/${n}`, `page ${n}`, `${n}`.repeat(n + 1).length]);
    }
  }
});

test("SEC-44: the CDN is told to keep out of what looks like a file, each time", async () => {
  const { cookie } = await app.signIn();
  for (const _ of TIMES) {
    for (const [path, cf] of [
      ["/a.css", '{"cacheTtl":-1}'],
      ["/a", "undefined"],
    ]) {
      const answer = await app.client(`${newPath()}${path}`, { cookie, headers: { "X-Of": path } });
      assert.equal(answer.headers.get("x-test-cf"), cf);
    }
  }
});

test("SEC-43, SEC-26: nobody is taken for another, whatever they share", async () => {
  const people = await Promise.all(Array.from({ length: 6 }, () => app.signIn()));
  for (let round = 0; round < 4; round += 1) {
    const answers = await Promise.all(
      people.flatMap(({ cookie, user }) =>
        [SCRIPT, NAVIGATION].map(async (kind) => /** @type {const} */ ([user, await app.send("GET", newPath(), { cookie, kind })])),
      ),
    );
    for (const [user, answer] of answers) {
      const { seen } = answer;
      assert.equal(seen.header("x-forwarded-user"), user.id);
      assert.equal(seen.header("remote-email"), user.email);
    }
  }
  const [anna, bert] = people;
  for (const [cookie, who] of /** @type {[string, Awaited<ReturnType<Site["signIn"]>>][]} */ ([
    [`${anna.cookie}; a=1`, anna],
    [`${bert.cookie}; a=1`, bert],
    [`${anna.cookie}; a=2`, anna],
  ])) {
    for (let n = 0; n < 3; n += 1) assert.equal((await app.client(newPath(), { cookie })).seen.header("x-forwarded-user"), who.user.id);
  }
  const cut = anna.cookie.slice(0, -1);
  for (let n = 0; n < 2; n += 1) assert.equal((await app.client(newPath(), { cookie: cut })).status, 401);
});

test("SEC-33, SEC-65: a remembered credential opens no path that is refused otherwise", async () => {
  const { cookie } = await app.signIn();
  for (const _ of TIMES) assert.equal((await app.client(newPath(), { cookie })).status, 200);
  for (const [path, status] of /** @type {[string, number][]} */ ([
    ["//api/sso/me", 400],
    ["/api;x/sso/users", 400],
    ["/a%00", 400],
    ["/%zz", 400],
    ["/api/sso/x", 404],
    ["/API/sso/me", 404],
    ["/api/sso/users", 401],
  ])) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, status, path);
    assert.deepEqual(world.origin.about(path), []);
  }
  for (const [path, url] of [
    ["//a", "//a"],
    ["/a/../b", "/b"],
    ["/%61", "/%61"],
    ["/a?", "/a"],
    ["/.%2e/a", "/a"],
    ["/%c3%a9", "/%c3%a9"],
  ]) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.seen.url, url, path);
  }
});

test("SEC-59: rules are asked each time, and about each path", async () => {
  const site = world.site("RULES");
  const { cookie, user } = await site.signIn();
  /** @param {string} path */
  const ask = (path) => site.client(path, { cookie });
  assert.equal((await ask("/a")).status, 200);
  assert.equal((await ask("/admin")).status, 403);
  const open = await ask("/public/x");
  assert.ok(open.seen && !open.seen.headers.names.includes("x-forwarded-user") && !open.seen.headers.names.includes("cookie"));
  await site.admin("PATCH", `/api/sso/users/${user.id}`, { roles: ["admin"] });
  const promoted = await ask("/admin");
  assert.equal(promoted.seen.header("x-forwarded-groups"), "admin");
  const repeated = await ask("/admin/b");
  assert.equal(repeated.seen.header("x-forwarded-groups"), "admin");
  await site.admin("PATCH", `/api/sso/users/${user.id}`, { roles: [] });
  assert.equal((await ask("/admin")).status, 403);
  assert.ok(!(await ask("/a")).seen.header("x-forwarded-groups"));
});

test("SEC-51: what ends a session ends it for requests like those before", async () => {
  /** @typedef {{ cookie: string, user: User }} Person */
  for (const [end, done, refused] of /** @type {[(person: Person) => Promise<Answer>, number, [number, string]][]} */ ([
    [({ cookie }) => app.send("POST", "/api/sso/logout", { cookie }), 200, [401, "token_expired"]],
    [({ user }) => app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false }), 200, [403, "user_disabled"]],
    [({ user }) => app.admin("DELETE", `/api/sso/users/${user.id}`), 204, [401, "token_expired"]],
    [({ user }) => app.admin("POST", `/api/sso/users/${user.id}/logout`), 204, [401, "token_expired"]],
  ])) {
    const person = await app.signIn();
    for (const _ of TIMES) assert.equal((await app.client(newPath(), { cookie: person.cookie })).status, 200);
    const ended = await end(person);
    assert.equal(ended.status, done, String(ended));
    for (let n = 0; n < 3; n += 1) {
      const path = newPath();
      const answer = await app.client(path, { cookie: person.cookie });
      assert.deepEqual([answer.status, answer.json.code], refused);
      assert.deepEqual(world.origin.about(path), []);
    }
  }
});

test("a new address or name is told at the next request", async () => {
  const { cookie, user } = await app.signIn();
  const ask = async () => (await app.client(newPath(), { cookie })).seen.header("x-forwarded-preferred-username");
  const before = await ask();
  for (const _ of TIMES) assert.equal(await ask(), before);
  await app.admin("PATCH", `/api/sso/users/${user.id}`, { username: `new-${user.id}` });
  for (const _ of TIMES) assert.equal(await ask(), `new-${user.id}`);
});

test("SEC-45, SEC-40: another site's page is asked about each time", async () => {
  const { cookie } = await app.signIn();
  /** @param {string[][]} headers */
  const post = (headers) => app.send("POST", newPath(), { cookie, kind: [], headers });
  const own = [
    ["Origin", app.origin],
    ["Sec-Fetch-Site", "same-origin"],
  ];
  for (const _ of TIMES) assert.equal((await post(own)).status, 200);
  assert.equal(
    (
      await post([
        ["Origin", "https://evil.test"],
        ["Sec-Fetch-Site", "cross-site"],
      ])
    ).status,
    403,
  );
  assert.equal(
    (
      await post([
        ["Origin", "https://evil.test"],
        ["Sec-Fetch-Site", "same-origin"],
      ])
    ).status,
    200,
    "Sec-Fetch-Site decides",
  );
  assert.equal((await post([["Origin", "null"]])).status, 403);
});

test("another host of the same site is told as such, and pages of listed origins may read each answer", async () => {
  const { cookie } = await app.signIn();
  for (const host of ["app", "app", "also", "also", "app"]) {
    const answer = await app.client(newPath(), { cookie, host: `${host}.example.test` });
    assert.equal(answer.seen.header("x-forwarded-host"), `${host}.example.test`);
  }
  assert.equal((await app.client(newPath(), { cookie, host: "evil.example.test" })).status, 404);
  const cors = world.site("CORS");
  const person = await cors.signIn();
  for (let n = 0; n < 3; n += 1) {
    const answer = await cors.client(newPath(), { cookie: person.cookie, headers: { Origin: "https://page.example.test" } });
    assert.equal(answer.headers.get("access-control-allow-origin"), "https://page.example.test");
    assert.match(answer.headers.need("vary"), /Origin/);
    const plain = await cors.client(newPath(), { cookie: person.cookie });
    assert.equal(plain.headers.get("access-control-allow-origin"), undefined);
  }
});

test("an unreachable origin is 502, also after earlier successes", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  for (let n = 0; n < 2; n += 1) assert.equal((await app.client(path, { cookie })).status, 200);
  world.origin.on(path, (request) => request.socket.destroy());
  for (let n = 0; n < 2; n += 1) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, 502);
    assert.equal(answer.json.code, "origin_unreachable");
  }
});

test("bytes that are no ASCII reach the origin as they came, each time", async () => {
  const { cookie } = await app.signIn();
  for (const bytes of ["é", "\xff\xfe", "\xff\xfd", "plain", "\xc3\xa9"]) {
    for (let n = 0; n < 3; n += 1) {
      const answer = await app.client(newPath(), {
        cookie,
        headers: [
          ["X-Bytes", bytes],
          ["Referer", `x${bytes}`],
        ],
      });
      const { seen } = answer;
      /** @param {string} name */
      const value = (name) => seen.headers.need(name);
      assert.deepEqual([value("x-bytes"), value("referer")], [bytes, `x${bytes}`]);
    }
  }
});

test("SEC-26: a new instance of the core knows nothing of what the last one has decided", async () => {
  const restarting = await startWorld({ script, sites: { APP: { assertion: {} } } });
  try {
    const site = restarting.site("APP");
    const [anna, bert] = [await site.signIn(), await site.signIn()];
    /** @param {Record<string, string>} headers */
    const ask = (/** @type {{ cookie: string }} */ { cookie }, headers = {}) => site.client(newPath(), { cookie, headers });
    for (const _ of TIMES) assert.equal((await ask(anna)).status, 200);
    // Each is the first whom its instance remembers.
    const afresh = await ask(bert, { "X-Test-Restart": "now" });
    assert.equal(afresh.seen.header("x-forwarded-user"), bert.user.id);
    for (const _ of TIMES) assert.equal((await ask(bert)).status, 200);
    assert.equal((await site.send("POST", "/api/sso/logout", { cookie: anna.cookie })).status, 200);
    assert.equal((await ask(anna)).status, 401, "not judged as somebody else");
    const repeated = await ask(bert);
    assert.equal(decodeJwt(repeated.seen.headers.need("x-edgeward-assertion")).sub, bert.user.id);
    // The call that finds its instance dead goes on in a new one, with nothing of the old one's.
    for (let n = 0; n < 5; n += 1) {
      assert.match((await ask(bert, { "X-Test-Die": "now" })).text, /Error/);
      const answer = await site.client(`${newPath()}${"/x".repeat(n * 100)}`, { cookie: bert.cookie });
      assert.equal(answer.status, 200, String(answer));
      assert.equal(answer.seen.header("x-forwarded-user"), bert.user.id);
      for (const _ of TIMES) assert.equal((await ask(bert)).seen.header("x-forwarded-user"), bert.user.id);
    }
  } finally {
    await restarting.stop();
  }
});

test("what crosses for a request does not grow with its headers, and nothing is read or waited for", async () => {
  const { cookie, user } = await app.signIn();
  const browser = [
    ...SCRIPT,
    ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"],
    ["Accept-Language", "en"],
    ["Referer", `${app.origin}/a/page`],
    ["If-None-Match", '"a"'],
    ["CF-Connecting-IP", "203.0.113.9"],
    ["CF-IPCountry", "DE"],
    ["X-Real-IP", "1.2.3.4"],
  ];
  /**
   * @param {number} n
   * @param {Pair[]} more
   */
  const ask = (n, more = []) =>
    app.send("GET", `${newPath()}?n=${n}`, { kind: browser, cookie: `own=${n}; ${cookie}; other=x`, headers: [["CF-Ray", `8f0c2b7d4e5a${n}-FRA`], ...more] });
  for (const _ of TIMES) await ask(1);
  for (let n = 10; n < 15; n += 1) {
    // New values in headers that decide nothing, a known name or not, and new cookies of the application's.
    const answer = await ask(n, [
      ["X-Page", `page ${n}`],
      ["Traceparent", `00-${n}`],
    ]);
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    assert.equal(answer.seen.header("cookie"), `own=${n}; other=x`);
    assert.equal(answer.seen.header("x-page"), `page ${n}`);
    const { texts, told, reads } = crossed(answer);
    const names = told.split("\n").filter((/** @type {unknown} */ _, /** @type {number} */ at) => at > 1 && at % 2 === 0);
    // APP sets User-Agent itself, and Connection is for one hop: both are taken off.
    const decides = [
      "accept",
      "cf-connecting-ip",
      "cf-ipcountry",
      "cf-ray",
      "cookie",
      "origin",
      "referer",
      "sec-fetch-mode",
      "sec-fetch-site",
      "x-real-ip",
      "connection",
      "user-agent",
    ];
    assert.deepEqual(
      names.filter((/** @type {string} */ name) => !decides.includes(name)),
      [],
    );
    assert.ok(!told.includes("1.2.3.4"), "of a header that is taken off, the core is told the name");
    assert.equal(texts, 0, `no text came back for request ${n}`);
    assert.equal(reads, 0);
  }
});

test("our own endpoints are told every header", async () => {
  const { cookie } = await app.signIn();
  const headers = [
    ["Accept-Language", "fa"],
    ["User-Agent", "probe"],
    ["X-Anything", "x"],
  ];
  for (const path of ["/api/sso/me", "/api/sso/x", "/.well-known/jwks.json"]) {
    const { told } = crossed(await app.client(path, { cookie, headers }));
    for (const [name, value] of headers) assert.ok(told.includes(`\n${name.toLowerCase()}\n${value}`), `${path} ${name}`);
  }
  const { told } = crossed(await app.client(newPath(), { cookie, headers }));
  assert.ok(!told.includes("probe"));
});

test("SEC-28: a name that was remembered at one site is treated by each site as its own settings say", async () => {
  const [app, rules] = [world.site("APP"), world.site("RULES")];
  const people = [await app.signIn(), await rules.signIn()];
  for (let round = 0; round < 3; round += 1) {
    for (const name of ["X-Token-Of-Keys", "x_token_of_keys", "X-Access-Token"]) {
      const seen = (await app.client(newPath(), { cookie: people[0].cookie, headers: [[name, "mine"]] })).seen;
      assert.equal(seen.header(name.toLowerCase()), "mine");
    }
    // APP sets User-Agent, so no site lets a client's through to an origin that may be the same.
    for (const [site, { cookie }] of /** @type {[Site, { cookie: string }][]} */ ([
      [app, people[0]],
      [rules, people[1]],
    ])) {
      const { seen } = await site.client(newPath(), {
        cookie,
        headers: [
          ["User-Agent", "root"],
          ["User_Agent", "root"],
        ],
      });
      assert.notEqual(seen.header("user-agent"), "root");
      assert.equal(seen.header("user_agent"), undefined);
    }
  }
});

test("SEC-28: many names at once, none of them remembered for long, let no reserved one through", async () => {
  const { cookie, user } = await app.signIn();
  for (let from = 0; from < 3000; from += 60) {
    const headers = Array.from({ length: 60 }, (_, n) => [`X-N-${from + n}`, "1"]);
    const { seen } = await app.client(newPath(), {
      cookie,
      headers: [...headers, ["X_Forwarded_User", "root"], [`x-forwarded-${from}`, "root"], [`${"x".repeat(80)}-${from}`, "long"]],
    });
    assert.equal(seen.header("x-forwarded-user"), user.id);
    assert.equal(seen.header("x_forwarded_user"), undefined);
    assert.equal(seen.header(`x-forwarded-${from}`), undefined);
    assert.equal(seen.header(`x-n-${from + 7}`), "1");
  }
});

test("SEC-26, SEC-28: of 100,000 random pairs of requests none gets what was made for the other", async (t) => {
  const pairs = path.join(folder, "pairs.js");
  await bundle(fileURLToPath(new URL("lib/paired.js", import.meta.url)), pairs);
  const rules = {
    unauthenticated: undefined,
    rules: [{ prefix: "/public", public: true }, { prefix: "/admin", require: { role: "admin" } }, { require: { authenticated: true } }],
  };
  const own = await startWorld({
    script: pairs,
    sites: { ONE: { assertion: {}, ...rules }, TWO: { assertion: {}, custom_headers: { "X-Team": "username" }, ...rules } },
  });
  try {
    const hosts = [];
    /** @type {{ session?: string, id?: string, email?: string, username?: string, roles?: string[], home?: number, bad?: boolean }[]} */
    const people = [{}];
    for (const name of ["ONE", "TWO"]) hosts.push(own.site(name).host);
    const site = own.site("ONE");
    for (const [name, roles] of /** @type {[string, string[]][]} */ ([
      ["ONE", []],
      ["ONE", ["admin"]],
      ["TWO", ["editor", "reviewer"]],
      ["TWO", ["admin", "x"]],
    ])) {
      const { cookie, user } = await own.site(name).signIn();
      await site.admin("PATCH", `/api/sso/users/${user.id}`, { roles, username: user.id.slice(4) });
      const session = /__Host-edgeward=([^;]*)/.exec(cookie)?.[1];
      people.push({ session, id: user.id, email: user.email, username: user.id.slice(4), roles, home: name === "ONE" ? 0 : 1 });
    }
    const [, anna] = people;
    people.push({ ...anna, session: `${anna.session?.slice(0, -2)}AA`, bad: true });
    let forwarded = 0;
    for (let seed = 1; seed <= 20; seed += 1) {
      const body = JSON.stringify({ seed, count: 5000, hosts, people, upstream: own.origin.url });
      const answer = await site.send("POST", "/", { headers: { "x-test-pairs": "1" }, body });
      assert.equal(answer.status, 200, String(answer));
      assert.deepEqual(answer.json.wrong, []);
      forwarded += answer.json.forwarded;
    }
    t.diagnostic(`${forwarded} of 300,000 requests were forwarded`);
    assert.ok(forwarded > 60_000);
  } finally {
    await own.stop();
  }
});
