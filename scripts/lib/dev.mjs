// What `npm run dev` does: builds, makes secrets and a local API token, starts the demo origin, wrangler dev and, if it is asked
// for, the local provider, and rebuilds after changes.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { composed, described, judged, written } from "./dev-config.mjs";
import { HELP, LOCAL_FILE, PORT, readOptions, refuse } from "./dev-options.mjs";
import { watchFiles } from "./watch.mjs";
import { createToken } from "./first-token.mjs";
import { Children } from "./processes.mjs";
import { at, here, isPackage, pinnedNode, project, toolEnv, wrangler } from "./project.mjs";
import { listens, whenListens } from "./reach.mjs";
import { newSecret, newSecrets } from "./dev-secrets.mjs";
import { codeOf, StepFailed } from "./step.mjs";
import { DEMO_RULES, issuerAt, PEOPLE, PROVIDER_SECRET } from "./with-provider.mjs";

const HOST = "127.0.0.1";
const READY_MS = 60_000;
const POLL_MS = 100;

/** @import { Options } from "./dev-options.mjs" */
/** @import { Running } from "./dev-config.mjs" */

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
  if (options.providerPort) refuseWithoutProvider();
  const signals = new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => resolve(name));
  });
  // Whatever can be wrong is looked for before the Worker is built, so that it is told at once, and last on the screen.
  const folder = options.state ? path.resolve(options.state) : project;
  const configuration = composed(options, folder);
  const places = placesOf(options, configuration);
  await refuseBusyPorts(options, configuration);
  writeSecrets(places.secrets);
  const notes = await judged(configuration, places);
  const running = described(configuration, options);

  if (!isPackage) await (await import("./weigh.mjs")).buildAndWeigh();
  written(configuration, places);
  const clientSecret = newSecret();
  if (options.providerPort) writeFileSync(places.clientSecret, `${PROVIDER_SECRET}=${clientSecret}\n`, { mode: 0o600 });
  let apiToken = rememberedToken(places) ?? (await newToken(places));

  const children = new Children();
  const log = new Log();
  try {
    if (running.hasDemoOrigin) {
      children.start("the demo origin", [pinnedNode, at("examples/demo-origin/server.mjs"), "--port", String(options.originPort)], {
        cwd: project,
        env: toolEnv(),
        onOutput: (text) => log.write(text),
      });
    }
    if (options.providerPort) startProvider(children, options, { clientSecret, onOutput: (text) => log.write(text) });
    children.start("wrangler dev", [...wrangler, ...wranglerArguments(options, places)], {
      cwd: project,
      env: toolEnv({ CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "true" }), // reads the file of --env-file and no other
      onOutput: (text) => log.write(text),
    });
    const ended = Promise.race([signals, children.earlyEnd]);
    const allUp = Promise.all([waitUntilHealthy(running.api), options.providerPort && waitForProvider(options.providerPort)]).then(() => true);
    const isUp = await Promise.race([allUp, ended]);
    if (isUp === true) {
      if (!(await tokenWorks(running.api, apiToken))) apiToken = await newToken(places);
      const silent = await silentUpstreams(running);
      console.log(
        await welcome(running, apiToken, { options, places, warnings: [...notes.map((note) => `note: ${note}`), ...silent.map(({ told }) => told)] }),
      );
      log.show();
      for (const { to } of silent) whenListens(to, () => process.stderr.write(`dev  ${to} answers now\n`));
      if (options.watch) {
        if (!isPackage) (await import("./dev-watch.mjs")).watchSources();
        watchFiles([path.join(folder, LOCAL_FILE), ...(configuration.isPlain ? [] : [here("wrangler.toml")])], () =>
          renew(options, { before: configuration, folder, places }),
        );
      }
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

/** The package does without the provider's program, which is for trying alone. */
function refuseWithoutProvider() {
  try {
    import.meta.resolve("oidc-provider");
  } catch {
    throw new StepFailed("--with-provider needs a program that is not there: npm install --save-dev oidc-provider");
  }
}

/**
 * Writes the configuration anew after a change of its files, if it is good; wrangler dev notices that.
 * @param {Options} options
 * @param {{ before: ReturnType<typeof composed>, folder: string, places: Places }} running
 */
async function renew(options, { before, folder, places }) {
  const now = composed(options, folder);
  await judged(now, places);
  described(now, options);
  if (now.isPlain !== before.isPlain || now.hasDemoOrigin !== before.hasDemoOrigin) throw new StepFailed("this change needs a new start of npm run dev");
  written(now, places);
  process.stderr.write("dev  the configuration has changed, and is in use in a moment\n");
}

/**
 * The files of this run. Unless it runs wrangler.toml as it is, a configuration is written beside the token.
 * @param {Options} options
 * @param {{ isPlain: boolean }} configuration
 */
function placesOf({ port, providerPort, state }, { isPlain }) {
  const folder = state ? path.resolve(state) : here(".edgeward");
  return {
    folder,
    token: path.join(folder, "dev.json"),
    secrets: state ? path.join(folder, ".dev.vars") : here(".dev.vars"),
    storage: state ? path.join(folder, "kv") : here(".wrangler/state"),
    config: isPlain ? here("wrangler.toml") : path.join(folder, `wrangler.${port}${providerPort === undefined ? "" : ".provider"}.json`),
    clientSecret: path.join(folder, `provider.${port}.vars`),
  };
}

/**
 * @param {Options} options
 * @param {{ hasDemoOrigin: boolean }} configuration
 */
async function refuseBusyPorts({ port, originPort, providerPort }, { hasDemoOrigin }) {
  const problems = await Promise.all([
    busyPort(port, "--port"),
    hasDemoOrigin ? busyPort(originPort, "--origin-port") : undefined,
    providerPort === undefined ? undefined : busyPort(providerPort, "--provider-port", new URL(issuerAt(providerPort)).hostname),
  ]);
  refuse(problems.filter((problem) => problem !== undefined));
}

/**
 * Why a port cannot be used, if so.
 * @param {number} port
 * @param {string} option
 */
async function busyPort(port, option, host = HOST) {
  const server = net.createServer();
  try {
    await /** @type {Promise<void>} */ (new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve)));
  } catch (error) {
    const reason = codeOf(error) === "EADDRINUSE" ? "is in use" : `cannot be used (${codeOf(error)})`;
    return `port ${port} ${reason}: stop the program that uses it, or choose another port with npm run dev -- ${option} <n>`;
  }
  await new Promise((resolve) => server.close(resolve));
  return undefined;
}

// secrets ------------------------------------------------------------------------------------------------------

/** @param {string} file */
function writeSecrets(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    writeFileSync(file, newSecrets(), { mode: 0o600, flag: "wx" });
    process.stderr.write(`dev  made ${path.relative(project, file)} with new secrets\n`);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/**
 * @param {Options} options
 * @param {Places} places
 */
function wranglerArguments({ port, providerPort }, { config, secrets, clientSecret, storage }) {
  const files = providerPort === undefined ? [secrets] : [secrets, clientSecret];
  const where = ["--config", config, "--env", "local", ...files.flatMap((file) => ["--env-file", file]), "--persist-to", storage];
  // Beside another `npm run dev` the debugger's usual port may be in use, or about to be.
  const inspector = port === PORT ? [] : ["--inspector-port", "0"];
  const listen = ["--ip", HOST, "--port", String(port), "--local-protocol", "http", ...inspector];
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
async function newToken({ folder, token: file, config, storage }) {
  const token = await createToken({ env: "local", options: ["--config", config, "--persist-to", storage] }, { name: "local-dev", scopes: ["admin"] });
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ token }, null, 2)}\n`, { mode: 0o600 });
  return token;
}

/**
 * @param {string} api
 * @param {string} token
 */
async function tokenWorks(api, token) {
  const response = await fetch(`${api}/tokens?limit=1`, { headers: { Authorization: `Token ${token}` } });
  await response.arrayBuffer();
  return response.ok;
}

// running ------------------------------------------------------------------------------------------------------

/** @param {string} api */
async function waitUntilHealthy(api) {
  const deadline = Date.now() + READY_MS;
  let last = "it did not answer";
  while (Date.now() < deadline) {
    try {
      const response = await fetch(`${api}/health`);
      if (response.ok) return true;
      last = `it answered ${response.status}: ${(await response.text()).slice(0, 200)}`;
      if (response.status === 500) break;
    } catch {
      // not listening yet
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new StepFailed(`the Worker did not start: ${api}/health: ${last}`);
}

/**
 * @param {Children} children
 * @param {Options} options
 * @param {{ clientSecret: string, onOutput: (text: string) => void }} given
 */
function startProvider(children, { port, providerPort }, { clientSecret, onOutput }) {
  const command = [pinnedNode, at("scripts/lib/local-provider.mjs"), String(providerPort), `http://${HOST}:${port}/api/sso/callback/local`];
  children.start("the local provider", command, { cwd: project, env: toolEnv({ LOCAL_CLIENT_SECRET: clientSecret }), onOutput });
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
 * @param {Running} running
 * @param {Options} options
 * @param {Places} places
 */
function aboutProvider({ url, api, site, hasDemoOrigin }, { providerPort }, { config }) {
  if (providerPort === undefined) return "";
  const people = Object.values(PEOPLE).map(({ name, email, about }) => `  ${name} (${email}) ${about}`);
  const open =
    hasDemoOrigin && site.rules === DEMO_RULES
      ? `${url}/admin, which needs the role admin`
      : `${url}/; your application is told the role in x-forwarded-groups`;
  return `
Sign in with the OpenID provider at ${issuerAt(providerPort)}, at which two people have an account:
${people.join("\n")}
Open ${open}. To come back as the other one, sign out at ${api}/logout
The settings are in ${path.relative(project, config)}; docs/sign-in.md, "Try it", explains them.
`;
}

/**
 * The upstreams at which nothing listens, and what is told of each. The demo origin is ours, so it is left out.
 * @param {Running} running
 */
async function silentUpstreams({ fronts }) {
  const upstreams = [...new Set(fronts.flatMap(({ to, isDemo }) => (isDemo ? [] : [to])))];
  const asked = await Promise.all(upstreams.map(async (to) => ((await listens(to)) ? [] : [{ to, told: await aboutSilence(to) }])));
  return asked.flat();
}

/** @param {string} upstream */
async function aboutSilence(upstream) {
  const other = upstream.replace("://127.0.0.1", "://localhost");
  const elsewhere = other !== upstream && (await listens(other)) ? ` Something listens at ${other}: if that is your application, use this URL.` : "";
  return `warning: nothing listens at ${upstream}.${elsewhere || " Start your application there, or give its URL with --upstream."} Until then, whoever is signed in gets 502.`;
}

/**
 * @param {Running} running
 * @param {string} apiToken
 * @param {{ options: Options, places: Places, warnings: string[] }} more
 */
async function welcome(running, apiToken, { options, places, warnings }) {
  const { url, api, site, gateway, fronts, about } = running;
  const response = await fetch(`${api}/token`, {
    method: "POST",
    headers: { Authorization: `Token ${apiToken}`, "Content-Type": "application/json" },
    body: JSON.stringify({ email: "demo@example.com", first_name: "Demo", last_name: "User" }),
  });
  const answer = /** @type {{ token?: string }} */ (await response.json());
  if (!response.ok) throw new StepFailed(`the Worker issued no SSO token: ${response.status} ${JSON.stringify(answer)}`);
  const lines = fronts.map(
    ({ from, to, isDemo }) => `Edgeward is at ${from.join(" and ")}, in front of ${isDemo ? "the demo origin" : "your application"} at ${to}`,
  );
  const signer = path.relative(project, at("examples/testing/sign.js"));
  const link = `${url}/?${site.query?.parameter ?? "token"}=`;
  return `
${lines.join("\n")}
${gateway ? `The SSO gateway is at ${gateway} (docs/gateway.md, "Try it")\n` : ""}The configuration is ${about}
${aboutProvider(running, options, places)}
admin API token: ${apiToken}

An SSO token for a user:
  curl -s ${api}/token -H 'Authorization: Token ${apiToken}' -H 'Content-Type: application/json' -d '{"email": "demo@example.com"}'
${
  site.sources?.includes("query")
    ? `
A link that signs you in, good for five minutes (for a new one: ${link}<SSO token>):
  ${link}${answer.token}
`
    : ""
}${
  site.assertion
    ? `
A signed assertion for your origin's own tests, which then need no Edgeward (docs/integrate.md):
  node ${signer} --email demo@example.com --audience ${site.assertion.audience ?? site.upstream}
and the key set that verifies it, for the origin under test:
  node ${signer} --serve 8790
`
    : ""
}
${warnings.map((one) => `${one}\n`).join("")}Ctrl-C stops everything.
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
