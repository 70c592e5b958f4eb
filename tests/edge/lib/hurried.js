// The Worker, which judges open WebSockets several times a second, holds little for slow readers and few heads, and whose store can be
// made unreachable: `POST /__test/store` with `down`.
import worker from "../../../src/edge/entry.js";
import { Relay } from "../../../src/edge/sockets.js";

/** @import { TestEnv } from "./types.js" */

export { Attempts, Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

Relay.PAUSE = 300;
Relay.UNJUDGED = 4_000;
Relay.ROOM = 12 * 1024 * 1024;
Relay.HEADS = 512 * 1024;

let down = false;

/**
 * The store, which fails while it is `down`.
 * @template {object} T
 * @param {T} store
 */
const failing = (store) =>
  new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (/** @type {unknown[]} */ ...args) => (down ? Promise.reject(new Error("planted")) : value.apply(target, args));
    },
  });

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/__test/store") {
      ({ down } = /** @type {{ down: boolean }} */ (await request.json()));
      return new Response();
    }
    return worker.fetch(request, { ...env, EDGEWARD_KV: failing(env.EDGEWARD_KV) });
  },
};
