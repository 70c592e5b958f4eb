// The commonest passwords, which nobody may set. The list is a file of its own, read when the first password is set
// (scripts/lib/common-passwords.mjs makes it, common-passwords.LICENSE tells where from).

/** A byte for each value of the first 12 bits of a SHA-256: how many of the list have it. */
const BUCKETS = 4_096;

/**
 * Whether a password, in lower case, is in the list. Of other passwords, one of 27,000 is taken for one of them.
 * @param {string} password
 */
export async function isCommon(password) {
  const { default: list } = await import("./common-passwords.bin");
  const text = new TextEncoder().encode(password.normalize("NFC").toLowerCase());
  const number = new DataView(await crypto.subtle.digest("SHA-256", text)).getUint32(0) >>> 4;
  const counts = new Uint8Array(list, 0, BUCKETS);
  const before = counts.subarray(0, number >>> 16).reduce((sum, count) => sum + count, 0);
  const numbers = new DataView(list, BUCKETS + 2 * before, 2 * counts[number >>> 16]);
  for (let at = 0; at < numbers.byteLength; at += 2) if (numbers.getUint16(at) === (number & 0xffff)) return true;
  return false;
}
