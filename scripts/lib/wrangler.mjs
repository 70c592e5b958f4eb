// wrangler as a command of one deployment, its KV namespace as a store.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { project, toolEnv, wrangler } from "./project.mjs";
import { messageOf, StepFailed } from "./step.mjs";

const BINDING = "EDGEWARD_KV";

/**
 * Which deployment: at Cloudflare, or that of `npm run dev`; `env` is the wrangler environment, `options` are for wrangler, such
 * as another configuration or another folder for local data.
 * @typedef {{ remote?: boolean, env?: string, options?: string[] }} Where
 */

/**
 * Runs wrangler; returns what it printed.
 * @param {Where} where
 * @param {string[]} args
 * @param {string} [input]
 * @returns {Promise<string>}
 */
export async function wranglerAt({ remote, env, options = [] }, args, input = "") {
  // A command in the environment stands for wrangler in tests.
  const given = options.length === 0 ? process.env.EDGEWARD_WRANGLER : undefined;
  const [program, ...first] = given === undefined ? wrangler : /** @type {string[]} */ (JSON.parse(given));
  // An empty name means the top level; without it, wrangler asks which environment to use.
  const child = spawn(program, [...first, ...options, ...args, "--env", env ?? (remote ? "" : "local")], { cwd: project, env: toolEnv() });
  let printed = "";
  let complained = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => (printed += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk) => (complained += chunk));
  child.stdin.on("error", () => {}).end(input);
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve)).catch((error) => {
    throw new StepFailed(`wrangler could not be started: ${messageOf(error)}`);
  });
  if (code !== 0) throw new StepFailed(`\`wrangler ${args.join(" ")}\` failed:\n${`${complained}${printed}`.trim()}`);
  return printed;
}

/**
 * Runs wrangler in the terminal; returns its exit status.
 * @param {string[]} args
 * @returns {Promise<number>}
 */
export function runWrangler(args) {
  const [program, ...first] = wrangler;
  const child = spawn(program, [...first, ...args], { cwd: project, env: toolEnv(), stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new StepFailed(`wrangler could not be started: ${error.message}`)));
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

/**
 * The list in what wrangler printed, which may have lines before it.
 * @param {string} text
 * @param {string} what
 * @returns {{ name: string }[]}
 */
export function listIn(text, what) {
  try {
    return JSON.parse(text.slice(text.indexOf("[")));
  } catch (error) {
    throw new StepFailed(`wrangler's list of ${what} cannot be parsed: ${messageOf(error)}`);
  }
}

/**
 * @param {Where} where
 * @param {...string} args
 */
const kv = (where, ...args) => wranglerAt(where, [...args, "--binding", BINDING, where.remote ? "--remote" : "--local"]);

/**
 * The names of all keys.
 * @param {Where} where
 */
export async function keysAt(where) {
  return listIn(await kv(where, "kv", "key", "list"), "keys").map(({ name }) => name);
}

/**
 * The value of a key that is there.
 * @param {Where} where
 * @param {string} key
 */
export async function valueAt(where, key) {
  return (await kv(where, "kv", "key", "get", key, "--text")).replace(/\n+$/, "");
}

/**
 * Writes all pairs. `wrangler kv bulk` reads a file; it has hashes of API tokens, so it is in a private folder.
 * @param {Where} where
 * @param {{ key: string, value: string }[]} pairs
 */
export async function writeAt(where, pairs) {
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-"));
  try {
    const file = path.join(folder, "keys.json");
    writeFileSync(file, JSON.stringify(pairs), { mode: 0o600 });
    await kv(where, "kv", "bulk", "put", file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
