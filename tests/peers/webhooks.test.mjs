// Receivers of Standard Webhooks, by the packages of that name in npm and PyPI: they take our events, and refuse those that
// somebody else has made, changed or kept.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { startReceiver } from "../edge/lib/receiver.mjs";
import { withGateway } from "../edge/lib/gateway.mjs";
import { startWorld, until } from "../edge/lib/world.mjs";
import { installNpm, startPython } from "./lib/peers.mjs";

/** @import { Received, Receiver } from "../edge/lib/receiver.mjs" */
/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Python } from "./lib/peers.mjs" */
/** @typedef {{ event?: unknown, refused?: string }} Verified */

const MINUTE = 60_000;

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Receiver} */
let receiver;
/** @type {Python} */
let python;
/** @type {Record<string, (secret: string, payload: string, headers: Record<string, string>) => Verified | Promise<Verified>>} */
const peers = {};
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-webhooks-"));
  await installNpm();
  python = await startPython();
  const { Webhook } = await import("standardwebhooks");
  peers.npm = (secret, payload, headers) => {
    try {
      return { event: new Webhook(secret).verify(payload, headers) };
    } catch (error) {
      return { refused: String(error) };
    }
  };
  peers.PyPI = (secret, payload, headers) => python.call("verify_webhook", { secret, payload, headers });
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("../edge/lib/queued.js", import.meta.url)), script);
  receiver = await startReceiver();
  receiver.answers.set("/hook", () => ({ status: 204 }));
  world = await startWorld(withGateway({ script }));
  app = world.site("APP");
  await tell({ call: "configure", version: 1, url: `${receiver.url}/hook`, enabled: true, dialect: "webhook" });
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
  await python?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {object} call */
const tell = (call) => app.send("POST", "/__test/outbox", { body: JSON.stringify({ service: "svc_hook", call }) });
const newSecret = () => `whsec_${randomBytes(32).toString("base64")}`;
let events = 0;
const BODY = { type: "update_account", fields: { user_identy: "Zoë 🦊", is_active: true } };
/**
 * An event as it comes, sent at `ahead` milliseconds from now.
 * @param {number} [ahead]
 * @returns {Promise<Received>}
 */
async function nextEvent(ahead = 0) {
  await app.send("POST", "/__test/settings", { body: JSON.stringify({ ahead }) });
  const id = `msg_${++events}`;
  await tell({ call: "push", events: [{ id, user: "anna", kind: "update_account", body: BODY }] });
  return until(() => receiver.all.find((event) => event.id === id));
}
/** @param {Received} event */
const headersOf = ({ headers }) => Object.fromEntries(["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => [name, headers.need(name)]));

test("SEC-70: packages for Standard Webhooks take our events, and refuse a changed byte, another secret, and what is old", async () => {
  const [old, secret, stranger] = [newSecret(), newSecret(), newSecret()];
  await tell({ call: "credentials", secret: old, until: 0 });
  await tell({ call: "credentials", secret, until: Date.now() + 60 * MINUTE });
  const event = await nextEvent();
  const { raw } = event;
  const headers = headersOf(event);
  const late = await nextEvent(-10 * MINUTE);
  const early = await nextEvent(10 * MINUTE);
  for (const [name, verify] of Object.entries(peers)) {
    // During the overlap of two secrets, a receiver that has either of them takes it.
    for (const known of [secret, old]) assert.deepEqual(await verify(known, raw, headers), { event: BODY }, name);
    assert.match((await verify(stranger, raw, headers)).refused ?? "", /No matching signature/i, name);
    assert.match((await verify(secret, raw.replace("true", "True"), headers)).refused ?? "", /No matching signature/i, name);
    assert.match((await verify(secret, `${raw} `, headers)).refused ?? "", /No matching signature/i, name);
    assert.match((await verify(secret, raw, { ...headers, "webhook-id": "msg_other" })).refused ?? "", /No matching signature/i, name);
    const moved = { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) };
    assert.match((await verify(secret, raw, moved)).refused ?? "", /No matching signature/i, name);
    assert.match((await verify(secret, late.raw, headersOf(late))).refused ?? "", /too old/i, name);
    assert.match((await verify(secret, early.raw, headersOf(early))).refused ?? "", /too new/i, name);
  }
});

test("SEC-70: each attempt is signed anew, so an event that was down for long is taken", async () => {
  const secret = newSecret();
  await tell({ call: "credentials", secret, until: 0 });
  receiver.answers.set("/hook", (_, times) => ({ status: times === 1 ? 500 : 204 }));
  // As if the first attempt had been an hour ago.
  const first = await nextEvent(-60 * MINUTE);
  await app.send("POST", "/__test/settings", { body: JSON.stringify({ ahead: 0 }) });
  await tell({ call: "status" });
  const second = await until(() => receiver.all.filter(({ id }) => id === first.id)[1], 10);
  assert.equal(second.raw, first.raw);
  for (const [name, verify] of Object.entries(peers)) {
    assert.match((await verify(secret, first.raw, headersOf(first))).refused ?? "", /too old/i, name);
    assert.deepEqual(await verify(secret, second.raw, headersOf(second)), { event: BODY }, name);
  }
});

test("SEC-70: an event that was encrypted meanwhile, because it holds a link, is taken as it was made, in each attempt", async () => {
  const secret = newSecret();
  await tell({ call: "credentials", secret, until: 0 });
  receiver.answers.set("/hook", (_, times) => ({ status: times === 1 ? 500 : 204 }));
  const body = { type: "password_link", data: { url: "https://login.example.com/password/?token=abc", user_identy: "Zoë 🦊" } };
  const [id, end] = [`msg_${++events}`, Date.now() + 60 * MINUTE];
  await tell({ call: "push", events: [{ id, user: "zoe", kind: "password_link", body, until: end }] });
  await until(() => receiver.all.find((event) => event.id === id));
  await app.send("POST", "/__test/settings", { body: JSON.stringify({ ahead: 10_000 }) });
  await tell({ call: "status" });
  const [first, second] = await until(() => {
    const both = receiver.all.filter((event) => event.id === id);
    return both.length === 2 && both;
  }, 10);
  assert.equal(first.raw, second.raw);
  for (const [name, verify] of Object.entries(peers)) assert.deepEqual(await verify(secret, second.raw, headersOf(second)), { event: body }, name);
});
