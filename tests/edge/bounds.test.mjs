// What a request makes the Worker do, in numbers that are the same on every machine: how often it crosses between JavaScript
// and the core, what it reads of KV and when, whether it copies headers, how often it signs. In the built Worker.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { CLIENT, NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Sending } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const sites = {
  PLAIN: {},
  SIGNED: { assertion: {} },
  RULES: { unauthenticated: undefined, rules: [{ prefix: "/admin", require: { role: "admin" } }, { require: { authenticated: true } }] },
  LOGIN: { unauthenticated: "login", login_url: "https://portal.example.test/login" },
};

/** @type {string} */
let folder;
/** @type {World} */
let world;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-bounds-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/metered.js", import.meta.url)), script);
  world = await startWorld({ script, isolates: 3, sites });
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {Answer} answer */
const work = (answer) => JSON.parse(answer.headers.need("x-test-work"));
/** The CDN names each request. Without a name, the core makes one, which crosses by itself. */
const NAMED = ["CF-Ray", "8f0c2b7d4e5a6b1c-FRA"];
/** All that a request to the origin does whose credential was seen before: one copy of its headers, and nothing waited for. */
const HOT = { reads: [], copies: 1, requests: 0, signatures: 0, into: { fetch: 1 }, out: { encodeInto: 1, forward: 1 }, statuses: [200] };

test("a request whose credential was seen crosses three times, whatever its headers are, and reads and signs nothing", async () => {
  const many = Array.from({ length: 30 }, (_, n) => [`X-Header-${n}`, `value ${n}`]);
  const cookies = Array.from({ length: 30 }, (_, n) => `own-${n}=${n}`).join("; ");
  for (const name of ["PLAIN", "SIGNED", "RULES"]) {
    const site = world.site(name);
    const { cookie } = await site.signIn();
    const requests = [
      { kind: SCRIPT, cookie, headers: [NAMED] },
      { kind: NAVIGATION, cookie, headers: [NAMED] },
      { kind: CLIENT, cookie: `${cookies}; ${cookie}; last=1`, headers: [NAMED, ...many] },
      { kind: SCRIPT, method: "POST", cookie, body: "x", headers: [NAMED, ["Origin", site.origin]] },
    ];
    for (const { method = "GET", ...request } of requests) {
      const send = () => site.send(method, newPath(), request);
      // For the second time the header changes are known on both sides.
      for (const _ of [1, 2]) assert.equal((await send()).status, 200);
      for (const _ of [1, 2, 3]) assert.deepEqual(work(await send()), HOT, name);
    }
    const unnamed = work(await site.client(newPath(), { cookie }));
    assert.deepEqual(unnamed, { ...HOT, out: { ...HOT.out, conversion: 1 } });
  }
});

test("the first request of a session in an isolate reads the user and the session's end at once, and no more", async () => {
  for (const [name, signatures, keys] of /** @type {[string, number, string[]][]} */ ([
    ["PLAIN", 0, []],
    ["SIGNED", 1, ["signing_keys begins", "signing_keys ends"]],
  ])) {
    const site = world.site(name, "edge-2");
    // When the second person comes, the isolate knows our keys.
    for (const more of [keys, []]) {
      const { cookie } = await world.site(name).signIn();
      const again = () => site.client(newPath(), { cookie, headers: [NAMED] });
      const { reads, copies, requests, ...first } = work(await again());
      assert.deepEqual(reads.slice(0, 2).toSorted(), ["session_ended begins", "user begins"], "before either is answered");
      assert.deepEqual(reads.slice(2, 4).toSorted(), ["session_ended ends", "user ends"]);
      assert.deepEqual(reads.slice(4), more);
      assert.deepEqual([copies, requests, first.signatures, first.into.fetch, first.out.forward], [1, 0, signatures, 1, 1]);
      // The second request of an isolate asks the core about the names of its headers. It reads and signs nothing either.
      const { into, ...second } = work(await again());
      const { into: fetched, ...hot } = HOT;
      assert.deepEqual([second, into.fetch], [hot, fetched.fetch]);
      assert.deepEqual(work(await again()), HOT);
    }
  }
});

test("twenty first requests of one session at once share two reads and one signature, and those after them neither read nor sign", async () => {
  const TIMES = 20;
  const site = world.site("SIGNED", "edge-3");
  // When the second person comes, the isolate knows our keys.
  for (const keys of [1, 0]) {
    const { cookie } = await world.site("SIGNED").signIn();
    const seen = work(await site.client(newPath(), { cookie, headers: [NAMED, ["X-Test-Times", String(TIMES)]] }));
    assert.deepEqual(seen.statuses, Array(TIMES).fill(200));
    assert.equal(seen.copies, TIMES);
    // No request may wait for a promise of another: one has the turn to read or to sign, and the others look again.
    /** @param {string} family */
    const began = (family) => seen.reads.filter((/** @type {string} */ read) => read === `${family} begins`).length;
    assert.deepEqual([began("user"), began("session_ended")], [1, 1]);
    assert.equal(began("signing_keys"), keys, String(seen.reads));
    assert.equal(seen.signatures, 1);
    for (const _ of [1, 2, 3]) {
      const { signatures, reads } = work(await site.client(newPath(), { cookie, headers: [NAMED] }));
      assert.deepEqual([signatures, reads], [0, []]);
    }
  }
});

test("a refusal crosses four times, a page or a redirect to the sign-in page six times, and reads nothing of KV and copies no header", async () => {
  const { cookie } = await world.site("PLAIN").signIn();
  const rules = world.site("RULES");
  const member = await rules.signIn();
  assert.equal((await rules.client(newPath(), { cookie: member.cookie })).status, 200);
  for (const [name, status, path, options = {}] of /** @type {[string, number, string, Sending?][]} */ ([
    ["PLAIN", 400, "/a%00"],
    ["PLAIN", 401, newPath()],
    ["PLAIN", 401, newPath(), { cookie: "__Host-edgeward=a.b.c" }],
    ["PLAIN", 401, newPath(), { cookie: cookie.slice(0, -1) }],
    ["PLAIN", 401, newPath(), { bearer: "none" }],
    ["PLAIN", 404, newPath(), { host: "nowhere.example.test" }],
    ["RULES", 401, newPath()],
    ["RULES", 403, "/admin", { cookie: member.cookie }],
    ["LOGIN", 303, newPath(), { kind: NAVIGATION }],
  ])) {
    const answer = await world.site(name).send("GET", path, { kind: CLIENT, ...options, headers: [NAMED] });
    assert.equal(answer.status, status, String(answer));
    assert.deepEqual(world.origin.about(path), []);
    // Whether the page is for a frame decides about the redirect to the sign-in page, so its whole head is read.
    // A page is in the language that the head asks for.
    const six = { encodeInto: 2, readAll: 1, logRequest: 1, answer: 1 };
    const out = status === 303 ? six : { encodeInto: 1, logRequest: 1, answer: 1 };
    assert.deepEqual(work(answer), { reads: [], copies: 0, requests: 0, signatures: 0, into: { fetch: 1 }, out, statuses: [status] }, `${status} ${path}`);
    if (status === 303) continue;
    const page = await world.site(name).send("GET", path, { ...options, kind: NAVIGATION, headers: [NAMED] });
    assert.equal(page.status, status, String(page));
    const { out: crossed, ...rest } = work(page);
    assert.deepEqual(rest, { reads: [], copies: 0, requests: 0, signatures: 0, into: { fetch: 1 }, statuses: [status] });
    assert.deepEqual(crossed, six, `${status} ${path}`);
  }
});

test("a refusal at our own endpoints is told every header once, reads nothing of KV and copies no header", async () => {
  for (const [status, path] of /** @type {[number, string][]} */ ([
    [401, "/api/sso/me"],
    [404, "/api/sso/x"],
    [401, "/api/sso/users"],
  ])) {
    const { into, out, ...rest } = work(await world.site("PLAIN").client(path, { headers: [NAMED] }));
    assert.deepEqual(rest, { reads: [], copies: 0, requests: 0, signatures: 0, statuses: [status] }, path);
    const { encodeInto, readAll, answer } = out;
    assert.deepEqual({ encodeInto, readAll, answer }, { encodeInto: 2, readAll: 1, answer: 1 }, path);
    // The admin API asks the limit of calls, and waits for it.
    if (path !== "/api/sso/users") assert.deepEqual(into, { fetch: 1 }, path);
  }
});
