// Two sites at one host with different origins: one has the host, the other lives below a path of it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { exchangeRaw } from "./lib/http.mjs";
import { startOrigin } from "./lib/origin.mjs";
import { newEmail, newSecret, startWorld } from "./lib/world.mjs";

/** @import { Answer, Seen, SetCookie } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { Origin } from "./lib/origin.mjs" */
/** @import { World } from "./lib/world.mjs" */

const HOST = "shared.example.test";
const ROOT = "__Host-edgeward";
const STUDIO = "__Secure-edgeward-studio";
const STUDIO_KEY = newSecret();
const LABEL_STUDIO = { mode: "mint", secret: "STUDIO_KEY", admin_user: 1, admins: ["superuser"] };

/** @type {World} */
let world;
/** @type {Site} */
let site;
/** @type {Origin} */
let studio;
before(async () => {
  studio = await startOrigin();
  world = await startWorld({
    sites: {
      ROOT: { hosts: [HOST] },
      STUDIO: { hosts: [`${HOST}/studio`], upstream: `${studio.url}/base` },
      BASED: { hosts: ["based.example.test"], upstream: `${studio.url}/base`, unauthenticated: "pass" },
      FILES: { hosts: ["files.example.test"], label_studio: LABEL_STUDIO, identity_headers: [] },
      BELOW: { hosts: ["files.example.test/below"], upstream: studio.url, label_studio: LABEL_STUDIO, identity_headers: [] },
      MOVED: { hosts: ["moved.example.test"], endpoints: "/-/edge" },
    },
    vars: { STUDIO_KEY },
    edgeward: { log: "all" },
  });
  site = world.site("ROOT");
});
after(async () => {
  await world?.stop();
  await studio?.stop();
});

/**
 * Signs somebody in below `mount`; the pair of the cookie `name`, and its whole line.
 * @param {string} mount
 * @param {string} name
 */
async function signIn(mount, name, email = newEmail("mounts")) {
  const issued = await site.admin("POST", `${mount}/api/sso/token`, { email });
  assert.equal(issued.status, 200, String(issued));
  const answer = await site.navigate(`${mount}/`, { cookie: `ls_auth_token=${issued.json.token}` });
  assert.equal(answer.status, 200, String(answer));
  return answer.setCookie(name);
}

/** @param {Answer} answer */
const told = (answer) => {
  assert.equal(answer.json?.origin, "edgeward-test", String(answer));
  /** @type {Record<string, string>} */
  const headers = {};
  for (let at = 0; at < answer.json.headers.length; at += 2) headers[answer.json.headers[at].toLowerCase()] = answer.json.headers[at + 1];
  return { url: answer.json.url, headers };
};

test("each path reaches the origin of its site, with the base path in the place of the mount", async () => {
  const [root, below] = [await signIn("", ROOT), await signIn("/studio", STUDIO)];
  const cookie = `${root.pair}; ${below.pair}; own=1`;
  for (const [path, there, url] of [
    ["/", world.origin, "/"],
    ["/studios/x?a=1", world.origin, "/studios/x?a=1"],
    ["/studio/", studio, "/base/"],
    ["/studio/a/b?c=%2F&d", studio, "/base/a/b?c=%2F&d"],
    ["/studio/@a%2Fb;c=1//%C3%A9", studio, "/base/@a%2Fb;c=1//%C3%A9"],
  ]) {
    // A second time, what many requests share has been read already.
    for (let time = 0; time < 2; time++) {
      const { requests } = /** @type {Origin} */ (there);
      const before = requests.length;
      const answer = await site.script(/** @type {string} */ (path), { cookie, headers: { "X-Forwarded-Prefix": "/forged" } });
      const { url: seen, headers } = told(answer);
      assert.equal(requests.length, before + 1, String(path));
      assert.deepEqual(
        [seen, headers.cookie, headers["x-forwarded-prefix"], headers["x-forwarded-host"]],
        [url, "own=1", there === studio ? "/studio" : undefined, HOST],
      );
    }
  }
});

test("no cookie of ours reaches the origin of the other site, in either direction, and none counts there", async () => {
  const [root, below] = [await signIn("", ROOT), await signIn("/studio", STUDIO)];
  assert.match(below.raw, /; Path=\/studio(;|$)/);
  assert.match(root.raw, /; Path=\/(;|$)/);
  for (const [path, ours, other] of /** @type {[string, SetCookie, SetCookie][]} */ ([
    ["/x", root, below],
    ["/studio/x", below, root],
  ])) {
    const name = other === root ? ROOT : STUDIO;
    const marks = ["trip", "browser", "device"].map((mark) => `${name}-${mark}=0123456789abcdefghijkl`);
    const cookie = [ours.pair, other.pair, ...marks, "own=1"].join("; ");
    assert.equal(told(await site.script(path, { cookie })).headers.cookie, "own=1");
    const renamed = other.pair.replace(name, other === root ? STUDIO : ROOT);
    assert.equal((await site.script(path, { cookie: renamed })).status, 401);
  }
});

test("redirects and cookies of an origin below a path are those of the site, absolute and as paths", async () => {
  const { pair } = await signIn("/studio", STUDIO);
  for (const [location, expected] of [
    [`${studio.url}/base/next?a`, `${site.origin}/studio/next?a`],
    ["/base/next", "/studio/next"],
    ["/studio/next", "/studio/next"],
    ["next", "next"],
  ]) {
    studio.on("/base/go", (_, response) => response.writeHead(302, { Location: location, "Set-Cookie": "sid=1; Path=/base/app" }).end());
    const answer = await site.client("/studio/go", { cookie: pair });
    assert.deepEqual([answer.status, answer.headers.get("location"), answer.headers.get("set-cookie")], [302, expected, "sid=1; Path=/studio/app"]);
  }
});

test("SEC-48: a redirect of an origin that lives below a path leads to no other host", async () => {
  const based = world.site("BASED");
  for (const [location, expected] of [
    ["/base//evil.example/", "/.//evil.example/"],
    ["/base/\\evil.example/", "/./\\evil.example/"],
    [`${studio.url}/base//evil.example/`, `${based.origin}/.//evil.example/`],
    ["/base", "/"],
    ["/base?q=1", "/?q=1"],
  ]) {
    studio.on("/base/go", (_, response) => response.writeHead(302, { Location: location, "Set-Cookie": "sid=1; Path=/base" }).end());
    const answer = await based.navigate("/go");
    assert.deepEqual([answer.headers.get("location"), answer.headers.get("set-cookie")], [expected, "sid=1; Path=/"]);
    assert.equal(new URL(expected, based.origin).host, based.host);
  }
});

test("no spelling of a path reaches the other site without its rules, and the log names both", async () => {
  const { pair } = await signIn("/studio", STUDIO);
  const before = world.origin.requests.length + studio.requests.length;
  const targets = ["/studio/..%2fadmin", "/studio/..;/admin", "/studio%2fx", "/stud%69o/x", "//studio/x", "//x/studio/y", "/studio./x", "/studio;x/y"];
  for (const target of targets) {
    const text = `GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\nCookie: ${pair}\r\nConnection: close\r\n\r\n`;
    const answer = await exchangeRaw({ port: site.port, text });
    assert.deepEqual([answer.status, answer.json.code], [400, "ambiguous_path"], target);
  }
  assert.equal(world.origin.requests.length + studio.requests.length, before);
  await world.settled();
  const named = world.logs.map(({ message }) => /site (\w+), or site (\w+)/.exec(message)?.slice(1).sort().join(" and "));
  assert.deepEqual(
    named.filter(Boolean),
    targets.map(() => "root and studio"),
  );
});

test("a mount without its slash is redirected to it, and signing out clears its cookies", async () => {
  const bare = await site.client("/studio?a=1");
  assert.deepEqual([bare.status, bare.headers.get("location")], [308, "/studio/?a=1"]);
  const { pair } = await signIn("/studio", STUDIO);
  const page = await site.navigate("/studio/api/sso/logout", { cookie: pair });
  assert.match(page.text, /action="\/studio\/api\/sso\/logout"/);
  const out = await site.form("/studio/api/sso/logout", {}, { cookie: pair });
  assert.match(out.setCookie(STUDIO).raw, /Path=\/studio;.*Max-Age=0/);
  assert.equal((await site.script("/studio/x", { cookie: pair })).status, 401);
});

test("a WebSocket below the mount reaches its origin", async () => {
  const { pair } = await signIn("/studio", STUDIO);
  const socket = await site.webSocket("/studio/live?x=1", { cookie: pair, headers: { Origin: site.origin } });
  assert.equal(socket.status, 101, String(socket));
  const seen = /** @type {Seen} */ (studio.requests.at(-1));
  assert.deepEqual([seen.url, seen.headers.get("cookie")], ["/base/live?x=1", undefined]);
  socket.close();
});

test("two sites at one host that keep files of one name keep them apart", async () => {
  const files = world.site("FILES");
  for (const [origin, text] of /** @type {[Origin, string][]} */ ([
    [world.origin, "of the host"],
    [studio, "of the mount"],
  ])) {
    origin.on("/static/a.js", (_, response) => {
      response.writeHead(200, { "Content-Type": "text/javascript" });
      response.end(text);
    });
    origin.on("/api/users/", (request, response) => {
      response.writeHead(request.method === "GET" ? 200 : 201, { "Content-Type": "application/json" });
      response.end(request.method === "GET" ? "[]" : JSON.stringify({ id: 7, email: "x", active_organization: 1 }));
    });
  }
  /** @type {Record<string, string>} */
  const cookies = {};
  for (const mount of ["", "/below"]) {
    const issued = await files.admin("POST", `${mount}/api/sso/token`, { email: newEmail("files") });
    cookies[mount] = issued.json.token;
  }
  for (let time = 0; time < 2; time++) {
    for (const [mount, text] of [
      ["", "of the host"],
      ["/below", "of the mount"],
    ]) {
      const answer = await files.script(`${mount}/static/a.js`, { bearer: cookies[mount] });
      assert.deepEqual([answer.status, answer.text, answer.headers.get("cache-control")], [200, text, "public, max-age=300"], mount);
    }
  }
});

test("endpoints that moved leave their old paths to the origin", async () => {
  const moved = world.site("MOVED");
  const issued = await moved.admin("POST", "/-/edge/token", { email: newEmail("moved") });
  for (const path of ["/api/sso/v1/users", "/.well-known/jwks.json"]) {
    assert.equal(told(await moved.script(path, { bearer: issued.json.token })).url, path);
  }
  assert.equal((await moved.client("/-/edge/health")).status, 200);
  assert.ok(Array.isArray((await moved.client("/-/edge/jwks.json")).json.keys));
  assert.equal((await moved.client("/api/sso/health")).status, 401, "a path of the application");
});

test("the admin command calls a site below a path, and one whose endpoints have moved", async () => {
  const front = await startFront(site);
  const moved = await startFront(world.site("MOVED"));
  /** @param {Record<string, string>} env */
  const list = async (env) => {
    const variables = { ...process.env, EDGEWARD_API_TOKEN: await world.adminToken(), ...env };
    const { stdout } = await promisify(execFile)(pinnedNode, [at("scripts/admin.mjs"), "key", "list", "--json"], { env: variables });
    return JSON.parse(stdout);
  };
  try {
    for (const url of ["/studio", "/studio/"]) assert.ok(await list({ EDGEWARD_URL: front.url + url }));
    assert.deepEqual(front.requests, ["GET /studio/api/sso/keys", "GET /studio/api/sso/keys"]);
    assert.ok(await list({ EDGEWARD_URL: moved.url, EDGEWARD_ENDPOINTS: "/-/edge" }));
    assert.deepEqual(moved.requests, ["GET /-/edge/keys"]);
  } finally {
    await front.stop();
    await moved.stop();
  }
});
