// The Worker's entry. Calls the core, and gives it a new instance after a panic, so that one request can
// never take those after it down.
import { DurableObject } from "cloudflare:workers";
import * as core from "#core";
import { read, sizeOfLast } from "./head.js";
import { abandonWith, failAll, hasRoom, hold } from "./waiting.js";

/** @import { Claim, Env } from "./types.js" */

export { Record } from "./record.js";

abandonWith(core.abandon);

// A panic in a later turn of a request reaches no caller: the core polls its futures in microtasks. The runtime reports it
// as an `error` event, which its documentation does not name. Were it ever not sent, the next request would find the
// instance terminated and begin a new one (see `call`); the others would only wait for longer, as long as `hold` allows.
addEventListener("error", ({ error }) => {
  // A trap; or an exception of JavaScript that went through Wasm, as wasm-bindgen calls it.
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
    // The panic of an earlier request ended the instance before this one began: begin again.
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
  return carried(core.fetch(request, head, env, Date.now(), hasRoom()), size);
}

/** @param {unknown} error */
function broken(error) {
  console.error(JSON.stringify({ event: "fault", reason: "panic", error: String(error) }));
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response('{"error":"Please try again in a moment.","code":"temporarily_unavailable"}', { status: 503, headers });
}

/**
 * What the core gave, or the promise of it, carried to its end where the core has still to wait for something.
 * @param {core.Result} result
 * @param {number} size
 * @returns {Response | Promise<Response>}
 */
function carried(result, size) {
  if (!Array.isArray(result)) return result;
  const [promise, id] = result;
  return hold(promise, id, size).then(([answer]) => answer, broken);
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
      return broken(error);
    }
  },
};

/**
 * What must happen once: the first claim of a key holds until it ends. A plain class, so that a panic of the
 * core can never take a claim with it; all of its state is in the object's storage.
 * @extends DurableObject<Env>
 */
export class Once extends DurableObject {
  /**
   * Claims the key for `value`, if it is free or `replaced` holds it; gives what holds it then.
   * @param {string} value
   * @param {number} expires
   * @param {string} [replaced]
   */
  async claim(value, expires, replaced) {
    const held = /** @type {Claim | undefined} */ (await this.ctx.storage.get("claim"));
    if (held !== undefined && Date.now() < held.expires && held.value !== replaced) return held.value;
    await this.ctx.storage.put("claim", { value, expires });
    await this.ctx.storage.setAlarm(expires);
    return value;
  }

  /**
   * While it waits, others may claim: the gate is shut only while the storage answers.
   * @param {string} value
   * @param {number} patience
   */
  async changed(value, patience) {
    const until = Date.now() + patience;
    for (;;) {
      const held = /** @type {Claim | undefined} */ (await this.ctx.storage.get("claim"));
      if (held === undefined || Date.now() >= held.expires) return undefined;
      if (held.value !== value || Date.now() >= until) return held.value;
      await scheduler.wait(50);
    }
  }

  release() {
    return this.ctx.storage.deleteAll();
  }

  /** @override */
  alarm() {
    return this.ctx.storage.deleteAll();
  }
}
