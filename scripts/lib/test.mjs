// What `npm test` does: its steps, their dependencies, and the table at the end.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { buildShell } from "./build-shell.mjs";
import { didYouMean, optionError } from "./did-you-mean.mjs";
import { at, duration, pinnedNode, root, toolEnv } from "./project.mjs";
import { StepFailed } from "./step.mjs";
import { buildAndWeigh } from "./weigh.mjs";

const FILE_TIMEOUT_MS = 300_000;
/** Includes the installation of Label Studio. */
const LARGE_FILE_TIMEOUT_MS = 1_200_000;

/** The test file that runs the published vectors. */
const VECTORS = "tests/edge/vectors.test.mjs";

/** @typedef {{ outcome: string, passed: number, failed: number, milliseconds: number, failures?: string[] }} Result */
/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} about
 * @property {(filter: string[]) => Promise<unknown>} run
 * @property {string[]} [needs]
 * @property {string} [within]
 * @property {boolean} [isQuick]
 * @property {boolean} [isLarge]
 * @property {boolean} [hasVectors]
 * @property {() => boolean} [isThere]
 */

/** @param {...string} options */
const clippy = (...options) => cargo("clippy", "--locked", ...options, "--", "-D", "warnings");

const MANIFEST_OF_KDF = ["--manifest-path", "kdf/Cargo.toml"];
/** The password hashes, both features at once. */
const KDF = [...MANIFEST_OF_KDF, "--all-features", "--target-dir", path.join(process.env.CARGO_TARGET_DIR ?? at("target"), "kdf")];

/** @param {...string} args */
const biome = (...args) => passThrough([pinnedNode, at("node_modules/@biomejs/biome/bin/biome"), ...args]);
/** The folders with a tsconfig.json: Node and workerd have each their own types, and what drives a browser has the DOM's. */
export const TYPED = ["src/edge", "scripts", "bench", "bench/workers", "tests", "tests/edge/lib", "tests/browser", "examples", "www"];

/**
 * Checks a project; what it keeps lets the next run look only at what has changed.
 * @param {string} project
 */
const tsc = (project) => {
  const kept = at("node_modules/.cache/tsc", `${project.replaceAll("/", "-")}.tsbuildinfo`);
  return passThrough([pinnedNode, at("node_modules/typescript/bin/tsc"), "--project", project, "--incremental", "--tsBuildInfoFile", kept]);
};

/**
 * The steps in their order. A step runs only if those in `needs` have passed. One that is `within` another is a part of it
 * and runs by itself only if it is named.
 * @type {Step[]}
 */
const STEPS = [
  { name: "format", about: "Rust by cargo fmt, JavaScript by biome", isQuick: true, run: checkFormat },
  { name: "lint", about: "biome over all JavaScript", isQuick: true, run: () => biome("lint", "--error-on-warnings") },
  { name: "types", about: "tsc over JavaScript", isQuick: true, run: checkTypes },
  { name: "clippy", about: "clippy for this machine", isQuick: true, run: () => everyLinted((crate) => clippy("--all-targets", ...crate)) },
  {
    name: "clippy-wasm",
    about: "clippy for the Worker",
    isQuick: true,
    run: () => everyLinted((crate) => clippy("--lib", "--target", "wasm32-unknown-unknown", ...crate)),
  },
  { name: "layering", about: "rooms know lower ones only", isQuick: true, within: "native", run: () => testAlone("layering") },
  { name: "documented", about: "public items of the code have a doc comment", isQuick: true, within: "native", run: () => testAlone("documented") },
  { name: "deny", about: "licences, sources and banned crates", run: checkDependencies },
  {
    name: "native",
    about: "cargo nextest run",
    hasVectors: true,
    run: () =>
      cargo("nextest", "run", "--locked", "--no-fail-fast", "--status-level", "fail", ...(hasVectors() ? [] : ["--filterset", "not test(/^vectors::/)"])),
  },
  {
    name: "kdf",
    about: "the password hashes for this machine",
    run: () => cargo("test", "--locked", "--no-fail-fast", "--quiet", "--lib", ...KDF),
  },
  { name: "doc", about: "cargo test --doc", run: () => cargo("test", "--doc", "--locked", "--no-fail-fast", "--quiet") },
  { name: "rustdoc", about: "the code's documentation has no broken links", run: checkRustdoc },
  {
    name: "fuzz",
    about: "the fuzz targets compile",
    isThere: () => existsSync(at("fuzz/Cargo.toml")),
    run: () => cargo("check", "--locked", "--bins", "--manifest-path", "fuzz/Cargo.toml"),
  },
  { name: "build", about: "the Worker", run: () => build() },
  { name: "size", about: "the Worker's size", needs: ["build"], run: () => buildAndWeigh() },
  { name: "core", about: "the core for the commands", run: () => buildShell() },
  { name: "tooling", about: "these scripts", needs: ["build", "core"], run: (filter) => nodeTests("tests/tooling", filter) },
  { name: "edge", about: "the Worker in workerd", needs: ["build", "core"], hasVectors: true, run: (filter) => nodeTests("tests/edge", filter) },
  { name: "peers", about: "other projects' packages", needs: ["build", "core"], run: (filter) => nodeTests("tests/peers", filter) },
  { name: "browser", about: "the examples in Chromium", needs: ["build", "core"], run: (filter) => nodeTests("tests/browser", filter) },
  {
    name: "label-studio",
    about: "a real Label Studio behind the Worker",
    needs: ["build", "core"],
    isLarge: true,
    run: (filter) => nodeTests("tests/label-studio", filter, { limit: LARGE_FILE_TIMEOUT_MS }),
  },
];

/** The steps of `npm run check`, which every commit should pass. */
export const QUICK_STEPS = STEPS.filter(({ isQuick }) => isQuick).map(({ name }) => name);

/** Whether there are published vectors to run; they are not part of the project. */
const hasVectors = (env = process.env) => Boolean(env.EDGEWARD_VECTORS);

/**
 * Runs the steps; returns the exit status.
 * @param {string[]} args
 */
export async function test(args) {
  const { only, files, help } = readOptions(args);
  if (help) {
    console.log(helpText());
    return 0;
  }
  /** @type {Map<string, Result>} */
  const results = new Map();
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (interrupted = true));
  for (const { name, about, needs = [], isThere = () => true, run } of chosenSteps(only)) {
    const failedNeeds = needs.filter((need) => results.get(need)?.outcome !== "passed");
    if (!isThere()) continue;
    if (failedNeeds.length > 0) {
      results.set(name, { outcome: `not run: ${failedNeeds.join(", ")} failed`, failed: 1, passed: 0, milliseconds: 0 });
      continue;
    }
    console.log(`\n== ${name}: ${about}`);
    results.set(name, await timed(() => run(files)));
    if (interrupted) return 130;
  }
  for (const line of leftOut({ only, files })) console.log(`\nleft out: ${line}`);
  // Once more at the end: between here and where it failed lie thousands of lines.
  for (const [name, { failures = [] }] of results) for (const failure of failures) console.log(`\n✖ ${name}, ${failure}`);
  console.log(`\n${summary(results)}`);
  return [...results.values()].every(({ outcome }) => outcome === "passed") ? 0 : 1;
}

const OPTIONS = /** @type {const} */ ({ only: { type: "string", multiple: true }, help: { type: "boolean", default: false } });

/** @param {string[]} args */
function readOptions(args) {
  try {
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS });
    const only = (values.only ?? []).flatMap((names) => names.split(","));
    const steps = STEPS.map(({ name }) => name);
    const unknown = only.filter((name) => !steps.includes(name));
    if (unknown.length > 0) throw new StepFailed(unknown.map((name) => `there is no step ${name}${didYouMean(name, steps)}`).join("\n"));
    return { only, files: positionals, help: values.help };
  } catch (error) {
    throw new StepFailed(optionError(error, OPTIONS), helpText());
  }
}

function helpText() {
  const steps = STEPS.map(({ name, about }) => `  ${name.padEnd(14)}${about}`).join("\n");
  return `npm test -- [--only <step>[,<step>…]] [<part of a test file's name> …]\n${steps}`;
}

/**
 * The named steps, each after those that it needs. The default is all of them, with those that install a gigabyte only if
 * `CI` is set.
 * @param {string[]} only
 */
function chosenSteps(only) {
  if (only.length === 0) return STEPS.filter(({ isLarge, within }) => !within && (!isLarge || process.env.CI));
  const wanted = new Set(only);
  for (const { name, needs = [] } of [...STEPS].reverse()) if (wanted.has(name)) for (const need of needs) wanted.add(need);
  return STEPS.filter(({ name }) => wanted.has(name));
}

/**
 * What a run leaves out by default, and how to run it.
 * @param {{ only?: string[], files?: string[], env?: NodeJS.ProcessEnv }} options
 */
export function leftOut({ only = [], files = [], env = process.env }) {
  const large = STEPS.filter(({ isLarge }) => isLarge && only.length === 0 && !env.CI).map(
    ({ name, about }) => `${name}: ${about}; run it with: npm run test:${name}`,
  );
  const areMeant = files.length === 0 || files.some((part) => VECTORS.includes(part));
  const wouldRun = chosenSteps(only).some((step) => step.hasVectors) && areMeant;
  const vectors =
    "the published vectors of Project Wycheproof and RFC 7520; run them with: EDGEWARD_VECTORS=<folder> npm test -- --only native,edge vectors (CONTRIBUTING.md says what the folder holds)";
  return wouldRun && !hasVectors(env) ? [...large, vectors] : large;
}

/**
 * @param {() => Promise<unknown>} run
 * @returns {Promise<Result>}
 */
async function timed(run) {
  const started = Date.now();
  const result = await run().catch((error) => {
    if (!(error instanceof StepFailed)) throw error;
    if (error.output && !error.isShown) console.log(error.output.trimEnd());
    console.log(`failed: ${error.message}`);
    return { ...error.counts, outcome: "failed" };
  });
  const told = /** @type {{ outcome?: string, passed?: number, failed?: number, failures?: string[] } | undefined} */ (
    typeof result === "object" ? result : undefined
  );
  const { outcome = "passed", passed = 0, failed = outcome === "passed" ? 0 : 1, failures } = told ?? {};
  return { outcome, passed, failures, failed: outcome === "passed" ? failed : Math.max(failed, 1), milliseconds: Date.now() - started };
}

/**
 * The table of the steps, and a line with the number of passed tests, failed tests and failed steps.
 * @param {Map<string, Result>} results
 */
export function summary(results) {
  const rows = [...results].map(([name, { outcome, passed, milliseconds }]) => {
    const tests = passed > 0 ? `${passed} passed` : "";
    return `${name.padEnd(14)}${outcome.padEnd(8)}${duration(milliseconds).padStart(13)}   ${tests}`.trimEnd();
  });
  /** @param {"passed" | "failed" | "milliseconds"} key */
  const sum = (key) => [...results.values()].reduce((total, result) => total + result[key], 0);
  const total = duration(sum("milliseconds"));
  return `${rows.join("\n")}\n${"total".padEnd(22)}${total.padStart(13)}\n\n${sum("passed")} passed, ${sum("failed")} failed`;
}

// the kinds of step --------------------------------------------------------------------------------------------

/**
 * Runs cargo in the terminal; returns the counts of nextest or libtest.
 * @param {...string} args
 */
async function cargo(...args) {
  try {
    return testCounts(await passThrough(["cargo", ...args]));
  } catch (error) {
    if (error instanceof StepFailed) error.counts = testCounts(error.output);
    throw error;
  }
}

/**
 * The number of tests that passed and failed, from the output of nextest or libtest.
 * @param {string} output
 */
export function testCounts(output) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins a terminal's colour codes.
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  /** @type {string[]} */
  const lines = plain.match(/^ *Summary \[.*$|^test result: .*$/gm) ?? [];
  /** @param {string} what */
  const sum = (what) => lines.reduce((total, line) => total + Number(line.match(new RegExp(`(\\d+) ${what}`))?.[1] ?? 0), 0);
  return { passed: sum("passed"), failed: sum("failed") + sum("timed out") };
}

/**
 * Runs a cargo command for our package, and for the fuzz targets and the password hashes, which are separate packages.
 * @param {(crate: string[]) => Promise<unknown>} run
 */
async function everyCrate(run) {
  const crates = [[], ["--manifest-path", "fuzz/Cargo.toml"], MANIFEST_OF_KDF].filter(([, manifest]) => !manifest || existsSync(at(manifest)));
  for (const crate of crates) await run(crate);
}

/**
 * Runs clippy for our package and for the password hashes, whose artifacts lie elsewhere: their flags differ.
 * @param {(crate: string[]) => Promise<unknown>} run
 */
async function everyLinted(run) {
  await run([]);
  return run(KDF);
}

async function checkFormat() {
  await everyCrate((crate) => cargo("fmt", "--all", "--check", ...crate));
  await biome("format");
}

async function checkTypes() {
  for (const project of TYPED) await tsc(project);
}

/** The exceptions belong to the tests' dependencies and to the core, which the other packages do not all have. */
async function checkDependencies() {
  await everyCrate((crate) => {
    const level = crate.length === 0 ? "--deny" : "--allow";
    const lints = ["unmatched-skip", "license-not-encountered"].flatMap((lint) => [level, lint]);
    return cargo("deny", "--locked", "--config", at("deny.toml"), ...crate, "check", ...lints, "bans", "licenses", "sources");
  });
}

/**
 * Runs a native test that needs nothing but the standard library: without cargo, it need not wait until the package is compiled.
 * @param {string} name
 */
async function testAlone(name) {
  const folder = path.join(process.env.CARGO_TARGET_DIR ?? at("target"), "check");
  mkdirSync(folder, { recursive: true });
  const program = path.join(folder, name);
  await passThrough(["rustc", "--edition", "2024", "--test", at(`tests/${name}.rs`), "-o", program], { CARGO_MANIFEST_DIR: root });
  return testCounts(await passThrough([program, "--quiet"]));
}

/** Documents the core and shell/ for this machine, and the Worker. */
async function checkRustdoc() {
  const env = { RUSTDOCFLAGS: "-D warnings" };
  for (const target of [[], ["--lib", "--target", "wasm32-unknown-unknown"]]) {
    await passThrough(["cargo", "doc", "--locked", "--no-deps", "--document-private-items", ...target], env);
  }
}

/**
 * @param {string} folder
 * @param {string[]} filter
 * @param {{ limit?: number }} [options]
 */
async function nodeTests(folder, filter, { limit = FILE_TIMEOUT_MS } = {}) {
  const files = existsSync(at(folder))
    ? readdirSync(at(folder))
        .filter((name) => name.endsWith(".test.mjs"))
        .sort()
    : [];
  const chosen = files
    .filter((name) => filter.length === 0 || filter.some((part) => `${folder}/${name}`.includes(part)))
    .filter((name) => hasVectors() || `${folder}/${name}` !== VECTORS);
  const named = filter.length > 0 && files.length > 0 && !filter.some((part) => VECTORS.includes(part));
  if (chosen.length === 0 && named) throw new StepFailed(`no test file in ${folder} has ${filter.join(" or ")} in its name`);
  if (chosen.length === 0) return { passed: 0 };
  const scratch = mkdtempSync(path.join(tmpdir(), "edgeward-test-"));
  const countFile = path.join(scratch, "counts.json");
  const reporters = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    `--test-reporter=${at("scripts/lib/count-reporter.mjs")}`,
    `--test-reporter-destination=${countFile}`,
  ];
  const counts = () => {
    const { passed, failed, cancelled, failures } = JSON.parse(existsSync(countFile) ? readFileSync(countFile, "utf8") || "{}" : "{}");
    return { passed, failed: failed + cancelled || undefined, failures };
  };
  try {
    await passThrough([pinnedNode, "--test", "--test-concurrency=2", `--test-timeout=${limit}`, ...reporters, ...chosen.map((name) => `${folder}/${name}`)]);
    return { passed: counts().passed };
  } catch (error) {
    if (error instanceof StepFailed) error.counts = counts();
    throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Runs a command in the terminal; returns its output.
 * @param {string[]} command
 * @param {NodeJS.ProcessEnv} [more]
 * @returns {Promise<string>}
 */
function passThrough([program, ...args], more = {}) {
  const terminal = process.stdout.isTTY;
  const env = toolEnv({ ...(terminal ? { CARGO_TERM_COLOR: "always", FORCE_COLOR: "1" } : {}), ...more });
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const [from, to] of /** @type {const} */ ([
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ])) {
      from.setEncoding("utf8").on("data", (chunk) => {
        to.write(chunk);
        output += chunk;
      });
    }
    /** @param {NodeJS.Signals} signal */
    const stop = (signal) => child.kill(signal);
    process.on("SIGINT", stop).on("SIGTERM", stop);
    child.on("error", (error) => reject(new StepFailed(`${program} could not be started: ${error.message}`)));
    child.on("close", (code, signal) => {
      process.off("SIGINT", stop).off("SIGTERM", stop);
      if (code === 0) resolve(output);
      else reject(Object.assign(new StepFailed(`${program} ${args[0]} ended with ${signal ?? `status ${code}`}`, output), { isShown: true }));
    });
  });
}
