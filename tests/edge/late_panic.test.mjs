// An end of the core in a later turn of a request, when no call from JavaScript is under way that it could be thrown through.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-panic-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/deadly.js", import.meta.url)), script);
  world = await startWorld({ script });
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * A call by an API token that does not exist: it waits for the limit, and its denial is logged in a later turn.
 * @param {number} n
 */
const stranger = (n) => app.client("/api/sso/users", { headers: { authorization: `Bearer ewt_${String(n).padStart(43, "A")}` } });

test("SEC-72: what ends the core in a later turn fails at once what waits, and the next request is served", async () => {
  assert.equal((await stranger(1)).status, 401);
  assert.equal((await app.send("POST", "/__test/die")).status, 200);
  const begun = Date.now();
  const failed = await Promise.all([stranger(2), stranger(3)]);
  assert.deepEqual(
    failed.map(({ status, json }) => [status, json.code]),
    [
      [503, "temporarily_unavailable"],
      [503, "temporarily_unavailable"],
    ],
  );
  // Without the runtime's event they would wait until the time limit of 25 seconds.
  assert.ok(Date.now() - begun < 5_000, `${Date.now() - begun} ms`);
  assert.deepEqual((await app.client("/__test/errors")).json, ["Error: Critical error"]);
  assert.equal((await stranger(4)).status, 401);
  assert.equal((await app.client("/api/sso/health")).status, 200);
});
