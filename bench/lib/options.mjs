// What `npm run bench` was asked to do. Pure: throws `Misuse`, and leaves printing and ending to others.

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../../scripts/lib/step.mjs";
import { NAMES } from "./entrants.mjs";

/** @import { Options, Section } from "./types.js" */
/** @typedef {{ build: string, workers: string }} Defaults */

/** The command line says something that cannot be done. */
export class Misuse extends Error {}

/**
 * The text of `--help`; `sections` are all there are.
 * @param {Section[]} sections
 */
export function helpOf(sections) {
  const width = Math.max(...sections.map(({ name }) => name.length));
  const about = sections.map(({ name, about, minutes }) => `  ${name.padEnd(width)}  ${about}; about ${minutes} min\n`);
  return `npm run bench -- [options]
  --section <names>  what to measure, separated by commas (hot), or all:
${about.map((line) => `  ${line}`).join("")}  --rounds <n>       measured rounds (otherwise each section has its own number)
  --seconds <s>      load for each Worker in a round, where a section works by time
  --row <text>       only the rows whose label contains this text; may be said several times
  --only <names>     only these Workers, separated by commas; the pass-through always runs:
${wrapped(NAMES)}
  --bare             in hot: requests with no header but Host and Cookie, instead of a browser's
  --counts <n,…>     in memory: after how many distinct tokens memory is read (0,100000,500000,1000000)
  --users <n>        in users: how many (100000)
  --recording <file> in page: a recording of yours (bench/record.mjs makes one), instead of those in bench/recordings
  --build <dir>      where the built Worker is (build)
  --before <dir>     where an earlier build is, to be measured beside it
  --workers <dir>    where the other Workers are (bench/workers)
  --json <file>      also write every sample there
`;
}

/** @param {string[]} names */
function wrapped(names) {
  const lines = [""];
  for (const name of names) {
    if (`${lines.at(-1)}${name}`.length > 90) lines.push("");
    lines.push(`${lines.pop()}${name}${name === names.at(-1) ? "" : ", "}`);
  }
  return lines.map((line) => `    ${line.trimEnd()}`).join("\n");
}

/**
 * The rows that the options want, of those that have a `label`.
 * @template {{ label: string }} Row
 * @param {Row[]} all
 * @param {Pick<Options, "rows">} options
 */
export function wantedRows(all, { rows }) {
  if (rows === undefined) return all;
  const wanted = all.filter(({ label }) => rows.some((text) => label.includes(text)));
  return wanted.length > 0
    ? wanted
    : misuse(
        `no row has ${rows.map((text) => JSON.stringify(text)).join(" or ")} in it; there are ${all.map(({ label }) => JSON.stringify(label)).join(", ")}`,
      );
}

/**
 * Reads the arguments; `sections` are all there are, `defaults` the folders `build` and `workers`.
 * @param {string[]} args
 * @param {{ sections: Section[], defaults: Defaults }} known
 * @returns {{ help: true } | (Options & { help?: undefined })}
 */
export function readOptions(args, { sections, defaults }) {
  const values = parse(args, defaults);
  if (values.help) return { help: true };
  const asked = values.section === "all" ? sections.map(({ name }) => name) : list(values.section);
  const chosen = asked.map((name) => sections.find((section) => section.name === name) ?? misuse(`no section is named ${JSON.stringify(name)}`));
  const only = values.only === undefined ? undefined : list(values.only);
  const unknown = only?.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) misuse(`no Worker is named ${JSON.stringify(unknown)}`);
  const rows = values.row;
  const counts = list(values.counts).map(Number);
  if (counts.some((count, at) => !Number.isInteger(count) || count < 0 || (at > 0 && count <= counts[at - 1])))
    misuse("--counts wants whole numbers, each more than the one before");
  const [rounds, seconds] = [number(values.rounds), number(values.seconds)];
  if ((rounds !== undefined && (!Number.isInteger(rounds) || rounds < 1)) || (seconds !== undefined && !(seconds > 0)))
    misuse("--rounds and --seconds want positive numbers");
  const users = Number(values.users);
  if (!Number.isInteger(users) || users < 100) misuse("--users wants a whole number of at least 100");
  const { bare, json } = values;
  const [build, workers] = [resolve(values.build), resolve(values.workers)];
  const [before, recording] = [resolved(values.before), resolved(values.recording)];
  return { sections: chosen, only, rows, counts, users, rounds, seconds, bare, build, before, workers, recording, json };
}

/**
 * @param {string[]} args
 * @param {Defaults} defaults
 */
function parse(args, defaults) {
  const text = /** @type {const} */ ({ type: "string" });
  try {
    return parseArgs({
      args,
      options: {
        section: { ...text, default: "hot" },
        rounds: text,
        seconds: text,
        row: { ...text, multiple: true },
        only: text,
        bare: { type: "boolean", default: false },
        counts: { ...text, default: "0,100000,500000,1000000" },
        users: { ...text, default: "100000" },
        recording: text,
        build: { ...text, default: defaults.build },
        before: text,
        workers: { ...text, default: defaults.workers },
        json: text,
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    return misuse(messageOf(error));
  }
}

/** @param {string} text */
const list = (text) => text.split(",").map((item) => item.trim());

/** @param {string | undefined} text */
const number = (text) => (text === undefined ? undefined : Number(text));

/** @param {string | undefined} path */
const resolved = (path) => (path === undefined ? undefined : resolve(path));

/**
 * @param {string} message
 * @returns {never}
 */
function misuse(message) {
  throw new Misuse(message);
}
