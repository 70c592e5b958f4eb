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
import { Miniflare, Response as WorkerResponse } from "miniflare";
import { open, openWebSocket, send } from "./http.mjs";
import { startOrigin } from "./origin.mjs";

/** @import { Outgoing, Pair } from "./http.mjs" */
/** @import { Origin } from "./origin.mjs" */

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
 * - `limits`: `{ calls, failures }` per minute; far away by default
 * - `outbound`: answers what the Worker fetches, in place of the network
 * - `broken`: the configuration is wrong on purpose
 * - `variants`: name → options as above: differently configured Workers beside the first
 * @typedef {object} WorldOptions
 * @property {Record<string, SiteSettings>} [sites]
 * @property {string} [script]
 * @property {Record<string, unknown>} [edgeward]
 * @property {Secrets} [secrets]
 * @property {Record<string, unknown>} [vars]
 * @property {number} [isolates]
 * @property {{ calls?: number, failures?: number }} [limits]
 * @property {(request: import("miniflare").Request) => Answered | Promise<Answered>} [outbound]
 * @property {boolean} [broken]
 * @property {Record<string, WorldOptions>} [variants]
 */

/** @typedef {string[][] | Record<string, string | undefined>} HeaderList Pairs, or an object, of which what is undefined is not sent. */
/**
 * How a request is sent: `headers` over those of `kind`, which is one of NAVIGATION, SCRIPT and CLIENT; `host` is null for none.
 * @typedef {object} Sending
 * @property {HeaderList} [headers]
 * @property {string} [cookie]
 * @property {string} [bearer]
 * @property {string[][]} [kind]
 * @property {string | null} [host]
 * @property {Outgoing["body"]} [body]
 */
/**
 * The KV namespace, as far as tests use it.
 * @typedef {object} Kv
 * @property {(key: string) => Promise<string | null>} get
 * @property {(key: string, value: string) => Promise<void>} put
 * @property {(key: string) => Promise<void>} delete
 * @property {(options?: { prefix?: string, cursor?: string }) => Promise<{ keys: { name: string }[], list_complete: boolean, cursor?: string }>} list
 */
/** @typedef {{ token?: string | null, headers?: HeaderList }} Calling Of the admin API; with null no token is sent. */
/**
 * A user as the admin API tells it.
 * @typedef {object} User
 * @property {string} id
 * @property {string} email
 * @property {string} username
 * @property {string} first_name
 * @property {string} last_name
 * @property {boolean} active
 * @property {boolean} staff
 * @property {boolean} superuser
 * @property {string[]} roles
 * @property {string} [tenant]
 * @property {Record<string, { id: number }>} [accounts] At applications that have accounts of their own.
 * @property {number | null} sessions_valid_after
 * @property {number} created_at
 * @property {number} updated_at
 */

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const BUILD = process.env.EDGEWARD_BUILD_DIR ?? path.join(PROJECT, "build");
/** The admin command, as `npm run admin` runs it. */
export const ADMIN_BINARY =
  process.env.EDGEWARD_ADMIN_BINARY ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(PROJECT, "target"), "debug", "edgeward-admin");
const COMPATIBILITY_DATE = "2026-11-01";

/**
 * What a top-level navigation of a browser sends.
 * @type {Pair[]}
 */
export const NAVIGATION = [
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
  ["Sec-Fetch-Mode", "navigate"],
  ["Sec-Fetch-Dest", "document"],
  ["Sec-Fetch-Site", "none"],
];
/**
 * What `fetch` of a page's own script sends.
 * @type {Pair[]}
 */
export const SCRIPT = [
  ["Accept", "*/*"],
  ["Sec-Fetch-Mode", "cors"],
  ["Sec-Fetch-Dest", "empty"],
  ["Sec-Fetch-Site", "same-origin"],
];
/**
 * What a client that is no browser sends.
 * @type {Pair[]}
 */
export const CLIENT = [["Accept", "application/json"]];

/** A secret that satisfies every rule for secrets. */
export const newSecret = () => randomBytes(32).toString("base64url");

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

export class World {
  #options;
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
    const { calls = 1_000_000, failures = 1_000_000 } = options.limits ?? {};
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
            ...(existsSync(path.join(BUILD, "edgeward.wasm"))
              ? { "edgeward.wasm": { type: "wasm", contents: readFileSync(path.join(BUILD, "edgeward.wasm")) } }
              : {}),
          },
        },
        env: {
          EDGEWARD_KV: { type: "kv", id: "edgeward" },
          EDGEWARD_ONCE: { type: "durable-object", worker: first, exportName: "Once" },
          EDGEWARD_RECORD: { type: "durable-object", worker: first, exportName: "Record" },
          EDGEWARD_LIMIT: limit(`${name}-calls`, calls),
          EDGEWARD_FAILURE_LIMIT: limit(`${name}-failures`, failures),
          ...this.#environment(options),
        },
        ...(name === first ? { exports: { Once: { type: "durable-object", storage: "sqlite" }, Record: { type: "durable-object", storage: "sqlite" } } } : {}),
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
      cf: false,
      logRequests: false,
      resourcePersistencePath: this.#folder,
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
    const host = (this.#options.sites ?? { APP: {} })[name]?.hosts?.[0] ?? `${name.toLowerCase()}.example.test`;
    return new Site(
      this,
      name,
      host,
      () => this.port(worker),
      () => this.#agent,
    );
  }

  /** The first admin API token: made by `edgeward-admin` and put into KV, as a deployer would. */
  async adminToken() {
    const known = this.#apiTokens.get("first");
    if (known !== undefined) return known;
    const printed = execFileSync(ADMIN_BINARY, ["token", "create", "--name", "test", "--scope", "admin", "--print-record"], { encoding: "utf8" });
    /** @type {{ token: string, key: string, value: unknown }} */
    const { token, key, value } = JSON.parse(printed);
    await (await this.kv).put(key, typeof value === "string" ? value : JSON.stringify(value));
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
    assert.doesNotMatch(log, /panicked|unreachable|RuntimeError/, "the Worker panicked");
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

/** One site as its visitors see it. */
export class Site {
  #port;
  #agent;
  /**
   * @param {World} world
   * @param {string} name
   * @param {string} host
   * @param {() => number} port
   * @param {() => http.Agent} agent
   */
  constructor(world, name, host, port, agent) {
    this.world = world;
    this.name = name;
    this.host = host;
    /** The site's own origin, in the sense of RFC 6454. */
    this.origin = `http://${host}`;
    this.#port = port;
    this.#agent = agent;
  }
  get port() {
    return this.#port();
  }

  /** @param {Sending} options */
  #headers({ headers = [], cookie, bearer, kind = CLIENT, host = this.host }) {
    const own = pairsOf(headers);
    const given = new Set(own.map(([name]) => name.toLowerCase()));
    /** @type {Pair[]} */
    const list = host === null || given.has("host") ? [] : [["Host", host]];
    list.push(...pairsOf(kind).filter(([name]) => !given.has(name.toLowerCase())));
    if (cookie) list.push(["Cookie", cookie]);
    if (bearer) list.push(["Authorization", `Bearer ${bearer}`]);
    return [...list, ...own];
  }

  /**
   * Sends a request. `headers` is a list of pairs or an object; `kind` one of NAVIGATION, SCRIPT, CLIENT.
   * @param {string} method
   * @param {string} path
   * @param {Sending} [options]
   */
  send(method, path, options = {}) {
    return send({ port: this.port, agent: this.#agent(), method, path, headers: this.#headers(options), body: options.body });
  }
  /**
   * The same with the body left open, see `open` in http.mjs.
   * @param {string} method
   * @param {string} path
   * @param {Sending} [options]
   */
  open(method, path, options = {}) {
    return open({ port: this.port, method, path, headers: this.#headers(options) });
  }
  /**
   * A browser goes to a page.
   * @param {string} path
   * @param {Sending} [options]
   */
  navigate(path, options = {}) {
    return this.send("GET", path, { kind: NAVIGATION, ...options });
  }
  /**
   * A script of the page asks for something.
   * @param {string} path
   * @param {Sending} [options]
   */
  script(path, options = {}) {
    return this.send("GET", path, { kind: SCRIPT, ...options });
  }
  /**
   * A client that is no browser asks for something.
   * @param {string} path
   * @param {Sending} [options]
   */
  client(path, options = {}) {
    return this.send("GET", path, { kind: CLIENT, ...options });
  }
  /**
   * A form is submitted by a browser.
   * @param {string} path
   * @param {Record<string, string>} fields
   * @param {Sending} [options]
   */
  form(path, fields, options = {}) {
    const { headers = [], ...rest } = options;
    const own = pairsOf(headers);
    const given = new Set(own.map(([name]) => name.toLowerCase()));
    /** @type {Pair[]} */
    const usual = [
      ["Origin", this.origin],
      ["Sec-Fetch-Site", "same-origin"],
      ["Content-Type", "application/x-www-form-urlencoded"],
    ];
    const list = [...usual.filter(([name]) => !given.has(name.toLowerCase())), ...own];
    return this.send("POST", path, { kind: NAVIGATION, body: new URLSearchParams(fields).toString(), headers: list, ...rest });
  }
  /**
   * @param {string} path
   * @param {Sending} [options]
   */
  webSocket(path, options = {}) {
    return openWebSocket({ port: this.port, path, headers: this.#headers({ kind: [], ...options }) });
  }

  /**
   * A call of the admin API, with the admin API token unless `token` says otherwise (`null` for none).
   * @param {string} method
   * @param {string} path
   * @param {unknown} [json]
   * @param {Calling} [options]
   */
  async admin(method, path, json, { token, headers = [] } = {}) {
    const credential = token === undefined ? await this.world.adminToken() : token;
    /** @type {Pair[]} */
    const list = credential === null ? [] : [["Authorization", `Token ${credential}`]];
    if (json !== undefined) list.push(["Content-Type", "application/json"]);
    return this.send(method, path, { headers: [...list, ...pairsOf(headers)], body: json === undefined ? undefined : JSON.stringify(json) });
  }

  /**
   * A call of `POST /api/sso/token`.
   * @param {unknown} json
   * @param {Calling} [options]
   */
  issueAnswer(json, options) {
    return this.admin("POST", "/api/sso/token", json, options);
  }
  /**
   * An SSO token for an address.
   * @param {string} email
   * @param {Record<string, unknown>} [fields]
   */
  async issue(email, fields = {}) {
    const answer = await this.issueAnswer({ email, ...fields });
    assert.equal(answer.status, 200, String(answer));
    return answer.json.token;
  }
  /**
   * A new user.
   * @param {Record<string, unknown>} [fields]
   * @returns {Promise<User>}
   */
  async createUser(fields = {}) {
    const answer = await this.admin("POST", "/api/sso/users", { email: newEmail(), ...fields });
    assert.equal(answer.status, 201, String(answer));
    return answer.json;
  }
  /**
   * Signs a user in by the SSO cookie: `{ user, token, cookie }`, where `cookie` is the session as `name=value`.
   * @param {User} [user]
   */
  async signIn(user) {
    user ??= await this.createUser();
    const token = await this.issue(user.email);
    const answer = await this.navigate("/signed-in", { cookie: `ls_auth_token=${token}` });
    assert.equal(answer.status, 200, String(answer));
    const session = answer.cookies.find(({ name, cleared }) => name.startsWith("__Host-") && !cleared);
    assert.ok(session, `no session was opened: ${answer}`);
    return { user, token, cookie: session.pair, session };
  }
}

/**
 * Signs in a user whose sessions have just been ended: SSO tokens of that second ended with them, so this
 * tries until the next.
 * @param {Site} site
 * @param {Pick<User, "email">} user
 */
export async function signInAgain(site, user) {
  return until(async () => {
    const answer = await site.navigate("/signed-in", { cookie: `ls_auth_token=${await site.issue(user.email)}` });
    const session = answer.cookies.find(({ name, cleared }) => name.startsWith("__Host-") && !cleared);
    return answer.status === 200 ? session?.pair : undefined;
  });
}

/**
 * @param {HeaderList} headers
 * @returns {Pair[]}
 */
function pairsOf(headers) {
  const list = Array.isArray(headers) ? headers : Object.entries(headers);
  return list.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}

let count = 0;
/** An address that no other test has. */
export const newEmail = (prefix = "user") => `${prefix}-${++count}-${randomBytes(4).toString("hex")}@example.test`;

/** A path that no other test has. */
export const newPath = () => `/p${++count}-${randomBytes(4).toString("hex")}`;

/**
 * Asks again and again until the answer is truthy; fails after `seconds`.
 * @template T
 * @param {() => T | Promise<T>} ask
 * @returns {Promise<Exclude<T, false | null | undefined | "" | 0>>}
 */
export async function until(ask, seconds = 5) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const found = await ask();
    if (found) return /** @type {Exclude<T, false | null | undefined | "" | 0>} */ (found);
    if (performance.now() > deadline) assert.fail(`not within ${seconds} s: ${ask}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The current time in seconds since the epoch. */
export const now = () => Math.floor(Date.now() / 1000);
