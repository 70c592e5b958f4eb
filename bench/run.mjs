// `npm run bench`: what a signed-in request costs in Edgeward, recognised or not, in a bare pass-through, in a Worker
// that does the same and decides nothing, and in two peers. See docs/performance.md.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BASE, EARLIER, IS_EDGEWARD, NAMES, startEntrants } from "./lib/entrants.mjs";
import { CONNECTIONS, helper, Mismatch, measure, ratios, WARM_UP } from "./lib/rounds.mjs";
import { buildAdmin } from "../scripts/lib/admin.mjs";

const HELP = `npm run bench -- [options]
  --rounds <n>    measured rounds (5)
  --seconds <s>   load for each Worker in a round (4)
  --only <names>  of ${NAMES.join(", ")}, separated by commas; ${BASE} always runs
  --bare          requests with no header but Host and Cookie, instead of a browser's
  --build <dir>   where the built Worker is (build)
  --before <dir>  where an earlier build is, to be measured beside it
  --workers <dir> where the other Workers are (bench/workers)
  --json <file>   also write every sample there
`;

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const options = read(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), "edgeward-bench-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
])
  process.once(signal, () => process.exit(status));

// Every process that was started is killed in an `exit` handler, so this ends all of them as well.
const limit = 30 + options.rounds * (5 + options.names.length * (options.seconds + WARM_UP) * 1.3);
setTimeout(() => fail(`not done after ${Math.round(limit)} s`), limit * 1000).unref();

try {
  await run();
  process.exit(0);
} catch (error) {
  fail(error instanceof Mismatch ? `the Workers did not do the same work, so there is no table.\n${error.message}` : error.stack);
}

async function run() {
  const own = options.names.some((name) => IS_EDGEWARD.includes(name));
  const adminTool = process.env.EDGEWARD_ADMIN_BINARY ?? (own ? await buildAdmin() : null);
  const origin = await helper("./origin.mjs");
  const load = await helper("./load.mjs");
  const start = () => startEntrants({ ...options, origin, folder, adminTool });
  progress(`${options.names.join(", ")}; ${options.rounds} rounds of ${options.seconds} s each, ${CONNECTIONS} connections`);
  const results = await measure({ ...options, start, load, origin, progress });
  const rows = ratios(results, BASE);
  console.log(table(rows));
  if (options.json) {
    const machine = { cores: cpus().length, model: cpus()[0]?.model };
    const { rounds, seconds, bare } = options;
    writeFileSync(options.json, `${JSON.stringify({ machine, rounds, seconds, bare, rows, samples: Object.fromEntries(results) }, null, 2)}\n`);
  }
}

function table(rows) {
  const head = ["Worker", "CPU per request / pass-through", "min–max of rounds", "µs CPU", "req/s"];
  const body = rows.map(({ name, ratio, min, max, microseconds, rate }) => [
    name,
    ratio.toFixed(2),
    `${min.toFixed(2)}–${max.toFixed(2)}`,
    microseconds.toFixed(0),
    rate.toFixed(0),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(head), rule, ...body.map(line)].join("\n");
}

function read(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "4" },
        only: { type: "string", default: NAMES.join(",") },
        bare: { type: "boolean", default: false },
        build: { type: "string", default: at("../build") },
        before: { type: "string" },
        workers: { type: "string", default: at("./workers") },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    fail(`${error.message}\n${HELP}`);
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  const only = values.only.split(",");
  const unknown = only.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) fail(`no Worker is named ${JSON.stringify(unknown)}\n${HELP}`);
  if (!Number.isInteger(rounds) || rounds < 1 || !(seconds > 0)) fail(`--rounds and --seconds want positive numbers\n${HELP}`);
  const names = [...NAMES.filter((name) => name === BASE || only.includes(name)), ...(values.before === undefined ? [] : EARLIER)];
  const [build, before] = [values.build, values.before].map((folder) => folder && resolve(folder));
  return { ...values, build, before, rounds, seconds, names };
}

function progress(line) {
  process.stderr.write(`bench  ${line}\n`);
}

function fail(text) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(1);
}
