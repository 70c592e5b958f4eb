// Applications that know nothing of Edgeward, behind the built Worker with its defaults: Django's forms, redirects and cookies,
// and a WebDAV server with its COPY, MOVE and locks.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Jar } from "../edge/lib/http.mjs";
import { startWorld } from "../edge/lib/world.mjs";
import { startOriginOf } from "./lib/peers.mjs";

/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Django } from "./lib/peers.mjs" */

const ELSEWHERE = "https://elsewhere.example.test";

/** @type {World} */
let world;
/** @type {Django} */
let django;
/** @type {Django} */
let webdav;
let folder = "";
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-webdav-"));
  for (const name of ["mine", "admin"]) mkdirSync(path.join(folder, name));
  // Where a sign-in of the tests leads to.
  writeFileSync(path.join(folder, "signed-in"), "");
  django = await startOriginOf("django_forms.py", {});
  webdav = await startOriginOf("webdav_origin.py", { folder });
  world = await startWorld({
    sites: {
      DJANGO: { upstream: django.url },
      TRUSTING: { upstream: django.url, trusted_origins: [ELSEWHERE] },
      OLD: { upstream: django.url, translate: false },
      DAV: {
        upstream: webdav.url,
        unauthenticated: undefined,
        rules: [{ prefix: "/admin", require: { role: "admin" } }, { require: { authenticated: true } }],
      },
    },
  });
});
after(async () => {
  await world?.stop();
  await django?.stop();
  await webdav?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * What Django answers to its own form, which a browser sends with `origin`.
 * @param {Site} site
 * @param {string} [origin]
 */
async function sendForm(site, origin = site.origin) {
  const { cookie } = await site.signIn();
  const jar = new Jar();
  const page = await site.navigate("/form", { cookie });
  assert.equal(page.status, 200, String(page));
  jar.take(page);
  const cookies = `${cookie}; ${jar.header}`;
  return site.form("/form", { csrfmiddlewaretoken: page.text, text: "hello" }, { cookie: cookies, headers: { Origin: origin, Referer: `${origin}/form` } });
}

test("H1: Django with its defaults takes its own form", async () => {
  const answer = await sendForm(world.site("DJANGO"));
  assert.deepEqual([answer.status, answer.json], [200, { sent: "hello" }]);
});

test("H1: without the translation Django refuses it, as it refuses a page elsewhere that Edgeward trusts", async () => {
  const answer = await sendForm(world.site("OLD"));
  assert.equal(answer.status, 403, String(answer));
  assert.match(answer.text, /CSRF verification failed/);
  const foreign = await sendForm(world.site("TRUSTING"), ELSEWHERE);
  assert.equal(foreign.status, 403, String(foreign));
  assert.match(foreign.text, /CSRF verification failed/);
});

test("H6: Django's absolute redirects stay on the public host, and its cookies are kept for it", async () => {
  const site = world.site("DJANGO");
  const { cookie } = await site.signIn();
  const answer = await site.navigate("/away", { cookie });
  assert.equal(answer.status, 302);
  assert.equal(answer.headers.get("location"), `${site.origin}/form?a=b`);
  assert.deepEqual(answer.headers.all("set-cookie"), ["theme=dark; Path=/"]);
  assert.equal((await site.navigate("/slash", { cookie })).headers.get("location"), "/slash/");
});

test("H2: a WebDAV server takes PUT, COPY, MOVE, PROPFIND and locks by the names that the client knows", async () => {
  const site = world.site("DAV");
  const { cookie } = await site.signIn();
  /**
   * @param {string} method
   * @param {string} target
   * @param {Record<string, string>} [headers]
   * @param {string} [body]
   */
  // Without a length, Node sends an empty chunked body, whose end cheroot takes for the next request.
  const ask = (method, target, headers = {}, body) =>
    site.send(method, target, { cookie, headers: body ? headers : { ...headers, "Content-Length": "0" }, body });
  assert.equal((await ask("PUT", "/mine/a%20b.txt", {}, "one")).status, 201);
  const copied = await ask("COPY", "/mine/a%20b.txt", { Destination: `${site.origin}/mine/c.txt` });
  assert.equal(copied.status, 201, String(copied));
  const moved = await ask("MOVE", "/mine/c.txt", { Destination: `${site.origin}/mine/d%20e.txt`, Overwrite: "F" });
  assert.equal(moved.status, 201, String(moved));
  assert.equal(readFileSync(path.join(folder, "mine/d e.txt"), "utf8"), "one");
  const found = await ask("PROPFIND", "/mine/", { Depth: "1" }, '<?xml version="1.0"?><propfind xmlns="DAV:"><allprop/></propfind>');
  assert.equal(found.status, 207);
  for (const name of ["/mine/a%20b.txt", "/mine/d%20e.txt"]) assert.ok(found.text.includes(`href>${name}<`), found.text);
  const lock = await ask(
    "LOCK",
    "/mine/d%20e.txt",
    { Timeout: "Second-60", "Content-Type": "application/xml" },
    '<?xml version="1.0"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>',
  );
  assert.equal(lock.status, 200, String(lock));
  const token = lock.headers.need("lock-token");
  const to = { Destination: `${site.origin}/mine/f.txt` };
  assert.equal((await ask("MOVE", "/mine/d%20e.txt", to)).status, 423, "it is locked");
  const opened = await ask("MOVE", "/mine/d%20e.txt", { ...to, If: `<${site.origin}/mine/d%20e.txt> (${token})` });
  assert.equal(opened.status, 201, String(opened));
  assert.ok(existsSync(path.join(folder, "mine/f.txt")));
});

test("SEC-92: a WebDAV server is asked to copy nothing to where the caller may not write", async () => {
  const site = world.site("DAV");
  const { cookie } = await site.signIn();
  assert.equal((await site.send("PUT", "/mine/x.txt", { cookie, body: "x" })).status, 201);
  for (const [destination, status] of /** @type {[string, number][]} */ ([
    [`${site.origin}/admin/x.txt`, 403],
    ["/admin/x.txt", 403],
    ["https://elsewhere.example.test/admin/x.txt", 403],
    [`${site.origin}/mine/../admin/x.txt`, 400],
    [`${site.origin}/mine/%2e%2e/admin/x.txt`, 400],
    [`${site.origin}/%61dmin/x.txt`, 400],
  ])) {
    for (const method of ["COPY", "MOVE"]) {
      const answer = await site.send(method, "/mine/x.txt", { cookie, headers: { Destination: destination } });
      assert.equal(answer.status, status, `${method} ${destination}: ${answer}`);
    }
  }
  assert.ok(existsSync(path.join(folder, "mine/x.txt")) && !existsSync(path.join(folder, "admin/x.txt")));
  const admin = await site.signIn(await site.createUser({ roles: ["admin"] }));
  const answer = await site.send("COPY", "/mine/x.txt", { cookie: admin.cookie, headers: { Destination: `${site.origin}/admin/x.txt` } });
  assert.equal(answer.status, 201, String(answer));
  const elsewhere = await site.send("COPY", "/mine/x.txt", { cookie, headers: { Destination: "https://elsewhere.example.test/mine/y.txt" } });
  assert.equal(elsewhere.status, 502, "WsgiDAV's own answer");
});
