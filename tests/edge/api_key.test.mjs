// API tokens that act as a user, in `x-api-key` and as `Authorization: Token`, at sites with the source `api_key`.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newEmail, newPath, startWorld, until } from "./lib/world.mjs";

/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @typedef {{ id: string, token: string, acts_as: string, scopes: string[] }} ApiToken A new one, as the admin API tells it. */

const SOURCES = ["api_key", "session", "sso_cookie"];

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {User} */
let user;
/** @type {ApiToken} */
let robot;
before(async () => {
  world = await startWorld({
    isolates: 2,
    edgeward: { user_cache: 1 },
    sites: {
      APP: { sources: SOURCES, query: undefined },
      // Takes no keys, and lets everybody through.
      OPEN: { unauthenticated: "pass" },
    },
  });
  app = world.site("APP");
  user = await app.createUser({ email: newEmail("robot"), roles: ["importer"] });
  robot = await make({ acts_as: user.id });
});
after(() => world?.stop());

/**
 * A new API token.
 * @param {Record<string, unknown>} fields
 * @returns {Promise<ApiToken>}
 */
async function make(fields) {
  const answer = await app.admin("POST", "/api/sso/tokens", { name: "robot", expires_in: 3600, ...fields });
  assert.equal(answer.status, 201, String(answer));
  return answer.json;
}

/**
 * The two ways in which a key comes.
 * @param {string} key
 */
const ways = (key) => [{ headers: { "X-API-Key": key } }, { headers: { Authorization: `Token ${key}` } }];

/**
 * @param {string} key
 * @param {string} what
 */
async function assertRefused(key, what) {
  for (const options of ways(key)) {
    const path = newPath();
    const answer = await app.client(path, options);
    assert.equal(answer.status, 401, `${what}: ${answer}`);
    assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
  }
}

test("a request with the key reaches the origin as the user, and without the key", async () => {
  assert.deepEqual([robot.acts_as, robot.scopes], [user.id, []]);
  for (const worker of ["edge", "edge-2"]) {
    const site = world.site("APP", worker);
    // The second time the isolate knows the key.
    for (const options of [...ways(robot.token), ...ways(robot.token)]) {
      const path = newPath();
      const answer = await site.client(path, options);
      assert.equal(answer.status, 200, String(answer));
      /** @param {string} name */
      const header = (name) => answer.seen.header(name);
      assert.deepEqual(["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-api-key", "authorization"].map(header), [
        user.id,
        user.email,
        "importer",
        undefined,
        undefined,
      ]);
      assert.doesNotMatch(JSON.stringify(world.origin.about(path)), /ewt_/);
      assert.deepEqual(answer.cookies, [], "a key opens no session");
    }
  }
});

test("a key that acts as nobody is refused, whatever its scopes", async () => {
  await assertRefused(await world.adminToken(), "an admin's");
  await assertRefused(await world.apiToken("users:read"), "one for reading users");
  await assertRefused(await world.apiToken("token:issue"), "one for making SSO tokens");
});

test("a key that is mistyped, cut, or of nobody is refused", async () => {
  const { token } = robot;
  for (const key of [`${token}0`, token.slice(0, -1), token.toUpperCase(), `ewt_${"A".repeat(43)}000000`, "ewt_"])
    await assertRefused(key, key.replace(token.slice(4), "…"));
});

test("a good session beside a bad key does not help", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  assert.equal((await app.client(path, { cookie, headers: { "X-API-Key": `${robot.token}0` } })).status, 401);
  assert.deepEqual(world.origin.about(path), []);
});

test("a value that is none of ours is between the client and the application", async () => {
  const { cookie, user } = await app.signIn();
  const answer = await app.client("/", { cookie, headers: { "X-API-Key": "theirs" } });
  assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(
    ["x-forwarded-user", "x-api-key"].map((name) => answer.seen.header(name)),
    [user.id, "theirs"],
  );
  assert.equal((await app.client("/", { headers: { "X-API-Key": "theirs" } })).status, 401);
});

test("where the site takes no keys, the key is nobody's and is taken off all the same", async () => {
  const open = world.site("OPEN");
  for (const options of ways(robot.token)) {
    const path = newPath();
    const answer = await open.client(path, options);
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), undefined);
    assert.doesNotMatch(JSON.stringify(world.origin.about(path)), /ewt_/);
  }
});

test("the key ends with its user, and when it is revoked", async () => {
  const other = await app.createUser();
  const [first, second] = [await make({ acts_as: other.id }), await make({ acts_as: other.id })];
  /** @param {ApiToken} key */
  const status = async (key) => (await app.client("/", { headers: { "X-API-Key": key.token } })).status;
  assert.deepEqual([await status(first), await status(second)], [200, 200]);
  assert.equal((await app.admin("POST", `/api/sso/tokens/${first.id}/revoke`)).status, 200);
  await until(async () => (await status(first)) === 401);
  assert.equal(await status(second), 200);
  assert.equal((await app.admin("PATCH", `/api/sso/users/${other.id}`, { active: false })).status, 200);
  await until(async () => (await status(second)) === 403);
});

test("it may be nothing else: the admin API refuses it, and only an admin makes one, for a user that exists", async () => {
  assert.equal((await app.admin("GET", "/api/sso/users", undefined, { token: robot.token })).status, 403);
  const body = { name: "robot", acts_as: user.id };
  assert.equal((await app.admin("POST", "/api/sso/tokens", body, { token: await world.apiToken("tokens:write") })).status, 403);
  assert.equal((await app.admin("POST", "/api/sso/tokens", { ...body, acts_as: "usr_0123456789abcdefghijkl" })).status, 400);
});
