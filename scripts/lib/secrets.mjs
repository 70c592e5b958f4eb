// `npm run admin -- secret …`: the numbered secrets, at Cloudflare through `wrangler secret`, on this machine in .dev.vars.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { Misuse, orUsage } from "./ask.mjs";
import { readToml } from "./check-config.mjs";
import { core } from "./core.mjs";
import { newSecret } from "./dev-secrets.mjs";
import { didYouMean } from "./did-you-mean.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { optionsOf } from "./options.mjs";
import { chosenProfile } from "./place.mjs";
import { here } from "./project.mjs";
import { confirm } from "./prompt.mjs";
import { StepFailed } from "./step.mjs";
import { listIn, wranglerAt } from "./wrangler.mjs";

/** @import { Where } from "./wrangler.mjs" */
/** @typedef {{ session: number, sso_token: number }} Bounds In seconds. */

const USAGE = `Usage: npm run admin -- secret <command> [options]

  list                     list the numbers of the secrets
  rotate <purpose>         add a new secret that signs from now on; the previous one still verifies
  retire <purpose> <n>     remove a secret that no longer signs; whatever it signed becomes invalid

The purpose is session (signs sessions), token (signs SSO tokens) or key (encrypts private keys).

  --yes          with retire: do not ask, although something that is still valid may end
  --remote       at Cloudflare [default: in .dev.vars, for \`npm run dev\`]
  --env <name>   the wrangler environment [default: the top level]`;

const PURPOSES = /** @type {const} */ (["session", "token", "key"]);
/** The longest that `session.absolute` and `sso_token.max_lifetime` may be. */
const LONGEST = { session: 30 * 86_400, sso_token: 86_400 };

/** @typedef {typeof PURPOSES[number]} Purpose */

/** @param {Purpose} purpose */
const prefixOf = (purpose) => `EDGEWARD_${purpose.toUpperCase()}_SECRET_`;

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export function runSecrets(args) {
  return orUsage(USAGE, async () => {
    const { values, positionals } = optionsOf(args, { yes: { type: "boolean" } });
    if (values.help) {
      console.log(USAGE);
      return 0;
    }
    if (chosenProfile() !== undefined) throw new StepFailed("this command goes through wrangler and has no option --profile; --remote and --env say where");
    const [name, ...rest] = positionals;
    /** @type {{ [command: string]: (where: Where & { yes?: boolean }, words: string[]) => Promise<void> }} */
    const commands = { list, rotate, retire };
    if (name === undefined) throw new Misuse("the command is missing");
    if (!Object.hasOwn(commands, name)) throw new Misuse(`\`secret\` has no command ${name}${didYouMean(name, Object.keys(commands))}`);
    await commands[name](values, rest);
    return 0;
  });
}

/**
 * @param {Where} where
 * @param {string[]} words
 */
async function list(where, words) {
  expect(words, 0);
  const names = await namesAt(where);
  for (const purpose of PURPOSES) for (const number of numbersOf(names, purpose)) console.log(`${prefixOf(purpose)}${number}`);
}

/**
 * @param {Where} where
 * @param {string[]} words
 */
async function rotate(where, words) {
  expect(words, 1);
  const purpose = purposeOf(words[0]);
  const known = numbersOf(await namesAt(where), purpose);
  const name = `${prefixOf(purpose)}${(known.at(-1) ?? 0) + 1}`;
  if (where.remote) await wranglerAt(where, ["secret", "put", name], newSecret());
  else writeLocal([...localLines(), `${name}=${newSecret()}`]);
  console.log(`${name} signs from now on. Nobody is signed out: older secrets still verify.`);
  const previous = known.at(-1);
  if (previous !== undefined) console.log(advice(purpose, previous));
}

/**
 * @param {Where & { yes?: boolean }} where
 * @param {string[]} words
 */
async function retire(where, words) {
  expect(words, 2);
  const purpose = purposeOf(words[0]);
  const number = Number(words[1]);
  if (!/^\d{1,9}$/.test(words[1])) throw new Misuse(`${words[1]} is not the number at the end of a secret's name`);
  const name = `${prefixOf(purpose)}${number}`;
  const known = numbersOf(await namesAt(where), purpose);
  if (known.at(-1) === number) throw new StepFailed("this is the newest secret, which signs; rotate it first");
  if (!known.includes(number)) throw new StepFailed(`there is no ${name}`);
  if (!where.yes) await agree(await cutOff(where, purpose, number));
  if (where.remote) await wranglerAt(where, ["secret", "delete", name], "y\n");
  else writeLocal(localLines().filter((line) => nameOf(line) !== name));
  console.log(`${name} is removed; whatever it signed is no longer valid.`);
}

/**
 * @param {string[]} words
 * @param {number} count
 */
function expect(words, count) {
  if (words.length !== count) throw new Misuse(words.length > count ? `unexpected argument: ${words[count]}` : "an argument is missing");
}

/**
 * @param {string} word
 * @returns {Purpose}
 */
function purposeOf(word) {
  const purpose = PURPOSES.find((one) => one === word);
  if (purpose === undefined) throw new Misuse(`there is no secret ${word}${didYouMean(word, PURPOSES)}`);
  return purpose;
}

/**
 * Asks at the terminal; without one, only `--yes` goes on.
 * @param {string} warning
 */
async function agree(warning) {
  if (!process.stdin.isTTY) throw new StepFailed(`${warning}\n  Nothing was changed. To go on, add --yes`);
  process.stderr.write(`${warning}\n`);
  if (!(await confirm("Remove it?"))) throw new StepFailed("nothing was changed");
}

/**
 * What ends with a secret, and until when there can be any of it. Nobody knows when the next secret was added, so the bound is
 * that of the settings: the longest lifetime of any site.
 * @param {Where} where
 * @param {Purpose} purpose
 * @param {number} number
 */
async function cutOff(where, purpose, number) {
  const bounds = await boundsOf(where);
  const assumed = bounds === null ? "which is the longest that the settings allow, as they could not be read" : "by the settings";
  const { session, sso_token } = bounds ?? LONGEST;
  const name = `${prefixOf(purpose)}${number}`;
  switch (purpose) {
    case "session":
      return `Every session that ${name} signed ends at once: these people sign in again. The last of them would end ${span(session)} after secret ${number + 1} was added (${assumed}).`;
    case "token":
      return `Every SSO token and every link with one that ${name} signed is refused at once. The last of them would expire ${span(sso_token)} after secret ${number + 1} was added (${assumed}).`;
    case "key":
      return `What ${name} encrypts can no longer be read: signing keys, until \`npm run admin -- key rotate\` has replaced them and 30 minutes have passed; links to set a password that wait for a service, for a day; a provider's tokens, as long as the sessions of their sign-in. Credentials at origins are made anew. Backups made under it cannot be restored until it is set again under its number.`;
  }
}

/**
 * @param {Where} where
 * @returns {Promise<Bounds | null>}
 */
async function boundsOf({ remote, env }) {
  try {
    const { vars } = effectiveConfig(readToml(), env ?? (remote ? "" : "local"));
    return /** @type {Bounds | null} */ (await core("bounds", { vars: vars ?? {} }));
  } catch (error) {
    if (error instanceof StepFailed) return null;
    throw error;
  }
}

/**
 * A length of time for people.
 * @param {number} seconds
 */
function span(seconds) {
  for (const [unit, length] of /** @type {const} */ ([
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
  ])) {
    if (seconds >= length && seconds % length === 0) return counted(seconds / length, unit);
  }
  return counted(seconds, "second");
}

/** @type {(count: number, unit: string) => string} */
const counted = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;

/**
 * @param {Purpose} purpose
 * @param {number} previous
 */
function advice(purpose, previous) {
  const when = {
    session: "when the absolute lifetime of sessions has passed (12 hours by default)",
    token: "when the last SSO token has expired (15 minutes by default)",
    key: "after `npm run admin -- key rotate` and 30 minutes",
  }[purpose];
  return `Retire the previous one ${when}: npm run admin -- secret retire ${purpose} ${previous}`;
}

/**
 * @param {string[]} names
 * @param {Purpose} purpose
 */
function numbersOf(names, purpose) {
  const prefix = prefixOf(purpose);
  const numbers = names.flatMap((name) => (name.startsWith(prefix) && /^\d{1,9}$/.test(name.slice(prefix.length)) ? [Number(name.slice(prefix.length))] : []));
  return numbers.toSorted((one, other) => one - other);
}

/** @param {Where} where */
async function namesAt(where) {
  if (!where.remote) return localLines().flatMap((line) => nameOf(line) ?? []);
  try {
    return listIn(await wranglerAt(where, ["secret", "list", "--format", "json"]), "secrets").map(({ name }) => name);
  } catch (error) {
    // The Worker does not exist before its first deployment; its first secret creates it.
    if (error instanceof StepFailed && error.message.includes("not found")) return [];
    throw error;
  }
}

/** @param {string} line */
const nameOf = (line) => (line.includes("=") ? line.slice(0, line.indexOf("=")).trim() : undefined);

function localLines() {
  const file = here(".dev.vars");
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").replace(/\n$/, "").split("\n");
}

/**
 * Writes a new file and moves it into place, so that an interrupted write loses nothing.
 * @param {string[]} lines
 */
function writeLocal(lines) {
  const file = here(".dev.vars");
  const beside = `${file}.${process.pid}.new`;
  writeFileSync(beside, `${lines.join("\n")}\n`, { mode: 0o600, flag: "wx" });
  renameSync(beside, file);
}
