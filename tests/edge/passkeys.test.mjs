// Passkeys in the built Worker: an authenticator of node:crypto adds them and signs in with them. The signatures of each
// algorithm are verified by the runtime's WebCrypto, and what must happen once is settled by the real Durable Objects.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { rowsAbout } from "./lib/audit.mjs";
import { ALGORITHMS, addPasskey, newPasskey, optionsOf, signInForm } from "./lib/authenticator.mjs";
import { Browser, newPerson, SESSION, withGateway } from "./lib/gateway.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Passkey, Place } from "./lib/authenticator.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Place} */
let place;
before(async () => {
  world = await startWorld(withGateway({ isolates: 4 }, { passkeys: { rp_id: "example.test" } }));
  gateway = world.site("GATEWAY");
  place = { rpId: "example.test", origin: `http://${gateway.host}` };
});
after(() => world?.stop());

async function signedIn() {
  const person = await newPerson(gateway);
  const browser = new Browser(world);
  assert.equal((await browser.signIn(gateway, person)).status, 303);
  return { person, browser };
}

/** @param {Passkey} passkey */
async function signIn(passkey, browser = new Browser(world)) {
  const options = await optionsOf(browser, gateway, "sign_in");
  return browser.submit(gateway, "/login/", signInForm(passkey, options, place));
}

/** @param {Answer} answer */
const opens = (answer) => answer.cookies.some(({ name, cleared }) => name === SESSION && !cleared);

/** @param {Answer} answer */
function assertRefused(answer) {
  assert.equal(answer.status, 400, String(answer));
  assert.match(answer.text, /passkey_invalid/);
  assert.ok(!opens(answer));
}

test("a passkey of each algorithm is added and signs in, and with one changed bit of the signature it does not", async () => {
  for (const [name, number] of Object.entries(ALGORITHMS)) {
    const { browser } = await signedIn();
    const passkey = newPasskey(number);
    const added = await addPasskey(browser, gateway, passkey, place);
    assert.deepEqual([added.status, added.location], [303, "/account/"], `${name}: ${added}`);
    const visitor = new Browser(world);
    const options = await optionsOf(visitor, gateway, "sign_in");
    const form = signInForm(passkey, options, place);
    const signature = Buffer.from(form.signature, "base64url");
    signature[signature.length - 1] ^= 1;
    assertRefused(await visitor.submit(gateway, "/login/", { ...form, signature: signature.toString("base64url") }));
    const answer = await visitor.submit(gateway, "/login/", form);
    assert.deepEqual([answer.status, answer.location, opens(answer)], [303, "/account/", true], `${name}: ${answer}`);
    assertRefused(await visitor.submit(gateway, "/login/", form));
  }
});

test("SEC-110: of a thousand posts of one assertion at once, over four isolates, one opens a session", async () => {
  const { browser } = await signedIn();
  const passkey = newPasskey();
  assert.equal((await addPasskey(browser, gateway, passkey, place)).status, 303);
  const visitor = new Browser(world);
  const options = await optionsOf(visitor, gateway, "sign_in");
  const form = signInForm(passkey, options, place);
  const isolates = ["edge", "edge-2", "edge-3", "edge-4"].map((name) => world.site("GATEWAY", name));
  const cookie = visitor.jar(gateway).header;
  let opened = 0;
  for (let round = 0; round < 10; round++) {
    const posts = Array.from({ length: 100 }, (_, at) => isolates[at % 4].form("/login/", form, { cookie }));
    for (const answer of await Promise.all(posts)) {
      if (opens(answer)) opened++;
      else assert.ok([400, 429, 503].includes(answer.status), String(answer));
    }
  }
  assert.equal(opened, 1);
});

test("SEC-110: of two copies of a passkey that counts, one passes, and the older one is refused after that", async () => {
  const { browser } = await signedIn();
  const passkey = { ...newPasskey(), counter: 3 };
  assert.equal((await addPasskey(browser, gateway, passkey, place)).status, 303);
  passkey.counter = 4;
  const both = await Promise.all([signIn(passkey), signIn(passkey)]);
  assert.deepEqual(both.map(opens).toSorted(), [false, true]);
  assertRefused(await signIn(passkey));
  passkey.counter = 5;
  assert.ok(opens(await signIn(passkey)));
});

test("a removed passkey signs nobody in, and a deleted user has none", async () => {
  const { person, browser } = await signedIn();
  const passkey = newPasskey();
  assert.equal((await addPasskey(browser, gateway, passkey, place)).status, 303);
  assert.ok(opens(await signIn(passkey)));
  await browser.open(gateway, "/account/");
  const removed = await browser.submit(gateway, "/account/", { action: "remove_passkey", id: passkey.id.toString("base64url") });
  assert.equal(removed.status, 303, String(removed));
  assertRefused(await signIn(passkey));
  assert.equal((await addPasskey(browser, gateway, passkey, place)).status, 303);
  assert.ok(opens(await signIn(passkey)));
  assert.equal((await gateway.admin("DELETE", `/api/sso/users/${person.id}`)).status, 204);
  assertRefused(await signIn(passkey));
});

test("SEC-121: adding, naming and removing a passkey, and signing in with it, have rows", async () => {
  const { person, browser } = await signedIn();
  const passkey = newPasskey();
  assert.equal((await addPasskey(browser, gateway, passkey, place)).status, 303);
  assert.ok(opens(await signIn(passkey)));
  const id = passkey.id.toString("base64url");
  for (const form of /** @type {Record<string, string>[]} */ ([
    { action: "name_passkey", id, passkey_name: "canary-of-a-name" },
    { action: "remove_passkey", id },
  ])) {
    await browser.open(gateway, "/account/");
    assert.equal((await browser.submit(gateway, "/account/", form)).status, 303);
  }
  const rows = await rowsAbout(gateway, person.id);
  const own = rows.filter(({ actor, result }) => actor === person.id && result === "done");
  assert.deepEqual(
    own.map(({ action, method }) => [action, method]),
    [
      ["signed_in", "password"],
      ["passkey.added", undefined],
      ["signed_in", "passkey"],
      ["passkey.changed", undefined],
      ["passkey.removed", undefined],
    ],
  );
  assert.ok(!JSON.stringify(rows).includes("canary-of-a-name"));
});

test("the script is a file of the gateway's own, and the page lets no other run", async () => {
  const page = await new Browser(world).open(gateway, "/login/");
  assert.match(page.headers.need("content-security-policy"), /default-src 'none'; .*script-src 'self'; connect-src 'self'; /);
  assert.match(page.text, /<script type="module" src="\/passkey\.js">/);
  const script = await gateway.send("GET", "/passkey.js");
  assert.deepEqual([script.status, script.headers.need("content-type")], [200, "text/javascript; charset=utf-8"]);
  assert.equal(script.headers.need("x-content-type-options"), "nosniff");
});
