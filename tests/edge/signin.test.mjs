// How a browser or a client gets in: session, SSO cookie, query, bearer.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cookieAttributes, Jar } from "./lib/http.mjs";
import { agedSession, claimsOf, expiredSsoToken, headerOf, ssoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { NAVIGATION, newPath, now, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const SESSION = "__Host-edgeward";

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld({
    sites: {
      APP: {},
      EMBEDDED: {
        session: { same_site: "none", partitioned: true, cookie: "__Host-embedded" },
        sso_cookie: { name: "sso", path: "/studio", domain: "example.test", same_site: "none", partitioned: true, http_only: false },
      },
      STRICT: { session: { same_site: "strict", idle: 600, absolute: 1200 }, sso_cookie: { name: SSO, secure: false, same_site: "strict" } },
      ORDERED: {
        sources: ["bearer", "query", "session"],
        session: { cookie: "__Host-ordered" },
        query: { parameter: "ticket", single_use: false, user_switch: "replace" },
        sso_cookie: undefined,
      },
      SESSIONS: { sources: ["session", "sso_cookie"], query: undefined },
      PASSING: { unauthenticated: "pass" },
      LOGIN: { unauthenticated: "login", login_url: "https://portal.example.test/login" },
      DOWN: { upstream: "http://127.0.0.1:9" },
    },
  });
  app = world.site("APP");
});
after(() => world?.stop());

/**
 * The cookie that an answer clears, with the attributes it was set with.
 * @param {Answer} answer
 * @param {string} name
 * @param {Record<string, string | boolean>} attributes
 */
function assertCleared(answer, name, attributes) {
  const cookie = answer.cookie(name);
  assert.ok(cookie?.cleared, `${name} is not cleared: ${answer}`);
  assert.deepEqual(cookieAttributes(cookie), attributes);
}

const SSO_ATTRIBUTES = { path: "/", secure: true, httponly: true, samesite: "lax" };
const SESSION_ATTRIBUTES = { path: "/", secure: true, httponly: true, samesite: "lax" };

test("a valid SSO cookie on a navigation opens a session, goes through and is cleared", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  const answer = await app.navigate("/projects?x=1", { cookie: `${SSO}=${token}` });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.seen.url, "/projects?x=1");
  assert.equal(answer.seen.header("x-forwarded-user"), user.id);
  assertCleared(answer, SSO, SSO_ATTRIBUTES);
  const session = answer.cookie(SESSION);
  assert.ok(session && !session.cleared);
  const next = await app.navigate("/next", { cookie: session.pair });
  assert.equal(next.status, 200, String(next));
  assert.equal(next.seen.header("x-forwarded-user"), user.id);
});

test("SEC-50: the session cookie is a __Host- cookie: Secure, HttpOnly, Path=/, no Domain", async () => {
  const { session } = await app.signIn();
  assert.ok(session.raw.startsWith("__Host-edgeward="));
  assert.deepEqual(cookieAttributes(session), SESSION_ATTRIBUTES);
  const age = Number(session.attributes["max-age"] ?? (new Date(String(session.attributes.expires)).getTime() - Date.now()) / 1000);
  assert.ok(!(age > 43_200), `never longer than the absolute lifetime: ${session.raw}`);
});

test("the session cookie's name, SameSite, Partitioned and lifetimes are settings", async () => {
  const embedded = world.site("EMBEDDED");
  const user = await app.createUser();
  const answer = await embedded.navigate("/studio/1", {
    cookie: `sso=${await embedded.issue(user.email)}`,
    headers: { "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site" },
  });
  assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(cookieAttributes(answer.setCookie("__Host-embedded")), { path: "/", secure: true, httponly: true, samesite: "none", partitioned: true });
  const strict = await world.site("STRICT").signIn(user);
  assert.equal(cookieAttributes(strict.session).samesite, "strict");
  assert.ok(!(Number(strict.session.attributes["max-age"]) > 1200));
});

test("SEC-51: the SSO cookie is cleared with exactly the path, domain and flags it was set with", async () => {
  const user = await app.createUser();
  const embedded = world.site("EMBEDDED");
  const used = await embedded.navigate("/studio/", { cookie: `sso=${await embedded.issue(user.email)}` });
  const attributes = { path: "/studio", domain: "example.test", secure: true, samesite: "none", partitioned: true };
  assertCleared(used, "sso", attributes);
  assertCleared(await embedded.client("/studio/", { cookie: `sso=${expiredSsoToken(embedded, user)}` }), "sso", attributes);
  const strict = world.site("STRICT");
  assertCleared(await strict.client("/", { cookie: `${SSO}=${expiredSsoToken(strict, user)}` }), SSO, { path: "/", httponly: true, samesite: "strict" });
});

test("a valid SSO token in the query on a navigation opens a session and leaves the URL by a 303", async () => {
  const user = await app.createUser();
  const path = newPath();
  const answer = await app.navigate(`${path}?a=1&token=${await app.issue(user.email)}&b=%20x`);
  assert.equal(answer.status, 303, String(answer));
  assert.equal(new URL(answer.target, app.origin).href, `${app.origin}${path}?a=1&b=%20x`);
  assert.deepEqual(world.origin.about(path), [], "the origin was not asked");
  const session = answer.setCookie(SESSION);
  assert.deepEqual(cookieAttributes(session), SESSION_ATTRIBUTES);
  const next = await app.navigate(`${path}?a=1&b=%20x`, { cookie: session.pair });
  assert.equal(next.seen.header("x-forwarded-user"), user.id);
});

test("on other requests the token counts for that request, is stripped, and opens no session", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  const link = await app.issue(user.email);
  const answers = [
    await app.script(`/api/x?token=${link}&a=1`),
    await app.client(`/api/x?token=${link}&a=1`),
    await app.script("/api/x?a=1", { cookie: `${SSO}=${token}` }),
    await app.send("POST", "/api/x?a=1", { kind: SCRIPT, cookie: `${SSO}=${token}`, headers: { Origin: app.origin }, body: "x" }),
    await app.send("POST", `/api/x?token=${link}&a=1`, { kind: NAVIGATION, headers: { Origin: app.origin, "Sec-Fetch-Site": "same-origin" }, body: "x" }),
    await app.client("/api/x?a=1", { bearer: token }),
  ];
  for (const answer of answers) {
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.url, "/api/x?a=1");
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    assert.deepEqual(answer.cookies, [], String(answer));
    for (const secret of [token, link]) assert.ok(!JSON.stringify(answer.seen.headers.list).includes(secret));
  }
});

test("a HEAD request with a token in the query opens no session", async () => {
  const user = await app.createUser();
  const answer = await app.send("HEAD", `/?token=${await app.issue(user.email)}`, { kind: NAVIGATION });
  assert.deepEqual(
    answer.cookies.filter(({ cleared }) => !cleared),
    [],
  );
});

test("`Authorization: Bearer <SSO token>` lets a client in, in any case of the scheme", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  for (const scheme of ["Bearer", "bearer", "BEARER"]) {
    const answer = await app.client("/", { headers: { Authorization: `${scheme} ${token}` } });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    assert.equal(answer.seen.header("authorization"), undefined);
  }
});

test("an `Authorization` that is not our kind of credential is the application's, and reaches it", async () => {
  const { cookie } = await app.signIn();
  for (const Authorization of ["Token 0123456789abcdef", "Basic dXNlcjpwYXNz", 'Digest username="x"']) {
    const answer = await app.client("/", { cookie, headers: { Authorization } });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("authorization"), Authorization);
  }
});

test("only the configured sources are read, under their configured names", async () => {
  const user = await app.createUser();
  const ordered = world.site("ORDERED");
  const token = await ordered.issue(user.email);
  const { cookie } = await app.signIn(user);
  assert.equal((await ordered.client("/", { cookie: `${SSO}=${token}` })).status, 401);
  assert.equal((await ordered.client("/", { cookie: `${SESSION}=${cookieValue(cookie)}` })).status, 401);
  assert.equal((await ordered.client(`/?token=${token}`)).status, 401);
  assert.equal((await ordered.client(`/?ticket=${await ordered.issue(user.email)}`)).status, 200);
  assert.equal((await ordered.client("/", { bearer: token })).status, 200);
  const sessions = world.site("SESSIONS");
  const own = await sessions.issue(user.email);
  assert.equal((await sessions.client("/", { bearer: own })).status, 401);
  assert.equal((await sessions.client("/", { cookie: `${SSO}=${own}` })).status, 200);
});

test("SEC-42: a token in the query counts only where the site says so", async () => {
  const sessions = world.site("SESSIONS");
  const user = await app.createUser();
  const token = await sessions.issue(user.email);
  const answer = await sessions.navigate(`/?token=${token}`);
  assert.equal(answer.status, 401, String(answer));
  assert.deepEqual(
    answer.cookies.filter(({ cleared }) => !cleared),
    [],
  );
});

test("the sources are asked in the configured order", async () => {
  const [a, b] = [await app.createUser(), await app.createUser()];
  const ordered = world.site("ORDERED");
  const first = await ordered.client(`/?ticket=${await ordered.issue(a.email)}`, { bearer: await ordered.issue(b.email) });
  assert.equal(first.seen.header("x-forwarded-user"), b.id, "bearer first");
  const usual = await app.client(`/?token=${await app.issue(a.email)}`, { bearer: await app.issue(b.email) });
  assert.equal(usual.seen.header("x-forwarded-user"), a.id, "query first");
});

test("an expired SSO cookie is cleared with exactly its attributes, whatever else happens to the request", async () => {
  const { user, cookie } = await app.signIn();
  const expired = `${SSO}=${expiredSsoToken(app, user)}`;
  /** @type {Record<string, [Promise<Answer>, number | undefined]>} */
  const cases = {
    "a valid session": [app.client("/", { cookie: `${cookie}; ${expired}` }), 200],
    "a client that is not signed in": [app.client("/", { cookie: expired }), 401],
    "a browser that is not signed in": [app.navigate("/", { cookie: expired }), 401],
    "a form that is posted": [app.form("/", {}, { cookie: expired }), 401],
    "a request with a valid bearer token": [app.client("/", { cookie: expired, bearer: await app.issue(user.email) }), undefined],
    "who am I": [app.client("/api/sso/me", { cookie: expired }), 401],
    "who am I with a session": [app.client("/api/sso/me", { cookie: `${cookie}; ${expired}` }), 200],
    "a browser that goes to sign in": [world.site("LOGIN").navigate("/", { cookie: `${SSO}=${expiredSsoToken(world.site("LOGIN"), user)}` }), 303],
    "an anonymous visitor": [world.site("PASSING").navigate("/", { cookie: `${SSO}=${expiredSsoToken(world.site("PASSING"), user)}` }), 200],
  };
  for (const [what, [promise, status]] of Object.entries(cases)) {
    const answer = await promise;
    if (status !== undefined) assert.equal(answer.status, status, `${what}: ${answer}`);
    assertCleared(answer, SSO, SSO_ATTRIBUTES);
  }
});

test("an expired SSO cookie is cleared although the origin breaks off or cannot be reached", async () => {
  world.origin.on("/broken", (request) => request.socket.destroy());
  const { user, cookie } = await app.signIn();
  const broken = await app.client("/broken", { cookie: `${cookie}; ${SSO}=${expiredSsoToken(app, user)}` });
  assert.ok(broken.status >= 500 && broken.status <= 504, String(broken));
  assertCleared(broken, SSO, SSO_ATTRIBUTES);
  const down = world.site("DOWN");
  const answer = await down.client("/", { cookie: `${SSO}=${expiredSsoToken(down, user)}`, bearer: await down.issue(user.email) });
  assertCleared(answer, SSO, SSO_ATTRIBUTES);
});

test("a sign-in while the origin cannot be reached is not lost: the session is opened, or the SSO cookie stays", async () => {
  const down = world.site("DOWN");
  const user = await app.createUser();
  const answer = await down.navigate("/", { cookie: `${SSO}=${await down.issue(user.email)}` });
  assert.ok(answer.status >= 500 && answer.status <= 504, String(answer));
  const opened = answer.cookie(SESSION) && !answer.setCookie(SESSION).cleared;
  assert.equal(Boolean(answer.cookie(SSO)?.cleared), Boolean(opened), String(answer));
});

test("a valid session next to an expired SSO cookie goes through as the session's user", async () => {
  const { user, cookie } = await app.signIn();
  const other = await app.createUser();
  for (const visit of [app.navigate, app.script, app.client]) {
    const answer = await visit.call(app, "/", { cookie: `${SSO}=${expiredSsoToken(app, other)}; ${cookie}` });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    assert.equal(answer.seen.header("cookie"), undefined);
  }
});

test("our session cookie is cleared when it expired, with exactly its attributes", async () => {
  const { cookie } = await app.signIn();
  for (const visit of [app.navigate, app.script, app.client]) {
    const answer = await visit.call(app, "/", { cookie: agedSession(world, cookie, 50_000) });
    assert.equal(answer.status, 401, String(answer));
    assertCleared(answer, SESSION, SESSION_ATTRIBUTES);
  }
});

test("SEC-51: clearing a partitioned session cookie repeats Partitioned and SameSite=None", async () => {
  const embedded = world.site("EMBEDDED");
  const user = await app.createUser();
  const opened = await embedded.navigate("/studio/", { cookie: `sso=${await embedded.issue(user.email)}` });
  const session = opened.setCookie("__Host-embedded");
  const answer = await embedded.client("/", { cookie: agedSession(world, session.pair, 50_000) });
  assertCleared(answer, "__Host-embedded", { path: "/", secure: true, httponly: true, samesite: "none", partitioned: true });
  const out = await embedded.send("POST", "/api/sso/logout", { cookie: session.pair, headers: { Origin: embedded.origin } });
  assertCleared(out, "__Host-embedded", { path: "/", secure: true, httponly: true, samesite: "none", partitioned: true });
});

test("our session cookie is cleared when it is no longer honoured: tampered, of a deleted user, or nonsense", async () => {
  const { user, cookie } = await app.signIn();
  const attempts = [`${SESSION}=${tampered(cookieValue(cookie))}`, `${SESSION}=nonsense`];
  for (const attempt of attempts) {
    const answer = await app.client("/", { cookie: attempt });
    assert.equal(answer.status, 401, String(answer));
    assertCleared(answer, SESSION, SESSION_ATTRIBUTES);
  }
  await app.admin("DELETE", `/api/sso/users/${user.id}`);
  const answer = await app.client("/", { cookie });
  assert.deepEqual([answer.status, answer.json.code], [401, "token_expired"]);
  assertCleared(answer, SESSION, SESSION_ATTRIBUTES);
});

test("a session lasts while it is used, up to the absolute lifetime and not longer", async () => {
  let { cookie, user } = await app.signIn();
  // Twice 20 000 s pass with one visit each: each pause is shorter than the idle lifetime of 28 800 s.
  const visit = async () => {
    cookie = agedSession(world, cookie, 20_000);
    const answer = await app.navigate("/", { cookie });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    return answer.cookie(SESSION);
  };
  const renewed = await visit();
  assert.ok(renewed && !renewed.cleared, "the visit renewed the session");
  assert.deepEqual(cookieAttributes(renewed), SESSION_ATTRIBUTES);
  const left = 43_200 - 20_000;
  assert.ok(!(Number(renewed.attributes["max-age"]) > left), renewed.raw);
  cookie = renewed.pair;
  assert.equal(await visit(), undefined, "it ends with the absolute lifetime already, so there is nothing to renew");
  const answer = await app.navigate("/", { cookie: agedSession(world, cookie, 4_000) });
  assert.equal(answer.status, 401, `44 000 s after the sign-in: ${answer}`);
  assertCleared(answer, SESSION, SESSION_ATTRIBUTES);
});

test("a session that was not used for the idle lifetime is over", async () => {
  const { cookie } = await app.signIn();
  assert.equal((await app.client("/", { cookie: agedSession(world, cookie, 28_700) })).status, 200);
  assert.equal((await app.client("/", { cookie: agedSession(world, cookie, 28_900) })).status, 401);
});

test("SEC-52: every sign-in gives a new session, and none survives from before", async () => {
  const { user, cookie } = await app.signIn();
  const again = await app.signIn(user);
  const [first, second] = [claimsOf(cookieValue(cookie)), claimsOf(cookieValue(again.cookie))];
  const id = (/** @type {{ sid: string, jti: string }} */ { sid, jti }) => sid ?? jti;
  assert.ok(id(first) && id(second));
  assert.notEqual(id(first), id(second));
  // A visitor who brings a session cookie of his own making gets another one at the sign-in.
  const planted = await app.navigate("/", { cookie: `${SESSION}=${tampered(cookieValue(cookie))}; ${SSO}=${await app.issue(user.email)}` });
  const fresh = planted.cookie(SESSION);
  if (fresh && !fresh.cleared) assert.ok(![id(first), id(second)].includes(id(claimsOf(fresh.value))));
});

test("a browser whose session expired signs in again by a new SSO cookie at once", async () => {
  const { user, cookie } = await app.signIn();
  const answer = await app.navigate("/", { cookie: `${agedSession(world, cookie, 50_000)}; ${SSO}=${await app.issue(user.email)}` });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.seen.header("x-forwarded-user"), user.id);
  const session = answer.cookie(SESSION);
  assert.ok(session && !session.cleared);
});

test("a whole visit: link, clean page, scripts, logout", async () => {
  const user = await app.createUser();
  const jar = new Jar();
  /** @param {string} path */
  const visit = async (path, as = app.navigate) => jar.take(await as.call(app, path, { cookie: jar.header }));
  const arrived = await visit(`/start?token=${await app.issue(user.email)}`);
  assert.equal(arrived.status, 303);
  assert.equal((await visit(new URL(arrived.target, app.origin).pathname)).seen.header("x-forwarded-email"), user.email);
  assert.equal((await visit("/api/data", app.script)).status, 200);
  const out = jar.take(await app.form("/api/sso/logout", {}, { cookie: jar.header }));
  assert.equal(out.status, 200, String(out));
  assert.equal(jar.header, "");
  assert.equal((await visit("/start")).status, 401);
});

test("SEC-50: a session cookie that occurs twice with different users counts as none, and is cleared", async () => {
  const [a, b] = [await app.signIn(), await app.signIn()];
  for (const visit of [app.navigate, app.client]) {
    const answer = await visit.call(app, "/", { cookie: `${a.cookie}; ${b.cookie}` });
    assert.equal(answer.status, 401, String(answer));
    assert.ok(answer.cookie(SESSION)?.cleared, String(answer));
  }
});

test("SEC-50: an SSO cookie that occurs twice with different users counts as none", async () => {
  const [a, b] = [await app.createUser(), await app.createUser()];
  const answer = await app.navigate("/", { cookie: `${SSO}=${await app.issue(a.email)}; ${SSO}=${await app.issue(b.email)}` });
  assert.equal(answer.status, 401, String(answer));
  assert.deepEqual(
    answer.cookies.filter(({ cleared }) => !cleared),
    [],
  );
});

test("SEC-50: only the exact cookie name is read", async () => {
  const { cookie } = await app.signIn();
  const value = cookieValue(cookie);
  for (const name of ["__host-edgeward", "__HOST-EDGEWARD", "edgeward", "__Host-edgeward ", "__Secure-edgeward", "__Host-edgeward%20", "x__Host-edgeward"]) {
    if (name.endsWith(" ")) continue;
    assert.equal((await app.client("/", { cookie: `${name}=${value}` })).status, 401, name);
  }
});

test("SEC-43: a higher source that is present but invalid does not fall to a lower one", async () => {
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => app.createUser()));
  const session = (await app.signIn(a)).cookie;
  const sso = await app.issue(b.email);
  const bearer = await app.issue(c.email);
  for (let mask = 0; mask < 8; mask++) {
    const [badSession, badSso, badBearer] = [mask & 1, mask & 2, mask & 4];
    const cookie = `${SESSION}=${badSession ? tampered(cookieValue(session)) : cookieValue(session)}; ${SSO}=${badSso ? tampered(sso) : sso}`;
    const answer = await app.client("/", { cookie, bearer: badBearer ? tampered(bearer) : bearer });
    const what = JSON.stringify({ badSession, badSso, badBearer });
    assert.equal(answer.status, badSession ? 401 : 200, `${what}: ${answer}`);
    // A good session makes way for a good SSO token of another user; lower sources decide nothing and do no harm.
    if (!badSession) assert.equal(answer.seen.header("x-forwarded-user"), badSso ? a.id : b.id, what);
  }
  // Without a session: the SSO cookie decides, good or bad.
  const good = await app.client("/", { cookie: `${SSO}=${sso}`, bearer: tampered(bearer) });
  assert.equal(good.seen.header("x-forwarded-user"), b.id);
  assert.equal((await app.client("/", { cookie: `${SSO}=${tampered(sso)}`, bearer })).status, 401);
  assert.equal((await app.client(`/?token=${tampered(sso)}`, { bearer })).status, 401);
});

test("SEC-38: a malformed Cookie header ends in a refusal, never in access", async () => {
  const path = newPath();
  for (const cookie of [
    `${SESSION}`,
    `${SESSION}=`,
    `=${SESSION}`,
    ";;;;",
    `${SESSION}="`,
    `${SESSION}=\xff\xfe`,
    `${SESSION}==..`,
    `${SESSION}=.`,
    `${SESSION}=..`,
    `${SSO}=%00`,
    "a".repeat(8000),
    `${SESSION}=${"a".repeat(8000)}`,
  ]) {
    const answer = await app.client(path, { cookie });
    assert.equal(answer.status, 401, `${cookie.slice(0, 40)}: ${answer}`);
  }
  assert.deepEqual(world.origin.about(path), []);
});

test("a session in a second Cookie header, which the runtime joins to the first by a comma, counts as none and reaches no origin", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  const answer = await app.client(path, {
    headers: [
      ["Cookie", "a=1"],
      ["Cookie", `${cookie}; b=2`],
    ],
  });
  assert.deepEqual([answer.status, answer.json.code], [401, "token_missing"]);
  assert.deepEqual(world.origin.about(path), []);
});

test("SEC-44: an answer to an identified request is private unless the origin says otherwise, and varies by credential", async () => {
  const { cookie } = await app.signIn();
  world.origin.on("/cacheable", (request, response) => response.writeHead(200, { "Cache-Control": "public, max-age=60", Vary: "Accept-Language" }).end("x"));
  world.origin.on("/plain", (request, response) => response.writeHead(200).end("x"));
  const plain = await app.client("/plain", { cookie });
  assert.match(plain.headers.get("cache-control") ?? "", /\bprivate\b/, String(plain));
  /** @param {Answer} answer */
  const varies = (answer) => (answer.headers.get("vary") ?? "").toLowerCase().split(/\s*,\s*/);
  assert.ok(varies(plain).includes("cookie") && varies(plain).includes("authorization"), String(plain));
  const cacheable = await app.client("/cacheable", { cookie });
  assert.equal(cacheable.headers.get("cache-control"), "public, max-age=60");
  assert.equal(cacheable.headers.get("vary"), "Accept-Language", "what the origin says of caching is left as it is");
});

test("SEC-44: a lifetime alone does not make an answer to an identified request public", async () => {
  const { cookie } = await app.signIn();
  for (const [i, value] of ["max-age=60", "must-revalidate, max-age=60"].entries()) {
    world.origin.on(`/lifetime-${i}`, (request, response) => response.writeHead(200, { "Cache-Control": value }).end("x"));
    const answer = await app.client(`/lifetime-${i}`, { cookie });
    assert.match(answer.headers.need("cache-control"), /\bprivate\b/, String(answer));
    assert.match(answer.headers.need("cache-control"), /\bmax-age=60\b/);
    assert.match(answer.headers.need("vary"), /cookie/i);
  }
  for (const [i, value] of ["no-store", "private, max-age=5", "s-maxage=9"].entries()) {
    world.origin.on(`/said-${i}`, (request, response) => response.writeHead(200, { "Cache-Control": value }).end("x"));
    assert.equal((await app.client(`/said-${i}`, { cookie })).headers.get("cache-control"), value);
  }
});

test("an answer that sets a session cookie is never shared by a cache", async () => {
  world.origin.on("/cacheable-page", (request, response) => response.writeHead(200, { "Cache-Control": "public, max-age=60" }).end("x"));
  const user = await app.createUser();
  const answer = await app.navigate("/cacheable-page", { cookie: `${SSO}=${await app.issue(user.email)}` });
  assert.ok(answer.cookie(SESSION));
  assert.match(answer.headers.get("cache-control") ?? "", /\b(private|no-store)\b/, String(answer));
});

test("a request that changes something and comes from another site's page is refused when it brings cookies", async () => {
  const { cookie, user } = await app.signIn();
  const path = newPath();
  for (const headers of [
    { Origin: "https://evil.test", "Sec-Fetch-Site": "cross-site" },
    { Origin: "null" },
    { "Sec-Fetch-Site": "cross-site" },
    { Origin: "http://app.example.test.evil.test" },
    { Origin: "http://app.example.test:8080" },
  ]) {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const answer = await app.send(method, path, { cookie, headers, body: "x" });
      assert.equal(answer.status, 403, `${method} ${JSON.stringify(headers)}: ${answer}`);
    }
  }
  assert.deepEqual(world.origin.about(path), []);
  assert.equal((await app.send("POST", path, { cookie, headers: { Origin: app.origin, "Sec-Fetch-Site": "same-origin" }, body: "x" })).status, 200);
  assert.equal((await app.send("POST", path, { cookie, body: "x" })).status, 200, "a client that is no browser");
  assert.equal(
    (await app.send("POST", path, { bearer: await app.issue(user.email), headers: { Origin: "https://evil.test" }, body: "x" })).status,
    200,
    "a header is no ambient credential",
  );
});

test("the session is a JWT of its own kind, signed with the session secret", async () => {
  const { cookie } = await app.signIn();
  const header = headerOf(cookieValue(cookie));
  assert.equal(header.typ, "session+jwt");
  assert.equal(header.kid, "1");
  assert.ok(claimsOf(cookieValue(cookie)).exp > now());
  assert.ok(ssoToken(app, { id: "x", email: "y" }));
});
