// The Worker with counters that a test can watch and disturb: what is passed on to the object that adds them up is counted,
// and fails when a test says so; parts of the platform fail; the clock is ahead. Analytics Engine is a stand-in: in workerd it
// is a service of Cloudflare's, and Miniflare's binding for it keeps nothing.
import worker, { Attempts, Audit, Metrics, Once as PlainOnce, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { Namespace, TestEnv } from "./types.js" */
/** @typedef {{ [method: string]: (...args: unknown[]) => unknown }} Methods */

/** @type {{ fails?: "before" | "after" | null, broken?: string | null, ahead?: number }} */
const plan = {};
/** @type {{ at: number, number: unknown, length: number, failed: boolean }[]} */
const calls = [];
/** @type {AnalyticsEngineDataPoint[]} */
const points = [];
let invocation = 0;
/** @type {number[]} */
const written = [];

const { now } = Date;
Date.now = () => now() + (plan.ahead ?? 0);

/**
 * A namespace whose objects fail while `name` is broken.
 * @template {Namespace} Any
 * @param {Any} namespace
 * @param {string} name
 * @param {string[]} methods
 */
const breakable = (namespace, name, methods) =>
  new Proxy(namespace, {
    get(target, property) {
      const value = Reflect.get(target, property, target);
      if (property !== "get") return typeof value === "function" ? value.bind(target) : value;
      return (/** @type {DurableObjectId} */ id) => {
        const object = /** @type {Methods} */ (/** @type {unknown} */ (target.get(id)));
        return Object.fromEntries(
          methods.map((method) => [
            method,
            async (/** @type {unknown[]} */ ...args) => {
              if (plan.broken === name) throw new Error("canary-of-the-platform");
              if (plan.broken === `${name} hangs`) return new Promise(() => {});
              if (method !== "add") return object[method](...args);
              const call = { at: now(), number: args[1], length: String(args[2]).length, failed: plan.fails != null };
              calls.push(call);
              if (plan.fails === "before") throw new Error("it did not arrive");
              await object.add(...args);
              if (plan.fails === "after") throw new Error("it arrived, and nobody knows");
            },
          ]),
        );
      };
    },
  });

/**
 * @param {TestEnv} env
 * @returns {TestEnv}
 */
const summed = (env) => ({
  ...env,
  EDGEWARD_KV: new Proxy(env.EDGEWARD_KV, {
    get(target, property) {
      const value = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      // Not for what a call needs to be let in.
      return (/** @type {unknown[]} */ ...args) => {
        if (plan.broken === "kv" && args[0] === "health") throw new Error("canary-of-the-platform");
        return value.apply(target, args);
      };
    },
  }),
  EDGEWARD_ONCE: breakable(env.EDGEWARD_ONCE, "once", ["acquire", "release", "changed", "health"]),
  EDGEWARD_RECORD: breakable(env.EDGEWARD_RECORD, "record", ["read", "readKept", "change", "keep", "health"]),
  EDGEWARD_OUTBOX: breakable(env.EDGEWARD_OUTBOX, "outbox", ["call", "health"]),
  ...(env.EDGEWARD_ATTEMPTS && { EDGEWARD_ATTEMPTS: breakable(env.EDGEWARD_ATTEMPTS, "attempts", ["attempt", "hash", "health"]) }),
  ...(env.EDGEWARD_AUDIT && { EDGEWARD_AUDIT: breakable(env.EDGEWARD_AUDIT, "audit", ["call", "health"]) }),
  ...(env.EDGEWARD_METRICS && { EDGEWARD_METRICS: breakable(env.EDGEWARD_METRICS, "metrics", ["add", "text", "health"]) }),
  EDGEWARD_ANALYTICS: ANALYTICS,
});

const ANALYTICS = {
  /** @param {AnalyticsEngineDataPoint} point */
  writeDataPoint(point = {}) {
    points.push(point);
    written[invocation] = (written[invocation] ?? 0) + 1;
  },
};

export { Attempts, Audit, Metrics, Outbox, Record };
export class Once extends PlainOnce {}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/__test/plan") {
      Object.assign(plan, await request.json());
      return Response.json({ calls, points, written });
    }
    invocation += 1;
    return worker.fetch(request, summed(env));
  },
};
