// Calls the directory of users (directory.js). There is one for a deployment: 10 GB hold some million users.

/** @import { Directory } from "./directory.js" */
/** @import { DirectoryCall } from "./types.js" */

/** @param {DurableObjectNamespace<Directory>} namespace */
export const directory = (namespace) =>
  /** @type {{ call: (call: DirectoryCall) => Promise<object> }} */ (/** @type {unknown} */ (namespace.get(namespace.idFromName("users"))));

/**
 * Promises the directory's answer. Both are JSON.
 * @param {DurableObjectNamespace<Directory>} namespace
 * @param {string} text
 */
export const callDirectory = async (namespace, text) => JSON.stringify(await directory(namespace).call(JSON.parse(text)));
