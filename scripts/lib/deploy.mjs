// What `npm run deploy` does: builds, checks wrangler.toml, runs wrangler deploy, and checks the routes.
import path from "node:path";
import { parseArgs } from "node:util";
import { APART } from "./apart.mjs";
import { missingBindings } from "./bindings.mjs";
import { MAIN } from "./built.mjs";
import { checkConfigurations, configuration, readToml, report } from "./check-config.mjs";
import { optionError } from "./did-you-mean.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { here, isPackage, project } from "./project.mjs";
import { StepFailed } from "./step.mjs";
import { runWrangler } from "./wrangler.mjs";

const HELP = `npm run deploy -- [options]
  --dry-run      build and check everything, upload nothing; needs no login and no network
  --env <name>   deploy [env.<name>] of wrangler.toml instead of its top level`;

/** @typedef {import("./effective-config.mjs").WranglerConfig} WranglerConfig */
/** @typedef {{ pattern: string, script?: string, request_limit_fail_open?: boolean }} ZoneRoute */

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function deploy(args) {
  const { dryRun, env, help } = readOptions(args);
  if (help) {
    console.log(HELP);
    return 0;
  }
  if (!isPackage) await (await import("./weigh.mjs")).buildAndWeigh();
  const config = effectiveConfig(readToml(), env);
  const { told, assumed } = await refuseErrors(config, env);
  process.stderr.write(`${told}\n`);
  const warning = refuseUnshippable(config, env, dryRun);
  const status = await runWrangler(["deploy", "--env", env, ...(dryRun ? ["--dry-run"] : [])]);
  if (status === 0) console.log(failOpenNotice(config));
  // Last, because wrangler's output would push it off the screen.
  if (warning) process.stderr.write(`\n${warning}\n`);
  if (dryRun) process.stderr.write(`\n${outside(assumed, env)}\n`);
  if (status !== 0) return status;
  return dryRun ? 0 : reportFailOpenRoutes(config);
}

const OPTIONS = /** @type {const} */ ({
  "dry-run": { type: "boolean", default: false },
  env: { type: "string", default: "" },
  help: { type: "boolean", default: false },
});

/** @param {string[]} args */
function readOptions(args) {
  try {
    const { values } = parseArgs({ args, options: OPTIONS });
    return { dryRun: values["dry-run"], env: values.env, help: values.help };
  } catch (error) {
    throw new StepFailed(optionError(error, OPTIONS), HELP);
  }
}

// the checks of wrangler.toml ----------------------------------------------------------------------------------

/**
 * Throws if the Worker would answer 500 to everything, even in a dry run; otherwise returns the report.
 * @param {WranglerConfig} config
 * @param {string} env
 */
export async function refuseErrors(config, env) {
  const checked = await checkConfigurations({ [env]: configuration(config, env) });
  const told = report(checked);
  if (checked[env].errors.length > 0) throw new StepFailed(`wrangler.toml must not be deployed like this:\n${told}`);
  return { told, assumed: checked[env].assumed };
}

/** What `secret rotate` makes, by what it calls it. */
const OWN_SECRET = /^EDGEWARD_(SESSION|TOKEN|KEY)_SECRET_\d+$/;

/**
 * What a deployment takes besides wrangler.toml, and cannot be looked up without the network.
 * @param {string[]} secrets
 * @param {string} env
 */
export function outside(secrets, env) {
  const [where, forWrangler] = env === "" ? ["--remote", ' --env ""'] : [`--remote --env ${env}`, ` --env ${env}`];
  const own = secrets.flatMap((name) => OWN_SECRET.exec(name)?.[1].toLowerCase() ?? []);
  const others = secrets.filter((name) => !OWN_SECRET.test(name));
  const account =
    process.env.CLOUDFLARE_API_TOKEN === undefined
      ? ["account: `npx wrangler login`, unless that has been done; or set CLOUDFLARE_API_TOKEN, and CLOUDFLARE_ACCOUNT_ID if it may use several accounts"]
      : [];
  const lines = [
    ...account,
    ...own.map((purpose) => `secret: \`npm run admin -- secret rotate ${purpose} ${where}\` makes the first one`),
    ...others.map((name) => `secret: \`npx wrangler secret put ${name}${forWrangler}\` asks for its value`),
  ];
  return `A deployment also needs the following. A dry run cannot check whether it is there:\n${lines.map((line) => `  - ${line}`).join("\n")}`;
}

/**
 * Throws if the configuration must not ship. For a dry run, returns the same list as a warning; null if there is none.
 * @param {WranglerConfig} config
 * @param {string} env
 * @param {boolean} dryRun
 */
export function refuseUnshippable(config, env, dryRun) {
  const problems = shippingProblems(config, env);
  if (problems.length === 0) return null;
  const list = problems.map(({ path, problem }) => `  - ${path}: ${problem}`).join("\n");
  if (!dryRun) throw new StepFailed(`wrangler.toml must not be deployed like this:\n${list}`);
  return `warning: a real deployment would be refused because of wrangler.toml:\n${list}`;
}

/**
 * Everything in an effective configuration that must not ship.
 * @param {WranglerConfig} config
 * @param {string} [env]
 */
export function shippingProblems(config, env = "") {
  /** @type {{ path: string, problem: string }[]} */
  const problems = [];
  /** @type {(path: string, problem: string) => void} */
  const refuse = (path, problem) => problems.push({ path, problem });
  if (env === "local") refuse("env.local", "this is the environment of npm run dev");

  for (const key of /** @type {const} */ (["workers_dev", "preview_urls"])) {
    if (config[key] !== false) refuse(key, "must be false: otherwise the Worker can be reached past its routes");
  }
  if (config.main === undefined || path.resolve(project, config.main) !== here(MAIN))
    refuse("main", `must be ${MAIN}, ${isPackage ? "the Worker of this version" : "which npm run build makes and the tests have run"}`);
  if (config.no_bundle !== true) refuse("no_bundle", "must be true, so that wrangler ships the Worker as it is");

  const namespace = (config.kv_namespaces ?? []).find(({ binding }) => binding === "EDGEWARD_KV");
  if (namespace && !/^[0-9a-f]{32}$/.test(namespace.id ?? ""))
    refuse("kv_namespaces.EDGEWARD_KV.id", "is not a namespace id; npx wrangler kv namespace create EDGEWARD_KV prints one");
  for (const { path, problem, isOptional } of missingBindings(config)) if (!isOptional) refuse(path, problem);
  const gateway = /** @type {{ hosts?: unknown, development?: unknown } | undefined} */ (config.vars?.EDGEWARD_GATEWAY);
  const globs = new Set((config.rules ?? []).flatMap((rule) => rule.globs ?? []));
  for (const name of ["worker.js", "edgeward.wasm", ...APART]) if (!globs.has(name)) refuse("rules", `have no ${name}, which the Worker imports`);

  const patterns = routePatterns(config);
  if (patterns.length === 0) refuse("routes", "is empty: no request would reach the Worker");
  for (const pattern of patterns.filter(isPlaceholder)) refuse("routes", `"${pattern}" is the template's placeholder`);

  const vars = /** @type {[string, { hosts?: unknown, upstream?: unknown }][]} */ (Object.entries(config.vars ?? {}));
  const sites = vars.filter(([name]) => name.startsWith("EDGEWARD_SITE_"));
  const served = vars.filter(([name]) => name.startsWith("EDGEWARD_SITE_") || name === "EDGEWARD_GATEWAY");
  if (gateway?.development === true) refuse("vars.EDGEWARD_GATEWAY.development", "must not be true: it allows services without https, and on private hosts");
  if (sites.length === 0) refuse("vars", "has no EDGEWARD_SITE_…: every request would answer 404");
  for (const [name, site] of served) {
    for (const [path, text] of strings(site, `vars.${name}`)) {
      if (isPlaceholder(text)) refuse(path, `"${text}" is the template's placeholder`);
    }
    for (const host of Array.isArray(site.hosts) ? site.hosts : []) {
      if (isLoopback(host)) refuse(`vars.${name}.hosts`, `"${host}" is this machine`);
      else if (patterns.length > 0 && !patterns.some((pattern) => covers(pattern, host)))
        refuse(`vars.${name}.hosts`, `no route leads from "${host}" to the Worker`);
    }
    if (isLoopback(String(site.upstream ?? "").replace(/^\w+:\/\//, ""))) refuse(`vars.${name}.upstream`, `"${site.upstream}" is this machine`);
  }

  for (const [path, text] of strings(config.vars ?? {}, "vars")) {
    if (/_SECRET_\d+$|\.EDGEWARD_PROVIDER_\w+_SECRET$/.test(path))
      refuse(path, "a secret does not belong in wrangler.toml; set it with npx wrangler secret put");
    else if (/^ewt_/.test(text)) refuse(path, "an API token does not belong in wrangler.toml");
  }
  return problems;
}

/** @param {WranglerConfig} config */
const routePatterns = ({ route, routes = [] }) => [...(route ? [route] : []), ...routes].map((entry) => (typeof entry === "string" ? entry : entry.pattern));

/** @param {string} text */
const isPlaceholder = (text) => /REPLACE|(^|[./@])example\.(com|org|net|test)\b/.test(text);

/** @param {string} host */
const isLoopback = (host) => /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?(\/|$)/.test(host);

/**
 * Whether a route's pattern matches a host: `host/*`, `*.domain/*`, `*domain/*`, or a custom domain without a path.
 * @param {string} pattern
 * @param {string} host
 */
function covers(pattern, host) {
  const [hostPattern] = pattern.replace(/^\w+:\/\//, "").split("/");
  const name = host.toLowerCase().replace(/:\d+$/, "");
  if (!hostPattern.startsWith("*")) return name === hostPattern.toLowerCase();
  return name.endsWith(hostPattern.slice(1).toLowerCase());
}

/**
 * Every string inside a value, with its path.
 * @param {unknown} value
 * @param {string} path
 * @returns {[string, string][]}
 */
function strings(value, path) {
  if (typeof value === "string") return [[path, value]];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => strings(inner, Array.isArray(value) ? path : `${path}.${key}`));
}

// fail open ----------------------------------------------------------------------------------------------------

/**
 * The notice about the setting that wrangler.toml does not have.
 * @param {WranglerConfig} config
 */
export function failOpenNotice(config) {
  return `
Set every Workers route of this Worker to FAIL CLOSED (${routePatterns(config).join(", ")}).
Otherwise, once the account's request limit is used up, Cloudflare sends requests to your origin without running Edgeward.
  In the dashboard: the zone → Workers Routes → edit the route → Request limit failure mode → Fail closed (block).
  By the API: "request_limit_fail_open": false on PUT /zones/<zone id>/workers/routes/<route id>.
With CLOUDFLARE_API_TOKEN and CLOUDFLARE_ZONE_ID set, npm run deploy checks the routes itself.
In any case, let the origin check x-edgeward-assertion: a request without a valid one did not pass Edgeward.
`;
}

/**
 * The patterns of a Worker's routes that fail open, from the API's list of a zone's routes.
 * @param {ZoneRoute[]} routes
 * @param {string | undefined} script
 */
export function failOpenRoutes(routes, script) {
  return routes.filter((route) => route.script === script && route.request_limit_fail_open !== false).map(({ pattern }) => pattern);
}

/** @param {WranglerConfig} config */
async function reportFailOpenRoutes({ name }) {
  const { CLOUDFLARE_API_TOKEN: token, CLOUDFLARE_ZONE_ID: zone } = process.env;
  if (!token || !zone) return 0;
  const base = process.env.CLOUDFLARE_API_BASE_URL ?? "https://api.cloudflare.com/client/v4";
  const headers = { Authorization: `Bearer ${token}` };
  const asked = await fetch(`${base}/zones/${zone}/workers/routes`, { headers, signal: AbortSignal.timeout(15_000) })
    .then((response) => response.json())
    .catch((error) => {
      throw new StepFailed(`deployed, but it could not be checked whether the routes fail open: ${error.cause?.message ?? error.message}`);
    });
  const answer = /** @type {{ success: boolean, errors: unknown, result: ZoneRoute[] }} */ (asked);
  if (!answer.success) throw new StepFailed(`deployed, but the routes could not be read: ${JSON.stringify(answer.errors)}`);
  const open = failOpenRoutes(answer.result, name);
  if (open.length > 0) throw new StepFailed(`deployed, but these routes FAIL OPEN; set them to fail closed now: ${open.join(", ")}`);
  console.log("The zone's routes of this Worker fail closed.");
  return 0;
}
