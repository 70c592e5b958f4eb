// `npm run admin -- token …`: API tokens, by calls of the admin API. Only the first one of a deployment, which no call can
// make, goes through wrangler (first-token.mjs), which needs a process for each record that it reads.
import { ask, deployment, Misuse, orUsage, Refused, WHERE } from "./ask.mjs";
import { runCommand, say, timeOf } from "./command-group.mjs";
import { runByWrangler } from "./first-token.mjs";
import { chosenProfile, isNamed, place } from "./place.mjs";
import { StepFailed } from "./step.mjs";
import { progress, progressEnds, table } from "./table.mjs";

const TOKENS = "/api/sso/tokens";
const PAGE = 100;
const PROBE_MS = 2_000;

/** @typedef {{ id: string, name: string, scopes: string[], active: boolean, expires_at: number | null, last_used_at: number | null, revoked_at: number | null }} Token */
/**
 * @typedef {object} Given
 * @property {string} word
 * @property {boolean} [json]
 * @property {string} [name]
 * @property {string[]} [scope]
 * @property {string} [acts-as]
 * @property {string} [expires-in]
 * @property {string[]} [email-domain]
 * @property {string[]} [role]
 * @property {boolean} [with-children]
 * @property {boolean} [enable]
 * @property {boolean} [disable]
 */

const TEXT = /** @type {const} */ ({ type: "string" });
const FLAG = /** @type {const} */ ({ type: "boolean" });
const LIST = /** @type {const} */ ({ type: "string", multiple: true });

/** @type {{ [name: string]: import("./command-group.mjs").Command<Given> }} */
const COMMANDS = {
  create: {
    about: "create an API token and show it once",
    options: { name: TEXT, scope: LIST, "acts-as": TEXT, "expires-in": TEXT, "email-domain": LIST, role: LIST },
    help: `  --name <name>            what the token is for
  --scope <scope>          what it may do: token:issue, users:read, users:write, tokens:write, audit:read, metrics:read, admin (repeatable)
  --acts-as <id>           the id of the user as whom it acts on sites that accept \`x-api-key\`
  --expires-in <seconds>   its lifetime [default: that of the token that creates it]
  --email-domain <domain>  it may issue SSO tokens only for addresses in this domain (repeatable)
  --role <role>            it may issue SSO tokens only for users whose roles are all among these (repeatable)`,
    run: create,
  },
  list: { about: "list the API tokens", run: list },
  show: { takes: "<id>", about: "show an API token", run: show },
  change: {
    takes: "<id>",
    about: "rename an API token, or switch it off or on",
    options: { name: TEXT, "expires-in": TEXT, enable: FLAG, disable: FLAG },
    help: `  --name <name>            another name
  --expires-in <seconds>   its lifetime, from now on
  --disable                switch it off
  --enable                 switch it on again`,
    run: update,
  },
  revoke: {
    takes: "<id>",
    about: "revoke an API token for good",
    options: { "with-children": FLAG },
    help: "  --with-children          also revoke the API tokens that it has created, directly or through others",
    run: revoke,
  },
  delete: { takes: "<id>", about: "revoke an API token and remove its record", run: remove },
};

const WHERE_TOKENS = `${WHERE("scope tokens:write")}

The first API token of a deployment is made through wrangler, without a call:
  --with-wrangler  create, list or revoke at the local deployment, even if \`npm run dev\` does not run
  --remote         the same at Cloudflare; --env <name> names the wrangler environment
  --print-record   with create: print the token and its record, and store nothing
These read one record after the other, so \`list\` and \`revoke\` take minutes where there are many.`;

const BY_WRANGLER = /^--(with-wrangler|remote|print-record|env(=.*)?)$/;

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function runTokens(args) {
  if (args.some((word) => BY_WRANGLER.test(word))) return byWrangler(args.filter((word) => word !== "--with-wrangler"));
  const isHelp = args.length === 0 || args.includes("--help");
  const reachable = await orUsage(WHERE_TOKENS, async () => (isHelp || (await isReachable()) ? 0 : 1));
  if (reachable === 2) return 2;
  if (reachable === 1) return byWrangler(args);
  return runCommand({ group: "token", commands: COMMANDS, where: WHERE_TOKENS }, args);
}

/** @param {string[]} args */
function byWrangler(args) {
  // To ignore it could change the wrong deployment.
  if (chosenProfile() !== undefined) throw new StepFailed("this command goes through wrangler and has no option --profile; --remote and --env say where");
  return runByWrangler(args, WHERE_TOKENS);
}

/** Whether a deployment is named; that of `npm run dev` counts while it runs, as its store can be reached without it. */
async function isReachable() {
  if (!isNamed()) return place().kind !== "local";
  if (place().kind !== "local") return true;
  const health = await fetch(`${deployment()}/api/sso/health`, { signal: AbortSignal.timeout(PROBE_MS) }).catch(() => undefined);
  return health !== undefined;
}

/** @param {Given} given */
async function create({ name, scope, role, json, "acts-as": acts_as, "email-domain": email_domains, "expires-in": lifetime }) {
  if (!name) throw new Misuse("--name is missing: what the token is for");
  if (scope === undefined && acts_as === undefined) throw new Misuse("--scope is missing, or --acts-as");
  const issue_for = email_domains || role ? { email_domains, roles: role } : undefined;
  const body = { name, scopes: scope ?? [], acts_as, issue_for, expires_in: secondsOf(lifetime) };
  const made = await ask({ method: "POST", path: TOKENS, body, gives: "token" });
  const { token, id } = /** @type {Token & { token: string }} */ (made);
  say({ json }, { token, id }, `${token}\n\nThis is the API token ${id}. It is not shown again.`);
}

/** @param {Given} given */
async function list({ json }) {
  /** @type {Token[]} */
  const tokens = [];
  /** @type {string | null} */
  let cursor = "";
  while (cursor !== null) {
    const path = `${TOKENS}?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const page = /** @type {{ tokens: Token[], cursor: string | null }} */ (await ask({ method: "GET", path, gives: "tokens" }));
    tokens.push(...page.tokens);
    cursor = page.cursor;
    if (cursor !== null) progress(`${tokens.length} API tokens …`);
  }
  progressEnds();
  const rows = tokens.map((token) => [token.id, token.name, token.scopes.join(",") || "-", stateOf(token), timeOf(token.last_used_at)]);
  say({ json }, tokens, table(["id", "name", "scopes", "state", "last used"], rows));
}

/** @param {Token} token */
function stateOf({ active, revoked_at, expires_at }) {
  if (revoked_at !== null) return "revoked";
  if (!active) return "off";
  if (expires_at === null) return "active";
  return `${expires_at * 1000 < Date.now() ? "expired" : "until"} ${timeOf(expires_at)}`;
}

/** @param {Given} given */
async function show({ word, json }) {
  const token = await call(word, { method: "GET", path: pathOf(word), gives: "id" });
  say({ json }, token, JSON.stringify(token, null, 2));
}

/** @param {Given} given */
async function update({ word, name, enable, disable, json, "expires-in": lifetime }) {
  if (enable && disable) throw new Misuse("--enable excludes --disable");
  const body = { name, expires_in: secondsOf(lifetime), active: enable ? true : disable ? false : undefined };
  if (Object.values(body).every((value) => value === undefined)) throw new Misuse("nothing to change: name an option");
  const token = await call(word, { method: "PATCH", path: pathOf(word), body, gives: "id" });
  say({ json }, token, `API token ${word} (${token.name}) is changed: ${stateOf(token)}. This takes effect everywhere within 60 seconds.`);
}

/** @param {Given} given */
async function revoke({ word, json, "with-children": withChildren }) {
  const path = `${pathOf(word)}/revoke${withChildren ? "?with_children=true" : ""}`;
  const told = await call(word, { method: "POST", path, gives: "id" }).catch((error) => {
    if (!(error instanceof Refused) || error.code !== "too_many_tokens") throw error;
    throw new StepFailed(
      `API token ${word} is revoked, but there are too many API tokens to find those that it created in one call.\n` +
        "  `token revoke` with --with-wrangler, or with --remote for the deployment at Cloudflare, has no such limit",
    );
  });
  const { children, children_revoked: revoked } = /** @type {{ children?: string[] | null, children_revoked?: number }} */ (told);
  const rest = withChildren
    ? `So are ${revoked} API tokens that it created.`
    : children === null
      ? "It may have created others that still work: there are too many to search. To revoke them as well, add --with-children."
      : children?.length
        ? `API tokens that it created still work: ${children.join(", ")}. To revoke them as well, add --with-children.`
        : "It has created no API tokens that still work.";
  say({ json }, told, `API token ${word} (${told.name}) is revoked. It stops working everywhere within 60 seconds. ${rest}`);
}

/** @param {Given} given */
async function remove({ word, json }) {
  await call(word, { method: "DELETE", path: pathOf(word) });
  say({ json }, { id: word }, `API token ${word} is revoked, and its record is removed. It stops working everywhere within 60 seconds.`);
}

/** @param {string} id */
function pathOf(id) {
  if (!/^[0-9a-f]{32}$/.test(id)) throw new Misuse(`${id} is not an API token's id; \`token list\` shows them`);
  return `${TOKENS}/${id}`;
}

/**
 * @param {string} id
 * @param {Parameters<typeof ask>[0]} wanted
 * @returns {Promise<Token>}
 */
async function call(id, wanted) {
  const told = await ask(wanted).catch((error) => {
    if (error instanceof Refused && error.code === "not_found") throw new StepFailed(`there is no API token ${id} at ${deployment()}`);
    throw error;
  });
  return /** @type {Token} */ (told);
}

/** @param {string | undefined} text */
function secondsOf(text) {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Misuse(`--expires-in takes seconds, not ${text}`);
  return Number(text);
}
