// What `npx edgeward init` does: writes the operator's own files, and overwrites nothing.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { newSecrets } from "./dev-secrets.mjs";
import { optionError } from "./did-you-mean.mjs";
import { at, here, project } from "./project.mjs";
import { messageOf, StepFailed } from "./step.mjs";
import { MAIN } from "./built.mjs";

const HELP = `npx edgeward init
Writes into this folder: wrangler.toml, the settings of your deployment, which is yours from then on; .dev.vars, with new secrets
for this machine alone; and into .gitignore what must not be committed. A file that is there stays as it is.`;

const IGNORED = ["node_modules/", ".wrangler/", ".edgeward/", ".dev.vars", ".dev.vars.*", "wrangler.local.toml"];

const OPTIONS = /** @type {const} */ ({ help: { type: "boolean" } });

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function init(args) {
  if (isHelp(args)) {
    console.log(HELP);
    return 0;
  }
  if (existsSync(here("wrangler.toml")))
    throw new StepFailed("wrangler.toml is there already, and nothing was written\n  `npx edgeward upgrade-config` says what this version asks of it");
  const template = templateFor(readFileSync(at("wrangler.example.toml"), "utf8"));
  write("wrangler.toml", template, 0o644);
  if (existsSync(here(".dev.vars"))) console.log("kept   .dev.vars, which is there already");
  else write(".dev.vars", newSecrets(), 0o600);
  ignore();
  console.log(`
Next, here in ${project}:
  npx edgeward dev --upstream http://127.0.0.1:3000   your application with Edgeward in front of it, on this machine
  npx edgeward deploy --dry-run                       what is still missing for Cloudflare
What each setting means: ${MAIN.replace(/build\/worker\.js$/, "docs/configuration.md")}`);
  return 0;
}

/** @param {string[]} args */
function isHelp(args) {
  try {
    return parseArgs({ args, options: OPTIONS }).values.help === true;
  } catch (error) {
    throw new StepFailed(optionError(error, OPTIONS), HELP);
  }
}

/**
 * The repository's example as the operator's file: the Worker and the schema are those of the package.
 * @param {string} text
 */
export function templateFor(text) {
  const schema = MAIN.replace(/build\/worker\.js$/, "wrangler.schema.json");
  return text.replace(/^main = "build\/worker\.js"$/m, `main = "${MAIN}"`).replace("#:schema ./wrangler.schema.json", `#:schema ./${schema}`);
}

/**
 * @param {string} name
 * @param {string} text
 * @param {number} mode
 */
function write(name, text, mode) {
  try {
    writeFileSync(here(name), text, { flag: "wx", mode });
  } catch (error) {
    throw new StepFailed(`${name} cannot be written: ${messageOf(error)}`);
  }
  console.log(`wrote  ${name}`);
}

function ignore() {
  const file = here(".gitignore");
  const before = existsSync(file) ? readFileSync(file, "utf8") : "";
  const known = new Set(before.split(/\r?\n/).map((line) => line.trim().replace(/^\//, "")));
  const missing = IGNORED.filter((line) => !known.has(line) && !known.has(line.replace(/\/$/, "")));
  if (missing.length === 0) return;
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  writeFileSync(file, `${before}${gap}${missing.join("\n")}\n`);
  console.log(`wrote  ${missing.length} lines of .gitignore`);
}
