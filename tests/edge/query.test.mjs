// The SSO token in the query: how it leaves the URL, single-use links, and the switch to another user.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cookieAttributes, formOf } from "./lib/http.mjs";
import { expiredSsoToken, ssoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { NAVIGATION, newPath, now, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const SESSION = "__Host-edgeward";
const SOURCES = ["session", "sso_cookie", "query", "bearer", "header"];

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let once;
/** @type {Site} */
let replacing;
before(async () => {
  world = await startWorld({
    isolates: 2,
    sites: {
      APP: {},
      ONCE: { sources: SOURCES, token_headers: [{ name: "x-token" }], query: { single_use: true, user_switch: "confirm" } },
      REPLACING: { query: { single_use: false, user_switch: "replace" } },
      ALLOWING: { query: { single_use: false, user_switch: "confirm", stranger_link: "allow" } },
      LOGIN: { unauthenticated: "login", login_url: "https://portal.example/login" },
      BRIEF: { query: { single_use: false, user_switch: "confirm", max_age: 30 } },
      OFTEN: { sources: SOURCES, token_headers: [{ name: "x-token" }], query: { single_use: false, user_switch: "confirm", max_age: 30 } },
      OTHER: { query: { parameter: "ls+tok.en", single_use: false, user_switch: "confirm" } },
    },
  });
  app = world.site("APP");
  once = world.site("ONCE");
  replacing = world.site("REPLACING");
});
after(() => world?.stop());

/** @param {Answer} answer */
const opened = (answer) => {
  const cookie = answer.cookie(SESSION);
  return cookie && !cookie.cleared ? cookie : undefined;
};
/**
 * The session that an answer has to open.
 * @param {Answer} answer
 */
const sessionOf = (answer) => {
  const cookie = opened(answer);
  assert.ok(cookie, String(answer));
  return cookie;
};
/**
 * @param {Site} site
 * @param {string} cookie
 */
const userOf = async (site, cookie) => (await site.client("/", { cookie })).seen.header("x-forwarded-user");

// Before, with T where the token stands → after. Everything else stays byte for byte.
/** @type {[before: string, after: string | undefined][]} */
const QUERIES = [
  ["token=T", undefined],
  ["token=T&a=1", "a=1"],
  ["a=1&token=T", "a=1"],
  ["a=1&token=T&b=2", "a=1&b=2"],
  ["token=T&token=T", undefined],
  ["token=T&a=1&token=T", "a=1"],
  ["token=&token=T&a", "a"],
  ["token=T&token&a=", "a="],
  ["a=1&%74oken=T", "a=1"],
  ["a=1&%74%6F%6b%65n=T&token=T", "a=1"],
  ["token=T&a=%20+%2B&b=%C3%A9&c=%e9", "a=%20+%2B&b=%C3%A9&c=%e9"],
  ["a=%zz&token=T&%", "a=%zz&%"],
  ["a=1&a=2&token=T&a=1", "a=1&a=2&a=1"],
  ["&&a=1&token=T&&b=2&", "&&a=1&&b=2&"],
  ["tokens=1&token=T&xtoken=2&Token=3&token%20=4&token[]=5", "tokens=1&xtoken=2&Token=3&token%20=4&token[]=5"],
  ["a=token=x&token=T&b=%26token=y", "a=token=x&b=%26token=y"],
  ["a=1;token=x&token=T", "a=1;token=x"],
  ["?token=x&token=T", "?token=x"],
  ["next=/a/b?c=d&token=T&e=f?g", "next=/a/b?c=d&e=f?g"],
  ["q=%E2%80%A8%00&token=T&r=*!()~_.-$@:,[]|^`{}", "q=%E2%80%A8%00&r=*!()~_.-$@:,[]|^`{}"],
];

for (const [before, after] of QUERIES) {
  test(`SEC-41: ?${before} becomes ${after === undefined ? "no query" : `?${after}`} by the 303, and for the origin`, async () => {
    const user = await app.createUser();
    const token = await app.issue(user.email);
    const query = before.replaceAll("T", (letter, at) => (/[=]$/.test(before.slice(0, at)) ? token : letter));
    const path = newPath();
    const answer = await app.navigate(`${path}?${query}`);
    assert.equal(answer.status, 303, String(answer));
    const expected = after === undefined ? path : `${path}?${after}`;
    assert.equal(answer.target.replace(app.origin, ""), expected);
    const script = await app.script(`${path}?${query}`);
    assert.equal(script.status, 200, String(script));
    assert.equal(script.seen.url, expected);
  });
}

test("SEC-41: an apostrophe stays what it is in the 303 (on the way to the origin it is the runtime that writes %27)", async () => {
  const user = await app.createUser();
  const path = newPath();
  const answer = await app.navigate(`${path}?q='a'&token=${await app.issue(user.email)}`);
  assert.equal(answer.target.replace(app.origin, ""), `${path}?q='a'`);
});

test("SEC-41: the 303 sends no Referer on, is never stored, and the token is nowhere in it", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  const answer = await app.navigate(`/a?token=${token}&b=1`);
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.ok(!JSON.stringify(answer.headers.list).includes(token) && !answer.text.includes(token));
});

test("SEC-41: the path of the 303 stays on the site, whatever it looks like", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  for (const path of ["/\\evil.test/", "/%2f%2fevil.test", "/%5cevil.test", "//evil.test/", "/.//evil.test", "/..//evil.test/", "/;//evil.test"]) {
    const answer = await app.navigate(`${path}?token=${token}`);
    assert.equal(answer.status, 303, `${path}: ${answer}`);
    assert.equal(new URL(answer.target, app.origin).host, "app.example.test", `${path}: ${answer.target}`);
    assert.ok(!/^https?:\/\/[^/]+\/\//.test(answer.target), "nor does its path name another host");
  }
});

test("a bad token in the query leaves the URL as well, and opens nothing", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  const { cookie } = await app.signIn(user);
  for (const bad of [tampered(token), expiredSsoToken(app, user), ssoToken(app, user, { aud: "other.example.test" })]) {
    const path = newPath();
    const anonymous = await app.navigate(`${path}?token=${bad}&a=1`);
    assert.ok(!opened(anonymous), String(anonymous));
    assert.deepEqual(world.origin.about(path), [], "an anonymous visitor is not let in");
    const signedIn = await app.navigate(`${path}?token=${bad}&a=1`, { cookie });
    assert.equal(signedIn.status, 303, String(signedIn));
    assert.equal(signedIn.target.replace(app.origin, ""), `${path}?a=1`);
    assert.equal((await app.navigate(`${path}?a=1`, { cookie })).status, 200, "the session goes on");
  }
});

test("a parameter of the same name whose value can be no JWT is the application's own, and stays", async () => {
  const { cookie, user } = await app.signIn();
  for (const query of ["token=3f2a-invite&a=1", "a=1&token=invite", "token=x.y"]) {
    const answer = await app.navigate(`/signup?${query}`, { cookie });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.url, `/signup?${query}`);
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
  }
});

test("SEC-42: a token in the query works only within max_age of its issue", async () => {
  const brief = world.site("BRIEF");
  const user = await app.createUser();
  /**
   * @param {number} seconds
   * @param {Site} site
   */
  const aged = (seconds, site) => ssoToken(site, user, { iat: now() - seconds, exp: now() - seconds + 600 });
  assert.ok(opened(await brief.navigate(`/?token=${aged(20, brief)}`)));
  const late = await brief.navigate(`/?token=${aged(40, brief)}`);
  assert.equal(late.status, 401, String(late));
  assert.ok(!opened(late));
  assert.equal((await brief.client(`/?token=${aged(40, brief)}`)).status, 401);
  assert.equal((await brief.client("/", { cookie: `${SSO}=${aged(40, brief)}` })).status, 200, "elsewhere it counts until it expires");
  assert.ok(opened(await app.navigate(`/?token=${aged(290, app)}`)), "300 s by default");
  assert.ok(!opened(await app.navigate(`/?token=${aged(310, app)}`)));
});

test("the parameter's name is a setting, also when it has odd characters", async () => {
  const other = world.site("OTHER");
  const user = await app.createUser();
  const token = await other.issue(user.email);
  const path = newPath();
  const answer = await other.navigate(`${path}?a=1&ls%2Btok%2een=${token}&b=2`);
  assert.equal(answer.status, 303, String(answer));
  assert.equal(answer.target.replace(other.origin, ""), `${path}?a=1&b=2`);
});

test("SEC-42: a single-use link works once", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  const first = await once.navigate(`/?token=${token}`);
  assert.equal(first.status, 303, String(first));
  assert.ok(opened(first));
  const second = await once.navigate(`/?token=${token}`);
  assert.ok(!opened(second), String(second));
  assert.equal(second.status, 401, String(second));
  const script = await once.script(`/?token=${token}`);
  assert.equal(script.status, 401, String(script));
});

test("SEC-42: the token of a single-use link that was used opens no session as a cookie either", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  assert.ok(opened(await once.navigate(`/?token=${token}`)));
  const answer = await once.navigate("/", { cookie: `${SSO}=${token}` });
  assert.ok(!opened(answer), String(answer));
});

/**
 * Every way to present a token but in a URL.
 * @param {Site} site
 * @param {string} token
 */
const elsewhere = (site, token) => ({
  bearer: () => site.client("/", { bearer: token }),
  header: () => site.client("/", { headers: { "X-Token": token } }),
  cookie: () => site.client("/", { cookie: `${SSO}=${token}` }),
  "cookie, navigation": () => site.navigate("/", { cookie: `${SSO}=${token}` }),
  me: () => site.client("/api/sso/me", { bearer: token }),
});

for (const [name, waits] of /** @type {[string, number][]} */ ([
  ["ONCE", 0],
  ["OFTEN", 0],
  ["OFTEN", 40],
])) {
  test(`SEC-79: a token that was in a URL counts in no other source: ${name.toLowerCase()}, ${waits ? "past max_age" : "in time"}`, async () => {
    const site = world.site(name);
    const user = await app.createUser();
    const token = ssoToken(site, user, { iat: now() - waits, exp: now() - waits + 600 });
    const link = await site.navigate(`/?token=${token}`);
    assert.equal(link.status, waits ? 401 : 303, String(link));
    for (const where of [site, world.site(name, "edge-2")]) {
      for (const [way, ask] of Object.entries(elsewhere(where, token))) {
        const answer = await ask();
        assert.equal(answer.status, 401, `${way}: ${answer}`);
        assert.ok(!opened(answer), way);
      }
    }
  });

  test(`SEC-79: a token that was used elsewhere is no link, and counts on there: ${name.toLowerCase()}, ${waits ? "past max_age" : "in time"}`, async () => {
    const site = world.site(name);
    const user = await app.createUser();
    for (const way of /** @type {(keyof ReturnType<typeof elsewhere>)[]} */ (Object.keys(elsewhere(site, "")))) {
      const token = ssoToken(site, user, { iat: now() - waits, exp: now() - waits + 600 });
      assert.equal((await elsewhere(site, token)[way]()).status, 200, way);
      for (const where of [site, world.site(name, "edge-2")]) {
        const link = await where.navigate(`/?token=${token}`);
        assert.equal(link.status, 401, `${way}: ${link}`);
        assert.ok(!opened(link), way);
        assert.equal((await where.client("/", { bearer: token })).status, 200, way);
      }
    }
  });
}

/** What browsers and their forerunners send when nobody has followed the link yet (L2). */
const SPECULATIVE = [
  { "Sec-Purpose": "prefetch" },
  { "Sec-Purpose": "prefetch;prerender" },
  { "Sec-Purpose": "prefetch;anonymous-client-ip" },
  { Purpose: "prefetch" },
  { "X-Moz": "prefetch" },
  { "X-Purpose": "preview" },
];

for (const name of ["ONCE", "OFTEN"]) {
  test(`SEC-42: a request that a browser makes ahead uses no link up and opens nothing: ${name.toLowerCase()}`, async () => {
    const site = world.site(name);
    const user = await app.createUser();
    const { cookie } = await site.signIn(user);
    const token = await site.issue(user.email);
    const path = newPath();
    for (const headers of SPECULATIVE) {
      for (const options of [{ headers }, { headers, cookie }]) {
        for (const kind of [site.navigate, site.script, site.client]) {
          const answer = await kind.call(site, `${path}?token=${token}`, options);
          assert.equal(answer.status, 503, `${JSON.stringify(headers)}: ${answer}`);
          assert.deepEqual(answer.cookies, []);
          assert.equal(answer.headers.get("cache-control"), "no-store");
        }
      }
      assert.equal((await site.client(newPath(), { headers, cookie })).status, 200, "without a link there is nothing to wait for");
    }
    assert.deepEqual(world.origin.about(path), []);
    // Not even which kind of token it is was settled.
    assert.equal((await site.client("/", { bearer: token })).status, 200);
    const link = await site.issue(user.email);
    assert.equal((await site.navigate(`/?token=${link}`, { headers: SPECULATIVE[0] })).status, 503);
    assert.ok(opened(await site.navigate(`/?token=${link}`)));
    await world.settled();
    assert.ok(world.events("denied").some(({ reason }) => reason === "prefetch of a single-use link"));
    assert.ok(!world.events("fault").some(({ reason }) => reason === "prefetch of a single-use link"));
  });
}

test("SEC-42: HEAD and OPTIONS use no link up, and a used one lets neither through", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  for (const method of ["HEAD", "OPTIONS", "HEAD"]) {
    for (const kind of [NAVIGATION, SCRIPT]) {
      const answer = await once.send(method, `/?token=${token}`, { kind });
      assert.equal(answer.status, 200, `${method}: ${answer}`);
      assert.deepEqual(answer.cookies, []);
    }
  }
  assert.ok(opened(await once.navigate(`/?token=${token}`)));
  for (const method of ["HEAD", "OPTIONS"]) assert.equal((await once.send(method, `/?token=${token}`)).status, 401, method);
});

test("SEC-42: a token in the query of a request that another site's page makes, other than by going there, counts for nothing", async () => {
  const user = await app.createUser();
  const token = await app.issue(user.email);
  const path = newPath();
  const foreign = { Origin: "https://evil.test", "Sec-Fetch-Site": "cross-site" };
  const attempts = [
    app.script(`${path}?token=${token}`, { headers: foreign }),
    app.send("POST", `${path}?token=${token}`, { kind: SCRIPT, headers: foreign, body: "x" }),
    app.form(`${path}?token=${token}`, {}, { headers: foreign }),
    app.webSocket(`${path}?token=${token}`, { headers: { Origin: "https://evil.test" } }),
  ];
  for (const attempt of attempts) {
    const answer = await attempt;
    assert.equal(answer.status, 403, String(answer));
  }
  assert.deepEqual(world.origin.about(path), []);
});

test("a single-use link opened twice by the one who is signed in by it does no harm", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  const { pair } = sessionOf(await once.navigate(`/page?token=${token}`));
  const again = await once.navigate(`/page?token=${token}`, { cookie: pair });
  assert.equal(again.status, 303, String(again));
  const end = await once.navigate(again.target.replace(once.origin, ""), { cookie: pair });
  assert.equal(end.status, 200, String(end));
  assert.equal(end.seen.header("x-forwarded-user"), user.id);
});

test("a single-use link used at the same time in several places opens one session", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  const elsewhere = world.site("ONCE", "edge-2");
  const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? once : elsewhere).navigate(`/?token=${token}`)));
  assert.equal(answers.filter(opened).length, 1, answers.map(({ status }) => status).join());
});

test("a single-use link that was used in one place does not work in another", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  assert.ok(opened(await once.navigate(`/?token=${token}`)));
  assert.ok(!opened(await world.site("ONCE", "edge-2").navigate(`/?token=${token}`)));
});

test("a forged token uses up no link", async () => {
  const user = await app.createUser();
  const token = await once.issue(user.email);
  await once.navigate(`/?token=${tampered(token)}`);
  assert.ok(opened(await once.navigate(`/?token=${token}`)));
});

test("SEC-42: a link of another user asks before it replaces the session", async () => {
  const a = await app.signIn();
  const b = await app.createUser();
  const path = newPath();
  const page = await app.navigate(`${path}?x=1&token=${await app.issue(b.email)}`, { cookie: a.cookie });
  assert.equal(page.type, "text/html", String(page));
  assert.ok(!opened(page));
  assert.deepEqual(world.origin.about(path), []);
  assert.equal(page.headers.get("cache-control"), "no-store");
  const form = formOf(page);
  assert.equal(form.method, "post");
  assert.equal(new URL(form.action, app.origin).pathname, "/api/sso/switch");
  assert.equal(await userOf(app, a.cookie), a.user.id, "nothing happened yet");
  const done = await app.form("/api/sso/switch", form.fields, { cookie: a.cookie });
  assert.equal(done.status, 303, String(done));
  assert.equal(done.target.replace(app.origin, ""), `${path}?x=1`);
  assert.equal(await userOf(app, sessionOf(done).pair), b.id);
});

const CROSS = { "Sec-Fetch-Site": "cross-site" };
const TRIP = `${SESSION}-trip`;

test("SEC-42: a link that another site led to asks before it signs in somebody who is not signed in", async () => {
  const stranger = await app.createUser();
  const token = await once.issue(stranger.email);
  const path = newPath();
  const { cookie } = await once.signIn();
  await once.form("/api/sso/logout", {}, { cookie });
  for (const given of [undefined, cookie, `${TRIP}=x`, `${TRIP}=${"0".repeat(64)}`]) {
    const page = await once.navigate(`${path}?x=1&token=${token}`, { headers: CROSS, cookie: given });
    assert.equal(page.status, 200, String(page));
    assert.ok(!opened(page));
    assert.ok(page.text.includes("You are not signed in") && page.text.includes(stranger.email), String(page));
    assert.deepEqual(world.origin.about(path), []);
  }
  const form = formOf(await once.navigate(`${path}?x=1&token=${token}`, { headers: CROSS }));
  const done = await once.form(form.action, form.fields);
  assert.equal(done.status, 303, String(done));
  assert.equal(done.target.replace(once.origin, ""), `${path}?x=1`);
  assert.equal(await userOf(once, sessionOf(done).pair), stranger.id);
  assert.ok(!opened(await once.form(form.action, form.fields)), "it was used by that");
});

test("a link from the same site, or that nothing led to, and one to a site that says so, ask nobody", async () => {
  const user = await app.createUser();
  for (const from of ["same-origin", "same-site", "none"]) {
    const answer = await app.navigate(`/?token=${await app.issue(user.email)}`, { headers: { "Sec-Fetch-Site": from } });
    assert.ok(opened(answer), from);
  }
  const allowing = world.site("ALLOWING");
  assert.ok(opened(await allowing.navigate(`/?token=${await allowing.issue(user.email)}`, { headers: CROSS })));
});

test("SEC-42: who was sent to sign in from here is not asked on the way back, to the very address that it began with", async () => {
  const login = world.site("LOGIN");
  const user = await app.createUser();
  /**
   * @param {string} path
   * @param {string} cookie
   */
  const link = async (path, cookie) => login.navigate(`${path}token=${await login.issue(user.email)}`, { headers: CROSS, cookie });
  const path = `${newPath()}?a=1`;
  const sent = await login.navigate(path);
  assert.equal(sent.status, 303, String(sent));
  const trip = sent.setCookie(TRIP);
  assert.deepEqual(cookieAttributes(trip), { path: "/", secure: true, httponly: true, samesite: "lax" });
  const back = await link(`${path}&edgeward_attempt=1&`, trip.pair);
  assert.equal(back.status, 303, String(back));
  assert.equal(back.target.replace(login.origin, ""), `${path}&edgeward_attempt=1o`);
  assert.ok(opened(back) && back.setCookie(TRIP).cleared);
  const page = await login.navigate(path, { cookie: `${sessionOf(back).pair}; ${trip.pair}` });
  assert.equal(page.seen.header("cookie"), undefined, "it never reaches the origin");
  for (const other of ["/other?", `${path.replace("a=1", "a=2")}&`]) assert.ok(!opened(await link(other, trip.pair)), other);
  // A stranger's page can send a browser there, and has begun nothing by that.
  const led = await login.navigate(path, { headers: CROSS });
  assert.equal(led.status, 303);
  assert.deepEqual(led.cookies, []);
  assert.deepEqual((await login.script(path)).cookies, []);
});

test("SEC-42: declining a stranger's link begins nothing that another link could end", async () => {
  const login = world.site("LOGIN");
  const stranger = await login.createUser();
  const path = newPath();
  const page = await login.navigate(`${path}?token=${await login.issue(stranger.email)}`, { headers: CROSS });
  const [, href] = page.text.match(/href="([^"]*)"[^>]*>\s*Do not sign in/) ?? assert.fail(String(page));
  const declined = await login.navigate(href.replaceAll("&amp;", "&"), { headers: { "Sec-Fetch-Site": "same-origin" } });
  assert.equal(declined.status, 303, String(declined));
  assert.deepEqual(declined.cookies, []);
  const second = await login.navigate(`${path}?token=${await login.issue(stranger.email)}`, { headers: CROSS });
  assert.ok(!opened(second) && second.text.includes("Sign in?"), String(second));
});

test("SEC-42: the switch cannot be confirmed by another site, nor by GET", async () => {
  const a = await app.signIn();
  const b = await app.createUser();
  const page = await app.navigate(`/?token=${await app.issue(b.email)}`, { cookie: a.cookie });
  const { fields } = formOf(page);
  for (const headers of [
    { Origin: "https://evil.test", "Sec-Fetch-Site": "cross-site" },
    { Origin: "null", "Sec-Fetch-Site": "cross-site" },
    { Origin: "http://other.example.test", "Sec-Fetch-Site": "same-site" },
  ]) {
    const answer = await app.form("/api/sso/switch", fields, { cookie: a.cookie, headers });
    assert.equal(answer.status, 403, `${JSON.stringify(headers)}: ${answer}`);
    assert.ok(!opened(answer));
  }
  const got = await app.navigate(`/api/sso/switch?${new URLSearchParams(fields)}`, { cookie: a.cookie });
  assert.ok(!opened(got), String(got));
});

test("SEC-22: the switch checks the token in its form like any other", async () => {
  const a = await app.signIn();
  const b = await app.createUser();
  const token = await app.issue(b.email);
  const { fields } = formOf(await app.navigate(`/?token=${token}`, { cookie: a.cookie }));
  for (const bad of [tampered(token), expiredSsoToken(app, b), ssoToken(app, b, { aud: "other.example.test" }), "", cookieValue(a.cookie)]) {
    const changed = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value === token ? bad : value]));
    assert.notDeepEqual(changed, fields);
    const answer = await app.form("/api/sso/switch", changed, { cookie: a.cookie });
    assert.ok(!opened(answer), String(answer));
    assert.equal(answer.status, 401, String(answer));
  }
});

test("SEC-48: the switch goes back to the site only", async () => {
  const a = await app.signIn();
  const b = await app.createUser();
  const token = await app.issue(b.email);
  const { fields } = formOf(await app.navigate(`/inside?token=${token}`, { cookie: a.cookie }));
  for (const evil of ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)"]) {
    const changed = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value.includes("/inside") ? evil : value]));
    const answer = await app.form("/api/sso/switch", changed, { cookie: a.cookie });
    assert.equal(answer.status, 400, `${evil}: ${answer}`);
    assert.ok(!opened(answer), evil);
  }
});

test("a single-use link of another user works once: after the confirmation it is used", async () => {
  const a = await once.signIn();
  const b = await once.createUser();
  const token = await once.issue(b.email);
  const form = formOf(await once.navigate(`/?token=${token}`, { cookie: a.cookie }));
  const done = await once.form("/api/sso/switch", form.fields, { cookie: a.cookie });
  assert.ok(opened(done), String(done));
  assert.ok(!opened(await once.form("/api/sso/switch", form.fields, { cookie: a.cookie })));
  assert.ok(!opened(await once.navigate(`/?token=${token}`)));
});

test("a link of another user replaces the session where the site says so", async () => {
  const a = await replacing.signIn();
  const b = await app.createUser();
  const answer = await replacing.navigate(`/p?token=${await replacing.issue(b.email)}`, { cookie: a.cookie });
  assert.equal(answer.status, 303, String(answer));
  assert.equal(await userOf(replacing, sessionOf(answer).pair), b.id);
});

test("a link of the user who is signed in already needs no confirmation", async () => {
  const { user, cookie } = await app.signIn();
  const answer = await app.navigate(`/p?token=${await app.issue(user.email)}&x=1`, { cookie });
  assert.equal(answer.status, 303, String(answer));
  assert.equal(answer.target.replace(app.origin, ""), "/p?x=1");
});

test("SEC-42: a link of another user replaces nothing on a request that is no navigation", async () => {
  const a = await app.signIn();
  const b = await app.createUser();
  const token = await app.issue(b.email);
  for (const answer of [
    await app.script(`/?token=${token}`, { cookie: a.cookie }),
    await app.send("POST", `/?token=${token}`, { kind: SCRIPT, cookie: a.cookie, headers: { Origin: app.origin }, body: "x" }),
  ]) {
    assert.ok(!opened(answer), String(answer));
  }
  assert.equal(await userOf(app, a.cookie), a.user.id);
});

test("the SSO cookie of another user replaces the session on a navigation", async () => {
  const a = await app.signIn();
  const b = await app.createUser();
  const answer = await app.navigate("/", { cookie: `${a.cookie}; ${SSO}=${await app.issue(b.email)}` });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.seen.header("x-forwarded-user"), b.id);
  assert.equal(await userOf(app, sessionOf(answer).pair), b.id);
  assert.ok(answer.cookie(SSO)?.cleared);
});

test("the SSO cookie of the user who is signed in changes nothing but is cleared", async () => {
  const { user, cookie } = await app.signIn();
  const answer = await app.navigate("/", { cookie: `${cookie}; ${SSO}=${await app.issue(user.email)}` });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.seen.header("x-forwarded-user"), user.id);
  assert.ok(answer.cookie(SSO)?.cleared, String(answer));
});

test("an invalid SSO cookie or link of another user replaces nothing", async () => {
  const { user, cookie } = await app.signIn();
  const other = await app.createUser();
  for (const bad of [expiredSsoToken(app, other), tampered(ssoToken(app, other)), ssoToken(app, other, { aud: "x" })]) {
    const byCookie = await app.navigate("/", { cookie: `${cookie}; ${SSO}=${bad}` });
    assert.equal(byCookie.status, 200, String(byCookie));
    assert.equal(byCookie.seen.header("x-forwarded-user"), user.id);
    const byLink = await app.navigate(`/?token=${bad}`, { cookie });
    assert.deepEqual([byLink.status, byLink.cookie(SESSION)], [303, undefined], String(byLink));
    assert.equal(await userOf(app, cookie), user.id);
  }
});
