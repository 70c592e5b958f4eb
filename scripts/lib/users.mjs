// `npm run admin -- user …`: users, by calls of the admin API. A shell sees the store a minute late, so one that wrote
// records by itself would bring back what was taken away; the Worker makes every change.
import { ask, deployment, Misuse, orUsage, Refused, refusePlace, WHERE } from "./ask.mjs";
import { importUsers } from "./import-users.mjs";
import { optionsOf } from "./options.mjs";
import { StepFailed } from "./step.mjs";
import { progress, progressEnds, table } from "./table.mjs";

const USERS = "/api/sso/users";
const PAGE = 100;
const BOUND = "It holds everywhere within 90 seconds.";

const TENANT = { tenant: { type: "string" } };
const TENANT_HELP = "  --tenant <name>      the tenant in which the address is looked up";

/** The commands: what each takes, does and says. `run` gets the options and the one word, if `takes` asks for it. */
const COMMANDS = {
  create: {
    takes: "<address>",
    about: "make a user",
    options: {
      ...Object.fromEntries(["username", "first-name", "last-name", "tenant"].map((name) => [name, { type: "string" }])),
      role: { type: "string", multiple: true },
      staff: { type: "boolean" },
      superuser: { type: "boolean" },
    },
    help: `  --username <name>    the username [default: the address]
  --first-name <name>  the given name
  --last-name <name>   the family name
  --role <role>        a role (repeatable); roles, --staff and --superuser want the scope admin
  --staff              staff
  --superuser          superuser
  --tenant <name>      the tenant that the user is of, for good`,
    run: create,
  },
  list: { about: "list the users", run: list },
  show: { takes: "<id or address>", about: "show a user", options: TENANT, help: TENANT_HELP, run: show },
  enable: { takes: "<id or address>", about: "let a user sign in again", options: TENANT, help: TENANT_HELP, run: (who) => setActive(who, true) },
  disable: { takes: "<id or address>", about: "end a user's sessions and let them sign in no more", options: TENANT, help: TENANT_HELP, run: (who) => setActive(who, false) },
  logout: { takes: "<id or address>", about: "end a user's sessions", options: TENANT, help: TENANT_HELP, run: logout },
  delete: { takes: "<id or address>", about: "delete a user", options: TENANT, help: TENANT_HELP, run: remove },
  import: {
    takes: "<file.csv or file.json>",
    about: "make many users; who is there already is left alone",
    options: TENANT,
    help: `  --tenant <name>      the tenant of every entry that names none, for good

A CSV file has a header line with email and any of username, first_name, last_name and tenant. A JSON file is a list of
objects that may also have active, roles, staff and superuser. Nothing is sent unless every entry is right.`,
    run: importUsers,
  },
};

const WHERE_USERS = WHERE("scopes users:read and users:write, or admin");

const USAGE = `Usage: npm run admin -- user <command> [--json]

${Object.entries(COMMANDS).map(([name, { takes, about }]) => `  ${`${name} ${takes ?? ""}`.padEnd(32)}${about}`).join("\n")}

  --json   print JSON for programs
  --help   with a command: its options

${WHERE_USERS}`;

const usageOf = (name, { takes, about, help }) => `Usage: npm run admin -- user ${name} ${takes ? `${takes} ` : ""}${help ? "[options] " : ""}[--json]

${about[0].toUpperCase()}${about.slice(1)}.
${help ? `\n${help}\n` : ""}
${WHERE_USERS}`;

/** Runs the command; answers its exit status. */
export function runUsers(args) {
  const index = args.findIndex((word) => Object.hasOwn(COMMANDS, word));
  const name = args.find((word) => !word.startsWith("-"));
  if (index < 0 || args[index] !== name) {
    return orUsage(USAGE, () => {
      if (args.length > 0 && args.every((word) => word === "--help")) {
        console.log(USAGE);
        return 0;
      }
      throw new Misuse(name === undefined ? "which command?" : `\`user\` knows no command ${name}`);
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
    if (positionals.length !== wanted) throw new Misuse(wanted ? `\`user ${name}\` takes one ${command.takes}` : `\`user ${name}\` takes no further words: ${positionals.join(" ")}`);
    return (await command.run({ ...values, word: positionals[0] })) ?? 0;
  });
}

/** Prints the text, or with `--json` the value. */
const say = ({ json }, value, text) => console.log(json ? JSON.stringify(value) : text);

async function create({ word: email, role, "first-name": first_name, "last-name": last_name, username, tenant, staff, superuser, json }) {
  const body = { email, username, first_name, last_name, tenant, staff, superuser, roles: role };
  const user = await ask({ method: "POST", path: USERS, body, gives: "id" }).catch((error) => {
    if (error instanceof Refused && error.code === "user_exists") throw new StepFailed(`a user with the address ${email} exists already`);
    throw error;
  });
  const { accounts, ...made } = user;
  say({ json }, made, `User ${user.email} has the id ${user.id}.`);
  const failed = Object.entries(accounts ?? {}).filter(([, account]) => account.error);
  for (const [site, { error }] of failed) process.stderr.write(`note: no account at ${site} yet: ${error}\n`);
}

async function list({ json }) {
  const users = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await ask({ method: "GET", path: `${USERS}?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, gives: "users" });
    users.push(...page.users);
    cursor = page.cursor;
    if (cursor !== null) progress(`${users.length} users …`);
  }
  progressEnds();
  const columns = ["id", "email", "active", "roles", ...(users.some(({ tenant }) => tenant) ? ["tenant"] : [])];
  say({ json }, users, table(columns, users.map((user) => columns.map((column) => String(user[column] ?? "-")))));
}

async function show(who) {
  const user = await find(who);
  say(who, user, JSON.stringify(user, null, 2));
}

async function setActive(who, active) {
  const { id } = await find(who);
  const user = await change(who, { method: "PATCH", path: `${USERS}/${id}`, body: { active }, gives: "id" });
  say(who, user, `User ${user.email} ${active ? "may sign in again" : "is disabled and signed out"}. ${BOUND}`);
}

async function logout(who) {
  const { id, email } = await find(who);
  await change(who, { method: "POST", path: `${USERS}/${id}/logout` });
  say(who, { id, email }, `All sessions of ${email} have ended. ${BOUND}`);
}

async function remove(who) {
  const { id, email } = await find(who);
  await change(who, { method: "DELETE", path: `${USERS}/${id}` });
  say(who, { id, email }, `User ${email} is deleted and signed out. ${BOUND}`);
}

/** The user with this id or address. */
async function find({ word, tenant }) {
  if (/^usr_[\w-]{22}$/.test(word)) {
    if (tenant !== undefined) throw new Misuse("--tenant belongs to an address; an id is of one user everywhere");
    return change({ word }, { method: "GET", path: `${USERS}/${word}`, gives: "id" });
  }
  if (!word.includes("@")) throw new Misuse(`${word} is neither an id nor an address`);
  const { users } = await ask({ method: "GET", path: `${USERS}?email=${encodeURIComponent(word)}${tenant === undefined ? "" : `&tenant=${encodeURIComponent(tenant)}`}`, gives: "users" });
  return users[0] ?? nobody(word);
}

/** A call about one user, who may be gone. */
function change({ word }, call) {
  return ask(call).catch((error) => {
    if (error instanceof Refused && error.code === "not_found") nobody(word);
    throw error;
  });
}

function nobody(word) {
  throw new StepFailed(`there is no user ${word} at ${deployment()}`);
}
