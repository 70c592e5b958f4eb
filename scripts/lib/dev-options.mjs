// The options of `npm run dev`. Needs nothing from node_modules: they are read before anything is set up.
import { parseArgs } from "node:util";
import { optionError } from "./did-you-mean.mjs";
import { codeOf, StepFailed } from "./step.mjs";

export const PORT = 8787;
export const ORIGIN_PORT = 8788;
const PROVIDER_PORT = 8789;

/** The file whose settings take the place of those in wrangler.toml, for `npm run dev` alone; git ignores it. */
export const LOCAL_FILE = "wrangler.local.toml";

export const HELP = `npm run dev -- [options]
  --upstream <url>    put Edgeward in front of your own application, such as http://127.0.0.1:3000, instead of the demo origin
  --port <n>          where Edgeward listens (${PORT})
  --origin-port <n>   where the demo origin listens (${ORIGIN_PORT})
  --with-provider     sign in with an OpenID provider on this machine, which has two people; at the demo origin, /admin needs a role
  --provider-port <n> where that provider listens (${PROVIDER_PORT})
  --state <folder>    keep secrets, KV and the token there instead of .dev.vars, .wrangler/state and .edgeward;
                      ${LOCAL_FILE} is looked for there too
  --no-watch          do not rebuild when src/, www/ or kdf/ change

Settings of your own for this command belong in ${LOCAL_FILE}, which git ignores: docs/develop.md.`;

const OPTIONS = /** @type {const} */ ({
  upstream: { type: "string" },
  port: { type: "string" },
  "origin-port": { type: "string" },
  "with-provider": { type: "boolean" },
  "provider-port": { type: "string" },
  state: { type: "string" },
  "no-watch": { type: "boolean" },
  help: { type: "boolean" },
});

/** @typedef {ReturnType<typeof readOptions>} Options */

/**
 * Throws with every mistake at once.
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
export function readOptions(args, env = process.env) {
  /** @type {string[]} */
  const problems = [];
  const values = parsed(args, problems);
  problems.push(...keptByNpm(args, env));
  /** @type {(name: "port" | "origin-port" | "provider-port", usual: number) => number} */
  const port = (name, usual) => {
    const text = values[name];
    if (typeof text !== "string") return usual;
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= 1 && number <= 65_535) return number;
    problems.push(`--${name} ${text} is not a port number`);
    return usual;
  };
  const upstream = typeof values.upstream === "string" ? readUpstream(values.upstream, problems) : undefined;
  if (values.upstream !== undefined && values["origin-port"] !== undefined)
    problems.push("--origin-port is for the demo origin, which does not run with --upstream: leave one of them out");
  if (values["provider-port"] !== undefined && !values["with-provider"]) problems.push("--provider-port is for a provider: add --with-provider");
  const options = {
    upstream,
    port: port("port", PORT),
    originPort: port("origin-port", ORIGIN_PORT),
    hasOriginPort: values["origin-port"] !== undefined,
    providerPort: values["with-provider"] ? port("provider-port", PROVIDER_PORT) : undefined,
    state: typeof values.state === "string" ? values.state : undefined,
    watch: !values["no-watch"],
    help: values.help === true,
  };
  const own = [options.port, ...(options.providerPort === undefined ? [] : [options.providerPort])];
  if (upstream !== undefined && isLoopback(new URL(upstream).hostname) && own.includes(portOf(new URL(upstream))))
    problems.push(`--upstream ${upstream} is where npm run dev itself listens: your application needs a port of its own`);
  if (!options.help) refuse(problems);
  return options;
}

/**
 * Throws if there are problems, with all of them.
 * @param {string[]} problems
 */
export function refuse(problems) {
  if (problems.length === 0) return;
  const [first] = problems;
  throw new StepFailed(problems.length === 1 ? first : `${problems.length} mistakes:\n${problems.map((one) => `  ${one}`).join("\n")}`);
}

/**
 * What can be read; the first word that cannot is put on the list.
 * @param {string[]} args
 * @param {string[]} problems
 * @returns {{ [name in keyof typeof OPTIONS]?: string | boolean }}
 */
function parsed(args, problems) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    problems.push(`${optionError(error, OPTIONS)} (npm run dev -- --help lists the options)`);
    if (codeOf(error) === "ERR_PARSE_ARGS_INVALID_OPTION_VALUE") return {};
    return parseArgs({ args, options: OPTIONS, strict: false, allowPositionals: true }).values;
  }
}

/**
 * The options that npm took for its own, because no `--` stands before them.
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function keptByNpm(args, env) {
  if (env.npm_lifecycle_event !== "dev") return [];
  const names = /** @type {const} */ (["upstream", "with-provider", "origin-port", "provider-port"]);
  const kept = names.filter((name) => env[`npm_config_${name.replaceAll("-", "_")}`] !== undefined && !args.some((arg) => arg.startsWith(`--${name}`)));
  return kept.map((name) => `npm took --${name} for an option of its own: write -- before the options, as in npm run dev -- --${name} …`);
}

/**
 * The URL of the application, in one form; what the configuration demands of it besides is judged with the configuration.
 * @param {string} text
 * @param {string[]} problems
 */
function readUpstream(text, problems) {
  /** @type {(problem: string) => undefined} */
  const wrong = (problem) => void problems.push(problem);
  if (/^\d+$/.test(text)) return wrong(`--upstream ${text} must be a URL, such as http://127.0.0.1:${text}`);
  if (!/^https?:\/\//i.test(text)) {
    const example = !text.includes("://") && text !== "" && URL.canParse(`http://${text}`) ? `http://${text}` : "http://127.0.0.1:3000";
    return wrong(`--upstream must be a URL that begins with http:// or https://, such as ${example.includes("@") ? "http://127.0.0.1:3000" : example}`);
  }
  if (!URL.canParse(text)) return wrong(`--upstream ${text} is no valid URL: it needs a host, and may have a port and a path`);
  const url = new URL(text);
  const path = url.pathname.replace(/\/$/, "");
  const plain = `${url.protocol}//${url.host}${path}`;
  // Whatever may be secret is not repeated.
  if (url.username !== "" || url.password !== "")
    return wrong(`--upstream must have no user name and no password in it: ${plain} (upstream_credential is the setting for a credential)`);
  if (/[?#]/.test(text)) return wrong(`--upstream must end with the path, without a query and without a fragment: ${plain}`);
  if (["0.0.0.0", "[::]"].includes(url.hostname))
    return wrong(`--upstream ${plain}: ${url.hostname} stands for all addresses of a machine; write http://127.0.0.1:${portOf(url)}${path}`);
  return plain;
}

/**
 * The port that a URL leads to.
 * @param {URL} url
 */
export const portOf = ({ port, protocol }) => (port === "" ? { "http:": 80, "https:": 443 }[protocol] : Number(port)) ?? 0;

/**
 * Whether a URL's host name is this machine, as the configuration decides it.
 * @param {string} hostname
 */
export const isLoopback = (hostname) => /^(([\w-]+\.)*localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
