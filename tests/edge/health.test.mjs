// Health in depth: each part that requests depend on is named when it fails, nobody can press an origin by asking for it, and
// nothing of it is for anybody without an API token.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { withGateway } from "./lib/gateway.mjs";
import { issuerTable, newKey, startIssuer } from "./lib/issuer.mjs";
import { newSecret, startWorld } from "./lib/world.mjs";

/** @import { Issuer } from "./lib/issuer.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** What the second origin answers. */
let status = 200;
/** @type {string[]} */
const asked = [];
const second = http.createServer((request, response) => {
  asked.push(`${request.method} ${request.url}`);
  if (status !== 0) response.writeHead(status).end();
});
/** What differs between the configurations. @type {import("./lib/world.mjs").WorldOptions} */
let options;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-health-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/summed.js", import.meta.url)), script);
  issuer = await startIssuer();
  issuer.publish("/keys", await newKey("ES256"));
  await new Promise((resolve) => second.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (second.address());
  options = withGateway({
    script,
    metrics: true,
    sites: { APP: { assertion: {} }, OTHER: { upstream: `http://127.0.0.1:${port}`, issuers: ["id"] }, THIRD: { upstream: `http://127.0.0.1:${port}` } },
    vars: { EDGEWARD_ISSUER_ID: issuerTable({ algorithms: ["ES256"], jwks_url: `${issuer.url}/keys`, loopback_origin: issuer.url }) },
  });
  const secrets = { session: { 1: newSecret() }, token: { 1: newSecret() }, key: { 2: newSecret() } };
  world = await startWorld({
    ...options,
    variants: {
      // The same settings, but with other secrets: it cannot open the keys that the first has made.
      resealed: { ...options, secrets: { key: secrets.key } },
      renamed: { ...options, edgeward: { issuer: "another" } },
    },
  });
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
  second.closeAllConnections();
  second.close();
  rmSync(folder, { recursive: true, force: true });
});

let ahead = 0;
/**
 * The health after something has been broken, past what the isolate remembers.
 * @param {string | null} broken
 * @param {string} [edge]
 */
async function healthWith(broken, edge = "edge") {
  const app = world.site("APP", edge);
  await world.adminToken();
  // What a call needs to be let in is remembered first: the record of its token is in the same store.
  await app.admin("GET", "/api/sso/metrics");
  ahead += 10_500;
  await app.send("POST", "/__test/plan", { body: JSON.stringify({ broken, ahead }) });
  const answer = await app.admin("GET", "/api/sso/health?deep");
  await app.send("POST", "/__test/plan", { body: JSON.stringify({ broken: null, ahead }) });
  return answer;
}
/** @param {{ json: { checks: Record<string, { status: string, reason?: string }> } }} answer */
const failing = ({ json: { checks } }) =>
  Object.keys(checks)
    .filter((name) => checks[name].status !== "ok")
    .toSorted();

test("a healthy deployment says of each part that it is well, with its version and a mark of its configuration", async () => {
  const answer = await healthWith(null);
  assert.equal(answer.status, 200, String(answer));
  const { status, version, configuration, checks, checked_at } = answer.json;
  assert.equal(status, "ok");
  assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.match(configuration, /^[0-9a-f]{12}$/);
  assert.ok(Number.isInteger(checked_at));
  assert.deepEqual(Object.keys(checks).toSorted(), [
    "attempts",
    "audit",
    "issuer:id",
    "kv",
    "metrics",
    "once",
    "outbox",
    "record",
    "signing_keys:ES256",
    "upstream:app",
    "upstream:other",
    "upstream:third",
  ]);
});

test("the log of an isolate begins with its version", async () => {
  await world.settled();
  const [first] = world.events();
  assert.equal(first?.event, "started");
  assert.equal(first.version, JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version);
});

test("the mark of a configuration follows its settings, and does not depend on a secret", async () => {
  const [first, resealed, renamed] = [await healthWith(null), await healthWith(null, "resealed"), await healthWith(null, "renamed")];
  assert.equal(resealed.json.configuration, first.json.configuration);
  assert.notEqual(renamed.json.configuration, first.json.configuration);
});

for (const part of ["kv", "once", "record", "outbox", "attempts", "audit", "metrics"]) {
  test(`SEC-124: ${part} that fails is named, with 503 and nothing of what the platform says`, async () => {
    const answer = await healthWith(part);
    assert.equal(answer.status, 503, String(answer));
    assert.equal(answer.json.status, "failing");
    assert.deepEqual(failing(answer), [part]);
    assert.ok(!answer.text.includes("canary"), answer.text);
  });
}

test("a part that never answers is named in time", async () => {
  const begun = performance.now();
  const answer = await healthWith("once hangs");
  assert.equal(answer.status, 503, String(answer));
  assert.deepEqual(failing(answer), ["once"]);
  assert.ok(performance.now() - begun < 8_000);
});

test("an origin that fails or does not answer is named for each of its sites, and is asked once for all of them", async () => {
  for (status of [502, 0]) {
    asked.length = 0;
    const answer = await healthWith(null);
    assert.deepEqual([answer.status, failing(answer)], [503, ["upstream:other", "upstream:third"]], String(answer));
    assert.deepEqual(asked, ["HEAD /"]);
  }
  // There it is, whatever it says of the path.
  for (status of [404, 401, 301, 405, 501]) assert.equal((await healthWith(null)).status, 200, String(status));
  status = 200;
});

test("an issuer without keys is named, and signing keys that no secret opens are", async () => {
  issuer.publish("/keys");
  const answer = await healthWith(null);
  assert.deepEqual([answer.status, failing(answer)], [503, ["issuer:id"]], String(answer));
  issuer.publish("/keys", await newKey("ES256"));
  const app = world.site("APP");
  const { cookie } = await app.signIn();
  assert.equal((await app.client("/signs", { cookie })).status, 200);
  const resealed = await healthWith(null, "resealed");
  assert.deepEqual([resealed.status, failing(resealed)], [503, ["signing_keys:ES256"]], String(resealed));
});

test("SEC-124: however often it is asked for, an origin is asked once in ten seconds", async () => {
  await healthWith(null);
  asked.length = 0;
  const app = world.site("APP");
  const answers = await Promise.all(Array.from({ length: 40 }, () => app.admin("GET", "/api/sso/health?deep")));
  for (const answer of answers) assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(asked, []);
  ahead += 10_500;
  await app.send("POST", "/__test/plan", { body: JSON.stringify({ ahead }) });
  await Promise.all(Array.from({ length: 40 }, () => app.admin("GET", "/api/sso/health?deep")));
  assert.deepEqual(asked, ["HEAD /"]);
});

test("to anybody else, the health is what it was", async () => {
  const app = world.site("APP");
  asked.length = 0;
  for (const path of ["/api/sso/health", "/api/sso/health?x=1", "/api/sso/health?notdeep"]) {
    const answer = await app.client(path);
    assert.deepEqual([answer.status, answer.json], [200, { status: "ok" }], path);
  }
  for (const path of ["/api/sso/health?deep", "/api/sso/health?deep=1", "/api/sso/health?x&deep"]) assert.equal((await app.client(path)).status, 401, path);
  assert.deepEqual(asked, []);
});
