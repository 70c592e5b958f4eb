// A whole world for a test file: the built Worker in workerd (by Miniflare), its KV and Durable
// Object, and a recording HTTP origin behind it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare, Response as WorkerResponse } from "miniflare";
import { APART } from "../../../scripts/lib/apart.mjs";
import { builtCore } from "../../../scripts/lib/core.mjs";
import { newSecret, until } from "./fresh.mjs";
import { startOrigin } from "./origin.mjs";
import { Site } from "./site.mjs";

/** @import { Origin } from "./origin.mjs" */

export { newEmail, newPath, newSecret, now, until } from "./fresh.mjs";
export { CLIENT, NAVIGATION, SCRIPT, Site, signInAgain } from "./site.mjs";

/** @typedef {{ hosts?: string[], upstream?: string } & Record<string, unknown>} SiteSettings Laid over `siteDefaults`; `undefined` leaves a key out. */
/** @typedef {Record<string, Record<string, string> | null | undefined>} Secrets Family → number → value; null for none. */
/** @typedef {ConstructorParameters<typeof WorkerResponse>} Answered What a Worker's `fetch` is answered: body, and status and headers. */
/**
 * - `sites`: name → settings over `siteDefaults`; without it one site, `APP`
 * - `script`: the file of another JavaScript around the same Wasm
 * - `edgeward`: the global settings
 * - `secrets`: family → number → value, over one generated secret per family (`null` for none)
 * - `vars`: any further variables
 * - `isolates`: how many Workers run the same configuration over the same KV (as Cloudflare does)
 * - `limits`: `{ calls, failures, signIns }` per minute; far away by default
 * - `outbound`: answers what the Worker fetches, in place of the network
 * - `mail`: to whom mail may go, by Miniflare's binding for it; see `World.mails`
 * - `metrics`: the counters are added up, in an object of the first Worker
 * - `directory`: users are found by their names, in an object of the first Worker
 * - `cf`: what the CDN tells of each request, as far as it comes over https
 * - `broken`: the configuration is wrong on purpose
 * - `unbound`: names of bindings that are missing
 * - `variants`: name → options as above: differently configured Workers beside the first
 * @typedef {object} WorldOptions
 * @property {Record<string, SiteSettings>} [sites]
 * @property {string} [script]
 * @property {Record<string, unknown>} [edgeward]
 * @property {Secrets} [secrets]
 * @property {Record<string, unknown>} [vars]
 * @property {number} [isolates]
 * @property {{ calls?: number, failures?: number, signIns?: number }} [limits]
 * @property {(request: import("miniflare").Request) => Answered | Promise<Answered>} [outbound]
 * @property {{ allowedDestinationAddresses?: string[] }} [mail]
 * @property {boolean} [metrics]
 * @property {boolean} [directory]
 * @property {Record<string, unknown>} [cf]
 * @property {boolean} [broken]
 * @property {string[]} [unbound]
 * @property {Record<string, WorldOptions>} [variants]
 */

/**
 * The KV namespace, as far as tests use it.
 * @typedef {object} Kv
 * @property {(key: string) => Promise<string | null>} get
 * @property {(key: string, value: string) => Promise<void>} put
 * @property {(key: string) => Promise<void>} delete
 * @property {(options?: { prefix?: string, cursor?: string }) => Promise<{ keys: { name: string }[], list_complete: boolean, cursor?: string }>} list
 */

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const BUILD = process.env.EDGEWARD_BUILD_DIR ?? path.join(PROJECT, "build");
const COMPATIBILITY_DATE = "2026-11-01";
/** The Durable Objects' classes. */
const CLASSES = ["Once", "Record", "Attempts", "Outbox", "Audit"];

/** What ships beside the script, as far as the build has it. */
const modulesBeside = () =>
  Object.fromEntries(
    ["edgeward.wasm", ...APART]
      .filter((name) => existsSync(path.join(BUILD, name)))
      .map((name) => [name, { type: name.endsWith(".wasm") ? "wasm" : "data", contents: readFileSync(path.join(BUILD, name)) }]),
  );

/**
 * @param {string[] | undefined} names
 * @param {Record<string, object>} bindings
 */
const without = (names, bindings) => Object.fromEntries(Object.entries(bindings).filter(([name]) => !names?.includes(name)));

/**
 * The settings of a site that a test does not care about. Every site of a world has these, under
 * the host `<name>.example.test`, except for what the test says; `undefined` leaves a key out.
 * @param {string} name
 * @param {Origin} origin
 */
export const siteDefaults = (name, origin) => ({
  hosts: [`${name.toLowerCase()}.example.test`],
  upstream: origin.url,
  sources: ["session", "sso_cookie", "query", "bearer"],
  unauthenticated: "deny",
  sso_cookie: { name: "ls_auth_token" },
  query: { single_use: false, user_switch: "confirm" },
  identity_headers: ["x-forwarded", "remote"],
});

/**
 * Starts a world.
 * @param {WorldOptions} [options]
 */
export async function startWorld(options = {}) {
  const world = new World(options, await startOrigin());
  await world.start();
  return world;
}

/** A Worker in the same workerd that logs the URLs it is asked for, see `World.settled`. */
const MARKER = {
  config: {
    name: "marker",
    compatibilityDate: COMPATIBILITY_DATE,
    manifest: {
      mainModule: "marker.js",
      modulesRoot: PROJECT,
      modules: { "marker.js": { type: "esm", contents: "export default { fetch(request) { console.log(request.url); return new Response(); } }" } },
    },
  },
  dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
};

/** Keeps what Miniflare says of each mail: its headers, and the files with its texts. */
class MailLog extends Log {
  /** @type {string[]} */
  mails = [];

  /**
   * @override
   * @param {string} message
   */
  log(message) {
    if (message.includes("send_email binding called")) this.mails.push(message);
  }
}

export class World {
  #options;
  #mailLog = new MailLog(LogLevel.INFO);
  /** @type {Miniflare | undefined} */
  #miniflare;
  #folder = mkdtempSync(path.join(tmpdir(), "edgeward-test-"));
  #agent = new http.Agent({ keepAlive: true });
  /** @type {Map<string, string>} */
  #apiTokens = new Map();
  /** @type {Map<string, number>} */
  #ports = new Map();
  #stopped = false;

  /**
   * @param {WorldOptions} options
   * @param {Origin} origin
   */
  constructor(options, origin) {
    this.#options = options;
    this.origin = origin;
    /**
     * Every line that the Worker and its runtime wrote: `{ level, message }`.
     * @type {{ level: string, message: string }[]}
     */
    this.logs = [];
  }

  async start() {
    await this.#run();
    if (this.#options.broken) return;
    const health = await this.site(Object.keys(this.#options.sites ?? { APP: {} })[0]).client("/api/sso/health");
    if (health.status === 200) return;
    const logged = JSON.stringify(this.logs, null, 1);
    await this.stop();
    throw new Error(`the world does not work: ${health}\n${logged}`);
  }

  /** The secrets by family and number: what the Worker has as `EDGEWARD_<FAMILY>_SECRET_<n>`. */
  get secrets() {
    const secrets = (this.#options.secrets ??= {});
    /** @param {string} family */
    const of = (family) => {
      if (secrets[family] === undefined) secrets[family] = { 1: newSecret() };
      return secrets[family] ?? {};
    };
    return { session: of("session"), token: of("token"), key: of("key") };
  }

  /** @param {WorldOptions} options */
  #environment({ sites = { APP: {} }, edgeward = {}, vars = {}, secrets }) {
    /** @type {Record<string, object>} */
    const environment = { EDGEWARD: { type: "json", value: edgeward } };
    for (const [name, settings] of Object.entries(sites)) {
      const value = JSON.parse(JSON.stringify({ ...siteDefaults(name, this.origin), ...settings }));
      environment[`EDGEWARD_SITE_${name}`] = { type: "json", value };
    }
    for (const [family, values] of Object.entries({ ...this.secrets, ...secrets })) {
      for (const [number, value] of Object.entries(values ?? {})) {
        environment[`EDGEWARD_${family.toUpperCase()}_SECRET_${number}`] = { type: "text", value };
      }
    }
    for (const [name, value] of Object.entries(vars)) {
      environment[name] = typeof value === "string" ? { type: "text", value } : { type: "json", value };
    }
    return environment;
  }

  /**
   * @param {string} name
   * @param {WorldOptions} options
   * @param {string} first
   */
  #worker(name, options, first) {
    const { calls = 1_000_000, failures = 1_000_000, signIns = 1_000_000 } = options.limits ?? {};
    const { outbound } = options;
    /**
     * @param {string} namespace
     * @param {number} simple
     */
    const limit = (namespace, simple) => ({ type: "rate-limit", namespace, simple: { limit: simple, period: 60 } });
    return {
      config: {
        name,
        compatibilityDate: COMPATIBILITY_DATE,
        manifest: {
          mainModule: "worker.js",
          modulesRoot: BUILD,
          modules: {
            "worker.js": { type: "esm", contents: readFileSync(options.script ?? path.join(BUILD, "worker.js"), "utf8") },
            ...modulesBeside(),
          },
        },
        env: without(options.unbound, {
          EDGEWARD_KV: { type: "kv", id: "edgeward" },
          EDGEWARD_ONCE: { type: "durable-object", worker: first, exportName: "Once" },
          EDGEWARD_RECORD: { type: "durable-object", worker: first, exportName: "Record" },
          EDGEWARD_OUTBOX: { type: "durable-object", worker: first, exportName: "Outbox" },
          EDGEWARD_AUDIT: { type: "durable-object", worker: first, exportName: "Audit" },
          EDGEWARD_ATTEMPTS: { type: "durable-object", worker: first, exportName: "Attempts" },
          ...(this.#options.directory && { EDGEWARD_DIRECTORY: { type: "durable-object", worker: first, exportName: "Directory" } }),
          ...(this.#options.metrics && { EDGEWARD_METRICS: { type: "durable-object", worker: first, exportName: "Metrics" } }),
          ...(options.mail && { EDGEWARD_EMAIL: { type: "send-email", ...options.mail } }),
          EDGEWARD_LIMIT: limit(`${name}-calls`, calls),
          EDGEWARD_FAILURE_LIMIT: limit(`${name}-failures`, failures),
          EDGEWARD_SIGN_IN_LIMIT: limit(`${name}-sign-ins`, signIns),
          ...this.#environment(options),
        }),
        ...(name === first
          ? {
              exports: Object.fromEntries(
                [...CLASSES, ...(this.#options.directory ? ["Directory"] : []), ...(this.#options.metrics ? ["Metrics"] : [])].map((className) => [
                  className,
                  { type: "durable-object", storage: "sqlite" },
                ]),
              ),
            }
          : {}),
      },
      dev: {
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
        stripCfConnectingIp: false,
        ...(outbound && {
          outboundService: {
            type: "fetcher",
            handler: async (/** @type {import("miniflare").Request} */ request) => new WorkerResponse(...(await outbound(request))),
          },
        }),
      },
    };
  }

  #miniflareOptions() {
    const names = Array.from({ length: this.#options.isolates ?? 1 }, (_, i) => (i === 0 ? "edge" : `edge-${i + 1}`));
    const workers = names.map((name) => this.#worker(name, this.#options, names[0]));
    for (const [name, variant] of Object.entries(this.#options.variants ?? {})) workers.push(this.#worker(name, variant, names[0]));
    return {
      host: "127.0.0.1",
      port: 0,
      cf: this.#options.cf ?? false,
      logRequests: false,
      resourcePersistencePath: this.#folder,
      ...(this.#options.mail && { log: this.#mailLog }),
      handleStructuredLogs: (/** @type {{ level: string, message: string }} */ { level, message }) => this.logs.push({ level, message }),
      workers: [...workers, MARKER],
    };
  }

  async #run() {
    this.#pid = undefined;
    const options = this.#miniflareOptions();
    if (this.#miniflare) await this.#miniflare.setOptions(options);
    const miniflare = (this.#miniflare ??= new Miniflare(options));
    this.#entry = await miniflare.ready;
    this.#agent.destroy();
    this.#agent = new http.Agent({ keepAlive: true });
    for (const { config } of options.workers) {
      const url = await miniflare.unsafeGetDirectURL(config.name);
      this.#ports.set(config.name, Number(url.port));
    }
  }
  /** @type {URL | undefined} */
  #entry;

  /** What runs the Workers. */
  get #running() {
    if (this.#miniflare === undefined) throw new Error("the world is not running");
    return this.#miniflare;
  }

  /** Kills the runtime as a power cut would, and starts it anew over what it had on its disk. */
  async kill() {
    process.kill(this.#runtime.pid, "SIGKILL");
    await this.#miniflare?.dispose().catch(() => {});
    this.#miniflare = undefined;
    await this.#run();
  }

  /**
   * Starts the Worker anew, with cold caches, over the same KV; `changes` are laid over the options.
   * @param {WorldOptions} [changes]
   */
  async restart(changes = {}) {
    this.#options = { ...this.#options, ...changes };
    await this.#run();
  }

  /**
   * The mails that were sent, as Miniflare took them: `head` has From, To and Subject.
   * @returns {{ head: string, text: string, html: string }[]}
   */
  get mails() {
    return this.#mailLog.mails.map((message) => {
      const file = (/** @type {string} */ name) => readFileSync(new RegExp(`^${name}: (.*)$`, "m").exec(message)?.[1] ?? "", "utf8");
      return { head: message.slice(message.indexOf("From:"), message.indexOf("\n\n")), text: file("Text"), html: file("HTML") };
    });
  }

  /** Where the runtime keeps what outlives it. */
  get folder() {
    return this.#folder;
  }

  /**
   * The port of a Worker's own socket; bytes go to it unchanged.
   * @param {string} [worker]
   */
  port(worker = "edge") {
    const port = this.#ports.get(worker);
    if (port === undefined) throw new Error(`no Worker is named ${worker}`);
    return port;
  }

  /** The port of Miniflare's entry socket, which can pretend https: it honours `X-Forwarded-Proto`, as the TLS end of a CDN. */
  get entryPort() {
    return Number(this.#entry?.port);
  }

  /**
   * The KV namespace as the Worker has it.
   * @returns {Promise<Kv>}
   */
  get kv() {
    return this.#running.getKVNamespace("EDGEWARD_KV", "edge");
  }

  /** Every key and value of the KV namespace. */
  async kvEntries() {
    const kv = await this.kv;
    /** @type {[key: string, value: string][]} */
    const entries = [];
    /** @type {string | undefined} */
    let cursor;
    do {
      const page = await kv.list({ cursor });
      for (const { name } of page.keys) {
        const value = await kv.get(name);
        // Deleted since it was listed.
        if (value !== null) entries.push([name, value]);
      }
      cursor = page.list_complete ? undefined : page.cursor;
    } while (cursor);
    return entries;
  }

  /**
   * The Worker's log lines that are JSON objects with this `event`.
   * @param {string} [event]
   */
  events(event) {
    return this.logs.flatMap(({ message }) => {
      try {
        const line = JSON.parse(message);
        return event === undefined || line.event === event ? [line] : [];
      } catch {
        return [];
      }
    });
  }

  /** Resolves when all that was logged so far has come here: the runtime's pipe keeps the order. */
  async settled() {
    const marker = `settled-${randomBytes(8).toString("hex")}`;
    const worker = await this.#running.getWorker("marker");
    await worker.fetch(`http://marker/${marker}`);
    await until(() => this.logs.some(({ message }) => message.includes(marker)));
    this.logs = this.logs.filter(({ message }) => !message.includes("settled-"));
  }

  /** One site of the first Worker, or of another one by name. */
  site(name = "APP", worker = "edge") {
    const named = (this.#options.sites ?? { APP: {} })[name]?.hosts?.[0] ?? `${name.toLowerCase()}.example.test`;
    // A site below a path is called with its whole path, as by a browser.
    const [host] = named.split("/");
    return new Site(
      this,
      name,
      host,
      // Only the entry takes a scheme from a header.
      (secure) => (secure && worker === "edge" ? this.entryPort : this.port(worker)),
      () => this.#agent,
    );
  }

  /** The first admin API token: made by the core of the commands and put into KV, as a deployer would. */
  async adminToken() {
    const known = this.#apiTokens.get("first");
    if (known !== undefined) return known;
    const made = (await builtCore())("token-create", { name: "test", scopes: ["admin"] });
    const { token, key, value } = /** @type {{ token: string, key: string, value: string }} */ (made);
    await (await this.kv).put(key, value);
    this.#apiTokens.set("first", token);
    return token;
  }

  /**
   * An API token with these scopes; one per set of scopes and world.
   * @param {...string} scopes
   */
  async apiToken(...scopes) {
    if (scopes.length === 0 || scopes.join() === "admin") return this.adminToken();
    const key = scopes.toSorted().join();
    const known = this.#apiTokens.get(key);
    if (known !== undefined) return known;
    const answer = await this.site(Object.keys(this.#options.sites ?? { APP: {} })[0]).admin("POST", "/api/sso/tokens", { name: key, scopes });
    assert.equal(answer.status, 201, String(answer));
    /** @type {{ token: string }} */
    const { token } = answer.json;
    this.#apiTokens.set(key, token);
    return token;
  }

  /** Resident memory of workerd in bytes. */
  get memory() {
    this.#pid ??= this.#runtime.pid;
    if (!existsSync("/proc/self/status")) return processes().find(({ pid }) => pid === this.#pid)?.memory ?? Number.NaN;
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#pid}/status`, "utf8"))?.[1]) * 1024;
  }
  /** @type {number | undefined} */
  #pid;

  /** The runtime's process. */
  get #runtime() {
    const runtime = processes().find(({ parent, command }) => parent === process.pid && command.includes("workerd"));
    if (runtime === undefined) throw new Error("workerd is not running");
    return runtime;
  }

  /**
   * Stops everything, and fails when a secret or a credential was written to the log: every test
   * file is a canary test in this way (SEC-63).
   */
  async stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#agent.destroy();
    await this.settled();
    await this.#miniflare?.dispose();
    await this.origin?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    const log = this.logs.map(({ message }) => message).join("\n");
    for (const [family, values] of Object.entries(this.secrets)) {
      for (const value of Object.values(values)) assert.ok(value.length < 8 || !log.includes(value), `a ${family} secret was logged`);
    }
    assert.doesNotMatch(log, /ewt_[\w-]{8}/, "an API token was logged");
    // Not within a random id, which may hold these letters by chance.
    assert.doesNotMatch(log, /(?<![\w-])eyJ[\w-]{8}/, "a JWT was logged");
    assert.doesNotMatch(log, /panicked|(?<!origin_)unreachable|RuntimeError/, "the Worker panicked");
  }
}

/** @returns {{ pid: number, parent: number, command: string, memory?: number }[]} */
function processes() {
  if (existsSync("/proc/self/status")) {
    const pids = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
    return pids.map((pid) => ({ pid: Number(pid), parent: process.pid, command: readFileSync(`/proc/${pid}/cmdline`, "utf8") }));
  }
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,rss=,comm="], { encoding: "utf8" }).trim().split("\n");
  return lines.map((line) => {
    const [pid, parent, kilobytes, ...command] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), memory: Number(kilobytes) * 1024, command: command.join(" ") };
  });
}
