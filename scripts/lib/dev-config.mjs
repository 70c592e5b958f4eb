// The configuration that `npm run dev` runs: [env.local] of wrangler.toml, with what wrangler.local.toml and the options put in
// its place, and what the core says of it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseEnv } from "node:util";
import { checkConfigurations, readToml } from "./check-config.mjs";
import { isLoopback, LOCAL_FILE, ORIGIN_PORT, PORT, portOf, refuse } from "./dev-options.mjs";
import { isFrom, readLocalFile, withLocalFile } from "./local-file.mjs";
import { here, project } from "./project.mjs";
import { StepFailed } from "./step.mjs";
import { PROVIDER_SECRET, withProvider } from "./with-provider.mjs";

/** @import { WranglerConfig } from "./effective-config.mjs" */
/** @import { Options } from "./dev-options.mjs" */

const HOST = "127.0.0.1";
const SITE = "EDGEWARD_SITE_APP";

/**
 * What the scripts use of a site's settings. The core has judged them.
 * @typedef {{ hosts?: string[], upstream?: string, upstream_plaintext?: boolean, endpoints?: string, sources?: string[], rules?: object[],
 *   query?: { parameter?: string }, assertion?: { audience?: string } }} Site
 */
/** @typedef {ReturnType<typeof described>} Running */
/** @typedef {{ folder: string, config: string, secrets: string }} Places */

/**
 * Puts the configuration together. Throws with what is wrong in its files, as far as it does not take the core to see.
 * @param {Options} options
 * @param {string} folder Where the local file is looked for.
 */
export function composed(options, folder) {
  const toml = readToml();
  const local = readLocalFile(folder);
  const { port, originPort, hasOriginPort, upstream, providerPort } = options;
  let config = configForPorts(withLocalFile(toml, local), port, originPort);
  if (upstream !== undefined) config = withUpstream(config, upstream);
  const hasDemoOrigin = fronts(config, options).some(({ isDemo }) => isDemo);
  if (hasOriginPort && !hasDemoOrigin) throw new StepFailed("--origin-port is for the demo origin, and no site is in front of it: leave the option out");
  if (providerPort !== undefined) config = withProvider(config, providerPort, { isDemo: hasDemoOrigin });
  const isPlain = local === undefined && upstream === undefined && providerPort === undefined && port === PORT && originPort === ORIGIN_PORT;
  return { config, local, upstream, hasDemoOrigin, isPlain, before: toml.env?.local?.vars ?? {} };
}

/**
 * The configuration with other ports in its local environment, and an absolute path to the Worker.
 * @param {WranglerConfig} config
 * @param {number} port
 * @param {number} originPort
 * @returns {WranglerConfig}
 */
export function configForPorts(config, port, originPort) {
  const { env: { local, ...environments } = {} } = config;
  if (config.main === undefined || local === undefined) throw new StepFailed("wrangler.toml has no main, or no [env.local]");
  /** @type {(value: unknown) => unknown} */
  const move = (value) => {
    if (Array.isArray(value)) return value.map(move);
    if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, move(inner)]));
    if (typeof value !== "string") return value;
    return value.replace(/\b(127\.0\.0\.1|localhost):(8787|8788)\b/g, (_, host, from) => `${host}:${Number(from) === PORT ? port : originPort}`);
  };
  return { ...config, main: here(config.main), env: { ...environments, local: /** @type {WranglerConfig} */ (move(local)) } };
}

/**
 * @param {WranglerConfig} config
 * @param {string} upstream
 * @returns {WranglerConfig}
 */
function withUpstream(config, upstream) {
  const local = config.env?.local;
  const site = /** @type {Site | undefined} */ (local?.vars?.[SITE]);
  if (site === undefined) throw new StepFailed(`--upstream is for ${SITE}, which ${LOCAL_FILE} removes: set the upstream there`);
  const { hostname, protocol } = new URL(upstream);
  if (protocol === "http:" && !isLoopback(hostname) && site.upstream_plaintext !== true) {
    throw new StepFailed(
      `--upstream ${upstream}: http:// leads to this machine only (localhost, 127.…, [::1]); use https://, or set upstream_plaintext = true below [vars.${SITE}] in ${LOCAL_FILE}`,
    );
  }
  return { ...config, env: { ...config.env, local: { ...local, vars: { ...local?.vars, [SITE]: { ...site, upstream } } } } };
}

/**
 * Which public URLs are in front of which upstream, and whether that is the demo origin. Settings may still have any type.
 * @param {WranglerConfig} config
 * @param {Pick<Options, "upstream" | "originPort">} options
 */
const fronts = (config, { upstream, originPort }) =>
  sitesOf(config).map(({ hosts, upstream: to }) => ({
    from: [hosts ?? []].flat().map((host) => `http://${host}`),
    to: String(to),
    isDemo: to !== upstream && URL.canParse(String(to)) && isLoopback(new URL(String(to)).hostname) && portOf(new URL(String(to))) === originPort,
  }));

/**
 * @param {WranglerConfig} config
 * @returns {Site[]}
 */
const sitesOf = (config) =>
  Object.entries(config.env?.local?.vars ?? {}).flatMap(([name, site]) => (name.startsWith("EDGEWARD_SITE_") ? [/** @type {Site} */ (site ?? {})] : []));

/**
 * What runs, of a configuration that has been judged.
 * @param {ReturnType<typeof composed>} composed
 * @param {Options} options
 */
export function described({ config, local, hasDemoOrigin }, options) {
  const { port, upstream, providerPort } = options;
  const address = `${HOST}:${port}`;
  const isHere = (/** @type {string} */ host) => host === address || host.startsWith(`${address}/`);
  const site = sitesOf(config).find(({ hosts = [] }) => hosts.some(isHere));
  if (site === undefined)
    throw new StepFailed(`${local?.name ?? "wrangler.toml [env.local]"}: no site has ${HOST}:${PORT} among its hosts: npm run dev signs in there`);
  const url = `http://${site.hosts?.find(isHere)}`;
  const [gateway] = /** @type {Site | undefined} */ (config.env?.local?.vars?.EDGEWARD_GATEWAY)?.hosts ?? [];
  const more = [...(local ? [local.name] : []), ...(upstream ? ["--upstream"] : []), ...(providerPort ? ["--with-provider"] : [])];
  return {
    fronts: fronts(config, options),
    /** The site of this run, and where Edgeward's own endpoints are there. */
    site,
    url,
    api: `${url}${site.endpoints ?? "/api/sso"}`,
    gateway: gateway && `http://${gateway}`,
    hasDemoOrigin,
    /** The files and options that it is made of, for people. */
    about: `[env.local] of wrangler.toml${more.length > 0 ? `, with ${more.join(" and ")}` : ""}`,
  };
}

/**
 * Asks the core, and throws with every error; returns its notes.
 * @param {ReturnType<typeof composed>} composed
 * @param {Places} places
 */
export async function judged({ config, local, upstream, before }, { secrets: file }) {
  const vars = config.env?.local?.vars ?? {};
  const hasProvider = vars.EDGEWARD_PROVIDER_LOCAL !== undefined;
  const secrets = { ...(existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {}), ...(hasProvider ? { [PROVIDER_SECRET]: "made at each start" } : {}) };
  const { errors, notes } = (await checkConfigurations({ local: { vars, secrets, complete: true } })).local;
  const secretsFile = path.relative(project, file);
  /** @param {string} place */
  const fileOf = (place) => {
    if (upstream !== undefined && place === `${SITE}.upstream`) return "--upstream";
    if (/^EDGEWARD_\w*_SECRET_\d+$/.test(place)) return secretsFile.startsWith("..") ? file : secretsFile;
    if (isFrom(local, place, before)) return local?.name;
    const isMixed = local !== undefined && Object.hasOwn(local.vars, place.split(".")[0]);
    return `wrangler.toml [env.local]${isMixed ? ` with ${local.name}` : ""}`;
  };
  refuse(errors.map(({ path: place, error }) => `${fileOf(place)}: ${place}: ${error}`));
  return notes.map(({ path: place, error }) => `${fileOf(place)}: ${place}: ${error}`);
}

/**
 * Writes the configuration for wrangler, unless wrangler.toml is the one.
 * @param {ReturnType<typeof composed>} composed
 * @param {Places} places
 */
export function written({ config }, { folder, config: file }) {
  if (file === here("wrangler.toml")) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
}
