// A fresh isolate: what it costs and takes until the first request of somebody who is signed in is answered.

import { join } from "node:path";
import { BASE, startEntrants } from "../lib/entrants.mjs";
import { wantedRows } from "../lib/options.mjs";
import { browserRequest } from "../lib/request.mjs";
import { Mismatch, takeTurn } from "../lib/rounds.mjs";
import { median } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";
import { sites } from "./scale.mjs";

/** @import { RoundSection, Run, Scenario } from "../lib/types.js" */
/** @typedef {{ cpu: number, time: number }} First */
/** @typedef {Pick<Scenario, "files" | "vars"> & { label: string, name: string, carriesWasm?: boolean }} Fresh */

/** @type {Fresh[]} */
const ROWS = [
  { label: "pass-through", name: BASE },
  { label: "pass-through with the same Wasm", name: BASE, files: { [BASE]: "passthrough-wasm" }, carriesWasm: true },
  { label: "hono", name: "hono" },
  { label: "edgeward, 1 site", name: "edgeward" },
  { label: "edgeward, 200 sites", name: "edgeward", vars: sites(199) },
];

/** @type {RoundSection} */
const section = {
  name: "start",
  about: "CPU and time until the first answer of a fresh isolate",
  minutes: 1,
  rounds: 15,
  async run({ options, people, tools }) {
    const rounds = options.rounds ?? section.rounds;
    // The first row is what the others are compared with.
    const wanted = [ROWS[0], ...wantedRows(ROWS, options).filter((row) => row !== ROWS[0])];
    const rows = wanted.filter(({ name }) => name === BASE || options.only === undefined || options.only.includes(name));
    if (options.before !== undefined) rows.push({ label: "before, 1 site", name: "before" });
    /** @type {First[][]} */
    const samples = rows.map(() => []);
    for (let round = 1; round <= rounds; round += 1) {
      const line = [];
      for (const [index, row] of rows.entries()) {
        const first = await firstAnswer(row, { people, tools });
        samples[index].push(first);
        line.push(`${row.label} ${first.cpu.toFixed(0)} ms`);
      }
      tools.progress(`round ${round} of ${rounds}: ${line.join(", ")}`);
    }
    const results = rows.map(({ label }, index) => ({
      label,
      cpu: median(samples[index].map(({ cpu }) => cpu)),
      time: median(samples[index].map(({ time }) => time)),
    }));
    return { text: tableOf(results), rows: results, samples: Object.fromEntries(rows.map(({ label }, index) => [label, samples[index]])), rounds };
  },
};
export default section;

/**
 * Milliseconds of CPU and of time from before the process is there to its first answer.
 * @param {Fresh} row
 * @param {Pick<Run, "people" | "tools">} run
 * @returns {Promise<First>}
 */
async function firstAnswer({ name, files, vars, carriesWasm }, { people, tools }) {
  await tools.origin.ask({ answers: [] });
  /** @type {Scenario} */
  const scenario = {
    files,
    vars,
    modules: carriesWasm ? [{ name: "edgeward.wasm", file: join(tools.build, "edgeward.wasm") }] : [],
    job: () => ({ kinds: [browserRequest()] }),
  };
  const { entrants, check, stop } = await startEntrants({ names: [name], scenario, people, tools });
  const [entrant] = entrants;
  await tools.load.ask({ keep: { name, ...entrant.plan } });
  const { requests, seconds } = await takeTurn(entrant, { ...tools, check, connections: 1, part: { count: 1 } });
  const cpu = entrant.worker.exactCpu() * 1000;
  const time = entrant.worker.readyAfter + seconds * 1000;
  await stop();
  await tools.load.ask({ forget: name });
  if (requests !== 1) throw new Mismatch(`${name}: ${requests} requests were answered instead of one`);
  return { cpu, time };
}

/** @param {(First & { label: string })[]} rows */
function tableOf(rows) {
  const [base] = rows;
  /**
   * @param {First} row
   * @param {keyof First} what
   */
  const cells = (row, what) => [row[what].toFixed(1), (row[what] - base[what]).toFixed(1), (row[what] / base[what]).toFixed(2)];
  return markdown(
    ["fresh isolate", "ms CPU", "more than pass-through", "ratio", "ms to the answer", "more than pass-through", "ratio"],
    rows.map((row) => [row.label, ...cells(row, "cpu"), ...cells(row, "time")]),
  );
}
