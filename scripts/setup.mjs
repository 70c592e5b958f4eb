// `npm run setup`: installs everything that building, testing and running need into the project's own folder.
// Runs on the system's Node (20 or newer) and imports nothing from node_modules. May be repeated, and run concurrently.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "./lib/lock.mjs";
import { at, duration, nodePackage, pinnedNode, toolEnv, toolsDir, wasmBindgen, wasmBindgenVersion } from "./lib/project.mjs";
import { fail, runStep, StepFailed } from "./lib/step.mjs";

const TARGET = "wasm32-unknown-unknown";
const NEXTEST_VERSION = "0.9.143";
const DENY_VERSION = "0.20.2";
const MUTANTS_VERSION = "27.1.0";
const OLDEST_NODE = 20;
const stampFile = at(".tools/setup.json");

/** @typedef {"rust" | "npm" | "target" | "bindgen" | "nextest" | "deny" | "mutants"} Part */

/**
 * The parts of the set-up, in the order of their installation.
 * @type {{ [part in Part]: { isReady: () => boolean, make: () => void | Promise<void>, isOnDemand?: boolean } }}
 */
const PARTS = {
  rust: { isReady: rustIsReady, make: refuseWithoutRust },
  npm: { isReady: npmIsReady, make: installPackages },
  target: { isReady: targetIsReady, make: addTarget },
  bindgen: { isReady: bindgenIsReady, make: installBindgen },
  nextest: { isReady: nextestIsReady, make: installNextest },
  deny: { isReady: denyIsReady, make: installDeny },
  mutants: { isReady: mutantsIsReady, make: installMutants, isOnDemand: true },
};

/** The parts that everybody gets. The others are installed for the scripts that need them. */
const USUAL = /** @type {Part[]} */ (Object.keys(PARTS)).filter((part) => !PARTS[part].isOnDemand);

/**
 * Installs the named parts that are missing or stale. Costs little if none is.
 * @param {Part[]} [parts]
 */
export async function setup(parts = USUAL) {
  if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
    throw new StepFailed(`Node ${process.versions.node} is too old: the scripts start on Node ${OLDEST_NODE} or newer`);
  }
  const missing = () => parts.filter((part) => !PARTS[part].isReady());
  if (missing().length === 0) return;
  const started = Date.now();
  await withLock(
    at(".tools/setup.lock"),
    async () => {
      for (const part of missing()) await PARTS[part].make();
    },
    (pid) => void process.stderr.write(`setup  waiting for another set-up (process ${pid})\n`),
  );
  process.stderr.write(`setup  done in ${duration(Date.now() - started)}\n`);
}

// rust ---------------------------------------------------------------------------------------------------------

function rustIsReady() {
  return sysroot() !== null && oldestRust() <= rustVersion();
}

function refuseWithoutRust() {
  if (sysroot() === null) {
    throw new StepFailed(
      "Rust was not found (no working `rustc` in PATH or ~/.cargo/bin).\n" +
        "  Install it with rustup, from https://rustup.rs, then run this command again in a new shell.",
    );
  }
  throw new StepFailed(`Rust is too old: Cargo.toml requires ${show(oldestRust())} or newer. Run: rustup update stable`);
}

/** The folder of the toolchain in use; null if there is none. */
function sysroot() {
  return tell(["rustc", "--print", "sysroot"]) || null;
}

const oldestRust = () => version(readFileSync(at("Cargo.toml"), "utf8").match(/^rust-version = "([\d.]+)"/m)?.[1] ?? "0");

const rustVersion = () => version(tell(["rustc", "--version"]).split(" ")[1] ?? "0");

/**
 * `1.95.0` as a number that can be compared.
 * @param {string} text
 */
const version = (text) =>
  text
    .split(".")
    .slice(0, 2)
    .reduce((sum, part, index) => sum + parseInt(part, 10) * (index ? 1 : 10_000), 0);

/** @param {number} number */
const show = (number) => `${Math.floor(number / 10_000)}.${number % 10_000}`;

// npm packages -------------------------------------------------------------------------------------------------

function npmIsReady() {
  return packagesAreThere() && existsSync(pinnedNode);
}

function packagesAreThere() {
  return existsSync(at("node_modules/.package-lock.json")) && stamp().npm === npmDigest();
}

async function installPackages() {
  if (!packagesAreThere()) await runNpm();
  linkNode();
  remember({ npm: npmDigest() });
}

async function runNpm() {
  const npm = process.env.npm_execpath?.endsWith("npm-cli.js") ? [process.env.npm_node_execpath ?? "node", process.env.npm_execpath] : ["npm"];
  await runStep("setup", "npm packages (wrangler, workerd, Node, esbuild, binaryen …)", [...npm, "ci", "--loglevel=error", "--no-progress"]);
}

/** npm 10 does not link the programs of packages that exist for one platform only; npm 11 does. */
function linkNode() {
  const wanted = JSON.parse(readFileSync(at("package.json"), "utf8")).optionalDependencies[nodePackage];
  const program = at("node_modules", nodePackage, "bin/node");
  if (tell([program, "--version"]) !== `v${wanted}`) {
    throw new StepFailed(
      `npm installed no Node for ${process.platform} ${process.arch} (${nodePackage} in package.json).\n` +
        "  Supported: Linux and macOS on x64 and arm64. If yours is one of them, delete node_modules and run npm run setup again.",
    );
  }
  if (existsSync(pinnedNode)) return;
  const draft = `${pinnedNode}.${process.pid}`;
  symlinkSync(path.relative(path.dirname(pinnedNode), program), draft);
  renameSync(draft, pinnedNode);
}

const npmDigest = () =>
  createHash("sha256")
    .update(readFileSync(at("package-lock.json")))
    .update(`${process.platform} ${process.arch}`)
    .digest("hex");

// Rust's Wasm target -------------------------------------------------------------------------------------------

function targetIsReady() {
  const folder = sysroot();
  return folder !== null && existsSync(path.join(folder, "lib/rustlib", TARGET, "lib"));
}

async function addTarget() {
  if (!tell(["rustup", "--version"])) {
    throw new StepFailed(`The Rust target ${TARGET} is missing, and there is no rustup to add it; install rustup from https://rustup.rs`);
  }
  await runStep("setup", `Rust target ${TARGET}`, ["rustup", "target", "add", TARGET]);
}

// tools that cargo installs -----------------------------------------------------------------------------------

function bindgenIsReady() {
  return existsSync(wasmBindgen) && stamp().bindgen === wasmBindgenVersion();
}

async function installBindgen() {
  const wanted = wasmBindgenVersion();
  await cargoInstall(`wasm-bindgen-cli@${wanted}`, ["--bin", "wasm-bindgen"]);
  const got = tell([wasmBindgen, "--version"]);
  if (got !== `wasm-bindgen ${wanted}`) throw new StepFailed(`.tools/bin/wasm-bindgen is "${got}", not ${wanted}`);
  remember({ bindgen: wanted });
}

function nextestIsReady() {
  return tell(["cargo", "nextest", "--version"]) !== "";
}

async function installNextest() {
  await cargoInstall(`cargo-nextest@${NEXTEST_VERSION}`, []);
}

function denyIsReady() {
  return tell(["cargo", "deny", "--version"]) === `cargo-deny ${DENY_VERSION}`;
}

// Without the features that fetch the advisory database, which the tests do not use.
async function installDeny() {
  await cargoInstall(`cargo-deny@${DENY_VERSION}`, ["--no-default-features"]);
}

function mutantsIsReady() {
  return tell(["cargo", "mutants", "--version"]) === `cargo-mutants ${MUTANTS_VERSION}`;
}

async function installMutants() {
  await cargoInstall(`cargo-mutants@${MUTANTS_VERSION}`, []);
}

/**
 * Installs a tool with its locked dependencies; if a registry mirror lacks one of them, with those that it has.
 * @param {string} crate
 * @param {string[]} options
 */
async function cargoInstall(crate, options) {
  /** @param {...string} more */
  const install = (...more) => ["cargo", "install", "--root", toolsDir, "--force", ...more, ...options, crate];
  const env = toolEnv({ CARGO_PROFILE_RELEASE_OPT_LEVEL: "0" }); // a minute instead of four; the tools are fast enough
  try {
    await runStep("setup", `${crate} (compiled once, takes some minutes)`, install("--locked"), { env });
  } catch (error) {
    if (!/failed to select a version/.test(error instanceof StepFailed ? error.output : "")) throw error;
    await runStep("setup", `${crate}, with the versions that this registry has`, install(), { env });
  }
}

// helpers ------------------------------------------------------------------------------------------------------

/**
 * The output of a short command, or "" if it fails.
 * @param {string[]} command
 */
function tell([program, ...args]) {
  const { status, stdout } = spawnSync(program, args, { env: toolEnv(), encoding: "utf8", cwd: at() });
  return status === 0 ? stdout.trim() : "";
}

/** @returns {{ npm?: string, bindgen?: string }} */
function stamp() {
  try {
    return JSON.parse(readFileSync(stampFile, "utf8"));
  } catch {
    return {};
  }
}

/** @param {{ npm?: string, bindgen?: string }} facts */
function remember(facts) {
  mkdirSync(toolsDir, { recursive: true });
  const draft = `${stampFile}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify({ ...stamp(), ...facts }, null, 2)}\n`);
  renameSync(draft, stampFile);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setup().catch(fail);
  process.stderr.write("setup  everything is in place\n");
}
