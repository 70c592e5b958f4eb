// Rounds in turn: every Worker gets the same load for the same time, one after the other, again and again.
// CPU is what the Worker's process used from before the first request to after the last answer.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

export const CONNECTIONS = 16;
const TURN = 0.25; // seconds
export const WARM_UP = 2; // seconds

/** A helper process (`origin.mjs`, `load.mjs`): resolves, once it is ready, to `{ hello, ask(message), stop() }`. */
export async function helper(file) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { detached: true });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const waiting = new Map();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  ended.then((code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code}`));
  });
  const hello = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  child.on("message", ({ id, ...answer }) => {
    waiting.get(id)?.resolve(answer);
    waiting.delete(id);
  });
  let next = 0;
  const ask = (message = {}) =>
    new Promise((resolve, reject) => {
      const id = (next += 1);
      waiting.set(id, { resolve, reject });
      child.send({ id, ...message });
    });
  const stop = async () => {
    kill();
    process.off("exit", kill);
    await ended;
  };
  return { hello, ask, stop };
}

/**
 * Runs `rounds` rounds and resolves to the samples of each entrant, `name → [{ microseconds, rate }]`.
 *
 * `start()` resolves to `{ entrants, check, stop }`; an entrant is `{ name, worker, request, answer, … }`, where `answer`
 * are headers that its answers must have. Every round has new
 * processes, since two processes of one Worker differ by a few percent for as long as they live. In a round each
 * entrant is warmed up and then loaded for `seconds`, in short turns, so that whatever else the machine does meets them
 * all alike. `check(entrant, received)` gets what the origin received last in a turn and resolves to what is wrong
 * with it, or null.
 */
export async function measure({ start, load, origin, rounds, seconds, progress }) {
  const results = new Map();
  for (let round = 1; round <= rounds; round += 1) {
    const { entrants, check, stop } = await start();
    const loadAll = (length) => takeTurns(entrants, { load, origin, check, length });
    await loadAll(Math.min(WARM_UP, seconds));
    const sums = await loadAll(seconds);
    await stop();
    const line = [];
    for (const [name, { cpu, requests, seconds: took }] of sums) {
      const sample = { microseconds: (cpu / requests) * 1e6, rate: requests / took };
      results.set(name, [...(results.get(name) ?? []), sample]);
      line.push(`${name} ${sample.microseconds.toFixed(0)} µs`);
    }
    progress(`round ${round} of ${rounds}: ${line.join(", ")}`);
  }
  return results;
}

async function takeTurns(entrants, { length, ...tools }) {
  const turns = Math.max(1, Math.round(length / TURN));
  const sums = new Map(entrants.map(({ name }) => [name, { cpu: 0, requests: 0, seconds: 0 }]));
  for (let turn = 0; turn < turns; turn += 1) {
    for (const entrant of entrants) {
      const one = await takeTurn(entrant, { ...tools, seconds: length / turns });
      for (const [key, value] of Object.entries(one)) sums.get(entrant.name)[key] += value;
    }
  }
  return sums;
}

async function takeTurn({ name, worker, request, answer, ...entrant }, { load, origin, check, seconds }) {
  await origin.ask();
  const before = worker.cpu();
  const {
    requests,
    wrong,
    last,
    seconds: took,
  } = await load.ask({
    port: worker.port,
    request,
    body: origin.hello.body,
    connections: CONNECTIONS,
    seconds,
  });
  const cpu = worker.cpu() - before;
  if (wrong !== null) throw new Mismatch(`${name}: an answer was not the origin's 200: ${wrong}\n${worker.log()}`);
  const { requests: arrived, received } = await origin.ask();
  if (arrived !== requests) throw new Mismatch(`${name}: ${requests} requests were answered, the origin received ${arrived}`);
  const problem = await check({ name, ...entrant }, received);
  if (problem) throw new Mismatch(`${name}: ${problem}`);
  const head = last.toLowerCase();
  for (const [header, value] of Object.entries(answer)) {
    if (!head.includes(`\r\n${header}: ${value.toLowerCase()}\r\n`)) throw new Mismatch(`${name}: the answer has no "${header}: ${value}"`);
  }
  return { cpu, requests, seconds: took };
}

/** The Workers did not do the same work, so no number of this run means anything. */
export class Mismatch extends Error {}

/** Median, least and greatest of the round-by-round ratios to `base`. */
export function ratios(results, base) {
  const reference = results.get(base);
  return [...results].map(([name, rounds]) => {
    const each = rounds.map(({ microseconds }, round) => microseconds / reference[round].microseconds);
    return {
      name,
      ratio: median(each),
      min: Math.min(...each),
      max: Math.max(...each),
      microseconds: median(rounds.map((round) => round.microseconds)),
      rate: median(rounds.map((round) => round.rate)),
    };
  });
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
