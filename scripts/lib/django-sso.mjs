// Reads the users and services of a gateway of django-sso: from `dumpdata`, or from its SQLite database.
import { closeSync, openSync, readSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { jsonObjects } from "./json-objects.mjs";
import { messageOf, StepFailed } from "./step.mjs";

/**
 * A user of the gateway.
 * @typedef {object} DjangoUser
 * @property {string} username The address if the users have no username.
 * @property {string} email May be empty.
 * @property {string} first_name
 * @property {string} last_name
 * @property {string} password The hash as Django writes it.
 * @property {boolean} is_active
 * @property {boolean} is_staff
 * @property {boolean} is_superuser
 * @property {string[]} groups Their names.
 */
/** @typedef {{ name: string, base_url: string, enabled: boolean, token: string }} DjangoService */
/**
 * @typedef {object} DjangoGateway
 * @property {"push" | "flat" | "fields" | undefined} dialect The protocol of the gateway's own line, if the file tells which that is.
 * @property {boolean} hasUsernames
 * @property {DjangoService[]} services
 * @property {() => AsyncIterable<DjangoUser>} users Reads them anew at each call.
 * @property {() => void} close
 */

/**
 * The models of services, before and since 1.1.0, and the protocol that a dump tells by them.
 * @type {{ [model: string]: DjangoGateway["dialect"] }}
 */
const SERVICES = { "gate.service": "push", "sso_gateway.service": undefined };
const MAGIC = "SQLite format 3\0";

/**
 * Opens a file of either form.
 * @param {string} file
 * @param {{ userModel?: string }} [options] `userModel`: the model of the users, such as `accounts.user`, if there are several.
 * @returns {Promise<DjangoGateway>}
 */
export async function openDjangoSso(file, { userModel } = {}) {
  const model = userModel?.toLowerCase();
  if (model !== undefined && !/^\w+\.\w+$/.test(model)) throw new StepFailed(`${userModel} is not the name of a model, such as auth.user`);
  return isSqlite(file) ? openDatabase(file, model) : openDump(file, model);
}

/** @param {string} file */
function isSqlite(file) {
  const head = Buffer.alloc(MAGIC.length);
  try {
    const descriptor = openSync(file, "r");
    readSync(descriptor, head, 0, MAGIC.length, 0);
    closeSync(descriptor);
  } catch (error) {
    throw new StepFailed(`${file}: ${messageOf(error)}`);
  }
  return head.toString("latin1") === MAGIC;
}

/**
 * The one model of users among those that look like one.
 * @param {string} file
 * @param {string[]} found
 * @param {string} [wanted]
 */
function chooseModel(file, found, wanted) {
  if (wanted !== undefined && found.includes(wanted)) return wanted;
  if (wanted !== undefined) throw new StepFailed(`${file} has no users of the model ${wanted}; it has ${found.join(", ") || "none"}`);
  if (found.length === 1) return found[0];
  const advice = found.length === 0 ? "Export all apps: `python manage.py dumpdata`" : "Name the one that signs in with --user-model";
  throw new StepFailed(`${file} has ${found.length === 0 ? "no users" : `users of several models: ${found.join(", ")}`}\n  ${advice}`);
}

/** @param {string} file */
const noServices = (file) =>
  new StepFailed(
    `${file} has no services of django-sso: neither the model sso_gateway.service nor gate.service\n  It must come from the gateway, not from a service`,
  );

// `dumpdata`

/** @typedef {{ model: string, pk?: unknown, fields: Record<string, unknown> }} Entry */

/**
 * @param {string} file
 * @param {string} [userModel]
 * @returns {Promise<DjangoGateway>}
 */
async function openDump(file, userModel) {
  /** @type {DjangoService[]} */
  const services = [];
  /** @type {Map<unknown, string>} */
  const groups = new Map();
  /** @type {Map<string, boolean>} */
  const models = new Map();
  /** @type {DjangoGateway["dialect"]} */
  let dialect;
  let isGateway = false;
  for await (const { model, pk, fields } of entries(file)) {
    if (model === "auth.group") groups.set(pk, textOf(file, model, fields, "name"));
    // Every model that can sign in has these two, whatever else it has.
    if ("password" in fields && "last_login" in fields) models.set(model, "username" in fields);
    // Only the gateway writes requests; without a service there is none.
    if (!Object.hasOwn(SERVICES, model)) continue;
    isGateway = true;
    dialect = SERVICES[model];
    const [name, base_url, token] = ["name", "base_url", "token"].map((member) => textOf(file, model, fields, member));
    services.push({ name, base_url, token, enabled: flag(fields.enabled, true) });
  }
  if (!isGateway) throw noServices(file);
  const chosen = chooseModel(file, [...models.keys()], userModel);
  return {
    dialect,
    services,
    hasUsernames: models.get(chosen) === true,
    async *users() {
      for await (const { model, fields } of entries(file)) if (model === chosen) yield userOf(file, chosen, fields, groupNames(file, fields.groups, groups));
    },
    close() {},
  };
}

/**
 * @param {string} file
 * @returns {AsyncGenerator<Entry>}
 */
async function* entries(file) {
  for await (const { model, pk, fields } of jsonObjects(file)) {
    if (typeof model !== "string" || fields === null || typeof fields !== "object")
      throw new StepFailed(`${file} is not what \`python manage.py dumpdata\` writes: an object has no model and fields`);
    yield { model: model.toLowerCase(), pk, fields: /** @type {Entry["fields"]} */ (fields) };
  }
}

/**
 * The names of a user's groups, which are named by their keys, or by themselves with `--natural-foreign`.
 * @param {string} file
 * @param {unknown} list
 * @param {Map<unknown, string>} groups
 */
function groupNames(file, list, groups) {
  if (!Array.isArray(list)) return [];
  return list.map((key) => {
    const name = Array.isArray(key) ? key[0] : groups.get(key);
    if (typeof name !== "string")
      throw new StepFailed(`${file} lacks the group ${JSON.stringify(key)} of a user\n  Export all apps: \`python manage.py dumpdata\``);
    return name;
  });
}

/**
 * @param {string} file
 * @param {string} model
 * @param {Record<string, unknown>} fields
 * @param {string} name
 */
function textOf(file, model, fields, name) {
  const text = fields[name];
  if (typeof text !== "string") throw new StepFailed(`${file}: an entry of ${model} has no ${name}`);
  return text;
}

/**
 * @param {string} file
 * @param {string} model
 * @param {Record<string, unknown>} fields
 * @param {string[]} groups
 * @returns {DjangoUser}
 */
function userOf(file, model, fields, groups) {
  const text = (/** @type {string} */ name) => (fields[name] === undefined || fields[name] === null ? "" : textOf(file, model, fields, name));
  const email = text("email");
  return {
    email,
    username: "username" in fields ? textOf(file, model, fields, "username") : email,
    first_name: text("first_name"),
    last_name: text("last_name"),
    password: textOf(file, model, fields, "password"),
    is_active: flag(fields.is_active, true),
    is_staff: flag(fields.is_staff, false),
    is_superuser: flag(fields.is_superuser, false),
    groups,
  };
}

/**
 * A flag as JSON or SQLite has it. What is no flag counts as the stricter of both.
 * @param {unknown} value
 * @param {boolean} absent
 */
const flag = (value, absent) => (value === undefined ? absent : value === true || value === 1 || value === 1n);

// SQLite

/** @param {string} name */
const quoted = (name) => `"${name.replaceAll('"', '""')}"`;

/**
 * @param {string} file
 * @param {string} [userModel]
 * @returns {DjangoGateway}
 */
function openDatabase(file, userModel) {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return readDatabase(file, database, userModel);
  } catch (error) {
    database.close();
    throw error instanceof StepFailed ? error : new StepFailed(`${file}: ${messageOf(error)}`);
  }
}

/**
 * @param {string} file
 * @param {DatabaseSync} database
 * @param {string} [userModel]
 * @returns {DjangoGateway}
 */
function readDatabase(file, database, userModel) {
  const tables = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
    .all()
    .map(({ name }) => String(name));
  const columns = (/** @type {string} */ table) =>
    database
      .prepare(`SELECT name FROM pragma_table_info(?)`)
      .all(table)
      .map(({ name }) => String(name));
  const gateways = Object.keys(SERVICES).filter((model) => tables.includes(model.replace(".", "_")));
  if (gateways.length === 0) throw noServices(file);
  const model = gateways.at(-1) ?? "";
  /** @type {DjangoService[]} */
  const services = [];
  for (const row of database.prepare(`SELECT name, base_url, enabled, token FROM ${quoted(model.replace(".", "_"))} ORDER BY id`).iterate()) {
    const [name, base_url, token] = ["name", "base_url", "token"].map((member) => textOf(file, model, row, member));
    services.push({ name, base_url, token, enabled: flag(row.enabled, true) });
  }
  const candidates = tables.filter((table) => ["password", "last_login"].every((name) => columns(table).includes(name)));
  // An app's label may have a "_" as well, so that a table tells no model: tables are compared.
  const users = chooseModel(file, candidates, userModel?.replace(".", "_"));
  const own = columns(users);
  const wanted = ["username", "email", "first_name", "last_name", "password", "is_active", "is_staff", "is_superuser"].filter((name) => own.includes(name));
  const members = membersOf(users, tables, columns);
  return {
    dialect: dialectOf(database, model),
    services,
    hasUsernames: own.includes("username"),
    async *users() {
      // By rows, so that a large table is never in memory as a whole.
      for (const { group_names, ...fields } of database
        .prepare(`SELECT ${wanted.map(quoted).join(", ")}, ${members} FROM ${quoted(users)} ORDER BY rowid`)
        .iterate())
        yield userOf(file, users, fields, JSON.parse(String(group_names)));
    },
    close: () => database.close(),
  };
}

/**
 * An expression for the names of a user's groups, as JSON.
 * @param {string} users
 * @param {string[]} tables
 * @param {(table: string) => string[]} columns
 */
function membersOf(users, tables, columns) {
  const table = `${users}_groups`;
  if (!tables.includes(table) || !tables.includes("auth_group")) return "'[]' AS group_names";
  const user = columns(table).find((name) => name !== "id" && name !== "group_id") ?? "";
  return `(SELECT json_group_array(g.name) FROM ${quoted(table)} m JOIN auth_group g ON g.id = m.group_id
    WHERE m.${quoted(user)} = ${quoted(users)}.id) AS group_names`;
}

/**
 * The gateway's line: 2.0 brought the second migration.
 * @param {DatabaseSync} database
 * @param {string} model
 * @returns {DjangoGateway["dialect"]}
 */
function dialectOf(database, model) {
  if (model === "gate.service") return "push";
  const later = database.prepare("SELECT 1 FROM django_migrations WHERE app = 'sso_gateway' AND name LIKE '0002%'").get();
  return later === undefined ? "flat" : "fields";
}
