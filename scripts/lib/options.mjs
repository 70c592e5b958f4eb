// The options of commands that call the admin API.
import { parseArgs } from "node:util";
import { Misuse } from "./ask.mjs";

/** Every command has these; the last two are there to be refused with a reason. */
const ALWAYS = { help: { type: "boolean" }, json: { type: "boolean" }, remote: { type: "boolean" }, env: { type: "string" } };

/** Reads a command's options and words; what it does not know is a Misuse. */
export function optionsOf(args, options = {}) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { ...ALWAYS, ...options } });
  } catch (error) {
    throw new Misuse(error.message);
  }
}
