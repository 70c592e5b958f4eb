// What label-studio-sso's own tests show, over HTTP: the same names, so that one can see that nothing is lost
// for those who come from it. (Four of its 24 tests look at Python objects and have no counterpart here.)

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Jar } from "./lib/http.mjs";
import { claimsOf, expiredSsoToken, ssoToken, tampered } from "./lib/tokens.mjs";
import { newPath, startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const COOKIE = "ls_auth_token";
const SESSION = "__Host-edgeward";

/** @type {World} */
let world;
/** @type {Site} */
let studio;
before(async () => {
  world = await startWorld({ sites: { STUDIO: { unauthenticated: "pass", query: { parameter: "token", single_use: false, user_switch: "replace" } } } });
  studio = world.site("STUDIO");
});
after(() => world?.stop());

/**
 * Follows an answer as a browser does, with its cookies.
 * @param {string} path
 */
async function follow(path, jar = new Jar()) {
  const answer = jar.take(await studio.navigate(path, { cookie: jar.header }));
  if (answer.status !== 303) return answer;
  return jar.take(await studio.navigate(answer.target.replace(studio.origin, ""), { cookie: jar.header }));
}
/**
 * Whom the origin sees at the end: the id, or undefined when it sees nobody or is not asked.
 * @param {string} path
 */
async function visit(path, /** @type {{ jar?: Jar }} */ { jar } = {}) {
  const answer = await follow(path, jar);
  if (answer.status === 401) return undefined;
  assert.equal(answer.status, 200, String(answer));
  return answer.seen.header("x-forwarded-user") || undefined;
}
/**
 * @param {string} name
 * @param {string} value
 */
const jarWith = (name, value) => {
  const jar = new Jar();
  jar.set(name, value);
  return jar;
};

test("label-studio-sso authenticate_without_token: nobody is signed in", async () => {
  assert.equal(await visit("/"), undefined);
});

test("label-studio-sso authenticate_with_drf_token_header: `Authorization: Token` is the application's own business", async () => {
  const answer = await studio.client("/api/projects", { headers: { Authorization: "Token 0123456789abcdef0123456789abcdef01234567" } });
  assert.equal(answer.status, 200);
  assert.ok(!answer.seen.header("x-forwarded-user"));
  assert.equal(answer.seen.header("authorization"), "Token 0123456789abcdef0123456789abcdef01234567");
});

test("label-studio-sso authenticate_with_native_jwt: the token that we issued signs its user in", async () => {
  const user = await studio.createUser();
  const token = await studio.issue(user.email);
  assert.deepEqual(Object.keys(claimsOf(token)).filter((name) => ["user_id", "email", "iat", "exp", "iss", "aud"].includes(name)).length, 6);
  assert.equal(await visit(`/?token=${token}`), user.id);
});

test("label-studio-sso authenticate_native_jwt_missing_user_id: nobody is signed in", async () => {
  const user = await studio.createUser();
  assert.equal(await visit(`/?token=${ssoToken(studio, user, { user_id: undefined, sub: undefined })}`), undefined);
});

test("label-studio-sso authenticate_native_jwt_nonexistent_user: nobody is signed in", async () => {
  assert.equal(await visit(`/?token=${ssoToken(studio, { id: "usr_nobody", email: "nobody@example.test" })}`), undefined);
});

test("label-studio-sso authenticate_with_expired_token: nobody is signed in, and the cookie is deleted", async () => {
  const jar = jarWith(COOKIE, expiredSsoToken(studio, await studio.createUser()));
  assert.equal(await visit("/", { jar }), undefined);
  assert.equal(jar.get(COOKIE), undefined);
});

test("label-studio-sso authenticate_with_invalid_signature: nobody is signed in", async () => {
  const user = await studio.createUser();
  assert.equal(await visit(`/?token=${tampered(ssoToken(studio, user))}`), undefined);
});

test("label-studio-sso complete_sso_flow: issue, cookie, page, session without the cookie", async () => {
  const email = `${newPath().slice(1)}@example.test`;
  const answer = await studio.issueAnswer({ email });
  assert.equal(answer.json.expires_in, 600);
  const jar = jarWith(COOKIE, answer.json.token);
  const id = claimsOf(answer.json.token).user_id;
  assert.equal(await visit("/projects", { jar }), id);
  assert.equal(jar.get(COOKIE), undefined, "the SSO cookie is deleted");
  assert.equal(await visit("/projects/1", { jar }), id);
});

test("label-studio-sso multiple_logins_same_user: each works", async () => {
  const user = await studio.createUser();
  const [one, two] = [new Jar(), new Jar()];
  assert.equal(await visit(`/?token=${await studio.issue(user.email)}`, { jar: one }), user.id);
  assert.equal(await visit(`/?token=${await studio.issue(user.email)}`, { jar: two }), user.id);
  assert.equal(await visit("/", { jar: one }), user.id);
  assert.notEqual(one.get(SESSION), two.get(SESSION));
});

test("label-studio-sso token_with_cookie: the token in the cookie signs its user in", async () => {
  const user = await studio.createUser();
  assert.equal(await visit("/", { jar: jarWith(COOKIE, await studio.issue(user.email)) }), user.id);
});

test("label-studio-sso auto_login_with_valid_token: on any path, at once", async () => {
  const user = await studio.createUser();
  assert.equal(await visit(`/any/path/?x=1&token=${await studio.issue(user.email)}`), user.id);
});

test("label-studio-sso skip_if_already_authenticated: a garbage token changes nothing for who is signed in", async () => {
  const user = await studio.createUser();
  const jar = new Jar();
  await visit(`/?token=${await studio.issue(user.email)}`, { jar });
  assert.equal(await visit("/?token=garbage", { jar }), user.id);
  jar.set(COOKIE, "garbage");
  assert.equal(await visit("/", { jar }), user.id);
});

test("label-studio-sso skip_if_no_token: without a token the session goes on", async () => {
  const user = await studio.createUser();
  const jar = new Jar();
  await visit(`/?token=${await studio.issue(user.email)}`, { jar });
  assert.equal(await visit("/", { jar }), user.id);
});

test("label-studio-sso continue_on_authentication_failure: the request goes on as anonymous", async () => {
  const user = await studio.createUser();
  const bad = tampered(ssoToken(studio, user));
  for (const answer of [await follow("/", jarWith(COOKIE, bad)), await follow(`/?token=${bad}`), await follow("/", jarWith(COOKIE, "garbage"))]) {
    assert.equal(answer.status, 200, String(answer));
    assert.ok(!answer.seen.header("x-forwarded-user"));
  }
});

test("label-studio-sso invalid_token_handling: no token, however broken, is an error of the server", async () => {
  for (const bad of ["garbage", "a.b.c", "..", "%00", "eyJ.eyJ.x", "null"]) {
    for (const answer of [await follow(`/?token=${bad}`), await studio.navigate("/", { cookie: `${COOKIE}=${bad}` })]) {
      assert.equal(answer.status, 200, `${bad}: ${answer}`);
      assert.ok(!answer.seen.header("x-forwarded-user"), bad);
    }
  }
});

test("label-studio-sso auto_login_with_cookie_token: the cookie signs in and is deleted", async () => {
  const user = await studio.createUser();
  const jar = jarWith(COOKIE, await studio.issue(user.email));
  assert.equal(await visit("/", { jar }), user.id);
  assert.equal(jar.get(COOKIE), undefined);
  assert.ok(jar.get(SESSION));
});

test("label-studio-sso cookie_priority_over_url_token: the cookie decides", async () => {
  const [a, b] = [await studio.createUser(), await studio.createUser()];
  assert.equal(await visit(`/?token=${await studio.issue(b.email)}`, { jar: jarWith(COOKIE, await studio.issue(a.email)) }), a.id);
});

test("label-studio-sso cookie_fallback_when_no_url_token: the cookie alone is enough", async () => {
  const user = await studio.createUser();
  assert.equal(await visit("/?other=1", { jar: jarWith(COOKIE, await studio.issue(user.email)) }), user.id);
});

test("label-studio-sso authenticate_with_valid_token: a token made with the shared secret signs its user in", async () => {
  const user = await studio.createUser();
  assert.equal(await visit(`/?token=${ssoToken(studio, user)}`), user.id);
});

test("label-studio-sso authenticate_with_invalid_token: nobody is signed in", async () => {
  assert.equal(await visit("/?token=invalid.token.here"), undefined);
});

test("what label-studio-sso did wrong stays mended: no token without an end, none for a disabled user, none of an API call's kind", async () => {
  const user = await studio.createUser();
  assert.equal(await visit(`/?token=${ssoToken(studio, user, { exp: undefined })}`), undefined);
  await studio.admin("PATCH", `/api/sso/users/${user.id}`, { active: false });
  const answer = await studio.navigate(`/?token=${ssoToken(studio, user)}`);
  assert.equal(answer.status, 403, String(answer));
  assert.match(answer.text, /<code>user_disabled<\/code>/);
});
