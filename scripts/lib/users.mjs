// `npm run admin -- user …`: users, by calls of the admin API. The Worker makes every change: a shell sees KV a minute late,
// so by writing records itself it could undo newer changes.
import { existsSync } from "node:fs";
import { ask, askPatiently, Misuse, Refused, WHERE } from "./ask.mjs";
import { runCommand, say } from "./command-group.mjs";
import { importUsers } from "./import-users.mjs";
import { BOUND, change, find, nameOf, USERS } from "./one-user.mjs";
import { StepFailed } from "./step.mjs";
import { progress, progressEnds, table } from "./table.mjs";
import { entryOf, writeWhole } from "./users-file.mjs";
import { endSession, listSessions, makePasswordLink, removePassword, setPassword } from "./user-sign-in.mjs";

const PAGE = 100;

/** @typedef {import("./one-user.mjs").User} User */
/** @typedef {import("./one-user.mjs").Given} Given */
/** @typedef {{ [site: string]: { error?: string } }} Accounts */

/** @type {{ tenant: { type: "string" } }} */
const TENANT = { tenant: { type: "string" } };
/** @type {{ tenant: { type: "string" }, issuer: { type: "string" } }} */
const WHO = { ...TENANT, issuer: { type: "string" } };
const WHO_HELP = `  --tenant <name>      the tenant in which to look up the address or subject
  --issuer <iss>       the word is the subject (\`sub\`) by which this issuer names the user`;

/** @type {{ [name: string]: import("./command-group.mjs").Command<Given> }} */
const COMMANDS = {
  create: {
    takes: "<address or subject>",
    about: "create a user",
    options: {
      ...Object.fromEntries(
        ["username", "first-name", "last-name", "tenant", "issuer", "email"].map((name) => [name, /** @type {const} */ ({ type: "string" })]),
      ),
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
  --tenant <name>      the user's tenant, which cannot be changed later
  --issuer <iss>       the word is the subject (\`sub\`) by which this issuer names the user
  --email <address>    with --issuer: an address that the user has besides`,
    run: create,
  },
  list: {
    about: "list the users",
    options: { ...TENANT, search: { type: "string" } },
    help: `  --search <text>      only users found by the beginnings of words in address, username or names
  --tenant <name>      with --search: the tenant to search in`,
    run: list,
  },
  search: {
    takes: "<text>",
    about: "find users by the beginnings of words in address, username or names",
    options: TENANT,
    help: `  --tenant <name>      the tenant to search in

A search is by the beginnings of words, in any order; case and accents do not matter.`,
    run: (given) => list({ ...given, search: given.word }),
  },
  reindex: {
    about: "rebuild the search index from the records",
    options: { from: { type: "string" } },
    help: `  --from <place>       resume an interrupted run at the place that it printed

Others may change users meanwhile. Needs the scope admin.`,
    run: reindex,
  },
  show: { takes: "<id, address or subject>", about: "show a user", options: WHO, help: WHO_HELP, run: show },
  update: {
    takes: "<id, address or subject>",
    about: "change a user's names, roles and rights",
    options: {
      ...WHO,
      ...Object.fromEntries(["username", "first-name", "last-name", "email"].map((name) => [name, /** @type {const} */ ({ type: "string" })])),
      ...Object.fromEntries(["add-role", "remove-role"].map((name) => [name, /** @type {const} */ ({ type: "string", multiple: true })])),
      ...Object.fromEntries(["no-roles", "staff", "no-staff", "superuser", "no-superuser"].map((name) => [name, /** @type {const} */ ({ type: "boolean" })])),
    },
    help: `${WHO_HELP}
  --email <address>    another address
  --username <name>    another username
  --first-name <name>  another given name; "" for none
  --last-name <name>   another family name; "" for none
  --add-role <role>    a further role (repeatable)
  --remove-role <role> take a role away (repeatable)
  --no-roles           take all roles away
  --staff, --no-staff, --superuser, --no-superuser

What is not named stays as it is. Roles are added to those that the user has at that moment, so no change that is made
meanwhile is lost. Roles, staff and superuser need the scope admin.`,
    run: update,
  },
  enable: { takes: "<id, address or subject>", about: "let a user sign in again", options: WHO, help: WHO_HELP, run: (who) => setActive(who, true) },
  disable: {
    takes: "<id, address or subject>",
    about: "end a user's sessions and refuse further sign-ins",
    options: WHO,
    help: WHO_HELP,
    run: (who) => setActive(who, false),
  },
  logout: { takes: "<id, address or subject>", about: "end a user's sessions", options: WHO, help: WHO_HELP, run: logout },
  delete: { takes: "<id, address or subject>", about: "delete a user", options: WHO, help: WHO_HELP, run: remove },
  import: {
    takes: "<file.csv or file.json>",
    about: "create many users; existing ones stay as they are",
    options: { ...TENANT, rest: { type: "string" } },
    help: `  --tenant <name>      the tenant of every entry that names none; it cannot be changed later
  --rest <file.json>   write the entries that were not imported to this new file, to import it later

A CSV file has a header line with email, or with issuer and subject, and any of username, first_name, last_name and tenant.
A JSON file is a list of objects that may also have active, roles, staff and superuser; its subject is an object with
issuer and sub. Nothing is sent unless every entry is valid. Run it again after a failure: it goes on where it was.`,
    run: importUsers,
  },
  export: {
    takes: "<file.json>",
    about: "write all users to a new file that `user import` reads",
    help: "Passwords, sessions and ids are not in it. The file is complete or not there.",
    run: exportUsers,
  },
  "set-password": {
    takes: "<id or address>",
    about: "set the password with which a user signs in at the gateway",
    options: { "must-change": { type: "boolean" } },
    help: `  --must-change        the user has to choose another one at the next sign-in

The command asks for the password. Without a terminal it reads the password from standard input, up to the end. It is
never an argument, which other users of this machine could read. All sessions of the user end. Needs the scope admin.`,
    run: setPassword,
  },
  "password-link": {
    takes: "<id or address>",
    about: "make a link with which a user sets a password",
    options: { send: { type: "string", multiple: true } },
    help: `  --send <way>         send the link to the service, by mail, or not at all: service, mail (repeatable) or none
                       [default: every way that the gateway is configured for]

Give the link to the user and to nobody else: whoever has it can set the password. It works once, within a day, and is not
shown again. The command says for each way whether the link was sent. Needs the scope admin.`,
    run: makePasswordLink,
  },
  "remove-password": {
    takes: "<id or address>",
    about: "take a user's password away and end the user's sessions",
    help: "Needs the scope admin.",
    run: removePassword,
  },
  sessions: { takes: "<id or address>", about: "list where a user is signed in", run: listSessions },
  "end-session": {
    takes: "<id or address>",
    takesSecond: "<session>",
    about: "end one session of a user",
    help: "`user sessions` lists the sessions; `user logout` ends all of them.",
    run: endSession,
  },
};

const WHERE_USERS = WHERE("scopes users:read and users:write, or admin");

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export const runUsers = (args) => runCommand({ group: "user", commands: COMMANDS, where: WHERE_USERS }, args);

/** @param {Given} who */
async function create({ word, issuer, email, role, "first-name": first_name, "last-name": last_name, username, tenant, staff, superuser, json }) {
  if (issuer === undefined && email !== undefined) throw new Misuse("--email needs --issuer; otherwise the argument is the address");
  const who = issuer === undefined ? { email: word } : { subject: { issuer, sub: word }, email };
  const body = { ...who, username, first_name, last_name, tenant, staff, superuser, roles: role };
  const made = await ask({ method: "POST", path: USERS, body, gives: "id" }).catch((error) => {
    const called = issuer === undefined ? `the address ${word}` : `the subject ${word} of ${issuer}`;
    if (error instanceof Refused && error.code === "user_exists") throw new StepFailed(`a user with ${called} already exists`);
    throw error;
  });
  const { accounts = {}, ...user } = /** @type {User & { accounts?: Accounts }} */ (made);
  say({ json }, user, `User ${nameOf(user)} has the id ${user.id}.`);
  const failed = Object.entries(accounts).filter(([, account]) => account.error);
  for (const [site, { error }] of failed) process.stderr.write(`note: no account at ${site} yet: ${error}\n`);
}

/**
 * All users, or those that a search finds, page by page, with progress.
 * @param {string} [query] What the search is for, as parameters.
 */
async function allUsers(query = "") {
  /** @type {User[]} */
  const users = [];
  try {
    for (let cursor = /** @type {string | null} */ (""); cursor !== null; ) {
      const path = `${USERS}?limit=${PAGE}${query}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
      const page = /** @type {{ users: User[], cursor: string | null, indexed_at?: number | null }} */ (
        await askPatiently({ method: "GET", path, gives: "users" })
      );
      users.push(...page.users);
      cursor = page.cursor;
      if (cursor === null && page.indexed_at === null) process.stderr.write(NEVER_INDEXED);
      if (cursor !== null) progress(`${users.length} users …`);
    }
  } finally {
    progressEnds();
  }
  return users;
}

const NEVER_INDEXED = "note: the search index was never built, so older users are not found; run `npm run admin -- user reindex`\n";

/** @param {Given} given */
async function reindex({ from, json }) {
  const done = { listed: 0, removed: 0 };
  let cursor = from ?? null;
  try {
    do {
      const body = { ...(cursor !== null && { cursor }) };
      const step = await askPatiently({ method: "POST", path: `${USERS}/reindex`, body, gives: "listed" });
      const { listed, removed, ...next } = /** @type {typeof done & { cursor: string | null }} */ (step);
      ({ cursor } = next);
      done.listed += listed;
      done.removed += removed;
      if (cursor !== null) progress(`${done.listed} users …`);
    } while (cursor !== null);
  } catch (error) {
    progressEnds();
    if (cursor !== null) process.stderr.write(`note: --from ${cursor} goes on from here\n`);
    throw error;
  }
  progressEnds();
  say({ json }, done, `${done.listed} users are indexed; ${done.removed} entries without a user were removed.`);
}

/** @param {Given} who */
async function exportUsers({ word: file, json }) {
  if (!/\.json$/i.test(file)) throw new Misuse(`${file} is not a .json file`);
  if (existsSync(file)) throw new StepFailed(`${file} exists already, and nothing was written`);
  const users = await allUsers();
  writeWhole(file, users.map(entryOf));
  say({ json }, { file, users: users.length }, `${users.length} users are in ${file}.`);
}

/** @param {Given} who */
async function list({ json, search, tenant }) {
  if (tenant !== undefined && search === undefined) throw new Misuse("--tenant needs --search");
  const inTenant = tenant === undefined ? "" : `&tenant=${encodeURIComponent(tenant)}`;
  const users = await allUsers(search === undefined ? "" : `&search=${encodeURIComponent(search)}${inTenant}`);
  const further = /** @type {const} */ (["tenant", "subject"]).filter((column) => users.some((user) => user[column]));
  const columns = /** @type {(keyof User)[]} */ (["id", "email", "active", "roles", ...further]);
  say(
    { json },
    users,
    table(
      columns,
      users.map((user) => columns.map((column) => String((column === "subject" ? user.subject && nameOf(user) : user[column]) ?? "-"))),
    ),
  );
}

/** @param {Given} who */
async function show(who) {
  const user = await find(who);
  say(who, user, JSON.stringify(user, null, 2));
}

/** @param {Given} who */
async function update(who) {
  const { email, username, "first-name": first_name, "last-name": last_name, "add-role": add_roles, "remove-role": remove_roles } = who;
  if (who["no-roles"] && (add_roles || remove_roles)) throw new Misuse("--no-roles excludes --add-role and --remove-role");
  const roles = who["no-roles"] ? [] : undefined;
  const body = { email, username, first_name, last_name, roles, add_roles, remove_roles, staff: flag(who, "staff"), superuser: flag(who, "superuser") };
  if (Object.values(body).every((value) => value === undefined)) throw new Misuse("nothing to change: name an option");
  const { id } = await find(who);
  const changed = await change(who, { method: "PATCH", path: `${USERS}/${id}`, body, gives: "id" }).catch((error) => {
    if (error instanceof Refused && error.code === "user_exists") throw new StepFailed("another user has this address or username, and nothing was changed");
    throw error;
  });
  const rights = [...(changed.roles ?? []), ...(changed.staff ? ["staff"] : []), ...(changed.superuser ? ["superuser"] : [])];
  say(who, changed, `User ${nameOf(changed)} is changed; roles and rights: ${rights.join(", ") || "none"}. ${BOUND}`);
}

/**
 * What `--name` and `--no-name` say together.
 * @param {Given} given
 * @param {"staff" | "superuser"} name
 */
function flag(given, name) {
  if (given[name] && given[`no-${name}`]) throw new Misuse(`--${name} excludes --no-${name}`);
  return given[name] ? true : given[`no-${name}`] ? false : undefined;
}

/**
 * @param {Given} who
 * @param {boolean} active
 */
async function setActive(who, active) {
  const { id } = await find(who);
  const user = await change(who, { method: "PATCH", path: `${USERS}/${id}`, body: { active }, gives: "id" });
  say(who, user, `User ${nameOf(user)} ${active ? "may sign in again" : "is disabled and signed out"}. ${BOUND}`);
}

/** @param {Given} who */
async function logout(who) {
  const user = await find(who);
  const { id, email } = user;
  await change(who, { method: "POST", path: `${USERS}/${id}/logout` });
  say(who, { id, email }, `All sessions of ${nameOf(user)} have ended. ${BOUND}`);
}

/** @param {Given} who */
async function remove(who) {
  const user = await find(who);
  const { id, email } = user;
  await change(who, { method: "DELETE", path: `${USERS}/${id}` });
  say(who, { id, email }, `User ${nameOf(user)} is deleted and signed out. ${BOUND}`);
}
