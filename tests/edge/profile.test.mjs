// The profile of Label Studio in the Worker, in front of an origin that plays its part: what reaches the origin byte
// by byte, what comes back, and what becomes of files. Against a real Label Studio: tests/label-studio.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { claimsOf, headerOf } from "./lib/tokens.mjs";
import { newEmail, newSecret, now, SCRIPT, startWorld, until } from "./lib/world.mjs";

/** @import { ServerResponse } from "node:http" */
/** @import { Seen } from "./lib/http.mjs" */
/** @import { Origin } from "./lib/origin.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SECRET_KEY = newSecret();
const ORIGIN_KEY = newSecret();
const SETTINGS = { mode: "mint", secret: "STUDIO", admin_user: 1, admins: ["superuser"] };

/** @type {World} */
let world;
/** @type {Site} */
let site;
/** @type {Origin} */
let origin;
const members = new Map();
before(async () => {
  world = await startWorld({
    sites: {
      STUDIO: { identity_headers: [], label_studio: SETTINGS },
      LOCKED: { identity_headers: ["x-forwarded"], label_studio: SETTINGS, upstream_credential: { header: "x-origin-key", secret: "ORIGIN_KEY" } },
      OTHER: {},
    },
    vars: { STUDIO: SECRET_KEY, ORIGIN_KEY },
    edgeward: { user_cache: 1 },
  });
  ({ origin } = world);
  site = world.site("STUDIO");
  // Who may be made: everybody, numbered from 2 on.
  origin.on("/api/users/", async (request, response) => {
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString() || "{}");
    if (request.method === "GET")
      return json(
        response,
        200,
        [...members].map(([email, id]) => ({ id, email, active_organization: 1 })),
      );
    if (members.has(body.email)) return json(response, 400, { validation_errors: { email: ["exists"] } });
    members.set(body.email, members.size + 2);
    json(response, 201, { id: members.get(body.email), email: body.email, active_organization: 1 });
  });
});
after(() => world?.stop());

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {unknown} value
 */
function json(response, status, value) {
  const text = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

/** A person who is signed in. */
async function arrive() {
  const email = newEmail("studio");
  const answer = await site.navigate("/signed-in", { cookie: `ls_auth_token=${await site.issue(email)}` });
  assert.equal(answer.status, 200, String(answer));
  return { email, id: members.get(email), cookie: answer.setCookie("__Host-edgeward").pair };
}

/**
 * Whose the token is that the origin was told; checks that it is one that Label Studio takes.
 * @param {Seen} seen
 */
function told(seen) {
  const [scheme, token] = seen.headers.need("authorization").split(" ");
  assert.equal(scheme, "Bearer");
  const [input, signature] = [token.slice(0, token.lastIndexOf(".")), token.slice(token.lastIndexOf(".") + 1)];
  assert.equal(signature, createHmac("sha256", SECRET_KEY).update(input).digest("base64url"));
  assert.deepEqual(headerOf(token), { alg: "HS256", typ: "JWT" });
  const claims = claimsOf(token);
  assert.deepEqual(Object.keys(claims).sort(), ["exp", "jti", "token_type", "user_id"]);
  assert.equal(claims.token_type, "access");
  assert.ok(claims.exp > now() + 40 && claims.exp <= now() + 61);
  return Number(claims.user_id);
}

test("the first visit makes the user, as the admin, and each request carries a token for exactly this user", async () => {
  const ada = await arrive();
  const [made] = origin.requests.filter(({ method, url }) => method === "POST" && url === "/api/users/");
  assert.equal(told(made), 1);
  const seen = (await site.script("/api/projects?page=1", { cookie: ada.cookie })).seen;
  assert.deepEqual([told(seen), seen.url], [ada.id, "/api/projects?page=1"]);
  const before = origin.requests.length;
  await site.script("/api/projects", { cookie: ada.cookie });
  assert.equal(origin.requests.length, before + 1, "nothing but the request itself");
});

test("SEC-74: nothing that a client says in the origin's own words reaches it, in any spelling", async () => {
  const ada = await arrive();
  const { seen } = await site.send("POST", "/api/x", {
    kind: SCRIPT,
    headers: [
      ["Cookie", `${ada.cookie}; sessionid=a; csrftoken=b; \u00a0sessionid=c; other=d`],
      ["X-Api-Key", "e"],
      ["x_api_key", "f"],
      ["X.Api.Key", "g"],
      ["Authorization", "Token h"],
      ["Origin", site.origin],
      ["Remote-User", "i"],
    ],
    body: "{}",
  });
  assert.equal(told(seen), ada.id);
  const names = seen.headers.names.map((name) => name.replace(/[^a-z0-9]/g, "-"));
  assert.equal(names.filter((name) => name === "authorization").length, 1);
  for (const name of ["cookie", "x-api-key", "origin", "remote-user"]) assert.ok(!names.includes(name), name);
});

test("no cookie of the origin's comes back, with whatever answer", async () => {
  const ada = await arrive();
  for (const [path, status] of /** @type {[string, number][]} */ ([
    ["/with-cookies", 200],
    ["/fails-with-cookies", 404],
    ["/leads-with-cookies", 302],
  ])) {
    origin.on(path, (_request, response) => {
      response.writeHead(
        status,
        [
          ["Set-Cookie", "sessionid=secret; HttpOnly"],
          ["Set-Cookie", "csrftoken=x"],
          ["Location", "/projects/"],
          ["X-Kept", "1"],
        ].flat(),
      );
      response.end("text");
    });
    const answer = await site.script(path, { cookie: ada.cookie });
    assert.deepEqual([answer.status, answer.cookies, answer.headers.get("x-kept")], [status, [], "1"], path);
  }
});

test("another site is not touched by any of this", async () => {
  const other = world.site("OTHER");
  const { cookie } = await other.signIn();
  const { seen } = await other.script("/static/a.js", {
    cookie: `${cookie}; sessionid=a`,
    headers: { "X-Api-Key": "k", Origin: other.origin, Authorization: "Token t" },
  });
  assert.deepEqual(
    ["cookie", "x-api-key", "origin", "authorization"].map((name) => seen.header(name)),
    ["sessionid=a", "k", world.origin.url, "Token t"],
  );
  assert.equal((await other.navigate("/logout", { cookie })).status, 200);
});

test("an account that the origin does not take any more is looked at again, and made anew", async () => {
  const ada = await arrive();
  origin.on(`/api/users/${ada.id}/`, (_request, response) => json(response, 404, {}));
  let taken = false;
  origin.on("/api/refused", (_request, response, seen) => {
    taken = told(seen) !== ada.id;
    json(response, taken ? 200 : 401, {});
  });
  members.delete(ada.email);
  members.set(newEmail("in-between"), members.size + 100);
  await until(async () => (await site.script("/api/refused", { cookie: ada.cookie })).status === 200, 15);
  assert.ok(taken && members.get(ada.email) !== ada.id);
});

test("an origin that answers otherwise than it should is 503, and is asked without following it anywhere", async () => {
  const strange = await startWorld({ sites: { STUDIO: { label_studio: SETTINGS } }, vars: { STUDIO: SECRET_KEY } });
  try {
    const there = strange.site("STUDIO");
    const token = await there.issue(newEmail());
    const attempt = () => there.client("/api/projects", { bearer: token });
    for (const [answer, reason] of /** @type {[(response: ServerResponse) => unknown, RegExp][]} */ ([
      [(response) => response.writeHead(302, { Location: "/elsewhere" }).end(), /did not create a user/],
      [(response) => json(response, 401, {}), /did not accept the configured admin/],
      [(response) => json(response, 201, { id: "x" }), /malformed response/],
      [(response) => response.writeHead(201).end("x".repeat(17 * 1024 * 1024)), /another server/],
      [(response) => response.destroy(), /another server/],
    ])) {
      strange.origin.on("/api/users/", (_request, response) => answer(response));
      assert.equal((await attempt()).status, 503);
      await strange.settled();
      assert.match(strange.events("fault").at(-1)?.reason, reason);
    }
    assert.equal(strange.origin.about("/elsewhere").length, 0);
    assert.equal(strange.origin.about("/api/projects").length, 0);
  } finally {
    await strange.stop();
  }
});

const SCRIPT_TEXT = "console.log('a script that shrinks');\n".repeat(500);

/**
 * A file at the origin as Label Studio sends it; counts how often it was asked for.
 * @param {string} path
 */
function file(
  path,
  /** @type {{ type?: string, body?: string | Buffer, status?: number }} */ { type = "application/javascript", body = SCRIPT_TEXT, status = 200 } = {},
) {
  /** @type {Seen[]} */
  const asked = [];
  origin.on(path, (request, response, seen) => {
    asked.push(seen);
    response.writeHead(status, {
      "Content-Type": type,
      "Last-Modified": "Tue, 24 Nov 2026 06:00:00 GMT",
      Vary: "Accept-Language, Cookie, origin",
      "Set-Cookie": "sessionid=a",
    });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  return asked;
}

test("a file is kept, compressed for who takes that, with a tag of its own for each encoding", async () => {
  const ada = await arrive();
  const bob = await arrive();
  const asked = file("/react-app/main.js");
  /** @param {string | undefined} encoding */
  const load = (encoding, headers = {}, { cookie } = ada) =>
    site.script("/react-app/main.js?v=1a2b3c", { cookie, headers: { ...(encoding === undefined ? {} : { "Accept-Encoding": encoding }), ...headers } });
  const tags = new Set();
  for (const [encoding, compressed] of /** @type {[string | undefined, boolean][]} */ ([
    ["gzip, deflate, br", true],
    [undefined, false],
    ["identity", false],
    ["gzip;q=0", false],
    ["br, gzip;q=0.5", true],
    ["*", true],
    ["br", false],
  ])) {
    for (const who of [ada, bob, ada]) {
      const answer = await load(encoding, {}, who);
      const body = compressed ? gunzipSync(answer.body) : answer.body;
      assert.deepEqual(
        [answer.status, answer.headers.get("content-encoding"), body.toString() === SCRIPT_TEXT],
        [200, compressed ? "gzip" : undefined, true],
        String(encoding),
      );
      assert.deepEqual(
        [answer.headers.get("cache-control"), answer.headers.get("vary"), answer.type, answer.cookies],
        ["public, max-age=86400", "Accept-Encoding", "application/javascript", []],
      );
      tags.add(`${compressed} ${answer.headers.get("etag")}`);
    }
  }
  assert.equal(tags.size, 2);
  assert.equal(asked.length, 2, "once for each encoding");
  for (const seen of asked) assert.deepEqual([seen.header("authorization"), seen.header("cookie")], [undefined, undefined]);
});

test("a file of an origin that wants a key is asked for with it, once, and as nobody", async () => {
  const locked = world.site("LOCKED");
  const arrival = await locked.navigate("/signed-in", { cookie: `ls_auth_token=${await locked.issue(newEmail("locked"))}` });
  const { pair: cookie } = arrival.setCookie("__Host-edgeward");
  /** @type {Seen[]} */
  const asked = [];
  origin.on("/static/locked.js", (_request, response, seen) => {
    asked.push(seen);
    if (seen.header("x-origin-key") !== ORIGIN_KEY) return json(response, 403, {});
    response.writeHead(200, { "Content-Type": "application/javascript" });
    response.end(SCRIPT_TEXT);
  });
  for (let turn = 0; turn < 2; turn++) {
    const answer = await locked.script("/static/locked.js", { cookie, headers: { "Accept-Encoding": "gzip" } });
    assert.deepEqual([answer.status, answer.headers.get("content-encoding")], [200, "gzip"]);
    assert.equal(gunzipSync(answer.body).toString(), SCRIPT_TEXT);
  }
  assert.equal(asked.length, 1);
  for (const name of ["cookie", "authorization", "x-forwarded-user", "x-forwarded-email"]) assert.equal(asked[0].header(name), undefined, name);
});

test("a client that has the file gets 304, HEAD gets the head, and a part is the origin's to cut", async () => {
  const ada = await arrive();
  const asked = file("/static/app.js");
  const load = (headers = {}, method = "GET") =>
    site.send(method, "/static/app.js", { kind: SCRIPT, cookie: ada.cookie, headers: { "Accept-Encoding": "gzip", ...headers } });
  const tag = (await load()).headers.get("etag");
  for (const headers of [
    { "If-None-Match": tag },
    { "If-None-Match": `"x", W/${tag}` },
    { "If-None-Match": "*" },
    { "If-Modified-Since": "Tue, 24 Nov 2026 06:00:00 GMT" },
  ]) {
    const answer = await load(headers);
    assert.deepEqual(
      [answer.status, answer.body.length, answer.headers.get("etag"), answer.headers.get("cache-control")],
      [304, 0, tag, "public, max-age=300"],
      JSON.stringify(headers),
    );
  }
  for (const headers of [
    { "If-None-Match": '"x"' },
    { "If-None-Match": '"x"', "If-Modified-Since": "Tue, 24 Nov 2026 07:00:00 GMT" },
    { "If-Modified-Since": "Tue, 24 Nov 2026 05:00:00 GMT" },
    { "If-Modified-Since": "nonsense" },
  ]) {
    assert.equal((await load(headers)).status, 200, JSON.stringify(headers));
  }
  const head = await load({}, "HEAD");
  assert.deepEqual([head.status, head.body.length, head.headers.get("etag"), head.headers.get("content-encoding")], [200, 0, tag, "gzip"]);
  const before = asked.length;
  assert.equal((await load({ Range: "bytes=0-3" })).headers.get("content-encoding"), undefined);
  assert.deepEqual([asked.length, asked.at(-1)?.header("range")], [before + 1, "bytes=0-3"]);
});

test("what is no file goes through and is kept by nobody, and who is not signed in gets none", async () => {
  const ada = await arrive();
  const missing = file("/static/none.js", { status: 404, type: "text/html", body: "none" });
  for (let i = 0; i < 2; i++) {
    const answer = await site.script("/static/none.js", { cookie: ada.cookie });
    assert.deepEqual([answer.status, answer.text, answer.cookies], [404, "none", []]);
  }
  assert.ok(missing.length >= 2);
  const image = file("/static/a.png", { type: "image/png", body: Buffer.alloc(5000) });
  assert.equal((await site.script("/static/a.png", { cookie: ada.cookie, headers: { "Accept-Encoding": "gzip" } })).headers.get("content-encoding"), undefined);
  assert.equal((await site.script("/static/a.png")).status, 401);
  assert.equal(image.length, 1);
  // The place where it is kept is no address.
  for (const path of ["/api/sso/assets/gzip/static/a.png", "/api/sso/assets/identity/static/a.png"])
    assert.equal((await site.script(path, { cookie: ada.cookie })).status, 404);
});

test("a file with a session that is renewed on the way is one person's", async () => {
  const short = await startWorld({ sites: { STUDIO: { label_studio: SETTINGS, session: { idle: 60, absolute: 3600 } } }, vars: { STUDIO: SECRET_KEY } });
  try {
    short.origin.on("/api/users/", (_request, response) => json(response, 201, { id: 2, email: "a@b.c", active_organization: 1 }));
    short.origin.on("/static/a.css", (_request, response) => response.writeHead(200, { "Content-Type": "text/css" }).end("a{}"));
    const there = short.site("STUDIO");
    const token = await there.issue(newEmail());
    const answer = await there.navigate("/static/a.css", { cookie: `ls_auth_token=${token}` });
    assert.ok(answer.cookie("__Host-edgeward"));
    assert.match(answer.headers.need("cache-control"), /private/);
  } finally {
    await short.stop();
  }
});

test("every mistake in the settings is told at once, and nothing is served", async () => {
  const broken = await startWorld({ broken: true, sites: { STUDIO: { unauthenticated: "pass", label_studio: { mode: "mint", secret: "NONE", extra: 1 } } } });
  try {
    assert.equal((await broken.site("STUDIO").client("/")).status, 500);
    await broken.settled();
    const [{ errors }] = broken.events("misconfigured");
    const own = ["admin_user", "admins", "extra", "secret"].map((name) => `EDGEWARD_SITE_STUDIO.label_studio.${name}`);
    assert.deepEqual(errors.map((/** @type {{ path: string }} */ { path }) => path).sort(), [...own, "EDGEWARD_SITE_STUDIO.unauthenticated"].sort());
  } finally {
    await broken.stop();
  }
});

test("SEC-63: neither the origin's secret nor a token for it is in a log line or in KV", async () => {
  await arrive();
  await world.settled();
  const everything = JSON.stringify([world.logs, await world.kvEntries()]);
  assert.ok(!everything.includes(SECRET_KEY));
  assert.doesNotMatch(everything, /eyJ[\w-]{8}/);
});
