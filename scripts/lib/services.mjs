// `npm run admin -- service …`: the services of the SSO gateway, by calls of the admin API.
import { ask, deployment, Misuse, Refused, WHERE } from "./ask.mjs";
import { runCommand, say, timeOf } from "./command-group.mjs";
import { askSecret } from "./prompt.mjs";
import { StepFailed } from "./step.mjs";
import { table } from "./table.mjs";

export const SERVICES = "/api/sso/services";
const PAGE = 100;

/**
 * A service as the admin API shows one.
 * @typedef {object} Service
 * @property {string} id
 * @property {string} name
 * @property {string} base_url
 * @property {boolean} enabled
 * @property {string} dialect
 * @property {{ users?: string[], roles?: string[] }} access
 * @property {{ [name: string]: string }} fields
 * @property {{ valid_until: number | null }[]} tokens
 * @property {{ waiting: number, dead: number, oldest_at: number | null, last_success_at: number | null }} [events]
 */
/** @typedef {{ id: string, kind: string, created_at: number, attempts: number, next_at: number | null, last_status: number | null, last_error: string | null }} Event */

/**
 * @typedef {object} Given
 * @property {string} word
 * @property {string} [second]
 * @property {boolean} [json]
 * @property {string} [name]
 * @property {string} [base-url]
 * @property {string} [dialect]
 * @property {boolean} [enable]
 * @property {boolean} [disable]
 * @property {boolean} [token]
 * @property {boolean} [webhook-secret]
 * @property {string} [overlap]
 * @property {string[]} [allow-user]
 * @property {string[]} [allow-role]
 * @property {boolean} [allow-all]
 * @property {string[]} [field]
 * @property {boolean} [no-fields]
 * @property {boolean} [dead]
 * @property {boolean} [all]
 * @property {boolean} [waiting]
 */

const TEXT = /** @type {const} */ ({ type: "string" });
const FLAG = /** @type {const} */ ({ type: "boolean" });
const LIST = /** @type {const} */ ({ type: "string", multiple: true });

const SETTINGS = { "base-url": TEXT, dialect: TEXT, disable: FLAG, "allow-user": LIST, "allow-role": LIST, field: LIST };
const SETTINGS_HELP = `  --base-url <url>        where the service is; its own endpoints are below it
  --dialect <dialect>     how events are written: push (django-sso 1.0), flat (1.1), fields (2 and 3) or webhook (all others)
  --allow-user <address>  who may enter (repeatable); without any --allow-user and --allow-role everybody may
  --allow-role <role>     users with this role may enter (repeatable); staff and superuser count as roles
  --field <name>=<what>   a further member of update_account (repeatable): id, email, username, first_name, last_name, name
                          or roles
  --disable               the service cannot call the gateway, and the gateway does not call it; its events wait`;

/** @type {{ [name: string]: import("./command-group.mjs").Command<Given> }} */
const COMMANDS = {
  list: { about: "list the services", run: list },
  show: { takes: "<id or name>", about: "show a service, and how many events wait for it", run: show },
  create: {
    takes: "<name>",
    about: "register a service; prints its token and its webhook secret",
    options: { ...SETTINGS, token: FLAG },
    help: `${SETTINGS_HELP}
  --token                 ask for the token that the service has already, or read it from standard input

--base-url and --dialect are required. The secrets are shown only here.`,
    run: create,
  },
  change: {
    takes: "<id or name>",
    about: "change a service",
    options: { ...SETTINGS, name: TEXT, enable: FLAG, "allow-all": FLAG, "no-fields": FLAG },
    help: `  --name <name>           another name
${SETTINGS_HELP}
  --enable                the service may call the gateway again
  --allow-all             everybody may enter
  --no-fields             no further members

What is not named stays as it is. --allow-user and --allow-role replace both lists, --field replaces all fields.`,
    run: update,
  },
  rotate: {
    takes: "<id or name>",
    about: "make a new token; the old one stays valid for a time",
    options: { "webhook-secret": FLAG, overlap: TEXT },
    help: `  --webhook-secret        make a new webhook secret instead
  --overlap <seconds>     how long the old one stays valid, at most a week; 0 ends it at once [default: 86400, a day]

The secret is shown only here. Put it into the service's settings before the overlap is over.`,
    run: rotate,
  },
  delete: { takes: "<id or name>", about: "delete a service and all events that wait for it", run: remove },
  events: {
    takes: "<id or name>",
    about: "list the events that wait for a service",
    options: { dead: FLAG },
    help: `  --dead                  the dead letters instead: events that Edgeward has given up

An event without a next attempt waits for an earlier one of the same user, or for the service to be enabled.`,
    run: listEvents,
  },
  resend: {
    takes: "<id or name>",
    mayTake: "<event>",
    about: "send a dead letter again",
    options: { all: FLAG },
    help: "  --all                   all dead letters of the service",
    run: (given) => revive(given, "resend"),
  },
  discard: {
    takes: "<id or name>",
    mayTake: "<event>",
    about: "delete a dead letter, or an event that waits",
    options: { all: FLAG, waiting: FLAG },
    help: `  --all                   all dead letters of the service
  --waiting               an event that waits, or all of them with --all; the service never learns what they say`,
    run: (given) => revive(given, "discard"),
  },
};

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export const runServices = (args) => runCommand({ group: "service", commands: COMMANDS, where: WHERE("scope admin") }, args);

/** All services, and what they call a user. */
export async function allServices() {
  const told = await ask({ method: "GET", path: SERVICES, gives: "services" });
  return /** @type {{ services: Service[], identity: "email" | "username" | null }} */ (told);
}

/** @param {Given} given */
async function list(given) {
  const { services } = await allServices();
  const rows = services.map((one) => [one.id, one.name, one.base_url, one.dialect, String(one.enabled), allowed(one)]);
  say(given, services, table(["id", "name", "base URL", "dialect", "enabled", "who may enter"], rows));
}

/** @param {Service} service */
function allowed({ access: { users, roles } }) {
  if (users === undefined && roles === undefined) return "everybody";
  const parts = [users && `${users.length} ${users.length === 1 ? "user" : "users"}`, roles && `roles ${roles.join(",")}`];
  return parts.filter(Boolean).join(", ") || "nobody";
}

/** @param {Given} given */
async function show(given) {
  const { id } = await find(given);
  const service = await ask({ method: "GET", path: `${SERVICES}/${id}`, gives: "id" });
  say(given, service, JSON.stringify(service, null, 2));
}

/** @param {Given} given */
async function create(given) {
  for (const needed of /** @type {const} */ (["base-url", "dialect"])) if (given[needed] === undefined) throw new Misuse(`--${needed} is missing`);
  const token = given.token ? await askSecret("Token of the service") : undefined;
  const body = { name: given.word, token, ...settingsOf(given) };
  const made = /** @type {{ service: Service, token: string, webhook_secret: string }} */ (
    await ask({ method: "POST", path: SERVICES, body, gives: "service" }).catch(explain)
  );
  const { service, webhook_secret } = made;
  const secrets = [given.token ? [] : [`token           ${made.token}`], [`webhook secret  ${webhook_secret}`]].flat();
  const where = service.dialect === "webhook" ? TO_WEBHOOK : TO_DJANGO_SSO;
  const value = given.token ? { service, webhook_secret } : made;
  say(given, value, [`Service ${service.name} has the id ${service.id}.`, "", ...secrets, "", where, ONCE].join("\n"));
}

const TO_DJANGO_SSO = 'Put the token into the settings of the service: SSO_TOKEN of django-sso 1 and 2, SSO["TOKEN"] of django-sso 3.';
const TO_WEBHOOK =
  "Put both into the settings of the service: it sends the token with each call, and checks the signature of each event with the webhook secret.";
const ONCE = "Edgeward does not show them again.";

/** @param {Given} given */
async function update(given) {
  const { id } = await find(given);
  const body = settingsOf(given);
  if (Object.keys(body).length === 0) throw new Misuse("nothing to change: name at least one option");
  const service = /** @type {Service} */ (await ask({ method: "PATCH", path: `${SERVICES}/${id}`, body, gives: "id" }).catch(explain));
  say(given, service, `Service ${service.name} is changed. This takes effect everywhere within 90 seconds.`);
}

/** @param {Given} given */
async function rotate(given) {
  const overlap = given.overlap === undefined ? undefined : Number(given.overlap);
  if (overlap !== undefined && !(Number.isInteger(overlap) && overlap >= 0)) throw new Misuse(`--overlap is not a number of seconds: ${given.overlap}`);
  const { id, name } = await find(given);
  const what = given["webhook-secret"] ? "webhook_secret" : "token";
  const answer = await ask({ method: "POST", path: `${SERVICES}/${id}/rotate`, body: { what, overlap }, gives: what }).catch(explain);
  const made = /** @type {{ [what: string]: string }} */ (answer);
  const until = overlap === 0 ? "The old one is not valid any more" : `The old one stays valid for ${overlap ?? 86_400} seconds`;
  const place = what === "token" ? "in place of its old token" : "beside the old one, and remove that one later";
  say(given, made, `${made[what]}\n\nPut this into the settings of ${name}, ${place}. ${until}. Edgeward does not show it again.`);
}

/** @param {Given} given */
async function remove(given) {
  const { id, name } = await find(given);
  await ask({ method: "DELETE", path: `${SERVICES}/${id}` });
  say(given, { id, name }, `Service ${name} is deleted, with the events that waited for it. Its token is refused everywhere within 90 seconds.`);
}

/** @param {Given} given */
async function listEvents(given) {
  const { id, name, enabled } = await find(given);
  /** @type {Event[]} */
  const events = [];
  /** @type {string | null | undefined} */
  let cursor = "";
  while (typeof cursor === "string") {
    const query = `state=${given.dead ? "dead" : "waiting"}&limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const page = await ask({ method: "GET", path: `${SERVICES}/${id}/events?${query}`, gives: "events" });
    const told = /** @type {{ events: Event[], cursor?: string | null }} */ (page);
    events.push(...told.events);
    cursor = told.cursor;
  }
  const rows = events.map((event) => [
    event.id,
    event.kind,
    timeOf(event.created_at),
    String(event.attempts),
    given.dead || !enabled ? "-" : timeOf(event.next_at),
    event.last_error ?? (event.last_status === null ? "-" : String(event.last_status)),
  ]);
  const none = `No event ${given.dead ? "was given up" : "waits"} for ${name}.`;
  say(given, events, events.length === 0 ? none : table(["event", "kind", "since", "attempts", "next attempt", "last answer"], rows));
}

/**
 * @param {Given} given
 * @param {"resend" | "discard"} how
 */
async function revive(given, how) {
  const lists = `service events${given.waiting ? "" : " --dead"}`;
  if ((given.second === undefined) !== (given.all === true)) throw new Misuse(`\`service ${how}\` takes one event, or --all; \`${lists}\` lists them`);
  const { id, name } = await find(given);
  const body = { id: given.second, state: given.waiting ? "waiting" : undefined };
  const { count } = /** @type {{ count: number }} */ (await ask({ method: "POST", path: `${SERVICES}/${id}/events/${how}`, body, gives: "count" }));
  if (count === 0 && given.second !== undefined)
    throw new StepFailed(`${name} has no ${given.waiting ? "waiting" : "dead"} event ${given.second}; \`${lists}\` lists them`);
  const done = how === "resend" ? "waits to be sent again" : "is deleted";
  say(given, { count }, count === 1 ? `1 event ${done}.` : `${count} events ${done.replace("waits", "wait").replace("is", "are")}.`);
}

/**
 * What the options set, as the admin API takes it.
 * @param {Given} given
 */
function settingsOf(given) {
  if (given.enable && given.disable) throw new Misuse("--enable and --disable exclude each other");
  const lists = given["allow-user"] ?? given["allow-role"];
  if (given["allow-all"] && lists) throw new Misuse("--allow-all excludes --allow-user and --allow-role");
  if (given["no-fields"] && given.field) throw new Misuse("--no-fields excludes --field");
  const fields = given["no-fields"] ? {} : given.field && Object.fromEntries(given.field.map(fieldOf));
  const access = given["allow-all"] ? {} : lists && { users: given["allow-user"], roles: given["allow-role"] };
  const all = {
    name: given.name,
    base_url: given["base-url"],
    dialect: given.dialect,
    enabled: given.enable || given.disable ? given.enable === true : undefined,
    access,
    fields,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** @param {string} text */
function fieldOf(text) {
  const [name, ...rest] = text.split("=");
  if (rest.length === 0) throw new Misuse(`--field needs a name and what it tells, such as mail=email: ${text}`);
  return [name, rest.join("=")];
}

/**
 * The service with this id or name.
 * @param {Pick<Given, "word">} given
 */
async function find({ word }) {
  const { services } = await allServices();
  const found = services.filter(({ id, name }) => id === word || name === word);
  if (found.length === 1) return found[0];
  if (found.length === 0) throw new StepFailed(`there is no service ${word} at ${deployment()}; \`service list\` lists them`);
  throw new StepFailed(`${found.length} services have the name ${word}; name one by its id: ${found.map(({ id }) => id).join(", ")}`);
}

/** What is wrong with a field of a service, by its name. */
const WRONG = {
  name: "the name must have 1 to 254 bytes",
  base_url: "the base URL must be a URL",
  dialect: "the dialect must be push, flat, fields or webhook",
  access:
    "--allow-user takes an e-mail address, and --allow-role a role: at most 100 bytes, without spaces, commas, semicolons, bars and quotes; at most 1,000 entries in all",
  fields:
    "--field takes <name>=<what>: a name that the event does not use already, and one of id, email, username, first_name, last_name, name and roles; at most 20, and none with the dialect push",
  token: "the token must be random, with 32 to 256 bytes, and no other service may have it",
  overlap: "the overlap must be at most a week",
};

/**
 * @param {unknown} error
 * @returns {never}
 */
function explain(error) {
  if (error instanceof Refused && error.field !== undefined && Object.hasOwn(WRONG, error.field)) {
    const why = error.rule ?? WRONG[/** @type {keyof typeof WRONG} */ (error.field)];
    throw new StepFailed(`${why}; nothing was changed`);
  }
  throw error;
}
