// A runtime that is killed at any write, before it is made and after: each change is whole or not there at all, and what was
// begun is carried to its end without anybody asking (SEC-77).

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { faultsOfStore } from "./lib/store.mjs";
import { newEmail, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-killed-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/slow.js", import.meta.url)), script);
  world = await startWorld({ script, edgeward: { user_cache: 1 }, sites: { APP: { assertion: {} } } });
  app = world.site("APP");
  // The first key is made.
  await app.client("/.well-known/jwks.json");
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const state = async () => (await app.client("/__test/state")).json;
/**
 * When an API token was last used is written once in a while: that is no part of any operation.
 * @param {object} plan
 */
const slow = (plan) => app.send("POST", "/__test/slow", { body: JSON.stringify({ without: "api_token_used:", ...plan }) });
/** @param {string} email */
const users = async (email) => (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json.users;
const newToken = async () => (await app.admin("POST", "/api/sso/tokens", { name: "n", scopes: ["users:read"] })).json;
const kids = async () => (await app.client("/.well-known/jwks.json")).json.keys.map((/** @type {{ kid: string }} */ { kid }) => kid);

/**
 * What is called, and what has to hold after it.
 * @template Prepared
 * @param {object} parts
 * @param {() => Promise<Prepared>} parts.prepare
 * @param {(prepared: Prepared) => Promise<Answer>} parts.call
 * @param {(prepared: Prepared, again: Answer, made: boolean) => Promise<unknown>} parts.holds
 */
const operation =
  ({ prepare, call, holds }) =>
  async () => {
    const prepared = await prepare();
    /**
     * @param {Answer} again
     * @param {boolean} made
     */
    const holdsAfter = (again, made) => holds(prepared, again, made);
    return { call: () => call(prepared), holds: holdsAfter };
  };

/**
 * Each operation: what it needs, the call, and what must hold after the same call was made once more. `made`: whether
 * the first call must have had its effect.
 */
const OPERATIONS = {
  "a user is made": operation({
    prepare: async () => newEmail(),
    call: (email) => app.admin("POST", "/api/sso/users", { email }),
    holds: async (email, again, made) => {
      assert.equal(again.status, made ? 409 : 201, String(again));
      await until(async () => (await users(email)).length === 1);
    },
  }),
  "a user moves to another address": operation({
    prepare: async () => ({ user: await app.createUser(), email: newEmail("moved") }),
    call: ({ user, email }) => app.admin("PATCH", `/api/sso/users/${user.id}`, { email }),
    holds: async ({ user, email }, again) => {
      assert.equal(again.status, 200, String(again));
      await until(async () => (await users(email))[0]?.id === user.id);
      assert.deepEqual(await users(user.email), []);
    },
  }),
  "a user is disabled": operation({
    prepare: async () => app.signIn(),
    call: ({ user }) => app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false }),
    holds: async ({ user, cookie }, again) => {
      assert.equal(again.status, 200, String(again));
      await until(async () => (await users(user.email))[0]?.active === false);
      assert.equal((await app.client("/", { cookie })).status, 403);
    },
  }),
  "a user is deleted": operation({
    prepare: async () => app.createUser(),
    call: (user) => app.admin("DELETE", `/api/sso/users/${user.id}`),
    holds: async (user, again, made) => {
      assert.equal(again.status, made ? 404 : 204, String(again));
      await until(async () => (await users(user.email)).length === 0);
    },
  }),
  "an API token is revoked": operation({
    prepare: newToken,
    call: ({ id }) => app.admin("POST", `/api/sso/tokens/${id}/revoke`),
    holds: async ({ id, token }, again) => {
      assert.equal(again.status, 200, String(again));
      assert.equal((await app.admin("GET", "/api/sso/users", undefined, { token })).status, 401);
      await until(async () => (await app.admin("GET", `/api/sso/tokens/${id}`)).json.active === false);
    },
  }),
  "signing keys are rotated": operation({
    prepare: kids,
    call: () => app.admin("POST", "/api/sso/keys/rotate"),
    holds: async (before, again) => {
      assert.equal(again.status, 200, String(again));
      const now = await kids();
      for (const kid of before) assert.ok(now.includes(kid), "a key is lost");
      assert.ok(again.json.keys.every((/** @type {{ kid: string }} */ { kid }) => now.includes(kid)));
    },
  }),
};

/** Calls after which something is another than before. */
const WRITES = ["kv.put", "kv.delete", "record.change"];

for (const [name, prepare] of Object.entries(OPERATIONS)) {
  test(`SEC-77: whenever the runtime is killed, ${name} wholly or not at all`, async () => {
    const first = await prepare();
    await slow({});
    await first.call();
    const writes = (await state()).calls.filter((/** @type {string} */ name) => WRITES.includes(name));
    assert.ok(writes.length > 0, "no write was seen");
    const moments = WRITES.flatMap((write) =>
      Array.from({ length: writes.filter((/** @type {string} */ name) => name === write).length }, (_, nth) => ({ name: write, nth })),
    );
    for (const moment of moments) {
      for (const mode of ["before", "lost"]) {
        const prepared = await prepare();
        await slow({ ...moment, mode, ms: 600_000 });
        // Nobody will answer.
        prepared.call().catch(() => {});
        await until(async () => (await state()).begun);
        await world.kill();
        const faults = async () => faultsOfStore(world);
        await until(async () => (await faults()).length === 0, 15).catch(async () =>
          assert.fail(`${moment.name} ${moment.nth} ${mode}: ${(await faults()).join("; ")}`),
        );
        // Everything but the first change is carried out by whoever has made that.
        const made = moment.name !== "record.change" || moment.nth > 0 || mode === "lost";
        await prepared.holds(await prepared.call(), made);
        await until(async () => (await faults()).length === 0, 15);
      }
    }
  });
}
