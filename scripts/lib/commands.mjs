// The commands of `npm run admin`, and what it says of them.
import { didYouMean } from "./did-you-mean.mjs";
import { takeProfile } from "./place.mjs";
import { versions } from "./version.mjs";

/** @typedef {{ [name: string]: (args: string[]) => Promise<number> }} Commands */

/** @type {Commands} */
const COMMANDS = {
  profile: async (args) => (await import("./profiles.mjs")).runProfiles(args),
  token: async (args) => (await import("./tokens.mjs")).runTokens(args),
  secret: async (args) => (await import("./secrets.mjs")).runSecrets(args),
  user: async (args) => (await import("./users.mjs")).runUsers(args),
  key: async (args) => (await import("./keys.mjs")).runKeys(args),
  audit: async (args) => (await import("./audit.mjs")).runAudit(args),
  backup: async (args) => (await import("./backup.mjs")).runBackup(args),
  service: async (args) => (await import("./services.mjs")).runServices(args),
  "import-django-sso": async (args) => (await import("./import-django-sso.mjs")).runImport(args),
  try: async (args) => (await import("./try.mjs")).runTry(args),
  explain: async (args) => (await import("./explain.mjs")).runExplain(args),
  schema: async () => print(JSON.stringify(await core("schema"), null, 2)),
  openapi: async () => print(JSON.stringify(await core("openapi"), null, 2)),
};

/**
 * For scripts: what the documents must cover.
 * @type {Commands}
 */
const HIDDEN = { facts: async () => print(JSON.stringify(await core("facts"))) };

const HELP = `Usage: npm run admin -- <command> …

Commands that call the admin API. EDGEWARD_URL and EDGEWARD_API_TOKEN name the deployment, or --profile <name>;
the default is the default profile, or that of \`npm run dev\`. Each command has its own --help:
  profile  Deployments and their API tokens: add, list, use, remove
  token    API tokens: create, list, show, change, revoke, delete
  user     Users: create, list, show, update, enable, disable, logout, delete, import, export, …
  service  The services of the SSO gateway: list, show, create, change, rotate, delete, events, resend, discard
  key      The keys that sign assertions: list, rotate
  audit    The audit log: list, export, verify
  backup   Users, services and API tokens in a file: create, restore
  import-django-sso  Move users, passwords and services here from a gateway of django-sso

Commands that explain decisions:
  explain  What the rules decide about a request, and why
  try      How a credential is verified, check by check; what is understood of an issuer's keys

Commands that work without a running deployment:
  secret   The secrets that sign and encrypt: list, rotate, retire
  schema   Print the JSON schema of wrangler.toml with Edgeward's settings
  openapi  Print the admin API as OpenAPI 3.1

  --version  print the version of these commands and of the Worker that they deploy

--remote and --env are for the commands that use wrangler: \`secret\`, and \`token\` for the first API token; and for \`explain\`.`;

/**
 * @param {string} command
 */
const core = async (command) => (await import("./core.mjs")).core(command);

/** @param {string} text */
function print(text) {
  console.log(text);
  return 0;
}

/**
 * Runs a command; returns its exit status.
 * @param {string[]} given
 */
export async function runAdmin(given) {
  const { args } = takeProfile(given);
  // Options may precede the command.
  let index = 0;
  while (args[index]?.startsWith("--")) index += args[index] === "--env" ? 2 : 1;
  const name = args[index];
  const all = { ...COMMANDS, ...HIDDEN };
  if (name === undefined) {
    if (args.includes("--version")) return print(versions());
    if (args.includes("--help")) return print(HELP);
    process.stderr.write(`error: the command is missing\n\n${HELP}\n`);
    return 2;
  }
  if (Object.hasOwn(all, name)) return all[name]([...args.slice(index + 1), ...args.slice(0, index)]);
  const meant = didYouMean(name, Object.keys(COMMANDS));
  process.stderr.write(`error: there is no command ${name}${meant}\n\n\`npm run admin -- --help\` lists the commands.\n`);
  return 2;
}
