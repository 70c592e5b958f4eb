// The peers, installed and started: Python packages in a virtual environment of their own, and the provider.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../../scripts/lib/project.mjs";
import { runStep } from "../../../scripts/lib/step.mjs";
import { installOnce, npm, outsideNpm } from "../../browser/lib/applications.mjs";

/** @typedef {Awaited<ReturnType<typeof startPython>>} Python */
/** @typedef {Awaited<ReturnType<typeof startDjango>>} Django */
/** @typedef {Awaited<ReturnType<typeof startProvider>>} Provider */

const PEERS = at("tests/peers");

/** A Python with the packages whose tokens and permissions are compared with ours; answers its path. */
export const installPeers = () => installPython("peers", path.join(PEERS, "requirements.txt"));

/**
 * A Python with what a requirements.txt names, in `.tools/<name>-venv`; answers its path.
 * @param {string} name
 * @param {string} requirements
 */
export async function installPython(name, requirements) {
  const venv = at(`.tools/${name}-venv`);
  await installOnce(`${name}-python`, venv, [requirements], async () => {
    rmSync(venv, { recursive: true, force: true });
    await runStep("peers", "virtual environment (Python 3.10 or newer)", ["python3", "-m", "venv", venv]);
    const pip = [path.join(venv, "bin/pip"), "install", "--disable-pip-version-check", "--no-input", "-r", requirements];
    await runStep("peers", `pip install for ${path.relative(at(), requirements)}`, pip);
  });
  return path.join(venv, "bin/python");
}

/** The npm packages of these tests. */
export async function installNpm() {
  const sources = [path.join(PEERS, "package-lock.json")];
  await installOnce("peers-npm", path.join(PEERS, "node_modules"), sources, async () => {
    await runStep("peers", "npm ci in tests/peers", [...npm(), "ci", "--loglevel=error", "--no-progress"], { cwd: PEERS, env: outsideNpm() });
  });
}

/** Starts the Python peers; `call(name, arguments)` answers what they say. */
export async function startPython() {
  const child = spawn(await installPeers(), ["-W", "ignore", path.join(PEERS, "peers.py")], {
    env: { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /**
     * @param {string} call
     * @param {object} [request]
     */
    async call(call, request = {}) {
      child.stdin.write(`${JSON.stringify({ call, ...request })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error("the Python peers have ended");
      const { answer, error } = JSON.parse(value);
      if (error) throw new Error(`${call}: ${error}`);
      return answer;
    },
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      await ended;
    },
  };
}

/**
 * Starts a Django service with the SDK, as an origin: `code` and `middleware` are examples of a document; answers `{ url, stop }`.
 * @param {object} request
 */
export const startDjango = (request) => startOriginOf("django_origin.py", request);

/**
 * Starts a FastAPI service with the SDK, as an origin: `code` is an example of a document; answers `{ url, stop }`.
 * @param {object} request
 */
export const startFastApi = (request) => startOriginOf("fastapi_origin.py", request);

/**
 * Starts an origin in Python, a program of this folder that takes a JSON object on stdin and says its port; answers `{ url, stop }`.
 * @param {string} program
 * @param {object} request
 */
export const startOriginOf = async (program, request) => startServer(await installPeers(), program, request);

/**
 * Starts functions that use this version of more-sso-auth, behind an API Gateway; answers `{ url, stop }`.
 * @param {string} version
 * @param {object} request
 */
export async function startFunctions(version, request) {
  const python = await installPython(`more-sso-auth-${version}`, path.join(PEERS, `more-sso-auth/requirements-${version}.txt`));
  return startServer(python, "more_sso_lambda.py", request);
}

/** A Redis Cluster with TLS, of the Python of more-sso-auth 1.5.0, whose client knows no other port than 6379. */
export async function startRedisCluster() {
  const password = randomBytes(16).toString("hex");
  const python = await installPython("more-sso-auth-1.5.0", path.join(PEERS, "more-sso-auth/requirements-1.5.0.txt"));
  const { line, stop } = await startProgram(python, "redis_cluster.py", { password });
  return { host: line, password, stop };
}

/**
 * @param {string} python
 * @param {string} program
 * @param {object} request
 */
async function startServer(python, program, request) {
  const { line, stop } = await startProgram(python, program, request);
  return { url: `http://127.0.0.1:${line}`, stop };
}

/**
 * Starts a program that gets one JSON object on stdin, and says one line when it is ready.
 * @param {string} python
 * @param {string} program
 * @param {object} request
 */
async function startProgram(python, program, request) {
  const child = spawn(python, ["-W", "ignore", path.join(PEERS, program)], {
    env: { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  child.stdin.end(`${JSON.stringify(request)}\n`);
  const ready = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  if (ready.done) throw new Error(`${program} did not start: ${errors}`);
  return {
    line: /** @type {string} */ (ready.value),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/**
 * Starts the OpenID provider, at the same port and with the same keys as before if they are given.
 * @param {{ port?: number, keys?: unknown }} [again]
 */
export async function startProvider({ port, keys } = {}) {
  await installNpm();
  const chosen = port ?? (await freePort());
  const command = ["provider.mjs", String(chosen), ...(keys ? [JSON.stringify(keys)] : [])];
  const child = spawn(pinnedNode, command, { cwd: PEERS, env: outsideNpm(), stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  const ready = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  if (ready.done) throw new Error(`the provider did not start: ${errors}`);
  const { issuer, keys: first } = JSON.parse(ready.value);
  /**
   * @param {string} path
   * @param {RequestInit} [init]
   */
  const ask = async (path, init) => (await fetch(`${issuer}${path}`, init)).json();
  const authorization = `Basic ${Buffer.from("app:DEV-ONLY-client-secret-of-the-tests").toString("base64")}`;
  return {
    issuer,
    port: chosen,
    keys: first,
    /**
     * A fresh access token.
     * @param {Record<string, string>} [more] Parameters of the request.
     */
    async token(more) {
      const body = new URLSearchParams({ grant_type: "client_credentials", scope: "read", ...more });
      const { access_token, ...rest } = /** @type {{ access_token?: string }} */ (await ask("/token", { method: "POST", headers: { authorization }, body }));
      if (!access_token) throw new Error(`no token: ${JSON.stringify(rest)}`);
      return access_token;
    },
    /**
     * Withdraws a token (RFC 7009).
     * @param {string} token
     */
    async revoke(token) {
      const { status } = await fetch(`${issuer}/token/revocation`, { method: "POST", headers: { authorization }, body: new URLSearchParams({ token }) });
      if (status !== 200) throw new Error(`not revoked: ${status}`);
    },
    /** Makes a new signing key and goes on publishing the last one. */
    async rotate() {
      this.keys = await ask("/rotate", { method: "POST" });
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/**
 * The code blocks of a document in one language, in their order.
 * @param {string} document
 * @param {string} language
 */
export function blocks(document, language) {
  return [...readFileSync(at(document), "utf8").matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))].map(([, code]) => code);
}

/**
 * Starts the OpenID provider with pages on which people sign in.
 * @param {{ port: number, redirectUri: string, keyed?: { redirectUri: string, jwk: object }, offline?: { redirectUri: string } }} place
 *   Other clients: `keyed` authenticates with a key, `offline` gets refresh tokens.
 */
export async function startWebProvider({ port, redirectUri, ...others }) {
  await installNpm();
  const command = ["web_provider.mjs", String(port), redirectUri, JSON.stringify(others)];
  const child = spawn(pinnedNode, command, { cwd: PEERS, env: outsideNpm(), stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("{")) break;
  }
  if (child.exitCode !== null) throw new Error(`the provider did not start: ${errors}`);
  child.stdout.resume();
  return {
    issuer: `http://127.0.0.1:${port}`,
    /** Makes a new signing key, and publishes no other. */
    rotate: () => fetch(`http://127.0.0.1:${port}/rotate`, { method: "POST" }),
    /** Takes a person's account away. */
    disable: (/** @type {string} */ name) => fetch(`http://127.0.0.1:${port}/disable/${name}`, { method: "POST" }),
    /**
     * How often a refresh token was taken, and how often one was refused.
     * @returns {Promise<{ taken: number, refused: number }>}
     */
    refreshed: async () => /** @type {{ taken: number, refused: number }} */ (await (await fetch(`http://127.0.0.1:${port}/refreshed`)).json()),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}
