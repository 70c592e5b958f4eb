// What most sections are: scenarios that are measured in rounds, as one table with a row for each scenario.

import { BASE, NAMES, withEarlier } from "./entrants.mjs";
import { wantedRows } from "./options.mjs";
import { measure } from "./rounds.mjs";
import { ratios } from "./stats.mjs";
import { matrix } from "./table.mjs";

/** @import { Amount, Options, Report, Row, Run, TimedSection } from "./types.js" */

/**
 * The Workers of a scenario that this run measures, in the order of all.
 * @param {string[]} names
 * @param {Pick<Options, "only" | "before">} options
 * @param {string} [base]
 */
export function chosen(names, { only, before }, base = BASE) {
  const asked = names.filter((name) => name === BASE || name === base || only === undefined || only.includes(name));
  const all = withEarlier(asked, before);
  return NAMES.filter((name) => all.includes(name));
}

/**
 * How a section measures by time: its own rounds and seconds, unless the options say otherwise.
 * @param {TimedSection} section
 * @param {Options} options
 */
export function amountOf(section, options) {
  const seconds = options.seconds ?? section.seconds;
  return { rounds: options.rounds ?? section.rounds, seconds, amount: { seconds }, warmUp: { seconds: Math.min(section.warmUp, seconds) } };
}

/**
 * Measures `scenarios` (each with `label` and `names`) and resolves to the report of the section.
 * @param {Run} run
 * @param {{ scenarios: Row[], first: string, base?: string, rounds: number, amount: Amount, warmUp: Amount }} what
 * @returns {Promise<Report>}
 */
export async function measureMatrix({ options, people, tools }, { scenarios, first, base = BASE, rounds, amount, warmUp }) {
  const mine = wantedRows(scenarios, options).map((scenario) => ({ ...scenario, names: chosen(scenario.names, options, base) }));
  const results = await measure({ rounds, amount, warmUp, scenarios: mine, people, tools });
  const rows = results.map((samples, index) => ({ label: mine[index].label, rows: ratios(samples, base) }));
  const samples = Object.fromEntries(results.map((of, index) => [mine[index].label, Object.fromEntries(of)]));
  return { text: matrix(rows, first, base), rows, samples, rounds, ...amount };
}
