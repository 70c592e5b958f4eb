// docs/migrate-from-more-sso-auth.md, followed from its own text: functions with the decorators of more-sso-auth 1.4.0 and 1.5.0
// behind an API Gateway behind the built Worker, and an origin that keeps nothing of the package.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readExample } from "../edge/lib/examples.mjs";
import { startFront } from "../edge/lib/front.mjs";
import { send } from "../edge/lib/http.mjs";
import { newKey, tokenOf } from "../edge/lib/issuer.mjs";
import { claimsOf, headerOf, tampered } from "../edge/lib/tokens.mjs";
import { newPath, startWorld } from "../edge/lib/world.mjs";
import { blocks, startFunctions, startRedisCluster } from "./lib/peers.mjs";
import { refusedTokens } from "./lib/refused.mjs";

/** @import { Front } from "../edge/lib/front.mjs" */
/** @import { Pair } from "../edge/lib/http.mjs" */
/** @import { IssuerKey } from "../edge/lib/issuer.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Django as Functions } from "./lib/peers.mjs" */

const DOCUMENT = "docs/migrate-from-more-sso-auth.md";
const [tables, withAssertion] = blocks(DOCUMENT, "toml").map((text) => readExample(text).vars);
const [decorated, replaced] = blocks(DOCUMENT, "python");

/** Functions as the package's own README writes them, beside the one of the document. */
const MORE_FUNCTIONS = `
import json
from more_sso import auth_required, root_auth_required, validate_token


@root_auth_required
def me(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"]["user"])}


@auth_required(permission="my_app.role", value="admin")
def admins(event, context):
    return {"statusCode": 200, "body": event["requestContext"]["user"]["sub"]}


@auth_required(permission="my_app.role", value=["admin", "reader"])
def either(event, context):
    return {"statusCode": 200, "body": event["requestContext"]["user"]["sub"]}


def undecorated(event, context):
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return {"statusCode": 200, "body": validate_token(headers["authorization"])["sub"]}
`;

/** What the guide says about 1.5.0: the sessions are the function's business, in a Redis that others write to. */
const LIVE = `
init_sso_config(public_key_uri=PEM_URL, audience="my-app", REDIS_URL=REDIS["host"], REDIS_PASSWORD=REDIS["password"])


def begin(event, context):
    more_sso.validator.get_public_key()[2].set(event["headers"]["x-person"], event["headers"]["x-session"])
    return {"statusCode": 204}


def live(event, context):
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return {"statusCode": 200, "body": validate_token(headers["authorization"], live_session=True)["sub"]}
`;

/** Each version with each form of an event, and the site that is in front of it. */
const KINDS = [
  { site: "V140", version: "1.4.0", format: "2.0" },
  { site: "V140REST", version: "1.4.0", format: "1.0" },
  { site: "V150", version: "1.5.0", format: "2.0" },
  { site: "V150REST", version: "1.5.0", format: "1.0" },
];

/** @type {IssuerKey} */
let key;
/** @type {World} */
let world;
/** @type {Front} */
let front;
/** @type {Record<string, Functions>} */
const functions = {};
/** @type {Awaited<ReturnType<typeof startRedisCluster>>} */
let redis;

before(async () => {
  key = await newKey("RS256");
  front = await startFront({ send: (method, path, options) => world.site("V140").send(method, path, options) });
  const { hosts, upstream, ...site } = tables.EDGEWARD_SITE_APP;
  assert.ok(hosts && upstream);
  const [kms] = /"<[^>"]+>"/.exec(decorated) ?? assert.fail("the document's function has no id of KMS");
  const issuer = { ...tables.EDGEWARD_ISSUER_MORE, public_key: key.pem };
  /** @type {Record<string, import("../edge/lib/world.mjs").SiteSettings>} */
  const sites = { PLAIN: { query: undefined, ...site, issuers: ["more"] } };
  const PEM_URL = `${front.url}/.well-known/assertion-key.pem`;
  for (const { site: name, version, format } of KINDS) {
    const code = [replaced, decorated.replace(kms, "PEM_URL"), MORE_FUNCTIONS];
    functions[name] = await startFunctions(version, { code, names: { PEM_URL }, format });
    sites[name] = { query: undefined, ...site, ...withAssertion.EDGEWARD_SITE_APP, issuers: ["more"], upstream: functions[name].url };
  }
  const { assertion } = withAssertion.EDGEWARD_SITE_APP;
  sites.ECHO = { query: undefined, ...site, ...withAssertion.EDGEWARD_SITE_APP, issuers: ["more"] };
  redis = await startRedisCluster();
  const code = [replaced, decorated.replace(kms, "PEM_URL"), MORE_FUNCTIONS, LIVE];
  const names = { PEM_URL, REDIS: { host: redis.host, password: redis.password } };
  functions.V150LIVE = await startFunctions("1.5.0", { code, names, format: "2.0" });
  sites.V150LIVE = {
    ...sites.V150,
    upstream: functions.V150LIVE.url,
    issuers: ["live"],
    assertion: { .../** @type {object} */ (assertion), claims: ["permissions", "session_id", "user_id"] },
  };
  world = await startWorld({
    sites,
    vars: { EDGEWARD_ISSUER_MORE: issuer, EDGEWARD_ISSUER_LIVE: { ...issuer, required_claims: ["sub", "session_id", "user_id"] } },
  });
});
after(async () => {
  await world?.stop();
  for (const each of Object.values(functions)) await each.stop();
  await redis?.stop();
  await front?.stop();
});

const ANNA = { sub: "u-anna", permissions: { my_app: { role: "admin" } } };
const BOB = { sub: "u-bob", permissions: { my_app: { role: "reader" } } };

/** Claims of a token as the package's issuer makes it: no address. @param {Record<string, unknown>} claims */
const claimsOfMore = (claims) => ({ iss: "https://sso.example.com", aud: "my-app", email: undefined, email_verified: undefined, ...claims });
/** @param {Record<string, unknown>} claims */
const token = (claims) => tokenOf(key, claimsOfMore(claims));

for (const { site: name, version, format } of KINDS) {
  test(`more-sso-auth ${version} in events ${format}: its decorators run unchanged, and two people are two`, async () => {
    const site = world.site(name);
    /** @param {string} path @param {Record<string, unknown>} claims */
    const ask = async (path, claims) => {
      const { status, text, headers } = await site.client(path, { bearer: await token(claims) });
      return [status, status === 200 ? text : headers.get("x-error")];
    };
    assert.deepEqual(await ask("/", ANNA), [200, "u-anna"], "the function of the document");
    assert.deepEqual(await ask("/", BOB), [200, "u-bob"], "the function of the document");
    for (const claims of [ANNA, BOB]) {
      const me = (await site.client("/me", { bearer: await token(claims) })).json;
      assert.deepEqual([me.sub, me.permissions, me.iss, me.aud], [claims.sub, claims.permissions, "edgeward", "my-app"]);
      assert.deepEqual(await ask("/either", claims), [200, claims.sub]);
      assert.deepEqual(await ask("/undecorated", claims), [200, claims.sub]);
    }
    assert.deepEqual(await ask("/admins", ANNA), [200, "u-anna"]);
    assert.deepEqual(await ask("/admins", BOB), [500, "AccessDeniedError"]);
    assert.deepEqual(await ask("/admins", { ...ANNA, permissions: undefined }), [500, "AccessDeniedError"], "an assertion without permissions");
  });

  test(`more-sso-auth ${version} in events ${format}: a function accepts no request that did not come through Edgeward`, async () => {
    const port = Number(new URL(functions[name].url).port);
    /** @param {Pair[]} headers */
    const status = async (headers) => (await send({ port, path: "/me", headers: [["Host", "origin"], ...headers] })).status;
    const assertion = (await world.site(name).client("/me", { bearer: await token(ANNA) })).json;
    assert.equal(assertion.sub, "u-anna");
    const own = await token(ANNA);
    assert.equal(await status([]), 401);
    for (const value of [`Bearer ${own}`, own, `Bearer ${tampered(own)}`]) {
      assert.equal(await status([["Authorization", value]]), 401, value);
    }
  });
}

test("more-sso-auth 1.5.0: live_session asks its Redis Cluster with the two claims of the assertion", async () => {
  const site = world.site("V150LIVE");
  /** What the SSO does when a person signs in, which ends the session before. @param {string} person @param {string} session */
  const begin = async (person, session) => {
    const port = Number(new URL(functions.V150LIVE.url).port);
    const answer = await send({
      port,
      path: "/begin",
      headers: [
        ["Host", "origin"],
        ["x-person", `my-app:${person}`],
        ["x-session", session],
      ],
    });
    assert.equal(answer.status, 204, String(answer));
  };
  /** @param {Record<string, unknown>} claims */
  const ask = async (claims) => {
    const { status, text } = await site.client("/live", { bearer: await token(claims) });
    return [status, status === 200 ? text : ""];
  };
  assert.equal((await ask({ ...ANNA, user_id: "u-anna", session_id: "s1" }))[0], 500, "no session yet");
  await begin("u-anna", "s1");
  await begin("u-bob", "s9");
  assert.deepEqual(await ask({ ...ANNA, user_id: "u-anna", session_id: "s1" }), [200, "u-anna"]);
  assert.deepEqual(await ask({ ...BOB, user_id: "u-bob", session_id: "s9" }), [200, "u-bob"]);
  assert.equal((await ask({ ...BOB, user_id: "u-bob", session_id: "s1" }))[0], 500, "the session of somebody else");
  await begin("u-bob", "s10");
  assert.equal((await ask({ ...BOB, user_id: "u-bob", session_id: "s9" }))[0], 500, "a session that has ended");
  assert.deepEqual(await ask({ ...BOB, user_id: "u-bob", session_id: "s10" }), [200, "u-bob"]);
  for (const claims of [{ user_id: "u-anna" }, { session_id: "s1" }]) assert.equal((await ask({ ...ANNA, ...claims }))[0], 401);
});

test(`${DOCUMENT}: an origin that keeps nothing of the package learns who two people are`, async () => {
  const seen = [];
  for (const claims of [ANNA, BOB]) {
    const answer = await world.site("PLAIN").client("/", { bearer: await token(claims) });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-app-role"), claims.permissions.my_app.role);
    assert.deepEqual([answer.seen.header("authorization"), answer.seen.header("x-forwarded-email")], [undefined, undefined]);
    seen.push(answer.seen.headers.need("x-forwarded-user"));
  }
  assert.notEqual(seen[0], seen[1]);
});

test("SEC-19: every token that must be refused is, before the function", async () => {
  const good = claimsOfMore(ANNA);
  const tokens = {
    ...(await refusedTokens(key, good)),
    "without a subject": await token({ ...ANNA, sub: undefined }),
    "with an empty subject": await token({ ...ANNA, sub: "" }),
    "of Edgeward itself": await world.site("PLAIN").issue("anna@example.com"),
  };
  for (const [what, bearer] of Object.entries(tokens)) {
    const path = newPath();
    assert.equal((await world.site("PLAIN").client(path, { bearer })).status, 401, what);
    assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
    for (const { site } of KINDS) {
      const answer = await world.site(site).client("/me", { bearer });
      assert.deepEqual([answer.status, answer.json.code !== undefined], [401, true], `${what} at ${site}: an answer of Edgeward, not of the function`);
    }
  }
});

test(`${DOCUMENT}: the assertion comes in Authorization, in the place of the token`, async () => {
  const own = await token(BOB);
  const authorization = (await world.site("ECHO").client("/", { bearer: own })).seen.headers.need("authorization");
  const [scheme, assertion, ...more] = authorization.split(" ");
  assert.deepEqual([scheme, more], ["Bearer", []]);
  const { iss, aud, sub, permissions } = claimsOf(assertion);
  assert.deepEqual([headerOf(assertion).alg, iss, aud, sub, permissions], ["RS256", "edgeward", "my-app", BOB.sub, BOB.permissions]);
});
