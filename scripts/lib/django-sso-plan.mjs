// What `import-django-sso` would move: every user and service is checked before anything is sent. Passes over the users twice
// rather than keeping them: what stays in memory is a line for each user with a problem, and the addresses.
import { core } from "./core.mjs";
import { progress, progressEnds } from "./table.mjs";

const BATCH = 2000;
const NO_PASSWORD = "no password";
/** Staff and superusers count as having these roles (docs/admin-api.md): a group must not become one by its name alone. */
const RIGHTS = ["staff", "superuser"];

/** @typedef {import("./django-sso.mjs").DjangoUser} DjangoUser */
/** @typedef {import("./django-sso.mjs").DjangoService} DjangoService */
/** @typedef {import("./django-sso.mjs").DjangoGateway} DjangoGateway */
/** @typedef {{ kind: "user" | "service", name: string, reason: string }} LeftOut */
/**
 * A user as the admin API takes one, and the hash of the password.
 * @typedef {object} Moved
 * @property {{ email: string, username: string, first_name: string, last_name: string, active: boolean, staff: boolean, superuser: boolean, roles: string[] }} user
 * @property {string} hash
 */
/** @typedef {{ name: string, base_url: string, enabled: boolean, dialect: string, token: string }} MovedService */
/**
 * @typedef {object} Choices
 * @property {string} [emailDomain]
 * @property {Map<string, string>} roles By group; an empty one for none.
 * @property {string} [dialect] For services that are not named.
 * @property {Map<string, string>} dialects By service.
 * @property {Map<string, string>} baseUrls By service.
 */
/**
 * @typedef {object} Plan
 * @property {number} users How many users can be moved.
 * @property {number} inactive
 * @property {number} madeUp How many get an address of `--email-domain`.
 * @property {Map<string, { role: string, members: number }>} groups
 * @property {Map<string, number>} algorithms The users by the algorithm of their hash.
 * @property {LeftOut[]} leftOut
 * @property {Map<string, string>} needsLink The reasons, by address.
 * @property {MovedService[]} services
 * @property {string[]} questions What has to be decided by an option first.
 * @property {() => AsyncGenerator<Moved>} moved
 */

/**
 * @param {DjangoGateway} gateway
 * @param {Choices} choices
 * @param {(user: Moved["user"]) => string | undefined} conflict Why a user cannot be created at this deployment.
 * @returns {Promise<Plan>}
 */
export async function makePlan(gateway, choices, conflict = () => undefined) {
  const counted = await countAddresses(gateway, choices);
  /** @type {Plan} */
  const plan = {
    users: 0,
    inactive: 0,
    madeUp: 0,
    groups: new Map(),
    algorithms: new Map(),
    leftOut: [],
    needsLink: new Map(),
    services: [],
    questions: [],
    moved: () => moved(gateway, choices, new Set(plan.leftOut.flatMap(({ kind, name }) => (kind === "user" ? [name] : [])))),
  };
  const leaveOut = (/** @type {string} */ name, /** @type {string} */ reason) => void plan.leftOut.push({ kind: "user", name, reason });
  let seen = 0;
  for await (const batch of batches(gateway.users(), BATCH)) {
    /** @type {{ from: DjangoUser, to: Moved }[]} */
    const good = [];
    for (const from of batch) {
      const to = moveUser(from, choices);
      const others = counted.get(fold(to.user.email)) ?? 0;
      if (to.user.email === "") leaveOut(from.username, "has no e-mail address; --email-domain gives such users one");
      else if (others > 1) leaveOut(from.username, `has the address ${to.user.email}, as ${others - 1} other ${others === 2 ? "user has" : "users have"}`);
      else good.push({ from, to });
    }
    // A group whose name is no role is a question, and not the fault of its members.
    const users = good.map(({ to }) => ({ ...to.user, roles: [] }));
    const errors = await check("check-users", users);
    const hashes = good.map(({ to }) => to.hash);
    const unfit = await check("check-hashes", hashes);
    good.forEach(({ from, to }, index) => {
      const reason = errors[index] ?? conflict(to.user);
      if (reason) return leaveOut(from.username, reason);
      plan.users += 1;
      plan.inactive += to.user.active ? 0 : 1;
      plan.madeUp += from.email.trim() === "" ? 1 : 0;
      count(plan.algorithms, algorithmOf(to.hash));
      for (const group of from.groups) countMember(plan.groups, group, choices);
      const error = unfit[index];
      if (error !== null) plan.needsLink.set(fold(to.user.email), reasonOf(to.hash, error));
    });
    seen += batch.length;
    if (seen >= BATCH) progress(`${seen} users read …`);
  }
  progressEnds();
  await checkRoles(choices, plan);
  planServices(gateway, choices, plan);
  return plan;
}

/**
 * What the core has against each row, or null.
 * @param {string} command
 * @param {unknown[]} rows
 * @returns {Promise<(string | null)[]>}
 */
const check = async (command, rows) => /** @type {(string | null)[]} */ (await core(command, rows));

/**
 * Why a hash cannot be moved, without anything of the hash itself.
 * @param {string} hash
 * @param {string} error
 */
const reasonOf = (hash, error) => (algorithmOf(hash) === NO_PASSWORD ? "has no password" : `the hash of the password (${algorithmOf(hash)}) ${error}`);

/**
 * Asks for a decision about each group whose name is no role, or is that of a right.
 * @param {Choices} choices
 * @param {Plan} plan
 */
async function checkRoles({ roles }, plan) {
  const groups = [...plan.groups].filter(([, { role }]) => role !== "");
  const asUsers = groups.map(([, { role }]) => ({ email: "role@example.com", roles: [role] }));
  const errors = await check("check-users", asUsers);
  groups.forEach(([group, { role }], index) => {
    const isRight = RIGHTS.includes(role) && !roles.has(group);
    if (errors[index] === null && !isRight) return;
    const what = isRight ? `the group ${group} has the name of a right` : `the group ${group} cannot become the role ${role}`;
    plan.questions.push(`${what}; name a role with --role "${group}=<role>", or none with --role "${group}="`);
  });
}

/**
 * How many users have each address.
 * @param {DjangoGateway} gateway
 * @param {Choices} choices
 */
async function countAddresses(gateway, choices) {
  /** @type {Map<string, number>} */
  const counted = new Map();
  for await (const user of gateway.users()) count(counted, fold(addressOf(user, choices)));
  return counted;
}

/**
 * @param {DjangoGateway} gateway
 * @param {Choices} choices
 * @param {Set<string>} leftOut
 * @returns {AsyncGenerator<Moved>}
 */
async function* moved(gateway, choices, leftOut) {
  for await (const user of gateway.users()) if (!leftOut.has(user.username)) yield moveUser(user, choices);
}

/**
 * @param {DjangoUser} from
 * @param {Choices} choices
 * @returns {Moved}
 */
function moveUser(from, choices) {
  const roles = [...new Set(from.groups.map((group) => roleOf(group, choices)).filter((role) => role !== ""))];
  const { username, first_name, last_name, is_active: active, is_staff: staff, is_superuser: superuser } = from;
  return { user: { email: addressOf(from, choices), username, first_name, last_name, active, staff, superuser, roles }, hash: from.password };
}

/**
 * @param {DjangoUser} user
 * @param {Choices} choices
 */
function addressOf({ email, username }, { emailDomain }) {
  const own = email.trim();
  return own === "" && emailDomain !== undefined && !username.includes("@") ? `${username}@${emailDomain}` : own;
}

/**
 * @param {string} group
 * @param {Choices} choices
 */
const roleOf = (group, { roles }) => roles.get(group) ?? group;

/** An address in its canonical form: only letters of ASCII have one case. @param {string} address */
export const fold = (address) => address.trim().replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** The algorithm of a hash and its cost, without salt and output. @param {string} hash */
export function algorithmOf(hash) {
  if (hash === "" || hash.startsWith("!")) return NO_PASSWORD;
  const [name, ...rest] = hash.split("$");
  if (rest.length === 0) return "unknown";
  if (name === "pbkdf2_sha256" || name === "pbkdf2_sha1") return `${name}, ${rest[0]} rounds`;
  if (name === "argon2") return `${name}, ${rest[2] ?? ""}`;
  if (name.startsWith("bcrypt")) return `${name}, cost ${rest[2] ?? ""}`;
  if (name === "scrypt") return `${name}, n=${rest[0]},r=${rest[2] ?? ""},p=${rest[3] ?? ""}`;
  return /^\w{1,40}$/.test(name) ? name : "unknown";
}

/**
 * @param {Map<string, number>} counts
 * @param {string} key
 */
const count = (counts, key) => void counts.set(key, (counts.get(key) ?? 0) + 1);

/**
 * @param {Plan["groups"]} groups
 * @param {string} group
 * @param {Choices} choices
 */
function countMember(groups, group, choices) {
  const known = groups.get(group) ?? { role: roleOf(group, choices), members: 0 };
  groups.set(group, { ...known, members: known.members + 1 });
}

/** The fewest bytes of a token that the admin API takes. */
const SHORTEST_TOKEN = 32;

/**
 * @param {DjangoGateway} gateway
 * @param {Choices} choices
 * @param {Plan} plan
 */
function planServices(gateway, choices, plan) {
  for (const [option, named] of /** @type {const} */ ([
    ["--dialect", choices.dialects],
    ["--base-url", choices.baseUrls],
  ])) {
    for (const name of named.keys())
      if (!gateway.services.some((service) => service.name === name)) plan.questions.push(`${option} names ${name}, which is no service`);
  }
  for (const { name, base_url, enabled, token } of gateway.services) {
    const dialect = choices.dialects.get(name) ?? choices.dialect ?? gateway.dialect;
    const url = normalUrl(choices.baseUrls.get(name) ?? base_url);
    const leaveOut = (/** @type {string} */ reason) => void plan.leftOut.push({ kind: "service", name, reason });
    if (Buffer.byteLength(token) < SHORTEST_TOKEN) leaveOut(`its token has fewer than ${SHORTEST_TOKEN} bytes; create the service with a new token`);
    else if (url === undefined) leaveOut(`its base URL ${base_url} is not one; name another one with --base-url "${name}=<url>"`);
    else if (dialect === undefined) plan.questions.push(`the file does not tell which django-sso the service ${name} has; name it with --dialect`);
    else plan.services.push({ name, base_url: url, enabled, dialect, token });
  }
}

/** A base URL in its one form, without a slash at the end. @param {string} text */
export function normalUrl(text) {
  if (!URL.canParse(text.trim())) return undefined;
  const { protocol, origin, pathname, search, hash, username, password } = new URL(text.trim());
  if (!/^https?:$/.test(protocol) || search || hash || username || password) return undefined;
  return `${origin}${pathname.replace(/\/+$/, "")}`;
}

/**
 * @template T
 * @param {AsyncIterable<T>} all
 * @param {number} size
 */
export async function* batches(all, size) {
  /** @type {T[]} */
  let batch = [];
  for await (const one of all) {
    batch.push(one);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
