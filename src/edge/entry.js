// The Worker's entry. Calls the core, and starts a new instance of it after a panic, so that one request cannot break
// those after it.
import { DurableObject } from "cloudflare:workers";
import * as core from "#core";
import { countPanic, countWith, tick } from "./counters.js";
import { read, sizeOfLast } from "./head.js";
import { judgeWith, UNKNOWN } from "./sockets.js";
import { abandonWith, failAll, hasRoom, hold } from "./waiting.js";

/** @import { Env, Head, Lease } from "./types.js" */

export { Audit } from "./audit.js";
export { Outbox } from "./outbox.js";
export { Attempts } from "./attempts.js";
export { Record } from "./record.js";
export { Directory } from "./directory.js";
export { Metrics } from "./metrics.js";

abandonWith(core.abandon);
judgeWith(judge);
countWith(core.counters);

// The core polls pending futures in microtasks, so no caller catches a panic there. The runtime reports it as an `error`
// event, which its documentation does not mention. Without the event, the next request would find the instance terminated
// and start a new one (see `call`), and other waiting requests would wait as long as `hold` allows.
addEventListener("error", ({ error }) => {
  // A trap, or wasm-bindgen's name for a JavaScript exception that passed through Wasm.
  if (error instanceof WebAssembly.RuntimeError || error?.message === "Critical error") restart(error);
});

/**
 * Any exception out of Wasm discards the instance and fails its pending requests.
 * @param {unknown} error
 */
function restart(error) {
  core.__wbg_reset_state();
  failAll(error);
}

/**
 * @param {Request} request
 * @param {Env} env
 */
function call(request, env) {
  try {
    return ask(request, env);
  } catch (error) {
    // An earlier request's panic had terminated the instance before this one began: try again.
    restart(error);
    if (error instanceof Error && error.message === "Module terminated") return ask(request, env);
    throw error;
  }
}

/**
 * @param {Request} request
 * @param {Env} env
 */
function ask(request, env) {
  const head = read(request);
  // Nothing else reads a head before the core has answered.
  const size = sizeOfLast();
  const now = Date.now();
  tick(env, now);
  return complete(request, core.fetch(request, head, env, now, hasRoom()), size);
}

/**
 * Judges again the request that has opened a WebSocket (`watch` in mod.rs).
 * @param {Head} head
 * @returns {number | Promise<number>}
 */
function judge(head) {
  try {
    const result = core.watch(head, Date.now(), hasRoom());
    if (!Array.isArray(result)) return result;
    const [promise, id] = result;
    return hold(promise, id).then(
      ([watched]) => watched,
      () => UNKNOWN,
    );
  } catch (error) {
    restart(error);
    return UNKNOWN;
  }
}

/**
 * The answer if the core failed.
 * @param {unknown} error
 * @param {Request} request
 */
function answerFault(error, request) {
  countPanic();
  const ray = request.headers.get("cf-ray") ?? "";
  const request_id = /^[\w-]{1,40}$/.test(ray) ? ray : crypto.randomUUID();
  const code = "temporarily_unavailable";
  const time = new Date().toISOString();
  console.error(JSON.stringify({ time, event: "fault", status: 503, code, reason: "panic", error: String(error), request_id }));
  const headers = { "content-type": "application/json", "cache-control": "no-store", "x-request-id": request_id };
  return new Response(JSON.stringify({ error: "Please try again in a moment.", code, request_id }), { status: 503, headers });
}

/**
 * Returns the core's result. If the core has to wait, holds the request and promises the result.
 * @param {Request} request
 * @param {core.Result} result
 * @param {number} size
 * @returns {Response | Promise<Response>}
 */
function complete(request, result, size) {
  if (!Array.isArray(result)) return result;
  const [promise, id] = result;
  return hold(promise, id, size).then(
    ([answer]) => answer,
    (error) => answerFault(error, request),
  );
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  /**
   * @param {Request} request
   * @param {Env} env
   */
  fetch(request, env) {
    try {
      return call(request, env);
    } catch (error) {
      return answerFault(error, request);
    }
  },
};

/** The name in the storage of `Once`. Leases outlive a deployment, so it stays as it was. */
const LEASE = "claim";

/**
 * For what must happen only once: the lease on a key, until it expires. A plain class, so that a panic of the core cannot lose
 * a lease. All of its state is in the object's storage.
 * @extends DurableObject<Env>
 */
export class Once extends DurableObject {
  /**
   * Acquires the lease for `value` if it is free or held by `replaced`. Returns the value that holds it afterwards.
   * @param {string} value
   * @param {number} expires
   * @param {string} [replaced]
   */
  async acquire(value, expires, replaced) {
    const held = /** @type {Lease | undefined} */ (await this.ctx.storage.get(LEASE));
    if (held !== undefined && Date.now() < held.expires && held.value !== replaced) return held.value;
    await this.ctx.storage.put(LEASE, { value, expires });
    await this.ctx.storage.setAlarm(expires);
    return value;
  }

  /**
   * Returns what holds the key once `value` no longer does, or after `patience` milliseconds; undefined if it is free.
   * Others may acquire it meanwhile: the input gate is closed only while the storage is busy.
   * @param {string} value
   * @param {number} patience
   */
  async changed(value, patience) {
    const until = Date.now() + patience;
    for (;;) {
      const held = /** @type {Lease | undefined} */ (await this.ctx.storage.get(LEASE));
      if (held === undefined || Date.now() >= held.expires) return undefined;
      if (held.value !== value || Date.now() >= until) return held.value;
      await scheduler.wait(50);
    }
  }

  release() {
    return this.ctx.storage.deleteAll();
  }

  /** For parts.js. */
  health() {
    return this.ctx.storage.get(LEASE);
  }

  /** @override */
  alarm() {
    return this.ctx.storage.deleteAll();
  }
}
