// The examples of services, in Node, PHP and Django, signed in to by the built Worker; and what makes them safe to copy
// from: the same attacks on each.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { send } from "../edge/lib/http.mjs";
import { Browser } from "./lib/browser.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { assertAtLogin, assertReport, ELSEWHERE, seenBy, signedIn, signIn, signOutAtGateway, testJourneys, untilSignedOut } from "./lib/journeys.mjs";
import { startService } from "./lib/services.mjs";

/** @import { Gateway } from "./lib/gateway.mjs" */
/** @import { Service } from "./lib/services.mjs" */

const EXAMPLES = /** @type {const} */ (["service-node", "service-php", "service-django"]);
/** The name of each one's session cookie. */
const SESSION = { "service-node": "service_session", "service-php": "service_session", "service-django": "sessionid" };

/** @type {Gateway} */
let gateway;
/** @type {Record<string, Service>} */
const services = {};

before(async () => {
  gateway = await startGateway({ identity: "email" });
  for (const name of EXAMPLES) services[name] = await startService(name, gateway);
});
after(async () => {
  for (const service of Object.values(services)) await service.remove();
  await gateway?.stop();
});

/**
 * Sends an event to a service as the gateway would. `token` goes into the body of the dialects that have one, `secret`
 * signs; `sent` is the time of the signature.
 * @param {Service} service
 * @param {string} type
 * @param {Record<string, unknown>} members
 * @param {{ token?: unknown, secret?: string, sent?: number, change?: (body: string) => string }} [forged]
 */
async function sendEvent(service, type, members, { token = service.token, secret = service.secret, sent = Date.now(), change = (body) => body } = {}) {
  const { user_identy, ...flags } = members;
  /** @type {Record<string, object>} */
  const bodies = {
    flat: { type, token, username: user_identy, ...flags },
    fields: { type, token, ...(type === "update_account" ? { fields: members } : { user_identy }) },
    webhook: { type, timestamp: new Date(sent).toISOString(), data: members },
  };
  const signed = JSON.stringify(bodies[service.dialect]);
  const id = `msg_${randomBytes(16).toString("hex")}`;
  const seconds = String(Math.floor(sent / 1000));
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${signed}`).digest("base64");
  return send({
    port: Number(new URL(service.url).port),
    method: "POST",
    path: "/sso/event/",
    headers: [
      ["Host", new URL(service.url).host],
      ["Content-Type", "application/json"],
      ["webhook-id", id],
      ["webhook-timestamp", seconds],
      ["webhook-signature", `v1,${signature}`],
    ],
    body: change(signed),
  });
}

/** @param {import("../edge/lib/http.mjs").Answer} answer */
const isTaken = ({ status, text }) => status === 204 || (status === 200 && JSON.parse(text).ok === true);

for (const [at, name] of EXAMPLES.entries()) {
  const stage = () => ({ gateway, service: services[name], other: services[EXAMPLES[(at + 1) % EXAMPLES.length]] });
  testJourneys(name, stage);

  test(`${name}: next leads to pages of the service only`, async () => {
    const { service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    const login = `${service.url}/login${service.report.endsWith("/") ? "/" : ""}`;
    for (const next of ELSEWHERE) {
      const address = `${login}?next=${encodeURIComponent(next)}`;
      browser.forget(service.url);
      await browser.open(address);
      assert.equal(gateway.calls.findLast(({ name }) => name === "obtain")?.fields.next_url, "/", next);
      assert.equal(browser.url, `${service.url}/`, next);
      // Now with a session.
      await browser.open(address);
      assert.equal(browser.url, `${service.url}/`, next);
    }
  });

  test(`${name}: nobody is signed in unless the gateway confirms that the sign-in is used up`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    for (const [json, status] of /** @type {[object, number][]} */ ([
      [{ error: "Authentication request token doesn't exist" }, 404],
      [{ ok: false }, 500],
    ])) {
      const browser = new Browser();
      await browser.open(service.report);
      gateway.lie("make_used", json, status);
      await signIn(browser, gateway, person);
      assert.equal(await seenBy(browser, service), null);
    }
  });

  test(`${name}: the session that a browser has before the sign-in is worth nothing after it`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    const browser = new Browser();
    await browser.open(service.report);
    const before = sessionOf(browser, service, SESSION[name]);
    await signIn(browser, gateway, person);
    assertReport(browser, service, person);
    assert.notEqual(sessionOf(browser, service, SESSION[name]), before);
    const answer = await send({
      port: Number(new URL(service.url).port),
      path: "/",
      headers: [
        ["Host", new URL(service.url).host],
        ["Cookie", before],
      ],
    });
    assert.match(answer.text, /You are not signed in/);
  });

  test(`${name}: nobody takes over a sign-in that somebody else has finished`, async () => {
    const { service } = stage();
    const [ann, mallory] = [await signedIn(gateway, service, await gateway.person()), new Browser()];
    ann.forget(service.url);
    await ann.open(await mallory.lead(`${service.url}/login${service.report.endsWith("/") ? "/" : ""}`), { from: "http://evil.test/" });
    assert.equal(await seenBy(ann, service), null);
    for (const query of ["", "?code=", "?code=AAAAAAAAAAAAAAAAAAAAAA"]) {
      await mallory.open(`${service.url}/sso/accept/${query}`);
      assert.equal(await seenBy(mallory, service), null);
    }
  });

  test(`${name}: a sign-in that has been used signs nobody in again`, async () => {
    const { service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    await browser.open(`${service.url}/sso/accept/`);
    assert.doesNotMatch(browser.page.text, /For <b>/);
    const stranger = new Browser();
    await stranger.open(`${service.url}/sso/accept/`);
    assert.equal(await seenBy(stranger, service), null);
  });

  test(`${name}: nobody but the gateway can send it events`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    const members = { user_identy: person.email, is_staff: true, is_superuser: true };
    const wrong = `whsec_${randomBytes(32).toString("base64")}`;
    const forgeries = [
      { token: "x".repeat(service.token.length), secret: wrong },
      { token: "", secret: wrong },
      { token: undefined, secret: wrong },
      { token: service.token.slice(0, -1), secret: wrong },
      { token: `${service.token}x`, secret: wrong },
      { token: [service.token], secret: wrong },
      { token: true, secret: wrong },
      { token: 0, secret: wrong },
    ];
    for (const forged of forgeries) {
      const token = forged.token === undefined ? null : forged.token;
      const answer = await sendEvent(service, "update_account", members, { ...forged, token });
      assert.ok(!isTaken(answer) && answer.status < 500, `${JSON.stringify(forged)}: ${answer}`);
    }
    const hour = 3600 * 1000;
    if (service.dialect === "webhook") {
      for (const sent of [Date.now() - hour, Date.now() + hour]) assert.equal((await sendEvent(service, "update_account", members, { sent })).status, 401);
      const changed = await sendEvent(service, "update_account", members, { change: (body) => body.replace(person.email, `x${person.email}`) });
      assert.equal(changed.status, 401);
    }
    assert.deepEqual(await seenBy(browser, service), { identity: person.email, staff: false, superuser: false });
    assert.ok(isTaken(await sendEvent(service, "update_account", members)));
    assert.deepEqual(await seenBy(browser, service), { identity: person.email, staff: true, superuser: true });
  });

  test(`${name}: an event that is no JSON object, or too long, is refused`, async () => {
    const { service } = stage();
    for (const body of ["", "{", "[]", "null", '"text"', "1", `{"a":"${"x".repeat(100_000)}"}`]) {
      const answer = await sendEvent(service, "update_account", { user_identy: "a" }, { change: () => body, secret: "AAAA" });
      assert.ok(answer.status >= 400 && answer.status < 500, `${body.slice(0, 20)}: ${answer}`);
    }
  });

  test(`${name}: an event that comes twice does no harm`, async () => {
    const { service } = stage();
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    const members = { user_identy: person.email, is_active: true, is_staff: true, is_superuser: false };
    for (let i = 0; i < 2; i++) assert.ok(isTaken(await sendEvent(service, "update_account", members)));
    assert.equal((await seenBy(browser, service))?.staff, true);
    for (let i = 0; i < 2; i++) assert.ok(isTaken(await sendEvent(service, "deauthenticate", { user_identy: person.email })));
    assert.equal(await seenBy(browser, service), null);
  });

  test(`${name}: another site cannot sign a user out`, async () => {
    const { service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    const logout = `/logout${service.report.endsWith("/") ? "/" : ""}`;
    await browser.open(`${service.url}${logout}`, { from: "http://evil.test/" });
    assert.notEqual(await seenBy(browser, service), null);
    const cookies = browser.cookies(service.url).join("; ");
    for (const site of ["cross-site", "same-site"]) {
      const answer = await send({
        port: Number(new URL(service.url).port),
        method: "POST",
        path: logout,
        headers: [
          ["Host", new URL(service.url).host],
          ["Origin", "http://evil.test"],
          ["Sec-Fetch-Site", site],
          ["Content-Type", "application/x-www-form-urlencoded"],
          ["Cookie", cookies],
        ],
        body: "csrf=x",
      });
      assert.equal(answer.status, 403, String(answer));
    }
    assert.notEqual(await seenBy(browser, service), null);
  });

  test(`${name}: who signs out is signed out there even if the gateway does not answer`, async () => {
    const { service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    await browser.open(`${service.url}/`);
    const form = browser.form(/^\/logout\/?$/);
    await gateway.admin("PATCH", `/api/sso/services/${service.id}`, { enabled: false });
    try {
      await browser.submit(form);
      assert.equal(await seenBy(browser, service), null);
    } finally {
      await gateway.admin("PATCH", `/api/sso/services/${service.id}`, { enabled: true });
    }
  });

  test(`${name}: what stands in an address is text on its pages`, async () => {
    const { service } = stage();
    const browser = await signedIn(gateway, service, await gateway.person());
    for (const place of ["/", "/reports/"]) {
      await browser.open(`${service.url}${place}${encodeURIComponent("<script>alert(1)<")}`);
      assert.doesNotMatch(browser.page.text, /<script>alert/);
    }
  });
}

/**
 * The session cookie as it is sent.
 * @param {Browser} browser
 * @param {Service} service
 * @param {string} name
 */
function sessionOf(browser, service, name) {
  const pair = browser.cookies(service.url).find((cookie) => cookie.startsWith(`${name}=`));
  assert.ok(pair, `no session cookie ${name}: ${browser.cookies(service.url)}`);
  return pair;
}

test("not even the gateway can send a browser of an example to another host", async () => {
  for (const service of Object.values(services)) {
    const person = await gateway.person();
    const browser = await signedIn(gateway, service, person);
    for (const next_url of [...ELSEWHERE, 7, null, ["/reports/7"]]) {
      browser.forget(service.url);
      gateway.lie("get", { authenticated: true, user_identy: person.email, next_url });
      await browser.open(service.report);
      assert.equal(browser.url, `${service.url}/`, String(next_url));
      assert.equal((await seenBy(browser, service))?.identity, person.email);
    }
  }
});

test("service-node: a service verifies events while the secret that signs them is being replaced", async () => {
  const service = services["service-node"];
  await gateway.admin("POST", `/api/sso/services/${service.id}/rotate`, { what: "webhook_secret", overlap: 3600 });
  await signedIn(gateway, service, await gateway.person());
});

test("two sign-ins that were begun in two tabs both succeed", async () => {
  for (const service of Object.values(services)) {
    const person = await gateway.person();
    const browser = new Browser();
    await browser.open(service.report);
    const [first, form] = [browser.url, browser.form(/^\/login\/?$/)];
    await browser.open(`${service.report}?tab=2`);
    assertAtLogin(browser, gateway);
    assert.notEqual(browser.url, first);
    await browser.submit(form, { username: person.email, password: person.password });
    assertReport(browser, service, person);
  }
});

test("one sign-in opens all three examples, and one sign-out closes them", async () => {
  const person = await gateway.person();
  const browser = await signedIn(gateway, services["service-node"], person);
  for (const service of Object.values(services)) {
    await browser.open(service.report);
    assertReport(browser, service, person);
  }
  await signOutAtGateway(browser, gateway);
  for (const service of Object.values(services)) await untilSignedOut(browser, service);
});
