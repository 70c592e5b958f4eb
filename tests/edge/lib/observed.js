// The Worker, telling in each answer what crossed to its core and back (`x-test-crossed`: what the core was told, how many
// texts came back, how often KV was read) and what the CDN was told (`x-test-cf`); and with a core that can be made to begin
// again, as it does after a panic (`x-test-restart`), and to die unnoticed, so that the next call begins again by itself
// (`x-test-die`).
import * as core from "#core";
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { TestEnv } from "./types.js" */

export { Audit, Once, Outbox, Record };

/** @type {RequestInitCfProperties | undefined} */
let cf;
let told = "";
let [texts, reads] = [0, 0];
// Texts cross by these two.
const { encodeInto } = TextEncoder.prototype;
TextEncoder.prototype.encodeInto = function (text, buffer) {
  if (text.includes("\n")) told = text;
  return encodeInto.call(this, text, buffer);
};
const { decode } = TextDecoder.prototype;
TextDecoder.prototype.decode = function (...args) {
  texts += 1;
  return decode.apply(this, args);
};
const { fetch } = globalThis;
globalThis.fetch = (what, init) => {
  cf = init?.cf;
  return fetch(what, init);
};

/** @param {KVNamespace} kv */
const counting = (kv) =>
  new Proxy(kv, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (/** @type {unknown[]} */ ...args) => {
        if (name === "get") reads += 1;
        return value.apply(target, args);
      };
    },
  });

/**
 * What is thrown in an import, and is no panic, ends the instance as well.
 * @param {Request} request
 * @param {TestEnv} env
 */
function die(request, env) {
  try {
    // @ts-expect-error: a head that is none, so that the import that reads it throws.
    core.fetch(request, null, env, Date.now(), false);
  } catch (error) {
    return new Response(String(error));
  }
  return new Response("it lives", { status: 500 });
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    if (request.headers.has("upgrade")) return worker.fetch(request, env);
    if (request.headers.has("x-test-restart")) core.__wbg_reset_state();
    if (request.headers.has("x-test-die")) return die(request, env);
    texts = reads = 0;
    told = "";
    const answer = await worker.fetch(request, { ...env, EDGEWARD_KV: counting(env.EDGEWARD_KV) });
    const seen = { texts, reads, told };
    const shown = new Response(answer.body, answer);
    shown.headers.set("x-test-crossed", JSON.stringify(seen));
    shown.headers.set("x-test-cf", JSON.stringify(cf) ?? "undefined");
    return shown;
  },
};
