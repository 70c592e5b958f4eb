// The query of the admin API: a parameter that a call does not know is an error at every endpoint, as is a member of a body.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { builtCore } from "../../scripts/lib/core.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** What takes no API token, or is lenient for the clients that it has. */
const OTHERS = /^\/(\.well-known\/|api\/sso\/(token|me|logout|switch|health|arrive|login|callback|backchannel|logged-out)\b)/;
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld();
  app = world.site();
});
after(() => world?.stop());

/**
 * @param {Answer} answer
 * @param {number} status
 * @param {string} code
 * @param {string} [field]
 */
function assertError(answer, status, code, field) {
  assert.deepEqual([answer.status, answer.json.code, answer.json.field], [status, code, field], String(answer));
}

test("a query parameter that a call does not know is 400 and names it, at every endpoint and with every method", async () => {
  const { paths } = /** @type {{ paths: string[] }} */ ((await builtCore())("facts"));
  const ours = paths.filter((path) => !OTHERS.test(path));
  assert.ok(ours.length >= 18, String(ours));
  for (const path of ours) {
    for (const method of METHODS) {
      const answer = await app.admin(method, `${path.replace("{id}", "usr_0000000000000000000000")}?no_such=1`);
      assertError(answer, 400, "invalid_request", "no_such");
    }
  }
});

test("a misspelt filter is an error, and never a list of everybody", async () => {
  const user = await app.createUser();
  const email = encodeURIComponent(user.email);
  for (const [query, field] of [
    [`emial=${email}`, "emial"],
    [`Email=${email}`, "Email"],
    [`email=${email}&limit=1&page=2`, "page"],
    [`e%6Dail=${email}&%6Cimitt=1`, "limitt"],
    [`email=${email}&email=other@example.test`, "email"],
    ["limit=1&limit=2", "limit"],
    ["with_children=true", "with_children"],
    ["=1", ""],
    ["tenant=acme", "tenant"],
  ]) {
    assertError(await app.admin("GET", `/api/sso/users?${query}`), 400, "invalid_request", field);
  }
  const long = "x".repeat(500);
  assertError(await app.admin("GET", `/api/sso/users?${long}=1`), 400, "invalid_request", long.slice(0, 64));
  for (const query of [`email=${email}`, `e%6Dail=${email}`, `email=${email}&`, `&email=${email}&&limit=1`, `email=${email}&tenant=`.slice(0, -8)]) {
    const found = await app.admin("GET", `/api/sso/users?${query}`);
    assert.deepEqual([found.status, found.json.users], [200, [user]], query);
  }
});

test("a call knows the parameters of its own method only, and an API token comes first", async () => {
  const user = await app.createUser();
  assertError(await app.admin("POST", "/api/sso/users?limit=1", { email: "a@example.test" }), 400, "invalid_request", "limit");
  assertError(await app.admin("GET", `/api/sso/users/${user.id}?email=x`), 400, "invalid_request", "email");
  assertError(await app.admin("GET", `/api/sso/users/${user.id}/sessions?session=x`), 400, "invalid_request", "session");
  assertError(await app.admin("GET", "/api/sso/users?no_such=1", undefined, { token: "ewt_nonsense" }), 401, "invalid_api_token");
  const { token, id } = (await app.admin("POST", "/api/sso/tokens", { name: "n", scopes: ["users:read"] })).json;
  assertError(await app.admin("POST", `/api/sso/tokens/${id}/revoke?with_childern=true`), 400, "invalid_request", "with_childern");
  assert.equal((await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status, 200, "nothing was revoked");
});
