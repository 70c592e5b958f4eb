// Rotation of the symmetric secrets: nobody is signed out, and a retired secret is worth nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { headerOf, ssoToken, cookieValue } from "./lib/tokens.mjs";
import { newSecret, startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld();
  app = world.site();
});
after(() => world?.stop());

test("a second session secret signs, the first still verifies; a retired one does not", async () => {
  const first = world.secrets.session[1];
  const second = newSecret();
  const old = await app.signIn();
  assert.equal(headerOf(cookieValue(old.cookie)).kid, "1");

  await world.restart({ secrets: { ...world.secrets, session: { 1: first, 2: second } } });
  assert.equal((await app.client("/", { cookie: old.cookie })).status, 200, "nobody was signed out");
  const young = await app.signIn();
  assert.equal(headerOf(cookieValue(young.cookie)).kid, "2");
  assert.equal((await app.client("/", { cookie: young.cookie })).status, 200);

  await world.restart({ secrets: { ...world.secrets, session: { 2: second } } });
  const retired = await app.client("/", { cookie: old.cookie });
  assert.equal(retired.status, 401, String(retired));
  assert.ok(retired.cookie("__Host-edgeward")?.cleared, "a cookie that is no longer honoured is cleared");
  assert.equal((await app.client("/", { cookie: young.cookie })).status, 200);
});

test("a second token secret signs, the first still verifies; a retired one does not", async () => {
  const first = world.secrets.token[1];
  const second = newSecret();
  const user = await app.createUser();
  const old = await app.issue(user.email);
  assert.equal(headerOf(old).kid, "1");

  await world.restart({ secrets: { ...world.secrets, token: { 1: first, 2: second } } });
  assert.equal((await app.client("/", { bearer: old })).status, 200);
  const young = await app.issue(user.email);
  assert.equal(headerOf(young).kid, "2");
  assert.equal((await app.client("/", { bearer: young })).status, 200);
  const mixed = ssoToken(app, user, {}, { kid: "2" });
  assert.equal((await app.client("/", { bearer: mixed })).status, 401, "signed with the first, named the second");

  await world.restart({ secrets: { ...world.secrets, token: { 2: second } } });
  assert.equal((await app.client("/", { bearer: old })).status, 401);
  assert.equal((await app.client("/", { bearer: young })).status, 200);
});

test("users, API tokens and sessions survive a restart of the Worker", async () => {
  const { user, cookie } = await app.signIn();
  await world.restart();
  assert.equal((await app.client("/", { cookie })).seen.header("x-forwarded-user"), user.id);
  assert.deepEqual((await app.admin("GET", `/api/sso/users/${user.id}`)).json.email, user.email);
});
