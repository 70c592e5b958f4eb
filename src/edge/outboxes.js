// Calls the outbox of a service (outbox.js).

/** @import { Outbox } from "./outbox.js" */

/**
 * Promises the outbox's answer, as JSON. Both are text, because the core reads JSON anyway.
 * @param {DurableObjectNamespace<Outbox>} namespace
 * @param {string} service
 * @param {string} text
 */
export async function callOutbox(namespace, service, text) {
  const answer = await namespace.get(namespace.idFromName(service)).call(JSON.parse(text));
  if ("error" in answer) throw new TypeError("the outbox takes this call for malformed");
  return JSON.stringify(answer);
}
