// The Worker, with queues of events and writers of records that a test calls directly, and whose clock it sets.
// `POST /__test/outbox` makes a call of the outbox of `service`, or without one tells when its alarm is set; `/__test/record`
// makes a change; `/__test/settings` sets how far the clock of all outboxes is ahead, how often it fails while an alarm
// works, whether outboxes refuse every call, and whether they never learn what a receiver has answered (`begun` of
// `/__test/settings` tells that one has).
import worker, { Attempts, Audit, Once, Outbox as PlainOutbox, Record as PlainRecord } from "../../../src/edge/entry.js";

/** @import { Change, OutboxCall } from "../../../src/edge/types.js" */
/** @import { QueueSettings, TestEnv } from "./types.js" */

export { Attempts, Audit, Once };

/** @type {Required<QueueSettings>} */
const settings = { ahead: 0, faults: 0, deaf: false, stuck: false, begun: false };

const { fetch } = globalThis;
globalThis.fetch = async (/** @type {RequestInfo | URL} */ what, /** @type {RequestInit | undefined} */ init) => {
  const response = await fetch(what, init);
  if (settings.stuck) {
    settings.begun = true;
    await scheduler.wait(600_000);
  }
  return response;
};

export class Outbox extends PlainOutbox {
  /** @override */
  static ATTEMPT = 1_000;
  /** @override */
  static AGAIN = 500;
  /** @override */
  static MOST_ROWS = 12_000;
  /** @override */
  static KNOWN = 50;

  /** @override */
  static clock() {
    if (settings.faults > 0 && working > 0) {
      settings.faults -= 1;
      throw new TypeError("planted");
    }
    return Date.now() + settings.ahead;
  }

  /** @override */
  async alarm() {
    working += 1;
    try {
      return await super.alarm();
    } finally {
      working -= 1;
    }
  }

  /**
   * @override
   * @param {OutboxCall} call
   */
  async call(call) {
    if (settings.deaf) throw new Error("deaf");
    return super.call(call);
  }

  async alarmAt() {
    const at = await this.ctx.storage.getAlarm();
    return at === null ? null : at - Date.now();
  }
}

/** How many alarms are at work. */
let working = 0;

export class Record extends PlainRecord {
  /** @override */
  static SHOWN_AFTER = 300;
  /** @override */
  static FORGOTTEN_AFTER = 900;
  /** @override */
  static LONGEST = 500;

  async holdsNothing() {
    return (await this.ctx.storage.list()).size === 0;
  }
}

/**
 * @param {string} path
 * @param {Request} request
 * @param {TestEnv} env
 */
async function control(path, request, env) {
  const body = await request.json();
  if (path === "/__test/settings") return Response.json(Object.assign(settings, body));
  if (path === "/__test/record") {
    const { change, forgotten } = /** @type {{ change?: Change, forgotten?: string }} */ (body);
    const writers = /** @type {DurableObjectNamespace<Record>} */ (/** @type {unknown} */ (env.EDGEWARD_RECORD));
    const writer = writers.get(writers.idFromName(change?.key ?? forgotten ?? ""));
    return Response.json(change === undefined ? await writer.holdsNothing() : await writer.change(change));
  }
  const { service, call } = /** @type {{ service: string, call?: OutboxCall }} */ (body);
  const outboxes = /** @type {DurableObjectNamespace<Outbox>} */ (/** @type {unknown} */ (env.EDGEWARD_OUTBOX));
  const outbox = outboxes.get(outboxes.idFromName(service));
  try {
    return Response.json(call === undefined ? await outbox.alarmAt() : await outbox.call(call));
  } catch (error) {
    return Response.json({ thrown: String(error) });
  }
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/__test/") ? control(pathname, request, env) : worker.fetch(request, env);
  },
};
