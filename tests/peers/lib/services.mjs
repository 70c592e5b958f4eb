// The services of the gateway: Django with one version of django-sso each, and the three examples, installed and started
// as their READMEs say. Each has a port of its own, which it keeps when it is stopped and started again.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePort } from "../../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../../scripts/lib/project.mjs";
import { capture, runStep } from "../../../scripts/lib/step.mjs";
import { installOnce, npm, outsideNpm } from "../../browser/lib/applications.mjs";
import { until } from "../../edge/lib/fresh.mjs";
import { installNpm, installPython } from "./peers.mjs";

/** @import { Gateway, Registered } from "./gateway.mjs" */

/**
 * What a service gets when it starts.
 * @typedef {{ gateway: string, url: string, port: number, folder: string, environment: Record<string, string> } & Registered} Settings
 */
/** @typedef {{ command: string[], cwd?: string, environment?: Record<string, string>, input?: string }} Program */
/**
 * - `report`: a page for people who are signed in
 * @typedef {{ dialect: string, report: string, program: (settings: Settings) => Promise<Program> }} Kind
 */

const START_SECONDS = 30;

/**
 * A Django service that keeps a version of django-sso.
 * @param {string} requirements
 * @param {string} name
 */
const djangoSso =
  (name, requirements) =>
  async (/** @type {Settings} */ { gateway, port, folder, token }) => ({
    command: [await installPython(name, at(requirements)), "-W", "ignore", at("tests/peers/django_service.py")],
    input: JSON.stringify({ port, database: path.join(folder, "service.sqlite3"), root: gateway, token }),
  });

/**
 * @param {Settings} settings
 * @returns {Promise<Program>}
 */
async function exampleInDjango({ gateway, url, port, folder, token }) {
  const cwd = at("examples/service-django");
  const python = await installPython("service-django", path.join(cwd, "requirements.txt"));
  const environment = { SSO_GATEWAY: gateway, SSO_TOKEN: token, BASE_URL: url, SECRET_KEY: newKey(), DATABASE: path.join(folder, "db.sqlite3") };
  const manage = [python, "manage.py"];
  await capture([...manage, "migrate"], { cwd, env: { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1", ...environment } });
  return { command: [...manage, "runserver", "--noreload", `127.0.0.1:${port}`], cwd, environment };
}

/**
 * @param {Settings} settings
 * @returns {Promise<Program>}
 */
async function exampleInNode({ gateway, url, port, token, secret }) {
  const cwd = at("examples/service-node");
  await installOnce("service-node", path.join(cwd, "node_modules"), [path.join(cwd, "package-lock.json")], async () => {
    await runStep("peers", "npm ci in examples/service-node", [...npm(), "ci", "--loglevel=error", "--no-progress"], { cwd, env: outsideNpm() });
  });
  const environment = { SSO_GATEWAY: gateway, SSO_TOKEN: token, SSO_WEBHOOK_SECRET: secret, SESSION_SECRET: newKey(), BASE_URL: url, PORT: String(port) };
  return { command: [pinnedNode, "server.js"], cwd, environment };
}

/**
 * @param {Settings} settings
 * @returns {Promise<Program>}
 */
async function exampleInPhp({ gateway, url, port, folder, token }) {
  await installNpm();
  const settings = JSON.stringify({ SSO_GATEWAY: gateway, SSO_TOKEN: token, BASE_URL: url, DATABASE: "/data/service.sqlite" });
  const file = at("examples/service-php/service.php");
  return { command: [pinnedNode, at("tests/peers/php_host.mjs"), String(port), file, folder, settings] };
}

/** @satisfies {Record<string, Kind>} */
export const KINDS = {
  "django-sso 1.0.0": {
    dialect: "push",
    report: "/reports/7/",
    program: djangoSso("django-sso-1.0.0", "tests/peers/django-sso/requirements-1.0.0.txt"),
  },
  "django-sso 1.1.4": {
    dialect: "flat",
    report: "/reports/7/",
    program: djangoSso("django-sso-1.1.4", "tests/peers/django-sso/requirements-1.1.4.txt"),
  },
  "django-sso 3.0.2": { dialect: "fields", report: "/reports/7/", program: djangoSso("service-django", "examples/service-django/requirements.txt") },
  "service-django": { dialect: "fields", report: "/reports/7/", program: exampleInDjango },
  "service-node": { dialect: "webhook", report: "/reports/7", program: exampleInNode },
  "service-php": { dialect: "flat", report: "/reports/7", program: exampleInPhp },
};

/**
 * Registers a service at the gateway and starts it. `url` is where browsers reach it, by default this machine's address;
 * `environment` is what the program has in its environment, besides its settings.
 * @param {keyof typeof KINDS} name
 * @param {Pick<Gateway, "url" | "register">} gateway
 * @param {Record<string, unknown>} [registration]
 * @param {{ url?: string, environment?: Record<string, string> }} [place]
 */
export async function startService(name, gateway, registration = {}, { url: given, environment = {} } = {}) {
  const kind = KINDS[name];
  const port = await freePort();
  const url = given ?? `http://127.0.0.1:${port}`;
  const registered = await gateway.register({ name: `${name} at ${port}`, base_url: url, dialect: kind.dialect, ...registration });
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-service-"));
  const service = new Service(name, kind, { gateway: gateway.url, url, port, folder, environment, ...registered });
  await service.start();
  return service;
}

export class Service {
  #kind;
  #settings;
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;

  /**
   * @param {string} name
   * @param {Kind} kind
   * @param {Settings} settings
   */
  constructor(name, kind, settings) {
    this.name = name;
    this.#kind = kind;
    this.#settings = settings;
    this.url = settings.url;
    this.port = settings.port;
    this.id = settings.id;
    this.token = settings.token;
    this.secret = settings.secret;
    this.dialect = kind.dialect;
    /** The address of a page for people who are signed in. */
    this.report = `${settings.url}${kind.report}`;
    /** Everything that the service wrote. */
    this.output = "";
  }

  async start() {
    mkdirSync(this.#settings.folder, { recursive: true });
    const { command, cwd = at(), environment = {}, input = "" } = await this.#kind.program(this.#settings);
    const [program, ...args] = command;
    const child = spawn(program, args, {
      cwd,
      env: { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1", ...this.#settings.environment, ...environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    child.stdin.end(`${input}\n`);
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${this.name} did not start: ${this.output}`);
      return listens(this.#settings.port);
    }, START_SECONDS);
  }

  /** Ends it; the accounts and sessions that it keeps in files are there when it starts again. */
  async stop() {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }

  /** Ends it for good. */
  async remove() {
    await this.stop();
    rmSync(this.#settings.folder, { recursive: true, force: true });
  }
}

const newKey = () => randomBytes(32).toString("hex");

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => resolve(true));
    socket.on("error", () => resolve(false)).on("close", () => resolve(false));
    socket.on("connect", () => socket.end());
  });
}
