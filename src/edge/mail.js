// Hands a mail to the runtime, which writes its headers and body (RFC 5322, RFC 2047).

/** @import { Letter } from "./types.js" */

/** The longest wait for the answer, in milliseconds. */
const PATIENCE = 10_000;

/**
 * Sends a mail. Rejects if it was not taken, or not in time.
 * @param {SendEmail} binding
 * @param {string} letter as JSON
 */
export async function sendMail(binding, letter) {
  const { from, sender, to, subject, text, html } = /** @type {Letter} */ (JSON.parse(letter));
  const late = scheduler.wait(PATIENCE).then(() => Promise.reject(new DOMException("no answer in time", "TimeoutError")));
  try {
    await Promise.race([binding.send({ from: { email: from, name: sender }, to, subject, text, html }), late]);
  } catch (error) {
    // The message may contain the address and other parts of the mail.
    console.error(JSON.stringify({ event: "fault", reason: `a mail was not sent: ${codeOf(error)}` }));
    throw error;
  }
}

/**
 * What kind of error it is: the code of the mail service, such as E_SENDER_NOT_VERIFIED, or the name of the class.
 * @param {unknown} error
 */
function codeOf(error) {
  const { code, name } = /** @type {{ code?: unknown, name?: unknown }} */ (error ?? {});
  const known = [code, name].find((text) => typeof text === "string" && /^[A-Za-z_]{1,60}$/.test(text));
  return known ?? typeof error;
}
