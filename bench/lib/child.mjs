// What the processes of `startHelper` have in common.

/**
 * Sends the parent a message.
 * @param {object} message
 */
export function tell(message) {
  if (process.send === undefined) throw new Error("this program is started by startHelper (helper.mjs)");
  process.send(message);
}
