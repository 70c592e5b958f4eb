// Metrics of the built Worker: what several isolates have counted adds up exactly, whatever becomes of a batch on its way; no
// client makes a label; requests do not notice.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { Browser, newPerson, withGateway, WRONG } from "./lib/gateway.mjs";
import { issuerTable, newKey, startIssuer, tokenOf } from "./lib/issuer.mjs";
import { added, scrape, seriesOf, total } from "./lib/metrics.mjs";
import { newEmail, newPath, NAVIGATION, startWorld, until } from "./lib/world.mjs";

/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { Series } from "./lib/metrics.mjs" */
/** @import { World } from "./lib/world.mjs" */

const REQUESTS = "edgeward_requests_total";
const DENIALS = "edgeward_denials_total";
const SIGN_INS = "edgeward_signins_total";
const FAULTS = "edgeward_faults_total";
const FETCHES = "edgeward_key_fetches_total";
const DURATION = "edgeward_request_duration_seconds";
/** As documented in docs/monitoring.md: between two batches of an isolate, in milliseconds. */
const EVERY = 10_000;

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** @type {IssuerKey} */
let key;
/** The isolates. */
const EDGES = ["edge", "edge-2", "edge-3"];
/** @type {string} */
let script;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-metrics-"));
  script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/summed.js", import.meta.url)), script);
  issuer = await startIssuer();
  key = await newKey("ES256");
  issuer.publish("/keys", key);
  const sites = {
    APP: {},
    OPEN: { unauthenticated: "pass", sources: ["session"], sso_cookie: undefined, query: undefined },
    DOWN: { unauthenticated: "pass", upstream: "http://127.0.0.1:9", sources: ["session"], sso_cookie: undefined, query: undefined },
    ID: { issuers: ["id"], sources: ["bearer"], sso_cookie: undefined, query: undefined },
  };
  const vars = { EDGEWARD_ISSUER_ID: issuerTable({ algorithms: ["ES256"], jwks_url: `${issuer.url}/keys`, loopback_origin: issuer.url }) };
  world = await startWorld(
    withGateway({
      script,
      sites,
      vars,
      metrics: true,
      isolates: 3,
      variants: {
        // So many series that one invocation cannot write them all.
        many: { script, sites: Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`S${n}`, { unauthenticated: "pass" }])) },
        uncounted: { script, sites, vars, unbound: ["EDGEWARD_METRICS"] },
      },
    }),
  );
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Tells an isolate what is to fail, and answers what it has done so far.
 * @param {object} plan
 * @param {string} [edge]
 * @returns {Promise<{ calls: { at: number, number: number, length: number, failed: boolean }[], points: { blobs: string[], doubles: number[], indexes: string[] }[], written: (number | null)[] }>}
 */
async function tell(plan, edge = "edge") {
  const answer = await world.site("OPEN", edge).send("POST", "/__test/plan", { body: JSON.stringify(plan) });
  assert.equal(answer.status, 200, String(answer));
  return answer.json;
}
beforeEach(() => tell({ fails: null, broken: null }));

/** All isolates pass on what they have. */
async function all() {
  /** @type {Series} */
  let series = new Map();
  for (const edge of EDGES) series = await scrape(world.site("APP", edge));
  return series;
}

test("what 1,000 requests over three isolates were counts exactly once, by site and outcome", async () => {
  const person = await newPerson(world.site("GATEWAY"));
  const [good, other] = await Promise.all([tokenOf(key), newKey("ES256", "k1").then((stranger) => tokenOf(stranger))]);
  const tokens = await Promise.all(Array.from({ length: 30 }, () => world.site("APP").issue(newEmail())));
  const before = await all();
  /** @type {((edge: string, n: number) => Promise<{ status: number }>)[]} */
  const kinds = [
    (edge) => world.site("OPEN", edge).client(newPath()),
    (edge) => world.site("APP", edge).client(newPath()),
    (edge) => world.site("APP", edge).client("/api/sso/health"),
    (edge) => world.site("APP", edge).client("/api/sso/nothing"),
    (edge) => world.site("APP", edge).client(newPath(), { host: "unknown.example.test" }),
    (edge) => world.site("ID", edge).client(newPath(), { bearer: good }),
    (edge) => world.site("ID", edge).client(newPath(), { bearer: other }),
    (edge) => world.site("DOWN", edge).client(newPath()),
    (edge) => world.site("APP", edge).admin("GET", "/api/sso/users", undefined, { token: null }),
    (edge, n) => world.site("APP", edge).navigate(newPath(), { cookie: `ls_auth_token=${tokens[n % tokens.length]}` }),
  ];
  const statuses = [200, 401, 200, 404, 404, 200, 401, 502, 401, 200];
  const jobs = Array.from({ length: 1000 }, (_, n) => n);
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let n = jobs.pop(); n !== undefined; n = jobs.pop()) {
        const answer = await kinds[n % 10](EDGES[Math.floor(n / 10) % 3], n);
        assert.equal(answer.status, statuses[n % 10], `${n}: ${answer}`);
      }
    }),
  );
  const gateway = world.site("GATEWAY");
  const browser = new Browser(world);
  assert.equal((await browser.signIn(gateway, { ...person, password: WRONG })).status, 403);
  await browser.signIn(gateway, person);
  const found = added(before, await all());
  const of = (/** @type {string} */ site, /** @type {string} */ outcome) => total(found, REQUESTS, { site, outcome });
  assert.equal(of("open", "forwarded"), 100);
  assert.equal(of("app", "denied"), 200);
  assert.equal(of("app", "answered"), 100);
  assert.equal(of("other", "denied"), 100);
  assert.deepEqual([of("id", "forwarded"), of("id", "denied")], [100, 100]);
  assert.deepEqual([of("down", "fault"), of("down", "forwarded")], [100, 0]);
  assert.equal(of("app", "forwarded"), 100);
  // Beside those of the test: a look at each of the three isolates before, of which the last is counted after it.
  assert.equal(of("app", "admin_call"), 100 + 3);
  assert.equal(total(found, DENIALS, { site: "app", code: "token_missing" }), 100);
  assert.equal(total(found, DENIALS, { site: "app", code: "authentication_required" }), 100);
  assert.equal(total(found, DENIALS, { site: "app", code: "not_found" }), 100);
  assert.equal(total(found, DENIALS, { site: "other", code: "not_found" }), 100);
  assert.equal(total(found, DENIALS, { site: "id", code: "token_invalid" }), 100);
  assert.equal(total(found, DENIALS, { site: "down", code: "origin_unreachable" }), 100);
  assert.equal(total(found, FAULTS, { kind: "origin_unreachable" }), 100);
  assert.equal(total(found, SIGN_INS, { method: "sso_cookie", result: "ok" }), 100);
  assert.deepEqual(
    ["ok", "refused"].map((result) => total(found, SIGN_INS, { method: "password", result })),
    [1, 1],
  );
  assert.ok(total(found, FETCHES, { issuer: "id", result: "ok" }) >= 1);
  // Each request has taken some time, whoever has answered it.
  for (const site of ["open", "app", "id", "down", "other"]) assert.equal(total(found, `${DURATION}_count`, { site }), total(found, REQUESTS, { site }), site);
});

test("the log and the metrics tell the same of a request", async () => {
  const loud = await startWorld({ edgeward: { log: "all" }, metrics: true, sites: { APP: {}, OPEN: { unauthenticated: "pass" } } });
  try {
    const [app, open] = [loud.site("APP"), loud.site("OPEN")];
    const token = await app.issue(newEmail());
    const { cookie } = await app.signIn();
    loud.logs = [];
    const before = await scrape(app);
    await open.client(newPath());
    await open.navigate(`${newPath()}?token=${token}`);
    await app.client(newPath());
    await app.client("/x%00");
    await app.client("/api/sso/me", { cookie });
    await app.send("POST", "/api/sso/logout", { cookie, headers: { Origin: app.origin, "Sec-Fetch-Site": "same-origin" } });
    await app.client("/", { host: "unknown.example.test" });
    const found = added(before, await scrape(app));
    await loud.settled();
    /** @type {Map<string, number>} */
    const told = new Map();
    // The last line is that of the last look, which counts itself later.
    for (const { event, site = "other" } of loud
      .events()
      .filter(({ request_id }) => request_id)
      .slice(0, -1)) {
      const series = `${REQUESTS}{site="${site}",outcome="${event}"}`;
      told.set(series, (told.get(series) ?? 0) + 1);
    }
    // Of a request that opens a session and goes on to its origin the log tells twice.
    const counted = new Map([...found].filter(([series]) => series.startsWith(REQUESTS)));
    for (const [series, count] of told) if (!series.includes("signed_in")) assert.equal(counted.get(series), count, series);
    assert.equal(total(counted, REQUESTS), 8, JSON.stringify([...counted]));
  } finally {
    await loud.stop();
  }
});

test("a batch that is refused, and one that arrives although its sender learns that it does not, count once each", async () => {
  const open = world.site("OPEN");
  const before = await all();
  for (const fails of ["before", "after", "before"]) {
    await tell({ fails });
    for (let n = 0; n < 50; n++) assert.equal((await open.client(newPath())).status, 200);
    const refused = await open.admin("GET", "/api/sso/metrics");
    assert.deepEqual([refused.status, refused.json.code], [503, "temporarily_unavailable"], String(refused));
  }
  const { calls } = await tell({ fails: null });
  assert.ok(calls.filter(({ failed }) => failed).length >= 3);
  assert.equal(total(added(before, await all()), REQUESTS, { site: "open", outcome: "forwarded" }), 150);
  const again = await all();
  assert.equal(total(added(before, again), REQUESTS, { site: "open", outcome: "forwarded" }), 150, "nothing of it comes twice");
});

test("SEC-124: with the object down, requests do not notice, and what waits for it does not grow", async () => {
  const open = world.site("OPEN");
  await all();
  await tell({ fails: "before" });
  /** @param {number} count */
  const flood = async (count) => {
    await Promise.all(
      Array.from({ length: 8 }, async (_, lane) => {
        for (let n = 0; n < count / 8; n++) {
          const answer = await open.client(newPath(), { headers: { "X-Bogus": `${lane}-${n}` } });
          assert.equal(answer.status, 200);
        }
      }),
    );
    await open.admin("GET", "/api/sso/metrics");
    await open.admin("GET", "/api/sso/metrics");
  };
  await flood(400);
  const first = Math.max(...(await tell({})).calls.map(({ length }) => length));
  await flood(2400);
  const { calls } = await tell({});
  assert.ok(Math.max(...calls.map(({ length }) => length)) < 2 * first + 1024, "a batch has no more than the series that there are");
  await tell({ fails: null });
  await all();
});

test("SEC-124: no host, path, method, query, credential or address of a client becomes a label", async () => {
  const canary = "CanaryOfLabels";
  const user = await world.site("APP").createUser({ email: `${canary}@example.test`.toLowerCase(), first_name: canary });
  const token = await world.site("APP").issue(user.email);
  const before = await all();
  for (let n = 0; n < 60; n++) {
    const site = world.site(["APP", "OPEN", "ID", "DOWN", "GATEWAY"][n % 5], EDGES[n % 3]);
    const mark = `${canary}${n}`;
    const headers = {
      "CF-Connecting-IP": `203.0.113.${n}`,
      "CF-IPCountry": "AQ",
      "CF-Ray": mark,
      "User-Agent": mark,
      Referer: `https://${mark}.example/`,
      "X-Request-Id": mark,
    };
    await site.send(`X${mark}`.slice(0, 30), `/${mark}?token=${mark}&deep=${mark}`, { headers });
    await site.client(`/api/sso/${mark}/users`, { host: `${mark}.example.test`, headers, cookie: `ls_auth_token=${mark}` });
    await site.client(`/api/sso/health?${mark}`, { headers });
    await site.client(`/${mark}"\\}`, { headers, bearer: mark });
    await site.admin("GET", `/api/sso/users/${mark}`, undefined, { token: mark, headers });
    await site.navigate(`/${mark}?token=${token}`, { headers });
    await site.form("/login/", { username: mark, password: mark, csrf: mark });
  }
  const answer = await world.site("APP").admin("GET", "/api/sso/metrics");
  await all();
  const text = `${answer.text}${(await world.site("APP").admin("GET", "/api/sso/metrics")).text}`;
  for (const never of [canary, "canary", user.id, "203.0.113", "AQ", "ewt_", "eyJ", "example.test", "/"]) {
    const lines = text.split("\n").filter((line) => !line.startsWith("#") && line.includes(never));
    assert.deepEqual(lines, [], never);
  }
  /** @type {Record<string, RegExp>} */
  const known = {
    site: /^(app|open|down|id|gateway|other|s\d+)$/,
    outcome: /^(forwarded|answered|denied|fault|signed_in|signed_out|admin_call)$/,
    code: /^[a-zA-Z_]{1,30}$/,
    kind: /^[a-z_]{1,30}$/,
    method: /^(query|sso_cookie|password|passkey|provider|gateway|link)$/,
    issuer: /^id$/,
    result: /^(ok|refused|delayed|failed)$/,
    le: /^([\d.]+|\+Inf)$/,
    version: /^\d+\.\d+\.\d+$/,
  };
  const after = seriesOf(text);
  for (const [series] of after) for (const [, label, value] of series.matchAll(/(\w+)="([^"]*)"/g)) assert.match(value, known[label], series);
  assert.ok(after.size - before.size < 60, `${after.size - before.size} series are new`);
});

test("an isolate sends at most every ten seconds, whatever the traffic is, and soon after its first request", async () => {
  const quiet = await startWorld({ script, metrics: true, sites: { OPEN: { unauthenticated: "pass" } } });
  try {
    const open = quiet.site("OPEN");
    const begun = performance.now();
    while (performance.now() - begun < 2.3 * EVERY) {
      await Promise.all(Array.from({ length: 4 }, () => open.client(newPath())));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { calls } = (await open.send("POST", "/__test/plan", { body: "{}" })).json;
    assert.equal(calls.length, 3, JSON.stringify(calls));
    const gaps = calls.slice(1).map((/** @type {{ at: number }} */ { at }, /** @type {number} */ n) => at - calls[n].at);
    for (const gap of gaps) assert.ok(gap >= EVERY - 50 && gap < EVERY + 3_000, String(gaps));
    // With nobody to ask for it: the isolate itself has passed on what came in the meantime.
    assert.deepEqual(
      calls.map((/** @type {{ number: number }} */ { number }) => number),
      [1, 2, 3],
    );
  } finally {
    await quiet.stop();
  }
});

test("what a killed isolate had passed on stays, and no more than ten seconds of its counts are lost", async () => {
  const dying = await startWorld({ script, metrics: true, sites: { OPEN: { unauthenticated: "pass" } } });
  try {
    const open = dying.site("OPEN");
    for (let n = 0; n < 40; n++) await open.client(newPath());
    await until(async () => (await open.send("POST", "/__test/plan", { body: "{}" })).json.calls.length > 0, 10);
    for (let n = 0; n < 25; n++) await open.client(newPath());
    await dying.kill();
    const left = total(await scrape(open), REQUESTS, { site: "open", outcome: "forwarded" });
    assert.ok(left >= 40 && left <= 65, String(left));
    for (let n = 0; n < 5; n++) await open.client(newPath());
    assert.equal(total(await scrape(open), REQUESTS, { site: "open", outcome: "forwarded" }), left + 5, "a new isolate adds to it");
  } finally {
    await dying.stop();
  }
});

test("Analytics Engine is written the same differences, at most 200 points in one invocation", async () => {
  const names = Array.from({ length: 120 }, (_, n) => `s${n}`);
  const many = world.site("S0", "many");
  for (const name of names) assert.equal((await many.client(newPath(), { host: `${name}.example.test` })).status, 200);
  const forwarded = async () => {
    const { points, written } = (await many.send("POST", "/__test/plan", { body: "{}" })).json;
    for (const count of written) assert.ok(count === null || count <= 200, String(written));
    const own = points.filter((/** @type {{ blobs: string[] }} */ { blobs: [name, , outcome] }) => name === REQUESTS && outcome === "forwarded");
    return own.reduce((/** @type {number} */ sum, /** @type {{ doubles: number[] }} */ { doubles: [value] }) => sum + value, 0);
  };
  await until(async () => {
    await many.admin("GET", "/api/sso/metrics");
    return (await forwarded()) === 120;
  }, 15);
  const { points } = (await many.send("POST", "/__test/plan", { body: "{}" })).json;
  for (const { indexes, blobs } of points) assert.equal(indexes[0], blobs[0]);
});

test("metrics want an API token with the scope metrics:read, or admin, and know no parameter", async () => {
  const app = world.site("APP");
  /** @type {(method: string, path: string, token?: string | null) => Promise<[number, string | undefined]>} */
  const ask = async (method, path, token) => {
    const answer = await app.admin(method, path, undefined, { token });
    return [answer.status, method === "HEAD" || answer.status === 200 ? undefined : answer.json.code];
  };
  const [reader, other] = [await world.apiToken("metrics:read"), await world.apiToken("token:issue", "users:read", "users:write", "tokens:write")];
  for (const path of ["/api/sso/metrics", "/api/sso/health?deep"]) {
    assert.deepEqual(await ask("GET", path, null), [401, "authentication_required"]);
    assert.deepEqual(await ask("GET", path, "ewt_wrong"), [401, "invalid_api_token"]);
    assert.deepEqual(await ask("GET", path, other), [403, "insufficient_scope"]);
    // One of the origins is down.
    const status = path.includes("?") ? 503 : 200;
    assert.equal((await ask("GET", path, reader))[0], status);
    assert.equal((await ask("GET", path))[0], status);
    assert.equal((await ask("HEAD", path, reader))[0], status);
    for (const method of ["POST", "PUT", "DELETE"]) assert.deepEqual(await ask(method, path, reader), [405, "method_not_allowed"]);
    assert.deepEqual(await ask("GET", `${path}${path.includes("?") ? "&" : "?"}format=json`, reader), [400, "invalid_request"]);
  }
  assert.deepEqual(await ask("GET", "/api/sso/health?deep=false", reader), [400, "invalid_request"]);
  assert.deepEqual(await ask("GET", "/api/sso/users", reader), [403, "insufficient_scope"]);
  const head = await app.admin("HEAD", "/api/sso/metrics", undefined, { token: reader });
  assert.equal(head.text, "");
  const answer = await app.admin("GET", "/api/sso/metrics", undefined, { token: reader });
  assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.match(answer.headers.get("cache-control") ?? "", /no-store/);
  // A browser's page cannot read it: the credential comes in a header only.
  assert.equal((await app.navigate("/api/sso/metrics", { kind: NAVIGATION })).status, 401);
});

test("without the object nothing is counted, and the answer says so", async () => {
  const app = world.site("APP", "uncounted");
  const answer = await app.admin("GET", "/api/sso/metrics");
  assert.deepEqual([answer.status, answer.json.code], [409, "no_metrics"]);
  const { calls, points } = await tell({}, "uncounted");
  assert.deepEqual([calls, points], [[], []]);
});
