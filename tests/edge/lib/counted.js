// The Worker, telling in each answer how often KV was read for it (`x-test-reads`).
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { TestEnv } from "./types.js" */

export { Audit, Once, Outbox, Record };

let reads = 0;
/** @param {KVNamespace} kv */
const counting = (kv) =>
  new Proxy(kv, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      /** @param {unknown[]} args */
      return (...args) => {
        if (name === "get") reads += 1;
        return value.apply(target, args);
      };
    },
  });

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    const before = reads;
    const answer = await worker.fetch(request, { ...env, EDGEWARD_KV: counting(env.EDGEWARD_KV) });
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-reads", String(reads - before));
    return told;
  },
};
