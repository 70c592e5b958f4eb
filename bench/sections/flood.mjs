// Forty sign-in attempts a second against one workerd, while somebody loads a signed-in page: what that person notices.

import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "../lib/http.mjs";
import { COOKIE, HOST } from "../lib/request.mjs";
import { Mismatch } from "../lib/rounds.mjs";
import { median, quantile } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";
import { startHashing } from "./passwords.mjs";

/** @import { Section } from "../lib/types.js" */
/** @typedef {Awaited<ReturnType<typeof startHashing>>} Worker */

const ATTEMPTS_PER_SECOND = 40;
const PAUSE_BETWEEN_PAGES = 10;
const KDF = { name: "argon2id", memory_kib: 19_456, passes: 2, lanes: 1 };

/** @type {Section} */
const section = {
  name: "flood",
  about: `milliseconds of a signed-in page during ${ATTEMPTS_PER_SECOND} sign-in attempts a second, and its ratio to a quiet minute (--seconds)`,
  minutes: 3,
  seconds: 60,
  async run({ options, people, tools }) {
    const seconds = options.seconds ?? section.seconds ?? 60;
    await tools.origin.ask({ answers: [] });
    const worker = await startHashing({ people, tools });
    await pages(worker, 3);
    const quiet = await pages(worker, seconds);
    tools.progress(`quiet: median ${median(quiet).toFixed(2)} ms`);
    const [busy, outcomes] = await Promise.all([pages(worker, seconds), attempts(worker, seconds)]);
    await worker.stop();
    const count = (/** @type {string} */ wanted) => outcomes.filter((outcome) => outcome === wanted).length;
    const [hashes, refused] = [count("wrong"), count("busy")];
    if (hashes + refused !== outcomes.length) throw new Mismatch(`other answers than wrong and busy: ${[...new Set(outcomes)].join(", ")}`);
    const rows = [
      { label: "quiet", pages: quiet },
      { label: `${(outcomes.length / seconds).toFixed(0)} attempts a second`, pages: busy },
    ].map(({ label, pages }) => ({ label, requests: pages.length, p50: median(pages), p99: quantile(pages, 0.99), ratio: median(pages) / median(quiet) }));
    const table = markdown(
      ["a signed-in page", "p50 ms", "p99 ms", "p50 / quiet", "requests"],
      rows.map(({ label, p50, p99, ratio, requests }) => [label, p50.toFixed(2), p99.toFixed(2), ratio.toFixed(2), String(requests)]),
    );
    const text = `${table}\n\n${outcomes.length} attempts in ${seconds} s: ${hashes} hashed (${(hashes / seconds).toFixed(1)} a second), ${refused} refused.`;
    return { text, rows, hashes, refused, seconds };
  },
};
export default section;

/**
 * Loads a page again and again; resolves to the milliseconds of each.
 * @param {Worker} worker
 * @param {number} seconds
 */
async function pages(worker, seconds) {
  const until = performance.now() + seconds * 1000;
  /** @type {number[]} */
  const milliseconds = [];
  while (performance.now() < until) {
    const began = performance.now();
    const { status } = await ask(worker, { host: HOST, path: "/", headers: { cookie: `${COOKIE}=${worker.session}` } });
    milliseconds.push(performance.now() - began);
    if (status !== 200) throw new Mismatch(`a page was answered ${status}`);
    await sleep(PAUSE_BETWEEN_PAGES);
  }
  return milliseconds;
}

/**
 * Tries a password at the given rate, whether or not the last attempt was answered; resolves to what came out of each.
 * @param {Worker} worker
 * @param {number} seconds
 * @returns {Promise<string[]>}
 */
async function attempts(worker, seconds) {
  const began = performance.now();
  const running = [];
  for (let number = 0; number < seconds * ATTEMPTS_PER_SECOND; number += 1) {
    await sleep(Math.max(0, began + (number * 1000) / ATTEMPTS_PER_SECOND - performance.now()));
    const user = createHash("sha256").update(randomBytes(8)).digest("hex");
    const body = JSON.stringify({ user, lane: "lane", trusted: false, password: "a wrong password", kdf: KDF });
    running.push(ask(worker, { host: HOST, path: "/__attempt", method: "POST", body }));
  }
  return (await Promise.all(running)).map(({ status, body }) => {
    if (status !== 200) throw new Mismatch(`an attempt was answered ${status}: ${body}\n${worker.log()}`);
    return JSON.parse(body)[0];
  });
}
