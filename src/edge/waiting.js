// Requests that wait in the core. When a client disconnects, the runtime cancels what its request waits for. The promises
// then never settle, and the core would keep the request's state for ever. So every request runs to completion, within a
// time limit, and all of them together have a size limit.
import { waitUntil } from "cloudflare:workers";

/** The longest wait of a request; `waitUntil` holds for 30 s after the client has gone. In milliseconds. */
const LONGEST = 25_000;
/** The runtime has ended any request older than this, whatever was passed to `waitUntil`. In milliseconds. */
const LOST_AFTER = 60_000;
/** The most characters that the heads of all waiting requests may have together. */
const ROOM = 8 * 1024 * 1024;
/** Added per request for what the core holds besides the head. In characters. */
const OVERHEAD = 4096;

/** @typedef {{ since: number, size: number, fail: (error: unknown) => void, timer: ReturnType<typeof setTimeout> }} Entry */

/**
 * By id, the oldest first.
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

/** Whether another request may begin to wait. */
export function hasRoom() {
  return held < ROOM;
}

/**
 * Runs the core's `promise` with this `id` to completion, even if the client disconnects. `headSize`: how many characters the
 * head of the waiting request has, if there is one. Rejects if the core's instance ends first.
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
  const done = () => forget(id, entry);
  waitUntil(settled.then(done, done));
  return settled;
}

/**
 * Fails every waiting request, because the core's instance has ended.
 * @param {unknown} error
 */
export function failAll(error) {
  for (const [id, entry] of waiting) {
    forget(id, entry);
    entry.fail(error);
  }
}

/** Drops requests that never completed: the runtime may end one at any time that exceeds a limit. */
function sweep() {
  const lost = Date.now() - LOST_AFTER;
  for (const [id, entry] of waiting) {
    if (entry.since > lost) return;
    forget(id, entry);
    abandon(id);
  }
}

/**
 * @param {number} id
 * @param {Entry} entry
 */
function forget(id, entry) {
  clearTimeout(entry.timer);
  if (waiting.get(id) !== entry) return;
  waiting.delete(id);
  held -= entry.size;
}

/** For tests: the number of waiting requests and their size. The shipped bundle does not contain it. */
export function state() {
  return { waiting: waiting.size, held };
}
