// docs/openapi.json: a valid document, which has every method of every path. That answers are as it says is checked with each
// call that any test makes (lib/contract.mjs).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { holdsTo, methodsOf, OPENAPI } from "./lib/contract.mjs";
import { newService, withGateway } from "./lib/gateway.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
before(async () => {
  world = await startWorld(withGateway({ sites: { APP: {} }, metrics: true }));
});
after(() => world?.stop());

test("docs/openapi.json is valid OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(OPENAPI));
  assert.ok(valid, JSON.stringify(errors, null, 2));
});

/**
 * The id of a new record that a path is about.
 * @param {string} path
 */
async function newRecord(path) {
  const site = world.site();
  if (path.includes("/services/")) return (await newService(world.site("GATEWAY"), "https://service.example.com")).id;
  if (path.includes("/tokens/")) return (await site.admin("POST", "/api/sso/tokens", { name: "one", scopes: ["users:read"] })).json.id;
  return (await site.createUser()).id;
}

test("every path has the methods that docs/openapi.json says, and no other", async () => {
  const site = world.site();
  for (const path of Object.keys(OPENAPI.paths)) {
    const id = path.includes("{id}") ? await newRecord(path) : "";
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      const target = path.replace("{id}", id) + (path === "/api/sso/health" ? "?deep" : "");
      const answer = await site.admin(method, target, method === "GET" || method === "DELETE" ? undefined : {});
      const isKnown = methodsOf(path).includes(method);
      assert.equal(answer.status !== 405, isKnown, `${method} ${target}: ${answer}`);
    }
  }
});

test("what docs/openapi.json does not say fails a test", async () => {
  const site = world.site();
  const answer = await site.admin("GET", "/api/sso/users");
  holdsTo("GET", "/api/sso/users", undefined, answer);
  assert.throws(() => holdsTo("GET", "/api/sso/tokens", undefined, answer), /ApiTokens/);
  assert.throws(() => holdsTo("GET", "/api/sso/users?unknown=1", undefined, answer), /undocumented/);
  assert.throws(() => holdsTo("DELETE", "/api/sso/users", undefined, answer), /no such call/);
  assert.throws(() => holdsTo("POST", "/api/sso/users/bulk", { users: 7 }, answer), /BulkResults|Bulk/);
});
