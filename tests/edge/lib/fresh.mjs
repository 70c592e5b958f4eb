// What no other test has, and what takes a while.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

/** A secret that satisfies every rule for secrets. */
export const newSecret = () => randomBytes(32).toString("base64url");

let count = 0;
/** An address that no other test has. */
export const newEmail = (prefix = "user") => `${prefix}-${++count}-${randomBytes(4).toString("hex")}@example.test`;

/** A path that no other test has. */
export const newPath = () => `/p${++count}-${randomBytes(4).toString("hex")}`;

/**
 * Asks again and again until the answer is truthy; fails after `seconds`, which are long: a busy machine may stand still for
 * some, and what comes at once costs no time.
 * @template T
 * @param {() => T | Promise<T>} ask
 * @returns {Promise<Exclude<T, false | null | undefined | "" | 0>>}
 */
export async function until(ask, seconds = 20) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const found = await ask();
    if (found) return /** @type {Exclude<T, false | null | undefined | "" | 0>} */ (found);
    if (performance.now() > deadline) assert.fail(`not within ${seconds} s: ${ask}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The current time in seconds since the epoch. */
export const now = () => Math.floor(Date.now() / 1000);
