// The queues of events, in workerd: what a service is told, in which order, and that nothing is lost whenever the runtime
// dies or the service is down. Nobody makes a request to wake a queue, unless a test moves the clock.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../../scripts/lib/processes.mjs";
import { bundle } from "../../scripts/lib/build.mjs";
import { withGateway } from "./lib/gateway.mjs";
import { OK, startReceiver } from "./lib/receiver.mjs";
import { containing } from "./lib/stored.mjs";
import { newSecret, startWorld, until } from "./lib/world.mjs";

/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** As documented in docs/storage.md. */
const WAITS = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR];
const TOKEN = "token-of-the-service-4711";
const SECRET = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Receiver} */
let receiver;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-outbox-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/queued.js", import.meta.url)), script);
  receiver = await startReceiver();
  world = await startWorld(withGateway({ script }));
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * @param {string} path
 * @param {object} body
 */
const control = async (path, body) => {
  const answer = await app.send("POST", `/__test/${path}`, { body: JSON.stringify(body) });
  assert.equal(answer.status, 200, String(answer));
  return answer.json;
};
/** @param {object} settings */
const set = (settings) => control("settings", settings);
/**
 * @param {string} service
 * @param {object} call
 */
const tell = (service, call) => control("outbox", { service, call });
/** @param {string} service */
const alarmOf = (service) => control("outbox", { service });
/** @param {object} change */
const change = (change) => control("record", { change });

let ahead = 0;
/**
 * Moves the clock, and lets the queue look at it.
 * @param {string} service
 * @param {number} milliseconds
 */
const wait = async (service, milliseconds) => {
  ahead += milliseconds;
  await set({ ahead });
  await tell(service, { call: "status" });
};
beforeEach(async () => {
  ahead = 0;
  await set({ ahead, faults: 0, deaf: false, stuck: false, begun: false });
});

let services = 0;
/**
 * A service of its own for each test.
 * @param {object} [settings]
 * @param {object} [credentials]
 */
async function newService(settings, credentials) {
  const service = `svc_${++services}`;
  await tell(service, { call: "configure", version: 1, url: `${receiver.url}/${service}`, enabled: true, dialect: "flat", ...settings });
  await tell(service, { call: "credentials", token: TOKEN, secret: SECRET, until: 0, ...credentials });
  return service;
}

let events = 0;
/**
 * @param {string} [user]
 * @param {string} [kind]
 * @param {object} [fields]
 */
function newEvent(user = "anna", kind = "deauthenticate", fields = {}) {
  const id = `msg_${++events}`;
  return { id, user, kind, body: { type: kind, username: user, n: id, ...fields } };
}
/**
 * @param {string} service
 * @param {...{ id: string, user: string, kind: string, body: object }} events
 */
const push = (service, ...events) => tell(service, { call: "push", events });
/** @param {string} service */
const status = (service) => tell(service, { call: "status" });
/**
 * @param {string} service
 * @param {boolean} [dead]
 */
const list = async (service, dead = false) => (await tell(service, { call: "list", dead, limit: 100 })).events;
/**
 * @param {string} service
 * @param {number} count
 */
const arrived = (service, count, seconds = 10) => until(() => receiver.of(service).length >= count, seconds);
/** @param {string} service */
const drained = (service) => until(async () => (await status(service)).waiting === 0, 10);

/**
 * Lets the first event of each user that waits fail until it is a dead letter: `count` of them.
 * @param {string} service
 * @param {number} count
 */
async function die(service, count) {
  /** @param {number} times */
  const failed = async (times) => (await list(service)).filter((/** @type {{ attempts: number }} */ { attempts }) => attempts === times).length === count;
  for (const [n, pause] of WAITS.entries()) {
    await until(() => failed(n + 1));
    await wait(service, pause * 1.25);
  }
  await until(async () => (await status(service)).dead === count);
}

/**
 * Asserts that these came, each at least once, and in this order but for repetitions of the last one.
 * @param {string[]} ids
 * @param {string[]} expected
 */
function assertInOrder(ids, expected) {
  assert.deepEqual(
    ids.filter((id, at) => id !== ids[at - 1]),
    expected,
    ids.join(" "),
  );
}

test("an event reaches its service with the token, signed, and is then gone", async () => {
  const service = await newService();
  const event = newEvent("anna", "update_account", { is_active: true });
  assert.deepEqual(await push(service, event), { queued: 1 });
  await arrived(service, 1);
  const [{ headers, raw, body }] = receiver.of(service);
  assert.deepEqual(body, { type: "update_account", username: "anna", n: event.id, is_active: true, token: TOKEN });
  assert.equal(headers.get("content-type"), "application/json");
  assert.equal(headers.get("webhook-id"), event.id);
  const timestamp = headers.need("webhook-timestamp");
  assert.ok(Math.abs(Number(timestamp) - Date.now() / 1000) < 10, timestamp);
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${event.id}.${timestamp}.${raw}`).digest("base64");
  assert.equal(headers.get("webhook-signature"), `v1,${signature}`);
  await drained(service);
  const { waiting, dead, oldest_at, last_success_at, disabled_by_receiver, blocked } = await status(service);
  assert.deepEqual([waiting, dead, oldest_at, disabled_by_receiver, blocked], [0, 0, null, false, null]);
  assert.ok(Math.abs(last_success_at - Date.now()) < 10_000);
  await until(async () => (await alarmOf(service)) === null);
});

test("SEC-70: what a service takes is what its dialect says, a redirect is never followed, and the event waits otherwise", async () => {
  const html = "<html>ok</html>";
  /** @type {[dialect: string, reply: object, delivered: boolean][]} */
  const cases = [
    ["flat", OK, true],
    ["fields", OK, true],
    ["fields", { status: 200, body: '{"ok": true, "more": 1}' }, true],
    ["flat", { status: 200, body: '{"ok": false}' }, false],
    ["flat", { status: 200, body: '{"ok": "true"}' }, false],
    ["flat", { status: 200, body: '{"error": "nobody has this name"}' }, false],
    ["flat", { status: 200, body: html }, false],
    ["flat", { status: 200, body: "" }, false],
    ["flat", { status: 200, body: "null" }, false],
    ["flat", { status: 201, body: '{"ok": true}' }, false],
    ["flat", { status: 500, body: '{"ok": true}' }, false],
    // More than is read of an answer.
    ["flat", { status: 200, body: `{"ok": true}${" ".repeat(5000)}` }, false],
    ["flat", { status: 302, headers: { location: `${receiver.url}/elsewhere` }, body: '{"ok": true}' }, false],
    ["webhook", { status: 200, body: html }, true],
    ["webhook", { status: 204 }, true],
    ["webhook", { status: 202, body: "x".repeat(1_000_000) }, true],
    ["webhook", { status: 307, headers: { location: `${receiver.url}/elsewhere` } }, false],
    ["webhook", { status: 400 }, false],
  ];
  for (const [dialect, reply, delivered] of cases) {
    const service = await newService({ dialect });
    receiver.answers.set(`/${service}`, () => reply);
    const event = newEvent();
    const answer = await tell(service, { call: "deliver", event, patience: 5000 });
    assert.equal(answer.delivered, delivered, JSON.stringify([dialect, reply, answer]).slice(0, 300));
    assert.equal("token" in receiver.of(service)[0].body, dialect !== "webhook");
    assert.equal((await status(service)).waiting, delivered ? 0 : 1);
  }
  assert.deepEqual(receiver.of("elsewhere"), []);
});

test("the events of a user arrive in order, also if the service fails twice in the middle, and others do not wait for them", async () => {
  const service = await newService();
  const [first, second, third, fourth] = [newEvent("anna"), newEvent("anna"), newEvent("anna"), newEvent("anna")];
  const [others, more] = [newEvent("ben"), newEvent("ben")];
  receiver.answers.set(`/${service}`, ({ id }, times) => (id === second.id && times <= 2 ? { status: 500 } : OK));
  await push(service, first, second, others, third, more);
  await push(service, fourth);
  const ofAnna = () => receiver.ids(service).filter((id) => ![others.id, more.id].includes(id));
  await until(() => ofAnna().length === 2 && receiver.ids(service).length === 4);
  await until(async () => (await list(service))[0].attempts === 1);
  await wait(service, 5 * SECOND * 1.25);
  await until(async () => (await list(service))[0].attempts === 2);
  assert.deepEqual(ofAnna(), [first.id, second.id, second.id]);
  await wait(service, 30 * SECOND * 1.25);
  await drained(service);
  assert.deepEqual(ofAnna(), [first.id, second.id, second.id, second.id, third.id, fourth.id]);
});

test("SEC-70: whenever the runtime is killed, each event arrives, in order, and no request wakes the queue", async () => {
  /**
   * When it is killed, and which of the three events must have come in all; none: each may have come twice.
   * @type {Record<string, (service: string, sent: ReturnType<typeof newEvent>[]) => Promise<number[] | undefined>>}
   */
  const moments = {
    "before the row is there": async (service, sent) => {
      await set({ deaf: true });
      const made = await change({ key: `user:${service}`, to: "1", notify: [{ service, call: { call: "push", events: sent } }] });
      assert.deepEqual(made, { done: true });
      assert.deepEqual(receiver.ids(service), []);
      return [0, 1, 2];
    },
    "as soon as the rows are there": async (service, sent) => {
      await push(service, ...sent);
      return undefined;
    },
    "while an event is sent": async (service, sent) => {
      receiver.answers.set(`/${service}`, ({ id }, times) => (id === sent[1].id && times === 1 ? undefined : OK));
      await push(service, ...sent);
      await arrived(service, 2);
      return [0, 1, 1, 2];
    },
    "while a sign-in waits for its event": async (service, sent) => {
      receiver.answers.set(`/${service}`, ({ id }, times) => (id === sent[2].id && times === 1 ? undefined : OK));
      // Nobody will answer.
      tell(service, { call: "deliver", event: sent[2], patience: 5000 }).catch(() => {});
      await arrived(service, 1);
      return [2, 2];
    },
    "between the answer and the deletion of the row": async (service, sent) => {
      await set({ stuck: true });
      await push(service, ...sent);
      await until(async () => (await set({})).begun);
      assert.deepEqual(receiver.ids(service), [sent[0].id]);
      return [0, 0, 1, 2];
    },
  };
  for (const [name, begin] of Object.entries(moments)) {
    const service = await newService();
    const sent = [newEvent("anna"), newEvent("anna"), newEvent("anna")];
    const expected = await begin(service, sent);
    await world.kill();
    const came = () => receiver.ids(service);
    await until(() => (expected === undefined ? came().includes(sent[2].id) : came().length >= expected.length), 20).catch(() =>
      assert.fail(`${name}: ${came()}`),
    );
    await drained(service);
    const ids = sent.map(({ id }) => id);
    if (expected === undefined) assertInOrder(came(), ids);
    else
      assert.deepEqual(
        came(),
        expected.map((n) => ids[n]),
        name,
      );
  }
});

test("a service that is down for three hours gets its events then, and is asked less and less often", async () => {
  const service = await newService();
  receiver.answers.set(`/${service}`, () => ({ status: 503 }));
  const sent = [newEvent(), newEvent()];
  await push(service, ...sent);
  let attempts = 0;
  let down = 0;
  for (const pause of WAITS) {
    attempts += 1;
    await until(async () => (await list(service))[0].attempts === attempts);
    const [first, second] = await list(service);
    const due = first.next_at - Date.now() - ahead;
    assert.ok(due > pause * 0.75 - 5 * SECOND && due < pause * 1.25, `${due} after attempt ${attempts}`);
    assert.deepEqual([second.attempts, second.next_at], [0, null]);
    assert.equal(receiver.of(service).length, attempts, "nothing else is sent meanwhile");
    if (down > 3 * HOUR) break;
    // Just before it is due nothing happens, and just after it the attempt.
    await wait(service, Math.max(0, due - 3 * SECOND));
    assert.equal(receiver.of(service).length, attempts);
    await wait(service, 4 * SECOND);
    down += due;
  }
  assert.ok(down > 3 * HOUR);
  receiver.answers.delete(`/${service}`);
  await wait(service, 6 * HOUR * 1.25);
  await drained(service);
  assertInOrder(
    receiver.ids(service),
    sent.map(({ id }) => id),
  );
});

test("after about a day an event is a dead letter, those after it go on, and it can be listed, sent again and discarded", async () => {
  const service = await newService();
  const [lost, next] = [newEvent(), newEvent()];
  receiver.answers.set(`/${service}`, ({ id }) => (id === lost.id ? { status: 500, body: "out of\u0000 order \u202e" } : OK));
  const begun = Date.now();
  await push(service, lost, next);
  await die(service, 1);
  await until(() => receiver.ids(service).at(-1) === next.id);
  assert.equal(receiver.ids(service).filter((id) => id === lost.id).length, WAITS.length + 1);
  const [dead] = await list(service, true);
  const { created_at, ...rest } = dead;
  assert.ok(created_at >= begun && created_at <= Date.now());
  assert.deepEqual(rest, { id: lost.id, kind: "deauthenticate", attempts: WAITS.length + 1, next_at: null, last_status: 500, last_error: "out of order" });
  await world.settled();
  assert.equal(world.events("fault").filter(({ id }) => id === lost.id).length, 1);

  assert.deepEqual(await tell(service, { call: "resend", id: "msg_unknown" }), { count: 0 });
  receiver.answers.delete(`/${service}`);
  assert.deepEqual(await tell(service, { call: "resend", id: lost.id }), { count: 1 });
  await until(() => receiver.ids(service).at(-1) === lost.id);
  await drained(service);
  assert.deepEqual(await list(service, true), []);
});

test("dead letters are listed by pages; all of them can be sent again, or discarded", async () => {
  const service = await newService({ url: `http://127.0.0.1:${await freePort()}/` });
  const sent = Array.from({ length: 5 }, (_, n) => newEvent(`user-${n}`));
  await push(service, ...sent);
  await die(service, 5);
  const listed = [];
  for (let cursor = null; ; ) {
    const page = await tell(service, { call: "list", dead: true, limit: 2, cursor });
    listed.push(...page.events);
    cursor = page.cursor;
    if (cursor === null) break;
    assert.equal(page.events.length, 2);
  }
  assert.deepEqual(
    listed.map(({ id, last_status, last_error }) => [id, last_status, last_error]),
    sent.map(({ id }) => [id, null, "no connection, or it broke off"]),
  );
  assert.deepEqual(await tell(service, { call: "discard", id: sent[0].id }), { count: 1 });
  await tell(service, { call: "configure", version: 2, url: `${receiver.url}/${service}`, enabled: true, dialect: "flat" });
  assert.deepEqual(await tell(service, { call: "resend" }), { count: 4 });
  await arrived(service, 4);
  await drained(service);
  assert.deepEqual(
    receiver.ids(service).toSorted(),
    sent
      .slice(1)
      .map(({ id }) => id)
      .toSorted(),
  );
  assert.deepEqual(await tell(service, { call: "discard" }), { count: 0 });
});

test("an alarm that fails goes on soon after", async () => {
  const service = await newService();
  await set({ faults: 3 });
  const event = newEvent();
  await push(service, event);
  await arrived(service, 1, 20);
  assert.equal((await set({})).faults, 0, "it has failed three times");
  await drained(service);
  await world.settled();
  assert.ok(world.events("fault").some(({ reason }) => reason === "an outbox failed: TypeError"));
});

test("SEC-70: ten thousand events for a service that is down delay no other; a full queue gives up dead letters, then refuses", async () => {
  const [down, deaf] = [await newService({ url: `http://127.0.0.1:${await freePort()}/` }), await newService()];
  receiver.answers.set(`/${deaf}`, () => ({ status: 500 }));
  await push(deaf, newEvent());
  await die(deaf, 1);
  receiver.answers.set(`/${deaf}`, () => undefined);
  const many = (/** @type {string} */ prefix, /** @type {number} */ count) => Array.from({ length: count }, (_, n) => newEvent(`${prefix}-${n}`));
  for (const service of [down, deaf]) {
    for (let n = 0; n < 100; n += 1) await push(service, ...many(`${service}-${n}`, 100));
  }
  for (let n = 0; n < 5; n += 1) {
    const other = await newService();
    const begun = performance.now();
    await push(other, newEvent());
    await arrived(other, 1, 2);
    const answer = await tell(other, { call: "deliver", event: newEvent(), patience: 1000 });
    assert.deepEqual(answer, { delivered: true });
    assert.ok(performance.now() - begun < 2000);
  }
  const { waiting } = await status(deaf);
  assert.equal(waiting, 10_000);
  // The sign-in of somebody else is not behind all of them.
  receiver.answers.set(`/${deaf}`, ({ body }) => (body.username === "eve" ? OK : undefined));
  assert.deepEqual(await tell(deaf, { call: "deliver", event: newEvent("eve"), patience: 900 }), { delivered: true });

  await push(deaf, ...many("more", 1999));
  assert.equal((await status(deaf)).dead, 1);
  assert.deepEqual(await push(deaf, newEvent("last")), { queued: 1 });
  assert.equal((await status(deaf)).dead, 0);
  const refused = await push(deaf, newEvent("ida"));
  assert.match(refused.thrown, /the queue is full/);
  assert.equal((await status(deaf)).waiting, 12_000);
});

test("SEC-70: an event that is too long is refused alone, and holds nothing up", async () => {
  const service = await newService();
  const [good, bad] = [newEvent(), newEvent("anna", "update_fields", { text: "x".repeat(64 * 1024) })];
  assert.deepEqual(await push(service, bad, good), { error: "an event is too long" });
  await arrived(service, 1);
  assert.deepEqual(receiver.ids(service), [good.id]);
  assert.deepEqual(await tell(service, { call: "deliver", event: bad, patience: 100 }), { error: "an event is too long" });
  assert.deepEqual(await tell(service, { call: "unheard-of" }), { error: "its name is unknown" });
  // Nor does the writer of a record try it for ever.
  const notify = [bad, newEvent()].map((event) => ({ service, call: { call: "push", events: [event] } }));
  assert.deepEqual(await change({ key: `user:${service}`, to: "1", notify }), { done: true });
  await arrived(service, 2);
});

test("an event that is pushed again is delivered once, as long as its id is kept", async () => {
  const service = await newService();
  const event = newEvent();
  await push(service, event, event);
  await drained(service);
  await push(service, event);
  assert.deepEqual(await tell(service, { call: "deliver", event, patience: 1000 }), { delivered: true });
  assert.deepEqual(receiver.ids(service), [event.id]);
  // The ids of fifty are kept here.
  await push(service, ...Array.from({ length: 50 }, (_, n) => newEvent(`user-${n}`)));
  await drained(service);
  await push(service, event);
  await until(() => receiver.ids(service).filter((id) => id === event.id).length === 2);
});

test("a newer state of an account takes the place of an older one that waits, and overtakes nothing that it must not", async () => {
  const service = await newService({ enabled: true });
  receiver.answers.set(`/${service}`, () => ({ status: 500 }));
  const update = (/** @type {string} */ user, /** @type {boolean} */ is_active) => newEvent(user, "update_account", { is_active });
  const waiting = async () => (await list(service)).map((/** @type {{ id: string }} */ { id }) => id);
  const attempted = (/** @type {number} */ n) => until(async () => (await list(service))[0].attempts === n);
  const [old, ended, fresh, renamed, last, others] = [
    update("anna", true),
    newEvent("anna"),
    update("anna", false),
    newEvent("anna", "change_user_identy"),
    update("anna", true),
    update("ben", true),
  ];
  await push(service, old, ended);
  await attempted(1);
  await push(service, others, fresh);
  assert.deepEqual(await waiting(), [fresh.id, ended.id, others.id]);
  const [replaced] = await list(service);
  assert.deepEqual([replaced.attempts, replaced.last_status], [0, null], "it has all its attempts before it");
  await push(service, renamed, last);
  assert.deepEqual(await waiting(), [fresh.id, ended.id, others.id, renamed.id, last.id]);
  // The older one is known, so it does not come back.
  await push(service, old);
  receiver.answers.delete(`/${service}`);
  await wait(service, 10 * SECOND);
  await drained(service);
  const ofAnna = receiver.of(service).filter(({ body }) => body.username === "anna");
  assert.deepEqual(
    ofAnna.map(({ id }) => id),
    [old, fresh, ended, renamed, last].map(({ id }) => id),
  );
  assert.deepEqual(
    ofAnna.map(({ body }) => body.is_active).filter((value) => value !== undefined),
    [true, false, true],
  );
});

test("SEC-78: whoever is signed out again and again leaves one event, and what waits between two keeps both", async () => {
  const service = await newService({ enabled: true });
  receiver.answers.set(`/${service}`, () => ({ status: 500 }));
  const [state, first, again, renamed, last] = [
    newEvent("dora", "update_account", { is_active: true }),
    newEvent("dora", "deauthenticate", { n: "" }),
    newEvent("dora", "deauthenticate", { n: "" }),
    newEvent("dora", "change_user_identy"),
    newEvent("dora", "deauthenticate", { n: "" }),
  ];
  await push(service, state, first, again, renamed, last);
  assert.deepEqual(
    (await list(service)).map((/** @type {{ id: string }} */ { id }) => id),
    [state, first, renamed, last].map(({ id }) => id),
  );
});

test("a newer state of an account waits behind an older one that is being sent", async () => {
  const service = await newService();
  const [first, second] = [newEvent("anna", "update_account", { is_active: true }), newEvent("anna", "update_account", { is_active: false })];
  /** @type {(reply: typeof OK) => void} */
  let answer = () => {};
  receiver.answers.set(`/${service}`, ({ id }) => (id === first.id ? new Promise((resolve) => (answer = resolve)) : OK));
  await push(service, first);
  await arrived(service, 1);
  await push(service, second);
  assert.equal((await status(service)).waiting, 2);
  answer(OK);
  await drained(service);
  assert.deepEqual(receiver.ids(service), [first.id, second.id]);
});

test("a dead letter with an older state of an account goes with the delivery of a newer one", async () => {
  const service = await newService();
  const [old, fresh] = [newEvent("anna", "update_account", { is_active: true }), newEvent("anna", "update_account", { is_active: false })];
  receiver.answers.set(`/${service}`, ({ id }) => (id === old.id ? { status: 500 } : OK));
  await push(service, old);
  await die(service, 1);
  await push(service, fresh);
  await drained(service);
  assert.equal((await status(service)).dead, 0);
});

test("a sign-in waits for its event: at once, after earlier ones of the user, and no longer than it has patience", async () => {
  const service = await newService();
  const deliver = (/** @type {object} */ event, patience = 5000) => tell(service, { call: "deliver", event, patience });
  assert.deepEqual(await deliver(newEvent()), { delivered: true });

  // An earlier event that has failed is tried again before its time, and that does not use up an attempt.
  receiver.answers.set(`/${service}`, () => ({ status: 500 }));
  const earlier = newEvent();
  await push(service, earlier);
  await until(async () => (await list(service))[0].attempts === 1);
  const [{ next_at }] = await list(service);
  receiver.answers.set(`/${service}`, () => ({ status: 200, body: `{"error": "I do not know ${TOKEN}"}` }));
  const mine = newEvent("anna", "update_account");
  assert.deepEqual(await deliver(mine), { delivered: false, refused: '{"error": "I do not know […]"}' });
  const [still] = await list(service);
  assert.deepEqual([still.id, still.attempts, still.next_at, still.last_status], [earlier.id, 1, next_at, 200]);
  receiver.answers.delete(`/${service}`);
  const another = newEvent();
  assert.deepEqual(await deliver(another), { delivered: true });
  assert.deepEqual(receiver.ids(service).slice(-3), [earlier.id, mine.id, another.id]);

  const slow = newEvent();
  /** @type {(reply: typeof OK) => void} */
  let answer = () => {};
  receiver.answers.set(`/${service}`, () => new Promise((resolve) => (answer = resolve)));
  const begun = performance.now();
  assert.deepEqual(await deliver(slow, 200), { delivered: false });
  assert.ok(performance.now() - begun < 900);
  answer(OK);
  await drained(service);
  assert.equal(receiver.ids(service).filter((id) => id === slow.id).length, 1);
});

test("a caller who goes away while an event is sent holds up none after it", async () => {
  const service = await newService();
  const [first, second] = [newEvent(), newEvent()];
  receiver.answers.set(`/${service}`, ({ id }, times) => (id === first.id && times === 1 ? undefined : OK));
  const body = JSON.stringify({ service, call: { call: "deliver", event: first, patience: 20_000 } });
  const request = http.request({ host: "127.0.0.1", port: world.port(), method: "POST", path: "/__test/outbox", headers: { host: "app.example.test" } });
  request.on("error", () => {});
  request.end(body);
  await arrived(service, 1);
  request.destroy();
  await push(service, second);
  await until(async () => (await list(service))[0]?.attempts === 1, 10);
  await wait(service, 10 * SECOND);
  await drained(service);
  assertInOrder(receiver.ids(service), [first.id, second.id]);
});

test("SEC-70: an attempt ends when its time is over, also in the middle of an answer", async () => {
  const service = await newService();
  receiver.answers.set(`/${service}`, () => undefined);
  const begun = performance.now();
  const answer = await tell(service, { call: "deliver", event: newEvent(), patience: 10_000 });
  assert.deepEqual(answer, { delivered: false, refused: "no answer in time" });
  const dribbling = await newService();
  receiver.answers.set(`/${dribbling}`, () => undefined);
  const asked = tell(dribbling, { call: "deliver", event: newEvent(), patience: 10_000 });
  await arrived(dribbling, 1);
  const response = receiver.held.at(-1);
  response?.writeHead(200);
  const dribble = setInterval(() => response?.write(" "), 100);
  try {
    assert.deepEqual(await asked, { delivered: false, refused: "no answer in time" });
  } finally {
    clearInterval(dribble);
  }
  assert.ok(performance.now() - begun < 6_000);
});

test("a receiver that answers 410 is sent nothing more, until it is configured anew or asked to be tried again", async () => {
  for (const again of [{ call: "resend" }, { call: "configure", version: 2, enabled: true, dialect: "flat" }]) {
    const service = await newService();
    receiver.answers.set(`/${service}`, () => ({ status: 410 }));
    const [first, second] = [newEvent("anna"), newEvent("ben")];
    await push(service, first);
    await until(async () => (await status(service)).disabled_by_receiver);
    await push(service, second);
    await wait(service, HOUR);
    assert.deepEqual(receiver.ids(service), [first.id]);
    assert.deepEqual(await tell(service, { call: "deliver", event: newEvent("eve"), patience: 1000 }), {
      delivered: false,
      refused: "the receiver has asked to be sent no more events (410)",
    });
    const { waiting, blocked } = await status(service);
    assert.deepEqual([waiting, blocked], [3, "the receiver has asked to be sent no more events (410)"]);
    assert.equal(await alarmOf(service), null);
    // What the outbox knows already changes nothing.
    await tell(service, { call: "configure", version: 1, url: "http://127.0.0.1/", enabled: true, dialect: "flat" });
    assert.equal((await status(service)).disabled_by_receiver, true);
    receiver.answers.delete(`/${service}`);
    await tell(service, "version" in again ? { ...again, url: `${receiver.url}/${service}` } : again);
    await drained(service);
    assert.equal(receiver.of(service).length, 4);
  }
});

test("a receiver may ask for a longer wait, up to an hour, and for none that is shorter", async () => {
  const inSeconds = (/** @type {number} */ seconds) => new Date(Date.now() + seconds * SECOND).toUTCString();
  /** @type {[header: string, least: number, most: number][]} */
  const cases = [
    ["600", 600, 600],
    [inSeconds(600), 590, 601],
    ["86400", 3600, 3600],
    ["0", 3.75, 6.25],
    ["1", 3.75, 6.25],
    ["-5", 3.75, 6.25],
    ["soon", 3.75, 6.25],
    [inSeconds(-600), 3.75, 6.25],
  ];
  for (const [header, least, most] of cases) {
    const service = await newService();
    receiver.answers.set(`/${service}`, () => ({ status: 503, headers: { "retry-after": header } }));
    const begun = Date.now();
    await tell(service, { call: "deliver", event: newEvent(), patience: 5000 });
    const [{ next_at }] = await list(service);
    const pause = (next_at - begun) / SECOND;
    assert.ok(pause >= least && pause <= most + 3, `${header}: ${pause}`);
  }
});

test("SEC-70: while two tokens are valid, a service that knows either of them is told, and none after its end", async () => {
  const ends = Date.now() + HOUR;
  const [fresh, old] = ["token-that-is-new", "token-that-is-old"];
  const otherSecret = `whsec_${Buffer.from("fedcba9876543210fedcba9876543210").toString("base64")}`;
  const service = await newService({}, { token: old });
  // The same again, as when the answer was lost.
  for (let n = 0; n < 2; n += 1) await tell(service, { call: "credentials", token: fresh, secret: otherSecret, until: ends });
  let known = old;
  receiver.answers.set(`/${service}`, ({ body }) => (body.token === known ? OK : { status: 200, body: '{"error": "Bad token"}' }));
  const deliver = () => tell(service, { call: "deliver", event: newEvent(), patience: 5000 });
  const tokens = () => receiver.of(service).map(({ body }) => body.token);
  assert.deepEqual(await deliver(), { delivered: true });
  assert.deepEqual(tokens(), [fresh, old]);
  const [{ headers, raw, id }] = receiver.of(service);
  const signed = [otherSecret, SECRET].map((secret) => {
    const key = Buffer.from(secret.slice("whsec_".length), "base64");
    return `v1,${createHmac("sha256", key)
      .update(`${id}.${headers.need("webhook-timestamp")}.${raw}`)
      .digest("base64")}`;
  });
  assert.equal(headers.get("webhook-signature"), signed.join(" "));
  // What the service knows is tried first from now on.
  assert.deepEqual(await deliver(), { delivered: true });
  assert.deepEqual(tokens().slice(2), [old]);
  known = fresh;
  assert.deepEqual(await deliver(), { delivered: true });
  assert.deepEqual(tokens().slice(3), [old, fresh]);
  known = old;
  await wait(service, HOUR + SECOND);
  assert.deepEqual(await deliver(), { delivered: false, refused: '{"error": "Bad token"}' });
  assert.deepEqual(tokens().slice(5), [fresh]);
  assert.equal(receiver.of(service).at(-1)?.headers.need("webhook-signature").split(" ").length, 1);
  // A token that ends at once is not sent again, and a secret stays as it is when the token is another.
  await tell(service, { call: "credentials", token: old, until: 0 });
  assert.deepEqual(await deliver(), { delivered: true });
  assert.deepEqual(tokens().slice(6), [old, old], "the event before this one, too");
  assert.equal(receiver.of(service).at(-1)?.headers.need("webhook-signature").split(" ").length, 1);
  // Without what its dialect needs, a service is sent nothing; and no secret is taken that is none.
  for (const [dialect, credentials] of [
    ["flat", { secret: SECRET }],
    ["webhook", { token: TOKEN }],
  ]) {
    const bare = `svc_${++services}`;
    await tell(bare, { call: "configure", version: 1, url: `${receiver.url}/${bare}`, enabled: true, dialect });
    await tell(bare, { call: "credentials", until: 0, .../** @type {object} */ (credentials) });
    assert.equal((await status(bare)).blocked, "no credential is valid");
  }
  for (const bad of ["", "whsec_", "whsec_!", "whsec_c2hvcnQ=", SECRET.slice(1)]) {
    assert.deepEqual(await tell(service, { call: "credentials", secret: bad, until: 0 }), { error: "a signing secret is malformed" }, bad);
  }
});

test("SEC-70: tokens and signing secrets are encrypted in every file that is kept, also while a change still has to tell them", async () => {
  const text = "a-token-that-nobody-else-has";
  const secret = `whsec_${Buffer.from("this secret is nobody else's, 32b").toString("base64")}`;
  const credentials = { token: text, secret, until: 0 };
  const service = await newService({}, credentials);
  await set({ deaf: true });
  const call = { call: "credentials", ...credentials };
  const event = newEvent();
  const notify = [
    { service, call },
    { service, call: { call: "push", events: [event] } },
  ];
  const needs = { key: `user:needed-${service}`, to: "1", fresh: true, notify };
  const then = [{ key: `user:then-${service}`, to: "1", notify }];
  assert.deepEqual(await change({ key: `user:${service}`, to: "1", needs, then }), { done: true });
  assert.deepEqual(containing(world.folder, [text, secret, secret.slice("whsec_".length)]), []);
  assert.ok(containing(world.folder, [event.id]).length > 0, "the change has still to tell it");
  await set({ deaf: false });
  await arrived(service, 1, 20);
  assert.equal(receiver.of(service)[0].body.token, text);
  assert.deepEqual(containing(world.folder, [text, secret, secret.slice("whsec_".length)]), []);
});

test("SEC-70: credentials are encrypted anew with a newer key secret, and without theirs nothing is sent", async () => {
  const service = await newService();
  const { key, ...others } = world.secrets;
  const newer = newSecret();
  await world.restart({ secrets: { ...others, key: { ...key, 2: newer } } });
  await status(service);
  await world.restart({ secrets: { ...others, key: { 2: newer } } });
  assert.deepEqual(await tell(service, { call: "deliver", event: newEvent(), patience: 5000 }), { delivered: true });
  await world.restart({ secrets: { ...others, key } });
  const event = newEvent();
  const refused = "the credentials are missing, or encrypted with a key secret that is not configured";
  assert.deepEqual(await tell(service, { call: "deliver", event, patience: 5000 }), { delivered: false, refused });
  assert.equal((await status(service)).blocked, refused);
  await tell(service, { call: "credentials", token: TOKEN, until: 0 });
  await drained(service);
  assert.equal(receiver.ids(service).length, 2);
  assert.equal(receiver.of(service)[1].headers.get("webhook-signature"), undefined);
});

test("SEC-70: events for a disabled service wait, however long, and come in order when it is enabled; before it is configured all is kept", async () => {
  const service = `svc_${++services}`;
  const [early, waiting, meanwhile, after, late] = [newEvent("anna"), newEvent("ben"), newEvent("eve"), newEvent("eve", "delete_user"), newEvent("ida")];
  await push(service, early);
  assert.equal((await status(service)).blocked, "the service is not configured");
  const configure = (/** @type {number} */ version, /** @type {boolean} */ enabled) =>
    tell(service, { call: "configure", version, url: `${receiver.url}/${service}`, enabled, dialect: "flat" });
  receiver.answers.set(`/${service}`, () => ({ status: 500 }));
  await configure(1, true);
  await push(service, waiting);
  await tell(service, { call: "credentials", token: TOKEN, until: 0 });
  await arrived(service, 2);
  await configure(3, false);
  await until(async () => (await alarmOf(service)) === null);
  assert.deepEqual(await push(service, meanwhile), { queued: 1 });
  assert.deepEqual(await tell(service, { call: "deliver", event: after, patience: 1000 }), { delivered: false, refused: "the service is disabled" });
  assert.deepEqual([(await status(service)).waiting, (await status(service)).blocked], [4, "the service is disabled"]);
  // An older configuration that comes late changes nothing.
  await configure(2, true);
  await wait(service, 30 * 24 * HOUR);
  assert.equal(receiver.of(service).length, 2);
  assert.equal((await status(service)).dead, 0);
  receiver.answers.delete(`/${service}`);
  await configure(4, true);
  await push(service, late);
  await drained(service);
  const came = receiver.ids(service).slice(2);
  assert.deepEqual(came.toSorted(), [early.id, waiting.id, meanwhile.id, after.id, late.id].toSorted());
  assert.ok(came.indexOf(meanwhile.id) < came.indexOf(after.id));
});

test("a service that was disabled for long is told where a user stands, and not each step on the way; a new name stays between", async () => {
  const service = await newService({ enabled: false, dialect: "fields" });
  const about = (/** @type {string} */ kind, /** @type {number} */ n) => ({ id: `msg_${++events}`, user: "anna", kind, body: { type: kind, n } });
  const steps = (/** @type {number} */ from) =>
    Array.from({ length: 100 }, (_, n) =>
      ["update_account", "update_fields", "deauthenticate"].map((kind) => about(kind, kind === "deauthenticate" ? 0 : from + n)),
    ).flat();
  await push(service, ...steps(0), about("update_fields", 100));
  await push(service, about("change_user_identy", 101));
  await push(service, about("update_fields", 200), ...steps(201), about("update_account", 301));
  assert.equal((await status(service)).waiting, 6);
  await tell(service, { call: "configure", version: 2, url: `${receiver.url}/${service}`, enabled: true, dialect: "fields" });
  await drained(service);
  assert.deepEqual(
    receiver.of(service).map(({ body }) => [body.type, body.n]),
    [
      ["update_account", 99],
      ["deauthenticate", 0],
      ["update_fields", 100],
      ["change_user_identy", 101],
      ["update_account", 301],
      ["deauthenticate", 0],
    ],
  );
});

test("events that wait can be discarded, one or all, and those behind them go on", async () => {
  const service = await newService({ enabled: false });
  const [first, second, other, third] = [newEvent("anna"), newEvent("anna"), newEvent("ben"), newEvent("anna", "delete_user")];
  await push(service, first, second, other, third);
  assert.deepEqual(await tell(service, { call: "discard" }), { count: 0 }, "without a word of it, only dead ones");
  assert.deepEqual(await tell(service, { call: "discard", waiting: true, id: first.id }), { count: 1 });
  assert.deepEqual(await tell(service, { call: "discard", waiting: true, id: first.id }), { count: 0 });
  await push(service, newEvent("anna"));
  await tell(service, { call: "configure", version: 2, url: `${receiver.url}/${service}`, enabled: true, dialect: "flat" });
  await drained(service);
  assert.deepEqual(
    receiver
      .ids(service)
      .filter((id) => id !== other.id)
      .slice(0, 2),
    [second.id, third.id],
  );
  await tell(service, { call: "configure", version: 3, url: `${receiver.url}/${service}`, enabled: false, dialect: "flat" });
  await push(service, newEvent("anna"), newEvent("ben"));
  assert.deepEqual(await tell(service, { call: "discard", waiting: true }), { count: 2 });
  assert.equal((await status(service)).waiting, 0);
});

test("a service that is gone is told nothing more, whatever comes late", async () => {
  const service = await newService();
  receiver.answers.set(`/${service}`, () => undefined);
  await push(service, newEvent("anna"), newEvent("ben"));
  await arrived(service, 2);
  assert.deepEqual(await tell(service, { call: "remove" }), {});
  await tell(service, { call: "configure", version: 9, url: `${receiver.url}/${service}`, enabled: true, dialect: "flat" });
  await tell(service, { call: "credentials", token: TOKEN, until: 0 });
  assert.deepEqual(await push(service, newEvent()), { queued: 0 });
  assert.deepEqual(await tell(service, { call: "deliver", event: newEvent(), patience: 500 }), { delivered: false, refused: "the service was removed" });
  assert.equal((await status(service)).blocked, "the service was removed");
  await wait(service, HOUR);
  await until(async () => (await alarmOf(service)) === null);
  assert.equal(receiver.of(service).length, 2);
  assert.deepEqual(await list(service), []);
});

/** Deploys the Worker again, with another value of the gateway's setting `development`. @param {unknown} development */
const deploy = (development) => world.restart({ vars: withGateway({}, { development }).vars });

test("SEC-70: no event is sent to an address or by plain text, whatever URL is stored", async () => {
  const { port } = receiver;
  await deploy(false);
  for (const url of [
    `http://127.0.0.1:${port}/`,
    `https://127.0.0.1:${port}/`,
    `https://2130706433:${port}/`,
    `https://0x7f000001:${port}/`,
    `https://127.1:${port}/`,
    `https://[::1]:${port}/`,
    `https://[::ffff:127.0.0.1]:${port}/`,
    `https://localhost:${port}/`,
    `https://①②⑦.⓪.⓪.①:${port}/`,
    "https://user@service.example/",
    "ftp://service.example/",
    "data:text/plain,x",
    "not a url",
  ]) {
    const service = await newService({ url });
    const answer = await tell(service, { call: "deliver", event: newEvent(), patience: 5000 });
    assert.deepEqual(answer, { delivered: false, refused: "events may not be sent to this URL" }, url);
  }
  await deploy(true);
  const service = await newService({ url: `http://user@127.0.0.1:${port}/` });
  const answer = await tell(service, { call: "deliver", event: newEvent(), patience: 5000 });
  assert.equal(answer.refused, "events may not be sent to this URL");
});

test("SEC-70: the development setting holds from the deployment that changes it, for what is stored and for what waits", async () => {
  const service = await newService();
  const deliver = (/** @type {ReturnType<typeof newEvent>} */ event) => tell(service, { call: "deliver", event, patience: 5000 });
  const sent = [newEvent(), newEvent("ben"), newEvent("eve")];
  assert.deepEqual(await deliver(sent[0]), { delivered: true });
  // Off by name, by its default, and by a gateway that is not there.
  for (const off of [false, undefined]) {
    await deploy(off);
    assert.deepEqual(await deliver(sent[1]), { delivered: false, refused: "events may not be sent to this URL" }, String(off));
  }
  await world.restart({ vars: {} });
  assert.deepEqual(await deliver(sent[2]), { delivered: false, refused: "events may not be sent to this URL" });
  assert.deepEqual(receiver.ids(service), [sent[0].id]);
  await deploy(true);
  await wait(service, HOUR);
  await drained(service);
  assert.deepEqual(receiver.ids(service).toSorted(), sent.map(({ id }) => id).toSorted());
});

test("outboxes that do not answer delay no other change of a record, and are told in the end, each in order", async () => {
  const service = await newService();
  await set({ deaf: true });
  const sent = [newEvent(), newEvent(), newEvent()];
  const key = `user:${service}`;
  const begun = performance.now();
  for (const [n, event] of sent.entries()) {
    const from = n === 0 ? null : String(n);
    const notify = [
      { service, call: { call: "push", events: [event] } },
      { service: `${service}-other`, call: { call: "push", events: [event] } },
    ];
    const then = [{ key: `user:then-${service}-${n}`, to: "1" }];
    assert.deepEqual(await change({ key, from, to: String(n + 1), then, notify }), { done: true });
    await until(async () => (await (await world.kv).get(`user:then-${service}-${n}`)) === "1");
  }
  assert.ok(performance.now() - begun < 5_000);
  assert.equal(await control("record", { forgotten: key }), false);
  await world.kill();
  await arrived(service, 3, 20);
  assert.deepEqual(
    receiver.ids(service),
    sent.map(({ id }) => id),
  );
  assert.deepEqual(
    (await list(`${service}-other`)).map((/** @type {{ id: string }} */ { id }) => id),
    sent.map(({ id }) => id),
  );
  await until(() => control("record", { forgotten: key }), 20);
});
