// Requests that wait in the core. The runtime cancels what a request waits for as soon as its client disconnects. Its
// promises then never settle, and the core would keep its state for ever. So each is run to completion within a time limit,
// and together they have a size limit.
import { waitUntil } from "cloudflare:workers";

/** No request waits in the core for longer; `waitUntil` holds for 30 s after the client has gone. In milliseconds. */
const LONGEST = 25_000;
/** A request this old was ended by the runtime, whatever was passed to `waitUntil`. */
const LOST_AFTER = 60_000;
/** The most characters that the heads of all waiting requests may have. */
const ROOM = 8 * 1024 * 1024;
/** Added per request for what the core holds besides the head. */
const OVERHEAD = 4096;

/** @typedef {{ since: number, size: number, fail: (error: unknown) => void, timer: ReturnType<typeof setTimeout> }} Entry */

/**
 * By their number, the oldest first.
 * @type {Map<number, Entry>}
 */
const waiting = new Map();
let held = 0;
/** @type {(id: number) => void} */
let abandon = () => {};

/**
 * Registers the core's function that drops a waiting request.
 * @param {(id: number) => void} drop
 */
export function abandonWith(drop) {
  abandon = drop;
}

/** Whether one more request may begin to wait. */
export function hasRoom() {
  return held < ROOM;
}

/**
 * Carries the core's `promise` with this `id` to its end, also when the client leaves. `headSize`: how many characters
 * the head of the waiting request has, if it is one. Rejects when the core's instance ends before.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} id
 * @param {number} [headSize]
 * @returns {Promise<T>}
 */
export function hold(promise, id, headSize = 0) {
  sweep();
  const { promise: settled, resolve, reject } = /** @type {PromiseWithResolvers<T>} */ (Promise.withResolvers());
  const size = OVERHEAD + headSize;
  /** @type {Entry} */
  const entry = { since: Date.now(), size, fail: reject, timer: setTimeout(() => abandon(id), LONGEST) };
  promise.then(resolve, reject);
  waiting.set(id, entry);
  held += entry.size;
  const forget = () => forgotten(id, entry);
  waitUntil(settled.then(forget, forget));
  return settled;
}

/**
 * Fails every waiting request: the core's instance has ended.
 * @param {unknown} error
 */
export function failAll(error) {
  for (const [id, entry] of waiting) {
    forgotten(id, entry);
    entry.fail(error);
  }
}

/** Drops requests that were never completed: the runtime may end one at any time, for what it costs. */
function sweep() {
  const lost = Date.now() - LOST_AFTER;
  for (const [id, entry] of waiting) {
    if (entry.since > lost) return;
    forgotten(id, entry);
    abandon(id);
  }
}

/**
 * @param {number} id
 * @param {Entry} entry
 */
function forgotten(id, entry) {
  clearTimeout(entry.timer);
  if (waiting.get(id) !== entry) return;
  waiting.delete(id);
  held -= entry.size;
}

/** For tests: how many requests wait, and what they hold. The bundle that ships leaves it out. */
export function state() {
  return { waiting: waiting.size, held };
}
