// Packs a list of common passwords for the Worker (`src/edge/common-passwords.bin`).
import { createHash } from "node:crypto";

/** The shortest password that may be set; shorter ones need no list. */
const SHORTEST = 8;
/** How many of the list are taken. */
const MOST = 10_000;
const BUCKETS = 4096;

/**
 * The first 28 bits of the SHA-256 of each password, sorted: a byte for each value of the first 12 bits, how many there
 * are, and then the other 16 bits of all of them, big-endian. One of 27,000 other passwords is taken for one of the list.
 * @param {string} list one password a line, the commonest first, in lower case
 */
export function pack(list) {
  const passwords = list
    .split("\n")
    .map((line) => line.trim())
    .filter((password) => Buffer.byteLength(password) >= SHORTEST);
  const numbers = new Set(passwords.slice(0, MOST).map((password) => createHash("sha256").update(password).digest().readUInt32BE() >>> 4));
  const sorted = [...numbers].sort((a, b) => a - b);
  const packed = Buffer.alloc(BUCKETS + 2 * sorted.length);
  sorted.forEach((number, index) => {
    packed[number >>> 16] += 1;
    packed.writeUInt16BE(number & 0xffff, BUCKETS + 2 * index);
  });
  return packed;
}
