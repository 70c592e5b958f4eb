// A request whose credential was seen before: Edgeward, whatever is new in its headers, beside the peers as their users
// write them and with a memory.

import { BASE } from "../lib/entrants.mjs";
import { dollarsPerMillion } from "../lib/prices.mjs";
import { browserRequest } from "../lib/request.mjs";
import { measure } from "../lib/rounds.mjs";
import { amountOf, chosen } from "../lib/section.mjs";
import { ratios } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";

/** @import { MeasuredScenario, Ratio, TimedSection } from "../lib/types.js" */

/** @type {TimedSection & { names: string[] }} */
const section = {
  name: "hot",
  about: "CPU for a request whose credential was seen before",
  minutes: 7,
  rounds: 5,
  seconds: 4,
  warmUp: 2,
  names: [
    BASE,
    "undecided",
    "edgeward",
    "edgeward-unsigned",
    "edgeward-page",
    "edgeward-trace",
    "edgeward-cookie",
    "jose",
    "jose-memo",
    "hono",
    "hono-memo",
    "js-memo",
  ],
  async run({ options, people, tools }) {
    /** @type {MeasuredScenario} */
    const scenario = { names: chosen(section.names, options), job: ({ fresh, bare }) => ({ kinds: [browserRequest({ fresh, bare })] }) };
    const run = amountOf(section, options);
    const [samples] = await measure({ ...run, scenarios: [scenario], people, tools });
    const rows = ratios(samples, BASE);
    return { text: tableOf(rows), rows, samples: Object.fromEntries(samples), rounds: run.rounds, seconds: run.seconds, bare: options.bare };
  },
};
export default section;

/** @param {Ratio[]} rows */
function tableOf(rows) {
  return markdown(
    ["Worker", "CPU per request / pass-through", "min–max of rounds", "µs CPU", "req/s", "$ per million"],
    rows.map(({ name, ratio, min, max, microseconds, rate }) => [
      name,
      ratio.toFixed(2),
      `${min.toFixed(2)}–${max.toFixed(2)}`,
      microseconds.toFixed(0),
      rate.toFixed(0),
      dollarsPerMillion(microseconds).toFixed(4),
    ]),
  );
}
