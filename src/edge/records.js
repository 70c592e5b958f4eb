// Calls the writer of a record (record.js).

/** @import { Record } from "./record.js" */
/** @import { Change } from "./types.js" */

/**
 * @param {DurableObjectNamespace<Record>} namespace
 * @param {string} key
 */
function writer(namespace, key) {
  return namespace.get(namespace.idFromName(key));
}

/**
 * Promises the newest value under `key`, or null.
 * @param {DurableObjectNamespace<Record>} namespace
 * @param {string} key
 */
export function readRecord(namespace, key) {
  return writer(namespace, key).read(key);
}

/**
 * Promises the value that the writer of `key` itself holds, or null.
 * @param {DurableObjectNamespace<Record>} namespace
 * @param {string} key
 */
export function readKeptRecord(namespace, key) {
  return writer(namespace, key).readKept();
}

/**
 * Applies a change, given as JSON. Promises true, or otherwise the value that the key holds, null for none.
 * @param {DurableObjectNamespace<Record>} namespace
 * @param {string} text
 */
export async function changeRecord(namespace, text) {
  const change = /** @type {Change} */ (JSON.parse(text));
  const { done, value } = await writer(namespace, change.key).change(change);
  return done || value;
}

/**
 * Tells the writer to keep KV's value permanently.
 * @param {DurableObjectNamespace<Record>} namespace
 * @param {string} key
 */
export async function keepRecord(namespace, key) {
  await writer(namespace, key).keep(key);
}
