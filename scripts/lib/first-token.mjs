// API tokens of a deployment that nobody can call yet: through wrangler, with a process for each record that is read. The core
// makes and reads the records.
import { Misuse, orUsage } from "./ask.mjs";
import { say, timeOf } from "./command-group.mjs";
import { core } from "./core.mjs";
import { didYouMean } from "./did-you-mean.mjs";
import { optionsOf } from "./options.mjs";
import { table } from "./table.mjs";
import { keysAt, valueAt, writeAt } from "./wrangler.mjs";

/** @import { Where } from "./wrangler.mjs" */
/** @import { CommonValues } from "./options.mjs" */
/** @typedef {CommonValues & { name?: string, scope?: string[], role?: string[], "acts-as"?: string, "expires-in"?: string, "email-domain"?: string[], "print-record"?: boolean }} CreateValues */
/** @typedef {{ token: string, id: string, key: string, value: string }} Made */
/** @typedef {{ id: string, name: string, scopes: string[], active: boolean, last_used_at: number | null }} View */

const TEXT = /** @type {const} */ ({ type: "string" });
const FLAG = /** @type {const} */ ({ type: "boolean" });
const LIST = /** @type {const} */ ({ type: "string", multiple: true });
const CREATE = { name: TEXT, scope: LIST, "acts-as": TEXT, "expires-in": TEXT, "email-domain": LIST, role: LIST, "print-record": FLAG };

/** @type {{ [command: string]: (args: string[]) => Promise<number> }} */
const COMMANDS = { create, list, revoke };

/**
 * Runs `token create`, `list` or `revoke`; returns the exit status.
 * @param {string[]} args
 * @param {string} usage
 */
export function runByWrangler(args, usage) {
  return orUsage(usage, async () => {
    const index = args.findIndex((word, at) => !word.startsWith("-") && args[at - 1] !== "--env");
    const name = args[index];
    if (name === undefined) throw new Misuse("the command is missing");
    if (!Object.hasOwn(COMMANDS, name))
      throw new Misuse(`\`token\` has no command ${name} that goes through wrangler${didYouMean(name, Object.keys(COMMANDS))}`);
    return COMMANDS[name](args.toSpliced(index, 1));
  });
}

/** @param {string[]} args */
async function create(args) {
  const { values: given, positionals } = optionsOf(args, CREATE);
  const values = /** @type {CreateValues} */ (given);
  if (positionals.length > 0) throw new Misuse(`unexpected argument: ${positionals[0]}`);
  const { name, scope, role, json, "acts-as": acts_as, "expires-in": lifetime, "email-domain": email_domains, "print-record": isPrinted } = values;
  if (name === undefined) throw new Misuse("--name is missing: what the token is for");
  if (scope === undefined && acts_as === undefined) throw new Misuse("--scope is missing, or --acts-as");
  if (lifetime !== undefined && !/^[1-9]\d{0,8}$/.test(lifetime)) throw new Misuse(`--expires-in takes seconds, not ${lifetime}`);
  const wanted = { name, scopes: scope, acts_as, expires_in: lifetime === undefined ? undefined : Number(lifetime), email_domains, roles: role };
  const made = /** @type {Made} */ (await core("token-create", wanted));
  if (isPrinted) {
    // For callers that write the record themselves, such as a script with its own client of KV.
    console.log(JSON.stringify(made));
    return 0;
  }
  await store(values, made);
  say({ json }, { token: made.token, id: made.id }, `${made.token}\n\nThis is the API token ${made.id}. It is not shown again.`);
  return 0;
}

/**
 * Makes an API token and writes its record; returns it.
 * @param {Where} where
 * @param {{ name: string, scopes: string[] }} given
 */
export async function createToken(where, given) {
  const made = /** @type {Made} */ (await core("token-create", given));
  await store(where, made);
  return made.token;
}

/**
 * @param {Where} where
 * @param {Made} made
 */
const store = (where, { key, value }) => writeAt(where, [{ key, value }]);

/** @param {string[]} args */
async function list(args) {
  const { values } = optionsOf(args);
  const { tokens } = /** @type {{ tokens: View[] }} */ (await overStore(values, "token-list", {}));
  const rows = tokens.map(({ id, name, scopes, active, last_used_at }) => [id, name, scopes.join(",") || "-", String(active), timeOf(last_used_at)]);
  say(values, tokens, table(["id", "name", "scopes", "active", "last used"], rows));
  return 0;
}

/** @param {string[]} args */
async function revoke(args) {
  const { values, positionals } = optionsOf(args, { "with-children": FLAG });
  const [id] = positionals;
  if (id === undefined || positionals.length > 1) throw new Misuse("`token revoke` takes one <id>");
  const withChildren = /** @type {{ "with-children"?: boolean }} */ (values)["with-children"] === true;
  const told = await overStore(values, "token-revoke", { id, with_children: withChildren });
  const { name, children, changes } = /** @type {{ name: string, children: string[], changes: { key: string, value: string }[] }} */ (told);
  await writeAt(values, changes);
  const rest =
    children.length === 0
      ? "It has created no API tokens that still work."
      : withChildren
        ? `So are the API tokens that it created: ${children.join(", ")}.`
        : `API tokens that it created still work: ${children.join(", ")}. To revoke them as well, add --with-children.`;
  const shown = { id, [withChildren ? "children_revoked" : "children"]: children };
  say(values, shown, `API token ${id} (${name}) is revoked. It stops working everywhere within 60 seconds. ${rest}`);
  return 0;
}

/**
 * Calls a function of the core that reads the store: it says which keys it wants, until it has all.
 * @param {Where} where
 * @param {string} command
 * @param {object} given
 */
async function overStore(where, command, given) {
  const names = await keysAt(where);
  /** @type {{ [key: string]: string }} */
  const values = {};
  for (;;) {
    const told = /** @type {{ wanted?: string[] }} */ (await core(command, { ...given, names, values }));
    if (told.wanted === undefined) return told;
    for (const key of told.wanted) values[key] = await valueAt(where, key);
  }
}
