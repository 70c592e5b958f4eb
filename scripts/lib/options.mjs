// The options of commands that call the admin API.
import { parseArgs } from "node:util";
import { Misuse } from "./ask.mjs";
import { optionError } from "./did-you-mean.mjs";

/** Every command has these; the last two are known only to refuse them with a reason. */
const ALWAYS = /** @type {const} */ ({ help: { type: "boolean" }, json: { type: "boolean" }, remote: { type: "boolean" }, env: { type: "string" } });

/** @typedef {{ help?: boolean, json?: boolean, remote?: boolean, env?: string }} CommonValues */

/**
 * Parses a command's options and arguments; an unknown option is a Misuse.
 * @param {string[]} args
 * @param {import("node:util").ParseArgsOptionsConfig} [options]
 */
export function optionsOf(args, options = {}) {
  const known = { ...ALWAYS, ...options };
  try {
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options: known });
    return { values: /** @type {CommonValues & typeof values} */ (values), positionals };
  } catch (error) {
    throw new Misuse(optionError(error, known));
  }
}
