// The Worker, telling in each answer what a request has made it do (`x-test-tally`): reads and lists of KV, here and in Durable
// Objects, calls of Durable Objects, and password hashes. The hashes are light and the clock goes on by their pause after each
// request, so that what is measured is all the rest.
import worker, { Attempts, Audit as PlainAudit, Once as PlainOnce, Outbox as PlainOutbox, Record as PlainRecord } from "../../../src/edge/entry.js";

/** @import { AuditCall, HashInstance } from "../../../src/edge/types.js" */
/** @import { Namespace, TestEnv } from "./types.js" */
/** @typedef {{ [method: string]: (...args: unknown[]) => unknown }} Methods */

/** @type {{ [what: string]: number }} */
let tally = {};
/** @param {string} what */
const count = (what) => (tally[what] = (tally[what] ?? 0) + 1);

/** Longer than the pause after a hash, in milliseconds. */
const PAUSE = 150;
let ahead = 0;
const { now } = Date;
Date.now = () => now() + ahead;

const { Instance } = WebAssembly;
/** Counts hashes, each with the least work that there is. */
class Light extends Instance {
  /**
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Imports} imports
   */
  constructor(module, imports) {
    super(module, imports);
    const plain = /** @type {HashInstance} */ (/** @type {unknown} */ (this.exports));
    if (!("kdf_argon2id" in plain)) return;
    const light = (/** @type {number[]} */ ...args) => {
      const [memory, passes, lanes] = args.splice(5);
      count(`hash of ${memory} KiB, ${passes} passes, ${lanes} lanes`);
      return Reflect.apply(plain.kdf_argon2id, plain, [...args, 8, 1, 1]);
    };
    Object.defineProperty(this, "exports", { value: { ...plain, kdf_argon2id: light } });
  }
}
WebAssembly.Instance = Light;

/**
 * Counts the calls of some methods.
 * @template {object} Target
 * @param {Target} target
 * @param {string} prefix
 * @returns {Target}
 */
const counting = (target, prefix) =>
  new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name, object);
      if (typeof value !== "function") return value;
      return (/** @type {unknown[]} */ ...args) => {
        count(`${prefix}.${String(name)}`);
        return value.apply(object, args);
      };
    },
  });

/**
 * Counts the calls of all objects of a namespace.
 * @template {Namespace} Any
 * @param {Any} namespace
 * @param {string} prefix
 * @param {string[]} names
 */
const objects = (namespace, prefix, names) =>
  new Proxy(namespace, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== "get") return typeof value === "function" ? value.bind(target) : value;
      return (/** @type {DurableObjectId} */ id) => {
        const object = /** @type {Methods} */ (/** @type {unknown} */ (target.get(id)));
        /** @param {string} method */
        const counted =
          (method) =>
          (/** @type {unknown[]} */ ...args) => {
            count(`${prefix}.${method}`);
            return object[method](...args);
          };
        return Object.fromEntries(names.map((method) => [method, counted(method)]));
      };
    },
  });

/**
 * @param {TestEnv} env
 * @returns {TestEnv}
 */
const tallied = (env) => ({
  ...env,
  EDGEWARD_KV: counting(env.EDGEWARD_KV, "kv"),
  EDGEWARD_ONCE: objects(env.EDGEWARD_ONCE, "once", ["acquire", "release", "changed"]),
  EDGEWARD_RECORD: objects(env.EDGEWARD_RECORD, "record", ["read", "readKept", "change", "keep"]),
  EDGEWARD_OUTBOX: objects(env.EDGEWARD_OUTBOX, "outbox", ["call"]),
  ...(env.EDGEWARD_AUDIT && { EDGEWARD_AUDIT: objects(env.EDGEWARD_AUDIT, "audit", ["call"]) }),
  ...(env.EDGEWARD_ATTEMPTS && { EDGEWARD_ATTEMPTS: objects(env.EDGEWARD_ATTEMPTS, "attempts", ["attempt", "hash"]) }),
});

export { Attempts };
export class Audit extends PlainAudit {
  /**
   * Each isolate has a clock of its own here, so a deadline of another one means nothing.
   * @override
   * @param {AuditCall} call
   */
  call(call) {
    return super.call(call.call === "append" ? { ...call, deadline: Infinity } : call);
  }
}
export class Once extends PlainOnce {}
export class Outbox extends PlainOutbox {}
/** Its reads of KV count too, but for those by which it looks whether KV shows what it has written. */
export class Record extends PlainRecord {
  /** @override */
  static SHOWN_AFTER = 1e9;

  /**
   * @param {DurableObjectState} ctx
   * @param {TestEnv} env
   */
  constructor(ctx, env) {
    super(ctx, tallied(env));
  }
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    tally = {};
    const answer = await worker.fetch(request, tallied(env));
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-tally", JSON.stringify(tally));
    ahead += PAUSE;
    return told;
  },
};
