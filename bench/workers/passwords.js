// The Worker as it is, and two ways to its password hashes: `/__hash` computes some at once, `/__attempt` tries a password
// as a sign-in does.
import kdf from "./kdf.wasm";
import imported from "./kdf-import.wasm";
import worker from "../../src/edge/entry.js";
import { compute } from "../../src/edge/hashing.js";
import { attemptPassword } from "../../src/edge/passwords.js";

export { Attempts, Audit, Once, Record } from "../../src/edge/entry.js";

/** @import { Attempts } from "../../src/edge/attempts.js" */
/** @import { Env, HashInstance, Kdf } from "../../src/edge/types.js" */

const SALT = new Uint8Array(16);
/** @type {{ [name: string]: HashInstance }} */
const instances = {};

/** @param {Kdf} work */
function instanceOf(work) {
  const name = work.name === "argon2id" ? "kdf" : "imported";
  const { exports } =
    instances[name] === undefined
      ? new WebAssembly.Instance(name === "kdf" ? kdf : imported, {})
      : { exports: instances[name] };
  return (instances[name] = /** @type {HashInstance} */ (/** @type {unknown} */ (exports)));
}

/**
 * @param {{ kdf: Kdf, count: number, length: number }} order
 */
function hash({ kdf: work, count, length }) {
  const instance = instanceOf(work);
  for (let made = 0; made < count; made += 1) compute(instance, work, [new Uint8Array(12), SALT], length);
  return Response.json({ memory: instance.memory.buffer.byteLength });
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  /**
   * @param {Request} request
   * @param {Env} env
   */
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/__hash") return hash(await request.json());
    if (pathname !== "/__attempt") return worker.fetch(request, env);
    const namespace = /** @type {DurableObjectNamespace<Attempts>} */ (env.EDGEWARD_ATTEMPTS);
    return Response.json(await attemptPassword(namespace, await request.text(), SALT, new Uint8Array()));
  },
};
