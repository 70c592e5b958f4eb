// Resident memory after many distinct tokens, good ones and bad ones: what is remembered has a bound.

import { BASE, startEntrants } from "../lib/entrants.mjs";
import { bearerRequest, claimsOf, newIssuer } from "../lib/issuer.mjs";
import { wantedRows } from "../lib/options.mjs";
import { Mismatch, takeTurn } from "../lib/rounds.mjs";
import { chosen } from "../lib/section.mjs";
import { markdown } from "../lib/table.mjs";

/** @import { Kind, Run, Section } from "../lib/types.js" */
/** @typedef {{ label: string, name: string, bytes: number[] }} Result */
/** @typedef {{ label: string, names: string[], status: number }} Flood */

const MEGABYTE = 1024 * 1024;
/** In one turn, so that there is a sign of life and a mistake is found early. */
const TURN = 25_000;
/** @type {Flood[]} */
const ROWS = [
  { label: "good tokens", names: [BASE, "edgeward", "jose"], status: 200 },
  { label: "bad tokens (a wrong signature)", names: [BASE, "edgeward", "jose"], status: 401 },
];

/** @type {Section} */
const section = {
  name: "memory",
  about: "resident memory after up to a million distinct good and bad tokens (--counts)",
  minutes: 35,
  async run({ options, people, tools }) {
    /** @type {Result[]} */
    const rows = [];
    for (const row of wantedRows(ROWS, options)) {
      for (const name of chosen(row.names, options))
        rows.push({ label: row.label, name, bytes: await flood(row, name, { counts: options.counts, people, tools }) });
    }
    return { text: tableOf(rows, options.counts), rows, counts: options.counts };
  },
};
export default section;

/**
 * Sends tokens, each once; resolves to the resident memory after each of `counts`.
 * @param {Flood} row
 * @param {string} name
 * @param {Pick<Run, "people" | "tools"> & { counts: number[] }} run
 */
async function flood({ status, label }, name, { counts, people, tools }) {
  const { site, vars, peer, secret } = await newIssuer("HS256");
  if (secret === undefined) throw new Error("an issuer by HS256 has a secret");
  const isBad = status !== 200;
  const { callers } = await people.worldOf("build", 1);
  const mint = { secret: isBad ? `another ${secret}` : secret, claims: claimsOf(callers[0].user) };
  /** @type {Kind} */
  const kind = { ...bearerRequest(), ...(isBad && name !== BASE ? { status, answered: {} } : {}) };
  const job = () => ({ kinds: [kind], mint, refused: () => isBad && name !== BASE });
  await tools.origin.ask({ answers: [] });
  const { entrants, check, stop } = await startEntrants({
    names: [name],
    scenario: { job, usersFor: () => [callers[0].user], site, vars, peer, files: { jose: "jose-bearer" } },
    people,
    tools,
  });
  const [entrant] = entrants;
  await tools.load.ask({ keep: { name, ...entrant.plan } });
  /** @type {number[]} */
  const bytes = [];
  let sent = 0;
  for (const count of counts) {
    while (sent < count) {
      const part = Math.min(TURN, count - sent);
      const { requests } = await takeTurn(entrant, { ...tools, check, part: { count: part } });
      if (requests !== part) throw new Mismatch(`${name}: ${requests} of ${part} requests were answered`);
      sent += part;
    }
    const { now } = entrant.worker.memory();
    bytes.push(now);
    tools.progress(`${name}, ${label}: ${(now / MEGABYTE).toFixed(1)} MB after ${count}`);
  }
  await tools.load.ask({ forget: name });
  await stop();
  return bytes;
}

/**
 * @param {Result[]} rows
 * @param {number[]} counts
 */
function tableOf(rows, counts) {
  return markdown(
    ["resident memory, MB, after", "Worker", ...counts.map((count) => count.toLocaleString("en"))],
    rows.map(({ label, name, bytes }) => [label, name, ...bytes.map((of) => (of / MEGABYTE).toFixed(1))]),
  );
}
