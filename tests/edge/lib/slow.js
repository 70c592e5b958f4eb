// The Worker, with ports that a test can make slow, deaf or deadly one call at a time, and that tells what waits in it.
// `POST /__test/slow` says which call: `{ nth, ms, mode }` (`nth` counts from that moment; with `name` only calls of that
// name), where `mode` is "before" (it waits, then it is made), "after" (it is made, then it waits), or "lost" (it is made and
// never answers); `{ name, every: ms }` slows all calls of that name, `{ empty: "signing_keys" }` lets KV show nothing under
// a key, `{ without: prefix }` leaves out calls for keys that begin so, `{ refused: n }` refuses the next n writes of KV and
// `{ lost: n }` loses them. `GET /__test/state` tells what waits, what memory there is, and which calls there were.
import * as core from "#core";
import worker, { Attempts, Audit, Once as PlainOnce, Outbox, Record as PlainRecord } from "../../../src/edge/entry.js";
import { state } from "../../../src/edge/waiting.js";

/** @import { Namespace, SlowPlan, TestEnv } from "./types.js" */
/** @typedef {{ [method: string]: (...args: unknown[]) => unknown }} Methods */
/** @typedef {string | { prefix?: string, key?: string } | undefined} Argument A key, or an object that says one. */

/**
 * What a port answers in the place of what it would: no type fits all.
 * @param {unknown} value
 */
const instead = (value) => /** @type {never} */ (value);

/** @type {SlowPlan} */
let plan = {};
/** @type {string[]} */
let calls = [];
let begun = false;
let matched = 0;

/**
 * @template T
 * @param {string} name
 * @param {string | undefined} key
 * @param {() => T} make
 * @returns {Promise<Awaited<T>>}
 */
async function through(name, key, make) {
  if (plan.without !== undefined && typeof key === "string" && key.startsWith(plan.without)) return await make();
  calls.push(name);
  const counts = plan.name === undefined || plan.name === name;
  const isChosen = counts && plan.nth === matched;
  if (counts) matched += 1;
  if (name === "kv.get" && plan.empty !== undefined && key === plan.empty) return instead(null);
  if (name === "kv.list" && plan.empty !== undefined && key === plan.empty) return instead({ keys: [], list_complete: true });
  if (["kv.put", "kv.delete"].includes(name) && plan.refused !== undefined && plan.refused > 0) {
    plan.refused -= 1;
    throw new Error("KV PUT failed: 429 Too Many Requests");
  }
  if (counts && plan.every !== undefined) {
    await scheduler.wait(plan.every);
    return await make();
  }
  if (name === "kv.put" && plan.lost !== undefined && plan.lost > 0) {
    plan.lost -= 1;
    return instead(undefined);
  }
  if (!isChosen) return await make();
  begun = plan.mode !== "after" && plan.mode !== "lost";
  if (plan.mode === "before") await scheduler.wait(plan.ms ?? 0);
  const made = await make();
  begun = true;
  if (plan.mode === "after") await scheduler.wait(plan.ms ?? 0);
  if (plan.mode === "lost") await scheduler.wait(600_000);
  return made;
}

/**
 * `target` with the methods `names` as ports of their own.
 * @template {object} Target
 * @param {Target} target
 * @param {string} prefix
 * @param {string[]} names
 */
function port(target, prefix, names) {
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name, object);
      if (typeof value !== "function") return value;
      if (name === "constructor") return value;
      if (!names.includes(String(name))) return value.bind(object);
      return (/** @type {Argument[]} */ ...args) => {
        const key = typeof args[0] === "string" ? args[0] : (args[0]?.prefix ?? args[0]?.key);
        return through(`${prefix}.${String(name)}`, key, () => value.apply(object, args));
      };
    },
  });
}

/**
 * A namespace whose objects are ports.
 * @template {Namespace} Any
 * @param {Any} namespace
 * @param {string} prefix
 * @param {string[]} names
 */
function objects(namespace, prefix, names) {
  return new Proxy(namespace, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name === "get") {
        return (/** @type {DurableObjectId} */ id) => {
          const object = /** @type {Methods} */ (/** @type {unknown} */ (target.get(id)));
          return Object.fromEntries(
            names.map((method) => [
              method,
              (/** @type {unknown[]} */ ...args) => through(`${prefix}.${method}`, String(args[0]), () => object[method](...args)),
            ]),
          );
        };
      }
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/**
 * @param {TestEnv} env
 * @returns {TestEnv}
 */
function slow(env) {
  return {
    ...env,
    EDGEWARD_KV: port(env.EDGEWARD_KV, "kv", ["get", "put", "delete", "list"]),
    EDGEWARD_ONCE: objects(env.EDGEWARD_ONCE, "once", ["acquire", "release", "changed"]),
    EDGEWARD_RECORD: objects(env.EDGEWARD_RECORD, "record", ["read", "readKept", "change", "keep"]),
    EDGEWARD_OUTBOX: objects(env.EDGEWARD_OUTBOX, "outbox", ["call"]),
    ...(env.EDGEWARD_AUDIT && { EDGEWARD_AUDIT: objects(env.EDGEWARD_AUDIT, "audit", ["call"]) }),
    ...(env.EDGEWARD_ATTEMPTS && { EDGEWARD_ATTEMPTS: objects(env.EDGEWARD_ATTEMPTS, "attempts", ["attempt", "hash"]) }),
    EDGEWARD_LIMIT: port(env.EDGEWARD_LIMIT, "limit", ["limit"]),
    EDGEWARD_FAILURE_LIMIT: port(env.EDGEWARD_FAILURE_LIMIT, "limit", ["limit"]),
    ...(env.EDGEWARD_SIGN_IN_LIMIT && { EDGEWARD_SIGN_IN_LIMIT: port(env.EDGEWARD_SIGN_IN_LIMIT, "limit", ["limit"]) }),
  };
}

const subtle = /** @type {Methods} */ (/** @type {unknown} */ (SubtleCrypto.prototype));
for (const name of ["importKey", "sign", "verify", "encrypt", "decrypt", "generateKey", "exportKey"]) {
  const plain = subtle[name];
  subtle[name] = function (...args) {
    return through(`crypto.${name}`, undefined, () => plain.apply(this, args));
  };
}

const { fetch } = globalThis;
/** A request of Edgeward's own is not kept by any cache; one to the origin may be. */
globalThis.fetch = (/** @type {RequestInfo | URL} */ what, /** @type {RequestInit | undefined} */ init) =>
  init?.cache === "no-store" ? through("fetch", undefined, () => fetch(what, init)) : fetch(what, init);

export { Attempts, Audit, Outbox };

export class Once extends PlainOnce {}

/** Nothing here is a minute behind, so the writers need not wait that long for it. */
export class Record extends PlainRecord {
  /** @override */
  static SHOWN_AFTER = 300;
  /** @override */
  static FORGOTTEN_AFTER = 900;
  /** @override */
  static LONGEST = 500;

  /**
   * @param {DurableObjectState} ctx
   * @param {TestEnv} env
   */
  constructor(ctx, env) {
    super(ctx, slow(env));
  }

  async holdsNothing() {
    return (await this.ctx.storage.list()).size === 0;
  }
}

/**
 * @param {Request} request
 * @param {string} path
 * @param {TestEnv} env
 */
async function control(request, path, env) {
  if (path === "/__test/record") {
    const { read, kept, change, keep, forgotten, events } = await request.json();
    if (events !== undefined) {
      const outboxes = env.EDGEWARD_OUTBOX;
      const page = /** @type {{ events: { id: string }[] }} */ (
        /** @type {unknown} */ (await outboxes.get(outboxes.idFromName(events)).call({ call: "list", dead: false, limit: 100 }))
      );
      return Response.json({ gives: page.events.map(({ id }) => id) });
    }
    const key = read ?? kept ?? keep ?? forgotten ?? change.key;
    const writers = /** @type {DurableObjectNamespace<Record>} */ (/** @type {unknown} */ (env.EDGEWARD_RECORD));
    const writer = writers.get(writers.idFromName(key));
    if (forgotten !== undefined) return Response.json({ gives: await writer.holdsNothing() });
    if (keep !== undefined) return Response.json({ gives: await writer.keep(key) });
    if (kept !== undefined) return Response.json({ gives: await writer.readKept() });
    if (read !== undefined) return Response.json({ gives: await writer.read(key) });
    const { done, value } = await writer.change(change);
    return Response.json({ gives: done ? "done" : { holds: value } });
  }
  if (path === "/__test/slow") {
    plan = { mode: "before", ms: 0, ...(await request.json()) };
    calls = [];
    matched = 0;
    begun = false;
    return new Response();
  }
  return Response.json({ ...state(), begun, calls, memory: core.memorySize() });
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  fetch(request, env) {
    const path = new URL(request.url).pathname;
    return path.startsWith("/__test/") ? control(request, path, env) : worker.fetch(request, slow(env));
  },
};
