// One attempt to deliver an event: what is sent to the service, and what its answer means.

import { bytesOf } from "./credentials.js";
import { LINK } from "./queue.js";

/** @import { Credentials, EventRow, OutboxConfig, Posted } from "./types.js" */

/** How much of an answer is read, and how much of it is kept to be shown. In bytes, and in characters. */
const ANSWER = 4096;
const SHOWN = 200;
/** The longest wait that a receiver can ask for. In milliseconds. */
const LONGEST_RETRY_AFTER = 3_600_000;

/**
 * Whether an event may be sent to `url`. The core has judged it by all rules when the service was configured (`outside.rs`),
 * its own hosts among them. What is checked here again is what a URL that was stored by other means could do most harm with:
 * an address in place of a name, and plain text. `new URL` brings every spelling of an IPv4 address into the dotted form.
 * @param {string} url
 * @param {boolean} insecure the development setting: any host, and http
 */
function isOutside(url, insecure) {
  try {
    const { protocol, hostname, username, password } = new URL(url);
    if (username !== "" || password !== "") return false;
    if (insecure) return protocol === "https:" || protocol === "http:";
    return protocol === "https:" && hostname.includes(".") && !/^[0-9.]+$/.test(hostname) && !hostname.startsWith("[");
  } catch {
    return false;
  }
}

/**
 * Sends an event, and again with the next token while the receiver answers that it does not know the one that was sent. Never
 * rejects because of the receiver.
 * @param {OutboxConfig} config
 * @param {EventRow} row
 * @param {Credentials & { start: number }} credentials what is valid now; `start`: the token to begin with
 * @param {{ now: number, patience: number, insecure: boolean }} limits `insecure`: the development setting of the gateway
 * @returns {Promise<Posted>}
 */
export async function post(config, row, { tokens, secrets, start }, { now, patience, insecure }) {
  if (!isOutside(config.url, insecure)) return { ok: false, status: null, error: "events may not be sent to this URL" };
  const signal = AbortSignal.timeout(patience);
  // A receiver can repeat a link in too many spellings to hide them.
  const shown = row.kind === LINK ? () => "the answer is not kept: it may repeat the link" : hide([...tokens, ...secrets].map(({ text }) => text));
  if (config.dialect === "webhook") return (await send(config, row, row.body, secrets, now, signal, shown)).posted;
  /** @type {Posted} */
  let last = { ok: false, status: null, error: "no token is valid" };
  for (let n = 0; n < tokens.length; n += 1) {
    const token = (start + n) % tokens.length;
    const members = { ...JSON.parse(row.body), token: tokens[token].text };
    const { posted, refused } = await send(config, row, encode(config, members), secrets, now, signal, shown);
    last = { ...posted, token };
    // A receiver that has not been told the newest token yet knows the one before.
    if (!refused) break;
  }
  return last;
}

/**
 * The body of a request. The oldest receivers take forms.
 * @param {OutboxConfig} config
 * @param {{ [name: string]: string }} members
 */
function encode({ dialect }, members) {
  return dialect === "push" ? new URLSearchParams(members).toString() : JSON.stringify(members);
}

/**
 * Where an event goes, and as what. The oldest receivers have a path for each of the two events that they know.
 * @param {OutboxConfig} config
 * @param {EventRow} row
 */
function target({ url, dialect }, { kind }) {
  if (dialect !== "push") return { to: url, type: "application/json" };
  return { to: url + (kind === "update_account" ? "push/" : "deauthenticate/"), type: "application/x-www-form-urlencoded" };
}

/**
 * @param {OutboxConfig} config
 * @param {EventRow} row
 * @param {string} body
 * @param {Credentials["secrets"]} secrets
 * @param {number} now
 * @param {AbortSignal} signal
 * @param {(text: string) => string} shown
 * @returns {Promise<{ posted: Posted, refused: boolean }>} `refused`: the receiver has answered in its protocol that it does not take it
 */
async function send(config, row, body, secrets, now, signal, shown) {
  const { dialect } = config;
  const { to, type } = target(config, row);
  const headers = { "content-type": type, accept: "application/json", "user-agent": "Edgeward", ...(await sign(row.id, body, secrets, now)) };
  /** @type {Response} */
  let response;
  /** @type {{ text: string, whole: boolean }} */
  let answer;
  try {
    response = await fetch(to, { method: "POST", headers, body, redirect: "manual", cache: "no-store", signal });
    const isTaken = dialect === "webhook" && response.ok;
    answer = isTaken ? await drop(response) : await readStart(response);
  } catch {
    // The runtime's message may contain the URL; it says nothing more than this.
    const error = signal.aborted ? "no answer in time" : "no connection, or it broke off";
    return { posted: { ok: false, status: null, error }, refused: false };
  }
  const { status } = response;
  // Receivers answer 200 for errors too, but the oldest ones say 400 to a token that they do not know.
  const speaks = dialect !== "webhook" && (status === 200 || (dialect === "push" && status === 400));
  const said = speaks && answer.whole ? parse(answer.text) : undefined;
  const ok = dialect === "webhook" ? response.ok : status === 200 && said?.ok === true;
  if (ok) return { posted: { ok, status, error: "" }, refused: false };
  const wait = retryAfter(response.headers.get("retry-after"), now);
  return { posted: { ok, status, error: shown(answer.text), retryAfter: wait }, refused: said?.error !== undefined };
}

/**
 * The headers of Standard Webhooks: an id that stays the same in each attempt, when this attempt was made, and a signature
 * by each valid secret. None without a secret.
 * @param {string} id
 * @param {string} body
 * @param {Credentials["secrets"]} secrets
 * @param {number} now
 * @returns {Promise<{ [name: string]: string }>}
 */
async function sign(id, body, secrets, now) {
  if (secrets.length === 0) return {};
  const timestamp = String(Math.floor(now / 1000));
  const message = new TextEncoder().encode(`${id}.${timestamp}.${body}`);
  const signatures = secrets.map(async ({ text }) => {
    const key = await crypto.subtle.importKey("raw", bytesOf(text), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return `v1,${new Uint8Array(await crypto.subtle.sign("HMAC", key, message)).toBase64()}`;
  });
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": (await Promise.all(signatures)).join(" ") };
}

/**
 * The first bytes of an answer, and whether that is all of it.
 * @param {Response} response
 */
async function readStart({ body }) {
  if (body === null) return { text: "", whole: true };
  const reader = /** @type {ReadableStreamDefaultReader<Uint8Array>} */ (body.getReader());
  const decoder = new TextDecoder();
  let text = "";
  for (let left = ANSWER; ; ) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), whole: true };
    text += decoder.decode(value.subarray(0, left), { stream: true });
    left -= value.byteLength;
    if (left < 0) break;
  }
  // The rest is not needed, so errors in it do not matter.
  reader.cancel().catch(() => {});
  return { text, whole: false };
}

/**
 * An answer that is of no interest.
 * @param {Response} response
 */
async function drop({ body }) {
  body?.cancel().catch(() => {});
  return { text: "", whole: true };
}

/** @param {string} text */
function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? /** @type {{ ok?: unknown, error?: unknown }} */ (value) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A function that makes an answer fit to be shown: without the credentials, which a receiver may repeat, without control and
 * formatting characters, and short.
 * @param {string[]} credentials
 */
function hide(credentials) {
  return (/** @type {string} */ text) => {
    // PHP writes a slash in JSON with a backslash before it.
    const spellings = credentials.flatMap((credential) => [credential, credential.replaceAll("/", "\\/")]);
    const hidden = spellings.reduce((rest, spelling) => rest.replaceAll(spelling, "[…]"), text);
    return hidden
      .replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S}]+/gu, " ")
      .trim()
      .slice(0, SHOWN);
  };
}

/**
 * The wait that a receiver asks for (RFC 9110 §10.2.3), in milliseconds; 0 for none.
 * @param {string | null} header
 * @param {number} now
 */
function retryAfter(header, now) {
  if (header === null) return 0;
  const wait = /^[0-9]+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(wait) ? 0 : Math.min(Math.max(wait, 0), LONGEST_RETRY_AFTER);
}
