// Reads the body of a request as a whole, for a form or a call of ours. Bounds how long it may take, and what requests hold
// meanwhile that nobody has verified.

import { sizeOf } from "./head.js";
import { readWhole } from "./stream.js";

/** The longest wait for a whole body. In milliseconds. */
const BODY_TIME = 10_000;
/**
 * The most characters that the heads of unverified requests may have together while their bodies are read. An honest form
 * arrives together with its head, so if there is no room, the request that has waited the longest is dismissed.
 */
const UNVERIFIED_ROOM = 1024 * 1024;
/** The same, counting dismissed requests that have not ended yet. */
const UNVERIFIED_PEAK = 4 * UNVERIFIED_ROOM;
/** How often each of them checks whether it was dismissed, since no request may settle another's promise. In milliseconds. */
const LOOK = 50;
/**
 * The sizes of these heads, the oldest first.
 * @type {Map<object, number>}
 */
const unverified = new Map();
let unverifiedSize = 0;
let unverifiedPresent = 0;

/**
 * The body of `request`, or why there is none: `long` if it has more than `limit` bytes (no more are ever held), `slow` if it
 * did not arrive in time or, for `anybody`, was dismissed for others, `full` if too many of those arrive at once.
 * @param {Request} request
 * @param {number} limit
 * @param {boolean} anybody
 */
export async function readBody(request, limit, anybody) {
  if (Number(request.headers.get("content-length")) > limit) return "long";
  if (request.body === null) return new Uint8Array();
  const place = {};
  const size = anybody ? sizeOf(request) : 0;
  if (unverifiedPresent + size > UNVERIFIED_PEAK) return "full";
  const reader = request.body.getReader();
  const body = readWhole(reader, limit);
  unverifiedPresent += size;
  if (anybody) admit(place, size);
  let timer = 0;
  try {
    for (let waited = 0; waited < BODY_TIME && (!anybody || unverified.has(place)); waited += LOOK) {
      const tick = /** @type {Promise<void>} */ (new Promise((resolve) => (timer = setTimeout(resolve, LOOK))));
      const read = await Promise.race([body, tick]);
      if (read !== undefined) return read;
    }
    return "slow";
  } finally {
    clearTimeout(timer);
    dismiss(place);
    unverifiedPresent -= size;
    // The rest of the body is not needed, so errors in it do not matter.
    body.catch(() => {});
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {object} place
 * @param {number} size
 */
function admit(place, size) {
  unverified.set(place, size);
  unverifiedSize += size;
  for (const oldest of unverified.keys()) {
    if (unverifiedSize <= UNVERIFIED_ROOM || oldest === place) return;
    dismiss(oldest);
  }
}

/** @param {object} place */
function dismiss(place) {
  unverifiedSize -= unverified.get(place) ?? 0;
  unverified.delete(place);
}
