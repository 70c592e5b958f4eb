// `npm run admin -- import-django-sso`: moves users, passwords and services here from a gateway of django-sso. Nothing that is
// here already is changed, so an import that was interrupted goes on by running it again.
import { ask, deployment, Misuse, NoAnswer, orUsage, Refused, refusePlace, WHERE } from "./ask.mjs";
import { openDjangoSso } from "./django-sso.mjs";
import { batches, fold, makePlan } from "./django-sso-plan.mjs";
import { doneText, lines, planText } from "./django-sso-report.mjs";
import { USERS } from "./one-user.mjs";
import { optionsOf } from "./options.mjs";
import { confirm } from "./prompt.mjs";
import { allServices, SERVICES } from "./services.mjs";
import { messageOf, StepFailed } from "./step.mjs";
import { progress, progressEnds } from "./table.mjs";

/** The limits of one bulk call (docs/admin-api.md), with room for long names. */
const USERS_PER_CALL = 50;
const PAGE = 100;
/** Calls that are under way at a time. */
const CONCURRENCY = 3;
const BULK_TIMEOUT_MS = 120_000;
/** How often a call is repeated when a part of the platform fails. */
const TRIES = 4;
const DIALECTS = ["push", "flat", "fields", "webhook"];

/** @typedef {import("./django-sso-plan.mjs").Plan} Plan */
/** @typedef {import("./django-sso-plan.mjs").LeftOut} LeftOut */
/** @typedef {import("./django-sso-plan.mjs").Moved} Moved */
/** @typedef {{ id: string, email: string, username: string }} Known */
/** @typedef {import("./django-sso-report.mjs").Done} Done */

const USAGE = `Usage: npm run admin -- import-django-sso <dump.json or db.sqlite3> [options] [--json]

Move the users, their passwords and the services of a gateway of django-sso here. The file is what
\`python manage.py dumpdata\` writes at the gateway, or its SQLite database. Nothing that is here already is changed, so the
command can be run again, also after an interruption.

  --dry-run                      only print what would be moved
  --yes                          do not ask before moving
  --email-domain <domain>        users without an address get <username>@<domain> [default: they are left out]
  --role "<group>=<role>"        the role that the members of a group get (repeatable); "<group>=" for none [default: the
                                 group's name]
  --dialect <dialect>            the protocol of the services: push (django-sso 1.0), flat (1.1), fields (2 and 3) or webhook;
                                 "<service>=<dialect>" for one service (repeatable) [default: that of the gateway, if the file
                                 tells it]
  --base-url "<service>=<url>"   another base URL of a service (repeatable)
  --user-model <app.model>       the model of the users, if the file has several, such as accounts.user
  --by-address                   services call users by their addresses and not by their usernames: USERNAME_FIELD is "email"

EDGEWARD_URL has to name the host of the gateway.
${WHERE("scope admin")}`;

const TEXT = /** @type {const} */ ({ type: "string" });
const FLAG = /** @type {const} */ ({ type: "boolean" });
const LIST = /** @type {const} */ ({ type: "string", multiple: true, default: /** @type {string[]} */ ([]) });
const OPTIONS = {
  "dry-run": FLAG,
  yes: FLAG,
  "email-domain": TEXT,
  role: LIST,
  dialect: LIST,
  "base-url": LIST,
  "user-model": TEXT,
  "by-address": FLAG,
};

/** @typedef {{ json?: boolean, "dry-run"?: boolean, yes?: boolean, "email-domain"?: string, role: string[], dialect: string[], "base-url": string[], "user-model"?: string, "by-address"?: boolean }} Options */

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export function runImport(args) {
  return orUsage(USAGE, async () => {
    const { values, positionals } = optionsOf(args, OPTIONS);
    if (values.help) {
      console.log(USAGE);
      return 0;
    }
    refusePlace(values);
    if (positionals.length !== 1) throw new Misuse("`import-django-sso` takes one file");
    const options = /** @type {Options} */ (values);
    if (options["dry-run"] && options.yes) throw new Misuse("--dry-run and --yes exclude each other");
    const choices = choicesOf(options);
    const gateway = await openDjangoSso(positionals[0], { userModel: options["user-model"] });
    try {
      return await importGateway(gateway, choices, options);
    } finally {
      gateway.close();
    }
  });
}

/**
 * @param {Options} options
 * @returns {import("./django-sso-plan.mjs").Choices}
 */
function choicesOf(options) {
  const domain = options["email-domain"];
  if (domain?.includes("@") || domain === "") throw new Misuse(`--email-domain is not a domain: ${domain}`);
  const named = options.dialect.filter((text) => text.includes("="));
  const all = options.dialect.filter((text) => !text.includes("="));
  if (all.length > 1) throw new Misuse("--dialect without a service can be given once");
  const dialects = pairs("--dialect", named);
  for (const dialect of [...all, ...dialects.values()])
    if (!DIALECTS.includes(dialect)) throw new Misuse(`--dialect is not one of ${DIALECTS.join(", ")}: ${dialect}`);
  return { emailDomain: domain, roles: pairs("--role", options.role), dialect: all[0], dialects, baseUrls: pairs("--base-url", options["base-url"]) };
}

/**
 * Options of the form "name=value". A name may have a "=" only if the value has none: the last one divides.
 * @param {string} option
 * @param {string[]} texts
 */
function pairs(option, texts) {
  /** @type {Map<string, string>} */
  const all = new Map();
  for (const text of texts) {
    const at = option === "--base-url" ? text.indexOf("=http") : text.lastIndexOf("=");
    if (at < 1) throw new Misuse(`${option} needs a name, "=" and a value: ${text}`);
    all.set(text.slice(0, at), text.slice(at + 1));
  }
  return all;
}

/**
 * @param {import("./django-sso.mjs").DjangoGateway} gateway
 * @param {import("./django-sso-plan.mjs").Choices} choices
 * @param {Options} options
 */
async function importGateway(gateway, choices, options) {
  await refuseOtherHosts();
  const { services, identity } = await allServices();
  refuseOtherIdentity(gateway.hasUsernames && !options["by-address"] ? "username" : "email", identity);
  const known = await knownUsers();
  const byName = new Map([...known.values()].map((user) => [user.username, user.email]));
  const plan = await makePlan(gateway, choices, ({ email, username }) => {
    const [here, holder] = [known.get(fold(email)), byName.get(username)];
    if (here !== undefined && identity === "username" && here.username !== username) {
      return `is here already (${here.email}) with the username ${here.username}, by which services would not know them`;
    }
    return holder === undefined || holder === fold(email) ? undefined : `another user here (${holder}) has this username`;
  });
  const tell = (/** @type {string} */ text) => void process.stderr.write(`${text}\n`);
  const text = planText(plan, `${deployment()}, which has ${known.size} users and ${services.length} services now`);
  if (plan.questions.length > 0) {
    if (!options.json) tell(text);
    throw new StepFailed(`nothing was moved. First decide:\n${lines(plan.questions)}`);
  }
  if (options["dry-run"]) {
    const { users, inactive, madeUp, services: planned, leftOut, needsLink } = plan;
    const told = {
      users,
      inactive,
      addresses_made_up: madeUp,
      services: planned.map(({ token, ...service }) => service),
      needs_link: [...needsLink].map(([email, reason]) => ({ email, reason })),
      left_out: leftOut,
    };
    console.log(options.json ? JSON.stringify(told) : `${text}\nNothing was moved: this was a dry run.`);
    return 0;
  }
  if (!options.yes) {
    tell(text);
    if (!process.stdin.isTTY) throw new Misuse("there is no terminal to ask at: add --yes to move them, or --dry-run");
    if (!(await confirm(`Move them to ${deployment()}?`))) {
      tell("Nothing was moved.");
      return 1;
    }
  }
  const done = await move(plan, known, services);
  console.log(options.json ? JSON.stringify(done) : doneText(done));
  return done.failed.length === 0 ? 0 : 1;
}

/** Refuses a deployment whose gateway does not answer at EDGEWARD_URL, before anything is sent. */
async function refuseOtherHosts() {
  const wrong = (await protocolError({})) !== '"token" isn\'t set';
  if (wrong) {
    throw new StepFailed(
      `${deployment()} is not the gateway: \`/sso/get/\` does not answer there\n` +
        "  Add [vars.EDGEWARD_GATEWAY] to wrangler.toml, deploy, and set EDGEWARD_URL to a host of the gateway, such as https://sso.example.com",
    );
  }
}

/**
 * What the gateway answers to a service's question about no sign-in.
 * @param {Record<string, string>} fields
 * @returns {Promise<string | undefined>}
 */
async function protocolError(fields) {
  const answer = await fetch(new URL("/sso/get/", deployment()), { method: "POST", body: new URLSearchParams(fields), redirect: "error" }).catch((error) => {
    throw new StepFailed(`${deployment()} does not answer: ${error.cause?.message || error.message}`);
  });
  const told = /** @type {{ error?: string } | undefined} */ (await answer.json().catch(() => undefined));
  return answer.status === 200 ? told?.error : undefined;
}

/**
 * @param {"email" | "username"} wanted
 * @param {"email" | "username" | null} identity
 */
function refuseOtherIdentity(wanted, identity) {
  if (identity === wanted) return;
  const advice =
    wanted === "username"
      ? 'Set identity = "username" in [vars.EDGEWARD_GATEWAY] and deploy; or add --by-address if USERNAME_FIELD of the users is "email"'
      : 'Set identity = "email" in [vars.EDGEWARD_GATEWAY] and deploy';
  throw new StepFailed(
    `the services know these users by their ${wanted}, and the gateway here tells their ${identity}: every service would create new accounts\n  ${advice}`,
  );
}

/** The users that are here already, by address. */
async function knownUsers() {
  /** @type {Map<string, Known>} */
  const known = new Map();
  /** @type {string | null} */
  let cursor = "";
  while (cursor !== null) {
    const path = `${USERS}?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const page = /** @type {{ users: (Known & { tenant?: string })[], cursor: string | null }} */ (await patiently({ method: "GET", path, gives: "users" }));
    // Users of tenants do not sign in at the gateway.
    for (const { id, email, username, tenant } of page.users) if (tenant === undefined) known.set(email, { id, email, username });
    cursor = page.cursor;
    if (cursor !== null) progress(`${known.size} users of ${deployment()} read …`);
  }
  progressEnds();
  return known;
}

/**
 * Users and passwords first, services last: so no service is told of users whom it will know soon enough.
 * @param {Plan} plan
 * @param {Map<string, Known>} known
 * @param {import("./services.mjs").Service[]} services
 * @returns {Promise<Done>}
 */
async function move(plan, known, services) {
  /** @type {Done} */
  const done = {
    users: { created: 0, existing: 0 },
    passwords: { moved: 0, existing: 0 },
    services: { created: 0, existing: 0 },
    needs_link: [],
    left_out: [...plan.leftOut],
    failed: [],
  };
  let finished = 0;
  const begun = performance.now();
  try {
    await inParallel(batches(plan.moved(), USERS_PER_CALL), CONCURRENCY, async (batch) => {
      await moveUsers(batch, known, plan, done);
      finished += batch.length;
      const rate = finished / ((performance.now() - begun) / 60_000);
      if (finished < plan.users) progress(`${finished} of ${plan.users} users, ${Math.round(rate)} a minute …`);
    });
    for (const service of plan.services) await moveService(service, services, done);
  } catch (error) {
    throw new StepFailed(
      `${messageOf(error)}\n  ${finished} of ${plan.users} users were moved before that. Run the same command again: it goes on where it stopped`,
    );
  } finally {
    progressEnds();
  }
  // Calls in parallel end in any order.
  done.needs_link.sort((one, other) => (one.email < other.email ? -1 : 1));
  return done;
}

/**
 * Creates the users that are not here yet, and gives those without a password here the hash of theirs: all in one call.
 * @param {Moved[]} batch
 * @param {Map<string, Known>} known
 * @param {Plan} plan
 * @param {Done} done
 */
async function moveUsers(batch, known, plan, done) {
  /** @param {Moved[]} some @param {boolean} withHashes */
  const send = async (some, withHashes) => {
    const users = some.map(({ user, hash }) => ({ ...user, password_hash: withHashes && !plan.needsLink.has(fold(user.email)) ? hash : undefined }));
    /** @type {Result[]} */
    const results = [];
    for (let failures = 0; ; ) {
      // At first all, then those that failed.
      const left = users.flatMap((_, index) => (results[index] === undefined || results[index].status === "failed" ? [index] : []));
      const body = { users: left.map((index) => users[index]), on_existing: "skip" };
      const answer = await patiently({ method: "POST", path: `${USERS}/bulk`, body, gives: "results", timeout: BULK_TIMEOUT_MS });
      const told = /** @type {{ results: Result[] }} */ (answer).results;
      for (const [at, index] of left.entries()) results[index] = told[at];
      if (!told.some(({ status }) => status === "failed") || ++failures === TRIES) return results;
      await new Promise((resolve) => setTimeout(resolve, failures * 1000));
    }
  };
  // Whoever is here already without a hash to move has nothing to send.
  const sent = batch.filter(({ user }) => !(known.has(fold(user.email)) && plan.needsLink.has(fold(user.email))));
  const results = sent.length > 0 ? await send(sent, true) : [];
  const refused = sent.filter((_, index) => results[index].field === "password_hash");
  const again = refused.length > 0 ? await send(refused, false) : [];
  for (const one of batch) {
    const email = fold(one.user.email);
    const at = refused.indexOf(one);
    const result = at < 0 ? results[sent.indexOf(one)] : again[at];
    const { id = known.get(email)?.id, status, code, field, password } = result ?? { status: "exists" };
    if (id === undefined || (status !== "created" && status !== "exists")) {
      done.failed.push({ kind: "user", name: one.user.username, reason: `${status}, ${code}${field ? ` (${field})` : ""}` });
      continue;
    }
    done.users[status === "created" ? "created" : "existing"] += 1;
    if (password !== undefined) done.passwords[password === "set" ? "moved" : "existing"] += 1;
    // Nobody who was created by now has a password.
    else if (status === "exists" && (await hasPassword(id))) done.passwords.existing += 1;
    else done.needs_link.push({ email, reason: plan.needsLink.get(email) ?? "this deployment does not take the hash of the password" });
  }
}

/** @typedef {{ id?: string, status: string, code?: string, field?: string, password?: string }} Result */

/** @param {string} id */
async function hasPassword(id) {
  const { password } = /** @type {{ password: object | null }} */ (await patiently({ method: "GET", path: `${USERS}/${id}/password`, gives: "password" }));
  return password !== null;
}

/**
 * @param {import("./django-sso-plan.mjs").MovedService} service
 * @param {import("./services.mjs").Service[]} services
 * @param {Done} done
 */
async function moveService(service, services, done) {
  const leaveOut = (/** @type {string} */ reason) => void done.left_out.push({ kind: "service", name: service.name, reason });
  const here = services.find(({ base_url }) => base_url === service.base_url);
  if (here !== undefined) {
    // Only the gateway knows whose a token is. It does not take the token of a disabled service, so that one cannot be compared.
    const answer = here.enabled ? await protocolError({ token: service.token }) : undefined;
    if (answer === "Application token doesn't exist")
      return leaveOut(`${here.name} (${here.id}) has this base URL and another token; delete that one, or leave it`);
    done.services.existing += 1;
    return;
  }
  try {
    await patiently({ method: "POST", path: SERVICES, body: service, gives: "service" });
    done.services.created += 1;
  } catch (error) {
    if (!(error instanceof Refused) || error.field === undefined) throw error;
    // The length of the token was checked before.
    if (error.field === "token") done.services.existing += 1;
    else if (error.field === "base_url")
      leaveOut(`its base URL ${service.base_url} is not taken${error.rule ? `: ${error.rule}` : ""}; name another one with --base-url "${service.name}=<url>"`);
    else leaveOut(`the field ${error.field} is not valid`);
  }
}

/**
 * Makes a call as `ask` does, and repeats it when the deployment asks to wait, a part of it fails or it does not answer. Every
 * call of an import can be repeated without doing anything twice.
 * @param {Parameters<typeof ask>[0]} call
 */
async function patiently(call) {
  for (let failures = 1; ; ) {
    try {
      return await ask(call);
    } catch (error) {
      const isLimited = error instanceof Refused && error.status === 429;
      const mayPass = isLimited || error instanceof NoAnswer || (error instanceof Refused && error.status === 503);
      if (!mayPass || (!isLimited && failures >= TRIES)) throw error;
      const seconds = isLimited ? (error.retryAfter ?? 60) : failures++;
      if (isLimited) progress(`waiting ${seconds} seconds: the deployment limits the calls of an API token …`);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

/**
 * @template T
 * @param {AsyncGenerator<T>} all
 * @param {number} most
 * @param {(one: T) => Promise<void>} work
 */
async function inParallel(all, most, work) {
  let hasFailed = false;
  const worker = async () => {
    for (let next = await all.next(); !next.done && !hasFailed; next = await all.next()) {
      await work(next.value).catch((error) => {
        hasFailed = true;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
}
