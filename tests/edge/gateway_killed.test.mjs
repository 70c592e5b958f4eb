// A runtime that is killed at any step of a sign-in, of a change that services are told of, or of a password's link: nothing is
// lost, what counts once happens once, and a reload of the page goes on. And a service that is down meanwhile.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { AT_GATEWAY, Browser, call, newPerson, newService, obtain, PASSWORD, SESSION, withGateway } from "./lib/gateway.mjs";
import { OK, startReceiver } from "./lib/receiver.mjs";
import { startWorld, until } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Person, Registered } from "./lib/gateway.mjs" */
/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** Calls after which something is another than before, in a Durable Object or at the service. What KV gets is in killed.test.mjs. */
const WRITES = ["once.acquire", "record.change", "outbox.call", "attempts.attempt", "attempts.hash", "fetch"];
const ANOTHER = "another horse battery";

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Site} */
let app;
/** @type {Receiver} */
let receiver;
/** @type {Registered} */
let wiki;
/** @type {Person} */
let ada;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-gateway-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/slow.js", import.meta.url)), script);
  receiver = await startReceiver();
  world = await startWorld(withGateway({ script, edgeward: { user_cache: 1 }, sites: { APP: AT_GATEWAY } }));
  [gateway, app] = [world.site("GATEWAY"), world.site("APP")];
  wiki = await newService(gateway, receiver.url);
  ada = await newPerson(gateway);
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const state = async () => (await app.client("/__test/state")).json;
/** @param {object} plan */
const slow = (plan) => app.send("POST", "/__test/slow", { body: JSON.stringify({ without: "api_token_used:", ...plan }) });
/** @param {string} sso */
const asked = (sso) => ({ token: wiki.token, authentication_token: sso });
/** @param {Answer} answer */
const isAccepted = (answer) => answer.status === 303 && answer.target.endsWith("/sso/accept/");
/**
 * What a service was told of somebody, by kind; each event once, however often it came.
 * @param {string} email
 */
function toldOf(email) {
  const about = receiver.of(wiki.path).filter(({ raw }) => raw.includes(email));
  return [...new Map(about.map(({ id, body }) => [id, body])).values()];
}

/** Waits until nothing is written any more of what others have left. */
const quiet = () =>
  until(async () => {
    await slow({});
    await new Promise((resolve) => setTimeout(resolve, 300));
    return !(await state()).calls.some((/** @type {string} */ name) => WRITES.includes(name));
  }, 20);

/** A person of whom a service was told, and how often. */
async function known() {
  const person = await newPerson(gateway);
  // The password has ended all sessions.
  await until(() => toldOf(person.email).some(({ type }) => type === "deauthenticate"));
  return { person, before: toldOf(person.email).length };
}

/** The browser goes on with the same sign-in, and the service signs its person in. @param {{ sso: string, browser: Browser, person: Person }} prepared */
async function finishes({ sso, browser, person }) {
  const page = await browser.open(gateway, `/login/?sso=${sso}`);
  const sent = isAccepted(page) ? page : await browser.submit(gateway, "/login/", { username: person.email, password: person.password });
  assert.ok(isAccepted(sent), String(sent));
  const got = (await call(gateway, "get", asked(sso))).json;
  assert.deepEqual(got, { authenticated: true, user_identy: person.email, next_url: "/deep?x=1" });
  assert.deepEqual((await call(gateway, "make_used", asked(sso))).json, { ok: true });
  assert.equal((await call(gateway, "make_used", asked(sso))).status, 404);
  await until(() => toldOf(person.email).some(({ type }) => type === "update_account"));
}

const begin = async () => ({ sso: await obtain(gateway, wiki, { next_url: "/deep?x=1" }), browser: new Browser(world), person: ada });
/** A browser that has the sign-in page open. */
async function opened() {
  const prepared = await begin();
  await prepared.browser.open(gateway, `/login/?sso=${prepared.sso}`);
  return prepared;
}
/** The service can sign the person in. */
async function entered() {
  const prepared = await opened();
  assert.ok(isAccepted(await prepared.browser.submit(gateway, "/login/", { username: ada.email, password: ada.password })));
  return prepared;
}

/**
 * What is called, and what has to hold after the runtime was killed. `made`: whether the call that was killed must have had its
 * effect, `moment`: where.
 * @template Prepared
 * @param {object} parts
 * @param {() => Promise<Prepared>} parts.prepare
 * @param {(prepared: Prepared) => Promise<Answer>} parts.call
 * @param {(prepared: Prepared, made: { name: string, nth: number, mode: string }) => Promise<unknown>} parts.holds
 */
const operation =
  ({ prepare, call, holds }) =>
  async () => {
    const prepared = await prepare();
    return { call: () => call(prepared), holds: (/** @type {{ name: string, nth: number, mode: string }} */ moment) => holds(prepared, moment) };
  };

let named = 0;
const OPERATIONS = {
  "a service asks for a sign-in": operation({
    prepare: async () => new Browser(world),
    call: () => call(gateway, "obtain", { token: wiki.token, next_url: "/deep?x=1" }),
    holds: async () => finishes(await begin()),
  }),
  "a browser opens the sign-in page": operation({
    prepare: async () => {
      const prepared = await begin();
      await prepared.browser.open(gateway, "/login/");
      return prepared;
    },
    call: ({ sso, browser }) => browser.open(gateway, `/login/?sso=${sso}`),
    holds: finishes,
  }),
  "a person signs in": operation({
    prepare: opened,
    call: ({ browser, person }) => browser.submit(gateway, "/login/", { username: person.email, password: person.password }),
    holds: finishes,
  }),
  "a person who is signed in goes through": operation({
    prepare: async () => {
      const prepared = await begin();
      await prepared.browser.signIn(gateway, ada);
      return prepared;
    },
    call: ({ sso, browser }) => browser.open(gateway, `/login/?sso=${sso}`),
    holds: finishes,
  }),
  "a service uses a sign-in": operation({
    prepare: entered,
    call: ({ sso }) => call(gateway, "make_used", asked(sso)),
    holds: async ({ sso, browser, person }, { mode }) => {
      const again = await call(gateway, "make_used", asked(sso));
      assert.equal(again.status, mode === "lost" ? 404 : 200, String(again));
      // Whoever was not told begins anew, and the person sees no form.
      const next = await begin();
      assert.ok(isAccepted(await browser.open(gateway, `/login/?sso=${next.sso}`)));
      await finishes({ ...next, browser, person });
    },
  }),
  "a site uses a code": operation({
    prepare: async () => {
      const browser = new Browser(world);
      await browser.signIn(gateway, ada);
      const sent = await browser.open(app, "/deep");
      const back = await browser.open(gateway, sent.target.slice(gateway.origin.length));
      return { browser, code: back.target.slice(app.origin.length) };
    },
    call: ({ browser, code }) => browser.open(app, code),
    holds: async ({ browser, code }, { name, mode }) => {
      const isUsed = name !== "once.acquire" || mode === "lost";
      const again = await browser.open(app, code);
      if (isUsed) assert.equal(again.cookie(SESSION), undefined, String(again));
      // Going to the site again is enough.
      let answer = await browser.open(app, "/deep");
      for (let hops = 0; answer.status === 303 && hops < 6; hops += 1) {
        const site = answer.target.startsWith(gateway.origin) ? gateway : app;
        answer = await browser.open(site, answer.target.slice(site.origin.length));
      }
      assert.equal(answer.seen.path, "/deep");
    },
  }),
  "a user is disabled": operation({
    prepare: known,
    call: ({ person }) => app.admin("PATCH", `/api/sso/users/${person.id}`, { active: false }),
    holds: async ({ person, before }, { name, nth, mode }) => {
      const isMade = name !== "record.change" || nth > 0 || mode === "lost";
      const since = () => toldOf(person.email).slice(before);
      // Nobody asks for anything, and the service is told.
      const isTold = () => until(() => since().some(({ type }) => type === "deauthenticate"), 20);
      if (isMade) await isTold();
      const again = await app.admin("PATCH", `/api/sso/users/${person.id}`, { active: false });
      assert.equal(again.status, 200, String(again));
      await isTold();
      const told = since();
      assert.deepEqual(
        told.map(({ type }) => type),
        ["update_account", "deauthenticate"],
      );
      assert.equal(/** @type {{ is_active: boolean }} */ (told[0].fields).is_active, false);
    },
  }),
  "a person signs out": operation({
    prepare: async () => {
      const { person, before } = await known();
      const browser = new Browser(world);
      await browser.signIn(gateway, person);
      return { person, before, cookie: browser.jar(gateway).header };
    },
    call: ({ cookie }) => gateway.form("/logout/", {}, { cookie }),
    holds: async ({ person, before, cookie }, { name, nth, mode }) => {
      const isTold = () =>
        until(
          () =>
            toldOf(person.email)
              .slice(before)
              .some(({ type }) => type === "deauthenticate"),
          20,
        );
      if (name !== "record.change" || nth > 0 || mode === "lost") await isTold();
      assert.equal((await gateway.form("/logout/", {}, { cookie })).status, 200);
      await isTold();
      await until(async () => (await gateway.navigate("/account/", { cookie })).location === "/login/");
    },
  }),
  "a service is made": operation({
    prepare: async () => {
      const name = `killed-${++named}`;
      return { name, base_url: `${receiver.url}/${name}`, dialect: "fields", token: `token-of-${name}-${"0".repeat(32)}` };
    },
    call: (fields) => app.admin("POST", "/api/sso/services", fields),
    holds: async (fields) => {
      const again = await app.admin("POST", "/api/sso/services", fields);
      assert.ok([201, 400].includes(again.status), String(again));
      const mine = async () =>
        (await app.admin("GET", "/api/sso/services")).json.services.filter((/** @type {{ name: string }} */ { name }) => name === fields.name);
      await until(async () => (await mine()).length === 1);
      const sso = await until(async () => (await call(gateway, "obtain", { token: fields.token, next_url: "/" })).json.token);
      const browser = new Browser(world);
      await browser.signIn(gateway, ada, `?sso=${sso}`);
      // Its queue may have to be told its settings yet: until then the page says that it does not answer.
      await until(async () => isAccepted(await browser.open(gateway, `/login/?sso=${sso}`)), 15);
      assert.equal(receiver.of(`${fields.name}/sso/event/`).at(-1)?.body.token, fields.token);
      assert.equal((await app.admin("DELETE", `/api/sso/services/${(await mine())[0].id}`)).status, 204);
    },
  }),
  "a password is set by a link": operation({
    prepare: async () => {
      const person = await newPerson(gateway);
      const answer = await app.admin("POST", `/api/sso/users/${person.id}/password-link`, {});
      assert.ok(answer.status === 200 || answer.status === 201, String(answer));
      const url = new URL(answer.json.url);
      const browser = new Browser(world);
      await browser.open(gateway, url.pathname + url.search);
      return { person, browser, fields: browser.fields };
    },
    call: ({ browser, fields }) => browser.submit(gateway, "/password/", { ...fields, new: ANOTHER }),
    holds: async ({ person, browser, fields }) => {
      browser.fields = fields;
      const again = await browser.submit(gateway, "/password/", { new: ANOTHER });
      assert.ok(again.status === 303 || again.status === 410, String(again));
      const sent = await new Browser(world).signIn(gateway, { email: person.email, password: ANOTHER });
      assert.deepEqual([sent.status, sent.location], [303, "/account/"], `${again}\n${sent}`);
      const old = await new Browser(world).signIn(gateway, { email: person.email, password: PASSWORD });
      assert.equal(old.status, 403);
      assert.equal((await browser.submit(gateway, "/password/", { ...fields, new: PASSWORD })).status, 410, "the link is over");
    },
  }),
};

for (const [name, prepare] of Object.entries(OPERATIONS)) {
  test(`SEC-70: whenever the runtime is killed while ${name}, nothing is lost and a reload goes on`, async () => {
    const first = await prepare();
    await quiet();
    await first.call();
    const { calls } = await state();
    const seen = WRITES.map((write) => ({ write, count: calls.filter((/** @type {string} */ name) => name === write).length }));
    const moments = seen.flatMap(({ write, count }) => Array.from({ length: count }, (_, nth) => ({ name: write, nth })));
    assert.ok(moments.length > 0, `no write was seen: ${calls}`);
    for (const moment of moments) {
      for (const mode of ["before", "lost"]) {
        const prepared = await prepare();
        await quiet();
        await slow({ ...moment, mode, ms: 600_000 });
        // Nobody will answer.
        prepared.call().catch(() => {});
        await until(async () => (await state()).begun).catch((error) => assert.fail(`${moment.name} ${moment.nth} ${mode}: ${error.message}`));
        await world.kill();
        await prepared.holds({ ...moment, mode }).catch((error) => {
          error.message = `${moment.name} ${moment.nth} ${mode}: ${error.message}`;
          throw error;
        });
      }
    }
    console.log(`${name}: killed before and after ${moments.map(({ name, nth }) => `${name} ${nth}`).join(", ")}`);
  });
}

test("SEC-70: a service that is down during the push gets the person when it is back, and the person tries again", async () => {
  await slow({});
  const person = await newPerson(gateway);
  receiver.answers.set(`/${wiki.path}`, () => ({ status: 503 }));
  const sso = await obtain(gateway, wiki, { next_url: "/deep?x=1" });
  const browser = new Browser(world);
  const sent = await browser.signIn(gateway, person, `?sso=${sso}`);
  assert.deepEqual([sent.status, sent.location], [303, `/welcome/?fallback=true&sso=${sso}`], String(sent));
  const page = await browser.open(gateway, sent.target);
  assert.match(page.text, new RegExp(`href="/login/\\?sso=${sso}"`));
  // Another browser is told nothing of the service.
  assert.ok(!(await new Browser(world).open(gateway, sent.target)).text.includes('href="/login/?sso='));
  // The service could ask already, but it does not know the person.
  assert.ok(!isAccepted(await browser.open(gateway, `/login/?sso=${sso}`)));
  receiver.answers.delete(`/${wiki.path}`);
  assert.ok(isAccepted(await browser.open(gateway, `/login/?sso=${sso}`)));
  await finishes({ sso, browser, person });
});

test("SEC-70: what a service missed while it was down comes in order after a restart, and no request is needed", async () => {
  await slow({});
  const person = await newPerson(gateway);
  await until(() => toldOf(person.email).some(({ type }) => type === "deauthenticate"));
  let isDown = true;
  receiver.answers.set(`/${wiki.path}`, ({ raw }) => (isDown && raw.includes(person.email) ? { status: 502 } : OK));
  for (const change of [{ staff: true }, { active: false }]) assert.equal((await app.admin("PATCH", `/api/sso/users/${person.id}`, change)).status, 200);
  const before = toldOf(person.email).length;
  await world.kill();
  isDown = false;
  const taken = () => receiver.of(wiki.path).filter(({ raw, at }) => raw.includes(person.email) && at > up);
  const up = Date.now();
  await until(() => taken().some(({ body }) => body.type === "deauthenticate"), 20);
  const kinds = taken().map(({ body }) => [body.type, /** @type {{ is_active?: boolean } | undefined} */ (body.fields)?.is_active]);
  assert.deepEqual(kinds.slice(-2), [
    ["update_account", false],
    ["deauthenticate", undefined],
  ]);
  assert.ok(toldOf(person.email).length >= before);
  receiver.answers.delete(`/${wiki.path}`);
});
