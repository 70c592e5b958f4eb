// Attacks on tokens (SECURITY.md 3.1), each through every source that takes an SSO token.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { after, before, test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { b64, claimsOf, sign, signText, SSO_HEADER, ssoClaims, ssoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { newPath, now, startWorld, until } from "./lib/world.mjs";

/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const SESSION = "__Host-edgeward";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let other;
/** @type {User} */
let user;
/** @type {string} */
let secret;
before(async () => {
  world = await startWorld({ sites: { APP: { assertion: {} }, OTHER: {}, LONG: { sso_token: { algorithm: "HS512" } } } });
  app = world.site("APP");
  other = world.site("OTHER");
  user = await app.createUser();
  secret = world.secrets.token[1];
});
after(() => world?.stop());

const header = (changes = {}) => JSON.parse(JSON.stringify({ ...SSO_HEADER, ...changes }));
/** @param {Record<string, unknown>} [changes] */
const claims = (changes) => ssoClaims(app, user, changes);

/**
 * Shows a token by every source, to programs and to browsers: none may let it in or open a session.
 * @param {string} token
 * @param {string} what
 * @param {{ code?: string }} [options]
 */
async function assertRefused(token, what, { code } = {}) {
  const path = newPath();
  const encoded = encodeURIComponent(token);
  const attempts = {
    bearer: () => app.client(path, { bearer: token }),
    cookie: () => app.client(path, { cookie: `${SSO}=${token}` }),
    query: () => app.client(`${path}?token=${encoded}`),
    "cookie of a browser": () => app.navigate(path, { cookie: `${SSO}=${token}` }),
    "query of a browser": () => app.navigate(`${path}?token=${encoded}`),
    session: () => app.client(path, { cookie: `${SESSION}=${token}` }),
    "who am I": () => app.client("/api/sso/me", { bearer: token }),
  };
  for (const [source, attempt] of Object.entries(attempts)) {
    const answer = await attempt();
    assert.equal(answer.status, 401, `${what} by ${source}: ${answer}`);
    assert.deepEqual(
      answer.cookies.filter(({ cleared }) => !cleared),
      [],
      `${what} by ${source}`,
    );
    if (code && source === "bearer") assert.equal(answer.json.code, code, `${what}: ${answer}`);
  }
  assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
}

/**
 * The same for a list of `[what, token]`.
 * @param {[what: string, token: string][]} list
 * @param {{ code?: string }} [options]
 */
async function assertAllRefused(list, options) {
  for (const [what, token] of list) await assertRefused(token, what, options);
}

test("a good token of the same making gets in by every source, so that the refusals below mean something", async () => {
  const token = () => sign(header(), claims(), secret);
  assert.equal((await app.client("/", { bearer: token() })).status, 200);
  assert.equal((await app.client("/", { cookie: `${SSO}=${token()}` })).status, 200);
  assert.equal((await app.client(`/?token=${token()}`)).status, 200);
  assert.equal((await app.navigate("/", { cookie: `${SSO}=${token()}` })).status, 200);
  assert.equal((await app.navigate(`/?token=${token()}`)).status, 303);
});

test("SEC-22: a tampered signature is refused at every entry", async () => {
  const token = ssoToken(app, user);
  const [head, body, signature] = token.split(".");
  /** @param {Record<string, unknown>} changes */
  const bodyOf = (changes) => b64(JSON.stringify({ ...claimsOf(token), ...changes }));
  await assertAllRefused([
    ["one flipped bit", tampered(token)],
    ["no signature", `${head}.${body}.`],
    ["half a signature", `${head}.${body}.${signature.slice(0, 20)}`],
    ["a longer signature", `${head}.${body}.${b64(Buffer.concat([Buffer.from(signature, "base64url"), Buffer.from([0])]))}`],
    ["changed claims", `${head}.${bodyOf({ exp: now() + 6000 })}.${signature}`],
    ["a changed header", `${b64(JSON.stringify({ ...header(), x: 1 }))}.${body}.${signature}`],
    ["another secret", sign(header(), claims(), "another secret of at least 32 bytes")],
    ["an empty secret", sign(header(), claims(), "")],
    ["the session secret", sign(header(), claims(), world.secrets.session[1])],
    ["the key secret", sign(header(), claims(), world.secrets.key[1])],
    ["the secret decoded from base64url", sign(header(), claims(), Buffer.from(secret, "base64url"))],
  ]);
});

test("SEC-1: a token signed with HMAC and the bytes of our public key is refused", async () => {
  const { keys } = (await app.client("/.well-known/jwks.json")).json;
  assert.ok(keys.length > 0);
  for (const jwk of keys) {
    const key = createPublicKey({ key: jwk, format: "jwk" });
    const secrets = {
      PEM: key.export({ type: "spki", format: "pem" }),
      "PEM without line end": key.export({ type: "spki", format: "pem" }).trimEnd(),
      DER: key.export({ type: "spki", format: "der" }),
      "JWK as JSON": JSON.stringify(jwk),
      x: jwk.x,
      "x in bytes": Buffer.from(jwk.x, "base64url"),
      kid: jwk.kid,
    };
    for (const [what, bytes] of Object.entries(secrets)) {
      await assertRefused(sign(header({ kid: jwk.kid }), claims(), bytes), `HS256 with ${what}`);
      await assertRefused(sign(header(), claims(), bytes), `HS256 with ${what} and our kid`);
    }
  }
});

test("SEC-2: only the configured algorithm passes, whatever the header says", async () => {
  await assertAllRefused([
    ["HS384 with the right secret", sign(header({ alg: "HS384" }), claims(), secret)],
    ["HS512 with the right secret", sign(header({ alg: "HS512" }), claims(), secret)],
    ["HS256 called hs256", signText(JSON.stringify(header({ alg: "hs256" })), JSON.stringify(claims()), secret)],
    ["HS256 called RS256", signText(JSON.stringify(header({ alg: "RS256" })), JSON.stringify(claims()), secret)],
    ["HS512 called HS256", signText(JSON.stringify(header()), JSON.stringify(claims()), secret, "HS512")],
    ["HS256 without alg", signText(JSON.stringify(header({ alg: undefined })), JSON.stringify(claims()), secret)],
    ["HS256 with alg as a list", signText(JSON.stringify(header({ alg: ["HS256"] })), JSON.stringify(claims()), secret)],
  ]);
  const long = world.site("LONG");
  assert.equal((await long.client("/", { bearer: ssoToken(long, user) })).status, 401, "HS256 where HS512 is configured");
  assert.equal((await long.client("/", { bearer: ssoToken(long, user, {}, { alg: "HS512" }) })).status, 200);
});

test("SEC-2: tokens of asymmetric algorithms are no SSO tokens", async () => {
  for (const alg of ["ES256", "RS256", "PS256", "EdDSA"]) {
    const { privateKey } = await generateKeyPair(alg);
    await assertRefused(await new SignJWT(claims()).setProtectedHeader(header({ alg })).sign(privateKey), alg);
  }
});

test("SEC-3: none, in any spelling, with and without a signature, is refused", async () => {
  const body = b64(JSON.stringify(claims()));
  const signature = ssoToken(app, user).split(".")[2];
  /** @type {[what: string, token: string][]} */
  const list = [["UnsecuredJWT", new UnsecuredJWT(claims()).encode()]];
  for (const alg of ["none", "None", "NONE", "nOnE", "", " none", "none ", null, 0, false]) {
    const head = b64(JSON.stringify(header({ alg })));
    list.push([`alg ${JSON.stringify(alg)} without signature`, `${head}.${body}.`]);
    list.push([`alg ${JSON.stringify(alg)} with a signature`, `${head}.${body}.${signature}`]);
    list.push([`alg ${JSON.stringify(alg)} signed`, signText(JSON.stringify(header({ alg })), JSON.stringify(claims()), secret)]);
  }
  await assertAllRefused(list);
});

test("SEC-4: exp, nbf and iat are numbers, and exp is required", async () => {
  /** @type {[what: string, token: string][]} */
  const list = [
    ["no exp", sign(header(), claims({ exp: undefined }), secret)],
    ["no iat and no exp", sign(header(), claims({ exp: undefined, iat: undefined }), secret)],
  ];
  const later = now() + 600;
  for (const name of ["exp", "nbf", "iat"]) {
    for (const value of [
      `"${later}"`,
      "true",
      "false",
      ...(name === "nbf" ? [] : ["null"]),
      "[]",
      `[${later}]`,
      "{}",
      "NaN",
      "1e400",
      "-1e400",
      '""',
      `"NaN"`,
      "9007199254740993",
      "1e17",
    ]) {
      const text = JSON.stringify(claims({ [name]: undefined })).replace(/\}$/, `,"${name}":${value}}`);
      // A time far ahead is no wrong type: exp may lie there, but then the token lives longer than it may.
      list.push([`${name}: ${value}`, signText(JSON.stringify(header()), text, secret)]);
    }
  }
  list.push(["negative exp", sign(header(), claims({ exp: -1 }), secret)]);
  list.push(["exp 0", sign(header(), claims({ exp: 0 }), secret)]);
  await assertAllRefused(list);
});

test("SEC-4: a token that ended, or whose time has not come, is refused", async () => {
  await assertRefused(sign(header(), claims({ iat: now() - 700, exp: now() - 100 }), secret), "ended", { code: "token_expired" });
  await assertRefused(sign(header(), claims({ nbf: now() + 3600 }), secret), "nbf in the future");
  await assertRefused(sign(header(), claims({ iat: now() + 3600, exp: now() + 4200 }), secret), "iat in the future");
});

test("an SSO token that lives longer than the hard maximum is refused", async () => {
  await assertRefused(sign(header(), claims({ exp: now() + 86_400 }), secret), "a token for a day");
});

test("SEC-5: a key inside the token is never used, and nothing is fetched for it", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = await exportJWK(publicKey);
  const path = newPath();
  const url = `${world.origin.url}${path}/jwks.json`;
  world.origin.on(`${path}/jwks.json`, (request, response) => response.end(JSON.stringify({ keys: [jwk] })));
  const oct = { kty: "oct", k: b64("attacker attacker attacker attacker") };
  /** @type {[what: string, token: string][]} */
  const list = [["an embedded EC key", await new SignJWT(claims()).setProtectedHeader(header({ alg: "ES256", jwk })).sign(privateKey)]];
  for (const [name, value] of Object.entries({ jwk: oct, jku: url, x5u: url, x5c: ["MIIB"], "x5t#S256": "x" })) {
    list.push([`${name} with a foreign signature`, sign(header({ [name]: value, kid: "attacker" }), claims(), "attacker attacker attacker attacker")]);
    list.push([`${name} with a foreign signature and our kid`, sign(header({ [name]: value }), claims(), "attacker attacker attacker attacker")]);
  }
  await assertAllRefused(list);
  assert.deepEqual(world.origin.about(path), [], "nothing was fetched");
});

test("SEC-6: kid is compared and nothing else", async () => {
  const before = (await world.kvEntries()).map(([key]) => key);
  /** @type {[what: string, token: string][]} */
  const list = [];
  for (const kid of [
    "../1",
    "1/../1",
    "1\u0000",
    "' OR 1=1 --",
    "EDGEWARD_TOKEN_SECRET_1",
    "x".repeat(257),
    "x".repeat(3000),
    "01",
    "1 ",
    "2",
    "-1",
    "1e0",
    "",
    "key:1",
    1,
    null,
    ["1"],
    { a: 1 },
    '\n{"event":"forged"}',
  ]) {
    list.push([`kid ${JSON.stringify(kid).slice(0, 40)}`, sign(header({ kid }), claims(), secret)]);
  }
  await assertAllRefused(list);
  assert.deepEqual(
    (await world.kvEntries()).map(([key]) => key),
    before,
    "nothing was written",
  );
  assert.ok(!world.events("forged").length, "nothing was written into the log");
});

test("SEC-7: crit, and b64:false, are refused", async () => {
  await assertAllRefused([
    ["crit exp", sign(header({ crit: ["exp"], exp: 1 }), claims(), secret)],
    ["an empty crit", sign(header({ crit: [] }), claims(), secret)],
    ["crit null", sign(header({ crit: null }), claims(), secret)],
    ["crit b64", sign(header({ crit: ["b64"], b64: false }), claims(), secret)],
    ["b64:false alone", sign(header({ b64: false }), claims(), secret)],
  ]);
});

test("SEC-8: only the strict compact form is read", async () => {
  const token = ssoToken(app, user);
  const [head, body, signature] = token.split(".");
  const last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const trailing = signature.slice(0, -1) + last[last.indexOf(signature.slice(-1)) ^ 1];
  assert.deepEqual(Buffer.from(trailing, "base64url"), Buffer.from(signature, "base64url"), "the same bytes");
  const json = JSON.stringify({ payload: body, protected: head, signature });
  await assertAllRefused([
    ["the flattened JSON form", json],
    ["the general JSON form", JSON.stringify({ payload: body, signatures: [{ protected: head, signature }] })],
    ["padding", `${head}.${body}.${signature}=`],
    ["padding of all parts", `${head}=.${body}==.${signature}=`],
    ["trailing bits", `${head}.${body}.${trailing}`],
    ["a space inside", `${head}.${body}. ${signature}`],
    ["two parts", `${head}.${body}`],
    ["one part", head],
    ["four parts", `${token}.${signature}`],
    ["a dot behind", `${token}.`],
    ["a dot before", `.${token}`],
    ["standard base64", `${head}.${body}.${Buffer.from(signature, "base64url").toString("base64").replace(/=+$/, "")}+/`],
    ["Bearer twice", `Bearer ${token}`],
  ]);
});

test("SEC-9: a huge token is refused at once", async () => {
  const started = performance.now();
  /** @param {number} size */
  const filler = (size) => sign(header(), claims({ filler: "x".repeat(size) }), secret);
  const huge = [".".repeat(30_000), "a".repeat(30_000), `${"a".repeat(10_000)}.${"b".repeat(10_000)}.${"c".repeat(10_000)}`, filler(8_000)];
  for (const token of huge) {
    assert.equal((await app.client("/", { bearer: token })).status, 401);
    assert.equal((await app.client("/", { cookie: `${SSO}=${token}` })).status, 401);
    assert.equal((await app.client(`/?token=${token}`)).status, 401);
    assert.equal((await app.client("/", { cookie: `${SESSION}=${token}` })).status, 401);
  }
  assert.ok(performance.now() - started < 5_000);
});

test("SEC-10: an encrypted or compressed token is refused", async () => {
  const jwe = [JSON.stringify({ alg: "dir", enc: "A128GCM", zip: "DEF" }), "", "iv", "text", "tag"].map(b64).join(".");
  await assertAllRefused([
    ["five parts", jwe],
    ["five parts that begin like ours", `${ssoToken(app, user)}.a.b`],
    ["zip in the header", signText(JSON.stringify(header({ zip: "DEF" })), JSON.stringify(claims()), secret, "HS384")],
  ]);
});

test("SEC-11: password-based algorithms are not there", async () => {
  const p2 = { p2c: 2_000_000_000, p2s: b64("salt") };
  const started = performance.now();
  await assertAllRefused([
    ["PBES2 in three parts", signText(JSON.stringify(header({ alg: "PBES2-HS256+A128KW", ...p2 })), JSON.stringify(claims()), secret)],
    ["PBES2 in five parts", [JSON.stringify({ alg: "PBES2-HS256+A128KW", enc: "A128GCM", ...p2 }), "key", "iv", "text", "tag"].map(b64).join(".")],
  ]);
  assert.ok(performance.now() - started < 5_000);
});

test("SEC-12: a member that occurs twice, in the header or in the claims, is refused", async () => {
  /**
   * @param {object} object
   * @param {string} name
   * @param {unknown} value
   */
  const twice = (object, name, value) => JSON.stringify(object).replace(/\}$/, `,"${name}":${JSON.stringify(value)}}`);
  /** @type {[what: string, token: string][]} */
  const list = [];
  for (const [name, value] of Object.entries(header())) list.push([`header ${name}`, signText(twice(header(), name, value), JSON.stringify(claims()), secret)]);
  for (const [name, value] of Object.entries(claims())) list.push([`claim ${name}`, signText(JSON.stringify(header()), twice(claims(), name, value), secret)]);
  list.push(["an escaped name", signText(JSON.stringify(header()), JSON.stringify(claims()).replace(/\}$/, `,"s\\u0075b":"${user.id}"}`), secret)]);
  list.push(["an unknown claim", signText(JSON.stringify(header()), JSON.stringify(claims()).replace(/\}$/, ',"x":1,"x":1}'), secret)]);
  await assertAllRefused(list);
});

test("a header or claims that are no JSON object in UTF-8 are refused", async () => {
  const bad = ["[]", '"x"', "1", "null", "", "{", '{"a":1}x', "{'a':1}", '{"a":1,}', "\ufeff{}"];
  /** @type {[what: string, token: string][]} */
  const list = [];
  for (const text of bad) {
    list.push([`header ${text}`, signText(text, JSON.stringify(claims()), secret)]);
    list.push([`claims ${text}`, signText(JSON.stringify(header()), text, secret)]);
  }
  const invalid = Buffer.concat([Buffer.from(JSON.stringify(claims()).slice(0, -1)), Buffer.from(',"x":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
  list.push(["claims with invalid UTF-8", signText(JSON.stringify(header()), invalid, secret)]);
  await assertAllRefused(list);
});

test("SEC-18: the audience is the site's, as a string or in a list, and nothing like it", async () => {
  const host = app.host;
  const audiences = [
    undefined,
    null,
    "",
    [],
    {},
    1,
    true,
    [null],
    [host, 1],
    [[host]],
    `${host}.`,
    `x${host}`,
    `${host}x`,
    host.slice(1),
    host.slice(0, -1),
    host.toUpperCase(),
    `${host} `,
    `http://${host}`,
    `${host},other`,
    "other.example.test",
    ["other.example.test"],
    "*",
  ];
  await assertAllRefused(audiences.map((aud) => [`aud ${JSON.stringify(aud)}`, sign(header(), claims({ aud }), secret)]));
  for (const aud of [host, [host], ["other.example.test", host]])
    assert.equal((await app.client("/", { bearer: sign(header(), claims({ aud }), secret) })).status, 200, JSON.stringify(aud));
});

test("the issuer is ours exactly", async () => {
  const issuers = [undefined, null, "", "edgewar", "edgeward ", "edgewardx", "Edgeward", ["edgeward"], "label-studio"];
  await assertAllRefused(issuers.map((iss) => [`iss ${JSON.stringify(iss)}`, sign(header(), claims({ iss }), secret)]));
});

test("the user is one whom we know, named as a string", async () => {
  /** @type {[what: string, token: string][]} */
  const list = [["no user_id and no sub", sign(header(), claims({ user_id: undefined, sub: undefined }), secret)]];
  for (const id of ["", "usr_unknown", 1, true, {}, [user.id], null, `${user.id} `, user.email, "../x", "x".repeat(2000)])
    list.push([`id ${JSON.stringify(id)?.slice(0, 40)}`, sign(header(), claims({ user_id: id, sub: id }), secret)]);
  const someone = await app.createUser();
  list.push(["user_id and sub of two users", sign(header(), claims({ user_id: user.id, sub: someone.id }), secret)]);
  await assertAllRefused(list);
});

test("SEC-19: no kind of token counts as another: session, SSO token, assertion, API token × every entry", async () => {
  const { cookie, token: sso } = await app.signIn(user);
  const link = await app.issue(user.email);
  const session = cookieValue(cookie);
  const assertion = (await app.client("/", { cookie })).seen.headers.need("x-edgeward-assertion");
  assert.match(assertion, /^eyJ/);
  const api = await world.adminToken();
  const kinds = { session, sso, assertion, api };
  const entries = {
    session: (/** @type {string} */ token) => app.client("/", { cookie: `${SESSION}=${token}` }),
    sso_cookie: (/** @type {string} */ token) => app.client("/", { cookie: `${SSO}=${token}` }),
    // What was a link counts nowhere else, and the other way round.
    query: (/** @type {string} */ token) => app.client(`/?token=${token === sso ? link : token}`),
    bearer: (/** @type {string} */ token) => app.client("/", { bearer: token }),
    me: (/** @type {string} */ token) => app.client("/api/sso/me", { bearer: token }),
    admin: (/** @type {string} */ token) => app.admin("GET", "/api/sso/users?limit=1", undefined, { token }),
    issue: (/** @type {string} */ token) => app.issueAnswer({ email: user.email }, { token }),
  };
  /** @type {Record<string, string[]>} */
  const good = { session: ["session"], sso_cookie: ["sso"], query: ["sso"], bearer: ["sso"], me: ["sso"], admin: ["api"], issue: ["api"] };
  for (const [entry, attempt] of Object.entries(entries)) {
    for (const [kind, token] of Object.entries(kinds)) {
      const { status } = await attempt(token);
      assert.equal(status, good[entry].includes(kind) ? 200 : 401, `${kind} at ${entry}`);
    }
  }
});

test("SEC-19: typ says the kind: an SSO token of another typ, or signed as a session, is refused", async () => {
  await assertAllRefused(
    ["session+jwt", "assertion+jwt", "JWT", "at+jwt", "sso", "", null, undefined, 1].map((typ) => [
      `typ ${JSON.stringify(typ)}`,
      sign(header({ typ }), claims(), secret),
    ]),
  );
  const session = cookieValue((await app.signIn(user)).cookie);
  await assertAllRefused([
    ["a session's claims as an SSO token", sign(header(), claimsOf(session), secret)],
    ["an SSO token's claims as a session", sign({ alg: "HS256", typ: "session+jwt", kid: "1" }, claims(), secret)],
    ["a session signed with the token secret", sign({ alg: "HS256", typ: "session+jwt", kid: "1" }, claimsOf(session), secret)],
  ]);
});

test("SEC-26: what one site accepted is not accepted by another from the cache, in either order", async () => {
  const token = ssoToken(app, user);
  for (let i = 0; i < 2; i++) {
    assert.equal((await app.client("/", { bearer: token })).status, 200);
    assert.equal((await other.client("/", { bearer: token })).status, 401);
  }
  const { cookie } = await app.signIn(user);
  for (let i = 0; i < 2; i++) {
    assert.equal((await app.client("/", { cookie })).status, 200);
    assert.equal((await other.client("/", { cookie })).status, 401);
  }
});

test("SEC-26: what was accepted as one kind of credential is not accepted as another from the cache", async () => {
  const { cookie } = await app.signIn(user);
  const token = await app.issue(user.email);
  assert.equal((await app.client("/", { cookie })).status, 200);
  assert.equal((await app.client("/", { bearer: token })).status, 200);
  assert.equal((await app.client("/", { bearer: cookieValue(cookie) })).status, 401);
  assert.equal((await app.client("/", { cookie: `${SESSION}=${token}` })).status, 401);
});

test("SEC-26: a token that was accepted is refused once it has expired", async () => {
  const bearer = ssoToken(app, user, { exp: now() + 3 });
  assert.equal((await app.client("/", { bearer })).status, 200);
  const refused = await until(async () => {
    const answer = await app.client("/", { bearer });
    return answer.status !== 200 && answer;
  }, 10);
  assert.equal(refused.status, 401);
  assert.equal(refused.json.code, "token_expired");
});

test("SEC-26: two tokens that differ only behind a long common beginning are told apart", async () => {
  const someone = await app.createUser();
  const one = ssoToken(app, user, { filler: "x".repeat(3000) });
  const two = ssoToken(app, someone, { filler: "x".repeat(3000) });
  assert.equal((await app.client("/", { bearer: one })).seen.header("x-forwarded-user"), user.id);
  assert.equal((await app.client("/", { bearer: two })).seen.header("x-forwarded-user"), someone.id);
  assert.equal((await app.client("/", { bearer: tampered(one) })).status, 401);
});

test("SEC-22: a session is checked as strictly as an SSO token: what is not exactly ours is none", async () => {
  const { cookie } = await app.signIn(user);
  const session = cookieValue(cookie);
  const key = world.secrets.session[1];
  const [head, body] = [{ alg: "HS256", typ: "session+jwt", kid: "1" }, claimsOf(session)];
  /** @param {string} token */
  const status = async (token) => (await app.client("/", { cookie: `${SESSION}=${token}` })).status;
  assert.equal(await status(sign(head, body, key)), 200, "one of the same making is good");
  /**
   * @param {object} object
   * @param {string} more
   */
  const text = (object, more) => JSON.stringify(object).replace(/\}$/, `,${more}}`);
  /** @param {string} name */
  const without = (name) => Object.fromEntries(Object.entries(body).filter(([key]) => key !== name));
  const bad = {
    "SEC-3: none": `${b64(JSON.stringify({ ...head, alg: "none" }))}.${b64(JSON.stringify(body))}.`,
    "SEC-2: HS512": sign({ ...head, alg: "HS512" }, body, key),
    "SEC-7: crit": sign({ ...head, crit: ["exp"] }, body, key),
    "SEC-6: kid": sign({ ...head, kid: "2" }, body, key),
    "SEC-19: typ": sign({ ...head, typ: "sso+jwt" }, body, key),
    "SEC-19: no typ": sign({ alg: "HS256", kid: "1" }, body, key),
    "SEC-12: sub twice": signText(JSON.stringify(head), text(body, `"sub":"${body.sub}"`), key),
    "SEC-12: alg twice": signText(text(head, '"alg":"HS256"'), JSON.stringify(body), key),
    "SEC-18: another site": sign(head, { ...body, aud: other.host }, key),
    "SEC-18: no aud": sign(head, without("aud"), key),
    "another issuer": sign(head, { ...body, iss: "x" }, key),
    "no exp": sign(head, without("exp"), key),
    "SEC-4: exp as text": sign(head, { ...body, exp: String(body.exp) }, key),
    "no iat": sign(head, without("iat"), key),
    "no sub": sign(head, without("sub"), key),
    "an unknown user": sign(head, { ...body, sub: "usr_nobody" }, key),
    "beyond the absolute lifetime": sign(head, { ...body, exp: now() + 10 * 86_400 }, key),
  };
  for (const [what, token] of Object.entries(bad)) assert.equal(await status(token), 401, what);
});
