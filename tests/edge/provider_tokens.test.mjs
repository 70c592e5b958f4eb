// The tokens that providers give, over real HTTP, in two isolates: sessions that are renewed with them and end with the person's
// account there, and access tokens for origins. A session is due for half a minute here; all people sign in at the beginning.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AT_GATEWAY, Browser, SESSION, withGateway } from "./lib/gateway.mjs";
import { providerTable, SECRET, startProviders } from "./lib/provider.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Provider, Renewal, Ways } from "./lib/provider.mjs" */
/** @import { SiteSettings, World } from "./lib/world.mjs" */
/** @import { Site } from "./lib/site.mjs" */

const HEADER = "x-provider-token";
/** Half of `session.idle`. */
const DUE = 30_000;

/** A provider for each test that changes how one answers. */
/** @type {Record<string, Record<string, unknown>>} */
const SETTINGS = {
  many: {},
  lost: {},
  bad: {},
  refused: {},
  all: { if_refused: "end_all" },
  kept: { if_refused: "keep" },
  other: {},
  down: { keys_ttl: 60, keys_stale: 60 },
  via: {},
  out: { sign_out_at_provider: true },
  access: {},
  fewer: {},
  wrong: { if_refused: "keep" },
  useless: {},
  online: { offline: undefined },
  leaves: {},
  google: { preset: "google", issuer: undefined },
};

/** @type {World} */
let world;
/** @type {Awaited<ReturnType<typeof startProviders>>} */
let server;
/** @type {Record<string, Provider>} */
const providers = {};
/** @type {Site} */
let app;
/** @type {Record<string, Person>} */
const people = {};

before(async () => {
  server = await startProviders();
  /** @type {Record<string, unknown>} */
  const vars = {};
  for (const [name, settings] of Object.entries(SETTINGS)) {
    providers[name] = await server.add(name);
    const own = { offline: true, grant_roles: ["editor"], claims: { roles: "roles" }, ...settings };
    const discovery_url = name === "google" ? `${server.url}/google/.well-known/openid-configuration` : undefined;
    vars[`EDGEWARD_PROVIDER_${name.toUpperCase()}`] = JSON.parse(JSON.stringify(providerTable(server, name, { ...own, discovery_url })));
    vars[`EDGEWARD_PROVIDER_${name.toUpperCase()}_SECRET`] = SECRET;
  }
  providers.google.issuer = "https://accounts.google.com";
  /** @type {SiteSettings} */
  const own = {
    sources: ["session"],
    unauthenticated: "login",
    login: "provider",
    sso_cookie: undefined,
    query: undefined,
    session: { idle: 60, absolute: 600 },
  };
  const rules = [
    { prefix: "/editors", require: { role: "editor" } },
    { prefix: "/", require: { authenticated: true } },
  ];
  world = await startWorld(
    withGateway(
      {
        isolates: 2,
        sites: {
          APP: { ...own, providers: Object.keys(SETTINGS), rules },
          TOLD: { ...own, providers: ["access", "fewer", "wrong", "useless", "online"], rules, custom_headers: { [HEADER]: "provider:access_token" } },
          VIA: { ...AT_GATEWAY, session: { idle: 60, absolute: 600 }, rules },
        },
        vars,
      },
      { providers: ["via", "leaves"], session: { idle: 3600, absolute: 3600 } },
    ),
  );
  app = world.site("APP");
  for (const name of Object.keys(SETTINGS))
    if (!["google", "via", "access", "fewer", "wrong", "useless", "online", "leaves"].includes(name))
      people[name] = await Person.signIn(name, app, { discovery: name === "out" ? { end_session_endpoint: `${server.url}/out/end` } : {} });
});
after(async () => {
  await world?.stop();
  await server?.stop();
});

/** Somebody who has signed in. */
class Person {
  /**
   * @param {string} provider
   * @param {Browser} browser
   * @param {Site} site
   * @param {string} session
   */
  constructor(provider, browser, site, session) {
    this.provider = providers[provider];
    this.browser = browser;
    this.site = site;
    this.session = session;
    this.since = Date.now();
  }

  /**
   * @param {string} name
   * @param {Ways} [ways]
   */
  static async signIn(name, site = app, ways = {}, sub = name) {
    providers[name].ways = { claims: { sub, roles: ["editor"] }, ...ways };
    const browser = new Browser(world);
    const begun = await browser.open(site, `/api/sso/login/${name}?return_to=%2Fpage`);
    const answer = await browser.open(site, providers[name].respond(begun.target));
    assert.equal(answer.status, 303, String(answer));
    return new Person(name, browser, site, answer.setCookie(SESSION).value);
  }

  /** The same site in another isolate. */
  at(isolate = 1) {
    return isolate === 1 ? this.site : world.site(this.site.name, `edge-${isolate}`);
  }

  /** Opens a page with the session of the sign-in, whatever cookies came since. */
  async open(path = "/page", isolate = 1) {
    return this.at(isolate).navigate(path, { cookie: `${SESSION}=${this.session}` });
  }

  /** Once the session is due, what comes of refresh tokens is this. */
  async due(/** @type {Renewal} */ renewal = {}) {
    while (Date.now() < this.since + DUE + 1_000) await sleep(100);
    this.provider.ways = { ...this.provider.ways, renewal };
    return this;
  }
}

/**
 * Opens the page until the provider has been asked again: it is left alone for a while after it has failed.
 * @param {Person} person
 */
async function askedAgain(person) {
  const before = person.provider.renewals.length;
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(500)) {
    const answer = await person.open();
    if (person.provider.renewals.length > before) return answer;
  }
  return assert.fail("the provider was not asked again");
}

/** @param {Answer} answer */
const isOut = (answer) => {
  assert.equal(answer.status, 303, String(answer));
  assert.match(answer.target, /\/api\/sso\/login/);
};
/** @param {RegExp} reason */
async function isLogged(reason) {
  await world.settled();
  const reasons = world.events("session_not_renewed").map((event) => event.reason);
  assert.ok(
    reasons.some((told) => reason.test(told)),
    reasons.join("\n"),
  );
}

describe("renewing sessions", { concurrency: true }, () => {
  test("a refresh token is asked for as the provider wants it, and a sign-in without one fails", async () => {
    const asked = async (/** @type {string} */ name) => {
      const { target } = await new Browser(world).open(app, `/api/sso/login/${name}`);
      return Object.fromEntries(new URL(target).searchParams);
    };
    const { scope, prompt, access_type } = await asked("refused");
    assert.deepEqual([scope, prompt, access_type], ["openid profile email offline_access", "consent", undefined]);
    const google = await asked("google");
    assert.deepEqual([google.scope, google.prompt, google.access_type], ["openid profile email", "consent", "offline"]);
    assert.equal((await asked("online")).prompt, undefined);
    const browser = new Browser(world);
    const { target } = await browser.open(app, "/api/sso/login/google");
    const answer = await browser.open(app, providers.google.respond(target));
    assert.equal(answer.status, 502, String(answer));
    await world.settled();
    assert.ok(world.events("fault").some(({ reason }) => /provider google: no refresh token/.test(reason)));
  });

  test("SEC-118: of any number of requests in two isolates one renews a session, and what was taken away is gone at once", async () => {
    const person = await people.many.due({ claims: { roles: [] } });
    assert.deepEqual(person.provider.renewals, []);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => person.open("/page", 1 + (index % 2))));
    for (const answer of answers) assert.equal(answer.status, 200, String(answer));
    assert.equal(person.provider.renewals.length, 1);
    assert.equal(answers.filter((answer) => answer.cookie(SESSION)).length >= 1, true);
    // The cookie of the sign-in, which still says that the person is an editor, is of no use any more; nobody is asked twice.
    for (const isolate of [1, 2]) assert.equal((await person.open("/editors/a", isolate)).status, 403);
    const renewed = (await person.open("/page", 2)).setCookie(SESSION).value;
    assert.equal((await app.navigate("/editors/a", { cookie: `${SESSION}=${renewed}` })).status, 403);
    assert.equal(person.provider.renewals.length, 1);
    assert.deepEqual([...person.provider.reused], []);
  });

  test("SEC-118: a refresh token that was rotated is not used again, though the rest of the answer was of no use", async () => {
    const person = await people.bad.due({ broken: true });
    assert.equal((await person.open("/editors/a")).status, 200);
    await isLogged(/provider bad: ID token: .*signature/);
    person.provider.ways.renewal = { claims: { roles: [] } };
    assert.equal((await askedAgain(person)).status, 200);
    assert.equal((await person.open("/editors/a")).status, 403);
    assert.equal(new Set(person.provider.renewals).size, 2);
    assert.deepEqual([...person.provider.reused], []);
  });

  test("SEC-118: an answer that was lost signs nobody out; a provider that then takes the token for stolen does", async () => {
    const person = await people.lost.due({ loses: true });
    assert.equal((await person.open()).status, 200);
    assert.equal(person.provider.renewals.length, 1);
    await isLogged(/provider lost: token endpoint: the connection failed/);
    person.provider.ways.renewal = {};
    isOut(await askedAgain(person));
  });

  test("SEC-118: who may not be here any more by the provider's word is out with the next request, in every isolate", async () => {
    const person = await people.refused.due({ error: ["invalid_grant", 400] });
    assert.equal((await person.open()).status, 303);
    await isLogged(/provider refused: token endpoint: status 400, error invalid_grant/);
    for (const isolate of [2, 1]) isOut(await person.open("/page", isolate));
    assert.equal(person.provider.renewals.length, 1);
  });

  test("SEC-118: if_refused: all sessions of the person end, or this one stays as it was", async () => {
    const another = await Person.signIn("all");
    assert.equal((await another.open()).status, 200);
    const person = await people.all.due({ error: ["invalid_grant", 400] });
    isOut(await person.open());
    isOut(await another.open());
    const kept = await people.kept.due({ error: ["invalid_grant", 400] });
    for (const isolate of [1, 2, 1]) assert.equal((await kept.open("/editors/a", isolate)).status, 200);
    assert.equal(kept.provider.renewals.length, 1);
  });

  test("SEC-118: an ID token of another person, or for another sign-in, renews nothing", async () => {
    const person = await people.other.due({ claims: { sub: "somebody-else" } });
    isOut(await person.open());
    await isLogged(/provider other: sub is that of another person/);
  });

  test("SEC-118: a sign-out while the provider is asked is a sign-out", async () => {
    /** @type {() => void} */
    let go = () => undefined;
    const person = await people.out.due({ until: new Promise((resolve) => (go = () => resolve(undefined))) });
    const waiting = person.open();
    while (person.provider.renewals.length === 0) await sleep(20);
    const answer = await person.site.form("/api/sso/logout", {}, { cookie: `${SESSION}=${person.session}` });
    assert.equal(answer.status, 303, String(answer));
    assert.ok(answer.target.startsWith(`${server.url}/out/end?`), answer.target);
    go();
    await waiting;
    for (const isolate of [1, 2]) isOut(await person.open("/page", isolate));
  });

  test("SEC-118: a sign-out at the gateway ends everything, though the provider would renew nothing any more", async () => {
    const [gateway, via] = [world.site("GATEWAY"), world.site("VIA")];
    const { browser, provider } = await Person.signIn("leaves", gateway);
    const { pathname, search } = new URL((await browser.open(via, "/page")).target);
    const arrive = new URL((await browser.open(gateway, pathname + search)).target);
    assert.equal((await browser.open(via, arrive.pathname + arrive.search)).status, 303);
    const asked = provider.renewals.length;
    provider.ways.renewal = { error: ["invalid_grant", 400] };
    const session = browser.jar(via).header;
    assert.equal((await via.navigate("/page", { cookie: session })).status, 200);
    const answer = await browser.submit(gateway, "/logout/", {});
    assert.equal(answer.status, 200, String(answer));
    const out = await via.navigate("/page", { cookie: session });
    assert.equal(out.status, 303, String(out));
    assert.match(out.target, /^http:\/\/gateway\.example\.test\/login\/\?return_to=/);
    assert.equal(provider.renewals.length, asked);
  });

  test("SEC-118: who is out at a site is out at the gateway, which leads nobody back in", async () => {
    const [gateway, via] = [world.site("GATEWAY"), world.site("VIA")];
    const person = await Person.signIn("via", gateway);
    const { browser } = person;
    const { pathname, search } = new URL((await browser.open(via, "/page")).target);
    const enter = () => browser.open(gateway, pathname + search);
    const arrive = new URL((await enter()).target);
    assert.equal(arrive.host, via.host);
    assert.equal((await browser.open(via, arrive.pathname + arrive.search)).status, 303);
    const entered = Date.now();
    assert.equal((await browser.open(via, "/editors/a")).status, 200);
    while (Date.now() < entered + DUE + 1_000) await sleep(100);
    person.provider.ways.renewal = { claims: { roles: [] } };
    assert.equal((await browser.open(via, "/editors/a")).status, 403);
    assert.equal(person.provider.renewals.length, 1);
    // A site that is entered from the gateway now begins with what was granted last.
    const again = new URL((await enter()).target);
    assert.equal((await browser.open(via, again.pathname + again.search)).status, 303);
    assert.equal((await browser.open(via, "/editors/a")).status, 403);
    person.provider.ways.renewal = { error: ["invalid_grant", 400] };
    const since = Date.now();
    while (Date.now() < since + DUE + 1_000) await sleep(100);
    assert.equal((await browser.open(via, "/page")).status, 303);
    const page = await enter();
    assert.equal(page.status, 200, String(page));
    assert.match(page.text, /Sign in with Via/);
  });

  test("SEC-118: a provider that is down signs nobody out within the bound, and everybody after it", async () => {
    const person = await people.down.due();
    person.provider.isDown = true;
    const answer = await person.open("/editors/a");
    assert.equal(answer.status, 200, String(answer));
    assert.ok(answer.setCookie(SESSION).value);
    let session = answer.setCookie(SESSION).value;
    let last = answer;
    for (const deadline = person.since + 2 * DUE + 60_000; last.status === 200 && Date.now() < deadline; await sleep(1_000)) {
      last = await app.navigate("/editors/a", { cookie: `${SESSION}=${session}` });
      session = last.cookie(SESSION)?.value || session;
    }
    isOut(last);
    assert.ok(Date.now() > person.since + DUE + 60_000);
  });
});

describe("access tokens for an origin", () => {
  test("SEC-63: the origin of a site that asks for it gets it, no other, and neither a browser nor the log does", async () => {
    const told = world.site("TOLD");
    const person = await Person.signIn("access", told, { token: { access_token: "canary-access-token" } });
    for (const isolate of [1, 2, 1]) {
      const { seen } = await person.at(isolate).navigate("/page", { cookie: `${SESSION}=${person.session}`, headers: { [HEADER]: "forged" } });
      assert.deepEqual(seen.headers.all(HEADER), ["canary-access-token"]);
    }
    const plain = await Person.signIn("access", app, { token: { access_token: "canary-access-token" } });
    assert.equal((await plain.open()).seen.header(HEADER), undefined);
    assert.ok(!JSON.stringify(person.browser.jar(told)).includes("canary-access-token") && !person.session.includes("canary"));
    await world.settled();
    const all = [...world.logs.map(({ message }) => message), ...(await world.kvEntries()).map((entry) => entry.join("\n"))].join("\n");
    for (const canary of ["canary-access-token", "refresh-", "renewed-"]) assert.ok(!all.includes(canary), canary);
  });

  test("one that has expired is renewed if the provider may be asked, and absent otherwise", async () => {
    const told = world.site("TOLD");
    const person = await Person.signIn("access", told, { token: { expires_in: 0 } });
    const before = person.provider.renewals.length;
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => person.open("/page", 1 + (index % 2))));
    const tokens = new Set(answers.map((answer) => answer.seen.header(HEADER)));
    assert.equal(tokens.size, 1);
    assert.match([...tokens][0] ?? "", /^renewed-/);
    assert.equal(person.provider.renewals.length, before + 1);
    const online = await Person.signIn("online", told, { token: { access_token: "canary-short", expires_in: 0 } });
    assert.equal((await online.open()).seen.header(HEADER), undefined);
    for (const token of [{ token_type: "DPoP" }, { access_token: "a\nb" }, { access_token: "x".repeat(9_000) }]) {
      const one = await Person.signIn("online", told, { token });
      assert.equal((await one.open()).seen.header(HEADER), undefined);
    }
  });

  test("SEC-118: roles that are gone with a new access token are gone for the rules of that request", async () => {
    const told = world.site("TOLD");
    const person = await Person.signIn("fewer", told, { token: { expires_in: 0 }, renewal: { claims: { roles: [] } } });
    for (const isolate of [1, 2, 1]) assert.equal((await person.open("/editors/a", isolate)).status, 403);
    assert.equal(person.provider.renewals.length, 1);
  });

  test("SEC-63: the access token of an answer whose ID token is wrong, or of somebody else, reaches no origin", async () => {
    const told = world.site("TOLD");
    for (const renewal of [{ broken: true }, { claims: { sub: "somebody-else" } }]) {
      const person = await Person.signIn("wrong", told, { token: { expires_in: 0 }, renewal });
      for (const isolate of [1, 2]) {
        const answer = await person.open("/page", isolate);
        assert.deepEqual([answer.status, answer.seen.header(HEADER)], [200, undefined], String(answer));
      }
    }
    assert.equal(providers.wrong.renewals.length, 2);
  });

  test("a provider whose access tokens are of no use is not asked by every request", async () => {
    const told = world.site("TOLD");
    for (const token of [{ token_type: "DPoP" }, { access_token: "x".repeat(9_000) }]) {
      const before = providers.useless.renewals.length;
      const person = await Person.signIn("useless", told, { token: { ...token, expires_in: 0 }, renewal: { token } });
      for (const isolate of [1, 2, 1, 2]) {
        const answer = await person.open("/page", isolate);
        assert.deepEqual([answer.status, answer.seen.header(HEADER)], [200, undefined], String(answer));
      }
      assert.equal(providers.useless.renewals.length, before + 1);
    }
  });
});
