// 100 MB through a Worker, down and up, one at a time.

import { BASE, startEntrants } from "../lib/entrants.mjs";
import { wantedRows } from "../lib/options.mjs";
import { browserRequest } from "../lib/request.mjs";
import { takeTurn } from "../lib/rounds.mjs";
import { chosen } from "../lib/section.mjs";
import { median } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";

/** @import { RoundSection, Run } from "../lib/types.js" */
/** @typedef {{ label: string, name: string, rate: number, cpu: number, ratio: number, memory: number }} Result */
/** @typedef {{ cpu: number, seconds: number, memory: number }} Transfer */
/** @typedef {{ label: string, request: { path: string, method?: string }, length: number, body: number, answer: [request: string, length: number] }} Way */

const MEGABYTE = 1e6;
const LENGTH = 100 * MEGABYTE;
const NAMES = [BASE, "edgeward", "jose", "hono"];

/** @type {Way[]} */
const ROWS = [
  { label: "down", request: { path: "/down" }, length: LENGTH, body: 0, answer: ["GET /down", LENGTH] },
  { label: "up", request: { method: "POST", path: "/up" }, length: 2, body: LENGTH, answer: ["POST /up", 2] },
];

/** @type {RoundSection} */
const section = {
  name: "bodies",
  about: "100 MB down and up: throughput, CPU and memory",
  minutes: 2,
  rounds: 5,
  async run({ options, people, tools }) {
    const rounds = options.rounds ?? section.rounds;
    const names = chosen(NAMES, options);
    const ways = wantedRows(ROWS, options);
    /** @type {Map<string, Transfer[]>} */
    const samples = new Map();
    for (let round = 1; round <= rounds; round += 1) {
      for (const row of ways) {
        for (const [name, sample] of await passOnce(row, names, { people, tools })) {
          const key = `${row.label} ${name}`;
          samples.set(key, [...(samples.get(key) ?? []), sample]);
        }
      }
      tools.progress(`round ${round} of ${rounds}`);
    }
    const rows = ways.flatMap(({ label }) => names.map((name) => resultOf(label, name, samples)));
    return { text: tableOf(rows), rows, samples: Object.fromEntries(samples), rounds };
  },
};
export default section;

/**
 * Each Worker in a process of its own, which one transfer has warmed up: what the next one takes, by name.
 * @param {Way} way
 * @param {string[]} names
 * @param {Pick<Run, "people" | "tools">} run
 */
async function passOnce({ request, length, body, answer: [key, answered] }, names, { people, tools }) {
  await tools.origin.ask({ answers: [[key, { status: 200, length: answered, headers: { "content-type": "application/octet-stream" } }]] });
  const job = () => ({ kinds: [{ ...browserRequest(request), length, body }] });
  const { entrants, check, stop } = await startEntrants({ names, scenario: { job }, people, tools });
  /** @type {[name: string, transfer: Transfer][]} */
  const taken = [];
  for (const entrant of entrants) {
    const { name, worker } = entrant;
    await tools.load.ask({ keep: { name, ...entrant.plan } });
    const turn = () => takeTurn(entrant, { ...tools, check, connections: 1, exact: true, part: { count: 1 } });
    await turn(); // connections are open and code is compiled after that
    const idle = worker.memory().now;
    worker.memory().forget();
    const { cpu, seconds } = await turn();
    taken.push([name, { cpu, seconds, memory: worker.memory().most - idle }]);
    await tools.load.ask({ forget: name });
  }
  await stop();
  return taken;
}

/**
 * @param {string} label
 * @param {string} name
 * @param {Map<string, Transfer[]>} samples
 * @returns {Result}
 */
function resultOf(label, name, samples) {
  const [mine, base] = [samples.get(`${label} ${name}`) ?? [], samples.get(`${label} ${BASE}`) ?? []];
  /** @param {keyof Transfer} what */
  const of = (what) => median(mine.map((sample) => sample[what]));
  return {
    label,
    name,
    rate: LENGTH / MEGABYTE / of("seconds"),
    cpu: of("cpu"),
    ratio: median(mine.map(({ cpu }, round) => cpu / base[round].cpu)),
    memory: of("memory"),
  };
}

/** @param {Result[]} rows */
function tableOf(rows) {
  return markdown(
    ["100 MB", "Worker", "MB/s", "s CPU", "CPU / pass-through", "most MB more in memory"],
    rows.map(({ label, name, rate, cpu, ratio, memory }) => [label, name, rate.toFixed(0), cpu.toFixed(3), ratio.toFixed(2), (memory / MEGABYTE).toFixed(1)]),
  );
}
