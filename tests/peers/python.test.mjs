// The real Python packages: their tokens are taken here, and ours are taken by them. The configurations and the code are
// those of the documents.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readExample } from "../edge/lib/examples.mjs";
import { startFront } from "../edge/lib/front.mjs";
import { claimsOfIssuer, issuerTable, newIssuerSecret, startIssuer } from "../edge/lib/issuer.mjs";
import { claimsOf, headerOf, tampered } from "../edge/lib/tokens.mjs";
import { now, startWorld } from "../edge/lib/world.mjs";
import { blocks, startPython } from "./lib/peers.mjs";

/** @import { Front } from "../edge/lib/front.mjs" */
/** @import { Issuer } from "../edge/lib/issuer.mjs" */
/** @import { SiteSettings, World } from "../edge/lib/world.mjs" */
/** @import { Python } from "./lib/peers.mjs" */

const ALGORITHMS = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
const MIGRATION = "docs/migrate-from-usso.md";

/** @type {Python} */
let python;
/** @type {Issuer} */
let issuer;
/** @type {World} */
let world;
/** @type {Front} */
let front;
const secret = newIssuerSecret();
/** @type {Record<string, { pem: string, jwk: object }>} */
const keys = {};

/**
 * The tables of a document's example, for a site of this name.
 * @param {string} document
 * @param {string} name
 * @param {Record<string, unknown>} changes
 */
function example(document, name, changes) {
  const { vars } =
    blocks(document, "toml")
      .map(readExample)
      .find(({ vars }) => vars.EDGEWARD_SITE_APP?.issuers) ?? assert.fail(`no example in ${document}`);
  const [table] = Object.entries(vars).filter(([key]) => key.startsWith("EDGEWARD_ISSUER_"));
  const { hosts, upstream, ...site } = vars.EDGEWARD_SITE_APP;
  const rules = vars.EDGEWARD_RULES_APP ? { [`EDGEWARD_RULES_${name}`]: vars.EDGEWARD_RULES_APP } : {};
  return { vars: { ...rules, [table[0]]: { ...table[1], ...changes } }, sites: { [name]: { sso_cookie: undefined, query: undefined, ...site } } };
}

/**
 * The table of the assertion in that of a site.
 * @param {Record<string, unknown>} [site]
 */
const assertionOf = (site) => /** @type {{ prefix?: string }} */ (site?.assertion ?? {});

before(async () => {
  python = await startPython();
  issuer = await startIssuer();
  /** @type {Record<string, SiteSettings>} */
  const sites = {};
  /** @type {Record<string, unknown>} */
  const vars = { PEER_SECRET: secret };
  for (const alg of ALGORITHMS) {
    const name = alg.toUpperCase();
    if (!alg.startsWith("HS")) {
      keys[alg] = await python.call("key", { alg, kid: alg });
      issuer.documents.set(`/${alg}`, JSON.stringify({ keys: [keys[alg].jwk] }));
    }
    const source = alg.startsWith("HS") ? { secret: "PEER_SECRET" } : { jwks_url: `${issuer.url}/${alg}`, loopback_origin: issuer.url };
    vars[`EDGEWARD_ISSUER_${name}`] = issuerTable({ algorithms: [alg], ...source });
    sites[name] = { issuers: [alg.toLowerCase()], assertion: { audience: "my-app", algorithm: "RS256" } };
  }
  const ussoExample = example(MIGRATION, "USSO", { jwks_url: `${issuer.url}/EdDSA`, loopback_origin: issuer.url });
  // The same with the assertion in Authorization: what the documents say for it laid over their first example.
  const inHeader = blocks(MIGRATION, "toml")
    .map(readExample)
    .find(({ vars }) => assertionOf(vars.EDGEWARD_SITE_APP).prefix)?.vars;
  assert.ok(inHeader);
  vars.EDGEWARD_ISSUER_USSOHEADER = { ...ussoExample.vars.EDGEWARD_ISSUER_USSO, ...inHeader.EDGEWARD_ISSUER_USSO };
  sites.USSOHEADER = { ...ussoExample.sites.USSO, ...inHeader.EDGEWARD_SITE_APP, issuers: ["ussoheader"] };
  vars.EDGEWARD_ISSUER_USSONAMES = issuerTable({ algorithms: ["EDDSA"], jwks_url: `${issuer.url}/usso-names`, loopback_origin: issuer.url });
  sites.USSONAMES = { issuers: ["ussonames"] };
  Object.assign(vars, ussoExample.vars);
  Object.assign(sites, ussoExample.sites);
  Object.assign(
    vars,
    { PORTAL_SECRET: secret },
    blocks("docs/issuers.md", "toml")
      .map(readExample)
      .find(({ vars }) => vars.EDGEWARD_ISSUER_PORTAL)?.vars,
  );
  sites.PORTAL = { issuers: ["portal"] };
  world = await startWorld({ sites, vars });
  front = await startFront(world.site("RS256"));
});
after(async () => {
  await front?.stop();
  await world?.stop();
  await issuer?.stop();
  await python?.stop();
});

/**
 * @param {string} by
 * @param {string} alg
 */
const mint = (by, alg, claims = {}) => python.call("mint", { by, alg, claims: claimsOfIssuer(claims), ...(alg.startsWith("HS") ? { secret } : { kid: alg }) });

// usso makes the salt of every PSS signature 32 bytes long; for PS384 and PS512 it must be 48 and 64 (RFC 7518 §3.5).
/** @type {Record<string, string[]>} */
const NO_JWS = { usso: ["PS384", "PS512"], pyjwt: [] };

for (const by of ["pyjwt", "usso"]) {
  test(`tokens of ${by} by every algorithm are taken, and tampered ones are not`, async () => {
    for (const alg of NO_JWS[by]) {
      assert.equal((await world.site(alg).client("/", { bearer: await mint(by, alg) })).status, 401, alg);
    }
    for (const alg of ALGORITHMS.filter((alg) => !NO_JWS[by].includes(alg))) {
      const token = await mint(by, alg);
      const site = world.site(alg.toUpperCase());
      const answer = await site.client("/", { bearer: token });
      assert.equal(answer.status, 200, `${alg}: ${answer}`);
      assert.equal(answer.seen.header("x-forwarded-email"), "anna@example.com");
      assert.equal((await site.client("/", { bearer: tampered(token) })).status, 401, alg);
      assert.equal((await site.client("/", { bearer: await mint(by, alg, { exp: now() - 60, iat: now() - 120 }) })).json.code, "token_expired", alg);
    }
  });
}

const USSO_CLAIMS = {
  iss: "https://sso.example.com",
  aud: "your-app",
  sub: "u-17",
  phone: "+15550017",
  email: undefined,
  email_verified: undefined,
  tenant_id: "org",
  workspace_id: "ws",
  token_type: "access",
};

test("docs/migrate-from-usso.md: USSO's tokens are taken from header and cookie, and the origin learns what they say", async () => {
  const claims = { ...USSO_CLAIMS, roles: ["editor", "root"], scopes: ["read:posts", "write:posts"] };
  const site = world.site("USSO");
  const token = await mint("usso", "EdDSA", claims);
  for (const options of [{ bearer: token }, { cookie: `usso-access-token=${token}` }]) {
    const answer = await site.client("/", options);
    assert.equal(answer.status, 200, String(answer));
    /** @param {string} name */
    const header = (name) => answer.seen.header(name);
    assert.deepEqual(["x-user-sub", "x-tenant-id", "x-workspace-id", "x-scopes", "x-forwarded-groups", "x-forwarded-email"].map(header), [
      "u-17",
      "org",
      "ws",
      "read:posts write:posts",
      "editor",
      undefined,
    ]);
  }
  assert.equal((await site.client("/", { bearer: await mint("usso", "EdDSA", { ...claims, aud: "other" }) })).status, 401);
});

test("docs/migrate-from-usso.md: the SDK takes our assertion through our key set", async () => {
  const site = world.site("USSO");
  const token = await mint("usso", "EdDSA", { ...USSO_CLAIMS, roles: ["editor"], scopes: ["read:posts"] });
  const assertion = (await site.client("/", { bearer: token })).seen.headers.need("x-edgeward-assertion");
  const usso = await startFront(site);
  try {
    const code = blocks(MIGRATION, "python").find((code) => code.includes("TOKEN"));
    const names = { JWKS_URL: `${usso.url}/.well-known/jwks.json`, TOKEN: assertion };
    const user = await python.call("run", { code, names });
    assert.deepEqual(
      [user.email, user.phone, user.roles, user.scopes, user.tenant_id, user.workspace_id],
      [undefined, "+15550017", ["editor"], ["read:posts"], "org", "ws"],
    );
    assert.equal(user.sub, claimsOf(assertion).sub, "Edgeward's id of the person");
    assert.notEqual(await python.call("refused", { code, names: { ...names, TOKEN: tampered(assertion) } }), null);
  } finally {
    await usso.stop();
  }
});

test("docs/migrate-from-usso.md: the SDK refuses a type other than access, takes a token without one, and reads user_id before sub", async () => {
  const code = `
from usso import UssoAuth
from usso.config import AuthConfig

config = AuthConfig(key={"kty": "oct", "k": KEY}, type="HS256")
data = UssoAuth(jwt_config=config).user_data_from_token(TOKEN, raise_exception=False)
user = {"taken": data is not None, "any_type": config.verify_token(TOKEN), "user_id": data and data.user_id, "phone": data and data.phone}
`;
  /** @param {Record<string, unknown>} claims */
  const ask = async (claims) =>
    python.call("run", { code, names: { KEY: Buffer.from(secret).toString("base64url"), TOKEN: await mint("usso", "HS256", { sub: "u-1", ...claims }) } });
  assert.deepEqual(await ask({ token_type: "access", user_id: "u-2" }), { taken: true, any_type: true, user_id: "u-2", phone: "" });
  assert.deepEqual(await ask({ phone: "+1555" }), { taken: true, any_type: true, user_id: "u-1", phone: "+1555" });
  for (const token_type of ["refresh", "secure", "one_time", "temporary"]) {
    assert.deepEqual(await ask({ token_type }), { taken: false, any_type: true, user_id: null, phone: null }, token_type);
  }
});

test("docs/migrate-from-usso.md: with the assertion in Authorization the SDK's own defaults take it, and two people are two", async () => {
  const site = world.site("USSOHEADER");
  const front = await startFront(site);
  try {
    const code = `
from usso import UssoAuth
from usso.config import AuthConfig, HeaderConfig

header = HeaderConfig()
name, _, token = AUTHORIZATION.partition(" ")
auth = UssoAuth(jwt_config=AuthConfig(jwks_url=JWKS_URL, issuer="edgeward", audience="your-app"))
data = auth.user_data_from_token(token)
user = {"name": header.header_name, "scheme": name, "user_id": data.user_id}
`;
    const seen = [];
    for (const sub of ["u-17", "u-18"]) {
      const token = await mint("usso", "EdDSA", { ...USSO_CLAIMS, sub });
      const authorization = (await site.client("/", { bearer: token })).seen.headers.need("authorization");
      const user = await python.call("run", { code, names: { JWKS_URL: `${front.url}/.well-known/jwks.json`, AUTHORIZATION: authorization } });
      assert.deepEqual([user.name, user.scheme], ["Authorization", "Bearer"]);
      seen.push(user.user_id);
    }
    assert.deepEqual(seen, ["u-17", "u-18"]);
    for (const forged of ["Basic eDp5", "Bearer x"]) {
      assert.equal((await site.client("/", { headers: { Authorization: forged } })).status, 401, forged);
    }
  } finally {
    await front.stop();
  }
});

test("J3: tokens of usso whose header says EDDSA or ED25519 are taken", async () => {
  const code = `
from usso_jwt.enums import Algorithm
from usso_jwt.algorithms import AbstractKey
from usso_jwt.sign import create_jwt_header, generate_jwt

key = AbstractKey.generate_algorithm(Algorithm.Ed25519)
tokens = [generate_jwt(header=create_jwt_header(alg=str(alg), kid=key.kid), payload=CLAIMS, key=key.private_pem(), alg=alg) for alg in (Algorithm.EdDSA, Algorithm.Ed25519)]
user = {"jwk": {name: value for name, value in key.jwk().items() if name != "d"}, "tokens": tokens}
`;
  const { jwk, tokens } = await python.call("run", { code, names: { CLAIMS: claimsOfIssuer() } });
  issuer.documents.set("/usso-names", JSON.stringify({ keys: [jwk] }));
  assert.deepEqual(
    tokens.map((/** @type {string} */ token) => headerOf(token).alg),
    ["EDDSA", "ED25519"],
  );
  for (const token of tokens) {
    const answer = await world.site("USSONAMES").client("/", { bearer: token });
    assert.equal(answer.status, 200, String(answer));
    assert.equal((await world.site("USSONAMES").client("/", { bearer: tampered(token) })).status, 401);
  }
});

test("docs/issuers.md: a token made as it says is taken by the table beside it", async () => {
  const token = await python.call("run", { code: `${blocks("docs/issuers.md", "python")[0]}\nuser = {"token": token}`, names: { SECRET: secret } });
  const answer = await world.site("PORTAL").client("/", { bearer: token.token });
  assert.equal(answer.seen.header("x-forwarded-email"), "ada@example.com");
});

test("PyJWT takes our assertions by its own client for key sets", async () => {
  const token = await mint("pyjwt", "RS256");
  const assertion = (await world.site("RS256").client("/", { bearer: token })).seen.headers.need("x-edgeward-assertion");
  const request = { token: assertion, jwks_url: `${front.url}/.well-known/jwks.json`, audience: "my-app", issuer: "edgeward", alg: "RS256" };
  assert.deepEqual(await python.call("verify_pyjwt", request), claimsOf(assertion));
  await assert.rejects(python.call("verify_pyjwt", { ...request, audience: "other" }), /InvalidAudienceError/);
});
