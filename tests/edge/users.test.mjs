// The admin API for users: `/api/sso/users`.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newEmail, now, signInAgain, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const USERS = "/api/sso/users";

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
  assert.equal(answer.status, status, String(answer));
  assert.equal(answer.type, "application/json");
  assert.equal(answer.json.code, code, String(answer));
  assert.equal(typeof answer.json.error, "string");
  if (field !== undefined) assert.equal(answer.json.field, field, String(answer));
}

test("a created user has id, email, username, names, flags, roles, sessions_valid_after and timestamps", async () => {
  const email = newEmail();
  const before = now();
  const answer = await app.admin("POST", USERS, {
    email,
    username: "ada",
    first_name: "Ada",
    last_name: "L",
    roles: ["reader", "writer"],
    staff: true,
    superuser: false,
  });
  assert.equal(answer.status, 201, String(answer));
  const { id, created_at, updated_at, sessions_valid_after, ...rest } = answer.json;
  assert.match(id, /^usr_[\w-]+$/);
  assert.ok(created_at >= before && created_at <= now());
  assert.ok(updated_at >= created_at);
  assert.equal(sessions_valid_after, null);
  assert.deepEqual(rest, {
    email,
    username: "ada",
    first_name: "Ada",
    last_name: "L",
    active: true,
    staff: true,
    superuser: false,
    roles: ["reader", "writer"],
  });
  assert.deepEqual((await app.admin("GET", `${USERS}/${id}`)).json, answer.json);
});

test("an address that is taken, in any spelling, is 409 user_exists", async () => {
  const user = await app.createUser();
  for (const email of [user.email, user.email.toUpperCase(), ` ${user.email} `]) assertError(await app.admin("POST", USERS, { email }), 409, "user_exists");
});

test("simultaneous creations of one address give one user", async () => {
  const email = newEmail("race");
  const answers = await Promise.all(Array.from({ length: 6 }, () => app.admin("POST", USERS, { email })));
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [201, 409, 409, 409, 409, 409]);
});

test("an unknown user is 404 not_found for every method", async () => {
  const id = "usr_000000000000000000000000";
  assertError(await app.admin("GET", `${USERS}/${id}`), 404, "not_found");
  assertError(await app.admin("PATCH", `${USERS}/${id}`, { first_name: "x" }), 404, "not_found");
  assertError(await app.admin("DELETE", `${USERS}/${id}`), 404, "not_found");
  assertError(await app.admin("POST", `${USERS}/${id}/logout`), 404, "not_found");
});

test("a change changes what it names and nothing else", async () => {
  const user = await app.createUser({ first_name: "A", last_name: "B", roles: ["x"] });
  const answer = await app.admin("PATCH", `${USERS}/${user.id}`, { first_name: "C", roles: ["y", "z"], staff: true });
  assert.equal(answer.status, 200, String(answer));
  const { updated_at, ...changed } = answer.json;
  const { updated_at: _, ...expected } = { ...user, first_name: "C", roles: ["y", "z"], staff: true };
  assert.deepEqual(changed, expected);
  assert.ok(updated_at >= user.updated_at);
  assert.deepEqual((await app.admin("GET", `${USERS}/${user.id}`)).json, answer.json);
});

test("a change is what the origin sees at the next request", async () => {
  const { user, cookie } = await app.signIn();
  await app.admin("PATCH", `${USERS}/${user.id}`, { roles: ["editor"] });
  const { seen } = await app.client("/", { cookie });
  assert.equal(seen.header("x-forwarded-groups"), "editor");
});

test("a wrong value is 400 invalid_request and names the field", async () => {
  const user = await app.createUser();
  for (const [field, value] of Object.entries({ active: "no", staff: 1, roles: "admin", first_name: 5, email: "nonsense" })) {
    assertError(await app.admin("PATCH", `${USERS}/${user.id}`, { [field]: value }), 400, "invalid_request", field);
    assertError(await app.admin("POST", USERS, { email: newEmail(), [field]: value }), 400, "invalid_request", field);
  }
  assertError(await app.admin("POST", USERS, {}), 400, "invalid_request", "email");
});

test("roles are added to those of the user and removed from them, by PATCH alone", async () => {
  const user = await app.createUser({ roles: ["a", "b"] });
  const path = `${USERS}/${user.id}`;
  const changed = await app.admin("PATCH", path, { add_roles: ["c", "a", "c"], remove_roles: ["b", "never"], first_name: "Ada" });
  assert.deepEqual([changed.status, changed.json.roles, changed.json.first_name], [200, ["a", "c"], "Ada"], String(changed));
  assert.deepEqual((await app.admin("PATCH", path, { add_roles: [], remove_roles: null })).json.roles, ["a", "c"]);
  for (const [field, body] of /** @type {[string, object][]} */ ([
    ["add_roles", { add_roles: "admin" }],
    ["add_roles", { add_roles: ["a\tb"] }],
    ["remove_roles", { remove_roles: [1] }],
    ["add_roles", { add_roles: ["d"], roles: ["e"] }],
    ["remove_roles", { remove_roles: ["a"], roles: [] }],
    ["remove_roles", { add_roles: ["d"], remove_roles: ["d"] }],
  ])) {
    assertError(await app.admin("PATCH", path, body), 400, "invalid_request", field);
  }
  assertError(await app.admin("POST", USERS, { email: newEmail(), add_roles: ["a"] }), 400, "invalid_request", "add_roles");
  const bulk = await app.admin("POST", `${USERS}/bulk`, { users: [{ email: user.email, add_roles: ["d"] }], on_existing: "update" });
  assert.deepEqual([bulk.json.results[0].status, bulk.json.results[0].field], ["invalid", "add_roles"]);
  assert.deepEqual((await app.admin("GET", path)).json.roles, ["a", "c"]);
});

test("a misspelt field is refused and not ignored", async () => {
  const user = await app.createUser();
  assertError(await app.admin("PATCH", `${USERS}/${user.id}`, { actve: false }), 400, "invalid_request", "actve");
});

test("the address itself can be changed, frees the old one and cannot take another's", async () => {
  const user = await app.createUser();
  const other = await app.createUser();
  const email = newEmail("new");
  const answer = await app.admin("PATCH", `${USERS}/${user.id}`, { email });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.json.email, email);
  assert.equal(answer.json.id, user.id);
  const byNew = (await app.admin("GET", `${USERS}?email=${encodeURIComponent(email)}`)).json.users;
  const byOld = (await app.admin("GET", `${USERS}?email=${encodeURIComponent(user.email)}`)).json.users;
  assert.deepEqual(
    byNew.map((/** @type {{ id: string }} */ { id }) => id),
    [user.id],
  );
  assert.deepEqual(byOld, []);
  assertError(await app.admin("PATCH", `${USERS}/${user.id}`, { email: other.email }), 409, "user_exists");
  assert.equal((await app.admin("POST", USERS, { email: user.email })).status, 201);
});

test("a deleted user is gone, and the address can be used by a new user with another id", async () => {
  const user = await app.createUser();
  const answer = await app.admin("DELETE", `${USERS}/${user.id}`);
  assert.equal(answer.status, 204, String(answer));
  assertError(await app.admin("GET", `${USERS}/${user.id}`), 404, "not_found");
  const again = await app.createUser({ email: user.email });
  assert.notEqual(again.id, user.id);
});

test("the list is complete, without repetition, page by page by cursor", async () => {
  const created = await Promise.all(Array.from({ length: 7 }, () => app.createUser()));
  const ids = [];
  /** @type {string | undefined} */
  let cursor;
  let pages = 0;
  do {
    const answer = await app.admin("GET", `${USERS}?limit=3${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    assert.equal(answer.status, 200, String(answer));
    assert.ok(answer.json.users.length <= 3);
    ids.push(...answer.json.users.map((/** @type {{ id: string }} */ { id }) => id));
    cursor = answer.json.cursor;
    pages += 1;
  } while (cursor !== null && pages < 200);
  assert.equal(new Set(ids).size, ids.length, "no repetition");
  for (const { id } of created) assert.ok(ids.includes(id), "complete");
  assert.ok(pages >= 3);
});

test("a cursor that is not ours is 400 invalid_cursor", async () => {
  for (const cursor of ["x", "../..", "%00", "A".repeat(2000)]) assertError(await app.admin("GET", `${USERS}?cursor=${cursor}`), 400, "invalid_cursor");
});

test("a limit that is no number from 1 to 100 is an error", async () => {
  for (const limit of ["0", "-1", "101", "1e9", "abc", ""]) {
    assertError(await app.admin("GET", `${USERS}?limit=${limit}`), 400, "invalid_request", "limit");
  }
});

test("a user can be found by address in any spelling", async () => {
  const user = await app.createUser();
  const answer = await app.admin("GET", `${USERS}?email=${encodeURIComponent(` ${user.email.toUpperCase()} `)}`);
  assert.deepEqual(answer.json, { users: [user], cursor: null });
});

test("several hundred users are created in batches of 100", async () => {
  const emails = Array.from({ length: 300 }, () => newEmail("bulk"));
  const answers = await Promise.all(
    [0, 100, 200].map((at) =>
      app.admin("POST", `${USERS}/bulk`, { users: emails.slice(at, at + 100).map((email) => ({ email, first_name: "B" })), on_existing: "skip" }),
    ),
  );
  const results = answers.flatMap((answer) => {
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.json.created, 100);
    return answer.json.results;
  });
  assert.deepEqual(
    results.map(({ email }) => email),
    emails,
    "in the order of the request",
  );
  assert.equal(new Set(results.map(({ id }) => id)).size, 300);
  assert.deepEqual(new Set(results.map(({ status }) => status)), new Set(["created"]));
  const some = (await app.admin("GET", `${USERS}/${results[250].id}`)).json;
  assert.equal(some.email, emails[250]);
  assert.equal(some.first_name, "B");
});

test("a bulk call skips or updates those who exist, and tells what was wrong with the others", async () => {
  const existing = await app.createUser({ first_name: "Old" });
  const fresh = newEmail();
  const users = [{ email: existing.email.toUpperCase(), first_name: "New" }, { email: "nonsense" }, { email: fresh }, { first_name: "no address" }];
  const skipped = (await app.admin("POST", `${USERS}/bulk`, { users, on_existing: "skip" })).json;
  assert.deepEqual(
    skipped.results.map((/** @type {{ status: number }} */ { status }) => status),
    ["exists", "invalid", "created", "invalid"],
  );
  assert.deepEqual([skipped.created, skipped.updated, skipped.exists, skipped.invalid], [1, 0, 1, 2]);
  assert.equal(skipped.results[0].id, existing.id);
  assert.equal(typeof skipped.results[1].code, "string");
  assert.equal((await app.admin("GET", `${USERS}/${existing.id}`)).json.first_name, "Old");
  const updated = (await app.admin("POST", `${USERS}/bulk`, { users, on_existing: "update" })).json;
  assert.deepEqual(
    updated.results.map((/** @type {{ status: number }} */ { status }) => status),
    ["updated", "invalid", "updated", "invalid"],
  );
  assert.equal((await app.admin("GET", `${USERS}/${existing.id}`)).json.first_name, "New");
});

test("an address twice in one bulk call gives one user", async () => {
  const email = newEmail();
  const answer = await app.admin("POST", `${USERS}/bulk`, { users: [{ email }, { email: email.toUpperCase() }], on_existing: "skip" });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.json.created, 1);
  assert.equal((await app.admin("GET", `${USERS}?email=${encodeURIComponent(email)}`)).json.users.length, 1);
});

test("a bulk call with more than 100 users is 400 and creates none", async () => {
  const emails = Array.from({ length: 101 }, () => newEmail("many"));
  assertError(await app.admin("POST", `${USERS}/bulk`, { users: emails.map((email) => ({ email })), on_existing: "skip" }), 400, "invalid_request", "users");
  assert.deepEqual((await app.admin("GET", `${USERS}?email=${encodeURIComponent(emails[0])}`)).json.users, []);
});

test("users:read reads and does not write", async () => {
  const token = await world.apiToken("users:read");
  const user = await app.createUser();
  assert.equal((await app.admin("GET", `${USERS}/${user.id}`, undefined, { token })).status, 200);
  assert.equal((await app.admin("GET", USERS, undefined, { token })).status, 200);
  assertError(await app.admin("POST", USERS, { email: newEmail() }, { token }), 403, "insufficient_scope");
  assertError(await app.admin("POST", `${USERS}/bulk`, { users: [], on_existing: "skip" }, { token }), 403, "insufficient_scope");
  assertError(await app.admin("PATCH", `${USERS}/${user.id}`, { first_name: "x" }, { token }), 403, "insufficient_scope");
  assertError(await app.admin("DELETE", `${USERS}/${user.id}`, undefined, { token }), 403, "insufficient_scope");
  assertError(await app.admin("POST", `${USERS}/${user.id}/logout`, undefined, { token }), 403, "insufficient_scope");
});

test("SEC-64: token:issue and tokens:write give no access to users, and users:write none to staff, superuser and roles", async () => {
  const user = await app.createUser();
  for (const scope of ["token:issue", "tokens:write"]) {
    const token = await world.apiToken(scope);
    assertError(await app.admin("GET", USERS, undefined, { token }), 403, "insufficient_scope");
    assertError(await app.admin("POST", USERS, { email: newEmail() }, { token }), 403, "insufficient_scope");
    assertError(await app.admin("PATCH", `${USERS}/${user.id}`, { active: false }, { token }), 403, "insufficient_scope");
  }
  const token = await world.apiToken("users:write");
  for (const fields of [{ staff: true }, { superuser: true }, { roles: ["admin"] }]) {
    assertError(await app.admin("PATCH", `${USERS}/${user.id}`, fields, { token }), 403, "insufficient_scope");
    assertError(await app.admin("POST", USERS, { email: newEmail(), ...fields }, { token }), 403, "insufficient_scope");
    const bulk = await app.admin("POST", `${USERS}/bulk`, { users: [{ email: user.email, ...fields }], on_existing: "update" }, { token });
    assert.equal(bulk.status, 200, String(bulk));
    assert.deepEqual(bulk.json.results, [{ email: user.email, status: "invalid", code: "insufficient_scope" }]);
  }
  for (const fields of [{ add_roles: ["admin"] }, { remove_roles: ["admin"] }]) {
    assertError(await app.admin("PATCH", `${USERS}/${user.id}`, fields, { token }), 403, "insufficient_scope");
  }
  assert.equal((await app.admin("PATCH", `${USERS}/${user.id}`, { first_name: "fine" }, { token })).status, 200);
  const { staff, superuser, roles } = (await app.admin("GET", `${USERS}/${user.id}`)).json;
  assert.deepEqual({ staff, superuser, roles }, { staff: false, superuser: false, roles: [] });
});

test("SEC-64: a username that looks like an address is the user's own address or refused", async () => {
  const victim = await app.createUser();
  const user = await app.createUser();
  assert.equal((await app.admin("PATCH", `${USERS}/${user.id}`, { username: victim.email })).status, 400);
  assert.equal((await app.admin("POST", USERS, { email: newEmail(), username: victim.email })).status, 400);
  assert.equal((await app.admin("PATCH", `${USERS}/${user.id}`, { username: user.email })).status, 200);
});

test("SEC-64: an API token that is limited to some users writes and ends the sessions of no others", async () => {
  const answer = await app.admin("POST", "/api/sso/tokens", {
    name: "one domain",
    scopes: ["users:write", "users:read"],
    issue_for: { email_domains: ["allowed.test"] },
  });
  const { token } = answer.json;
  const other = await app.createUser();
  assert.equal((await app.admin("POST", USERS, { email: newEmail() }, { token })).status, 403);
  assert.equal((await app.admin("PATCH", `${USERS}/${other.id}`, { active: false }, { token })).status, 403);
  assert.equal((await app.admin("PATCH", `${USERS}/${other.id}`, { email: newEmail().replace("example.test", "allowed.test") }, { token })).status, 403);
  assert.equal((await app.admin("DELETE", `${USERS}/${other.id}`, undefined, { token })).status, 403);
  assert.equal((await app.admin("POST", `${USERS}/${other.id}/logout`, undefined, { token })).status, 403);
  const own = await app.admin("POST", USERS, { email: newEmail().replace("example.test", "allowed.test") }, { token });
  assert.equal(own.status, 201, String(own));
  assert.equal((await app.admin("PATCH", `${USERS}/${own.json.id}`, { email: newEmail() }, { token })).status, 403, "nor moves one out of its limits");
});

test("SEC-64: users:write disables, deletes and signs out nobody who is staff, superuser or has roles", async () => {
  const token = await world.apiToken("users:write");
  for (const fields of [{ superuser: true }, { staff: true }, { roles: ["admin"] }]) {
    const user = await app.createUser(fields);
    assertError(await app.admin("PATCH", `${USERS}/${user.id}`, { active: false }, { token }), 403, "insufficient_scope");
    assertError(await app.admin("DELETE", `${USERS}/${user.id}`, undefined, { token }), 403, "insufficient_scope");
    assertError(await app.admin("POST", `${USERS}/${user.id}/logout`, undefined, { token }), 403, "insufficient_scope");
  }
});

test("no, a foreign, and an unknown credential are 401 with a stable code", async () => {
  assertError(await app.admin("GET", USERS, undefined, { token: null }), 401, "authentication_required");
  assertError(await app.admin("GET", USERS, undefined, { token: null, headers: { Authorization: "Basic YTpi" } }), 401, "authentication_required");
  assertError(await app.admin("GET", USERS, undefined, { token: "ewt_unknown" }), 401, "invalid_api_token");
});

test("SEC-65: neither a session nor an SSO token opens the admin API, even a superuser's", async () => {
  const user = await app.createUser({ superuser: true, staff: true, roles: ["admin"] });
  const { cookie, token } = await app.signIn(user);
  for (const options of [{ cookie }, { cookie: `ls_auth_token=${token}` }, { bearer: token }]) {
    for (const path of [USERS, "/api/sso/tokens", "/api/sso/keys"]) {
      const answer = await app.client(path, options);
      assert.equal(answer.status, 401, `${path} ${JSON.stringify(options)}: ${answer}`);
    }
    const posted = await app.send("POST", USERS, { ...options, headers: { Origin: app.origin }, body: JSON.stringify({ email: newEmail() }) });
    assert.equal(posted.status, 401);
  }
});

test("SEC-65: no answer of the admin API may be read by a page of another origin or be stored", async () => {
  const Origin = "https://elsewhere.test";
  const answers = [
    await app.admin("GET", USERS, undefined, { headers: { Origin } }),
    await app.admin("POST", USERS, { email: newEmail() }, { headers: { Origin } }),
    await app.admin("GET", `${USERS}/usr_x`, undefined, { headers: { Origin } }),
    await app.admin("GET", USERS, undefined, { token: null, headers: { Origin } }),
    await app.admin("OPTIONS", USERS, undefined, { token: null, headers: { Origin, "Access-Control-Request-Method": "GET" } }),
    await app.admin("GET", "/api/sso/tokens", undefined, { headers: { Origin } }),
    await app.admin("GET", "/api/sso/nothing", undefined, { headers: { Origin } }),
  ];
  for (const answer of answers) {
    assert.equal(answer.headers.get("cache-control"), "no-store", String(answer));
    assert.deepEqual(
      answer.headers.names.filter((name) => name.startsWith("access-control-")),
      [],
    );
  }
});

test("SEC-65: everything under /api/sso/ is ours: 404 as JSON, and never the origin's", async () => {
  const { cookie } = await app.signIn();
  const before = world.origin.requests.length;
  for (const path of ["/api/sso/nothing", "/api/sso/", "/api/sso", "/api/sso/users/x/y/z", "/api/sso/Users"]) {
    for (const options of [{}, { cookie }]) {
      const answer = await app.client(path, options);
      assert.equal(answer.status, 404, `${path}: ${answer}`);
      assert.equal(answer.type, "application/json");
    }
  }
  assert.equal(world.origin.requests.length, before);
});

test("a wrong method is 405 with Allow", async () => {
  const answer = await app.admin("PUT", USERS, {});
  assertError(answer, 405, "method_not_allowed");
  assert.deepEqual(answer.headers.need("allow").split(", ").toSorted(), ["GET", "POST"]);
  const one = await app.admin("POST", `${USERS}/usr_x`, {});
  assertError(one, 405, "method_not_allowed");
  assert.deepEqual(one.headers.need("allow").split(", ").toSorted(), ["DELETE", "GET", "PATCH"]);
});

test("a body that is no JSON is 400 invalid_json, one over 64 KB is 413 payload_too_large", async () => {
  const bearer = await world.adminToken();
  assertError(await app.send("POST", USERS, { bearer, body: "{" }), 400, "invalid_json");
  assertError(await app.send("POST", USERS, { bearer, body: `{"email":"${"a".repeat(70_000)}"}` }), 413, "payload_too_large");
  assertError(await app.send("POST", USERS, { bearer, body: "[]" }), 400, "invalid_request");
});

test("SEC-66: no address or id walks into another record's key, and no key contains an address", async () => {
  const victim = await app.createUser({ first_name: "Victim" });
  for (const email of [
    "a:b@example.test",
    `usr:${victim.id}@example.test`,
    "a%2fb@example.test",
    `${"l".repeat(600)}@example.test`,
    `${"l".repeat(64)}@${"d.".repeat(100)}test`,
  ]) {
    assertError(await app.admin("POST", USERS, { email }), 400, "invalid_request");
  }
  for (const email of ["a/../b@example.test", "..@example.test", "a*b@example.test"]) {
    const answer = await app.admin("POST", USERS, { email });
    assert.equal(answer.status, 201, `${email}: ${answer}`);
    const found = (await app.admin("GET", `${USERS}?email=${encodeURIComponent(email)}`)).json.users;
    assert.deepEqual(
      found.map((/** @type {{ id: string }} */ { id }) => id),
      [answer.json.id],
    );
  }
  assert.equal((await app.admin("GET", `${USERS}/x/../${victim.id}`)).json.id, victim.id, "one path in another spelling");
  for (const [id, status] of /** @type {[string, number][]} */ ([
    ["..", 404],
    ["%2e%2e", 404],
    [`x%2f..%2f${victim.id}`, 400],
    [`${victim.id}%00`, 400],
    [`${victim.id}%20`, 400],
    [victim.id.toUpperCase(), 404],
    [`usr_${"x".repeat(600)}`, 404],
    ["usr_*", 404],
    ["%", 400],
    ["usr_%zz", 400],
  ])) {
    const answer = await app.admin("GET", `${USERS}/${id}`);
    assert.equal(answer.status, status, `${id}: ${answer}`);
  }
  for (const [key] of await world.kvEntries()) {
    assert.ok(Buffer.byteLength(key) <= 512, key);
    assert.doesNotMatch(key, /@|example|\.\.|\s/, "keys are a fixed prefix and a hash or an id");
  }
});

test("a user who signs in after all sessions were ended has a session again, the old ones are over", async () => {
  const { user, cookie } = await app.signIn();
  assert.equal((await app.admin("POST", `${USERS}/${user.id}/logout`)).status, 204);
  assert.equal((await app.client("/", { cookie })).status, 401);
  const again = await signInAgain(app, user);
  assert.equal((await app.client("/", { cookie: again })).status, 200);
  assert.equal((await app.client("/", { cookie })).status, 401, "the old one is still over");
  const { sessions_valid_after } = (await app.admin("GET", `${USERS}/${user.id}`)).json;
  assert.equal(typeof sessions_valid_after, "number");
});
