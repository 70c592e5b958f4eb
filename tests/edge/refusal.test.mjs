// Not signed in: deny, login, pass; pages for people, JSON for programs; loops.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { Jar } from "./lib/http.mjs";
import { expiredSsoToken, ssoToken, tampered } from "./lib/tokens.mjs";
import { NAVIGATION, newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";

/** @type {World} */
let world;
/** @type {Site} */
let deny;
/** @type {Site} */
let login;
/** @type {Site} */
let pass;
before(async () => {
  world = await startWorld({
    sites: {
      DENY: { unauthenticated: "deny", frame_ancestors: ["https://portal.example.test", "https://other.example.test:8443"] },
      LOGIN: { unauthenticated: "login", login_url: "https://portal.example.test/login" },
      QUERIED: { unauthenticated: "login", login_url: "https://portal.example.test/login?app=ls&x=%20", return_parameter: "next url" },
      PASS: { unauthenticated: "pass" },
    },
  });
  deny = world.site("DENY");
  login = world.site("LOGIN");
  pass = world.site("PASS");
});
after(() => world?.stop());

/**
 * The sign-in URL that an answer sends to, and the return address in it.
 * @param {Answer} answer
 */
function signIn(answer, parameter = "return_to") {
  assert.equal(answer.status, 303, String(answer));
  const url = new URL(answer.target);
  const back = new URL(url.searchParams.get(parameter) ?? "");
  return { url, back };
}

/**
 * @param {Answer} answer
 * @param {number} status
 */
function assertPage(answer, status) {
  assert.equal(answer.status, status, String(answer));
  assert.equal(answer.type, "text/html");
  assert.match(answer.text, /<!doctype html>/i);
  assert.match(answer.text, /<title>[^<]+<\/title>/);
  assert.match(answer.text, /<h1[^>]*>[^<]+<\/h1>/);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.match(answer.headers.need("content-security-policy"), /default-src 'none'/);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
}

test("an API client gets 401 JSON with WWW-Authenticate on every site that lets nobody pass", async () => {
  for (const site of [deny, login]) {
    for (const visit of [site.client, site.script]) {
      const path = newPath();
      const answer = await visit.call(site, path);
      assert.equal(answer.status, 401, String(answer));
      assert.equal(answer.type, "application/json");
      assert.equal(answer.json.code, "token_missing");
      assert.equal(typeof answer.json.error, "string");
      assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="edgeward", code="token_missing"');
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.deepEqual(world.origin.about(path), []);
    }
  }
});

test("a bad token is told apart from none: token_expired, token_invalid", async () => {
  const user = await deny.createUser();
  const expired = await deny.client("/", { bearer: expiredSsoToken(deny, user) });
  assert.equal(expired.status, 401);
  assert.equal(expired.json.code, "token_expired");
  assert.equal(expired.headers.get("www-authenticate"), 'Bearer realm="edgeward", error="invalid_token", code="token_expired"');
  const invalid = await deny.client("/", { bearer: tampered(ssoToken(deny, user)) });
  assert.equal(invalid.status, 401);
  assert.equal(invalid.json.code, "token_invalid");
  assert.equal(invalid.headers.get("www-authenticate"), 'Bearer realm="edgeward", error="invalid_token", code="token_invalid"');
});

test("SEC-21: a token that is expired and forged is forged", async () => {
  const user = await deny.createUser();
  const answer = await deny.client("/", { bearer: tampered(expiredSsoToken(deny, user)) });
  assert.equal(answer.json.code, "token_invalid");
});

test("deny shows a person a clear page", async () => {
  assertPage(await deny.navigate("/"), 401);
});

test("SEC-55: our pages are framed by no one, or by those that the site lists", async () => {
  const page = await world.site("LOGIN").navigate("/api/sso/logout");
  assert.match(page.headers.need("content-security-policy"), /frame-ancestors 'none'/);
  const listed = await deny.navigate("/");
  assert.match(listed.headers.need("content-security-policy"), /frame-ancestors https:\/\/portal\.example\.test https:\/\/other\.example\.test:8443(;|$)/);
  assert.doesNotMatch(listed.headers.need("content-security-policy"), /frame-ancestors[^;]*\*/);
});

test("a page's policy allows the style that stands in the page, by its hash, and no other", async () => {
  const user = await pass.createUser();
  const { cookie } = await pass.signIn(user);
  const confirmation = await pass.navigate(`/?token=${await pass.issue((await pass.createUser()).email)}`, { cookie });
  for (const [page, status] of /** @type {[Answer, number][]} */ ([
    [await deny.navigate("/"), 401],
    [await login.navigate("/api/sso/logout"), 200],
    [confirmation, 200],
  ])) {
    assertPage(page, status);
    const styles = [...page.text.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, style]) => style);
    assert.equal(styles.length, 1);
    const hash = createHash("sha256").update(styles[0]).digest("base64");
    assert.ok(page.headers.need("content-security-policy").includes(`; style-src 'sha256-${hash}'; `), String(page));
  }
});

test("a page shows nothing of the request as markup", async () => {
  const answer = await deny.navigate("/%3Cscript%3Ealert(1)%3C/script%3E?%22%3E%3Cimg%20src=x%3E", {
    headers: { "User-Agent": "<script>1</script>", Referer: "http://x/<script>" },
  });
  assert.doesNotMatch(answer.text, /<script>alert|<img src=x|<script>1/);
});

test("login sends a browser to the sign-in URL with the address to return to", async () => {
  const { url, back } = signIn(await login.navigate("/projects/7?tab=a%20b&x=1"));
  assert.equal(url.origin + url.pathname, "https://portal.example.test/login");
  assert.equal(back.origin, login.origin);
  assert.equal(back.pathname, "/projects/7");
  assert.ok(back.search.startsWith("?tab=a%20b&x=1"), back.search);
});

test("the sign-in URL keeps its own query, and the parameter's name is a setting", async () => {
  const { url, back } = signIn(await world.site("QUERIED").navigate("/p"), "next url");
  assert.ok(url.search.startsWith("?app=ls&x=%20&"), url.search);
  assert.equal(back.pathname, "/p");
});

test("the redirect to the sign-in is never stored and is 303", async () => {
  const answer = await login.navigate("/");
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("cache-control"), "no-store");
});

test("a browser is known by Sec-Fetch-Mode, then by Accept", async () => {
  /** @param {Record<string, string>} headers */
  const statusOf = async (headers) => (await login.client("/", { kind: [], headers })).status;
  const html = "text/html,application/xhtml+xml,*/*;q=0.8";
  assert.equal(await statusOf({ "Sec-Fetch-Mode": "navigate", Accept: html }), 303);
  assert.equal(await statusOf({ "Sec-Fetch-Mode": "navigate" }), 303);
  assert.equal(await statusOf({ Accept: html }), 303);
  assert.equal(await statusOf({ "Sec-Fetch-Mode": "cors", Accept: html }), 401);
  assert.equal(await statusOf({ "Sec-Fetch-Mode": "no-cors", Accept: html }), 401);
  assert.equal(await statusOf({ Accept: "*/*" }), 401);
  assert.equal(await statusOf({ Accept: "application/json" }), 401);
  assert.equal(await statusOf({}), 401);
});

test("nobody is sent to the sign-in by anything but GET and HEAD", async () => {
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    const path = newPath();
    const answer = await login.send(method, path, { kind: NAVIGATION });
    assert.equal(answer.status, 401, `${method}: ${answer}`);
    assert.equal(answer.location, undefined);
    assert.deepEqual(world.origin.about(path), []);
  }
  const head = await login.send("HEAD", "/", { kind: NAVIGATION });
  const { url } = signIn(head);
  assert.equal(url.host, "portal.example.test");
  assert.equal(head.body.length, 0);
});

test("SEC-48: the return address is always an address of the site itself", async () => {
  for (const path of [
    "/\\evil.test",
    "/%2f%2fevil.test",
    "/%5cevil.test",
    "//evil.test/x",
    "/x?return_to=https://evil.test",
    "/@evil.test",
    "/x?edgeward_attempt=https://evil.test",
  ]) {
    const { url, back } = signIn(await login.navigate(path));
    assert.equal(url.host, "portal.example.test");
    assert.equal(back.host, "login.example.test", path);
    assert.equal(url.searchParams.getAll("return_to").length, 1);
  }
});

test("the return address has no token in it", async () => {
  const user = await login.createUser();
  const bad = tampered(ssoToken(login, user));
  const answer = await login.navigate(`/p?a=1&token=${bad}&b=2`);
  assert.ok(!answer.target.includes(bad), answer.target);
  const { back } = signIn(answer);
  assert.equal(back.searchParams.has("token"), false);
  assert.ok(back.search.startsWith("?a=1&b=2"), back.search);
});

test("a redirect loop ends in a page that names the likely cause", async () => {
  let path = "/projects?x=1";
  /** @type {Answer | undefined} */
  let answer;
  let hops = 0;
  for (; hops < 10; hops++) {
    answer = await login.navigate(path);
    if (answer.status !== 303) break;
    const { back } = signIn(answer);
    path = back.pathname + back.search;
  }
  assert.ok(answer);
  assert.equal(hops, 3, "the fourth arrival without a sign-in");
  assertPage(answer, 401);
  assert.match(answer.text, /cookie/i, "the likely cause");
});

test("a page speaks the language of the browser, at the origin's paths too, and programs are told in English", async () => {
  const german = await login.navigate("/p?edgeward_attempt=3", { headers: [["Accept-Language", "de-AT,de;q=0.9,en;q=0.1"]] });
  assertPage(german, 401);
  assert.match(german.text, /<html lang="de">/);
  assert.match(german.text, />Erneut versuchen<\/a>/);
  const none = await login.navigate("/p?edgeward_attempt=3", { headers: [["Accept-Language", "nl, *;q=0.5"]] });
  assert.match(none.text, /<html lang="en">/);
  const program = await login.client("/p", { headers: [["Accept-Language", "de"]] });
  assert.equal(program.json.error, "You need to sign in to open this page.");
});

test("the marker that counts the attempts is gone when the sign-in worked", async () => {
  const user = await login.createUser();
  const { back } = signIn(await login.navigate("/projects?x=1&y=%20"));
  const path = back.pathname + back.search;
  assert.match(path, /edgeward_attempt=1/);
  const [byLink, byCookie] = [new Jar(), new Jar()];
  byCookie.set(SSO, await login.issue(user.email));
  for (const [jar, first] of /** @type {const} */ ([
    // The application appends the token.
    [byLink, `${path}&token=${await login.issue(user.email)}`],
    [byCookie, path],
  ])) {
    const opened = jar.take(await login.navigate(first, { cookie: jar.header }));
    assert.equal(opened.target.replace(login.origin, ""), "/projects?x=1&y=%20&edgeward_attempt=1o");
    // Now the session has come back.
    const cleaned = jar.take(await login.navigate(opened.target.replace(login.origin, ""), { cookie: jar.header }));
    assert.equal(cleaned.target.replace(login.origin, ""), "/projects?x=1&y=%20");
    const answer = await login.navigate("/projects?x=1&y=%20", { cookie: jar.header });
    assert.equal(answer.seen.url, "/projects?x=1&y=%20");
  }
});

test("an attempt that is no number does no harm", async () => {
  for (const attempt of ["x", "-1", "99999999999999999999", "", "1&edgeward_attempt=2"]) {
    const { url } = signIn(await login.navigate(`/?edgeward_attempt=${attempt}`));
    assert.equal(url.host, "portal.example.test");
  }
});

test("pass forwards as anonymous, with every identity header removed", async () => {
  const forged = {
    "X-Forwarded-User": "admin",
    "X-Forwarded-Email": "admin@example.test",
    "X-Forwarded-Groups": "admins",
    "X-Forwarded-Preferred-Username": "admin",
    "Remote-User": "admin",
    "Remote-Groups": "admins",
    "X-Edgeward-Assertion": "eyJ",
  };
  for (const visit of [pass.navigate, pass.script, pass.client]) {
    const answer = await visit.call(pass, "/public", { headers: forged });
    assert.equal(answer.status, 200, String(answer));
    for (const name of Object.keys(forged)) assert.ok(!answer.seen.header(name), `${name}: ${answer.seen.header(name)}`);
  }
});

test("pass lets those who are signed in through as who they are", async () => {
  const { user, cookie } = await pass.signIn();
  assert.equal((await pass.client("/", { cookie })).seen.header("x-forwarded-user"), user.id);
});

test("SEC-29: a bad credential on a site that lets everybody pass gives no identity", async () => {
  const user = await pass.createUser();
  const bad = tampered(ssoToken(pass, user));
  for (const options of [{ cookie: `${SSO}=${bad}` }, { bearer: bad }, { cookie: `__Host-edgeward=${bad}` }]) {
    const sent = { ...options, headers: { "X-Forwarded-User": user.id } };
    const told = await pass.client("/", sent);
    assert.deepEqual([told.status, told.json.code], [401, "token_invalid"]);
    const answer = await pass.navigate("/", sent);
    assert.equal(answer.status, 200, String(answer));
    assert.ok(!answer.seen.header("x-forwarded-user"));
    assert.ok(!JSON.stringify(answer.seen.headers.list).includes(bad), "and does not reach the origin");
  }
});

test("SEC-34: what the query or a header says about the path opens nothing", async () => {
  for (const path of ["/secret?x=/public/", "/secret?/api/sso/health", "/secret/api/sso/health"]) {
    const answer = await deny.client(path, {
      headers: {
        "X-Original-URL": "/api/sso/health",
        "X-Rewrite-URL": "/public",
        "X-Forwarded-Uri": "/public",
        "X-Forwarded-Host": "pass.example.test",
        Referer: "http://pass.example.test/",
      },
    });
    assert.equal(answer.status, 401, String(answer));
  }
});

test("a disabled user sees a clear page, a program gets 403 user_disabled, and the session cookie is cleared", async () => {
  const { user, cookie } = await deny.signIn();
  await deny.admin("PATCH", `/api/sso/users/${user.id}`, { active: false });
  const page = await deny.navigate("/", { cookie });
  assertPage(page, 403);
  assert.ok(page.cookie("__Host-edgeward")?.cleared, String(page));
  const json = await deny.client("/", { cookie });
  assert.equal(json.status, 403, String(json));
  assert.equal(json.json.code, "user_disabled");
});

test("HEAD and OPTIONS without a credential reach no origin of a closed site", async () => {
  for (const method of ["HEAD", "OPTIONS"]) {
    const path = newPath();
    const answer = await deny.send(method, path, { kind: SCRIPT, headers: { Origin: "https://evil.test" } });
    assert.equal(answer.status, 401, String(answer));
    assert.deepEqual(world.origin.about(path), []);
  }
});
