// The public name and the upstream's: what the origin is told of where a request comes from and goes to, and what a client
// learns of the origin's answer. And that no answer of the origin touches a cookie of Edgeward.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let untranslated;
/** @type {Site} */
let dav;
/** The upstream's origin. */
let upstream = "";
before(async () => {
  world = await startWorld({
    sites: {
      APP: {},
      UNTRANSLATED: { translate: false },
      PASS: { unauthenticated: "pass" },
      SHARED: { cors: { origins: ["https://spa.example.test"], credentials: false } },
      DAV: {
        unauthenticated: undefined,
        rules: [
          { prefix: "/drop", public: true },
          { prefix: "/admin", require: { role: "admin" } },
          { prefix: "/read", method: ["GET", "PROPFIND"], require: { authenticated: true } },
          { prefix: "/upload", method: ["PUT"], deny: true },
          { prefix: "/archive", method: ["DELETE"], require: { role: "editor" } },
          { prefix: "/secret", method: ["GET"], require: { role: "reader" } },
          { prefix: "/", require: { authenticated: true } },
        ],
      },
    },
  });
  app = world.site("APP");
  untranslated = world.site("UNTRANSLATED");
  dav = world.site("DAV");
  upstream = world.origin.url;
});
after(() => world?.stop());

test("H1: the origin sees its own name in Origin and Referer, and the path that follows", async () => {
  const { cookie } = await app.signIn();
  for (const kind of [SCRIPT, NAVIGATION]) {
    for (const _ of [1, 2]) {
      const { seen } = await app.send("POST", "/form", { kind, cookie, body: "a", headers: { Origin: app.origin, Referer: `${app.origin}/form?a=%2F&b#c` } });
      assert.equal(seen.header("origin"), upstream);
      assert.equal(seen.header("referer"), `${upstream}/form?a=%2F&b#c`);
      assert.equal(seen.header("host"), new URL(upstream).host);
      assert.equal(seen.header("x-forwarded-host"), app.host);
    }
  }
  const { seen } = await app.script("/a", { cookie, headers: { Referer: `${app.origin.toUpperCase().replace("HTTP:", "http:")}:80/x` } });
  assert.equal(seen.header("referer"), `${upstream}/x`);
  const bare = await app.client("/a", { cookie });
  assert.deepEqual([bare.seen.header("origin"), bare.seen.header("referer")], [undefined, undefined]);
});

test("SEC-93: a page elsewhere, or what looks like one of this site, never gets the origin's own name", async () => {
  const { cookie } = await app.signIn();
  const foreign = [
    "null",
    `${app.origin}.evil`,
    `${app.origin}@evil`,
    `http://user@${app.host}`,
    `${app.origin}:8443`,
    `${app.origin}.`,
    `https://${app.host}`,
    `http://x${app.host}`,
    `${app.origin}, ${app.origin}`,
    world.site("PASS").origin,
    `//${app.host}`,
    `http://evil/${app.origin}`,
  ];
  for (const name of ["Origin", "Referer"]) {
    for (const value of foreign) {
      const { seen } = await app.client("/a", { cookie, headers: { [name]: value } });
      assert.equal(seen.header(name.toLowerCase()), value, name);
    }
  }
  // A page elsewhere may not act with this site's cookies, whatever the origin would have made of it.
  for (const value of foreign) {
    const answer = await app.send("POST", "/a", { cookie, headers: { Origin: value } });
    const expected = value === `${app.origin}.` ? 200 : 403;
    assert.equal(answer.status, expected, value);
  }
});

test("SEC-40: a Referer loses our credentials, and is translated", async () => {
  const { cookie, token } = await app.signIn();
  const { seen } = await app.client("/a", { cookie, headers: { Referer: `${app.origin}/b?x=1&token=${token}` } });
  assert.equal(seen.header("referer"), `${upstream}/b?x=1`);
});

test("with translate = false both directions stay as they are", async () => {
  const { cookie } = await untranslated.signIn();
  const headers = {
    Origin: untranslated.origin,
    Referer: `${untranslated.origin}/x`,
    Destination: `${untranslated.origin}/y`,
    If: `<${untranslated.origin}/y> (<urn:x>)`,
  };
  const { seen } = await untranslated.send("MOVE", "/x", { cookie, headers });
  for (const [name, value] of Object.entries(headers)) assert.equal(seen.header(name.toLowerCase()), value);
  const path = newPath();
  world.origin.on(path, (_, response) => {
    response.writeHead(302, { Location: `${upstream}/next`, "Set-Cookie": "a=1; Domain=127.0.0.1" });
    response.end();
  });
  const answer = await untranslated.client(path, { cookie });
  assert.deepEqual([answer.headers.get("location"), answer.headers.get("set-cookie")], [`${upstream}/next`, "a=1; Domain=127.0.0.1"]);
});

test("H6: what names the upstream in an answer is public for the client, and nothing else changes", async () => {
  const { cookie } = await app.signIn();
  /** @type {[string, string, string][]} */
  const headers = [
    ["Location", `${upstream}/next?u=${upstream}`, `${app.origin}/next?u=${upstream}`],
    ["Content-Location", `${upstream}/a.en`, `${app.origin}/a.en`],
    ["Refresh", `5; url=${upstream}/n`, `5; url=${app.origin}/n`],
    ["Link", `<${upstream}/a>; rel="next", </b>; rel=preload`, `<${app.origin}/a>; rel="next", </b>; rel=preload`],
    ["Access-Control-Allow-Origin", upstream, app.origin],
    ["X-Own", upstream, upstream],
  ];
  for (const status of [200, 201, 302, 304, 404]) {
    for (const identity of [{ cookie }, {}]) {
      const site = identity.cookie ? app : world.site("PASS");
      const path = newPath();
      world.origin.on(path, (_, response) => {
        response.writeHead(
          status,
          headers.flatMap(([name, value]) => [name, value]),
        );
        response.end();
      });
      for (const method of ["GET", "HEAD"]) {
        const answer = await site.send(method, path, identity);
        assert.equal(answer.status, status);
        for (const [name, , expected] of headers)
          assert.deepEqual(answer.headers.all(name), [expected.replaceAll(app.origin, site.origin)], `${status} ${name}`);
      }
    }
  }
});

test("H6: an answer that names other places passes as it is", async () => {
  const { cookie } = await app.signIn();
  for (const location of [
    "/next",
    "next",
    "?x",
    "https://login.example.test/?next=/",
    `${upstream}.evil/`,
    `${upstream.replace("http://", "http://x@")}/`,
    app.origin,
  ]) {
    const path = newPath();
    world.origin.on(path, (_, response) => {
      response.writeHead(302, { Location: location, "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store" });
      response.end();
    });
    const answer = await app.client(path, { cookie });
    assert.deepEqual([answer.headers.get("location"), answer.headers.get("access-control-allow-origin")], [location, "*"]);
  }
});

test("a site with cors answers for itself, whatever the origin says", async () => {
  const site = world.site("SHARED");
  const { cookie } = await site.signIn();
  const path = newPath();
  world.origin.on(path, (_, response) => {
    response.writeHead(200, { "Access-Control-Allow-Origin": upstream });
    response.end();
  });
  const answer = await site.client(path, { cookie, headers: { Origin: site.origin } });
  assert.deepEqual(answer.headers.all("access-control-allow-origin"), []);
});

test("a cookie whose Domain is the upstream's loses that attribute; the others keep every byte and their order", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  const kept = ["a=1; Path=/; HttpOnly", "b=2, c=3; Domain=example.test", "utf8=caf\xc3\xa9; Expires=Wed, 21 Oct 2099 07:28:00 GMT"];
  world.origin.on(path, (_, response) => {
    response.writeHead(200, ["Set-Cookie", kept[0], "Set-Cookie", "d=4; domain=127.0.0.1; Secure", "Set-Cookie", kept[1], "Set-Cookie", kept[2]]);
    response.end();
  });
  const answer = await app.client(path, { cookie });
  assert.deepEqual(answer.headers.all("set-cookie"), [kept[0], "d=4; Secure", kept[1], kept[2]]);
});

const TOUCHES = [
  "__Host-edgeward=forged; Path=/; Secure",
  "__Host-edgeward=; Max-Age=0; Path=/; Secure",
  "__host-edgeward=forged; Path=/; Secure",
  "  __Host-edgeward \t= forged",
  "=__Host-edgeward=forged; Path=/; Secure",
  "= __HOST-edgeward=forged",
  "==__Host-edgeward=forged",
  "__Host-edgeward",
  "__Host-edgeward-trip=/x; Path=/; Secure",
  "__Host-edgeward-browser=x; Path=/; Secure",
  "__Host-edgeward-device=x; Path=/; Secure",
];

test("SEC-91: an origin neither sets nor clears a cookie of ours, in any spelling, at any site, for anybody", async () => {
  for (const name of ["APP", "UNTRANSLATED", "PASS", "SHARED"]) {
    const site = world.site(name);
    const { cookie } = await site.signIn();
    for (const line of TOUCHES) {
      const path = newPath();
      world.origin.on(path, (_, response) => {
        response.writeHead(200, ["Set-Cookie", "first=1", "Set-Cookie", line, "Set-Cookie", "__Host-edgeward2=kept", "X-Own", "caf\xe9"]);
        response.end("body");
      });
      for (const options of name === "PASS" ? [{ cookie }, {}] : [{ cookie }]) {
        const answer = await site.client(path, options);
        assert.deepEqual([answer.status, answer.text], [200, "body"]);
        assert.deepEqual(answer.headers.all("set-cookie"), ["first=1", "__Host-edgeward2=kept"], `${name}: ${line}`);
        assert.equal(answer.headers.get("x-own"), "caf\xe9");
      }
    }
  }
});

test("SEC-91: our own cookies are set beside those of the origin, and its cookie of our name is not", async () => {
  const { user } = await app.signIn();
  const path = newPath();
  world.origin.on(path, (_, response) => {
    response.writeHead(200, ["Set-Cookie", "own=1", "Set-Cookie", "__Host-edgeward=forged; Path=/; Secure"]);
    response.end();
  });
  const answer = await app.navigate(path, { cookie: `${SSO}=${await app.issue(user.email)}` });
  assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(
    answer.cookies.map(({ name }) => name),
    ["own", "__Host-edgeward", SSO],
  );
  assert.ok(!String(answer.headers.all("set-cookie")).includes("forged"));
});

test("SEC-91: the answer that opens a WebSocket sets no cookie of ours, and its Origin is translated", async () => {
  for (const name of ["APP", "PASS"]) {
    const site = world.site(name);
    const { cookie } = await site.signIn();
    for (const options of name === "PASS" ? [{ cookie }, {}] : [{ cookie }]) {
      const socket = await site.webSocket("/sets-cookies", { ...options, headers: { Origin: site.origin } });
      assert.equal(socket.status, 101, String(socket));
      assert.deepEqual(socket.headers.all("set-cookie"), ["first=1"]);
      const seen = JSON.parse(await socket.echo("what did you see"));
      assert.equal(seen.headers[seen.headers.indexOf("Origin") + 1], upstream);
      socket.close();
    }
  }
});

test("H2: COPY and MOVE name the host that the origin knows, in Destination and If", async () => {
  const { cookie } = await dav.signIn();
  for (const method of ["COPY", "MOVE"]) {
    const headers = { Destination: `${dav.origin}/b%20c/d.txt`, If: `<${dav.origin}/b> (<urn:uuid:1> ["${dav.origin}"]) (Not <DAV:no-lock>)` };
    const { seen } = await dav.send(method, "/a", { cookie, headers });
    assert.equal(seen.header("destination"), `${upstream}/b%20c/d.txt`);
    assert.equal(seen.header("if"), `<${upstream}/b> (<urn:uuid:1> ["${dav.origin}"]) (Not <DAV:no-lock>)`);
    assert.equal((await dav.send(method, "/a", { cookie, headers: { Destination: "/b" } })).seen.header("destination"), "/b");
    const elsewhere = "https://elsewhere.example.test/b";
    assert.equal((await dav.send(method, "/a", { cookie, headers: { Destination: elsewhere } })).seen.header("destination"), elsewhere);
  }
  // Where it is no place to write to, it is a header like others.
  const other = await dav.send("POST", "/a", { cookie, headers: { Destination: "../Berlin, Hbf" } });
  assert.equal(other.seen.header("destination"), "../Berlin, Hbf");
});

test("SEC-92: nobody copies what they may not read, or moves what they may not delete", async () => {
  const { cookie } = await dav.signIn();
  const trusted = await dav.signIn(await dav.createUser({ roles: ["editor", "reader"] }));
  for (const [method, place, status] of /** @type {[string, string, number][]} */ ([
    ["MOVE", "/archive", 403],
    ["COPY", "/archive", 200],
    ["MOVE", "/secret", 403],
    ["COPY", "/secret", 403],
  ])) {
    const path = `${place}${newPath()}`;
    const headers = { Destination: "/mine/a" };
    const answer = await dav.send(method, path, { cookie, headers });
    assert.equal(answer.status, status, `${method} ${place}: ${answer}`);
    assert.equal(world.origin.about(path).length, status === 200 ? 1 : 0);
    assert.equal((await dav.send(method, path, { cookie: trusted.cookie, headers })).status, 200);
  }
});

test("SEC-92: nobody copies or moves to where they may not write, however the destination is written", async () => {
  const { cookie } = await dav.signIn();
  const admin = await dav.signIn(await dav.createUser({ roles: ["admin"] }));
  for (const method of ["COPY", "MOVE"]) {
    for (const [destination, status] of /** @type {[string, number][]} */ ([
      [`${dav.origin}/admin/x`, 403],
      [`${dav.origin.toUpperCase()}/admin/x`, 403],
      [`http://${dav.host}:80/admin/x`, 403],
      [`http://${dav.host}:81/admin/x`, 403],
      ["https://elsewhere.example.test/admin/x", 403],
      ["/admin/x", 403],
      ["/upload/x", 403],
      ["/%61dmin/x", 400],
      ["//x/admin/x", 400],
      [`http://u@${dav.host}/admin/x`, 400],
      ["/a/../admin/x", 400],
      ["/a/%2e%2e/admin/x", 400],
      ["/a/..%2fadmin/x", 400],
      ["/admin;x/y", 400],
      ["/a\\..\\admin", 400],
      ["/a, /admin/x", 400],
      ["/a?/admin/x", 400],
      ["admin/x", 400],
      ["", 400],
      [`${dav.origin}/api/sso/token`, 400],
      ["/API/SSO/x", 400],
    ])) {
      const path = newPath();
      const answer = await dav.send(method, path, { cookie, headers: { Destination: destination } });
      assert.equal(answer.status, status, `${method} ${destination}: ${answer}`);
      assert.deepEqual(world.origin.about(path), [], destination);
    }
    assert.equal((await dav.send(method, "/a", { cookie: admin.cookie, headers: { Destination: "/admin/x" } })).status, 200);
  }
  // Two lines are one value with a comma, whichever of them the origin would take.
  const path = newPath();
  const raw = ["Destination: /a", "Destination: /admin/x"].join("\r\n");
  const answer = await exchangeRaw({
    port: dav.port,
    text: `MOVE ${path} HTTP/1.1\r\nHost: ${dav.host}\r\nCookie: ${cookie}\r\n${raw}\r\nConnection: close\r\n\r\n`,
  });
  assert.equal(answer.status, 400, String(answer));
  assert.deepEqual(world.origin.about(path), []);
});

test("SEC-92: from a public path to one that is not, the caller signs in, and no other site's page makes them write", async () => {
  const { user, cookie } = await dav.signIn();
  const path = `/drop${newPath()}`;
  const to = { Destination: "/mine" };
  assert.deepEqual((await dav.send("MOVE", path, { headers: to })).status, 401);
  assert.deepEqual((await dav.send("MOVE", path, { cookie, headers: { ...to, Origin: "https://evil.example.test" } })).status, 403);
  assert.deepEqual(world.origin.about(path), []);
  const { seen } = await dav.send("MOVE", path, { cookie, headers: to });
  assert.equal(seen.header("x-forwarded-user"), user.id);
  const anonymous = await dav.send("MOVE", path, { headers: { Destination: "/drop/b" } });
  assert.deepEqual([anonymous.status, anonymous.seen.header("x-forwarded-user")], [200, undefined]);
});
