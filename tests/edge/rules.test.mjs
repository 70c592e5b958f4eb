// Rules in the real runtime: who gets to the origin, and what the others get.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { tampered } from "./lib/tokens.mjs";
import { newPath, NAVIGATION, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Calling, Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const LOGIN = "https://www.example.test/login";
const SPA = "https://spa.example.test";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {string} */
let admin;
/** @type {string} */
let editor;
before(async () => {
  world = await startWorld({
    vars: {
      EDGEWARD_RULES_SPLIT: [{ path: "/first", public: true }],
      EDGEWARD_RULES_SPLIT__2: [{ path: "/second", public: true }],
    },
    sites: {
      APP: {
        login_url: LOGIN,
        hosts: ["app.example.test", "other.example.test"],
        rules: [
          { name: "assets", glob: ["/static/**", "/**/*.css"], public: true },
          { name: "admins", prefix: "/admin", require: { role: "admin" } },
          { path: "/hidden", require: { role: "admin" }, unauthenticated: "not_found", unauthorised: "not_found" },
          { path: "/sign-in", require: { authenticated: true }, unauthenticated: "login" },
          { prefix: "/hook", anonymous_ok: true, require: { network: ["192.0.2.0/24", "2001:db8::/32"] } },
          { prefix: "/near", anonymous_ok: true, require: { not: { country: "DE" } } },
          { host: "other.example.test", prefix: "/only-there", public: true },
          { prefix: "/api", method: ["GET", "POST"], require: { authenticated: true }, preflight: true },
          { path: "/a:b", deny: true },
          { prefix: "/staff", require: { email_domain: "staff.example" } },
          { prefix: "/free", anonymous_ok: true },
          { prefix: "/scoped", require: { access: "read:files" } },
        ],
      },
      SPLIT: { unauthenticated: undefined },
      CORS: {
        unauthenticated: "pass",
        cors: { origins: [SPA], credentials: true, methods: ["GET", "PUT"], headers: ["x-csrf"], expose: ["x-page"] },
        frame_ancestors: ["https://portal.example.test"],
      },
    },
  });
  app = world.site("APP");
  admin = await signIn({ roles: ["admin"] });
  editor = await signIn({ roles: ["editor"] });
});
after(() => world?.stop());

/**
 * A new user with a session: by a link, which opens one before any rule is asked.
 * @param {Record<string, unknown>} fields
 */
async function signIn(fields) {
  const user = await app.createUser(fields);
  const answer = await app.navigate(`/free?token=${await app.issue(user.email)}`);
  assert.equal(answer.status, 303, String(answer));
  return answer.setCookie("__Host-edgeward").pair;
}

const code = (/** @type {Answer} */ { status, json }) => [status, json.code];

test("each request goes by the first rule that matches, and where none does nobody passes", async () => {
  assert.equal((await app.client("/static/a/b.js")).status, 200);
  assert.equal((await app.client("/x/y.css", { cookie: editor })).seen.header("x-forwarded-user"), undefined);
  assert.deepEqual(code(await app.client("/admin/x")), [401, "token_missing"]);
  assert.deepEqual(code(await app.client("/admin/x", { cookie: editor })), [403, "forbidden"]);
  assert.ok((await app.client("/admin/x", { cookie: admin })).seen.header("x-forwarded-user"));
  assert.deepEqual(code(await app.client("/elsewhere", { cookie: admin })), [403, "forbidden"]);
  assert.deepEqual(code(await app.client("/elsewhere")), [401, "token_missing"]);
  for (const path of ["/first", "/second"]) assert.equal((await world.site("SPLIT").client(path)).status, 200);
  assert.equal((await world.site("SPLIT").client("/third")).status, 401);
});

test("a rule says what those get whom it turns away: a page, JSON, the way to sign in, or nothing", async () => {
  assert.deepEqual(code(await app.client("/hidden")), [404, "not_found"]);
  assert.deepEqual(code(await app.client("/hidden", { cookie: editor })), [404, "not_found"]);
  assert.equal((await app.client("/hidden", { cookie: admin })).status, 200);
  const sent = await app.navigate("/sign-in");
  assert.equal(sent.status, 303);
  assert.ok(sent.headers.need("location").startsWith(LOGIN));
  const page = await app.navigate("/admin", { cookie: editor });
  assert.equal(page.status, 403);
  assert.match(String(page.body), /Not allowed/);
  await world.settled();
  const denied = world.events("denied").find(({ reason }) => reason === "rule 3: requirement role is not met");
  assert.equal(denied.status, 404);
});

test("missing scopes are insufficient_scope, in JSON and in WWW-Authenticate", async () => {
  const answer = await app.client("/scoped", { cookie: editor });
  assert.deepEqual(code(answer), [403, "insufficient_scope"]);
  assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="edgeward", error="insufficient_scope", code="insufficient_scope"');
  await world.settled();
  const notes = world.events("notes").flatMap(({ errors }) => errors);
  assert.ok(
    notes.some(({ path, error }) => path === "EDGEWARD_SITE_APP.rules.12" && /requires access, which no issuer/.test(error)),
    JSON.stringify(notes),
  );
});

test("SEC-32: no forwarded header changes which rule decides", async () => {
  for (const headers of [
    { "X-Forwarded-Uri": "/static/x" },
    { "X-Forwarded-Prefix": "/static" },
    { "X-Forwarded-Host": "other.example.test" },
    { "X-Forwarded-Method": "OPTIONS" },
    { "X-Original-URL": "/static/x" },
    { "X-Rewrite-URL": "/static/x" },
    { Forwarded: "host=other.example.test;proto=https" },
  ]) {
    for (const path of ["/admin", "/only-there"]) {
      assert.deepEqual(code(await app.client(path, { headers })), [401, "token_missing"], JSON.stringify(headers));
    }
  }
});

test("SEC-33: no spelling of a path gets past its rule, and what is judged is what arrives", async () => {
  /** @param {string} target */
  const raw = (target) => exchangeRaw({ port: app.port, text: `GET ${target} HTTP/1.1\r\nHost: ${app.host}\r\nConnection: close\r\n\r\n` });
  for (const [target, status] of /** @type {[string, number][]} */ ([
    ["/admin/%2e%2e/admin", 401],
    ["/static/../admin", 401],
    ["/static/..%2fadmin", 400],
    ["/static/%2e%2e/admin", 401],
    ["/static/..;/admin", 400],
    ["/static/%2e%2e%2fadmin", 400],
    ["/static\\..\\admin", 400],
    ["/static/%252e%252e/admin", 400],
    ["//admin", 400],
    ["/./admin", 401],
    ["/%61dmin", 400],
    ["/admin;x=.css", 400],
    ["/admin/%00.css", 400],
    // However they are read, the first rule is for them.
    ["/admin%2f.css", 200],
    ["/admin%5c.css", 200],
    ["/a:b", 403],
    ["/a%3Ab", 403],
    ["/a%3ab", 403],
    ["/%61%3ab", 400],
    ["//a:b", 400],
    ["/a:b?.css", 403],
    ["/a:b#.css", 403],
    ["/admin?x=/static/a.css", 401],
    ["/%c0%ae%c0%ae/static/a", 400],
    ["/static/%zz", 400],
  ])) {
    assert.equal((await raw(target)).status, status, target);
  }
  for (const [target, arrives] of [
    ["/static/x/../a.js", "/static/a.js"],
    ["/static//a.js", "/static//a.js"],
    ["/static/%61.js?y=/admin", "/static/%61.js?y=/admin"],
  ]) {
    const answer = await raw(target);
    assert.equal(answer.status, 200, target);
    assert.equal(answer.seen.url, arrives);
  }
});

test("SEC-34: a rule sees the path and nothing of the query", async () => {
  for (const path of ["/admin?/static/", "/admin?x=/static/a.css", "/admin?a.css", "/elsewhere?prefix=/free", "/admin#/static"]) {
    assert.deepEqual(code(await app.client(path)), [401, "token_missing"], path);
  }
});

test("SEC-36: a rule of one host counts in every spelling of that host and at no other", async () => {
  for (const host of ["other.example.test", "OTHER.Example.TEST", "other.example.test.", "other.example.test:80"]) {
    assert.equal((await app.client("/only-there", { host })).status, 200, host);
  }
  for (const host of ["app.example.test", "APP.example.test."]) assert.equal((await app.client("/only-there", { host })).status, 401, host);
  assert.equal((await app.client("/only-there", { host: "x.other.example.test" })).status, 404);
});

test("SEC-37: no User-Agent and no other header of a client's choice opens anything", async () => {
  for (const agent of ["GoogleHC/1.0", "ELB-HealthChecker/2.0", "kube-probe/1.30", "Cloudflare-Healthchecks/1.0"]) {
    assert.equal((await app.client("/admin", { headers: { "User-Agent": agent } })).status, 401);
  }
  for (const headers of [
    {},
    { "X-Forwarded-For": "192.0.2.1" },
    { "X-Real-IP": "192.0.2.1" },
    { "True-Client-IP": "192.0.2.1" },
    { "CF-Connecting-IP": "203.0.113.1", "X-Forwarded-For": "192.0.2.1" },
    { "CF-Connecting-IP": "192.0.2.1, 203.0.113.1" },
    { "CF-Connecting-IP": "nowhere" },
  ]) {
    assert.deepEqual(code(await app.client("/hook", { headers })), [403, "forbidden"], JSON.stringify(headers));
  }
  for (const address of ["192.0.2.200", "2001:db8::7"]) {
    assert.equal((await app.client("/hook", { headers: { "CF-Connecting-IP": address } })).status, 200, address);
  }
});

test("SEC-38: a country that is not known is no country, and not another one either", async () => {
  for (const [headers, status] of /** @type {[Record<string, string>, number][]} */ ([
    [{ "CF-IPCountry": "FR" }, 200],
    [{ "CF-IPCountry": "DE" }, 403],
    [{ "CF-IPCountry": "XX" }, 403],
    [{ "CF-IPCountry": "FR, DE" }, 403],
    [{}, 403],
  ])) {
    assert.equal((await app.client("/near", { headers })).status, status, JSON.stringify(headers));
  }
});

test("SEC-39: OPTIONS passes as a true preflight only, where the rule of what it announces says so", async () => {
  const preflight = { Origin: SPA, "Access-Control-Request-Method": "POST" };
  const passed = await app.send("OPTIONS", "/api/x", { headers: preflight, cookie: editor });
  assert.equal(passed.status, 200);
  assert.equal(passed.seen.method, "OPTIONS");
  assert.equal(passed.seen.header("x-forwarded-user"), undefined);
  for (const [method, path, headers] of /** @type {[string, string, Record<string, string>][]} */ ([
    ["OPTIONS", "/api/x", {}],
    ["OPTIONS", "/api/x", { Origin: SPA }],
    ["OPTIONS", "/api/x", { "Access-Control-Request-Method": "POST" }],
    ["OPTIONS", "/api/x", { Origin: SPA, "Access-Control-Request-Method": "DELETE" }],
    ["OPTIONS", "/admin", preflight],
    ["POST", "/api/x", { "X-HTTP-Method-Override": "OPTIONS", ...preflight }],
    ["HEAD", "/admin", {}],
    ["GET", "/api/x", preflight],
  ])) {
    const answer = await app.send(method, path, { headers });
    assert.equal(answer.status, 401, `${method} ${path} ${JSON.stringify(headers)}`);
  }
  // GET stands for HEAD, and no other method for another.
  assert.equal((await app.send("HEAD", "/api/x", { cookie: editor })).status, 200);
  assert.equal((await app.send("PUT", "/api/x", { cookie: editor, headers: { Origin: app.origin } })).status, 403);
});

test("SEC-58: an address in a domain is one whose only @ stands before it", async () => {
  for (const [email, status] of /** @type {[string, number][]} */ ([
    ["a@staff.example", 200],
    ["b@xstaff.example", 403],
    ["c@staff.example.evil.test", 403],
    ["d@sub.staff.example", 403],
  ])) {
    assert.equal((await app.client("/staff", { cookie: await signIn({ email }) })).status, status, email);
  }
  const twice = await app.admin("POST", "/api/sso/users", { email: "evil@evil.test@staff.example" });
  assert.equal(twice.status, 400);
});

test("SEC-59: rules are asked at each request, for every kind of credential", async () => {
  const user = await app.createUser({ roles: ["editor"] });
  const token = await app.issue(user.email);
  const link = await app.issue(user.email);
  const cookie = (await app.navigate(`/free?token=${link}`)).setCookie("__Host-edgeward").pair;
  const ways = [{ cookie }, { cookie: `ls_auth_token=${token}` }, { bearer: token }];
  const statuses = async () => [
    ...(await Promise.all(ways.map(async (way) => (await app.client("/admin", way)).status))),
    (await app.client(`/admin?token=${link}`)).status,
  ];
  assert.deepEqual(await statuses(), [403, 403, 403, 403]);
  assert.equal((await app.admin("PATCH", `/api/sso/users/${user.id}`, { roles: ["admin"] })).status, 200);
  assert.deepEqual(await statuses(), [200, 200, 200, 200]);
  assert.equal((await app.admin("PATCH", `/api/sso/users/${user.id}`, { roles: [] })).status, 200);
  assert.deepEqual(await statuses(), [403, 403, 403, 403]);
});

test("what is public looks at no credential, and tells the origin of none", async () => {
  const token = await app.issue((await app.createUser()).email);
  for (const options of [{ cookie: editor }, { bearer: token }, { bearer: tampered(token) }, { cookie: "__Host-edgeward=x" }]) {
    const answer = await app.script("/static/a.js", options);
    assert.equal(answer.status, 200);
    for (const name of ["x-forwarded-user", "remote-user", "authorization", "cookie"]) assert.equal(answer.seen.header(name), undefined);
    assert.equal(answer.headers.get("cache-control"), undefined);
  }
});

test("a site with cors answers preflights itself, and names only the origins that it lists", async () => {
  const cors = world.site("CORS");
  const path = newPath();
  /** @param {string} origin */
  const preflight = (origin, method = "PUT") => cors.send("OPTIONS", path, { headers: { Origin: origin, "Access-Control-Request-Method": method } });
  const allowed = await preflight(SPA);
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get("access-control-allow-origin"), SPA);
  assert.equal(allowed.headers.get("access-control-allow-credentials"), "true");
  assert.equal(allowed.headers.get("access-control-allow-methods"), "GET, PUT");
  assert.equal(allowed.headers.get("access-control-allow-headers"), "x-csrf");
  assert.match(allowed.headers.need("vary"), /Origin/);
  for (const origin of ["https://evil.example.test", "null", `${SPA}.evil.test`, `${SPA}:8443`, "http://spa.example.test"]) {
    const refused = await preflight(origin);
    assert.deepEqual(code(refused), [403, "cross_origin"], origin);
    assert.equal(refused.headers.get("access-control-allow-origin"), undefined);
  }
  assert.deepEqual(world.origin.about(path), []);
});

test("what the origin says of CORS is replaced by what the site says", async () => {
  const cors = world.site("CORS");
  const path = newPath();
  world.origin.on(path, (request, response) => {
    response.writeHead(200, {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Credentials": "true",
      "Access-Control-Expose-Headers": "*",
      Vary: "Accept",
      "X-Page": "1",
    });
    response.end("{}");
  });
  const listed = await cors.script(path, { headers: { Origin: SPA, "Sec-Fetch-Site": "cross-site" } });
  assert.equal(listed.headers.get("access-control-allow-origin"), SPA);
  assert.equal(listed.headers.get("access-control-expose-headers"), "x-page");
  assert.equal(listed.headers.get("vary"), "Accept, Origin");
  for (const headers of [{}, { Origin: "https://evil.example.test", "Sec-Fetch-Site": "cross-site" }]) {
    const other = await cors.script(path, { headers });
    assert.equal(other.headers.get("access-control-allow-origin"), undefined);
    assert.equal(other.headers.get("access-control-allow-credentials"), undefined);
    assert.equal(other.headers.get("vary"), "Accept, Origin");
  }
});

test("SEC-65: no endpoint below /api/sso knows CORS, whatever the site lists", async () => {
  const cors = world.site("CORS");
  for (const path of ["/api/sso/users", "/api/sso/token", "/api/sso/explain", "/api/sso/me", "/api/sso/x"]) {
    for (const method of ["OPTIONS", "GET", "POST"]) {
      const answer = await cors.send(method, path, { headers: { Origin: SPA, "Access-Control-Request-Method": "POST" } });
      assert.equal(answer.headers.get("access-control-allow-origin"), undefined, `${method} ${path}`);
      assert.ok(answer.status >= 400);
    }
  }
});

test("SEC-55: the site's list of frame ancestors stands on forwarded answers too, and takes nothing back of what the origin says", async () => {
  const cors = world.site("CORS");
  /** @param {Record<string, string>} headers */
  const policies = async (headers) => {
    const path = newPath();
    world.origin.on(path, (request, response) => response.writeHead(200, { "Content-Type": "text/html", ...headers }).end("<p>"));
    const answer = await cors.navigate(path);
    return [answer.headers.get("content-security-policy"), answer.headers.get("x-frame-options")];
  };
  const ours = "frame-ancestors 'self' https://portal.example.test";
  assert.deepEqual(await policies({}), [ours, undefined]);
  assert.deepEqual(await policies({ "Content-Security-Policy": "frame-ancestors 'none'" }), [`frame-ancestors 'none', ${ours}`, undefined]);
  assert.deepEqual(await policies({ "X-Frame-Options": "DENY" }), [undefined, "DENY"]);
  assert.deepEqual(await policies({ "X-Frame-Options": "sameorigin" }), [undefined, "sameorigin"]);
  assert.deepEqual(await policies({ "X-Frame-Options": "ALLOWALL" }), [ours, "ALLOWALL"]);
  const plain = await app.navigate("/free", { kind: NAVIGATION });
  assert.equal(plain.headers.get("content-security-policy"), undefined);
});

test("explain tells which rule decides for a token and why, to an admin, and nothing secret", async () => {
  const user = await app.createUser({ roles: ["editor"] });
  const token = await app.issue(user.email);
  /**
   * @param {object} body
   * @param {Calling} [options]
   */
  const explain = (body, options) => app.admin("POST", "/api/sso/explain", body, options);
  const told = await explain({ path: "/admin/x?y", method: "POST", token });
  assert.equal(told.status, 200, String(told));
  const { rule, name, granted, refusal, requirements, credential, user: whose, path } = told.json;
  assert.deepEqual(
    [rule, name, granted, refusal, credential, whose, path],
    [2, "admins", false, "rule 2: requirement role is not met", "accepted", user.id, "/admin/x"],
  );
  assert.deepEqual(requirements, { requirement: "role admin", held: false, because: "the caller has other roles" });
  for (const secret of [token, user.email]) assert.ok(!told.body.includes(secret));
  const session = await explain({ site: "APP", path: "/admin", token: admin.split("=")[1], source: "session" });
  assert.deepEqual([session.json.granted, session.json.as], [true, "principal"]);
  const bad = await explain({ path: "/free", token: tampered(token) });
  assert.deepEqual(
    [bad.json.granted, bad.json.refusal, bad.json.credential],
    [false, "the token's signature does not match", "refused: the token's signature does not match"],
  );
  const open = await explain({ path: "/static/x", token: "x" });
  assert.deepEqual([open.json.granted, open.json.as], [true, "anonymous"]);
  assert.equal((await explain({ path: "/hook", address: "192.0.2.1" })).json.granted, true);
  assert.equal((await explain({})).json.path, "/");
  assert.equal((await explain({ path: "/hook" })).json.requirements.because, "the client's address is not known");
  assert.equal((await explain({ path: "/a%zz" })).json.refusal, "the path has an invalid percent-escape");
  assert.deepEqual((await explain({ path: "/free/a%2fb" })).json.readings, [
    { path: "/free/a%2Fb", leads_to: "rule 11" },
    { path: "/free/a/b", leads_to: "rule 11" },
  ]);
  const ambiguous = (await explain({ path: "/free/..%2fadmin" })).json;
  assert.deepEqual([ambiguous.path, ambiguous.granted], ["/free/..%2fadmin", false]);
  assert.equal(ambiguous.refusal, "servers read the path in different ways: rule 11, or rule 2");
  assert.deepEqual(ambiguous.readings, [
    { path: "/free/..%2Fadmin", leads_to: "rule 11" },
    { path: "/free/../admin", leads_to: "rule 11" },
    { path: "/admin", leads_to: "rule 2" },
  ]);
  const ours = (await explain({ path: "//api/sso/me" })).json.readings;
  assert.deepEqual(
    ours.filter((/** @type {{ path: string }} */ { path }) => path === "/api/sso/me"),
    [{ path: "/api/sso/me", leads_to: "an endpoint of Edgeward" }],
  );
  for (const [body, field] of /** @type {[object, string][]} */ ([
    [{ path: 1 }, "path"],
    [{ path: "/", x: 1 }, "x"],
    [{ path: "/", address: "x" }, "address"],
    [{ path: "/", host: "evil.test" }, "host"],
    [{ path: "/", source: "cookie" }, "source"],
  ])) {
    const answer = await explain(body);
    assert.deepEqual([answer.status, answer.json.field], [400, field]);
  }
  assert.equal((await explain({ path: "/", site: "nowhere" })).status, 404);
  assert.equal((await explain({ path: "/" }, { token: null })).status, 401);
  assert.deepEqual(code(await explain({ path: "/" }, { token: await world.apiToken("users:read") })), [403, "insufficient_scope"]);
  assert.equal((await app.admin("GET", "/api/sso/explain")).status, 405);
});

test("a script of a page gets JSON, and a WebSocket goes by the same rules", async () => {
  assert.deepEqual(code(await app.send("GET", "/admin", { kind: SCRIPT })), [401, "token_missing"]);
  const refused = await app.webSocket("/admin/socket", { cookie: editor, headers: { Origin: app.origin } });
  assert.equal(refused.status, 403);
});
