// What `npm run check-config` does: passes the variables of wrangler.toml to the core and reports its findings.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { parse as parseToml } from "smol-toml";
import { missingBindings } from "./bindings.mjs";
import { core } from "./core.mjs";
import { LOCAL_FILE } from "./dev-options.mjs";
import { optionError } from "./did-you-mean.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { isFrom, readLocalFile, withLocalFile } from "./local-file.mjs";
import { here } from "./project.mjs";
import { messageOf, StepFailed } from "./step.mjs";
import { misspelt, suggest } from "./suggest.mjs";

const HELP = `npm run check-config -- [options]
  --env <name>     only [env.<name>] of wrangler.toml ("" is its top level); otherwise the top level and every environment
  --config <file>  another file than wrangler.toml
  --json           print JSON for programs

The environment "local" is what \`npm run dev\` runs: with the settings of ${LOCAL_FILE}, if that is beside the file.

Secrets are not in wrangler.toml, so they cannot be checked here: every secret that is needed is assumed to be set and
valid, and is listed. Only the environment "local" has its secrets, in .dev.vars, read and checked; one that is missing there
is an error. A deployment that lacks a secret answers 500.`;

/** @typedef {import("./effective-config.mjs").WranglerConfig} WranglerConfig */
/** @typedef {{ path: string, error: string, file?: string }} Told `file`: the local file, if the setting stands there. */
/** @typedef {{ errors: Told[], notes: Told[], assumed: string[] }} Checked */
/** @typedef {{ vars: object, secrets: object, complete?: boolean }} Configuration `complete`: no secret is assumed to be set. */

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function runCheckConfig(args) {
  const { env, config: file, json, help } = readOptions(args);
  if (help) {
    console.log(HELP);
    return 0;
  }
  const whole = readToml(file);
  const names = env === undefined ? ["", ...Object.keys(whole.env ?? {})] : [env];
  const local = names.includes("local") && whole.env?.local ? readLocalFile(path.dirname(file)) : undefined;
  const merged = withLocalFile(whole, local);
  const given = Object.fromEntries(names.map((name) => [name, configuration(effectiveConfig(merged, name, nameOf(file)), name)]));
  const checked = await checkConfigurations(given);
  for (const name of names) checked[name].notes.push(...unbound(effectiveConfig(merged, name, nameOf(file))));
  for (const told of local ? [...checked.local.errors, ...checked.local.notes] : []) {
    if (isFrom(local, told.path, whole.env?.local.vars)) told.file = local?.name;
  }
  console.log(json ? JSON.stringify(checked) : report(checked, { file: nameOf(file), local: local?.name }));
  return Object.values(checked).some(({ errors }) => errors.length > 0) ? 1 : 0;
}

/**
 * What a deployment lacks. A file without any binding is only about settings.
 * @param {WranglerConfig} config
 * @returns {Told[]}
 */
function unbound(config) {
  if ((config.durable_objects?.bindings ?? []).length === 0) return [];
  return missingBindings(config).map(({ path, problem }) => ({ path, error: problem }));
}

const OPTIONS = /** @type {const} */ ({
  env: { type: "string" },
  config: { type: "string", default: here("wrangler.toml") },
  json: { type: "boolean" },
  help: { type: "boolean" },
});

/** @param {string[]} args */
function readOptions(args) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    throw new StepFailed(optionError(error, OPTIONS), HELP);
  }
}

/**
 * A file's name for people.
 * @param {string} file
 */
const nameOf = (file) => (path.resolve(file) === here("wrangler.toml") ? "wrangler.toml" : file);

/**
 * The parsed file.
 * @param {string} [file]
 * @returns {WranglerConfig}
 */
export function readToml(file = here("wrangler.toml")) {
  try {
    return parseToml(readFileSync(file, "utf8"));
  } catch (error) {
    throw new StepFailed(`${nameOf(file)}: ${messageOf(error).trim()}`);
  }
}

/**
 * The parsed file as it is for an environment: "local" has what the local file beside it sets.
 * @param {string | undefined} file
 * @param {string} env
 */
export function readWhole(file = here("wrangler.toml"), env) {
  const whole = readToml(file);
  return env === "local" && whole.env?.local ? withLocalFile(whole, readLocalFile(path.dirname(file))) : whole;
}

/**
 * What the core gets of an environment: its variables, and its secrets as far as they are known here.
 * @param {WranglerConfig} config
 * @param {string} env
 * @returns {Configuration}
 */
export function configuration({ vars = {} }, env) {
  const file = here(".dev.vars");
  const complete = env === "local" && existsSync(file);
  const secrets = complete ? parseEnv(readFileSync(file, "utf8")) : {};
  return { vars, secrets, complete };
}

/**
 * Asks the core about environments by name: `{ errors, notes, assumed }` for each.
 * @param {{ [env: string]: Configuration }} given
 * @returns {Promise<{ [env: string]: Checked }>}
 */
export async function checkConfigurations(given) {
  const checked = /** @type {{ [env: string]: Checked }} */ (await core("check-config", given));
  for (const [env, found] of Object.entries(checked)) {
    found.errors = found.errors.map(suggest);
    found.notes.push(...misspelt(given[env].vars));
  }
  return checked;
}

/**
 * The findings as text for people.
 * @param {{ [env: string]: Checked }} checked
 * @param {{ file?: string, local?: string }} [names] Of the file, and of the local one if there is one.
 */
export function report(checked, { file = "wrangler.toml", local } = {}) {
  const lines = [];
  for (const [name, { errors, notes }] of Object.entries(checked)) {
    const place = `${file}${name === "" ? "" : ` [env.${name}]`}${name === "local" && local ? ` with ${local}` : ""}`;
    /** @type {(told: Told) => string} */
    const line = ({ path, error, file: from }) => `${from ? `${from}: ` : ""}${path}: ${error}`;
    lines.push(errors.length === 0 ? `${place}: no errors` : `${place}: ${errors.length} ${errors.length === 1 ? "error" : "errors"}`);
    for (const told of errors) lines.push(`  ${line(told)}`);
    for (const told of notes) lines.push(`  note: ${line(told)}`);
  }
  const assumed = [...new Set(Object.values(checked).flatMap((one) => one.assumed))];
  if (assumed.length > 0) lines.push(`secrets that cannot be checked here and are assumed to be set: ${assumed.join(", ")}`);
  return lines.join("\n");
}
