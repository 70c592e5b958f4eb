// The gateway under attack: many at once, requests that nobody should send, cookies that somebody has planted, addresses that
// lead elsewhere, and limits.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { rowsAbout } from "./lib/audit.mjs";
import { AT_GATEWAY, Browser, call, newPerson, newService, obtain, PASSWORD, SESSION, withGateway, WRONG } from "./lib/gateway.mjs";
import { open, sendRaw } from "./lib/http.mjs";
import { startReceiver } from "./lib/receiver.mjs";
import { NAVIGATION, newEmail, startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Person, Registered } from "./lib/gateway.mjs" */
/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const PAGES = ["/login/", "/logout/", "/welcome/", "/account/", "/password/"];
const CALLS = ["obtain", "get", "make_used", "deauthenticate"];
const BROWSER = "__Host-edgeward-browser";
const DEVICE = "__Host-edgeward-device";

/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Receiver} */
let receiver;
/** @type {Registered} */
let wiki;
/** @type {Person} */
let ada;
before(async () => {
  receiver = await startReceiver();
  world = await startWorld(
    withGateway({
      isolates: 4,
      edgeward: { user_cache: 1 },
      sites: { APP: AT_GATEWAY, OTHER: AT_GATEWAY },
      variants: { limited: withGateway({ limits: { signIns: 3 }, sites: { APP: AT_GATEWAY } }) },
    }),
  );
  gateway = world.site("GATEWAY");
  wiki = await newService(gateway, receiver.url);
  ada = await newPerson(gateway);
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
});

/** @param {Answer} answer */
const locationOf = (answer) => [answer.status, answer.location];

describe("many at once", () => {
  test("SEC-27: of a thousand services that use a sign-in at once, over four isolates, one does", async () => {
    const sso = await obtain(gateway, wiki);
    const browser = new Browser(world);
    assert.equal((await browser.signIn(gateway, ada, `?sso=${sso}`)).status, 303);
    const isolates = ["edge", "edge-2", "edge-3", "edge-4"].map((name) => world.site("GATEWAY", name));
    const fields = { token: wiki.token, authentication_token: sso };
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => call(isolates[i % 4], "make_used", fields)));
    const used = answers.filter(({ status }) => status === 200);
    assert.deepEqual(
      used.map(({ json }) => json),
      [{ ok: true }],
    );
    const others = answers.filter((answer) => answer !== used[0]);
    for (const answer of others) assert.ok([404, 503].includes(answer.status), String(answer));
    // Those who were turned away because too many waited may ask again: it is gone.
    assert.equal((await call(gateway, "make_used", fields)).status, 404);
    assert.equal((await call(gateway, "get", fields)).json.error, "Authentication request token doesn't exist");
    console.log(`404: ${others.filter(({ status }) => status === 404).length}, 503: ${others.filter(({ status }) => status === 503).length}`);
  });

  test("SEC-27: of twenty browsers that open a sign-in at once, over four isolates, one has it", async () => {
    const sso = await obtain(gateway, wiki);
    const isolates = ["edge", "edge-2", "edge-3", "edge-4"].map((name) => world.site("GATEWAY", name));
    const browsers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const browser = new Browser(world);
        // Only a browser that has its id can have a sign-in.
        await browser.open(isolates[i % 4], "/login/");
        return browser;
      }),
    );
    const answers = await Promise.all(browsers.map((browser, i) => browser.open(isolates[i % 4], `/login/?sso=${sso}`)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    for (const { status } of answers.filter(({ status }) => status !== 200)) assert.equal(status, 403);
  });

  test("SEC-51 and SEC-67: who signs out at one isolate is signed out in another, at the gateway and at each site, within the bound", async () => {
    const [here, there] = [gateway, world.site("GATEWAY", "edge-2")];
    const [app, other] = [world.site("APP", "edge-2"), world.site("OTHER", "edge-3")];
    const browser = new Browser(world);
    await browser.signIn(here, ada);
    for (const site of [app, other]) {
      const sent = await browser.open(site, "/");
      const back = await browser.open(there, pathOf(sent));
      const arrived = await browser.open(site, pathOf(back));
      assert.ok(arrived.cookie(SESSION), String(arrived));
    }
    const open = () => Promise.all([browser.open(there, "/account/"), browser.open(app, "/"), browser.open(other, "/")]);
    assert.ok((await browser.open(there, "/account/")).text.includes(ada.email));
    const out = await here.form("/logout/", {}, { cookie: browser.jar(here).header });
    assert.equal(out.status, 200, String(out));
    // KV is not late here, so what is left is `user_cache`, 1 s.
    const began = Date.now();
    await until(async () => {
      const [account, ...sites] = await open();
      return account.location === "/login/" && sites.every(({ status, location }) => status === 303 && location?.includes("/login/"));
    }, 3);
    assert.ok(Date.now() - began < 2_500, `${Date.now() - began} ms`);
  });

  test("open WebSockets of every site are closed after a sign-out, and no new one opens", async () => {
    const app = world.site("APP");
    const browser = new Browser(world);
    await browser.signIn(gateway, ada);
    const back = await browser.open(gateway, pathOf(await browser.open(app, "/")));
    await browser.open(app, pathOf(back));
    const cookie = browser.jar(app).header;
    const headers = { Origin: app.origin };
    const socket = await app.webSocket("/socket", { cookie, headers });
    assert.equal(socket.status, 101, String(socket));
    assert.equal(await socket.echo("before"), "echo: before");
    await gateway.form("/logout/", {}, { cookie: browser.jar(gateway).header });
    await until(async () => (await app.navigate("/", { cookie })).status === 303, 3);
    // Judged again every 15 s, with a jitter of 3 s.
    await until(() => socket.closed, 20);
    assert.equal((await app.webSocket("/socket", { cookie, headers })).status, 401);
  });
});

/**
 * The path and the query of a redirect.
 * @param {Answer} answer
 */
function pathOf(answer) {
  const url = new URL(answer.target, "http://nowhere.test");
  return url.pathname + url.search;
}

describe("requests that nobody should send", () => {
  test("SEC-46: a body of over 16 KB is 413, and one that takes too long 408, for every form", async () => {
    const browser = new Browser(world);
    await browser.signIn(gateway, ada);
    await browser.open(gateway, "/account/");
    const long = { ...browser.fields, token: "x".repeat(16 * 1024 + 1) };
    for (const page of ["/login/", "/account/", "/password/"]) {
      const answer = await browser.submit(gateway, page, long);
      assert.equal(answer.status, 413, `${page}: ${answer}`);
    }
    for (const name of CALLS) assert.equal((await call(gateway, name, long)).status, 413, name);
    const slow = ["/login/", ...CALLS.map((name) => `/sso/${name}/`)].map((path) => {
      const headers = /** @type {[string, string][]} */ ([
        ["Host", gateway.host],
        ["Origin", gateway.origin],
        ["Content-Type", "application/x-www-form-urlencoded"],
        ["Content-Length", "100"],
      ]);
      const exchange = open({ port: gateway.port, method: "POST", path, headers });
      exchange.write("token=");
      return exchange;
    });
    const answers = await Promise.all(slow.map(({ answer }) => answer));
    assert.deepEqual(
      answers.map(({ statusCode }) => statusCode),
      slow.map(() => 408),
    );
    for (const { request } of slow) request.destroy();
  });

  test("SEC-49: nothing that somebody has entered is markup of a page", async () => {
    const markup = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`;
    const evil = await newService(gateway, receiver.url, { name: `<b>${markup.slice(3, 40)}` });
    const sso = await obtain(gateway, evil, { next_url: "/" });
    const browser = new Browser(world);
    const pages = [await browser.open(gateway, `/login/?sso=${sso}&x=${encodeURIComponent(markup)}`)];
    pages.push(await browser.submit(gateway, "/login/", { username: markup, password: markup, sso }));
    pages.push(await browser.submit(gateway, "/login/", { username: markup, password: markup, return_to: markup, state: markup }));
    pages.push(await gateway.navigate(`/login/?sso=${encodeURIComponent(markup)}`), await gateway.navigate(`/password/?token=${encodeURIComponent(markup)}`));
    await browser.open(gateway, "/login/");
    await browser.submit(gateway, "/login/", { username: ada.email, password: ada.password });
    pages.push(await browser.open(gateway, "/account/"));
    assert.ok(pages[5].text.includes(ada.email), String(pages[5]));
    for (const page of pages) {
      assert.doesNotMatch(page.text, /<script|<img|<b>|onerror=alert\(1\)>/, String(page));
      assert.match(page.headers.need("content-security-policy"), /^default-src 'none'/);
    }
  });

  test("a method that a page or a call does not have is 405, and no method signs anybody in or out", async () => {
    for (const page of PAGES) {
      for (const method of ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
        const answer = await gateway.send(method, page);
        assert.equal(answer.status, 405, `${method} ${page}: ${answer}`);
        assert.match(answer.headers.need("allow"), /^GET, HEAD(, POST)?$/);
      }
    }
    assert.equal((await gateway.form("/welcome/", {})).status, 405);
    for (const name of CALLS) {
      for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
        const answer = await gateway.send(method, `/sso/${name}/?token=${wiki.token}`);
        assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "POST"], `${method} ${name}`);
      }
    }
  });

  test("HEAD is GET without a body, and binds or uses up nothing", async () => {
    for (const page of PAGES) {
      const [head, get] = [await gateway.send("HEAD", page, { kind: NAVIGATION }), await gateway.navigate(page)];
      assert.equal(head.status, get.status, page);
      assert.equal(head.text, "");
      assert.equal(head.location, get.location, page);
    }
  });

  test("a path is the gateway's page in one spelling, with or without the last slash, or it is nothing", async () => {
    const status = async (/** @type {string} */ path) => {
      const text = `GET ${path} HTTP/1.1\r\nHost: ${gateway.host}\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n`;
      return (await sendRaw({ port: gateway.port, text }))?.status;
    };
    for (const path of ["/login", "/login/", "/login/?x=1", "/./login/", "/x/../login/", "//login/", "/%6cogin/", "/login//"])
      assert.equal(await status(path), 200, path);
    for (const path of [
      "/LOGIN/",
      "/login/x",
      "/login.",
      "/login%20",
      "/sso/",
      "/sso/obtai",
      "/sso",
      "/x",
      "/static/a.css",
      "/favicon.ico",
      "/api/sso/x",
      "/api/x",
    ])
      assert.equal(await status(path), 404, path);
    for (const path of ["/login%2f", "/%2flogin/", "/login;x/", "/login%00/", "/login%5c", "/\\login/", "/%zz", "/login%"])
      assert.equal(await status(path), 400, path);
    assert.equal(world.origin.about("login").length, 0);
    assert.deepEqual(
      world.origin.requests.filter((seen) => seen.header("x-forwarded-host") === gateway.host || seen.header("host") === gateway.host),
      [],
    );
  });
});

describe("cookies", () => {
  /** @param {string[]} cookies */
  const headersOf = (...cookies) => cookies.map((cookie) => ["Cookie", cookie]);
  const person = () => ({ username: ada.email, password: ada.password });

  test("two browser cookies are none, and so is one in a second Cookie header", async () => {
    const browser = new Browser(world);
    await browser.open(gateway, "/login/");
    const own = browser.jar(gateway).get(BROWSER);
    const other = new Browser(world);
    await other.open(gateway, "/login/");
    const planted = other.jar(gateway).get(BROWSER);
    assert.ok(own && planted && own !== planted);
    const fields = { ...person(), ...browser.fields };
    for (const cookies of [
      [`${BROWSER}=${own}; ${BROWSER}=${planted}`],
      [`${BROWSER}=${planted}; ${BROWSER}=${own}`],
      [`${BROWSER}=${own}`, `${BROWSER}=${planted}`],
    ]) {
      const answer = await gateway.form("/login/", fields, { headers: headersOf(...cookies) });
      assert.equal(answer.status, 403, String(answer));
      assert.equal(answer.cookie(SESSION), undefined);
      assert.notEqual(answer.setCookie(BROWSER).value, own);
      assert.notEqual(answer.setCookie(BROWSER).value, planted);
    }
    // No browser sends the header twice, and a CDN joins the halves that HTTP/2 allows: whatever comes so is not believed.
    const apart = await gateway.form("/login/", fields, { headers: headersOf("x=1", `${BROWSER}=${own}`, "y=2") });
    assert.deepEqual([apart.status, apart.cookie(SESSION)], [403, undefined], String(apart));
    const signedIn = await gateway.form("/login/", fields, { headers: headersOf(`x=1; ${BROWSER}=${own}; y=2`) });
    assert.deepEqual(locationOf(signedIn), [303, "/account/"], String(signedIn));
    const session = signedIn.setCookie(SESSION).pair;
    for (const headers of [headersOf(session, "x=1"), headersOf("x=1", session), headersOf(session, session)]) {
      const { status, location } = await gateway.navigate("/account/", { headers });
      assert.ok(status === 200 || (status === 303 && location === "/login/"), String(status));
    }
  });

  test("SEC-53: who plants a browser cookie cannot send the form that belongs to it from another site", async () => {
    const attacker = new Browser(world);
    await attacker.open(gateway, "/login/");
    const cookie = `${BROWSER}=${attacker.jar(gateway).get(BROWSER)}`;
    /** @type {Record<string, string>[]} */
    const origins = [
      { Origin: "https://evil.test", "Sec-Fetch-Site": "cross-site" },
      { Origin: "http://x.gateway.example.test", "Sec-Fetch-Site": "same-site" },
      { Origin: "null", "Sec-Fetch-Site": "cross-site" },
      { Origin: "https://evil.test" },
    ];
    for (const headers of origins) {
      for (const path of ["/login/", "/password/", "/account/", "/logout/"]) {
        const list = { "Content-Type": "application/x-www-form-urlencoded", ...headers };
        const answer = await gateway.send("POST", path, {
          kind: [["Accept", "text/html"]],
          cookie,
          headers: list,
          body: new URLSearchParams({ ...attacker.fields, ...person() }).toString(),
        });
        assert.ok(answer.status === 403 || (path === "/account/" && answer.location === "/login/"), `${JSON.stringify(headers)} ${path}: ${answer}`);
        assert.equal(answer.cookie(SESSION), undefined);
      }
    }
  });

  test("SEC-56: a device cookie that is planted, changed or another's saves nobody a delay, and opens nothing", async () => {
    const [victim, eve] = [await newPerson(gateway), await newPerson(gateway)];
    const [mine, hers] = [new Browser(world), new Browser(world)];
    await mine.signIn(gateway, victim);
    await hers.signIn(gateway, eve);
    const [own, other] = [mine, hers].map((browser) => browser.jar(gateway).get(DEVICE) ?? "");
    assert.match(own, /^[\w-]{22}\.\d+~[\w-]+$/);
    const form = new Browser(world);
    await form.open(gateway, "/login/");
    const known = `${BROWSER}=${form.jar(gateway).get(BROWSER)}`;
    let address = 0;
    const attempt = (/** @type {string[]} */ devices, password = WRONG) => {
      const cookie = [known, ...devices.map((device) => `${DEVICE}=${device}`)].join("; ");
      const headers = { "CF-Connecting-IP": `192.0.2.${++address}` };
      return gateway.form("/login/", { ...form.fields, username: victim.email, password }, { cookie, headers });
    };
    for (let i = 0; i < 50; i += 1) assert.equal((await attempt([])).status, 403);
    const changed = `${own.slice(0, -1)}${own.endsWith("A") ? "B" : "A"}`;
    for (const devices of [
      [],
      [other],
      [changed],
      [`${own.split(".")[0]}.${other.split(".")[1]}`],
      ["x"],
      ["."],
      ["a.1~"],
      [`${own}.`],
      Array.from({ length: 50 }, () => "a.1~AAAA"),
    ]) {
      const answer = await attempt(devices, victim.password);
      assert.deepEqual([answer.status, answer.headers.get("retry-after")], [429, "10"], `${devices}: ${answer}`);
      assert.equal(answer.cookie(SESSION), undefined);
    }
    assert.equal((await attempt([changed, own], victim.password)).status, 303, "their own device goes on");
    assert.equal((await gateway.navigate("/account/", { cookie: `${DEVICE}=${own}` })).location, "/login/");
  });
});

describe("limits", () => {
  test("SEC-56: an address that tries too often gets 429 with Retry-After, however it is written, and no other does", async () => {
    const limited = world.site("GATEWAY", "limited");
    const browser = new Browser(world);
    const attempt = async (/** @type {string} */ address) => {
      browser.headers = [["CF-Connecting-IP", address]];
      await browser.open(limited, "/login/");
      return browser.submit(limited, "/login/", { username: newEmail(), password: WRONG });
    };
    for (const address of ["2001:db8::1", "2001:db8:0:0::2", "2001:0DB8::ffff:3"]) assert.equal((await attempt(address)).status, 403);
    const refused = await attempt("2001:db8::4");
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "60"], String(refused));
    assert.match(refused.text, /role="alert"[^>]*>[^<]*Too many attempts[^<]*60 s\./);
    assert.ok(refused.text.includes('name="password"'), "the form is there for the next try");
    assert.equal((await attempt("2001:db8:0:1::1")).status, 403);
  });

  test("SEC-56: beyond the ceiling of hashes the answer is 429 with Retry-After, and whoever comes again is served", async () => {
    const browser = new Browser(world);
    await browser.open(gateway, "/login/");
    const cookie = browser.jar(gateway).header;
    const attempts = Array.from({ length: 30 }, (_, i) =>
      gateway.form("/login/", { ...browser.fields, username: newEmail(), password: PASSWORD }, { cookie, headers: { "CF-Connecting-IP": `198.51.100.${i}` } }),
    );
    const answers = await Promise.all(attempts);
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length >= 15, String(refused.length));
    for (const answer of answers) assert.ok([403, 429].includes(answer.status), String(answer));
    for (const answer of refused) assert.match(answer.headers.need("retry-after"), /^[1-9]$/);
    const seconds = Math.max(...refused.map(({ headers }) => Number(headers.get("retry-after"))));
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    assert.equal((await browser.submit(gateway, "/login/", { username: ada.email, password: ada.password })).status, 303);
  });
});

test("SEC-59: what a service was not told while it was disabled is told when it is enabled", async () => {
  const service = await newService(gateway, receiver.url);
  const person = await newPerson(gateway, { staff: true });
  const change = async (/** @type {string} */ path, /** @type {object} */ body) => {
    const answer = await gateway.admin("PATCH", path, body);
    assert.equal(answer.status, 200, String(answer));
  };
  const enable = (/** @type {boolean} */ enabled) => change(`/api/sso/services/${service.id}`, { enabled });
  const bodies = () =>
    receiver
      .of(service.path)
      .map(({ body }) => /** @type {{ type: string, user_identy?: string, fields?: Record<string, unknown> }} */ (body))
      .filter((body) => [body.user_identy, body.fields?.user_identy].includes(person.email));
  const of = async () => (await gateway.admin("GET", `/api/sso/services/${service.id}`)).json.events;
  // The account, and the sign-out that a first password is.
  await until(async () => bodies().length === 2 && (await of()).waiting === 0);
  const known = bodies().length;
  await enable(false);
  await change(`/api/sso/users/${person.id}`, { staff: false });
  await change(`/api/sso/users/${person.id}`, { active: false });
  await until(async () => (await of()).waiting === 2);
  assert.equal((await of()).blocked, "the service is disabled");
  assert.equal(bodies().length, known, "nothing is sent while it is disabled");
  await enable(true);
  await until(async () => (await of()).waiting === 0);
  assert.deepEqual(
    bodies()
      .slice(known)
      .map(({ type, fields }) => [type, fields?.is_active, fields?.is_staff]),
    [
      ["update_account", false, false],
      ["deauthenticate", undefined, undefined],
    ],
  );
  await enable(false);
  await change(`/api/sso/users/${person.id}`, { active: true });
  await until(async () => (await of()).waiting === 1);
  const discard = (/** @type {object} */ body) => gateway.admin("POST", `/api/sso/services/${service.id}/events/discard`, body);
  assert.equal((await discard({ state: "old" })).json.field, "state");
  assert.deepEqual((await discard({})).json, { count: 0 });
  assert.deepEqual((await discard({ state: "waiting" })).json, { count: 1 });
});

test("SEC-121: a sign-out that a service asks for has a row with the service, and that of nobody has none", async () => {
  const person = await newPerson(gateway);
  const since = (await rowsAbout(gateway, person.id)).length;
  const signOut = (/** @type {string} */ name) => call(gateway, "deauthenticate", { token: wiki.token, user_identy: name });
  assert.deepEqual((await signOut(person.email)).json, { ok: true });
  assert.deepEqual((await signOut("nobody@example.test")).json, { ok: true });
  assert.deepEqual(
    (await rowsAbout(gateway, person.id)).slice(since).map(({ action, actor }) => [action, actor]),
    [["signed_out", wiki.id]],
  );
});
