// `npm run bench`: what Edgeward costs, section by section (sections/), each a table of ratios in one run. See
// docs/performance.md.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPeople } from "./lib/entrants.mjs";
import { startHelper } from "./lib/helper.mjs";
import { helpOf, Misuse, readOptions } from "./lib/options.mjs";
import { Mismatch } from "./lib/rounds.mjs";
import { buildShell } from "../scripts/lib/build-shell.mjs";
import { builtCore } from "../scripts/lib/core.mjs";
import { SECTIONS } from "./sections/all.mjs";

/** @import { Options, Section } from "./lib/types.js" */

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
process.setMaxListeners(0); // one for each process that has to end with this one
const options = read(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), "edgeward-bench-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const [signal, status] of /** @type {const} */ ([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
]))
  process.once(signal, () => process.exit(status));

// Every process that was started is killed in an `exit` handler, so this ends all of them as well.
const limit = options.sections.reduce((sum, section) => sum + limitOf(section), 30);
setTimeout(() => fail(`not done after ${Math.round(limit / 60)} min`), limit * 1000).unref();

try {
  await run();
  process.exit(0);
} catch (error) {
  if (error instanceof Misuse) fail(error.message);
  fail(
    error instanceof Mismatch ? `the Workers did not do the same work, so there is no table.\n${error.message}` : error instanceof Error ? error.stack : error,
  );
}

async function run() {
  const [origin, load, kv] = await Promise.all([startHelper("./origin.mjs"), startHelper("./load.mjs"), startHelper("./kv.mjs")]);
  const tools = { ...options, folder, core: once(() => buildShell().then(builtCore)), origin, load, kv, progress };
  const people = startPeople(tools);
  /** @type {Record<string, unknown>[]} */
  const reports = [];
  for (const section of options.sections) {
    progress(`${section.name}: ${section.about}`);
    const began = performance.now();
    const { text, ...report } = await section.run({ options, people, tools });
    progress(`${section.name}: ${Math.round((performance.now() - began) / 1000)} s`);
    console.log(options.sections.length > 1 ? `${reports.length > 0 ? "\n" : ""}## ${section.name}\n\n${text}` : text);
    reports.push({ name: section.name, ...report });
    if (options.json) writeFileSync(options.json, `${JSON.stringify(together(reports), null, 2)}\n`);
  }
}

/**
 * One section's report as it is, or those of several by name.
 * @param {Record<string, unknown>[]} reports
 */
function together(reports) {
  const machine = { cores: cpus().length, model: cpus()[0]?.model };
  if (options.sections.length > 1) return { machine, sections: Object.fromEntries(reports.map(({ name, ...report }) => [name, report])) };
  const { name, ...report } = reports[0];
  return { machine, ...report };
}

/**
 * The seconds after which a section must be over: three times what it says, more with more rounds, seconds and tokens.
 * @param {Section} section
 */
function limitOf({ minutes, rounds = 1, seconds = 1 }) {
  const more =
    Math.max(1, (options.rounds ?? rounds) / rounds) * Math.max(1, (options.seconds ?? seconds) / seconds) * Math.max(1, (options.counts.at(-1) ?? 0) / 1e6);
  return minutes * 60 * 3 * more;
}

/**
 * @param {string[]} args
 * @returns {Options}
 */
function read(args) {
  const help = helpOf(SECTIONS);
  try {
    const read = readOptions(args, { sections: SECTIONS, defaults: { build: at("../build"), workers: at("./workers") } });
    if (!read.help) return read;
  } catch (error) {
    if (error instanceof Misuse) fail(`${error.message}\n${help}`);
    throw error;
  }
  process.stdout.write(help);
  process.exit(0);
}

/**
 * Calls `make` when somebody needs what it makes, and not again.
 * @template T
 * @param {() => T} make
 */
function once(make) {
  /** @type {T | undefined} */
  let made;
  return () => (made ??= make());
}

/** @param {string} line */
function progress(line) {
  process.stderr.write(`bench  ${line}\n`);
}

/**
 * @param {unknown} text
 * @returns {never}
 */
function fail(text) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(1);
}
