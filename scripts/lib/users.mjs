// `npm run admin -- user …`: users, by calls of the admin API. The Worker makes every change: a shell sees KV a minute late,
// so by writing records itself it could undo newer changes.
import { ask, deployment, Misuse, orUsage, Refused, refusePlace, WHERE } from "./ask.mjs";
import { importUsers } from "./import-users.mjs";
import { optionsOf } from "./options.mjs";
import { StepFailed } from "./step.mjs";
import { progress, progressEnds, table } from "./table.mjs";

const USERS = "/api/sso/users";
const PAGE = 100;
const BOUND = "This takes effect everywhere within 90 seconds.";

/** @typedef {{ id: string, email: string, active: boolean, tenant?: string, roles?: string[] }} User */
/** @typedef {{ [site: string]: { error?: string } }} Accounts */
/** @typedef {Parameters<typeof ask>[0]} Call */

/**
 * What a command gets: its options, and its argument if it takes one.
 * @typedef {object} Given
 * @property {string} word
 * @property {boolean} [json]
 * @property {string} [tenant]
 * @property {string} [username]
 * @property {string} [first-name]
 * @property {string} [last-name]
 * @property {string[]} [role]
 * @property {boolean} [staff]
 * @property {boolean} [superuser]
 */

/**
 * @typedef {object} Command
 * @property {string} about
 * @property {string} [takes]
 * @property {import("node:util").ParseArgsOptionsConfig} [options]
 * @property {string} [help]
 * @property {(given: Given) => Promise<number | void>} run
 */

/** @type {{ tenant: { type: "string" } }} */
const TENANT = { tenant: { type: "string" } };
const TENANT_HELP = "  --tenant <name>      the tenant in which to look up the address";

/**
 * The commands. `takes` names the argument, if there is one.
 * @type {{ [name: string]: Command }}
 */
const COMMANDS = {
  create: {
    takes: "<address>",
    about: "create a user",
    options: {
      ...Object.fromEntries(["username", "first-name", "last-name", "tenant"].map((name) => [name, /** @type {const} */ ({ type: "string" })])),
      role: { type: "string", multiple: true },
      staff: { type: "boolean" },
      superuser: { type: "boolean" },
    },
    help: `  --username <name>    the username [default: the address]
  --first-name <name>  the given name
  --last-name <name>   the family name
  --role <role>        a role (repeatable); --role, --staff and --superuser need the scope admin
  --staff              make the user staff
  --superuser          make the user a superuser
  --tenant <name>      the user's tenant, which cannot be changed later`,
    run: create,
  },
  list: { about: "list the users", run: list },
  show: { takes: "<id or address>", about: "show a user", options: TENANT, help: TENANT_HELP, run: show },
  enable: { takes: "<id or address>", about: "let a user sign in again", options: TENANT, help: TENANT_HELP, run: (who) => setActive(who, true) },
  disable: {
    takes: "<id or address>",
    about: "end a user's sessions and refuse further sign-ins",
    options: TENANT,
    help: TENANT_HELP,
    run: (who) => setActive(who, false),
  },
  logout: { takes: "<id or address>", about: "end a user's sessions", options: TENANT, help: TENANT_HELP, run: logout },
  delete: { takes: "<id or address>", about: "delete a user", options: TENANT, help: TENANT_HELP, run: remove },
  import: {
    takes: "<file.csv or file.json>",
    about: "create many users; existing ones stay as they are",
    options: TENANT,
    help: `  --tenant <name>      the tenant of every entry that names none; it cannot be changed later

A CSV file has a header line with email and any of username, first_name, last_name and tenant. A JSON file is a list of
objects that may also have active, roles, staff and superuser. Nothing is sent unless every entry is valid.`,
    run: importUsers,
  },
};

const WHERE_USERS = WHERE("scopes users:read and users:write, or admin");

const USAGE = `Usage: npm run admin -- user <command> [--json]

${Object.entries(COMMANDS)
  .map(([name, { takes, about }]) => `  ${`${name} ${takes ?? ""}`.padEnd(32)}${about}`)
  .join("\n")}

  --json   print JSON for programs
  --help   with a command: show its options

${WHERE_USERS}`;

/** @type {(name: string, command: Command) => string} */
const usageOf = (name, { takes, about, help }) => `Usage: npm run admin -- user ${name} ${takes ? `${takes} ` : ""}${help ? "[options] " : ""}[--json]

${about[0].toUpperCase()}${about.slice(1)}.
${help ? `\n${help}\n` : ""}
${WHERE_USERS}`;

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export function runUsers(args) {
  const index = args.findIndex((word) => Object.hasOwn(COMMANDS, word));
  const name = args.find((word) => !word.startsWith("-"));
  if (index < 0 || args[index] !== name) {
    return orUsage(USAGE, () => {
      if (args.length > 0 && args.every((word) => word === "--help")) {
        console.log(USAGE);
        return 0;
      }
      throw new Misuse(name === undefined ? "the command is missing" : `\`user\` has no command ${name}`);
    });
  }
  const command = COMMANDS[name];
  const usage = usageOf(name, command);
  return orUsage(usage, async () => {
    const { values, positionals } = optionsOf(args.toSpliced(index, 1), command.options);
    if (values.help) {
      console.log(usage);
      return 0;
    }
    refusePlace(values);
    const wanted = command.takes ? 1 : 0;
    if (positionals.length !== wanted)
      throw new Misuse(wanted ? `\`user ${name}\` takes one ${command.takes}` : `\`user ${name}\` takes no arguments: ${positionals.join(" ")}`);
    return (await command.run(/** @type {Given} */ ({ ...values, word: positionals[0] }))) ?? 0;
  });
}

/**
 * Prints the text, or the value if `--json` is set.
 * @type {(given: Pick<Given, "json">, value: unknown, text: string) => void}
 */
const say = ({ json }, value, text) => console.log(json ? JSON.stringify(value) : text);

/** @param {Given} who */
async function create({ word: email, role, "first-name": first_name, "last-name": last_name, username, tenant, staff, superuser, json }) {
  const body = { email, username, first_name, last_name, tenant, staff, superuser, roles: role };
  const made = await ask({ method: "POST", path: USERS, body, gives: "id" }).catch((error) => {
    if (error instanceof Refused && error.code === "user_exists") throw new StepFailed(`a user with the address ${email} already exists`);
    throw error;
  });
  const { accounts = {}, ...user } = /** @type {User & { accounts?: Accounts }} */ (made);
  say({ json }, user, `User ${user.email} has the id ${user.id}.`);
  const failed = Object.entries(accounts).filter(([, account]) => account.error);
  for (const [site, { error }] of failed) process.stderr.write(`note: no account at ${site} yet: ${error}\n`);
}

/** @param {Given} who */
async function list({ json }) {
  /** @type {User[]} */
  const users = [];
  /** @type {string | null} */
  let cursor = "";
  while (cursor !== null) {
    const path = `${USERS}?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const page = /** @type {{ users: User[], cursor: string | null }} */ (await ask({ method: "GET", path, gives: "users" }));
    users.push(...page.users);
    cursor = page.cursor;
    if (cursor !== null) progress(`${users.length} users …`);
  }
  progressEnds();
  const columns = /** @type {(keyof User)[]} */ (["id", "email", "active", "roles", ...(users.some(({ tenant }) => tenant) ? ["tenant"] : [])]);
  say(
    { json },
    users,
    table(
      columns,
      users.map((user) => columns.map((column) => String(user[column] ?? "-"))),
    ),
  );
}

/** @param {Given} who */
async function show(who) {
  const user = await find(who);
  say(who, user, JSON.stringify(user, null, 2));
}

/**
 * @param {Given} who
 * @param {boolean} active
 */
async function setActive(who, active) {
  const { id } = await find(who);
  const user = await change(who, { method: "PATCH", path: `${USERS}/${id}`, body: { active }, gives: "id" });
  say(who, user, `User ${user.email} ${active ? "may sign in again" : "is disabled and signed out"}. ${BOUND}`);
}

/** @param {Given} who */
async function logout(who) {
  const { id, email } = await find(who);
  await change(who, { method: "POST", path: `${USERS}/${id}/logout` });
  say(who, { id, email }, `All sessions of ${email} have ended. ${BOUND}`);
}

/** @param {Given} who */
async function remove(who) {
  const { id, email } = await find(who);
  await change(who, { method: "DELETE", path: `${USERS}/${id}` });
  say(who, { id, email }, `User ${email} is deleted and signed out. ${BOUND}`);
}

/**
 * The user with this id or address.
 * @param {Given} who
 * @returns {Promise<User>}
 */
async function find({ word, tenant }) {
  if (/^usr_[\w-]{22}$/.test(word)) {
    if (tenant !== undefined) throw new Misuse("--tenant needs an address; an id is unique across tenants");
    return change({ word }, { method: "GET", path: `${USERS}/${word}`, gives: "id" });
  }
  if (!word.includes("@")) throw new Misuse(`${word} is neither an id nor an address`);
  const path = `${USERS}?email=${encodeURIComponent(word)}${tenant === undefined ? "" : `&tenant=${encodeURIComponent(tenant)}`}`;
  const { users } = /** @type {{ users: User[] }} */ (await ask({ method: "GET", path, gives: "users" }));
  return users[0] ?? nobody(word);
}

/**
 * Makes a call about one user, who may have been deleted.
 * @param {Pick<Given, "word">} who
 * @param {Call} call
 * @returns {Promise<User>}
 */
async function change({ word }, call) {
  const answer = await ask(call).catch((error) => {
    if (error instanceof Refused && error.code === "not_found") nobody(word);
    throw error;
  });
  return /** @type {User} */ (answer);
}

/**
 * @param {string} word
 * @returns {never}
 */
function nobody(word) {
  throw new StepFailed(`there is no user ${word} at ${deployment()}`);
}
