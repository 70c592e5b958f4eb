// How long an answer takes: one connection, one request at a time.

import { BASE, startEntrants } from "../lib/entrants.mjs";
import { wantedRows } from "../lib/options.mjs";
import { browserRequest } from "../lib/request.mjs";
import { takeTurn } from "../lib/rounds.mjs";
import { amountOf, chosen } from "../lib/section.mjs";
import { quantile } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";

/** @import { Amount, Entrant, Scenario, TimedSection } from "../lib/types.js" */
/** @typedef {{ label: string, name: string, requests: number, p50: number, p99: number }} Result */
/** @typedef {{ label: string, names: string[], scenario: Scenario, warmUp?: Amount, part?: Amount }} Wait */

const KV_MILLISECONDS = 20;
const SESSIONS = 120;
const ONE = { kinds: [browserRequest()] };

/** @type {Wait[]} */
const ROWS = [
  {
    label: "every request of a session that was seen",
    names: [BASE, "edgeward", "jose", "jose-memo", "hono", "hono-memo", "js-memo"],
    scenario: { job: () => ONE },
  },
  {
    label: `first request of a session, KV takes ${KV_MILLISECONDS} ms`,
    names: [BASE, "edgeward"],
    scenario: { job: () => ({ ...ONE, once: true }), callers: SESSIONS, delay: KV_MILLISECONDS },
    // The first one also makes the isolate read the signing keys.
    warmUp: { count: 20 },
    part: { count: SESSIONS - 20 },
  },
];

/** @type {TimedSection} */
const section = {
  name: "latency",
  about: "milliseconds to an answer at one connection, p50 and p99",
  minutes: 3,
  rounds: 3,
  seconds: 3,
  warmUp: 1,
  async run({ options, people, tools }) {
    const { rounds, amount, warmUp } = amountOf(section, options);
    /** @type {Result[]} */
    const rows = [];
    for (const row of wantedRows(ROWS, options)) {
      const names = chosen(row.names, options);
      /** @type {Map<string, number[]>} */
      const all = new Map(names.map((name) => [name, []]));
      for (let round = 1; round <= rounds; round += 1) {
        await tools.origin.ask({ answers: [] });
        const { entrants, check, stop } = await startEntrants({ names, scenario: row.scenario, people, tools });
        /**
         * @param {Entrant} entrant
         * @param {Amount} part
         */
        const turn = (entrant, part) => takeTurn(entrant, { ...tools, check, connections: 1, latencies: true, part });
        for (const entrant of entrants) {
          await tools.load.ask({ keep: { name: entrant.name, ...entrant.plan } });
          await turn(entrant, row.warmUp ?? warmUp);
        }
        for (const part of turnsOf(row.part ?? amount)) {
          for (const entrant of entrants) all.get(entrant.name)?.push(...(await turn(entrant, part)).milliseconds);
        }
        for (const { name } of entrants) await tools.load.ask({ forget: name });
        await stop();
        tools.progress(`round ${round} of ${rounds}, ${row.label}`);
      }
      for (const [name, milliseconds] of all)
        rows.push({ label: row.label, name, requests: milliseconds.length, p50: quantile(milliseconds, 0.5), p99: quantile(milliseconds, 0.99) });
    }
    return { text: tableOf(rows), rows, rounds, ...amount };
  },
};
export default section;

/**
 * An amount in parts, so that all Workers meet the same machine.
 * @param {Amount} amount
 * @returns {Amount[]}
 */
function turnsOf({ seconds, count }) {
  const turns = seconds === undefined ? count / 20 : Math.max(1, Math.round(seconds / 0.25));
  return new Array(turns).fill(seconds === undefined ? { count: 20 } : { seconds: seconds / turns });
}

/** @param {Result[]} rows */
function tableOf(rows) {
  /** @param {string} label */
  const base = (label) => rows.find((row) => row.label === label && row.name === BASE)?.p50 ?? Number.NaN;
  return markdown(
    ["request", "Worker", "p50 ms", "p99 ms", "p50 / pass-through", "p50 − pass-through, ms", "requests"],
    rows.map(({ label, name, p50, p99, requests }) => [
      label,
      name,
      p50.toFixed(2),
      p99.toFixed(2),
      (p50 / base(label)).toFixed(2),
      (p50 - base(label)).toFixed(2),
      String(requests),
    ]),
  );
}
