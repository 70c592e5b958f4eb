// wrangler.local.toml: what a developer sets for `npm run dev` on one machine, in place of what wrangler.toml has below
// [env.local]. It is written as if it were the top level: [vars.EDGEWARD_SITE_APP].
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse as parseToml } from "smol-toml";
import { LOCAL_FILE } from "./dev-options.mjs";
import { didYouMean } from "./did-you-mean.mjs";
import { project } from "./project.mjs";
import { messageOf, StepFailed } from "./step.mjs";

/** @import { WranglerConfig } from "./effective-config.mjs" */
/** @typedef {{ [name: string]: unknown }} Table */
/** @typedef {{ name: string, vars: Table, send_email?: WranglerConfig["send_email"] }} LocalFile `name`: its path, for people. */

/** Everything else of [env.local] is what the tests have run. */
const MAY_HAVE = ["vars", "send_email"];

/**
 * The file in this folder, if there is one. Throws with every mistake that does not take the core to see.
 * @param {string} folder
 * @returns {LocalFile | undefined}
 */
export function readLocalFile(folder) {
  const file = path.join(folder, LOCAL_FILE);
  if (!existsSync(file)) return undefined;
  const relative = path.relative(project, file);
  const name = relative.startsWith("..") ? file : relative;
  /** @type {Table} */
  let content;
  try {
    content = parseToml(readFileSync(file, "utf8"));
  } catch (error) {
    throw new StepFailed(`${name}: ${messageOf(error).trim()}`);
  }
  const { vars = {}, send_email } = content;
  const problems = Object.keys(content).flatMap((key) => (MAY_HAVE.includes(key) ? [] : [`${key}: ${whyNot(key)}`]));
  if (!isTable(vars)) problems.push("vars: must be a table, such as [vars.EDGEWARD_SITE_APP]");
  for (const key of isTable(vars) ? Object.keys(vars) : []) {
    if (/_SECRET(_\d+)?$/.test(key)) problems.push(`vars.${key}: a secret belongs in .dev.vars, as a line ${key}=…`);
  }
  if (problems.length > 0)
    throw new StepFailed(problems.length === 1 ? `${name}: ${problems[0]}` : `${name}:\n${problems.map((one) => `  ${one}`).join("\n")}`);
  return { name, vars: /** @type {Table} */ (vars), ...(send_email === undefined ? {} : { send_email: /** @type {LocalFile["send_email"]} */ (send_email) }) };
}

/** @param {string} key */
function whyNot(key) {
  if (key === "env") return "this file is for [env.local] alone: write [vars.…] instead of [env.local.vars.…]";
  if (key.startsWith("EDGEWARD")) return `belongs below vars: [vars.${key}]`;
  return `cannot be set here, only [vars.…] and [[send_email]] can${didYouMean(key, MAY_HAVE)}`;
}

/**
 * The configuration with the file's settings in its local environment. Tables are merged key by key, everything else is replaced;
 * `false` in the place of anything that is not a boolean removes it.
 * @param {WranglerConfig} config
 * @param {LocalFile | undefined} file
 * @returns {WranglerConfig}
 */
export function withLocalFile(config, file) {
  if (file === undefined) return config;
  const { name: _, vars, ...rest } = file;
  const local = config.env?.local;
  return { ...config, env: { ...config.env, local: { ...local, ...rest, vars: merged(local?.vars ?? {}, vars) } } };
}

/**
 * @param {Table} base
 * @param {Table} over
 */
function merged(base, over) {
  /** @type {Table} */
  const all = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = all[key];
    if (value === false && before !== undefined && typeof before !== "boolean") delete all[key];
    else all[key] = isTable(value) && isTable(before) ? merged(before, value) : value;
  }
  return all;
}

/**
 * Whether the file says what the core has found wrong at `place`, or has the table in which something is missing.
 * @param {LocalFile | undefined} file
 * @param {string} place Such as `EDGEWARD_SITE_APP.session.idle`.
 * @param {Table} [base] The variables without the file.
 */
export function isFrom(file, place, base = {}) {
  if (file === undefined) return false;
  const steps = place.split(".");
  const table = steps.slice(0, -1);
  return has(file.vars, steps) || (table.length > 0 && has(file.vars, table) && !has(base, table));
}

/** @type {(value: unknown, steps: string[]) => boolean} */
const has = (value, [first, ...rest]) =>
  first === undefined || Array.isArray(value) || (isTable(value) && Object.hasOwn(value, first) && has(value[first], rest));

/**
 * @param {unknown} value
 * @returns {value is Table}
 */
function isTable(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}
