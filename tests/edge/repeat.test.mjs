// Requests that begin as one did that was forwarded: they are sent on by what was made for that one, and get exactly
// what they would get the whole way. In the built Worker, and what remembers them by itself.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeJwt } from "jose";
import { bundle } from "../../scripts/lib/build.mjs";
import { withhold } from "../../src/edge/head.js";
import { forget, recognise, remember, repeated } from "../../src/edge/repeat.js";
import { valueOf } from "./lib/tokens.mjs";
import { CLIENT, NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

const SSO = "ls_auth_token";

let world, app, other;
before(async () => {
  world = await startWorld({
    isolates: 2,
    sites: {
      APP: { assertion: {}, hosts: ["app.example.test", "also.example.test"] },
      RULES: {
        unauthenticated: undefined,
        assertion: {},
        rules: [{ prefix: "/public", public: true }, { prefix: "/admin", require: { role: "admin" } }, { require: { authenticated: true } }],
      },
      SHORT: { session: { idle: 60, absolute: 60 } },
      CORS: { cors: { origins: ["https://page.example.test"], credentials: true } },
    },
  });
  app = world.site("APP");
  other = world.site("APP", "edge-2");
});
after(() => world?.stop());

/** What the origin received, without the name of the request and what tells connections apart. */
const received = ({ method, url, headers, body }) => ({
  method,
  url,
  body,
  headers: headers.list.filter(([name]) => name.toLowerCase() !== "x-request-id"),
});

/**
 * Whether requests that begin with these `headers` are recognised. Two lines of one name are one header (RFC 9110 §5.3),
 * and a request that has it in one line goes on in two if it is sent as one with two was.
 */
async function isRecognised(site, path, { headers = [], ...options }) {
  const twice = [...headers, ["X-Line", "a"], ["X-Line", "b"]];
  const once = [...headers, ["X-Line", "a, b"]];
  const lines = (answer) => answer.seen.headers.list.filter(([name]) => name.toLowerCase() === "x-line").length;
  const first = await site.client(path, { ...options, headers: twice });
  assert.equal(lines(first), 2, "the runtime keeps lines apart");
  return lines(await site.client(path, { ...options, headers: once })) === 2;
}

test("a signed-in client's second request is recognised, also for another path, and by a bearer token", async () => {
  const { cookie, token } = await app.signIn();
  for (const options of [{ cookie }, { cookie: `a=1; ${cookie}; b=2` }, { bearer: token }, { cookie, kind: NAVIGATION }, { cookie, kind: SCRIPT }]) {
    assert.ok(await isRecognised(app, newPath(), options), JSON.stringify(options));
  }
  assert.ok(!(await isRecognised(app, newPath(), { cookie: `${SSO}=${token}` })), "the application's cookie opens a session");
  assert.ok(!(await isRecognised(app, newPath(), { cookie, bearer: token })), "two credentials");
});

test("what the origin receives the second time is what it received the first time, but for what the client changed", async () => {
  const { cookie } = await app.signIn();
  const ray = (n) => ["CF-Ray", `8f0c2b7d4e5a6b${n}c-FRA`];
  const headers = [["User-Agent", "one"], ["CF-Connecting-IP", "203.0.113.9"], ["X-Forwarded-User", "root"], ["X_Forwarded_Email", "root@x"], ["X-Custom", "kept"], ["X-Real-IP", "1.2.3.4"]];
  for (const kind of [NAVIGATION, SCRIPT, CLIENT]) {
    const options = { kind, cookie: `theme=dark; ${cookie}; x="a b"` };
    const path = newPath();
    const first = await app.send("GET", path, { ...options, headers: [...headers, ray(1)] });
    assert.equal(first.status, 200);
    assert.ok(!first.seen.headers.names.includes("x-request-id") && first.seen.header("x-forwarded-for") === "203.0.113.9");
    for (let n = 2; n < 6; n += 1) {
      const changed = headers.map(([name, value]) => [name, name === "User-Agent" ? `agent ${n}` : value]);
      const next = await app.send("GET", `${path}/${n}?n=%2${n}&${n}`, { ...options, headers: [...changed, ray(n)] });
      const expected = received(first.seen);
      expected.url = `${path}/${n}?n=%2${n}&${n}`;
      expected.headers = expected.headers.map(([name, value]) => {
        if (name.toLowerCase() === "user-agent") return [name, `agent ${n}`];
        return name.toLowerCase() === "cf-ray" ? [name, ray(n)[1]] : [name, value];
      });
      assert.deepEqual(received(next.seen), expected);
      assert.equal(next.headers.get("cache-control"), "private");
      assert.match(next.headers.get("vary"), /Cookie, Authorization/);
    }
  }
});

test("each request has a name of its own, the CDN's or ours", async () => {
  const { cookie } = await app.signIn();
  const names = new Set();
  for (let n = 0; n < 5; n += 1) names.add((await app.client(newPath(), { cookie })).seen.header("x-request-id"));
  assert.equal(names.size, 5);
  assert.ok([...names].every((name) => /^[0-9a-f]+-\d+$/.test(name)), [...names].join());
  const named = (ray) => app.client(newPath(), { cookie, headers: { "CF-Ray": ray } });
  for (const ray of ["abc-1", "abc-2", "no ray", "abc-3", "", "abc-4"]) {
    const { seen } = await named(ray);
    assert.equal(seen.header("cf-ray") ?? "", ray);
    assert.equal(seen.header("x-request-id") === undefined, /^\w+-\d$/.test(ray), ray);
  }
});

test("bodies stream as they are, with their own length", async () => {
  const { cookie } = await app.signIn();
  for (const body of ["", "a", "b".repeat(100_000), "cc", ""]) {
    const answer = await app.send("POST", newPath(), { cookie, kind: SCRIPT, body, headers: [["Origin", app.origin], ["Content-Type", `text/${body.length}`]] });
    assert.equal(answer.status, 200);
    assert.equal(answer.seen.body.size, body.length);
    assert.equal(answer.seen.header("content-type"), `text/${body.length}`);
  }
});

test("SEC-43, SEC-26: nobody is taken for another, whatever they share", async () => {
  const people = await Promise.all(Array.from({ length: 6 }, () => app.signIn()));
  for (let round = 0; round < 4; round += 1) {
    const answers = await Promise.all(
      people.flatMap(({ cookie, user }) => [SCRIPT, NAVIGATION].map(async (kind) => [user, (await app.send("GET", newPath(), { cookie, kind })).seen])),
    );
    for (const [user, seen] of answers) {
      assert.equal(seen.header("x-forwarded-user"), user.id);
      assert.equal(seen.header("remote-email"), user.email);
    }
  }
  const [anna, bert] = people;
  for (const [cookie, who] of [[`${anna.cookie}; a=1`, anna], [`${bert.cookie}; a=1`, bert], [`${anna.cookie}; a=2`, anna]]) {
    for (let n = 0; n < 3; n += 1) assert.equal((await app.client(newPath(), { cookie })).seen.header("x-forwarded-user"), who.user.id);
  }
  const cut = anna.cookie.slice(0, -1);
  for (let n = 0; n < 2; n += 1) assert.equal((await app.client(newPath(), { cookie: cut })).status, 401);
});

test("SEC-33, SEC-65: no path gets by that would not the whole way", async () => {
  const { cookie } = await app.signIn();
  const warm = await app.client(newPath(), { cookie });
  assert.equal(warm.status, 200);
  for (const [path, status] of [["/a%2fb", 400], ["/a;b", 400], ["/a%00", 400], ["/%zz", 400], ["/api/sso/x", 404], ["/API/sso/me", 404], ["/api/sso/users", 401]]) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, status, path);
    assert.deepEqual(world.origin.about(path), []);
  }
  for (const [path, url] of [["//a", "/a"], ["/a/../b", "/b"], ["/%61", "/a"], ["/a?", "/a"], ["/.%2e/a", "/a"], ["/é".normalize(), "/%C3%A9"]]) {
    const answer = await app.client(encodeURI(path).replaceAll("%25", "%"), { cookie });
    assert.equal(answer.seen.url, url, path);
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
  assert.equal((await ask("/admin/b")).seen.header("x-forwarded-groups"), "admin");
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
    assert.ok(await isRecognised(app, newPath(), { cookie: person.cookie }));
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
  const ask = async () => (await app.client(newPath(), { cookie })).seen.header("x-forwarded-preferred-username");
  const before = await ask();
  assert.equal(await ask(), before);
  await app.admin("PATCH", `/api/sso/users/${user.id}`, { username: `new-${user.id}` });
  assert.equal(await ask(), `new-${user.id}`);
  assert.equal(await ask(), `new-${user.id}`);
});

test("SEC-45, SEC-40: another site's page and a WebSocket are asked about each time", async () => {
  const { cookie } = await app.signIn();
  const post = (headers) => app.send("POST", newPath(), { cookie, kind: [], headers });
  const own = [["Origin", app.origin], ["Sec-Fetch-Site", "same-origin"]];
  assert.equal((await post(own)).status, 200);
  assert.equal((await post(own)).status, 200);
  assert.equal((await post([["Origin", "https://evil.test"], ["Sec-Fetch-Site", "cross-site"]])).status, 403);
  assert.equal((await post([["Origin", "https://evil.test"], ["Sec-Fetch-Site", "same-origin"]])).status, 200, "Sec-Fetch-Site decides");
  assert.equal((await post([["Origin", "null"]])).status, 403);
});

test("another host of the same site is told as such, and pages of listed origins may read each answer", async () => {
  const { cookie } = await app.signIn();
  for (const host of ["app.example.test", "also.example.test", "app.example.test", "also.example.test"]) {
    assert.equal((await app.client(newPath(), { cookie, host })).seen.header("x-forwarded-host"), host);
  }
  assert.equal((await app.client(newPath(), { cookie, host: "evil.example.test" })).status, 404);
  const cors = world.site("CORS");
  const person = await cors.signIn();
  for (let n = 0; n < 3; n += 1) {
    const answer = await cors.client(newPath(), { cookie: person.cookie, headers: { Origin: "https://page.example.test" } });
    assert.equal(answer.headers.get("access-control-allow-origin"), "https://page.example.test");
    assert.match(answer.headers.get("vary"), /Origin/);
    const plain = await cors.client(newPath(), { cookie: person.cookie });
    assert.equal(plain.headers.get("access-control-allow-origin"), undefined);
  }
});

test("an origin that is gone is told of as the first time", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  assert.equal((await app.client(path, { cookie })).status, 200);
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
    for (let n = 0; n < 2; n += 1) {
      const { seen } = await app.client(newPath(), { cookie, headers: [["X-Bytes", bytes], ["Referer", `x${bytes}`]] });
      const value = (name) => seen.headers.list.find(([key]) => key.toLowerCase() === name)[1];
      assert.deepEqual([value("x-bytes"), value("referer")], [bytes, `x${bytes}`]);
    }
  }
});

test("many callers and many kinds of requests push each other out, and each is answered as who they are", async () => {
  const { cookie, user } = await app.signIn();
  const ask = (n) => app.client(newPath(), { cookie: `n=${n}; ${cookie}`, headers: { "X-Kind": String(n % 7) } });
  for (let from = 0; from < 1200; from += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(from + n)));
    for (const [n, { seen }] of answers.entries()) {
      assert.equal(seen.header("x-forwarded-user"), user.id);
      assert.equal(seen.header("cookie"), `n=${from + n}`);
      assert.equal(seen.header("x-kind"), String((from + n) % 7));
    }
  }
  assert.ok(await isRecognised(app, newPath(), { cookie }));
});

test("one isolate's memory is not another's", async () => {
  const { cookie, user } = await app.signIn();
  assert.ok(await isRecognised(app, newPath(), { cookie }));
  assert.equal((await other.client(newPath(), { cookie })).seen.header("x-forwarded-user"), user.id);
  assert.ok(valueOf(cookie).length > 100);
});

test("SEC-72: a new instance of the core knows nothing of what the last one has decided", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-restart-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/restarting.js", import.meta.url)), script);
  const restarting = await startWorld({ script, sites: { APP: { assertion: {} } } });
  try {
    const site = restarting.site("APP");
    const [anna, bert] = [await site.signIn(), await site.signIn()];
    const ask = ({ cookie }, headers) => site.client(newPath(), { cookie, headers });
    assert.equal((await ask(anna)).seen.header("x-forwarded-user"), anna.user.id);
    // Each is the first whom its instance remembers.
    const afresh = await ask(bert, { "X-Test-Restart": "now" });
    assert.equal(afresh.seen.header("x-forwarded-user"), bert.user.id);
    assert.equal((await site.send("POST", "/api/sso/logout", { cookie: anna.cookie })).status, 200);
    assert.equal((await ask(anna)).status, 401, "not judged as somebody else");
    for (let n = 0; n < 2; n += 1) {
      const { seen } = await ask(bert);
      assert.equal(decodeJwt(seen.header("x-edgeward-assertion")).sub, bert.user.id);
    }
  } finally {
    await restarting.stop();
    rmSync(folder, { recursive: true });
  }
});

// What remembers, by itself.

const HEAD = ["GET", "https://a.test/b?c", "accept", "*/*", "cf-ray", "r-1", "cookie", "s=1", "referer", "x", "x-real-ip", "1"];

function remembered(head = HEAD) {
  forget();
  withhold("referer\nx-real-ip");
  const headers = new Headers({ accept: "*/*", "cf-ray": "r-1", cookie: "", referer: "x", "x-forwarded-user": "u" });
  remember([...head], { id: 7, from: 14, base: "http://origin" }, headers, new Set(["cookie", "x-forwarded-user", "x-real-ip"]), {});
}

const changed = (changes) => HEAD.map((line, at) => changes[at] ?? line);

test("a head is recognised if it differs in nothing that the core was told", () => {
  remembered();
  for (const changes of [{}, { 1: "https://a.test/other" }, { 5: "r-2" }, { 9: "y" }, { 11: "2, 3" }]) {
    assert.equal(recognise(changed(changes))?.id, 7, JSON.stringify(changes));
  }
  for (const changes of [{ 0: "HEAD" }, { 3: "text/html" }, { 7: "s=2" }, { 2: "accept2" }, { 8: "referes" }, { 9: "é" }, { 9: "a, b" }, { 9: "a\tb" }]) {
    assert.equal(recognise(changed(changes)), undefined, JSON.stringify(changes));
  }
  assert.equal(recognise(HEAD.slice(0, -2)), undefined);
  assert.equal(recognise([...HEAD, "x-z", "1"]), undefined);
  assert.equal(recognise(["GET", "https://a.test/"]), undefined);
});

test("what changed is sent on, and only what the origin gets", () => {
  remembered();
  const again = (changes) => {
    const head = changed(changes);
    return repeated(recognise(head), head);
  };
  const first = again({ 1: "https://a.test/x?y", 5: "r-2", 9: "y", 11: "9" });
  assert.equal(first.url, "http://origin/x?y");
  assert.deepEqual([...first.headers], [["accept", "*/*"], ["cf-ray", "r-2"], ["cookie", ""], ["referer", "y"], ["x-forwarded-user", "u"]]);
  const back = again({});
  assert.equal(back.headers.get("referer"), "x");
  assert.equal(back.headers.get("cf-ray"), "r-1");
});

test("a head that is long, or has no credential, or bytes that are no ASCII, is not remembered", () => {
  for (const head of [changed({ 7: "s".repeat(9000) }), changed({ 9: "é" }), changed({ 6: "cookies" })]) {
    remembered(head);
    assert.equal(recognise(head), undefined);
  }
});

test("of a caller four kinds of requests are kept, and of callers the last five hundred and twelve", () => {
  remembered();
  const put = (head) => remember(head, { id: 1, from: 14, base: "" }, new Headers(), new Set(), {});
  for (let n = 0; n < 4; n += 1) put(changed({ 3: `kind ${n}` }));
  assert.equal(recognise(HEAD), undefined);
  for (let n = 0; n < 4; n += 1) assert.ok(recognise(changed({ 3: `kind ${n}` })));
  for (let n = 0; n < 9; n += 1) put(changed({ 3: "kind 0", 9: `referer ${n}` }));
  assert.ok(recognise(changed({ 3: "kind 3" })), "the same kind again takes no place");
  for (let n = 0; n < 512; n += 1) put(changed({ 7: `caller ${n}` }));
  assert.equal(recognise(changed({ 3: "kind 0" })), undefined);
  assert.ok(recognise(changed({ 7: "caller 0" })) && recognise(changed({ 7: "caller 511" })));
  forget();
  assert.equal(recognise(changed({ 7: "caller 511" })), undefined);
});
