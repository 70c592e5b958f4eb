// The example applications, installed and started as their READMEs say. An installation is made
// once and kept; a changed lock file or requirements.txt makes it anew.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { withLock } from "../../../scripts/lib/lock.mjs";
import { freePort } from "../../../scripts/lib/processes.mjs";
import { at, pinnedNode, toolEnv } from "../../../scripts/lib/project.mjs";
import { runStep } from "../../../scripts/lib/step.mjs";

/** @typedef {Awaited<ReturnType<typeof startApplication>>} Application */
/** @typedef {Record<string, string>} Environment */

const START_SECONDS = 30;

const EXPRESS = at("examples/express");
const KOA = at("examples/koa");
const FLASK = at("examples/flask");
const FLASK_VENV = at(".tools/flask-venv");

/**
 * `npm ci` and `npm start` in examples/express.
 * @param {Environment} environment
 */
export async function startExpress(environment) {
  await installOnce("express", path.join(EXPRESS, "node_modules"), [path.join(EXPRESS, "package-lock.json")], async () => {
    await runStep("browser", "npm ci in examples/express", [...npm(), "ci", "--loglevel=error", "--no-progress"], {
      cwd: EXPRESS,
      env: outsideNpm(),
    });
  });
  const port = await freePort();
  // What `npm start` runs, under the pinned Node.
  return startApplication("express", port, [pinnedNode, "server.js"], EXPRESS, { ...environment, PORT: String(port) });
}

/** `npm ci` in examples/koa; answers the folder. */
export async function installKoa() {
  await installOnce("koa", path.join(KOA, "node_modules"), [path.join(KOA, "package-lock.json")], async () => {
    await runStep("browser", "npm ci in examples/koa", [...npm(), "ci", "--loglevel=error", "--no-progress"], { cwd: KOA, env: outsideNpm() });
  });
  return KOA;
}

/**
 * `npm ci` and `npm start` in examples/koa, which serves the component of examples/react.
 * @param {Environment} environment
 */
export async function startKoa(environment) {
  const cwd = await installKoa();
  const port = await freePort();
  return startApplication("koa", port, [pinnedNode, "server.js"], cwd, { ...environment, PORT: String(port) });
}

/**
 * The virtual environment and `flask run` in examples/flask.
 * @param {Environment} environment
 */
export async function startFlask(environment) {
  await installPython();
  const port = await freePort();
  const command = [path.join(FLASK_VENV, "bin/flask"), "run", "--port", String(port)];
  return startApplication("flask", port, command, FLASK, environment);
}

/** A Python with what the Flask example and the integration guide need; answers its path. */
export async function installPython() {
  const requirements = at("tests/browser/requirements.txt");
  await installOnce("flask", FLASK_VENV, [requirements, path.join(FLASK, "requirements.txt")], async () => {
    rmSync(FLASK_VENV, { recursive: true, force: true });
    await runStep("browser", "virtual environment for examples/flask (Python 3.10 or newer)", ["python3", "-m", "venv", FLASK_VENV]);
    const pip = [path.join(FLASK_VENV, "bin/pip"), "install", "--disable-pip-version-check", "--no-input", "-r", requirements];
    await runStep("browser", "pip install for examples/flask", pip);
  });
  return path.join(FLASK_VENV, "bin/python");
}

/**
 * Runs `install` unless `folder` was made from these very `sources` before.
 * @param {string} name
 * @param {string} folder
 * @param {string[]} sources
 * @param {() => Promise<unknown>} install
 */
export async function installOnce(name, folder, sources, install) {
  const stampFile = path.join(folder, ".edgeward-installed");
  const wanted = createHash("sha256")
    .update(sources.map((file) => readFileSync(file, "utf8")).join("\0"))
    .digest("hex");
  const isReady = () => existsSync(stampFile) && readFileSync(stampFile, "utf8") === wanted;
  if (isReady()) return;
  await withLock(at(`.tools/${name}.lock`), async () => {
    if (isReady()) return;
    await install();
    writeFileSync(stampFile, wanted);
  });
}

/**
 * Starts a program that serves HTTP; it is ready as soon as it answers.
 * @param {string} name
 * @param {number} port
 * @param {string[]} command
 * @param {string} cwd
 * @param {Environment} environment
 */
async function startApplication(name, port, [program, ...args], cwd, environment) {
  const child = spawn(program, args, { cwd, env: { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1", ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  const application = {
    name,
    port,
    /** Everything that the program wrote. */
    output: "",
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
  /** @type {Error | undefined} */
  let failure;
  child.on("error", (error) => (failure = error));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (application.output += text));
  }
  const deadline = performance.now() + START_SECONDS * 1000;
  while (!(await answers(port))) {
    if (failure || child.exitCode !== null || performance.now() > deadline) {
      await application.stop();
      throw new Error(`${name} did not start: ${failure?.message ?? application.output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return application;
}

/** @param {number} port */
async function answers(port) {
  try {
    // An application whose people sign in by HTTP Basic answers 401.
    return (await fetch(`http://127.0.0.1:${port}/login`)).status < 500;
  } catch {
    return false;
  }
}

export const npm = () => (process.env.npm_execpath?.endsWith("npm-cli.js") ? [process.env.npm_node_execpath ?? "node", process.env.npm_execpath] : ["npm"]);

/** The environment without what an outer `npm test` says about its own project. */
export function outsideNpm() {
  return Object.fromEntries(Object.entries(toolEnv()).filter(([name]) => !/^(npm|NODE_TEST)_/.test(name)));
}
