// What `npm run dev` does: builds, makes secrets and a local API token, starts the demo origin, wrangler dev and, if it is asked
// for, the local provider, and rebuilds after changes.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { parseArgs } from "node:util";
import { parse as parseToml } from "smol-toml";
import { adminEnv, buildAdmin } from "./admin.mjs";
import { build } from "./build.mjs";
import { Children } from "./processes.mjs";
import { at, pinnedNode, root, toolEnv, wrangler } from "./project.mjs";
import { refuseOversize, sizeTable } from "./size.mjs";
import { codeOf, messageOf, runStep, StepFailed } from "./step.mjs";
import { issuerAt, PEOPLE, withProvider } from "./with-provider.mjs";

const HOST = "127.0.0.1";
const GATEWAY = "localhost";
const PORT = 8787;
const ORIGIN_PORT = 8788;
const PROVIDER_PORT = 8789;
const READY_MS = 60_000;
const POLL_MS = 100;
const SETTLE_MS = 300;

const HELP = `npm run dev -- [options]
  --port <n>          where Edgeward listens (${PORT})
  --origin-port <n>   where the demo origin listens (${ORIGIN_PORT})
  --with-provider     sign in with an OpenID provider on this machine, which has two people; /admin needs a role
  --provider-port <n> where that provider listens (${PROVIDER_PORT})
  --state <folder>    keep secrets, KV and the token there instead of .dev.vars, .wrangler/state and .edgeward
  --no-watch          do not rebuild when src/, www/ or kdf/ change`;

/** @import { WranglerConfig } from "./effective-config.mjs" */

/** @typedef {ReturnType<typeof readOptions>} Options */
/** @typedef {ReturnType<typeof placesOf>} Places */

/**
 * Runs until a signal arrives or a child ends; returns the exit status.
 * @param {string[]} args
 */
export async function dev(args) {
  const options = readOptions(args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const places = placesOf(options);
  const signals = new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => resolve(name));
  });
  await refuseBusyPort(options.port, "--port");
  await refuseBusyPort(options.originPort, "--origin-port");
  if (options.providerPort) await refuseBusyPort(options.providerPort, "--provider-port", new URL(issuerAt(options.providerPort)).hostname);

  const size = await build();
  console.log(sizeTable(size));
  refuseOversize(size);
  writeSecrets(places.secrets);
  writeConfig(options, places);
  const clientSecret = randomBytes(32).toString("base64url");
  if (options.providerPort) writeFileSync(places.clientSecret, `EDGEWARD_PROVIDER_LOCAL_SECRET=${clientSecret}\n`, { mode: 0o600 });
  let apiToken = rememberedToken(places) ?? (await createToken(places));

  const children = new Children();
  const log = new Log();
  try {
    children.start("the demo origin", [pinnedNode, at("examples/demo-origin/server.mjs"), "--port", String(options.originPort)], {
      cwd: root,
      env: toolEnv(),
      onOutput: (text) => log.write(text),
    });
    if (options.providerPort) startProvider(children, options, { clientSecret, onOutput: (text) => log.write(text) });
    children.start("wrangler dev", [...wrangler, ...wranglerArguments(options, places)], {
      cwd: root,
      env: toolEnv({ CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "true" }), // reads the file of --env-file and no other
      onOutput: (text) => log.write(text),
    });
    const url = `http://${HOST}:${options.port}`;
    const ended = Promise.race([signals, children.earlyEnd]);
    const allUp = Promise.all([waitUntilHealthy(url), options.providerPort && waitForProvider(options.providerPort)]).then(() => true);
    const isUp = await Promise.race([allUp, ended]);
    if (isUp === true) {
      if (!(await tokenWorks(url, apiToken))) apiToken = await createToken(places);
      console.log(await welcome(url, apiToken, options, places));
      log.show();
      if (options.watch) watchSources();
    }
    const why = isUp === true ? await ended : isUp;
    if (why instanceof Error) {
      throw why;
    }
    return 0;
  } catch (error) {
    log.show({ held: true });
    throw error;
  } finally {
    await children.stop();
  }
}

/** @param {string[]} args */
function readOptions(args) {
  const values = parsed(args);
  /** @param {"port" | "origin-port" | "provider-port"} name */
  const port = (name) => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < 1 || number > 65_535) throw new StepFailed(`--${name} ${values[name]} is not a port number`);
    return number;
  };
  const hasProvider = values["with-provider"];
  if (values["provider-port"] !== String(PROVIDER_PORT) && !hasProvider) throw new StepFailed("--provider-port is for a provider: add --with-provider");
  return {
    port: port("port"),
    originPort: port("origin-port"),
    providerPort: hasProvider ? port("provider-port") : undefined,
    state: values.state,
    watch: values.watch,
    help: values.help,
  };
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: "string", default: String(PORT) },
        "origin-port": { type: "string", default: String(ORIGIN_PORT) },
        "with-provider": { type: "boolean", default: false },
        "provider-port": { type: "string", default: String(PROVIDER_PORT) },
        state: { type: "string" },
        watch: { type: "boolean", default: true },
        help: { type: "boolean", default: false },
      },
      allowNegative: true,
    }).values;
  } catch (error) {
    throw new StepFailed(`${messageOf(error)}\n${HELP}`);
  }
}

/**
 * The files of this run. With a provider, or for ports other than the default ones, a configuration is written beside the token.
 * @param {Pick<Options, "port" | "originPort" | "providerPort" | "state">} options
 */
function placesOf({ port, originPort, providerPort, state }) {
  const folder = state ? path.resolve(state) : at(".edgeward");
  const isUsual = port === PORT && originPort === ORIGIN_PORT && providerPort === undefined;
  return {
    folder,
    token: path.join(folder, "dev.json"),
    secrets: state ? path.join(folder, ".dev.vars") : at(".dev.vars"),
    storage: state ? path.join(folder, "kv") : at(".wrangler/state"),
    config: isUsual ? at("wrangler.toml") : path.join(folder, `wrangler.${port}${providerPort === undefined ? "" : ".provider"}.json`),
    clientSecret: path.join(folder, `provider.${port}.vars`),
  };
}

/**
 * @param {number} port
 * @param {string} option
 */
async function refuseBusyPort(port, option, host = HOST) {
  const server = net.createServer();
  try {
    await /** @type {Promise<void>} */ (new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve)));
  } catch (error) {
    const reason = codeOf(error) === "EADDRINUSE" ? "is in use" : `cannot be used (${codeOf(error)})`;
    throw new StepFailed(`port ${port} ${reason}: stop the program that uses it, or choose another port with npm run dev -- ${option} <n>`);
  }
  await new Promise((resolve) => server.close(resolve));
}

// secrets and configuration ------------------------------------------------------------------------------------

/** The text of a new .dev.vars, with a new value for every secret that the Worker needs. */
export function newSecrets() {
  const families = ["SESSION", "TOKEN", "KEY"];
  const lines = families.map((family) => `EDGEWARD_${family}_SECRET_1=${randomBytes(32).toString("base64url")}`);
  return `# Secrets of the local Worker only, made by \`npm run dev\`. Never deploy them.\n${lines.join("\n")}\n`;
}

/** @param {string} file */
function writeSecrets(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    writeFileSync(file, newSecrets(), { mode: 0o600, flag: "wx" });
    process.stderr.write(`dev  made ${path.relative(root, file)} with new secrets\n`);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/**
 * wrangler.toml with other ports in its local environment, and an absolute path to the Worker.
 * @param {string} toml
 * @param {number} port
 * @param {number} originPort
 */
export function configForPorts(toml, port, originPort) {
  const config = /** @type {WranglerConfig} */ (parseToml(toml));
  const { env: { local, ...environments } = {} } = config;
  if (config.main === undefined || local === undefined) throw new StepFailed("wrangler.toml has no main, or no [env.local]");
  /** @type {(value: unknown) => unknown} */
  const move = (value) => {
    if (Array.isArray(value)) return value.map(move);
    if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, move(inner)]));
    if (typeof value !== "string") return value;
    return value.replace(/\b(127\.0\.0\.1|localhost):(8787|8788)\b/g, (_, host, from) => `${host}:${Number(from) === PORT ? port : originPort}`);
  };
  return { ...config, main: at(config.main), env: { ...environments, local: move(local) } };
}

/**
 * @param {Options} options
 * @param {Places} places
 */
function writeConfig({ port, originPort, providerPort }, { folder, config }) {
  if (config === at("wrangler.toml")) return;
  mkdirSync(folder, { recursive: true });
  const plain = /** @type {WranglerConfig} */ (configForPorts(readFileSync(at("wrangler.toml"), "utf8"), port, originPort));
  writeFileSync(config, `${JSON.stringify(providerPort === undefined ? plain : withProvider(plain, providerPort), null, 2)}\n`);
}

/**
 * @param {Options} options
 * @param {Places} places
 */
function wranglerArguments({ port, providerPort }, { config, secrets, clientSecret, storage }) {
  const files = providerPort === undefined ? [secrets] : [secrets, clientSecret];
  const where = ["--config", config, "--env", "local", ...files.flatMap((file) => ["--env-file", file]), "--persist-to", storage];
  const listen = ["--ip", HOST, "--port", String(port), "--local-protocol", "http"];
  return ["dev", ...where, ...listen, "--show-interactive-dev-session", "false", "--log-level", "log"];
}

// the admin API token ------------------------------------------------------------------------------------------

/** @param {Places} places */
function rememberedToken({ token, storage }) {
  if (!existsSync(token) || !existsSync(storage)) return null;
  try {
    return JSON.parse(readFileSync(token, "utf8")).token ?? null;
  } catch {
    return null;
  }
}

/** @param {Places} places */
async function createToken({ folder, token: file, config, storage }) {
  const program = await buildAdmin();
  const command = ["token", "create", "--name", "local-dev", "--scope", "admin", "--env", "local", "--json"];
  const env = adminEnv(["--config", config, "--persist-to", storage]);
  const output = await runStep("dev", "a local admin API token", [program, ...command], { env, quietFor: 2_500 });
  const token = tokenIn(output);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ token }, null, 2)}\n`, { mode: 0o600 });
  return token;
}

/** @param {string} output */
function tokenIn(output) {
  try {
    return JSON.parse(output).token;
  } catch {
    throw new StepFailed("the admin tool printed no token as JSON", output);
  }
}

/**
 * @param {string} url
 * @param {string} token
 */
async function tokenWorks(url, token) {
  const response = await fetch(`${url}/api/sso/tokens?limit=1`, { headers: { Authorization: `Token ${token}` } });
  await response.arrayBuffer();
  return response.ok;
}

// running ------------------------------------------------------------------------------------------------------

/** @param {string} url */
async function waitUntilHealthy(url) {
  const deadline = Date.now() + READY_MS;
  let last = "it did not answer";
  while (Date.now() < deadline) {
    try {
      const response = await fetch(`${url}/api/sso/health`);
      if (response.ok) return true;
      last = `it answered ${response.status}: ${(await response.text()).slice(0, 200)}`;
      if (response.status === 500) break;
    } catch {
      // not listening yet
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new StepFailed(`the Worker did not start: ${url}/api/sso/health: ${last}`);
}

/**
 * @param {Children} children
 * @param {Options} options
 * @param {{ clientSecret: string, onOutput: (text: string) => void }} given
 */
function startProvider(children, { port, providerPort }, { clientSecret, onOutput }) {
  const command = [pinnedNode, at("scripts/lib/local-provider.mjs"), String(providerPort), `http://${HOST}:${port}/api/sso/callback/local`];
  children.start("the local provider", command, { cwd: root, env: toolEnv({ LOCAL_CLIENT_SECRET: clientSecret }), onOutput });
}

/** @param {number} port */
async function waitForProvider(port) {
  const url = `${issuerAt(port)}/.well-known/openid-configuration`;
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline) {
    const isUp = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new StepFailed(`the local provider did not start: no answer at ${url}; does the name localhost lead to this machine?`);
}

/**
 * What to open to sign in with the provider.
 * @param {string} url
 * @param {Options} options
 * @param {Places} places
 */
function aboutProvider(url, { providerPort }, { config }) {
  if (providerPort === undefined) return "";
  const people = Object.values(PEOPLE).map(({ name, email, about }) => `  ${name} (${email}) ${about}`);
  return `
Sign in with the OpenID provider at ${issuerAt(providerPort)}, at which two people have an account:
${people.join("\n")}
Open ${url}/admin, which needs the role admin. To come back as the other one, sign out at ${url}/api/sso/logout
The settings are in ${path.relative(root, config)}; docs/sign-in.md, "Try it", explains them.
`;
}

/**
 * @param {string} url
 * @param {string} apiToken
 * @param {Options} options
 * @param {Places} places
 */
async function welcome(url, apiToken, options, places) {
  const { port, originPort } = options;
  const response = await fetch(`${url}/api/sso/token`, {
    method: "POST",
    headers: { Authorization: `Token ${apiToken}`, "Content-Type": "application/json" },
    body: JSON.stringify({ email: "demo@example.com", first_name: "Demo", last_name: "User" }),
  });
  const answer = /** @type {{ token?: string }} */ (await response.json());
  if (!response.ok) throw new StepFailed(`the Worker issued no SSO token: ${response.status} ${JSON.stringify(answer)}`);
  return `
Edgeward is at ${url}, in front of the demo origin at http://${HOST}:${originPort}
The SSO gateway is at http://${GATEWAY}:${port} (docs/gateway.md, "Try it")
${aboutProvider(url, options, places)}
admin API token: ${apiToken}

An SSO token for a user:
  curl -s ${url}/api/sso/token -H 'Authorization: Token ${apiToken}' -H 'Content-Type: application/json' -d '{"email": "demo@example.com"}'

A link that signs you in, good for five minutes (for a new one: ${url}/?token=<SSO token>):
  ${url}/?token=${answer.token}

A signed assertion for your origin's own tests, which then need no Edgeward (examples/testing/README.md):
  node examples/testing/sign.js --email demo@example.com --audience http://${HOST}:${originPort}
and the key set that verifies it, for the origin under test:
  node examples/testing/sign.js --serve 8790

Ctrl-C stops everything.
`;
}

/** The children's output: held back until the Worker is ready, then passed on line by line. */
class Log {
  /** @type {string[]} */
  #lines = [];
  #rest = "";
  #isShown = false;

  /** @param {string} text */
  write(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!this.#isShown) this.#lines.push(line);
      else if (!/^(Attaching additional modules:|[┌│├└].*|⎔ Reloading.*|)$/.test(line)) process.stderr.write(`${line}\n`);
    }
  }

  /** Shows lines from now on; the lines held back are shown only if the start failed. */
  show({ held = false } = {}) {
    if (held) process.stderr.write(this.#lines.map((line) => `${line}\n`).join("") + this.#rest);
    this.#lines = [];
    this.#isShown = true;
  }
}

/** Rebuilds after a change; wrangler dev notices the new files in build/. */
function watchSources() {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  let building = false;
  let again = false;
  const rebuild = async () => {
    if (building) {
      again = true;
      return;
    }
    building = true;
    try {
      refuseOversize(await build());
    } catch (error) {
      process.stderr.write(`${error instanceof StepFailed ? error.output : ""}\ndev  ${messageOf(error)}; the last good build keeps running\n`);
    }
    building = false;
    if (again) {
      again = false;
      await rebuild();
    }
  };
  /** @type {(event: string, name: string | null) => void} */
  const changed = (_, name) => {
    if (name && !/\.(rs|js|html|css|svg|toml)$/.test(name)) return;
    clearTimeout(timer);
    timer = setTimeout(rebuild, SETTLE_MS);
  };
  for (const folder of ["src", "www", "kdf"].map((name) => at(name)).filter(existsSync)) {
    watch(folder, { recursive: true }, changed)
      .on("error", (error) => process.stderr.write(`dev  cannot watch ${folder}: ${error.message}\n`))
      .unref();
  }
}
