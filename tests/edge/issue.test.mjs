// `POST /api/sso/token`: an application gets an SSO token for one of its users.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { jwtVerify } from "jose";
import { claimsOf, headerOf, ssoToken } from "./lib/tokens.mjs";
import { newEmail, now, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const TOKEN = "/api/sso/token";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let closed;
/** @type {Site} */
let own;
before(async () => {
  world = await startWorld({
    sites: {
      APP: {},
      CLOSED: { auto_create_users: false },
      OWN: { audience: "the application", sso_token: { lifetime: 1800, max_lifetime: 3600, algorithm: "HS512", user_id_claim: "uid" } },
    },
  });
  app = world.site("APP");
  closed = world.site("CLOSED");
  own = world.site("OWN");
});
after(() => world?.stop());

/**
 * The exact error of the endpoint.
 * @param {Answer} answer
 * @param {number} status
 * @param {object} body
 */
function assertError(answer, status, body) {
  assert.equal(answer.status, status, String(answer));
  assert.equal(answer.type, "application/json");
  assert.deepEqual(answer.json, body);
}

test("an API token in `Authorization: Token` gets a JWT and its lifetime, and nothing else", async () => {
  const answer = await app.issueAnswer({ email: newEmail() });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.type, "application/json");
  assert.deepEqual(Object.keys(answer.json).toSorted(), ["expires_in", "token"]);
  assert.equal(answer.json.expires_in, 600);
  assert.match(answer.json.token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
});

test("an API token in `Authorization: Bearer` works as well", async () => {
  const bearer = await world.apiToken("token:issue");
  const answer = await app.send("POST", TOKEN, { bearer, body: JSON.stringify({ email: newEmail() }) });
  assert.equal(answer.status, 200, String(answer));
});

test("the SSO token is an HS256 JWT with user_id, email, sub, iat, exp, iss, aud and jti", async () => {
  const email = newEmail();
  const before = now();
  const token = await app.issue(email);
  const { payload, protectedHeader } = await jwtVerify(token, Buffer.from(world.secrets.token[1]), {
    algorithms: ["HS256"],
    issuer: "edgeward",
    audience: "app.example.test",
    typ: "sso+jwt",
  });
  assert.deepEqual(protectedHeader, { alg: "HS256", typ: "sso+jwt", kid: "1" });
  const { user_id, email: claimed, sub, iat, exp, iss, aud, jti, ...rest } = payload;
  assert.match(user_id, /^usr_/);
  assert.equal(sub, user_id);
  assert.equal(claimed, email);
  assert.ok(iat >= before && iat <= now(), `iat ${iat}`);
  assert.equal(exp, iat + 600);
  assert.equal(iss, "edgeward");
  assert.equal(aud, "app.example.test");
  assert.match(jti, /^[\w-]{22}$/);
  assert.deepEqual(
    Object.keys(rest).filter((name) => !["username", "first_name", "last_name"].includes(name)),
    [],
  );
});

test("every SSO token has its own jti", async () => {
  const email = newEmail();
  const ids = await Promise.all(Array.from({ length: 5 }, async () => claimsOf(await app.issue(email)).jti));
  assert.equal(new Set(ids).size, 5);
});

test("the names are in the JWT when they are known", async () => {
  const email = newEmail();
  const first = claimsOf(await app.issue(email, { first_name: "Zoë", last_name: "Ng", username: "zoe" }));
  assert.equal(first.first_name, "Zoë");
  assert.equal(first.last_name, "Ng");
  assert.equal(first.username, "zoe");
  const later = claimsOf(await app.issue(email));
  assert.equal(later.first_name, "Zoë", "a later call without names still knows them");
  assert.equal(later.last_name, "Ng");
});

test("asking for a token changes nothing of a user who is there", async () => {
  const user = await app.createUser();
  await app.issue(user.email, { first_name: "Other", last_name: "Name", username: "other" });
  assert.deepEqual((await app.admin("GET", `/api/sso/users/${user.id}`)).json, user);
});

test("the names are not in the JWT when they are not known", async () => {
  const claims = claimsOf(await app.issue(newEmail()));
  assert.ok(!("first_name" in claims) && !("last_name" in claims), JSON.stringify(claims));
});

test("lifetime, audience, algorithm and the name of the user-id claim are settings of the site", async () => {
  const answer = await own.issueAnswer({ email: newEmail() });
  assert.equal(answer.json.expires_in, 1800);
  const { payload } = await jwtVerify(answer.json.token, Buffer.from(world.secrets.token[1]), { algorithms: ["HS512"], audience: "the application" });
  assert.match(payload.uid, /^usr_/);
  assert.ok(!("user_id" in payload));
  assert.equal(payload.exp - payload.iat, 1800);
  const signedIn = await own.client("/", { bearer: answer.json.token });
  assert.equal(signedIn.status, 200, String(signedIn));
  assert.equal(signedIn.seen.header("x-forwarded-user"), payload.uid);
});

for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
  test(`${method} is 405 with \`Allow: POST\`, with and without a credential`, async () => {
    for (const token of [null, undefined]) {
      const answer = await app.admin(method, TOKEN, undefined, { token });
      assert.equal(answer.status, 405, String(answer));
      assert.equal(answer.headers.get("allow"), "POST");
    }
  });
}

for (const [what, headers] of /** @type {[string, Record<string, string>][]} */ ([
  ["no Authorization", {}],
  ["an empty Authorization", { Authorization: "" }],
  ["a scheme alone", { Authorization: "Token" }],
  ["Basic", { Authorization: "Basic dXNlcjpwYXNz" }],
  ["Digest", { Authorization: 'Digest username="a"' }],
  ["a header of another name", { "X-Api-Key": "ewt_x" }],
])) {
  test(`${what} is 401 \`Authentication required\``, async () => {
    const answer = await app.admin("POST", TOKEN, { email: newEmail() }, { token: null, headers });
    assertError(answer, 401, { error: "Authentication required" });
  });
}

test("an API token in the query, in a cookie or in the body is no credential", async () => {
  const token = await world.apiToken("token:issue");
  const answer = await app.admin(
    "POST",
    `${TOKEN}?token=${token}&api_token=${token}`,
    { email: newEmail(), token, api_token: token },
    { token: null, headers: { Cookie: `token=${token}; __Host-edgeward=${token}` } },
  );
  assertError(answer, 401, { error: "Authentication required" });
});

test("an unknown API token is 401 `Invalid API token`", async () => {
  const { createHash } = await import("node:crypto");
  const start = `ewt_${"A".repeat(43)}`;
  const checksum = createHash("sha256").update(start).digest("hex").slice(0, 6);
  for (const token of [
    start + checksum,
    `${start}000000`,
    "nonsense",
    "ewt_",
    `${await world.adminToken()}x`,
    (await world.adminToken()).slice(0, -1),
    (await world.adminToken()).toUpperCase(),
    "ä".repeat(20),
  ]) {
    assertError(await app.issueAnswer({ email: newEmail() }, { token }), 401, { error: "Invalid API token" });
  }
});

test("a revoked API token is 401 `Invalid API token` at once", async () => {
  const { json } = await app.admin("POST", "/api/sso/tokens", { name: "to be revoked", scopes: ["token:issue"] });
  assert.equal((await app.issueAnswer({ email: newEmail() }, { token: json.token })).status, 200);
  assert.equal((await app.admin("POST", `/api/sso/tokens/${json.id}/revoke`)).status, 200);
  assertError(await app.issueAnswer({ email: newEmail() }, { token: json.token }), 401, { error: "Invalid API token" });
});

test("an expired API token is 401 `Invalid API token`", async () => {
  const { json } = await app.admin("POST", "/api/sso/tokens", { name: "short", scopes: ["token:issue"], expires_in: 3 });
  assert.equal((await app.issueAnswer({ email: newEmail() }, { token: json.token })).status, 200);
  const refused = await until(async () => {
    const answer = await app.issueAnswer({ email: newEmail() }, { token: json.token });
    return answer.status !== 200 && answer;
  }, 10);
  assertError(refused, 401, { error: "Invalid API token" });
});

test("an API token without the right is 403 `Admin privileges required`", async () => {
  for (const scope of ["users:read", "users:write", "tokens:write"]) {
    const answer = await app.issueAnswer({ email: newEmail() }, { token: await world.apiToken(scope) });
    assertError(answer, 403, { error: "Admin privileges required" });
  }
});

test("an API token with the scope token:issue or admin has the right", async () => {
  for (const scope of ["token:issue", "admin"]) {
    assert.equal((await app.issueAnswer({ email: newEmail() }, { token: await world.apiToken(scope) })).status, 200);
  }
});

for (const [what, body] of [
  ["an empty body", ""],
  ["text", "email=a@b.c"],
  ["broken JSON", '{"email": "a@b.c"'],
  ["JSON with something behind it", '{"email": "a@b.c"} x'],
  ["bytes that are not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ["deeply nested nonsense", "[".repeat(60_000)],
]) {
  test(`${what} is 400 \`Invalid JSON\``, async () => {
    const answer = await app.send("POST", TOKEN, { bearer: await world.adminToken(), body });
    assertError(answer, 400, { error: "Invalid JSON" });
  });
}

for (const body of ["[]", '"a@b.c"', "1", "null", "true", "{}", '{"email": ""}', '{"email": "   "}', '{"email": null}', '{"mail": "a@b.c"}']) {
  test(`the body ${body} is 400 \`Email required\``, async () => {
    const answer = await app.send("POST", TOKEN, { bearer: await world.adminToken(), body });
    assertError(answer, 400, { error: "Email required" });
  });
}

for (const email of [
  1,
  true,
  {},
  ["a@b.c"],
  "plain",
  "@example.test",
  "a@",
  "a b@example.test",
  "a@b@example.test",
  "a@exa mple.test",
  "a\r\nb@example.test",
  "a\u0000@example.test",
  `${"a".repeat(600)}@example.test`,
]) {
  test(`the address ${JSON.stringify(email).slice(0, 40)} is 400`, async () => {
    const answer = await app.issueAnswer({ email });
    assert.equal(answer.status, 400, String(answer));
    assert.ok(["Email required", "Invalid email"].includes(answer.json.error), String(answer));
    assert.deepEqual(Object.keys(answer.json), ["error"]);
  });
}

test("SEC-58: an address with two @, or whose domain only looks like the allowed one, is refused", async () => {
  const { json } = await app.admin("POST", "/api/sso/tokens", { name: "one domain", scopes: ["token:issue"], issue_for: { email_domains: ["allowed.test"] } });
  /** @param {string} email */
  const issue = (email) => app.issueAnswer({ email }, { token: json.token });
  assert.equal((await issue("someone@allowed.test")).status, 200);
  assert.equal((await issue("Other@ALLOWED.Test")).status, 200, "domains are compared case-folded");
  for (const email of ["a@evil.test@allowed.test", "a@allowed.test@evil.test", '"a@allowed.test"@evil.test', "a@allowed.test,b@evil.test"]) {
    const answer = await issue(email);
    assert.deepEqual([answer.status, answer.json.error], [400, "Invalid email"], email);
  }
  for (const email of ["a@evil.test", "a@notallowed.test", "a@sub.allowed.test", "a@allowed.test.evil.test", "allowed.test@evil.test"]) {
    const answer = await issue(email);
    assert.equal(answer.status, 403, `${email}: ${answer}`);
  }
});

test("SEC-80: an address that is folded to, or looks like, another one is refused, and beyond ASCII case makes two", async () => {
  const { json } = await app.admin("POST", "/api/sso/tokens", { name: "k", scopes: ["token:issue"], issue_for: { email_domains: ["kelvin.test"] } });
  /** @param {string} email */
  const issue = (email) => app.issueAnswer({ email }, { token: json.token });
  /** @param {string} email */
  const subject = async (email) => claimsOf((await issue(email)).json.token).sub;
  assert.equal(await subject("ada@kelvin.test"), await subject("ADA@KELVIN.test"));
  assert.notEqual(await subject("Äda@kelvin.test"), await subject("äda@kelvin.test"));
  for (const email of [
    "ada@\u212aelvin.test",
    "a\u200bda@kelvin.test",
    "ada\u202e@kelvin.test",
    "a\u00adda@kelvin.test",
    "ada@evil.test\uff20kelvin.test",
    "ada\uff20evil.test@kelvin.test",
    "\u017fda@kelvin.test",
    "\uff41da@kelvin.test",
    "ada@kelvin\uff0etest",
    "ada@kelvin.test\ufeff",
  ]) {
    assert.equal((await issue(email)).status, 400, escape(email));
  }
  for (const username of ["ada\uff20kelvin.test", "a\u200dda", "\u202eada", "\uff41da@kelvin.test"]) {
    assert.equal((await app.admin("POST", "/api/sso/users", { email: "eve@kelvin.test", username })).status, 400, escape(username));
  }
});

test("SEC-64: an API token limited to some roles issues for no one who has others", async () => {
  const { json } = await app.admin("POST", "/api/sso/tokens", { name: "annotators", scopes: ["token:issue"], issue_for: { roles: ["annotator"] } });
  const may = await app.createUser({ roles: ["annotator"] });
  const mayNot = await app.createUser({ roles: ["annotator", "manager"] });
  assert.equal((await app.issueAnswer({ email: may.email }, { token: json.token })).status, 200);
  assert.equal((await app.issueAnswer({ email: mayNot.email }, { token: json.token })).status, 403);
});

test("an unknown user is 422 USER_NOT_FOUND while auto-creation is off", async () => {
  const email = newEmail("unknown");
  const answer = await closed.issueAnswer({ email });
  assertError(answer, 422, { success: false, error: `User not found: ${email}`, error_code: "USER_NOT_FOUND", email });
  const list = await closed.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`);
  assert.deepEqual(list.json.users, [], "and no user was created");
});

test("a known user gets a token while auto-creation is off", async () => {
  const user = await app.createUser();
  const claims = claimsOf(await closed.issue(user.email));
  assert.equal(claims.user_id, user.id);
});

test("auto-creation is on by default and makes the user that the answer names", async () => {
  const email = newEmail();
  const claims = claimsOf(await app.issue(email, { first_name: "A", last_name: "B" }));
  const { users } = (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json;
  assert.equal(users.length, 1);
  assert.equal(users[0].id, claims.user_id);
  assert.equal(users[0].first_name, "A");
  assert.equal(users[0].active, true);
  assert.equal(users[0].staff, false);
  assert.equal(users[0].superuser, false);
  assert.deepEqual(users[0].roles, []);
});

test("auto-creation sets no staff, superuser or roles, whatever the body says", async () => {
  const email = newEmail();
  await app.issueAnswer({ email, staff: true, superuser: true, roles: ["admin"], active: true, id: "usr_0" });
  const { users } = (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json;
  for (const user of users) {
    assert.equal(user.staff, false);
    assert.equal(user.superuser, false);
    assert.deepEqual(user.roles, []);
  }
});

test("a disabled user is 403", async () => {
  const user = await app.createUser({ active: false });
  const answer = await app.issueAnswer({ email: user.email });
  assert.equal(answer.status, 403, String(answer));
  assert.equal(typeof answer.json.error, "string");
});

test("a body over 64 KB is 413, one of 64 KB is read", async () => {
  /** @param {number} size */
  const body = (size) => {
    const json = JSON.stringify({ email: newEmail() });
    return json + " ".repeat(size - json.length);
  };
  const bearer = await world.adminToken();
  assert.equal((await app.send("POST", TOKEN, { bearer, body: body(65_536) })).status, 200);
  assert.equal((await app.send("POST", TOKEN, { bearer, body: body(65_537) })).status, 413);
});

test("a body over 64 KB of unknown length is 413 as well", async () => {
  const exchange = app.open("POST", TOKEN, { bearer: await world.adminToken(), headers: { "Transfer-Encoding": "chunked" } });
  exchange.request.on("error", () => {});
  exchange.request.write(" ".repeat(40_000));
  exchange.request.write(" ".repeat(40_000));
  exchange.request.end();
  const answer = await exchange.answer;
  assert.equal(answer.statusCode, 413);
  answer.resume();
});

test("addresses are compared case-folded and trimmed", async () => {
  const email = newEmail("mixed");
  const first = claimsOf(await app.issue(email));
  for (const same of [email.toUpperCase(), `  ${email}`, `${email}\t\n`, ` ${email[0].toUpperCase()}${email.slice(1)} `]) {
    assert.equal(claimsOf(await app.issue(same)).user_id, first.user_id, JSON.stringify(same));
  }
});

test("simultaneous calls for a new address give one user", async () => {
  const email = newEmail("race");
  const spellings = [email, email.toUpperCase(), ` ${email}`];
  const tokens = await Promise.all(Array.from({ length: 12 }, (_, i) => app.issue(spellings[i % 3])));
  assert.equal(new Set(tokens.map((token) => claimsOf(token).user_id)).size, 1);
  const { users } = (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json;
  assert.equal(users.length, 1);
  const signedIn = await Promise.all(tokens.map((bearer) => app.client("/", { bearer })));
  assert.deepEqual(new Set(signedIn.map(({ status }) => status)), new Set([200]));
});

test("an answer is never stored and never readable for another origin's script", async () => {
  for (const answer of [
    await app.admin("POST", TOKEN, { email: newEmail() }, { headers: { Origin: "https://elsewhere.test" } }),
    await app.admin("POST", TOKEN, { email: "" }, { headers: { Origin: "https://elsewhere.test" } }),
    await app.admin("POST", TOKEN, {}, { token: null, headers: { Origin: "https://elsewhere.test" } }),
    await app.admin("OPTIONS", TOKEN, undefined, {
      token: null,
      headers: { Origin: "https://elsewhere.test", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization" },
    }),
  ]) {
    assert.equal(answer.headers.get("cache-control"), "no-store", String(answer));
    assert.deepEqual(
      answer.headers.names.filter((name) => name.startsWith("access-control-")),
      [],
    );
    assert.deepEqual(answer.cookies, []);
  }
});

test("the endpoint never reaches the origin, and with a slash behind it is 404", async () => {
  const before = world.origin.requests.length;
  await app.issue(newEmail());
  assert.equal((await app.admin("POST", `${TOKEN}/`, { email: newEmail() })).status, 404);
  assert.equal(world.origin.requests.length, before);
});

test("the issued token is what the site accepts, and one made with the same secret and claims is too", async () => {
  const user = await app.createUser();
  const issued = await app.issue(user.email);
  assert.equal(headerOf(issued).kid, "1");
  for (const bearer of [issued, ssoToken(app, user)]) {
    const answer = await app.client("/", { bearer });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
  }
});
