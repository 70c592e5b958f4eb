// docs/migrate-from-label-studio-sso.md: its example runs in workerd, with its settings, its calls and its table of answers. What
// Label Studio makes of the people is in tests/label-studio; here a plain origin shows who arrives.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startFront } from "../edge/lib/front.mjs";
import { readExample } from "../edge/lib/examples.mjs";
import { b64, expiredSsoToken, headerOf, ssoToken, tampered } from "../edge/lib/tokens.mjs";
import { newEmail, newPath, newSecret, now, startWorld } from "../edge/lib/world.mjs";
import { blocks } from "./lib/peers.mjs";

/** @import { Site, User } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */

const DOCUMENT = "docs/migrate-from-label-studio-sso.md";
const SESSION = "__Host-edgeward";
const [plugin] = blocks(DOCUMENT, "python");
const { upstream, label_studio, ...example } = readExample(blocks(DOCUMENT, "toml")[0]).vars.EDGEWARD_SITE_STUDIO;

/** @type {World} */
let world;
/** @type {Site} */
let studio;
/** @type {Site} */
let closed;
before(async () => {
  assert.ok(upstream && label_studio);
  const settings = { ...example, identity_headers: ["x-forwarded"] };
  world = await startWorld({
    sites: {
      STUDIO: settings,
      CLOSED: { ...settings, hosts: ["closed.example.com"], auto_create_users: false, sso_token: { unknown_user_status: 404 } },
      ORDERED: { ...settings, hosts: ["ordered.example.com"], newer_sign_in: false },
    },
  });
  studio = world.site("STUDIO");
  closed = world.site("CLOSED");
});
after(() => world?.stop());

/** A token as the plugin signs it, with Label Studio's own key. */
function tokenOfThePlugin(claims = {}) {
  const input = [
    { alg: "HS256", typ: "JWT" },
    { user_id: 1, iat: now(), exp: now() + 600, iss: "label-studio", aud: "label-studio-sso", ...claims },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${input}.${createHmac("sha256", newSecret()).update(input).digest("base64url")}`;
}

/**
 * Tokens as Edgeward signs them for a person, each with one thing that must be refused.
 * @param {User} user
 */
async function wrongTokens(user) {
  const good = ssoToken(studio, user);
  assert.equal((await studio.client(newPath(), { bearer: good })).status, 200, "unchanged it is good");
  return {
    "an expired one": expiredSsoToken(studio, user),
    "one for another audience": ssoToken(studio, user, { aud: "label-studio-sso" }),
    "one of another issuer": ssoToken(studio, user, { iss: "label-studio" }),
    "one of ours without an end": ssoToken(studio, user, { exp: undefined }),
    "one that is valid for a day": ssoToken(studio, user, { exp: now() + 86_400 }),
    "one of another type": ssoToken(studio, user, {}, { typ: "JWT" }),
    "one without a signature": `${b64(JSON.stringify({ ...headerOf(good), alg: "none" }))}.${good.split(".")[1]}.`,
    "a changed one": tampered(good),
  };
}

test(`${DOCUMENT}: what the plugin's settings say, the example says too`, () => {
  const value = (/** @type {string} */ name) => JSON.parse(new RegExp(`^${name} = (.*)$`, "m").exec(plugin)?.[1].toLowerCase() ?? "null");
  const { sso_cookie, sso_token, query, auto_create_users } = /** @type {Record<string, Record<string, unknown>>} */ (example);
  assert.deepEqual([sso_cookie.name, sso_cookie.path, sso_cookie.domain], ["JWT_SSO_COOKIE_NAME", "JWT_SSO_COOKIE_PATH", "SESSION_COOKIE_DOMAIN"].map(value));
  assert.deepEqual(
    [sso_token.user_id_claim, sso_token.lifetime, query.parameter],
    ["JWT_SSO_NATIVE_USER_ID_CLAIM", "SSO_TOKEN_EXPIRY", "JWT_SSO_TOKEN_PARAM"].map(value),
  );
  assert.equal(auto_create_users, value("SSO_AUTO_CREATE_USERS"));
});

test(`${DOCUMENT}: two people arrive, by cookie and by link, and each is who they are`, async () => {
  const [ada, bob] = [newEmail("ada"), newEmail("bob")];
  const byCookie = await studio.navigate(newPath(), { cookie: `ls_auth_token=${await studio.issue(ada)}` });
  const byLink = await studio.navigate(`${newPath()}?token=${await studio.issue(bob)}`);
  assert.equal(byCookie.seen.header("x-forwarded-email"), ada);
  assert.equal(byLink.status, 303, String(byLink));
  const [adas, bobs] = [byCookie.setCookie(SESSION).pair, byLink.setCookie(SESSION).pair];
  for (const [cookie, email] of [
    [adas, ada],
    [bobs, bob],
  ]) {
    const answer = await studio.navigate(newPath(), { cookie });
    assert.equal(answer.seen.header("x-forwarded-email"), email);
  }
  // As in version 6.0.8, a token of somebody else takes precedence over the session.
  const switched = await studio.navigate(newPath(), { cookie: `${adas}; ls_auth_token=${await studio.issue(bob)}` });
  assert.equal(switched.seen.header("x-forwarded-email"), bob);
});

test(`${DOCUMENT}: with newer_sign_in = false, the session comes first, as in version 6.0.7`, async () => {
  const site = world.site("ORDERED");
  const ada = await site.signIn();
  const answer = await site.navigate(newPath(), { cookie: `${ada.cookie}; ls_auth_token=${await site.issue(newEmail("bob"))}` });
  assert.equal(answer.seen.header("x-forwarded-email"), ada.user.email);
});

test(`${DOCUMENT}: tokens of the plugin, expired ones and those of another site sign nobody in`, async () => {
  const tokens = {
    "the plugin's own": tokenOfThePlugin(),
    "an access token of Label Studio": tokenOfThePlugin({ token_type: "access", iss: undefined, aud: undefined }),
    "one without an end": tokenOfThePlugin({ exp: undefined }),
    "one for another site": await closed.issue((await closed.createUser()).email),
    ...(await wrongTokens(await studio.createUser())),
  };
  for (const [what, token] of Object.entries(tokens)) {
    const path = newPath();
    for (const answer of [
      await studio.navigate(path, { cookie: `ls_auth_token=${token}` }),
      await studio.navigate(`${path}?token=${token}`),
      await studio.client(path, { bearer: token }),
    ]) {
      assert.ok(!answer.cookies.some(({ name, cleared }) => name === SESSION && !cleared), what);
    }
    assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
  }
});

test(`${DOCUMENT}: the table of answers`, async () => {
  const email = newEmail("unknown");
  const unknown = await closed.issueAnswer({ email });
  assert.deepEqual([unknown.status, unknown.json.error_code], [404, "USER_NOT_FOUND"]);
  const malformed = await studio.issueAnswer({ email: "nobody" });
  assert.deepEqual([malformed.status, malformed.json], [400, { error: "Invalid email" }]);
  const disabled = await studio.createUser({ active: false });
  assert.equal((await studio.issueAnswer({ email: disabled.email })).status, 403);
  const list = await studio.admin("POST", "/api/sso/token", []);
  assert.deepEqual([list.status, list.json], [400, { error: "Email required" }]);
  const bearer = await studio.send("POST", "/api/sso/token", { bearer: await world.apiToken("token:issue"), body: JSON.stringify({ email: newEmail() }) });
  assert.equal(bearer.status, 200, String(bearer));
});

test(`${DOCUMENT}: users are sent ahead by its call`, async () => {
  const front = await startFront(studio);
  try {
    const { stdout } = await promisify(execFile)("sh", ["-euc", blocks(DOCUMENT, "sh").at(-1) ?? ""], {
      env: { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.apiToken("users:write") },
    });
    assert.deepEqual(
      JSON.parse(stdout).results.map((/** @type {{ email: string, status: string }} */ { email, status }) => [email, status]),
      [
        ["ada@example.com", "created"],
        ["bob@example.com", "created"],
      ],
    );
  } finally {
    await front.stop();
  }
});
