// Rows of public bug reports about proxies of this kind: what must pass a proxy as it came, in both directions. The names of
// the tests begin with the row.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { newPath, startWorld } from "./lib/world.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {net.Server} An origin that answers with these bytes. */
let raw;
let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
before(async () => {
  raw = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(Buffer.from(bytes, "latin1")));
  });
  await once(raw.listen(0, "127.0.0.1"), "listening");
  const { port } = /** @type {AddressInfo} */ (raw.address());
  world = await startWorld({
    sites: {
      APP: {},
      PASS: { unauthenticated: "pass" },
      RAW: { upstream: `http://127.0.0.1:${port}` },
      RAWPASS: { upstream: `http://127.0.0.1:${port}`, unauthenticated: "pass" },
      LETS: { unauthenticated: "pass", identity_headers: [], client_headers: ["x-user-id", "x-auth-user", "x-original-filename"] },
    },
  });
});
after(async () => {
  await world?.stop();
  raw?.close();
});

/**
 * A request with these header lines, as they are: one character is one byte.
 * @param {string} name
 * @param {string} target
 * @param {string[]} lines
 */
function ask(name, target, lines) {
  const site = world.site(name);
  return exchangeRaw({
    port: site.port,
    text: `GET ${target} HTTP/1.1\r\nHost: ${site.host}\r\n${lines.map((line) => `${line}\r\n`).join("")}Connection: close\r\n\r\n`,
  });
}

test("C4: cookies that are not UTF-8 keep their bytes where no cookie of ours is taken out; otherwise the runtime writes U+FFFD for them", async () => {
  const { cookie } = await world.site("APP").signIn();
  assert.equal((await ask("PASS", "/", ["Cookie: n=caf\xe9; b=\x80\xff"])).seen.header("cookie"), "n=caf\xe9; b=\x80\xff");
  assert.equal((await ask("APP", "/", [`Cookie: u=caf\xc3\xa9; ${cookie}; v=\xf0\x9f\x98\x80`])).seen.header("cookie"), "u=caf\xc3\xa9; v=\xf0\x9f\x98\x80");
  assert.equal((await ask("APP", "/", [`Cookie: n=caf\xe9; ${cookie}`])).seen.header("cookie"), "n=caf\xef\xbf\xbd");
});

test("C5: quotes, pairs without a name or a sign, JSON, commas and 180 cookies stay as they are, and the session is found among them", async () => {
  const { user, cookie } = await world.site("APP").signIn();
  const many = Array.from({ length: 180 }, (_, n) => `own-${n}=${"x".repeat(60)}==`);
  for (const list of [['q="a b"', "=x", "none", 'j={"a":[1,2]}', "c=1,2", "e==", "s=a=b=="], many]) {
    const half = list.length >> 1;
    const { seen } = await world.site("APP").client("/", { cookie: list.toSpliced(half, 0, cookie).join("; ") });
    assert.equal(seen.header("cookie"), list.join("; "));
    assert.equal(seen.header("x-forwarded-user"), user.id);
  }
});

test("C5, SEC-50: of two Cookie lines, which arrive as one with a comma, a session counts in the first place only; none of either reaches the origin", async () => {
  const { cookie } = await world.site("APP").signIn();
  const passing = await world.site("PASS").signIn();
  for (const [lines, status] of /** @type {[string[], number][]} */ ([
    [[`Cookie: ${cookie}; a=1`, "Cookie: b=2"], 200],
    [[`Cookie: a=1; ${cookie}; c=3`, "Cookie: b=2"], 200],
    [["Cookie: b=2; c=3", `Cookie: a=1; ${cookie}; d=4`], 200],
    [["Cookie: b=2", `Cookie: ${cookie}; a=1`], 401],
    [[`Cookie: b=2, ${cookie}; a=1`], 401],
  ])) {
    const path = newPath();
    const answer = await ask("APP", path, lines);
    assert.equal(answer.status, status, String(lines));
    const seen = world.origin.about(path);
    assert.equal(seen.length, status === 200 ? 1 : 0);
    assert.ok(!JSON.stringify(seen).includes("eyJ"));
    const open = await ask(
      "PASS",
      newPath(),
      lines.map((line) => line.replace(cookie, passing.cookie)),
    );
    assert.deepEqual([open.status, open.seen.header("x-forwarded-user")], [200, status === 200 ? passing.user.id : undefined], String(lines));
    assert.ok(!JSON.stringify(open.seen.headers.list).includes("eyJ"), String(lines));
  }
});

test("Q3: a query stays byte for byte: semicolons, brackets, bad escapes, repeats, empty ones", async () => {
  const { cookie } = await world.site("APP").signIn();
  for (const query of ["?a=1;b=2", "?a[]=1&a[]=2", "?a=%zz&b=%", "?x&x&x=", "?&&=", "?q=a+b%20c%2B", "?a=|^`{}", "??", "?redirect=https://x/?y=1&z"]) {
    assert.equal((await ask("APP", `/a${query}`, [`Cookie: ${cookie}`])).seen.url, `/a${query}`);
  }
  assert.equal((await ask("APP", "/a?q='x'", [`Cookie: ${cookie}`])).seen.url, "/a?q=%27x%27", "the runtime escapes an apostrophe");
});

test("H3: a client's own headers arrive unless this site sets them", async () => {
  const sent = { "X-User-Id": "v1", "X-Auth-User": "v2", "X-Original-Filename": "v3", "X-Request-Id": "v4" };
  const { seen } = await world.site("LETS").client("/", { headers: sent });
  for (const [name, value] of Object.entries(sent)) assert.equal(seen.header(name.toLowerCase()), value);
});

test("H5: a name beyond ASCII arrives in a form that decodeURIComponent undoes", async () => {
  for (const first_name of ["Дима", "100%", "%41", "Zoë Ångström", "李"]) {
    const app = world.site("APP");
    const { cookie } = await app.signIn(await app.createUser({ first_name, last_name: "x" }));
    const { seen } = await app.client("/", { cookie });
    assert.match(seen.headers.need("remote-name"), /^[ -~]+$/);
    assert.equal(decodeURIComponent(seen.headers.need("remote-name")), `${first_name} x`);
  }
});

test("H7: the bytes of an answer's headers stay, in UTF-8, in Latin-1 or in neither, with its cookies", async () => {
  const headers = [
    "X-Utf8: caf\xc3\xa9",
    "X-Latin: caf\xe9",
    "X-Bytes: \x80\xff",
    "Content-Disposition: attachment; filename=\xe9.txt",
    "Set-Cookie: a=\xe9; Path=/",
  ];
  const { cookie } = await world.site("RAW").signIn();
  for (const [name, lines, more] of /** @type {[string, string[], string][]} */ ([
    ["RAW", [`Cookie: ${cookie}`], ""],
    ["RAW", [`Cookie: ${cookie}`], "Cache-Control: no-store\r\n"],
    ["RAW", [`Cookie: ${cookie}`], `Location: ${world.site("RAW").origin}/caf%C3%A9\r\n`],
    ["RAWPASS", [], ""],
  ])) {
    bytes = `HTTP/1.1 200 OK\r\n${headers.join("\r\n")}\r\n${more}Content-Length: 0\r\nConnection: close\r\n\r\n`;
    const answer = await ask(name, "/", lines);
    for (const header of headers) {
      const [key, value] = header.split(": ");
      assert.deepEqual(answer.headers.all(key.toLowerCase()), [value], `${name} ${key}`);
    }
  }
});

test("B2: HEAD, 206 and 304 keep length, range and validators, whoever asks", async () => {
  const { cookie } = await world.site("APP").signIn();
  for (const [name, options] of /** @type {[string, { cookie?: string }][]} */ ([
    ["APP", { cookie }],
    ["PASS", {}],
  ])) {
    for (const [method, status, headers] of /** @type {[string, number, Record<string, string>][]} */ ([
      ["HEAD", 200, { "content-length": "1234", etag: '"h"', "accept-ranges": "bytes" }],
      ["GET", 206, { "content-length": "4", "content-range": "bytes 0-3/1234", etag: '"r"' }],
      ["GET", 304, { etag: '"n"', "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT" }],
    ])) {
      const path = newPath();
      world.origin.on(path, (_, response) => {
        response.writeHead(status, headers);
        response.end(status === 206 ? "body" : "");
      });
      const answer = await world.site(name).send(method, path, options);
      assert.equal(answer.status, status);
      assert.equal(answer.text, status === 206 ? "body" : "");
      for (const [key, value] of Object.entries(headers)) assert.equal(answer.headers.get(key), value, `${name} ${method} ${status} ${key}`);
    }
  }
});
