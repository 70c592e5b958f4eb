// Makes password hashes, at the pace that leaves the isolate to others. A hash occupies the isolate's only thread, for all
// sites. So all Durable Objects of an isolate share one queue: one hash at a time, a pause of three times its work after
// each, and a ceiling, beyond which an attempt is refused.
//
// Wasm memory never shrinks, so there is one instance of each module, made when it is needed first and kept. The runtime's
// own functions are not used: in production they refuse what they do locally (PBKDF2 above 100,000 rounds).

/** @import { HashInstance, Kdf, Place } from "./types.js" */

/** How many hashes may wait or be made at once. */
const PLACES = 8;
/** The longest wait that is worth it, in milliseconds: the core waits for no call longer than 25 s. */
const LONGEST_WAIT = 10_000;
/** A hash takes one part of the thread's time, its pause the others. */
const PARTS = 4;
/** Whoever has not looked for so long has ended, in milliseconds; its place is free again. */
const LOST_AFTER = 3_000;
/** How often those who wait look, in milliseconds. */
const GLANCE = 25;

/**
 * What waits, the first in front. Those who wait look at a clock, each its own: no object may wait for a promise of another.
 * @type {Place[]}
 */
const queue = [];
/** When the next hash may begin. */
let restsUntil = 0;
/** @type {{ [file: string]: HashInstance }} */
const instances = {};

/**
 * The work of a hash: the milliseconds that it took on the machine where `npm run bench -- --section passwords` was run.
 * Not measured here, because in production the clock stands still while the thread works.
 * @param {Kdf} kdf
 */
export function workOf(kdf) {
  switch (kdf.name) {
    case "argon2id":
      return 5 + (kdf.memory_kib * kdf.passes) / 1_400;
    case "pbkdf2_sha256":
      return 5 + kdf.iterations / 2_600;
    case "bcrypt_sha256":
      return 5 + 2 ** kdf.cost / 14;
    case "scrypt":
      return 5 + (2 ** kdf.log_n * kdf.r * kdf.p) / 5_300;
  }
}

/** The milliseconds until all who wait have had their turn. */
function backlog() {
  const now = Date.now();
  for (let at = queue.length - 1; at >= 0; at -= 1) if (now > queue[at].seenAt + LOST_AFTER) queue.splice(at, 1);
  return queue.reduce((sum, { work }) => sum + PARTS * work, Math.max(0, restsUntil - now));
}

/** The seconds after which to try again if there is no place in the queue, otherwise 0. */
export function busyFor() {
  const wait = backlog();
  return queue.length < PLACES && wait < LONGEST_WAIT ? 0 : Math.max(1, Math.ceil(wait / 1_000));
}

/**
 * Makes a hash of `length` bytes when its turn has come. The caller has asked `busyFor` since it last waited for anything.
 * @param {Kdf} kdf
 * @param {Uint8Array} password
 * @param {Uint8Array} salt
 * @param {number} length
 */
export async function hash(kdf, password, salt, length) {
  const work = workOf(kdf);
  /** @type {Place} */
  const place = { work, seenAt: Date.now() };
  queue.push(place);
  try {
    const instance = await instanceOf(kdf);
    await turnOf(place);
    // A guess, until the clock goes on: nobody else begins, even if this object ends here.
    restsUntil = Date.now() + LOST_AFTER;
    return compute(instance, kdf, [password, salt], length);
  } catch (error) {
    // After a trap nobody knows what state it is in.
    if (error instanceof WebAssembly.RuntimeError) delete instances[fileOf(kdf)];
    throw error;
  } finally {
    const at = queue.indexOf(place);
    if (at >= 0) queue.splice(at, 1);
    await scheduler.wait(1);
    restsUntil = Date.now() + (PARTS - 1) * work;
  }
}

/** @param {Place} place */
async function turnOf(place) {
  for (;;) {
    const now = Date.now();
    place.seenAt = now;
    // Long work of others kept it from looking.
    if (!queue.includes(place)) queue.unshift(place);
    if (queue[0] === place && now >= restsUntil) return;
    await scheduler.wait(Math.min(GLANCE, Math.max(1, restsUntil - now)));
  }
}

/** @param {Kdf} kdf */
const fileOf = (kdf) => (kdf.name === "argon2id" ? "kdf" : "import");

/** @param {Kdf} kdf */
async function instanceOf(kdf) {
  const file = fileOf(kdf);
  if (instances[file] !== undefined) return instances[file];
  const { default: module } = file === "kdf" ? await import("./kdf.wasm") : await import("./kdf-import.wasm");
  // Another object may have been quicker.
  instances[file] ??= /** @type {HashInstance} */ (/** @type {unknown} */ (new WebAssembly.Instance(module, {}).exports));
  return instances[file];
}

/**
 * Writes the inputs one behind the other, calls the function, and takes the result (kdf/src/lib.rs). Each name is that of the
 * function, which clears the inputs.
 * @param {HashInstance} wasm
 * @param {Kdf} kdf
 * @param {Uint8Array[]} inputs password and salt; for the vector of RFC 9106, secret and associated data too
 * @param {number} length
 */
export function compute(wasm, kdf, inputs, length) {
  const start = wasm.kdf_buffer();
  const buffer = new Uint8Array(wasm.memory.buffer, start, wasm.kdf_capacity());
  let end = 0;
  for (const input of inputs) {
    buffer.set(input, end);
    end += input.length;
  }
  const status = call(wasm, kdf, inputs, length);
  if (status !== 0) throw new Error(`the password hash ended with ${status}`);
  // The memory may have grown, and then the old view is empty.
  const output = new Uint8Array(wasm.memory.buffer, start, length);
  const result = output.slice();
  output.fill(0);
  return result;
}

/**
 * @param {HashInstance} wasm
 * @param {Kdf} kdf
 * @param {Uint8Array[]} inputs
 * @param {number} length
 */
function call(wasm, kdf, [password, salt, secret, data], length) {
  switch (kdf.name) {
    case "argon2id":
      return wasm.kdf_argon2id(password.length, salt.length, secret?.length ?? 0, data?.length ?? 0, length, kdf.memory_kib, kdf.passes, kdf.lanes);
    case "pbkdf2_sha256":
      return wasm.kdf_pbkdf2_sha256(password.length, salt.length, length, kdf.iterations);
    case "bcrypt_sha256":
      return wasm.kdf_bcrypt_sha256(password.length, salt.length, length, kdf.cost);
    case "scrypt":
      return wasm.kdf_scrypt(password.length, salt.length, length, kdf.log_n, kdf.r, kdf.p);
  }
}

/** How much memory the instances have, in bytes. */
export function memoryOfHashes() {
  return Object.values(instances).reduce((sum, { memory }) => sum + memory.buffer.byteLength, 0);
}
