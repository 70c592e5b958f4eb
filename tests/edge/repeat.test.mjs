// Requests that begin as one did that was forwarded: they are sent on by what was made for that one, and get exactly
// what they would get the whole way. In the built Worker, and what remembers them by itself.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { json } from "node:stream/consumers";
import { decodeJwt } from "jose";
import { bundle } from "../../scripts/lib/build.mjs";
import { look, read, told, withhold } from "../../src/edge/head.js";
import { asked, cameBefore, forget, recognise, remember, repeated } from "../../src/edge/repeat.js";
import { CLIENT, NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

const SSO = "ls_auth_token";

let folder, script, world, app;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-repeat-"));
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

/** When requests are sent as one was before: what comes for the first time is not worth remembering. */
const KNOWN = [false, false, true];

/** Whether a request that was forwarded was sent as one was before: then its headers were read, and not copied. */
const wasAgain = (answer) => answer.headers.get("x-test-headers") === "1";

/** What the origin received, without the name of the request. */
const received = ({ method, url, headers, body }) => ({
  method,
  url,
  body,
  headers: headers.list.filter(([name]) => name.toLowerCase() !== "x-request-id"),
});

test("the Worker that ships recognises a signed-in client, and each isolate only whom it knows", async () => {
  const shipped = await startWorld({ isolates: 2, sites: { APP: { assertion: {} } } });
  try {
    const { cookie } = await shipped.site("APP").signIn();
    // Two lines of one name are one header (RFC 9110 §5.3). A request that has it in one line goes on in two if it is
    // sent as one with two was.
    const lines = async (headers, isolate) => {
      const { seen } = await shipped.site("APP", isolate).client(newPath(), { cookie, headers });
      return seen.headers.list.filter(([name]) => name.toLowerCase() === "x-line").length;
    };
    for (let n = 0; n < 2; n += 1)
      assert.equal(
        await lines([
          ["X-Line", "a"],
          ["X-Line", "b"],
        ]),
        2,
        "the runtime keeps lines apart",
      );
    assert.equal(await lines([["X-Line", "a, b"]], "edge-2"), 1);
    assert.equal(await lines([["X-Line", "a, b"]]), 2);
  } finally {
    await shipped.stop();
  }
});

test("a signed-in client's third request is recognised, by whatever lasting credential it comes, and for any path", async () => {
  const site = world.site("KEYS");
  const { cookie, token, user } = await site.signIn();
  const made = await site.admin("POST", "/api/sso/tokens", { name: "acts", scopes: [], acts_as: user.id });
  assert.equal(made.status, 201, String(made));
  for (const options of [
    { cookie },
    { cookie: `a=1; ${cookie}; b=2` },
    { bearer: token },
    { cookie, kind: NAVIGATION },
    { cookie, kind: SCRIPT },
    { headers: { "X-API-Key": made.json.token } },
    { headers: { Authorization: `Token ${made.json.token}` } },
    { headers: { "X-Access-Token": token } },
  ]) {
    const asked = [await site.client(newPath(), options), await site.client(newPath(), options), await site.client(`${newPath()}?x=1`, options)];
    for (const { seen } of asked) assert.equal(seen.header("x-forwarded-user"), user.id);
    assert.deepEqual(asked.map(wasAgain), KNOWN, JSON.stringify(options));
  }
  for (const options of [{ cookie: `${SSO}=${token}` }, { cookie, bearer: token }]) {
    for (let n = 0; n < 3; n += 1) assert.ok(!wasAgain(await site.client(newPath(), options)), JSON.stringify(options));
  }
});

test("what the core is told of no header makes no difference, and all that it is told does", async () => {
  const { cookie } = await app.signIn();
  const source = readFileSync(new URL("../../src/http/request.rs", import.meta.url), "utf8");
  const list = /WITHHELD: \[&str; \d+\] = \[([^\]]*)\]/.exec(source)[1];
  const names = [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name).filter((name) => name !== "content-length");
  assert.ok(names.length > 35);
  for (const name of names) {
    const ask = (value) => app.client(newPath(), { cookie, headers: [[name, value]] });
    const asked = [await ask("1"), await ask("2"), await ask("3")];
    assert.deepEqual(asked.map(wasAgain), KNOWN, name);
    const { seen } = asked[2];
    // APP tells the username in User-Agent: a client's own never arrives.
    if (name !== "user-agent") assert.equal(seen.header(name), "3");
    else assert.match(seen.header(name), /^[a-z]/);
  }
  for (const name of ["accept", "cf-connecting-ip", "cf-ipcountry", "origin", "sec-fetch-mode", "sec-fetch-site", "x-anything"]) {
    const ask = (value) => app.client(newPath(), { cookie, headers: [[name, value]] });
    const asked = [];
    for (const value of ["1", "2", "1", "2", "1", "3"]) asked.push(await ask(value));
    assert.deepEqual(asked.map(wasAgain), [false, false, false, false, true, false], name);
  }
});

test("what the origin receives later is what it received the first time, but for what the client changed", async () => {
  const { cookie } = await app.signIn();
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
      assert.equal(wasAgain(next), n > 2);
      assert.equal(next.headers.get("cache-control"), "private");
      assert.match(next.headers.get("vary"), /Cookie, Authorization/);
    }
  }
});

test("each request has a name of its own, the CDN's or ours", async () => {
  const { cookie } = await app.signIn();
  const names = new Set();
  for (let n = 0; n < 5; n += 1) {
    const answer = await app.client(newPath(), { cookie });
    assert.equal(wasAgain(answer), n > 1);
    names.add(answer.seen.header("x-request-id"));
  }
  assert.equal(names.size, 5);
  assert.ok(
    [...names].every((name) => /^[0-9a-f]+-\d+$/.test(name)),
    [...names].join(),
  );
  const named = (ray) => app.client(newPath(), { cookie, headers: { "CF-Ray": ray } });
  for (const ray of ["abc-1", "abc-2", "abc-3", "no ray", "abc-4", "", "abc-5"]) {
    const answer = await named(ray);
    const { seen } = answer;
    // The runtime drops an empty one, and heads without any were here before.
    assert.equal(wasAgain(answer), ["abc-3", "", "abc-5"].includes(ray), `ray ${ray}`);
    assert.equal(seen.header("cf-ray") ?? "", ray);
    assert.equal(seen.header("x-request-id") === undefined, /^\w+-\d$/.test(ray), `ray ${ray}`);
  }
});

test("bodies stream as they are, with their own length", async () => {
  const { cookie } = await app.signIn();
  const recognised = [];
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
    assert.equal(answer.seen.body.size, body.length);
    assert.equal(answer.seen.header("content-type"), `text/${body.length}`);
    recognised.push(wasAgain(answer));
  }
  assert.deepEqual(recognised, [...KNOWN, true, true]);
});

test("requests under way at once keep their own headers and bodies", async () => {
  const { cookie } = await app.signIn();
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
      const { headers, body } = await json(message);
      const list = Array.from({ length: headers.length / 2 }, (_, at) => [headers[at * 2].toLowerCase(), headers[at * 2 + 1]]);
      const value = (name) =>
        list
          .filter(([key]) => key === name)
          .map(([, text]) => text)
          .join();
      assert.deepEqual([value("content-type"), value("referer"), body.size], [`text/${n}`, `page ${n}`, `${n}`.repeat(n + 1).length]);
      if (round > 0) assert.equal(message.headers["x-test-headers"], "1");
    }
  }
});

test("SEC-44: the CDN is told to keep out of what looks like a file, each time", async () => {
  const { cookie } = await app.signIn();
  for (const again of KNOWN) {
    for (const [path, cf] of [
      ["/a.css", '{"cacheTtl":-1}'],
      ["/a", "undefined"],
    ]) {
      const answer = await app.client(`${newPath()}${path}`, { cookie, headers: { "X-Of": path } });
      assert.equal(wasAgain(answer), again);
      assert.equal(answer.headers.get("x-test-cf"), cf);
    }
  }
});

test("SEC-43, SEC-26: nobody is taken for another, whatever they share", async () => {
  const people = await Promise.all(Array.from({ length: 6 }, () => app.signIn()));
  for (let round = 0; round < 4; round += 1) {
    const answers = await Promise.all(
      people.flatMap(({ cookie, user }) => [SCRIPT, NAVIGATION].map(async (kind) => [user, await app.send("GET", newPath(), { cookie, kind })])),
    );
    for (const [user, answer] of answers) {
      const { seen } = answer;
      assert.equal(wasAgain(answer), round > 1);
      assert.equal(seen.header("x-forwarded-user"), user.id);
      assert.equal(seen.header("remote-email"), user.email);
    }
  }
  const [anna, bert] = people;
  for (const [cookie, who] of [
    [`${anna.cookie}; a=1`, anna],
    [`${bert.cookie}; a=1`, bert],
    [`${anna.cookie}; a=2`, anna],
  ]) {
    for (let n = 0; n < 3; n += 1) assert.equal((await app.client(newPath(), { cookie })).seen.header("x-forwarded-user"), who.user.id);
  }
  const cut = anna.cookie.slice(0, -1);
  for (let n = 0; n < 2; n += 1) assert.equal((await app.client(newPath(), { cookie: cut })).status, 401);
});

test("SEC-33, SEC-65: no path gets by that would not the whole way", async () => {
  const { cookie } = await app.signIn();
  for (const again of KNOWN) assert.equal(wasAgain(await app.client(newPath(), { cookie })), again);
  for (const [path, status] of [
    ["/a%2fb", 400],
    ["/a;b", 400],
    ["/a%00", 400],
    ["/%zz", 400],
    ["/api/sso/x", 404],
    ["/API/sso/me", 404],
    ["/api/sso/users", 401],
  ]) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, status, path);
    assert.deepEqual(world.origin.about(path), []);
  }
  for (const [path, url] of [
    ["//a", "/a"],
    ["/a/../b", "/b"],
    ["/%61", "/a"],
    ["/a?", "/a"],
    ["/.%2e/a", "/a"],
    ["/%c3%a9", "/%C3%A9"],
  ]) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.seen.url, url, path);
    assert.ok(!wasAgain(answer) || path === url, path);
  }
});

test("SEC-59: rules are asked each time, and about each path", async () => {
  const site = world.site("RULES");
  const { cookie, user } = await site.signIn();
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
  assert.ok(wasAgain(repeated));
  await site.admin("PATCH", `/api/sso/users/${user.id}`, { roles: [] });
  assert.equal((await ask("/admin")).status, 403);
  assert.ok(!(await ask("/a")).seen.header("x-forwarded-groups"));
});

test("SEC-51: what ends a session ends it for requests that were recognised", async () => {
  for (const end of [
    ({ cookie }) => app.send("POST", "/api/sso/logout", { cookie }),
    ({ user }) => app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false }),
    ({ user }) => app.admin("DELETE", `/api/sso/users/${user.id}`),
    ({ user }) => app.admin("POST", `/api/sso/users/${user.id}/logout`),
  ]) {
    const person = await app.signIn();
    for (const again of KNOWN) assert.equal(wasAgain(await app.client(newPath(), { cookie: person.cookie })), again);
    const ended = await end(person);
    assert.ok(ended.status < 300, String(ended));
    for (let n = 0; n < 3; n += 1) {
      const path = newPath();
      assert.ok([401, 403].includes((await app.client(path, { cookie: person.cookie })).status));
      assert.deepEqual(world.origin.about(path), []);
    }
  }
});

test("a new address or name is told at the next request", async () => {
  const { cookie, user } = await app.signIn();
  const ask = async (again) => {
    const answer = await app.client(newPath(), { cookie });
    assert.equal(wasAgain(answer), again);
    return answer.seen.header("x-forwarded-preferred-username");
  };
  const before = await ask(false);
  assert.equal(await ask(false), before);
  assert.equal(await ask(true), before);
  await app.admin("PATCH", `/api/sso/users/${user.id}`, { username: `new-${user.id}` });
  assert.equal(await ask(false), `new-${user.id}`);
  assert.equal(await ask(true), `new-${user.id}`);
});

test("SEC-45, SEC-40: another site's page is asked about each time", async () => {
  const { cookie } = await app.signIn();
  const post = (headers) => app.send("POST", newPath(), { cookie, kind: [], headers });
  const own = [
    ["Origin", app.origin],
    ["Sec-Fetch-Site", "same-origin"],
  ];
  for (const again of KNOWN) assert.equal(wasAgain(await post(own)), again);
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
  for (const [host, again] of [
    ["app", false],
    ["app", false],
    ["app", true],
    ["also", false],
    ["also", false],
    ["also", true],
    ["app", false],
    ["app", true],
  ]) {
    const answer = await app.client(newPath(), { cookie, host: `${host}.example.test` });
    assert.equal(answer.seen.header("x-forwarded-host"), `${host}.example.test`);
    assert.equal(wasAgain(answer), again, host);
  }
  assert.equal((await app.client(newPath(), { cookie, host: "evil.example.test" })).status, 404);
  const cors = world.site("CORS");
  const person = await cors.signIn();
  for (let n = 0; n < 3; n += 1) {
    const answer = await cors.client(newPath(), { cookie: person.cookie, headers: { Origin: "https://page.example.test" } });
    assert.equal(answer.headers.get("access-control-allow-origin"), "https://page.example.test");
    assert.equal(wasAgain(answer), n > 1);
    assert.match(answer.headers.get("vary"), /Origin/);
    const plain = await cors.client(newPath(), { cookie: person.cookie });
    assert.equal(plain.headers.get("access-control-allow-origin"), undefined);
  }
});

test("an origin that is gone is told of as the first time", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  for (let n = 0; n < 2; n += 1) assert.equal((await app.client(path, { cookie })).status, 200);
  world.origin.on(path, (request) => request.socket.destroy());
  for (let n = 0; n < 2; n += 1) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.headers.get("x-test-headers"), "2", "read once more for the refusal, and not copied");
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
      assert.equal(wasAgain(answer), n > 1 && bytes === "plain");
      const value = (name) => seen.headers.list.find(([key]) => key.toLowerCase() === name)[1];
      assert.deepEqual([value("x-bytes"), value("referer")], [bytes, `x${bytes}`]);
    }
  }
});

test("many callers and many kinds of requests push each other out, and each is answered as who they are", async () => {
  const { cookie, user } = await app.signIn();
  const ask = (n) => app.client(newPath(), { cookie: `n=${n}; ${cookie}`, headers: { "X-Kind": String(n % 7) } });
  for (let from = 0; from < 1200; from += 100) {
    const all = () => Promise.all(Array.from({ length: 100 }, (_, n) => ask(from + n)));
    await all();
    await all();
    for (const [n, answer] of (await all()).entries()) {
      const { seen } = answer;
      assert.ok(wasAgain(answer), `${from + n}`);
      assert.equal(seen.header("x-forwarded-user"), user.id);
      assert.equal(seen.header("cookie"), `n=${from + n}`);
      assert.equal(seen.header("x-kind"), String((from + n) % 7));
    }
  }
  assert.ok(wasAgain(await ask(1199)) && !wasAgain(await ask(0)));
});

test("SEC-26: a new instance of the core knows nothing of what the last one has decided", async () => {
  const restarting = await startWorld({ script, sites: { APP: { assertion: {} } } });
  try {
    const site = restarting.site("APP");
    const [anna, bert] = [await site.signIn(), await site.signIn()];
    const ask = ({ cookie }, headers) => site.client(newPath(), { cookie, headers });
    for (const again of KNOWN) assert.equal(wasAgain(await ask(anna)), again);
    // Each is the first whom its instance remembers.
    const afresh = await ask(bert, { "X-Test-Restart": "now" });
    assert.equal(afresh.seen.header("x-forwarded-user"), bert.user.id);
    for (const again of KNOWN) assert.equal(wasAgain(await ask(bert)), again);
    assert.equal((await site.send("POST", "/api/sso/logout", { cookie: anna.cookie })).status, 200);
    assert.equal((await ask(anna)).status, 401, "not judged as somebody else");
    const repeated = await ask(bert);
    assert.equal(decodeJwt(repeated.seen.header("x-edgeward-assertion")).sub, bert.user.id);
    assert.ok(wasAgain(repeated));
    // The call that finds its instance dead goes on in a new one, with nothing of the old one's.
    for (let n = 0; n < 5; n += 1) {
      assert.match((await ask(bert, { "X-Test-Die": "now" })).text, /Error/);
      const answer = await site.client(`${newPath()}${"/x".repeat(n * 100)}`, { cookie: bert.cookie });
      assert.equal(answer.status, 200, String(answer));
      assert.equal(answer.seen.header("x-forwarded-user"), bert.user.id);
      assert.deepEqual([answer, await ask(bert), await ask(bert)].map(wasAgain), KNOWN);
    }
  } finally {
    await restarting.stop();
  }
});

// What remembers, by itself.

const HEADERS = { accept: "*/*", "cf-ray": "r-1", cookie: "s=1", referer: "x", "x-real-ip": "1" };

/** The head of a request with these headers. */
const head = (changes = {}, method = "GET", url = "https://a.test/b?c") => read({ method, url, headers: new Headers({ ...HEADERS, ...changes }) });

function remembered(changes) {
  forget();
  withhold("referer\nx-real-ip", "cf-ray");
  put(changes);
}

function put(changes, id = 7) {
  const headers = new Headers({ accept: "*/*", "cf-ray": "r-1", referer: "x", "x-forwarded-user": "u" });
  remember(head(changes), { id, from: 14, base: "http://origin" }, headers, new Set(["cookie", "x-forwarded-user", "x-real-ip"]), {});
}

for (const [which, another] of [
  ["the last", () => {}],
  ["an earlier one", () => put({ cookie: "another" }, 8)],
]) {
  test(`a head is recognised as ${which} if it differs in nothing that the core was told`, () => {
    remembered();
    const known = (next) => {
      another();
      return recognise(next)?.id;
    };
    for (const changes of [{}, { "cf-ray": "r-2" }, { referer: "y" }, { referer: "a, b" }, { "x-real-ip": "2, 3" }]) {
      assert.equal(known(head(changes)), 7, JSON.stringify(changes));
    }
    assert.equal(known(head({}, "GET", "https://a.test/other")), 7);
    for (const changes of [{ accept: "text/html" }, { cookie: "s=2" }, { cookie: "" }, { "x-z": "1" }, { referer: "\xe9" }, { referer: "a\tb" }]) {
      assert.equal(known(head(changes)), undefined, JSON.stringify(changes));
    }
    assert.equal(known(head({}, "HEAD")), undefined);
    const { cookie, ...without } = HEADERS;
    assert.equal(known(read({ method: "GET", url: "https://a.test/", headers: new Headers(without) })), undefined);
    assert.equal(known(read({ method: "GET", url: "https://a.test/", headers: new Headers({ ...without, coocie: cookie }) })), undefined);
  });
}

test("what the core is told and what makes heads alike are the same but for URL and ray", () => {
  remembered();
  const one = head({ accept: "cf-ray" });
  assert.equal(told(one), "GET\nhttps://a.test/b?c\naccept\ncf-ray\ncf-ray\nr-1\ncookie\ns=1\nreferer\n\nx-real-ip\n");
  assert.equal(look(one).common, "GET\n\naccept\ncf-ray\ncf-ray\n\ncookie\ns=1\nreferer\n\nx-real-ip\n");
  remembered({ accept: "cf-ray" });
  assert.equal(asked(recognise(one), one), "https://a.test/b?c\nr-1");
});

test("what changed is sent on, and only what the origin gets", () => {
  remembered();
  const again = (changes, url) => {
    const next = head(changes, "GET", url);
    return repeated(recognise(next), next);
  };
  const first = again({ "cf-ray": "r-2", referer: "y", "x-real-ip": "9" }, "https://a.test/x?y");
  assert.equal(first.url, "http://origin/x?y");
  assert.deepEqual(
    [...first.headers],
    [
      ["accept", "*/*"],
      ["cf-ray", "r-2"],
      ["referer", "y"],
      ["x-forwarded-user", "u"],
    ],
  );
  const back = again({});
  assert.equal(back.headers.get("referer"), "x");
  assert.equal(back.headers.get("cf-ray"), "r-1");
});

test("what came once, lately, is known to have come", () => {
  remembered();
  const one = (n) => head({ "x-n": String(n) });
  assert.deepEqual(
    [0, 1, 0, 1, 0].map((n) => cameBefore(one(n))),
    [false, false, true, true, true],
  );
  for (let n = 2; n < 520; n += 1) assert.ok(!cameBefore(one(n)));
  assert.ok(cameBefore(one(0)));
  for (let n = 520; n < 2000; n += 1) assert.ok(!cameBefore(one(n)));
  assert.ok(!cameBefore(one(0)));
  const long = head({ cookie: "x".repeat(9000) });
  assert.ok(!cameBefore(long) && !cameBefore(long));
  forget();
  assert.ok(!cameBefore(one(1999)));
});

test("a value that has become long is not sent on by what was made for another, and much is never kept", () => {
  remembered();
  assert.ok(recognise(head({ referer: "x".repeat(1024) })));
  assert.equal(recognise(head({ referer: "x".repeat(1025) })), undefined);
  const large = (n) => ({ cookie: `s=${n}; ${"x".repeat(8000)}` });
  for (let n = 0; n < 600; n += 1) put(large(n));
  assert.equal(recognise(head(large(0))), undefined);
  assert.ok(recognise(head(large(599))) && recognise(head(large(100))));
  // Nor by and by.
  remembered();
  const free = ["accept-language", "priority", "range", "referer", "user-agent"];
  withhold(free.join("\n"), "cf-ray");
  const longer = (n, value) => ({ cookie: `s=${n}`, ...Object.fromEntries(free.map((name) => [name, value])) });
  for (let n = 0; n < 1000; n += 1) put(longer(n, "x"));
  let sent = 0;
  for (let n = 0; n < 1000; n += 1) {
    const next = head(longer(n, "x".repeat(1024)));
    const shape = recognise(next);
    if (shape === undefined) continue;
    repeated(shape, next);
    sent += 1;
  }
  const known = Array.from({ length: 1000 }, (_, n) => recognise(head(longer(n, "y")))).filter((shape) => shape !== undefined).length;
  assert.ok(sent > 700 && known < sent && known > 600, `${sent} ${known}`);
});

test("a head that is long, or has bytes that are no ASCII, is not remembered", () => {
  for (const [changes, fits] of [
    [{ cookie: "s".repeat(8000) }, true],
    [{ cookie: "s".repeat(8200) }, false],
    [{ referer: "s".repeat(8200) }, false],
    [{ accept: "\xe9" }, false],
    [{ referer: "\xe9" }, false],
  ]) {
    remembered(changes);
    assert.equal(recognise(head(changes)) !== undefined, fits);
  }
});

test("of more than a thousand and twenty-four the one goes that was not asked for the longest", () => {
  remembered();
  const caller = (n) => ({ cookie: `s=1; n=${n}` });
  for (let n = 0; n < 1023; n += 1) put(caller(n));
  assert.ok(recognise(head()) && recognise(head(caller(3))));
  put(caller(3), 8);
  for (let n = 1023; n < 1500; n += 1) {
    put(caller(n));
    assert.ok(recognise(head()), "whoever is asked for stays");
  }
  assert.equal(recognise(head(caller(0))), undefined);
  assert.equal(recognise(head(caller(5))), undefined);
  assert.ok(recognise(head(caller(900))) && recognise(head(caller(1499))));
  forget();
  assert.equal(recognise(head()), undefined);
});
