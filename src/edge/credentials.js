// What proves to a service that an event is from here: encrypted at rest, because a Durable Object's storage is read by
// whoever gets at a backup of it. The key is derived from the newest EDGEWARD_KEY_SECRET_<n>, for this one outbox.

/** @import { Sealed } from "./types.js" */

const NONCE = 12;
const SECRET = /^EDGEWARD_KEY_SECRET_([1-9][0-9]*)$/;

/**
 * The number of the newest key secret.
 * @param {object} env
 */
export function newest(env) {
  const numbers = Object.keys(env).flatMap((name) => SECRET.exec(name)?.[1] ?? []);
  if (numbers.length === 0) throw new Error("no EDGEWARD_KEY_SECRET is set");
  return Math.max(...numbers.map(Number));
}

/**
 * @param {object} env
 * @param {number} number
 * @param {string} outbox the id of the Durable Object: what is copied to another one does not decrypt there
 */
async function keyOf(env, number, outbox) {
  const secret = /** @type {{ [name: string]: unknown }} */ (env)[`EDGEWARD_KEY_SECRET_${number}`];
  if (typeof secret !== "string") return undefined;
  const bytes = new TextEncoder();
  const from = await crypto.subtle.importKey("raw", bytes.encode(secret), "HKDF", false, ["deriveKey"]);
  const by = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: bytes.encode(`edgeward outbox credentials ${outbox}`) };
  return crypto.subtle.deriveKey(by, from, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/**
 * Encrypts a value for one outbox.
 * @param {object} env
 * @param {string} outbox
 * @param {object} value
 * @returns {Promise<Sealed>}
 */
export async function seal(env, outbox, value) {
  const secret = newest(env);
  const key = await keyOf(env, secret, outbox);
  if (key === undefined) throw new Error("the newest EDGEWARD_KEY_SECRET is no text");
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
  const plain = new TextEncoder().encode(JSON.stringify(value));
  const cipher = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, plain));
  return { secret, sealed: new Uint8Array([...nonce, ...cipher]).toBase64() };
}

/**
 * What was sealed; undefined if the secret is no longer configured, or if it was sealed for another outbox.
 * @param {object} env
 * @param {string} outbox
 * @param {Sealed} sealed
 * @returns {Promise<unknown>}
 */
export async function open(env, outbox, { secret, sealed }) {
  const key = await keyOf(env, secret, outbox);
  if (key === undefined) return undefined;
  const bytes = Uint8Array.fromBase64(sealed);
  try {
    const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: bytes.subarray(0, NONCE) }, key, bytes.subarray(NONCE));
    return JSON.parse(new TextDecoder().decode(plain));
  } catch {
    return undefined;
  }
}
