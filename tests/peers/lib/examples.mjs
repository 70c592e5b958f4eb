// The examples that hand people over and check who comes, installed and started as their READMEs say.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePort } from "../../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../../scripts/lib/project.mjs";
import { capture, runStep } from "../../../scripts/lib/step.mjs";
import { installKoa, installOnce, outsideNpm } from "../../browser/lib/applications.mjs";
import { until } from "../../edge/lib/fresh.mjs";
import { installNpm } from "./peers.mjs";
import { listens } from "./services.mjs";

/** @typedef {Record<string, string>} Settings */
/** @typedef {Awaited<ReturnType<typeof startExample>>} Running */

export const PASSWORD = "of-the-examples";
const START_SECONDS = 30;

const VENV = at(".tools/examples-venv");
const GO = at("examples/go");
const GO_PROGRAM = at(".tools/examples-go");

/** One virtual environment for both examples in Python, and for Go, which PyPI has as a package. */
async function installed() {
  const requirements = ["examples/fastapi", "examples/django", "tests/peers/go"].map((folder) => at(folder, "requirements.txt"));
  await installOnce("examples-python", VENV, requirements, async () => {
    rmSync(VENV, { recursive: true, force: true });
    await runStep("peers", "virtual environment for the examples", ["python3", "-m", "venv", VENV]);
    const pip = [path.join(VENV, "bin/pip"), "install", "--disable-pip-version-check", "--no-input", "--no-compile"];
    await runStep("peers", "pip install for examples/fastapi, examples/django and Go", [...pip, ...requirements.flatMap((file) => ["-r", file])]);
  });
  return path.join(VENV, "bin/python");
}

/** A Python with what the examples in Python need. */
export const installExamplesPython = installed;

/** `go build`, from the standard library alone. */
async function buildGo() {
  await installed();
  const env = { ...outsideNpm(), GOCACHE: at(".tools/go-cache"), GOPROXY: "off", GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
  // Without optimisation the standard library compiles in three quarters of the time.
  await capture([path.join(VENV, "bin/go"), "build", "-gcflags=all=-N -l", "-o", GO_PROGRAM, "."], { cwd: GO, env });
}

/**
 * What starts an example, by the name of its folder. `folder` is an empty one of its own.
 * @satisfies {Record<string, (settings: Settings, folder: string) => Promise<{ command: string[], cwd: string }>>}
 */
const PROGRAMS = {
  koa: async () => ({ command: [pinnedNode, "server.js"], cwd: await installKoa() }),
  fastapi: async ({ PORT }) => ({
    command: [await installed(), "-m", "uvicorn", "application:app", "--port", PORT, "--no-access-log"],
    cwd: at("examples/fastapi"),
  }),
  django: async () => ({ command: [await installed(), "application.py"], cwd: at("examples/django") }),
  php: async (settings, folder) => {
    await installNpm();
    const environment = JSON.stringify({ ...settings, KEYS_FILE: "/data/keys.json" });
    return { command: [pinnedNode, at("tests/peers/php_host.mjs"), settings.PORT, at("examples/php/application.php"), folder, environment], cwd: at() };
  },
  go: async () => {
    await buildGo();
    return { command: [GO_PROGRAM], cwd: GO };
  },
};

export const EXAMPLES = /** @type {(keyof typeof PROGRAMS)[]} */ (Object.keys(PROGRAMS));

/**
 * Starts an example; it is ready as soon as it listens.
 * @param {keyof typeof PROGRAMS} name
 * @param {number} port
 * @param {Settings} settings
 */
export async function startExample(name, port, settings) {
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-example-"));
  const environment = { DEMO_PASSWORD: PASSWORD, ...settings, PORT: String(port) };
  const { command, cwd } = await PROGRAMS[name](environment, folder);
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd, env: { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1", ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  const running = {
    name,
    port,
    url: `http://127.0.0.1:${port}`,
    /** Everything that the program wrote. */
    output: "",
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGTERM");
        await ended;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (running.output += text));
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${name} did not start: ${running.output}`);
      return listens(port);
    }, START_SECONDS);
    return running;
  } catch (error) {
    await running.stop();
    throw error;
  }
}

export { freePort };
