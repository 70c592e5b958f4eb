// What the isolate remembers has a bound in bytes: twenty thousand credentials of any shape, good and bad, leave its Wasm
// memory as small as half of them do.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { issuerTable, newIssuerSecret } from "./lib/issuer.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { TestContext } from "node:test" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const MEGABYTE = 1024 * 1024;
/** What is remembered may weigh 32 MB; the rest is the core itself, what requests need while they last, and gaps. */
const MOST = 48 * MEGABYTE;
const MANY = 20_000;

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Record<string, string>} */
let secrets;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-memory-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/weighed.js", import.meta.url)), script);
  const issuer = newIssuerSecret();
  const token = { issuers: ["id"], sources: ["bearer"], sso_cookie: undefined, query: undefined };
  world = await startWorld({
    script,
    vars: { ISSUER_SECRET: issuer, EDGEWARD_ISSUER_ID: issuerTable({ algorithms: ["HS256"], secret: "ISSUER_SECRET", grant_roles: ["role-1", "role-2"] }) },
    sites: {
      TOKENS: { ...token, custom_headers: { "X-Groups": "claim:groups", "X-Roles": "claim:realm_access.roles" } },
      SIGNED: { ...token, assertion: { claims: ["groups", "realm_access"] } },
      OWN: { issuers: ["id"], sources: ["session", "bearer"], sso_cookie: undefined, query: undefined },
    },
  });
  secrets = { issuer, session: world.secrets.session[1], token: world.secrets.token[1] };
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Sends as many different credentials of a shape; answers what the Wasm memory came to.
 * @param {Site} site
 * @param {string} shape
 */
async function flood(
  site,
  shape,
  /** @type {{ from: number, count: number, times?: number, bad?: boolean, expected?: number }} */ { from, count, times = 1, bad = false, expected = 200 },
) {
  const body = JSON.stringify({ shape, from, count, times, bad, secrets, host: site.host });
  const answer = await site.send("POST", "/", { headers: { "x-test-send": "1" }, body });
  const { statuses, instances, memory } = answer.json;
  assert.deepEqual(statuses, { [expected]: count * times }, shape);
  assert.equal(instances, 1, "one instance of the core did all of it");
  return memory;
}

/**
 * Half of them, and the other half: the memory is below the bound, and the second half adds nothing to speak of.
 * @param {TestContext} t
 * @param {Site} site
 * @param {string[]} shapes
 */
async function assertBounded(t, site, shapes, options = {}) {
  const half = MANY / 2;
  const wrong = [];
  for (const shape of shapes) {
    const first = await flood(site, shape, { from: 0, count: half, ...options });
    const second = await flood(site, shape, { from: half, count: half, ...options });
    const told = `${shape}: ${[first, second].map((memory) => (memory / MEGABYTE).toFixed(1)).join(" MB, then ")} MB`;
    t.diagnostic(told);
    if (second >= MOST || second - first > MEGABYTE) wrong.push(told);
  }
  assert.deepEqual(wrong, []);
}

test("SEC-78: twenty thousand tokens of any shape leave the memory bounded", async (t) => {
  await assertBounded(t, world.site("TOKENS"), ["keycloak", "users", "small", "deep", "long", "roles"]);
});

test("SEC-78: twenty thousand tokens with an assertion, each sent again, leave the memory bounded", async (t) => {
  // The headers that go with each are kept for the second time.
  await assertBounded(t, world.site("SIGNED"), ["keycloak"], { times: 2 });
});

test("SEC-78: twenty thousand sessions and SSO tokens of our own leave the memory bounded", async (t) => {
  await assertBounded(t, world.site("OWN"), ["session", "sso"], { times: 2 });
});

test("SEC-78: twenty thousand bad tokens leave nothing behind", async (t) => {
  await assertBounded(t, world.site("TOKENS"), ["small"], { bad: true, expected: 401 });
});
