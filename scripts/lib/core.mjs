// The core as the commands use it: shell/ as WebAssembly, from JSON to JSON. In the repository it is built if its sources have
// changed; the package brings it along.
import { pathToFileURL } from "node:url";
import { SHELL } from "./built.mjs";
import { at, isPackage } from "./project.mjs";
import { messageOf, StepFailed } from "./step.mjs";

/** @typedef {{ run: (command: string, input: string, now: number) => string }} Shell */

/** @typedef {(command: string, input?: unknown) => unknown} Core Throws a StepFailed with what the core has against the input. */

/** @type {Promise<Core> | undefined} */
let loaded;

/**
 * Calls a function of the core; returns what it says.
 * @param {string} command
 * @param {unknown} [input]
 */
export async function core(command, input) {
  if (!isPackage) await (await import("./build-shell.mjs")).buildShell();
  return (await builtCore())(command, input);
}

/** The core without a look at its sources: for those that run after the build. */
export function builtCore() {
  loaded ??= load();
  return loaded;
}

/** @returns {Promise<Core>} */
async function load() {
  const { run } = /** @type {Shell} */ (await import(pathToFileURL(at(SHELL)).href));
  return (command, input = null) => {
    try {
      return JSON.parse(run(command, JSON.stringify(input), Date.now()));
    } catch (error) {
      throw new StepFailed(typeof error === "string" ? error : `the core failed at ${command}: ${messageOf(error)}`);
    }
  };
}
