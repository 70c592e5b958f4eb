// The Worker, over ports that take a moment, with a core that can be made to die in a later turn of a request: after
// `POST /__test/die` the next line of the log throws through it. `GET /__test/errors` tells which `error` events the runtime
// sent.
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { TestEnv } from "./types.js" */

export { Audit, Once, Outbox, Record };

/** Milliseconds that a limit takes. */
const SLOW = 200;

let armed = false;
const { log } = console;
console.log = (...args) => {
  if (!armed) return log(...args);
  armed = false;
  throw new TypeError("not to be logged");
};

/** @type {string[]} */
const errors = [];
addEventListener("error", ({ error }) => errors.push(String(error)));

/** @param {TestEnv} env */
function slow(env) {
  const limits = env.EDGEWARD_FAILURE_LIMIT;
  /** @param {RateLimitOptions} options */
  const limit = async (options) => {
    await scheduler.wait(SLOW);
    return limits.limit(options);
  };
  const slowed = new Proxy(limits, { get: (target, name) => (name === "limit" ? limit : Reflect.get(target, name, target)) });
  return { ...env, EDGEWARD_FAILURE_LIMIT: slowed };
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/__test/errors") return Response.json(errors);
    if (pathname === "/__test/die") {
      armed = true;
      return new Response();
    }
    return worker.fetch(request, slow(env));
  },
};
