// What people do at the gateway and at its services, and the tests that every kind of service has to pass.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../edge/lib/fresh.mjs";
import { Browser } from "./browser.mjs";

/** @import { Gateway, Person } from "./gateway.mjs" */
/** @import { Service } from "./services.mjs" */

/**
 * What an account looks like at a service.
 * @typedef {{ identity: string, staff: boolean, superuser: boolean }} Seen
 */
/** @typedef {() => { gateway: Gateway, service: Service, other: Service }} Stage `other` is another service of the same gateway. */

/** The first wait of an undelivered event is 5 s and a quarter. */
const DELIVERY_SECONDS = 20;

/**
 * Fills in the form to which the browser was led.
 * @param {Browser} browser
 * @param {Gateway} gateway
 * @param {Pick<Person, "email" | "password">} person
 */
export async function signIn(browser, gateway, { email, password }) {
  assertAtLogin(browser, gateway);
  return browser.submit(browser.form(/^\/login\/?$/), { username: email, password });
}

/**
 * @param {Browser} browser
 * @param {Gateway} gateway
 */
export function assertAtLogin(browser, gateway) {
  const { origin, pathname } = new URL(browser.url);
  assert.deepEqual([origin, pathname.replace(/\/$/, "")], [gateway.url, "/login"], String(browser.page));
}

/**
 * A browser in which this person has opened the service's report.
 * @param {Gateway} gateway
 * @param {Service} service
 * @param {Pick<Person, "email" | "password">} person
 */
export async function signedIn(gateway, service, person) {
  const browser = new Browser();
  await browser.open(service.report);
  await signIn(browser, gateway, person);
  assertReport(browser, service, person);
  return browser;
}

/**
 * The browser shows the service's report for this person.
 * @param {Browser} browser
 * @param {Service} service
 * @param {Pick<Person, "email">} person
 */
export function assertReport(browser, service, { email }, query = "") {
  assert.equal(browser.page.status, 200, String(browser.page));
  assert.equal(browser.url, service.report + query);
  assert.ok(browser.page.text.includes(`For <b>${email}</b>`), String(browser.page));
}

/**
 * Whom the service's start page takes the browser for.
 * @param {Browser} browser
 * @param {Service} service
 * @returns {Promise<Seen | null>}
 */
export async function seenBy(browser, service) {
  const { text, status } = await browser.open(`${service.url}/`);
  assert.equal(status, 200, text);
  const [, identity, flags] = /Signed in as <b>([^<]*)<\/b>([^<.]*)/.exec(text) ?? [];
  if (identity === undefined) assert.match(text, /You are not signed in/);
  return identity === undefined ? null : { identity, staff: flags.includes("(staff)"), superuser: flags.includes("(superuser)") };
}

/**
 * @param {Browser} browser
 * @param {Service} service
 */
export async function signOutAt(browser, service) {
  await browser.open(`${service.url}/`);
  await browser.submit(browser.form(/^\/logout\/?$/));
}

/**
 * @param {Browser} browser
 * @param {Gateway} gateway
 */
export async function signOutAtGateway(browser, gateway) {
  await browser.open(`${gateway.url}/logout/`);
  const asked = browser.forms.find(({ action }) => /^\/logout\/?(\?|$)/.test(action));
  if (asked !== undefined) await browser.submit(asked);
}

/**
 * The browser has no session at the gateway any more.
 * @param {Browser} browser
 * @param {Gateway} gateway
 */
export async function assertSignedOutAtGateway(browser, gateway) {
  await browser.open(`${gateway.url}/account/`);
  assertAtLogin(browser, gateway);
}

/**
 * @param {Browser} browser
 * @param {Service} service
 */
export const untilSignedOut = (browser, service) => until(async () => (await seenBy(browser, service)) === null, DELIVERY_SECONDS);

/** Addresses that lead elsewhere if one takes them for a path. */
export const ELSEWHERE = [
  "https://evil.test/",
  "//evil.test/",
  "/\\evil.test/",
  "\\\\evil.test/",
  "/\t/evil.test/",
  "/.//evil.test/",
  "/a/..//evil.test/",
  "javascript:alert(1)",
  "evil.test",
];

/**
 * The tests of one kind of service. `flags`: whether the service is told what a user may do.
 * @param {string} name
 * @param {Stage} stage
 * @param {{ flags?: boolean }} [options]
 */
export function testJourneys(name, stage, { flags = true } = {}) {
  test(`${name}: the page that was wanted is shown after the sign-in`, async () => {
    const { gateway, service } = stage();
    const person = await gateway.person();
    const browser = new Browser();
    await browser.open(`${service.report}?of=2026`);
    await signIn(browser, gateway, person);
    assertReport(browser, service, person, "?of=2026");

    const withToken = browser.visited.filter((address) => new URL(address).searchParams.has("sso"));
    assert.ok(withToken.length >= 1 && withToken.every((address) => address.startsWith(`${gateway.url}/login`)), String(withToken));
    const signInToken = new URL(withToken[0]).searchParams.get("sso") ?? "";
    const elsewhere = browser.visited.filter((address) => !withToken.includes(address));
    for (const secret of [signInToken, service.token]) assert.ok(!elsewhere.some((address) => address.includes(secret)), String(elsewhere));
  });

  test(`${name}: who is signed in at the gateway sees no form again`, async () => {
    const { gateway, service, other } = stage();
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    await browser.open(other.report);
    assertReport(browser, other, person);
    browser.forget(service.url);
    await browser.open(service.report);
    assertReport(browser, service, person);
  });

  test(`${name}: two people are two accounts, each in a browser of their own`, async () => {
    const { gateway, service } = stage();
    const [ann, ben] = [await gateway.person(), await gateway.person()];
    const browsers = [await signedIn(gateway, service, ann), await signedIn(gateway, service, ben)];
    assert.equal((await seenBy(browsers[0], service))?.identity, ann.email);
    assert.equal((await seenBy(browsers[1], service))?.identity, ben.email);
    await signOutAt(browsers[0], service);
    assert.equal((await seenBy(browsers[1], service))?.identity, ben.email);
  });

  test(`${name}: a wrong password leads nowhere`, async () => {
    const { gateway, service } = stage();
    const person = await gateway.person();
    const browser = new Browser();
    await browser.open(service.report);
    await signIn(browser, gateway, { ...person, password: "wrong horse of nobody" });
    assertAtLogin(browser, gateway);
    assert.equal(await seenBy(browser, service), null);
  });

  if (flags) {
    test(`${name}: what a user may do changes at the service when it changes at the gateway`, async () => {
      const { gateway, service } = stage();
      const person = await gateway.person({ staff: true });
      const browser = await signedIn(gateway, service, person);
      const seen = { identity: person.email, staff: true, superuser: false };
      assert.deepEqual(await seenBy(browser, service), seen);
      await gateway.admin("PATCH", `/api/sso/users/${person.id}`, { staff: false, superuser: true });
      await until(async () => {
        const now = await seenBy(browser, service);
        return now?.superuser === true && now.staff === false;
      }, DELIVERY_SECONDS);
    });
  }

  test(`${name}: a user who is disabled is signed out, and cannot sign in again`, async () => {
    const { gateway, service } = stage();
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    await gateway.admin("PATCH", `/api/sso/users/${person.id}`, { active: false });
    await untilSignedOut(browser, service);
    await browser.open(service.report);
    await signIn(browser, gateway, person);
    assertAtLogin(browser, gateway);
    assert.equal(await seenBy(browser, service), null);
  });

  test(`${name}: signing out at the service signs out everywhere`, async () => {
    const { gateway, service, other } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    await browser.open(other.report);
    assert.notEqual(await seenBy(browser, other), null);
    await signOutAt(browser, service);
    assert.equal(await seenBy(browser, service), null);
    await untilSignedOut(browser, other);
    await assertSignedOutAtGateway(browser, gateway);
  });

  test(`${name}: signing out at the gateway signs out everywhere`, async () => {
    const { gateway, service, other } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    await browser.open(other.report);
    assert.notEqual(await seenBy(browser, other), null);
    await signOutAtGateway(browser, gateway);
    await assertSignedOutAtGateway(browser, gateway);
    for (const place of [service, other]) await untilSignedOut(browser, place);
  });

  test(`${name}: nobody can enter by a service that is disabled, until it is enabled again`, async () => {
    const { gateway, service } = stage();
    const person = await gateway.person();
    await gateway.admin("PATCH", `/api/sso/services/${service.id}`, { enabled: false });
    const browser = new Browser();
    await browser.open(service.report);
    assert.equal(new URL(browser.url).origin, service.url, "the service could begin a sign-in");
    assert.equal(await seenBy(browser, service), null);
    await gateway.admin("PATCH", `/api/sso/services/${service.id}`, { enabled: true });
    await signedIn(gateway, service, person);
  });

  test(`${name}: a user who may not enter the service is told so by the gateway, and the service hears nothing`, async () => {
    const { gateway, service, other } = stage();
    const [ann, ben] = [await gateway.person(), await gateway.person()];
    await gateway.admin("PATCH", `/api/sso/services/${service.id}`, { access: { users: [ann.email] } });
    try {
      await signedIn(gateway, service, ann);
      const browser = new Browser();
      await browser.open(service.report);
      await signIn(browser, gateway, ben);
      assert.equal(new URL(browser.url).origin, gateway.url);
      assert.equal(browser.page.status, 403, String(browser.page));
      assert.equal(await seenBy(browser, service), null);
      await browser.open(other.report);
      assertReport(browser, other, ben);
    } finally {
      await gateway.admin("PATCH", `/api/sso/services/${service.id}`, { access: {} });
    }
  });

  test(`${name}: a service that is down during the sign-in gets the account when it is back`, async () => {
    const { gateway, service } = stage();
    const person = await gateway.person();
    const browser = new Browser();
    await browser.open(service.report);
    await service.stop();
    try {
      await signIn(browser, gateway, person);
      const { origin, pathname, searchParams } = new URL(browser.url);
      assert.deepEqual([origin, pathname, searchParams.get("fallback")], [gateway.url, "/welcome/", "true"], String(browser.page));
    } finally {
      await service.start();
    }
    await browser.open(service.report);
    assertReport(browser, service, person);
  });

  test(`${name}: a service keeps working while its token is being replaced`, async () => {
    const { gateway, service } = stage();
    await gateway.admin("POST", `/api/sso/services/${service.id}/rotate`, { what: "token", overlap: 3600 });
    await signedIn(gateway, service, await gateway.person());
  });

  test(`${name}: no page of another host is shown after a sign-in, whatever next says`, async () => {
    const { gateway, service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    const login = new URL("../../login", service.report).pathname + (service.report.endsWith("/") ? "/" : "");
    for (const next of ELSEWHERE) {
      browser.forget(service.url);
      await browser.open(`${service.url}${login}?next=${encodeURIComponent(next)}`);
      assert.ok([gateway.url, service.url].includes(new URL(browser.url).origin), `${next} led to ${browser.url}`);
    }
  });
}
