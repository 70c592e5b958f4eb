// Rounds in turn: every Worker gets the same load for the same time, one after the other, again and again.
// CPU is what the Worker's process used from before the first request to after the last answer.

import { startEntrants } from "./entrants.mjs";
import { positionOf } from "./plan.mjs";
import { PRIVATE } from "./request.mjs";

/** @import { Amount, Check, Entrant, LoadHelper, MeasuredScenario, OriginHelper, People, Samples, Tools } from "./types.js" */

export const CONNECTIONS = 16;
const TURN = { seconds: 0.25, count: 250 };

/**
 * Runs `rounds` rounds of all `scenarios` and resolves to the samples of each, a list (scenarios) of
 * `name → [{ microseconds, rate, reads }]`; `reads` are those of KV for each request.
 *
 * A scenario is what `startEntrants` takes, and `names`, its Workers. `amount` is what each Worker gets in a round,
 * `{ seconds }` or `{ count }` (requests), and `warmUp` what it gets before that, unless the scenario says so itself. Every round has new processes, since two
 * processes of one Worker differ by a few percent for as long as they live.
 * @param {{ scenarios: MeasuredScenario[], rounds: number, amount: Amount, warmUp: Amount, people: People, tools: Tools }} run
 */
export async function measure({ scenarios, rounds, amount, warmUp, people, tools }) {
  /** @type {Samples[]} */
  const results = scenarios.map(() => new Map());
  for (let round = 1; round <= rounds; round += 1) {
    for (const [index, scenario] of scenarios.entries()) {
      const { names } = scenario;
      await tools.origin.ask({ answers: scenario.answers ?? [] });
      const { entrants, check, stop } = await startEntrants({ names, scenario, people, tools });
      for (const { name, plan } of entrants) await tools.load.ask({ keep: { name, ...plan } });
      await takeTurns(entrants, { ...tools, check, amount: scenario.warmUp ?? warmUp });
      const sums = await takeTurns(entrants, { ...tools, check, amount });
      for (const { name } of entrants) await tools.load.ask({ forget: name });
      await stop();
      const line = [];
      for (const [name, { cpu, requests, reads, seconds: took }] of sums) {
        const sample = { microseconds: (cpu / requests) * 1e6, rate: requests / took, reads: reads / requests };
        results[index].set(name, [...(results[index].get(name) ?? []), sample]);
        line.push(`${name} ${sample.microseconds.toFixed(0)} µs${reads > 0 ? ` (${sample.reads.toFixed(2)} reads of KV)` : ""}`);
      }
      tools.progress(`round ${round} of ${rounds}${scenario.label ? `, ${scenario.label}` : ""}: ${line.join(", ")}`);
    }
  }
  return results;
}

/**
 * @param {Entrant[]} entrants
 * @param {{ amount: Amount, check: Check, load: LoadHelper, origin: OriginHelper }} how
 */
async function takeTurns(entrants, { amount, ...tools }) {
  const inSeconds = amount.count === undefined;
  const turns = Math.max(1, Math.round(inSeconds ? amount.seconds / TURN.seconds : amount.count / TURN.count));
  const part = inSeconds ? { seconds: amount.seconds / turns } : { count: amount.count / turns };
  /** @type {Map<string, { cpu: number, requests: number, reads: number, seconds: number }>} */
  const sums = new Map();
  for (let turn = 0; turn < turns; turn += 1) {
    for (const entrant of entrants) {
      const one = await takeTurn(entrant, { ...tools, part });
      const sum = sums.get(entrant.name) ?? { cpu: 0, requests: 0, reads: 0, seconds: 0 };
      sums.set(entrant.name, {
        cpu: sum.cpu + one.cpu,
        requests: sum.requests + one.requests,
        reads: sum.reads + one.reads,
        seconds: sum.seconds + one.seconds,
      });
    }
  }
  return sums;
}

/**
 * One turn of one Worker, and whether it did the work. `latencies`: the milliseconds of each answer too; `exact`: CPU to the nanosecond, if no thread ends meanwhile.
 * @param {Entrant} entrant
 * @param {object} how
 * @param {LoadHelper} how.load
 * @param {OriginHelper} how.origin
 * @param {Check} how.check
 * @param {Amount} how.part
 * @param {number} [how.connections]
 * @param {boolean} [how.latencies]
 * @param {boolean} [how.exact]
 */
export async function takeTurn(entrant, { load, origin, check, part, connections = CONNECTIONS, latencies, exact = false }) {
  const { name, worker, job, plan, users } = entrant;
  await origin.ask();
  const readsBefore = (await worker.reads?.()) ?? 0;
  const cpuNow = exact ? worker.exactCpu : worker.cpu;
  const before = cpuNow();
  const { requests, wrong, last, sent, seconds, milliseconds } = await load.ask({ plan: name, port: worker.port, connections, latencies, ...part });
  const cpu = cpuNow() - before;
  const reads = worker.reads ? (await worker.reads()) - readsBefore : 0;
  if (wrong !== null) throw new Mismatch(`${name}: an answer was not as it had to be: ${wrong}\n${worker.log()}`);
  if (last === null) throw new Mismatch(`${name}: nothing was answered\n${worker.log()}`);
  const { requests: arrived, bytes, received } = await origin.ask();
  const wanted = job.refused?.(name) ? 0 : requests;
  if (arrived !== wanted) throw new Mismatch(`${name}: ${requests} requests were answered, the origin received ${arrived}`);
  if (wanted > 0 && bytes !== sent) throw new Mismatch(`${name}: ${sent} bytes were sent, the origin received ${bytes}`);
  const problem = wanted > 0 ? await check(entrant, received) : null;
  if (problem) throw new Mismatch(`${name}: ${problem}`);
  const head = last.head.toLowerCase();
  const { answered = PRIVATE } = job.kinds[positionOf(plan, last.n).kind];
  for (const [header, value] of Object.entries(users === null ? {} : answered)) {
    if (!head.includes(`\r\n${header}: ${value.toLowerCase()}\r\n`)) throw new Mismatch(`${name}: the answer has no "${header}: ${value}"`);
  }
  return { cpu, requests, reads, seconds, milliseconds };
}

/** The Workers did not do the same work, so no number of this run means anything. */
export class Mismatch extends Error {}
