// Paths and names of the project. Imports nothing but Node's own modules, since setup.mjs uses it before `npm ci`.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of Edgeward itself: the repository, or the package that somebody has installed. */
export const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");

/**
 * A path below Edgeward's own folder.
 * @param {...string} parts
 */
export const at = (...parts) => path.join(root, ...parts);

/** Whether this is the package, which has no sources: what it needs is built, and nothing is ever compiled. */
export const isPackage = !existsSync(at("Cargo.toml"));

/** The folder of whoever operates the deployment, with wrangler.toml, .dev.vars and what the commands keep. In the repository it is the repository. */
export const project = isPackage ? process.cwd() : root;

/**
 * A path below the operator's folder.
 * @param {...string} parts
 */
export const here = (...parts) => path.join(project, ...parts);

/** The npm package with Node for this machine; the one for Apple silicon is named differently. */
export const nodePackage = `node-${process.platform === "darwin" && process.arch === "arm64" ? "bin-" : ""}${process.platform}-${process.arch}`;

/**
 * The folder of a package that this one depends on, wherever npm has put it; undefined if it is not installed.
 * @param {string} name
 */
function folderOf(name) {
  try {
    return path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/**
 * The Node that runs the commands. In the repository it is the one that package.json pins, a link into `nodePackage`, so that
 * `npx wrangler` finds this Node as well; the package has it as an optional dependency, and does with another that is new enough.
 */
export const pinnedNode = isPackage ? nodeOfPackage() : at("node_modules/.bin/node");

function nodeOfPackage() {
  const folder = folderOf(nodePackage);
  const program = folder && path.join(folder, "bin/node");
  return program && existsSync(program) ? program : process.execPath;
}

/** Where cargo installs tools for this project only. */
export const toolsDir = at(".tools");

/** The wasm-bindgen command line tool, of the version in Cargo.lock. */
export const wasmBindgen = at(".tools/bin/wasm-bindgen");

/** The command for wrangler: the pinned Node and wrangler's own script. */
export const wrangler = [pinnedNode, path.join((isPackage ? folderOf("wrangler") : undefined) ?? at("node_modules/wrangler"), "bin/wrangler.js")];

/**
 * The environment for the tools that we start: our own tools first in PATH, rustup's default folder as a fallback, and
 * wrangler without questions, telemetry, banners or logs in the home folder.
 * @param {NodeJS.ProcessEnv} [extra]
 * @returns {NodeJS.ProcessEnv}
 */
export function toolEnv(extra = {}) {
  const inherited = (process.env.PATH ?? "").split(path.delimiter).filter((dir) => dir !== at("node_modules/.bin"));
  const cargoHome = process.env.CARGO_HOME ?? path.join(homedir(), ".cargo");
  const PATH = [...new Set([at(".tools/bin"), ...inherited, path.join(cargoHome, "bin")])].join(path.delimiter);
  return {
    ...process.env,
    PATH,
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true", // the banner asks for the newest version over the network
    WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
    WRANGLER_LOG_PATH: here(".wrangler/logs"),
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "false",
    X_LOCAL_EXPLORER: "false",
    ...extra,
  };
}

/**
 * The version of a package in the text of a Cargo.lock.
 * @param {string} lock
 * @param {string} name
 */
export function cargoLockVersion(lock, name) {
  const found = lock.match(new RegExp(`\\[\\[package\\]\\]\\nname = "${name}"\\nversion = "([^"]+)"`));
  if (!found) throw new Error(`Cargo.lock has no package ${name}`);
  return found[1];
}

/** The version of wasm-bindgen in the Worker. */
export const wasmBindgenVersion = () => cargoLockVersion(readFileSync(at("Cargo.lock"), "utf8"), "wasm-bindgen");

/**
 * `1.3 s` or `2 min 05 s`.
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
}
