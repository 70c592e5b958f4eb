// Django services that keep the package django-sso, signed in to by the built Worker: the three protocols that the
// package has had, each by a real version of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newEmail, until } from "../edge/lib/fresh.mjs";
import { Browser } from "./lib/browser.mjs";
import { startGateway } from "./lib/gateway.mjs";
import {
  assertReport,
  assertSignedOutAtGateway,
  seenBy,
  signedIn,
  signIn,
  signOutAt,
  signOutAtGateway,
  testJourneys,
  untilSignedOut,
} from "./lib/journeys.mjs";
import { startService } from "./lib/services.mjs";

/** @import { Gateway } from "./lib/gateway.mjs" */
/** @import { Service } from "./lib/services.mjs" */

const LINES = /** @type {const} */ (["django-sso 3.0.2", "django-sso 1.1.4", "django-sso 1.0.0"]);

/** @type {Gateway} */
let gateway;
/** @type {Record<string, Service>} */
const services = {};

before(async () => {
  gateway = await startGateway({ identity: "email" });
  for (const line of LINES) services[line] = await startService(line, gateway);
});
after(async () => {
  for (const service of Object.values(services)) await service.remove();
  await gateway?.stop();
});

/** @typedef {{ is_active: boolean, is_staff: boolean, is_superuser: boolean, password: string }} Account */

/**
 * The accounts of a service, by username.
 * @param {Service} service
 */
const people = async (service) => /** @type {Record<string, Account>} */ (await (await fetch(`${service.url}/people/`)).json());

for (const [at, line] of LINES.entries()) {
  const stage = () => ({ gateway, service: services[line], other: services[LINES[(at + 1) % LINES.length]] });
  const isFirst = line === "django-sso 1.0.0";
  testJourneys(line, stage, { flags: !isFirst });

  test(`${line}: the service never gets a password that could sign anybody in`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    await signedIn(gateway, service, person);
    assert.match((await people(service))[person.email].password, /^(!.*)?$/);
  });

  test(`${line}: a sign-out while the service is down reaches it when it is back, without any request`, async () => {
    const { service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    await service.stop();
    try {
      await signOutAtGateway(browser, gateway);
    } finally {
      await service.start();
    }
    await untilSignedOut(browser, service);
  });

  test(`${line}: a user who is renamed at the gateway enters by the new name, and the old one is signed out`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    const email = newEmail("renamed");
    await gateway.admin("PATCH", `/api/sso/users/${person.id}`, { email });
    await until(async () => {
      const { [email]: renamed, [person.email]: old } = await people(service);
      // Only the last line can rename an account; the others get a second one, and the first is closed as far as they can.
      if (line === "django-sso 3.0.2") return renamed !== undefined && old === undefined;
      return renamed !== undefined && (isFirst || !old.is_active);
    }, 20);
    assert.notEqual((await seenBy(browser, service))?.identity, person.email);
    await signedIn(gateway, service, { ...person, email });
  });

  if (isFirst) continue;

  test(`${line}: what changes while the service is down reaches it when it is back, without any request`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    await signedIn(gateway, service, person);
    await service.stop();
    try {
      await gateway.admin("PATCH", `/api/sso/users/${person.id}`, { staff: true });
      await gateway.admin("PATCH", `/api/sso/users/${person.id}`, { superuser: true });
    } finally {
      await service.start();
    }
    await until(async () => {
      const { is_staff, is_superuser } = (await people(service))[person.email];
      return is_staff && is_superuser;
    }, 20);
  });

  test(`${line}: an account is closed at the service when the user is deleted`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    await gateway.admin("DELETE", `/api/sso/users/${person.id}`);
    await until(async () => !(await people(service))[person.email].is_active, 20);
    assert.equal(await seenBy(browser, service), null);
  });
}

test("django-sso 3.0.2: with the identity `username`, services know people by their usernames", async () => {
  const named = await startGateway({ identity: "username" });
  const service = await startService("django-sso 3.0.2", named);
  try {
    const person = await named.person();
    const browser = new Browser();
    await browser.open(service.report);
    await signIn(browser, named, { email: person.username, password: person.password });
    assertReport(browser, service, { email: person.username });
    assert.deepEqual(Object.keys(await people(service)), [person.username]);
    await signOutAt(browser, service);
    await assertSignedOutAtGateway(browser, named);
  } finally {
    await service.remove();
    await named.stop();
  }
});

test("one sign-in opens all three services, and one sign-out closes them", async () => {
  const person = await gateway.person();
  const browser = await signedIn(gateway, services[LINES[0]], person);
  for (const service of Object.values(services)) {
    await browser.open(service.report);
    assert.equal((await seenBy(browser, service))?.identity, person.email);
  }
  await signOutAtGateway(browser, gateway);
  for (const service of Object.values(services)) await untilSignedOut(browser, service);
});
