// How fast a revocation holds: at once in the isolate that made it, everywhere within `user_cache`
// and what KV itself takes (Miniflare's KV takes no time, so that only `user_cache` remains here).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Jar } from "./lib/http.mjs";
import { newEmail, signInAgain, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SESSION = "__Host-edgeward";

/** Seconds: `user_cache`, and some for a busy machine. */
const BOUND = 5;

/** @type {World} */
let world;
/** @type {Site} */
let here;
/** @type {Site} */
let there;
before(async () => {
  world = await startWorld({ isolates: 2, edgeward: { user_cache: 1 }, sites: { APP: { assertion: {} } } });
  here = world.site("APP", "edge");
  there = world.site("APP", "edge-2");
});
after(() => world?.stop());

/** Every credential of one user, each as a function that tries it at a site. */
async function credentials() {
  const user = await here.createUser();
  const { cookie } = await here.signIn(user);
  const token = await here.issue(user.email);
  // What was a link counts nowhere else, and the other way round.
  const link = await here.issue(user.email);
  return {
    user,
    attempts: {
      session: (/** @type {Site} */ site) => site.client("/", { cookie }),
      "session of a browser": (/** @type {Site} */ site) => site.navigate("/", { cookie }),
      sso_cookie: (/** @type {Site} */ site) => site.client("/", { cookie: `ls_auth_token=${token}` }),
      "sso_cookie of a browser": (/** @type {Site} */ site) => site.navigate("/", { cookie: `ls_auth_token=${token}` }),
      query: (/** @type {Site} */ site) => site.client(`/?token=${link}`),
      "query of a browser": (/** @type {Site} */ site) => site.navigate(`/?token=${link}`),
      bearer: (/** @type {Site} */ site) => site.client("/", { bearer: token }),
      "who am I": (/** @type {Site} */ site) => site.client("/api/sso/me", { cookie }),
    },
  };
}

/**
 * The code of a refusal, whether it is JSON or a page.
 * @param {Answer} answer
 */
const codeOf = (answer) => (answer.type === "application/json" ? answer.json.code : answer.text.match(/<code>(\w+)<\/code><\/p>\s*<\/footer>/)?.[1]);

/** What the sources answer while the user may sign in. */
const GOOD = {
  session: 200,
  "session of a browser": 200,
  sso_cookie: 200,
  "sso_cookie of a browser": 200,
  query: 200,
  "query of a browser": 303,
  bearer: 200,
  "who am I": 200,
};

/** What the sources answer when there is no such user: a session has ended, any other token is wrong. */
const UNKNOWN = {
  session: "401 token_expired",
  "session of a browser": "401 token_expired",
  sso_cookie: "401 token_invalid",
  "sso_cookie of a browser": "401 token_invalid",
  query: "401 token_invalid",
  "query of a browser": "401 token_invalid",
  bearer: "401 token_invalid",
  "who am I": "401 token_expired",
};
const DISABLED = Object.fromEntries(Object.keys(GOOD).map((source) => [source, "403 user_disabled"]));

/** @typedef {Record<string, (site: Site) => Promise<Answer>>} Attempts */

/**
 * @param {Attempts} attempts
 * @param {Site} site
 */
async function statuses(attempts, site) {
  /** @type {Record<string, number>} */
  const all = {};
  for (const [source, attempt] of Object.entries(attempts)) all[source] = (await attempt(site)).status;
  return all;
}

/**
 * Status and code by source, of refusals that set no cookie.
 * @param {Attempts} attempts
 * @param {Site} site
 */
async function refusals(attempts, site) {
  /** @type {Record<string, string>} */
  const all = {};
  for (const [source, attempt] of Object.entries(attempts)) {
    const answer = await attempt(site);
    all[source] = `${answer.status} ${codeOf(answer)}`;
    assert.deepEqual(
      answer.cookies.filter((/** @type {{ cleared: boolean }} */ { cleared }) => !cleared),
      [],
      source,
    );
  }
  return all;
}

/** @type {Record<string, { change: (user: User) => Promise<Answer>, done: number, refused: Record<string, string> }>} */
const CHANGES = {
  disabled: { change: (user) => here.admin("PATCH", `/api/sso/users/${user.id}`, { active: false }), done: 200, refused: DISABLED },
  deleted: { change: (user) => here.admin("DELETE", `/api/sso/users/${user.id}`), done: 204, refused: UNKNOWN },
};

for (const [what, { change, done, refused }] of Object.entries(CHANGES)) {
  test(`SEC-51: a user who was ${what} is refused at the next request, by every source, where it happened`, async () => {
    const { user, attempts } = await credentials();
    assert.deepEqual(await statuses(attempts, here), GOOD);
    assert.equal((await change(user)).status, done);
    assert.deepEqual(await refusals(attempts, here), refused);
  });

  test(`a user who was ${what} is refused in every other isolate within the bound`, async () => {
    const { user, attempts } = await credentials();
    assert.deepEqual(await statuses(attempts, there), GOOD);
    await change(user);
    await until(
      async () => (await Promise.all(Object.values(attempts).map((attempt) => attempt(there)))).every(({ status }) => ![200, 303].includes(status)),
      BOUND,
    );
    assert.deepEqual(await refusals(attempts, there), refused);
  });
}

test("a session that was ended by disabling does not come back with the user", async () => {
  const { user, cookie } = await here.signIn();
  await here.admin("PATCH", `/api/sso/users/${user.id}`, { active: false });
  await here.admin("PATCH", `/api/sso/users/${user.id}`, { active: true });
  assert.equal((await here.client("/", { cookie })).status, 401);
  assert.equal((await here.client("/", { cookie: await signInAgain(here, user) })).status, 200);
});

test("a user who is created anew with the address of a deleted one has nothing of the old one's", async () => {
  const { user, attempts } = await credentials();
  await here.admin("DELETE", `/api/sso/users/${user.id}`);
  await here.createUser({ email: user.email });
  assert.deepEqual(await refusals(attempts, here), UNKNOWN);
});

test("ending all sessions of a user ends them at once here and within the bound elsewhere", async () => {
  const user = await here.createUser();
  const cookies = [(await here.signIn(user)).cookie, (await there.signIn(user)).cookie];
  assert.equal((await here.admin("POST", `/api/sso/users/${user.id}/logout`)).status, 204);
  for (const cookie of cookies) {
    const answer = await here.client("/", { cookie });
    assert.equal(answer.status, 401, String(answer));
    assert.ok(answer.cookie(SESSION)?.cleared);
  }
  await until(async () => (await Promise.all(cookies.map((cookie) => there.client("/", { cookie })))).every(({ status }) => status === 401), BOUND);
});

test("a logout holds at once here and within the bound elsewhere", async () => {
  const { cookie } = await here.signIn();
  assert.equal((await there.client("/", { cookie })).status, 200);
  await here.form("/api/sso/logout", {}, { cookie });
  assert.equal((await here.client("/", { cookie })).status, 401);
  await until(async () => (await there.client("/", { cookie })).status === 401, BOUND);
});

test("a new user and a new session work in every isolate at once", async () => {
  const { cookie, user } = await here.signIn();
  const answer = await there.client("/", { cookie });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.seen.header("x-forwarded-user"), user.id);
});

test("a change of roles is seen in every isolate within the bound", async () => {
  const { cookie, user } = await here.signIn();
  assert.ok(!(await there.client("/", { cookie })).seen.header("x-forwarded-groups"));
  await here.admin("PATCH", `/api/sso/users/${user.id}`, { roles: ["editor"] });
  assert.equal((await here.client("/", { cookie })).seen.header("x-forwarded-groups"), "editor");
  await until(async () => (await there.client("/", { cookie })).seen.header("x-forwarded-groups") === "editor", BOUND);
});

test("a revoked, deactivated or deleted API token is refused in every isolate within the bound", async () => {
  const changes = [
    (/** @type {string} */ id) => here.admin("POST", `/api/sso/tokens/${id}/revoke`),
    (/** @type {string} */ id) => here.admin("PATCH", `/api/sso/tokens/${id}`, { active: false }),
    (/** @type {string} */ id) => here.admin("DELETE", `/api/sso/tokens/${id}`),
  ];
  for (const change of changes) {
    const { token, id } = (await here.admin("POST", "/api/sso/tokens", { name: "n", scopes: ["token:issue"] })).json;
    /** @param {Site} site */
    const attempt = (site) => site.issueAnswer({ email: newEmail() }, { token });
    assert.equal((await attempt(here)).status, 200);
    assert.equal((await attempt(there)).status, 200);
    await change(id);
    assert.equal((await attempt(here)).status, 401);
    await until(async () => (await attempt(there)).status === 401, BOUND);
  }
});

test("a disabled user who is enabled again gets in within the bound", async () => {
  const user = await here.createUser();
  const token = await here.issue(user.email);
  await here.admin("PATCH", `/api/sso/users/${user.id}`, { active: false });
  const refused = await there.client("/", { bearer: token });
  assert.deepEqual([refused.status, refused.json.code], [403, "user_disabled"]);
  await here.admin("PATCH", `/api/sso/users/${user.id}`, { active: true });
  const fresh = async () => here.issue(user.email);
  await until(async () => (await there.client("/", { bearer: await fresh() })).status === 200, BOUND);
});

test("simultaneous first calls for one address in two isolates give one user", async () => {
  const email = newEmail("race");
  const tokens = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? here : there).issue(email)));
  const { users } = (await here.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json;
  assert.equal(users.length, 1);
  const jar = new Jar();
  for (const token of tokens) {
    const answer = await here.client("/", { bearer: token, cookie: jar.header });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), users[0].id);
  }
});
