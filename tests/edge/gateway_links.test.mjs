// Links to set a password, from the admin's call to the service and the mailbox that get them: a link is a credential, so it
// is nowhere else, and nobody gets it late.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { Browser, newPerson, newService, PASSWORD, withGateway } from "./lib/gateway.mjs";
import { startReceiver } from "./lib/receiver.mjs";
import { containing } from "./lib/stored.mjs";
import { newEmail, newSecret, startWorld, until } from "./lib/world.mjs";

/** @import { Registered } from "./lib/gateway.mjs" */
/** @import { Received, Receiver } from "./lib/receiver.mjs" */
/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */
/** @typedef {{ url: string, expires_at: number, sent: { service: string, mail: string } }} Made */

const DAY = 86_400_000;
/** A name that a header, a mail client or a page could take for something else. */
const NAME = 'Wiki "&<b>" ümläut\r\nBcc: eve@example.net';
const MAILABLE = "mailable@example.test";

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Receiver} */
let receiver;
/** @type {Registered} */
let service;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-links-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/queued.js", import.meta.url)), script);
  receiver = await startReceiver();
  const options = { script, edgeward: { log: "all" }, mail: { allowedDestinationAddresses: [MAILABLE] } };
  world = await startWorld(withGateway(options));
  gateway = world.site("GATEWAY");
  // It is told links of people who may not enter it.
  service = await newService(gateway, receiver.url, { dialect: "webhook", access: { users: [] } });
  const settings = { name: NAME, link_service: service.id, mail_from: "login@example.test" };
  await world.restart(withGateway(options, settings));
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {object} settings */
const set = async (settings) => assert.equal((await gateway.send("POST", "/__test/settings", { body: JSON.stringify(settings) })).status, 200);
/** @param {object} call */
const tell = async (call) => (await gateway.send("POST", "/__test/outbox", { body: JSON.stringify({ service: service.id, call }) })).json;
beforeEach(async () => {
  receiver.answers.delete(`/${service.path}`);
  // What an earlier test has left is over by then.
  await set({ ahead: 2 * DAY, faults: 0, deaf: false, stuck: false });
  await tell({ call: "status" });
  await emptied();
  await discardAll();
  await set({ ahead: 0 });
});

/**
 * @param {Pick<User, "id">} user
 * @param {object} [body]
 * @returns {Promise<Made>}
 */
async function link(user, body) {
  const answer = await gateway.admin("POST", `/api/sso/users/${user.id}/password-link`, body);
  assert.equal(answer.status, 200, String(answer));
  return answer.json;
}
/** @param {string} url */
const tokenOf = (url) => new URL(url).searchParams.get("token") ?? "";
const newUser = () => gateway.createUser({ email: newEmail("linked") });
/** The links that the service was sent. */
const links = () => receiver.of(service.path).filter(({ body }) => body.type === "password_link");
/** @param {Received} event */
const dataOf = ({ body }) => /** @type {Record<string, string>} */ (body.data);
const events = async (/** @type {string} */ state = "waiting") =>
  (await gateway.admin("GET", `/api/sso/services/${service.id}/events?state=${state}`)).json.events;
/** The service takes no link until a test says otherwise. */
const refuseLinks = (body = "") =>
  receiver.answers.set(`/${service.path}`, (event) => (event.body.type === "password_link" ? { status: 500, body } : { status: 200 }));
const emptied = () => until(async () => (await events()).length === 0);
const failedOnce = () => until(async () => (await events())[0]?.attempts === 1);
/** The first dead letter, as soon as there is one. */
const firstDead = () => until(async () => (await events("dead"))[0]);
/** Lets this much time pass for the queue, which then does what is due. @param {number} ahead in milliseconds, from now */
async function pass(ahead) {
  await set({ ahead });
  await tell({ call: "status" });
}
const discardAll = () => gateway.admin("POST", `/api/sso/services/${service.id}/events/discard`, {});

test("the service is told a link, signed, and the person who follows it sets a password", async () => {
  const user = await newUser();
  const made = await link(user, { send: ["service"] });
  assert.deepEqual(made.sent, { service: "queued", mail: "not_asked" });
  const event = await until(() => links().find((event) => dataOf(event).url === made.url));
  const { id, email, expires_at } = dataOf(event);
  assert.deepEqual([id, email, Date.parse(expires_at)], [user.id, user.email, made.expires_at * 1000]);
  const secret = Buffer.from(service.secret.slice("whsec_".length), "base64");
  const signed = `${event.id}.${event.headers.get("webhook-timestamp")}.${event.raw}`;
  assert.equal(event.headers.get("webhook-signature"), `v1,${createHmac("sha256", secret).update(signed).digest("base64")}`);
  const browser = new Browser(world);
  const { pathname, search } = new URL(made.url);
  assert.equal((await browser.open(gateway, pathname + search)).status, 200);
  assert.equal((await browser.submit(gateway, "/password/", { new: PASSWORD })).status, 303);
});

test("SEC-63: a link is in no log, no listing and no file, while it waits in the writer, in the queue and as a dead letter", async () => {
  const user = await newUser();
  refuseLinks();
  await set({ deaf: true });
  const made = await link(user);
  assert.equal(made.sent.service, "queued");
  const canaries = [made.url, tokenOf(made.url)];
  const kept = () => containing(world.folder, canaries);
  assert.deepEqual(kept(), [], "in the writer");
  await set({ deaf: false });
  await until(async () => (await events()).length === 1, 20);
  assert.deepEqual(kept(), [], "in the queue");
  assert.ok(containing(world.folder, [(await events())[0].id]).length > 0, "it is kept");
  for (let ahead = 0; (await events("dead")).length === 0; ahead += 3_600_000) {
    await pass(ahead);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(ahead < 2 * DAY, JSON.stringify(await events()));
  }
  assert.deepEqual(kept(), [], "as a dead letter");
  const listed = [await events("dead"), (await gateway.admin("GET", `/api/sso/services/${service.id}`)).json];
  await world.settled();
  const told = JSON.stringify([listed, world.logs]);
  for (const canary of canaries) assert.ok(!told.includes(canary));
  assert.ok(!JSON.stringify(await world.kvEntries()).includes(tokenOf(made.url)));
  await discardAll();
});

test("SEC-63: a receiver that repeats the link in its answer does not bring it into a listing", async () => {
  const user = await newUser();
  const made = await link(user, { send: [] });
  assert.deepEqual(made.sent, { service: "not_asked", mail: "not_asked" });
  receiver.answers.set(`/${service.path}`, ({ raw }) => ({ status: 500, body: raw + encodeURIComponent(raw) }));
  const sent = await link(user, { send: ["service"] });
  const [event] = await until(async () => {
    const all = await events();
    return all[0]?.last_error && all;
  });
  assert.equal(event.last_error, "the answer is not kept: it may repeat the link");
  assert.ok(!JSON.stringify(await tell({ call: "list", dead: false, limit: 100 })).includes(tokenOf(sent.url)));
  receiver.answers.delete(`/${service.path}`);
  await pass(60_000);
  await emptied();
});

test("SEC-85: a link that has expired is not delivered, and becomes a dead letter that cannot be sent again", async () => {
  const user = await newUser();
  refuseLinks();
  const made = await link(user, { send: ["service"] });
  await failedOnce();
  const [{ id }] = await events();
  receiver.answers.delete(`/${service.path}`);
  await pass(DAY + 1_000);
  const dead = await firstDead();
  assert.deepEqual([dead.id, dead.kind, dead.last_error], [id, "password_link", "the link has expired"]);
  const resend = () => gateway.admin("POST", `/api/sso/services/${service.id}/events/resend`, { id });
  await resend();
  await until(async () => (await events("dead")).length === 1 && (await events()).length === 0);
  // Nor when the clock goes back: nothing of it is left.
  await set({ ahead: 0 });
  await resend();
  await until(async () => (await events("dead")).length === 1 && (await events()).length === 0);
  assert.deepEqual(
    links()
      .filter((event) => dataOf(event).url === made.url)
      .map(({ id }) => id),
    [id],
    "only the attempt that failed",
  );
  await discardAll();
});

test("SEC-85: a newer link takes the place of the one that waits, and others of the user stay", async () => {
  const person = await newPerson(gateway);
  const other = await newUser();
  await emptied();
  refuseLinks();
  const first = await link(person, { send: ["service"] });
  await failedOnce();
  const elsewhere = await link(other, { send: ["service"] });
  await until(async () => (await events()).length === 2);
  const second = await link(person, { send: ["service"] });
  const waiting = await events();
  assert.equal(waiting.length, 2);
  receiver.answers.delete(`/${service.path}`);
  await pass(60_000);
  await emptied();
  const delivered = links().filter(({ id }) => waiting.some((/** @type {{ id: string }} */ event) => event.id === id));
  const urls = new Set(delivered.map((event) => dataOf(event).url));
  assert.deepEqual([urls.has(first.url), urls.has(second.url), urls.has(elsewhere.url)], [false, true, true]);
});

test("SEC-85: a link is told to no service that has changed its dialect meanwhile", async () => {
  const user = await newUser();
  refuseLinks();
  const made = await link(user, { send: ["service"] });
  await failedOnce();
  const attempts = links().filter((event) => dataOf(event).url === made.url).length;
  const change = (/** @type {object} */ body) => gateway.admin("PATCH", `/api/sso/services/${service.id}`, body);
  assert.equal((await change({ dialect: "fields" })).status, 200);
  receiver.answers.delete(`/${service.path}`);
  assert.equal((await link(user, { send: ["service"] })).sent.service, "unavailable");
  await pass(60_000);
  const dead = await firstDead();
  assert.equal(dead.last_error, "the service's dialect has no such event");
  assert.equal(links().filter((event) => dataOf(event).url === made.url).length, attempts);
  assert.equal((await change({ dialect: "webhook" })).status, 200);
  await discardAll();
});

test("SEC-85: a link whose key secret is gone is not sent, and not in the clear", async () => {
  const user = await newUser();
  refuseLinks();
  const made = await link(user, { send: ["service"] });
  await failedOnce();
  const { key, ...others } = world.secrets;
  const newer = newSecret();
  await world.restart({ secrets: { ...others, key: { ...key, 2: newer } } });
  // The credentials are encrypted anew by that; links are not, since they end within a day.
  await tell({ call: "status" });
  await world.restart({ secrets: { ...others, key: { 2: newer } } });
  receiver.answers.delete(`/${service.path}`);
  await pass(60_000);
  const dead = await firstDead();
  assert.equal(dead.last_error, "it is encrypted with a key secret that is not configured");
  assert.equal(links().filter((event) => dataOf(event).url === made.url).length, 1);
  await world.restart({ secrets: { ...others, key: { ...key, 2: newer } } });
  await discardAll();
});

test("a link is mailed as text and as a page, under the gateway's name, and the name adds no header and no element", async () => {
  const user = await gateway.createUser({ email: MAILABLE });
  const before = world.mails.length;
  const made = await link(user, { send: ["mail"] });
  assert.deepEqual(made.sent, { service: "not_asked", mail: "sent" });
  await until(() => world.mails.length > before);
  const { head, text, html } = world.mails[before];
  const name = 'Wiki "&<b>" ümläut Bcc: eve@example.net';
  assert.deepEqual(head.split("\n"), [`From: ${JSON.stringify(name)} <login@example.test>`, `To: ${MAILABLE}`, `Subject: Set your password for ${name}`]);
  assert.ok(text.includes(`\n\n${made.url}\n\n`), text);
  assert.ok(html.includes(`href="${made.url}"`), html);
  assert.ok(!html.includes("<b>"), html);
});

test("SEC-63: a mail that is not taken is told to the admin, who still gets the link, and the log has no address", async () => {
  const user = await newUser();
  const made = await link(user);
  assert.deepEqual(made.sent, { service: "queued", mail: "failed" });
  assert.ok(made.url.includes("/password/?token="));
  await until(() => links().some((event) => dataOf(event).url === made.url));
  await world.settled();
  const faults = world.events("fault").map(({ reason }) => reason);
  assert.ok(faults.includes("a mail was not sent: Error"), faults.join());
  const log = JSON.stringify(world.logs);
  for (const canary of [user.email, made.url, tokenOf(made.url)]) assert.ok(!log.includes(canary), canary);
});
