// What `npx edgeward upgrade-config` does: says what this version asks of the operator's wrangler.toml, and adds it as text, so
// that no comment is lost. It asks nothing of the network.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { parse as parseToml } from "smol-toml";
import { APART } from "./apart.mjs";
import { missingBindings } from "./bindings.mjs";
import { checkConfigurations, configuration } from "./check-config.mjs";
import { optionError } from "./did-you-mean.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { at, here, isPackage } from "./project.mjs";
import { messageOf, StepFailed } from "./step.mjs";
import { version } from "./version.mjs";
import { MAIN } from "./built.mjs";

/** @import { WranglerConfig } from "./effective-config.mjs" */

const HELP = `npx edgeward upgrade-config [--write]
  --write   add to wrangler.toml what can be added; its comments and everything else stay
Says what this version asks of wrangler.toml: bindings, migrations, files of the Worker, and settings that it does not know any
more. Ends with status 1 as long as something is missing. docs/upgrade.md says what else a version changes.`;

const OPTIONS = /** @type {const} */ ({ write: { type: "boolean" }, help: { type: "boolean" } });

/**
 * A thing that is asked: `edit` makes it, on the text; what has none is done by hand.
 * @typedef {{ path: string, told: string, edit?: (text: string) => string | undefined, isOptional?: true }} Asked
 */
/** @typedef {{ durable_objects: { bindings: { name: string, class_name: string }[] }, migrations: { tag: string, new_sqlite_classes: string[] }[],
 *   ratelimits: { name: string, namespace_id: string, simple: { limit: number, period: number } }[], rules: { type: string, globs: string[] }[],
 *   compatibility_date: string }} Example */
/** @typedef {WranglerConfig & { compatibility_date?: string }} Given */

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function upgradeConfig(args) {
  const { write, help } = readOptions(args);
  if (help) {
    console.log(HELP);
    return 0;
  }
  const file = here("wrangler.toml");
  const before = read(file);
  const example = /** @type {Example} */ (/** @type {unknown} */ (parseToml(readFileSync(at(isPackage ? "wrangler.example.toml" : "wrangler.toml"), "utf8"))));
  const { text, done, open } = upgraded(before, example);
  const settings = await wrongSettings(text);
  const optional = open.filter(({ isOptional }) => isOptional);
  const byHand = [...open.filter(({ isOptional }) => !isOptional), ...settings];
  /** @type {(label: string, list: Asked[]) => string[]} */
  const lines = (label, list) => list.map(({ path, told }) => `  ${label.padEnd(10)}${path}: ${told}`);
  if (write && text !== before) {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }
  const report = [...lines(write ? "added" : "to add", done), ...lines("by hand", byHand), ...lines("optional", optional)];
  console.log(`wrangler.toml, for edgeward ${version()}:`);
  console.log(report.length > 0 ? report.join("\n") : "  nothing is missing");
  if (done.length > 0 && !write) console.log("`npx edgeward upgrade-config --write` adds what is to add, and keeps everything else as it is.");
  return byHand.length > 0 || (done.length > 0 && !write) ? 1 : 0;
}

/** @param {string[]} args */
function readOptions(args) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    throw new StepFailed(optionError(error, OPTIONS), HELP);
  }
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new StepFailed(`wrangler.toml: ${messageOf(error)}\n  \`npx edgeward init\` writes a first one`);
  }
}

/**
 * The text with all that could be added, what that is, and what is still open.
 * @param {string} before
 * @param {Example} example
 * @returns {{ text: string, done: Asked[], open: Asked[] }}
 */
export function upgraded(before, example) {
  let text = before;
  /** @type {Asked[]} */
  const done = [];
  /** @type {Asked[]} */
  const open = [];
  for (const asked of askedOf(parsed(before), example)) {
    const next = asked.isOptional ? undefined : asked.edit?.(text);
    if (next !== undefined && isExtended(text, next)) {
      text = next;
      done.push(asked);
    } else {
      open.push(asked);
    }
  }
  return { text, done, open };
}

/**
 * @param {string} text
 * @returns {Given}
 */
function parsed(text) {
  try {
    return parseToml(text);
  } catch (error) {
    throw new StepFailed(`wrangler.toml: ${messageOf(error).trim()}`);
  }
}

/**
 * Everything that this version asks.
 * @param {Given} config
 * @param {Example} example
 */
function askedOf(config, example) {
  const asked = askedOfWorker(config, example);
  for (const env of ["", ...Object.keys(config.env ?? {})]) {
    for (const { path, problem, isOptional, needs } of missingBindings(effectiveConfig(config, env))) {
      if (path === "migrations") continue; // below, for all classes and all environments at once
      const place = env === "" ? path : `env.${env}.${path}`;
      const table = needs === undefined ? undefined : blockOf(needs, example, config);
      asked.push({ path: place, told: problem, isOptional, edit: table && ((text) => withBlock(text, place, table)) });
    }
  }
  return [...asked, ...askedOfMigrations(config, example)];
}

/**
 * @param {Given} config
 * @param {Example} example
 */
function askedOfWorker(config, example) {
  /** @type {Asked[]} */
  const asked = [];
  if (config.main !== MAIN) asked.push({ path: "main", told: `must be "${MAIN}"`, edit: (text) => withValue(text, "main", `"${MAIN}"`) });
  if (config.no_bundle !== true) asked.push({ path: "no_bundle", told: "must be true", edit: (text) => withValue(text, "no_bundle", "true") });
  const { compatibility_date: date } = example;
  if ((config.compatibility_date ?? "") < date) {
    asked.push({ path: "compatibility_date", told: `this version is tested with ${date}`, edit: (text) => withValue(text, "compatibility_date", `"${date}"`) });
  }
  const globs = new Set((config.rules ?? []).flatMap((rule) => rule.globs ?? []));
  for (const name of ["worker.js", "edgeward.wasm", ...APART]) {
    const type = example.rules.find((rule) => rule.globs.includes(name))?.type ?? "";
    if (!globs.has(name)) asked.push({ path: "rules", told: `have no ${name} of the type ${type}`, edit: (text) => withGlob(text, type, name) });
  }
  return asked;
}

/**
 * A migration for each class that none creates, with or without a binding: without one it costs nothing.
 * @param {Given} config
 * @param {Example} example
 */
function askedOfMigrations(config, example) {
  const known = /** @type {{ tag?: string, new_sqlite_classes?: string[] }[]} */ (config.migrations ?? []);
  const created = new Set(known.flatMap(({ new_sqlite_classes: classes }) => classes ?? []));
  const tags = new Set(known.map(({ tag }) => tag));
  /** @type {Asked[]} */
  const asked = [];
  for (const { tag: usual, new_sqlite_classes: classes } of example.migrations) {
    for (const name of classes.filter((one) => !created.has(one))) {
      let tag = usual;
      for (let number = example.migrations.length + 1; tags.has(tag); number += 1) tag = `v${number}`;
      tags.add(tag);
      // Below all others: wrangler applies only what stands below the last one that it has applied.
      const block = [`tag = "${tag}"`, `new_sqlite_classes = ["${name}"]`];
      asked.push({
        path: "migrations",
        told: `do not create the class ${name}: tag ${tag}, below all others`,
        edit: (text) => withBlock(text, "migrations", block),
      });
    }
  }
  return asked;
}

/**
 * The lines of a binding as the example has them.
 * @param {string} name
 * @param {Example} example
 * @param {Given} config
 */
function blockOf(name, example, config) {
  const object = example.durable_objects.bindings.find((one) => one.name === name);
  if (object) return [`name = "${name}"`, `class_name = "${object.class_name}"`];
  const limit = example.ratelimits.find((one) => one.name === name);
  if (limit === undefined) return undefined;
  const others = [config, ...Object.values(config.env ?? {})].flatMap(
    ({ ratelimits = [] }) => /** @type {{ name?: string, namespace_id?: string }[]} */ (ratelimits),
  );
  const taken = new Set(others.filter((one) => one.name !== name).map(({ namespace_id }) => namespace_id));
  let id = Number(limit.namespace_id);
  while (taken.has(String(id))) id += 1;
  const { limit: most, period } = limit.simple;
  return [`name = "${name}"`, `namespace_id = "${id}"`, `simple = { limit = ${most}, period = ${period} }`];
}

/**
 * Settings that the core does not accept: they were renamed or removed, or were wrong before.
 * @param {string} text
 * @returns {Promise<Asked[]>}
 */
async function wrongSettings(text) {
  const config = parsed(text);
  const names = ["", ...Object.keys(config.env ?? {})];
  const checked = await checkConfigurations(Object.fromEntries(names.map((name) => [name, configuration(effectiveConfig(config, name), name)])));
  return Object.entries(checked).flatMap(([name, { errors }]) =>
    errors.map(({ path, error }) => ({ path: `${name === "" ? "" : `env.${name}.`}vars.${path}`, told: error })),
  );
}

// edits of the text; undefined where it is written in a way that they do not know ---------------------------------

/**
 * Sets a value of the top level.
 * @param {string} text
 * @param {string} key
 * @param {string} value
 */
function withValue(text, key, value) {
  const [top] = text.split(/^\s*\[/m);
  const line = new RegExp(`^(${key}\\s*=\\s*)("[^"\\n]*"|'[^'\\n]*'|true|false)`, "m");
  if (line.test(top)) return text.replace(line, (_, before) => `${before}${value}`);
  if (Object.hasOwn(parsed(text), key)) return undefined;
  const after = /^(main|name)\s*=.*$/m.exec(top)?.[0];
  return after === undefined ? `${key} = ${value}\n${text}` : text.replace(after, () => `${after}\n${key} = ${value}`);
}

/**
 * Adds a file to the globs of a rule, or to the rules.
 * @param {string} text
 * @param {string} type
 * @param {string} name
 */
function withGlob(text, type, name) {
  const { rules } = parsed(text);
  if (rules === undefined) return withValue(text, "rules", `[{ type = "${type}", globs = ["${name}"], fallthrough = false }]`);
  const known = new RegExp(`(type\\s*=\\s*"${type}"\\s*,?\\s*globs\\s*=\\s*\\[[^\\]#]*?)(,?\\s*\\])`);
  if (known.test(text)) return text.replace(known, (_, before, end) => `${before}, "${name}"${end}`);
  return text.replace(/^(rules\s*=\s*\[)/m, (_, begin) => `${begin}\n  { type = "${type}", globs = ["${name}"], fallthrough = false },`);
}

/**
 * Adds a table to an array of tables, behind its last one.
 * @param {string} text
 * @param {string} path
 * @param {string[]} block
 */
function withBlock(text, path, block) {
  const header = `[[${path}]]`;
  const lines = text.split("\n");
  const last = lines.findLastIndex((line) => line.replace(/#.*/, "").replaceAll(/\s/g, "") === header);
  if (last < 0) return isThere(parsed(text), path.split(".")) ? undefined : `${text.replace(/\n*$/, "\n")}\n${[header, ...block].join("\n")}\n`;
  let end = last + 1;
  while (end < lines.length && !/^\s*\[/.test(lines[end])) end += 1;
  // Comments and empty lines before the next table belong to that.
  while (/^\s*(#.*)?$/.test(lines[end - 1])) end -= 1;
  return lines.toSpliced(end, 0, "", header, ...block).join("\n");
}

/**
 * Whether something is written at a path, in another form than an array of tables.
 * @param {unknown} value
 * @param {string[]} path
 * @returns {boolean}
 */
function isThere(value, [first, ...rest]) {
  if (first === undefined) return true;
  return typeof value === "object" && value !== null && Object.hasOwn(value, first) && isThere(/** @type {{ [key: string]: unknown }} */ (value)[first], rest);
}

/** Values that an edit may replace. */
const REPLACED = ["main", "no_bundle", "compatibility_date"];

/**
 * Whether a text is valid and says all that the old one says, besides.
 * @param {string} before
 * @param {string} after
 */
function isExtended(before, after) {
  try {
    return contains(Object.fromEntries(Object.entries(parseToml(before)).filter(([key]) => !REPLACED.includes(key))), parseToml(after));
  } catch {
    return false;
  }
}

/**
 * @param {unknown} old
 * @param {unknown} now
 * @returns {boolean}
 */
function contains(old, now) {
  if (Array.isArray(old)) return Array.isArray(now) && old.every((one) => now.some((other) => contains(one, other)));
  if (typeof old !== "object" || old === null || old instanceof Date) return isDeepStrictEqual(old, now);
  if (typeof now !== "object" || now === null) return false;
  return Object.entries(old).every(([key, value]) => contains(value, /** @type {{ [key: string]: unknown }} */ (now)[key]));
}
