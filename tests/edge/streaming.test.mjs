// Bodies in both directions, redirects, cookies of the origin, and WebSockets.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { Headers, parseSetCookie } from "./lib/http.mjs";
import { expiredSsoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const MEGABYTE = 1024 * 1024;

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {string} */
let cookie;
/** @type {User} */
let user;
before(async () => {
  world = await startWorld({ sites: { APP: { trusted_origins: ["https://portal.example.test"] }, PASS: { unauthenticated: "pass" } } });
  app = world.site("APP");
  ({ cookie, user } = await app.signIn());
});
after(() => world?.stop());

test("the origin's answer begins before the upload has ended", async () => {
  const path = newPath();
  world.origin.on(path, async (request, response) => {
    const [first] = await once(request, "data");
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.write(`got ${first.length}\n`);
    for await (const _ of request);
    response.end("end\n");
  });
  const exchange = app.open("POST", path, { cookie, headers: { Origin: app.origin, "Transfer-Encoding": "chunked" } });
  await exchange.write("x".repeat(1000));
  const answer = await exchange.answer;
  assert.equal(answer.statusCode, 200);
  const [first] = await once(answer, "data");
  assert.equal(String(first), "got 1000\n");
  await exchange.write("more");
  exchange.end();
  const [last] = await once(answer, "data");
  assert.equal(String(last), "end\n");
});

test("the first bytes of an answer arrive before the last are sent", async () => {
  const path = newPath();
  /** @type {() => unknown} */
  let finish = () => assert.fail("the origin was not asked");
  world.origin.on(path, (request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("data: first\n\n");
    finish = () => response.end("data: last\n\n");
  });
  const exchange = app.open("GET", path, { cookie, kind: SCRIPT });
  exchange.end();
  const answer = await exchange.answer;
  assert.equal(answer.headers["content-type"], "text/event-stream");
  const [first] = await once(answer, "data");
  assert.equal(String(first), "data: first\n\n");
  finish();
  const [last] = await once(answer, "data");
  assert.equal(String(last), "data: last\n\n");
});

test("a client that goes away ends the request at the origin", async () => {
  const path = newPath();
  const gone = new Promise((resolve) => {
    world.origin.on(path, (request, response) => {
      response.writeHead(200);
      // The runtime notices at the next bytes that nobody is there to take them.
      const more = setInterval(() => response.write("more"), 20);
      response.on("close", () => resolve(clearInterval(more)));
    });
  });
  const exchange = app.open("GET", path, { cookie });
  exchange.end();
  const answer = await exchange.answer;
  await once(answer, "data");
  exchange.request.destroy();
  await gone;
});

/** @param {number} size */
async function upload(size) {
  const chunk = randomBytes(MEGABYTE);
  const hash = createHash("sha256");
  const exchange = app.open("PUT", newPath(), {
    cookie,
    headers: { Origin: app.origin, "Content-Length": String(size * MEGABYTE), "Content-Type": "application/octet-stream" },
  });
  let peak = 0;
  for (let i = 0; i < size; i++) {
    hash.update(chunk);
    await exchange.write(chunk);
    peak = Math.max(peak, world.memory);
  }
  exchange.end();
  const answer = await exchange.answer;
  const parts = [];
  for await (const part of answer) parts.push(part);
  return { seen: JSON.parse(Buffer.concat(parts).toString()), sha256: hash.digest("hex"), peak };
}

test("an upload of 100 MB arrives whole and passes in constant memory", async () => {
  const small = await upload(8);
  assert.equal(small.seen.body.sha256, small.sha256);
  const before = world.memory;
  const { seen, sha256, peak } = await upload(100);
  assert.equal(seen.body.size, 100 * MEGABYTE);
  assert.equal(seen.body.sha256, sha256);
  const grown = (Math.max(peak, world.memory) - before) / MEGABYTE;
  assert.ok(grown < 64, `${grown.toFixed(0)} MB more`);
});

test("a download of 100 MB arrives whole and passes in constant memory", async () => {
  const chunk = randomBytes(MEGABYTE);
  const path = newPath();
  world.origin.on(path, async (request, response) => {
    response.writeHead(200, { "Content-Length": 100 * MEGABYTE });
    for (let i = 0; i < 100; i++) if (!response.write(chunk)) await once(response, "drain");
    response.end();
  });
  const before = world.memory;
  const exchange = app.open("GET", path, { cookie });
  exchange.end();
  let size = 0;
  let peak = 0;
  for await (const part of await exchange.answer) {
    size += part.length;
    peak = Math.max(peak, size % (8 * MEGABYTE) < part.length ? world.memory : 0);
  }
  assert.equal(size, 100 * MEGABYTE);
  const grown = (peak - before) / MEGABYTE;
  assert.ok(grown < 64, `${grown.toFixed(0)} MB more`);
});

test("SEC-40: redirects are passed on, not followed", async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    for (const to of ["/elsewhere", "https://other.test/x?y=1#z", "relative/path", "?only=query"]) {
      const path = newPath();
      const target = to === "/elsewhere" ? newPath() : to;
      world.origin.on(path, (request, response) => response.writeHead(status, { Location: target }).end());
      const answer = await app.client(path, { cookie });
      assert.equal(answer.status, status);
      assert.equal(answer.location, target);
      if (target.startsWith("/")) assert.deepEqual(world.origin.about(target), [], "nobody went there");
    }
  }
});

test("status, headers and body of the origin's answer come through", async () => {
  for (const status of [200, 201, 202, 206, 400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503]) {
    const path = newPath();
    world.origin.on(path, (request, response) =>
      response
        .writeHead(status, { "Content-Type": "text/plain; charset=utf-8", ETag: '"x"', "X-Own": "1", "WWW-Authenticate": 'Basic realm="app"' })
        .end(`body ${status}`),
    );
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, status);
    assert.equal(answer.text, `body ${status}`);
    assert.equal(answer.headers.get("etag"), '"x"');
    assert.equal(answer.headers.get("x-own"), "1");
    assert.equal(answer.headers.get("www-authenticate"), 'Basic realm="app"');
  }
  for (const status of [204, 304]) {
    const path = newPath();
    world.origin.on(path, (request, response) => response.writeHead(status, { ETag: '"y"' }).end());
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, status);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers.get("etag"), '"y"');
  }
});

test("a compressed answer comes through as it is", async () => {
  const { gzipSync } = await import("node:zlib");
  const body = gzipSync("hello ".repeat(100));
  const path = newPath();
  world.origin.on(path, (request, response) => response.writeHead(200, { "Content-Encoding": "gzip", "Content-Type": "text/plain" }).end(body));
  const answer = await app.client(path, { cookie, headers: { "Accept-Encoding": "gzip" } });
  assert.equal(answer.headers.get("content-encoding"), "gzip");
  const { gunzipSync } = await import("node:zlib");
  assert.equal(gunzipSync(answer.body).toString(), "hello ".repeat(100));
});

test("the origin's cookies come through one by one, in order, byte for byte, next to ours", async () => {
  const own = ["sessionid=abc; Path=/; HttpOnly; Expires=Wed, 21 Oct 2037 07:28:00 GMT", "csrftoken=x,y; Path=/a", 'odd="a b"', "empty="];
  const path = newPath();
  world.origin.on(path, (request, response) => response.writeHead(200, { "Set-Cookie": own }).end("x"));
  const plain = await app.client(path, { cookie });
  assert.deepEqual(plain.headers.all("set-cookie"), own);
  const someone = await app.createUser();
  const signingIn = await app.navigate(path, { cookie: `${SSO}=${await app.issue(someone.email)}` });
  const all = signingIn.headers.all("set-cookie");
  assert.deepEqual(
    all.filter((line) => own.includes(line)),
    own,
  );
  assert.equal(all.length, own.length + 2, "and our two");
});

test("an origin that cannot be reached or breaks off is a 5xx of ours without details", async () => {
  const path = newPath();
  world.origin.on(path, (request) => request.socket.destroy());
  const answer = await app.client(path, { cookie });
  assert.ok(answer.status >= 500 && answer.status <= 504, String(answer));
  assert.ok(!answer.text.includes(String(world.origin.port)) && !answer.text.includes("127.0.0.1"), String(answer));
});

test("a WebSocket upgrade works both ways for those who are signed in, from the site's own pages", async () => {
  const path = newPath();
  const socket = await app.webSocket(path, {
    cookie: `a=1; ${cookie}; b=2`,
    headers: { Origin: app.origin, "X-Forwarded-User": "forged", "Sec-WebSocket-Protocol": "chat, other" },
  });
  assert.equal(socket.status, 101, String(socket));
  assert.ok(socket.accepted);
  assert.equal(socket.headers.get("sec-websocket-protocol"), "chat");
  assert.equal(await socket.echo("hello"), "echo: hello");
  assert.equal(await socket.echo("ü".repeat(5000)), `echo: ${"ü".repeat(5000)}`);
  const seen = JSON.parse(await socket.echo("what did you see"));
  socket.close();
  const headers = new Headers(seen.headers);
  assert.equal(headers.get("x-forwarded-user"), user.id);
  assert.equal(headers.get("cookie"), "a=1; b=2");
  assert.ok(!JSON.stringify(seen).includes(cookieValue(cookie)));
});

test("SEC-45: a WebSocket with a cookie needs an allowed Origin", async () => {
  const path = newPath();
  const token = await app.issue(user.email);
  for (const Origin of [
    "https://evil.test",
    "null",
    "http://app.example.test.evil.test",
    "http://evilapp.example.test",
    "http://app.example.test:81",
    "https://app.example.test.",
    "",
    undefined,
  ]) {
    for (const credential of [cookie, `${SSO}=${token}`]) {
      const answer = await app.webSocket(path, { cookie: credential, headers: Origin === undefined ? {} : { Origin } });
      assert.equal(answer.status, 403, `${Origin}: ${answer}`);
    }
  }
  assert.deepEqual(world.origin.about(path), []);
  for (const Origin of [app.origin, "https://portal.example.test"]) {
    const socket = await app.webSocket(path, { cookie, headers: { Origin } });
    assert.equal(socket.status, 101, Origin);
    socket.close();
  }
});

test("an expired SSO cookie is cleared by the answer that opens a WebSocket, too", async () => {
  const socket = await app.webSocket("/ws", { cookie: `${cookie}; ${SSO}=${expiredSsoToken(app, user)}`, headers: { Origin: app.origin } });
  assert.equal(socket.status, 101, String(socket));
  assert.equal(await socket.echo("hello"), "echo: hello");
  socket.close();
  const cleared = socket.headers
    .all("set-cookie")
    .map(parseSetCookie)
    .find(({ name }) => name === SSO);
  assert.ok(cleared?.cleared, JSON.stringify(socket.headers.list));
});

test("SEC-45: a WebSocket without a good credential is refused before it is opened", async () => {
  const path = newPath();
  for (const options of [{}, { cookie: `__Host-edgeward=${tampered(cookieValue(cookie))}` }, { cookie: `${SSO}=${expiredSsoToken(app, user)}` }]) {
    const answer = await app.webSocket(path, { ...options, headers: { Origin: app.origin } });
    assert.equal(answer.status, 401, String(answer));
  }
  assert.deepEqual(world.origin.about(path), []);
});

test("a WebSocket with a bearer token needs no Origin, and its token stays here", async () => {
  const token = await app.issue(user.email);
  const socket = await app.webSocket("/ws", { bearer: token });
  assert.equal(socket.status, 101, String(socket));
  const seen = JSON.parse(await socket.echo("what did you see"));
  socket.close();
  assert.ok(!JSON.stringify(seen).includes(token));
  assert.equal(new Headers(seen.headers).get("x-forwarded-user"), user.id);
});

test("a WebSocket with a token in the query loses it on the way", async () => {
  const token = await app.issue(user.email);
  const socket = await app.webSocket(`/ws?a=1&token=${token}&b=2`, { headers: { Origin: app.origin } });
  assert.equal(socket.status, 101, String(socket));
  const seen = JSON.parse(await socket.echo("what did you see"));
  socket.close();
  assert.equal(seen.url, "/ws?a=1&b=2");
});

test("SEC-28: an anonymous WebSocket brings no identity", async () => {
  const socket = await world
    .site("PASS")
    .webSocket("/ws", { headers: { Origin: "https://evil.test", "X-Forwarded-User": "forged", X_Forwarded_User: "forged" } });
  assert.equal(socket.status, 101, String(socket));
  const seen = JSON.parse(await socket.echo("what did you see"));
  socket.close();
  assert.ok(!JSON.stringify(seen).includes("forged"));
});
