// Signing in with an OpenID provider of another make: Django with django-oauth-toolkit. A browser fills in its login form, agrees
// or does not, and comes back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort } from "../../scripts/lib/processes.mjs";
import { startFront } from "../edge/lib/front.mjs";
import { startWorld } from "../edge/lib/world.mjs";
import { Browser } from "./lib/browser.mjs";
import { startOriginOf } from "./lib/peers.mjs";

/** @import { Front } from "../edge/lib/front.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */

const SECRET = "s3cret:with/special+characters%and ümlaut";
const PASSWORD = "a password of django";
const PEOPLE = [
  { username: "ada", email: "ada@example.com", first_name: "Ada", groups: ["editor", "chess"] },
  { username: "grace", email: "grace@example.com", first_name: "Grace", groups: ["chess"] },
  { username: "mallory", email: "ada@example.com", first_name: "Mallory", groups: ["editor", "unverified"] },
];
/** The clients, by the names of the providers here. The last one is at a server of its own, whose responses have `iss`. */
const CLIENTS = ["django", "trusted", "hmac", "named"];
const LOGIN = "/accounts/login/";
const CONSENT = "/o/authorize/";

/** @type {World} */
let world;
/** @type {Front} */
let front;
/** @type {{ url: string, stop: () => Promise<void> }} */
let provider;
/** @type {{ url: string, stop: () => Promise<void> }} */
let naming;
before(async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  /**
   * @param {string[]} clients
   * @param {boolean} namesIssuer
   */
  const start = async (clients, namesIssuer) =>
    startOriginOf("django_oauth_toolkit.py", {
      port: await freePort(),
      names_issuer: namesIssuer,
      redirects: Object.fromEntries(clients.map((name) => [name, `${url}/api/sso/callback/${name}`])),
      secret: SECRET,
      people: PEOPLE.map((person) => ({ ...person, password: PASSWORD })),
    });
  provider = await start(CLIENTS.slice(0, -1), false);
  naming = await start(CLIENTS.slice(-1), true);
  /** @param {string} name */
  const table = (name) => {
    const { url } = name === "named" ? naming : provider;
    return { preset: "oidc", issuer: `${url}/o`, loopback_origin: url, client_id: name, create_users: true, grant_roles: ["editor"] };
  };
  world = await startWorld({
    sites: {
      APP: {
        hosts: [`127.0.0.1:${port}`],
        sources: ["session"],
        unauthenticated: "login",
        login: "provider",
        providers: CLIENTS,
        sso_cookie: undefined,
        query: undefined,
        rules: [
          { prefix: "/editors", require: { role: "editor" } },
          { prefix: "/", require: { authenticated: true } },
        ],
        custom_headers: { "x-sub": "claim:sub", "x-first-name": "first_name" },
      },
    },
    vars: Object.fromEntries(
      CLIENTS.flatMap((name) => [
        [`EDGEWARD_PROVIDER_${name.toUpperCase()}`, table(name)],
        [`EDGEWARD_PROVIDER_${name.toUpperCase()}_SECRET`, SECRET],
      ]),
    ),
  });
  front = await startFront(world.site(), port);
});
after(async () => {
  await front?.stop();
  await world?.stop();
  await provider?.stop();
  await naming?.stop();
});

/** A browser at the login form of the provider, on its way to a page of the site. */
async function atLogin(client = "django", page = "/page?x=1") {
  const browser = new Browser();
  await browser.open(`${front.url}/api/sso/login/${client}?return_to=${encodeURIComponent(page)}`);
  const { url } = client === "named" ? naming : provider;
  assert.deepEqual([new URL(browser.url).origin, new URL(browser.url).pathname], [url, LOGIN]);
  return browser;
}

/**
 * Fills in the login form.
 * @param {Browser} browser
 * @param {string} username
 */
const logIn = (browser, username, password = PASSWORD) => browser.submit(browser.form(LOGIN), { username, password });

/**
 * Presses one of the two buttons of the page that asks for consent.
 * @param {Browser} browser
 * @param {boolean} agrees
 */
function answerConsent(browser, agrees) {
  const form = browser.form(CONSENT);
  assert.ok("allow" in form.fields);
  if (!agrees) delete form.fields.allow;
  return browser.submit(form);
}

/**
 * What the origin was told of whoever opens a page.
 * @param {Browser} browser
 * @param {string[]} names
 */
async function told(browser, names, path = "/page?x=1") {
  const { status, seen } = await browser.open(`${front.url}${path}`);
  assert.equal(status, 200);
  return names.map((name) => seen.header(name));
}

/** @param {Browser} browser */
const session = (browser) => browser.cookies(front.url).find((pair) => pair.startsWith("__Host-edgeward="));

test("a person signs in and agrees, comes back to the page, and has what the validator says: address, first name and the granted role", async () => {
  const browser = new Browser();
  await browser.open(`${front.url}/page?x=1`);
  await browser.follow("Sign in with Django");
  await logIn(browser, "ada");
  assert.equal(new URL(browser.url).pathname, CONSENT);
  for (const scope of ["Know who you are", "Read your name", "Read your address"]) assert.ok(browser.page.text.includes(scope), scope);
  const back = await answerConsent(browser, true);
  assert.deepEqual([back.status, browser.url], [200, `${front.url}/page?x=1`], String(back));
  const names = ["x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-first-name", "x-sub", "cookie", "authorization"];
  assert.deepEqual(await told(browser, names), ["ada@example.com", "editor", "ada", "Ada", "1", undefined, undefined]);
  assert.equal((await browser.open(`${front.url}/editors/a`)).status, 200);
  // Who is signed in is not asked again.
  const before = browser.visited.length;
  await browser.open(`${front.url}/other`);
  assert.deepEqual(browser.visited.slice(before), [`${front.url}/other`]);
});

test("a wrong password stays at the provider, and nobody is signed in; the right one goes on from there", async () => {
  const browser = await atLogin();
  const refused = await logIn(browser, "grace", "a wrong password");
  assert.equal(refused.status, 200);
  assert.match(refused.text, /correct username and password/);
  assert.equal(new URL(browser.url).origin, provider.url);
  assert.equal(session(browser), undefined);
  await logIn(browser, "grace");
  await answerConsent(browser, true);
  assert.equal(browser.url, `${front.url}/page?x=1`);
});

test("who does not agree is told so by a page of the site, is not signed in, and may begin again", async () => {
  const browser = await atLogin();
  await logIn(browser, "ada");
  const answer = await answerConsent(browser, false);
  assert.equal(answer.status, 403, String(answer));
  assert.match(answer.text, /sign_in_declined/);
  assert.equal(new URL(browser.url).pathname, "/api/sso/callback/django");
  assert.equal(session(browser), undefined);
  await browser.open(`${front.url}/api/sso/login/django?return_to=%2Fagain`);
  await answerConsent(browser, true);
  assert.equal(browser.url, `${front.url}/again`);
});

test("a client that needs no consent comes back from the login form at once; the same person at two clients is one user", async () => {
  const browser = await atLogin("trusted");
  const answer = await logIn(browser, "ada");
  assert.deepEqual([answer.status, browser.url], [200, `${front.url}/page?x=1`], String(answer));
  const [id] = await told(browser, ["x-forwarded-user"]);
  const { users } = (await world.site().admin("GET", `/api/sso/users?issuer=${encodeURIComponent(`${provider.url}/o`)}&subject=1`)).json;
  assert.deepEqual(
    users.map((/** @type {{ id: string }} */ user) => user.id),
    [id],
  );
});

test("a group that is not granted is no role, and the page of the editors is refused", async () => {
  const browser = await atLogin("trusted");
  await logIn(browser, "grace");
  assert.deepEqual(await told(browser, ["x-forwarded-email", "x-forwarded-groups"]), ["grace@example.com", undefined]);
  assert.equal((await browser.open(`${front.url}/editors/a`)).status, 403);
});

test("an address that the validator calls unverified is none, and makes nobody the person who has it", async () => {
  const [ada, mallory] = [await atLogin("trusted"), await atLogin("trusted")];
  await logIn(ada, "ada");
  await logIn(mallory, "mallory");
  const [[owner], [user, email, sub]] = [await told(ada, ["x-forwarded-user"]), await told(mallory, ["x-forwarded-user", "x-forwarded-email", "x-sub"])];
  assert.notEqual(user, owner);
  assert.deepEqual([email, sub], [undefined, "3"]);
});

test("an ID token that is signed with the client's secret is refused, although that secret is right", async () => {
  const browser = await atLogin("hmac");
  await logIn(browser, "ada");
  const answer = await answerConsent(browser, true);
  assert.equal(answer.status, 502, String(answer));
  assert.match(answer.text, /provider_failed/);
  assert.equal(session(browser), undefined);
  await world.settled();
  assert.match(world.events("fault").at(-1).reason, /^provider hmac: ID token: /);
});

test("a response that has been used, and one that another browser brings, sign nobody in", async () => {
  const browser = await atLogin("trusted");
  await logIn(browser, "ada");
  const callback = browser.visited.find((address) => address.startsWith(`${front.url}/api/sso/callback/`)) ?? assert.fail("no callback");
  browser.forget(front.url);
  for (const one of [browser, new Browser()]) {
    const answer = await one.open(callback);
    assert.equal(answer.status, 403, String(answer));
    assert.equal(session(one), undefined);
  }
});

test("responses with iss count; one that says no without it, though it is announced, is refused as RFC 9207 wants it", async () => {
  const browser = await atLogin("named");
  await logIn(browser, "ada");
  const refused = await answerConsent(browser, false);
  assert.equal(new URL(browser.url).searchParams.get("iss"), null, "this package leaves it out of errors");
  assert.equal(refused.status, 502, String(refused));
  assert.equal(session(browser), undefined);
  await browser.open(`${front.url}/api/sso/login/named?return_to=%2Fpage`);
  await answerConsent(browser, true);
  assert.equal(browser.url, `${front.url}/page`);
  const callback = browser.visited.findLast((address) => address.includes("/api/sso/callback/named?")) ?? assert.fail("no callback");
  assert.equal(new URL(callback).searchParams.get("iss"), `${naming.url}/o`);
});
