// Calls the audit log of one month (audit.js).

/** @import { Audit } from "./audit.js" */

/**
 * A log that does not answer must not hold up a sign-out, nor a refusal. One whose disk stands still for a moment refuses nothing.
 * In milliseconds.
 */
const PATIENCE = 10_000;

/**
 * Promises the log's answer, as JSON. Both are text, because the core reads JSON anyway.
 * @param {DurableObjectNamespace<Audit>} namespace
 * @param {string} log
 * @param {string} text
 */
export async function callAudit(namespace, log, text) {
  const { promise, reject } = /** @type {PromiseWithResolvers<never>} */ (Promise.withResolvers());
  const timer = setTimeout(() => reject(new Error("the audit log does not answer")), PATIENCE);
  try {
    const object = /** @type {{ call: (call: object) => Promise<object> }} */ (/** @type {unknown} */ (namespace.get(namespace.idFromName(log))));
    // Nobody waits any more for what comes after that: it must not be written as if it had happened.
    const call = { ...JSON.parse(text), deadline: Date.now() + PATIENCE };
    return JSON.stringify(await Promise.race([object.call(call), promise]));
  } finally {
    clearTimeout(timer);
  }
}
