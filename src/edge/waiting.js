// Requests that wait in the core. The runtime cancels what a request has begun as soon as its client has gone, and then
// nothing that it waits for ever comes; what the core holds for it would stay for ever. So each of them is carried to its
// end, within a limit in time, and there is a limit to what all of them may hold.
import { waitUntil } from "cloudflare:workers";

/** Longer than this no request waits in the core; `waitUntil` gives 30 s after the client has gone. In milliseconds. */
const LONGEST = 25_000;
/** The runtime ended a request of this age, whatever it has promised. */
const LOST_AFTER = 60_000;
/** So many characters the heads of all of them may have, */
const ROOM = 8 * 1024 * 1024;
/** and each counts as so many more, for what the core holds besides its head. */
const OVERHEAD = 4096;

/** By their number, the oldest first. */
const waiting = new Map();
let held = 0;
let abandon = () => {};

/** Keeps how the core is told to drop what it holds for a number. */
export function abandonWith(drop) {
  abandon = drop;
}

/** Whether one more request may begin to wait. */
export function hasRoom() {
  return held < ROOM;
}

/**
 * Carries the core's `promise` with this `id` to its end, also when the client leaves. `head`: what was read of the
 * request, if there is one. Rejects when the core's instance ends before.
 */
export function hold(promise, id, head) {
  sweep();
  const entry = { since: Date.now(), size: OVERHEAD, fail: undefined, timer: undefined };
  for (const text of head ?? []) entry.size += text.length;
  const settled = new Promise((resolve, reject) => {
    entry.fail = reject;
    promise.then(resolve, reject);
  });
  entry.timer = setTimeout(() => abandon(id), LONGEST);
  waiting.set(id, entry);
  held += entry.size;
  const forget = () => forgotten(id, entry);
  waitUntil(settled.then(forget, forget));
  return settled;
}

/** The instance of the core has ended, and what waited in it. */
export function failAll(error) {
  for (const [id, entry] of waiting) {
    forgotten(id, entry);
    entry.fail(error);
  }
}

/** Drops what was not carried to its end: the runtime may end a request at any time, for what it costs. */
function sweep() {
  const lost = Date.now() - LOST_AFTER;
  for (const [id, entry] of waiting) {
    if (entry.since > lost) return;
    forgotten(id, entry);
    abandon(id);
  }
}

function forgotten(id, entry) {
  clearTimeout(entry.timer);
  if (waiting.get(id) !== entry) return;
  waiting.delete(id);
  held -= entry.size;
}

/** For tests: how many wait, and what they hold. */
export function state() {
  return { waiting: waiting.size, held };
}
