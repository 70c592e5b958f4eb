// Label Studio for the tests: installed from PyPI into the project's own folder, and started unmodified.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { withLock } from "./lock.mjs";
import { freePort } from "./processes.mjs";
import { at, toolEnv } from "./project.mjs";
import { runStep, StepFailed } from "./step.mjs";

/** The version that the tests were written for. */
export const VERSION = "1.23.2";

const FOLDER = at(".label-studio");
const VENV = path.join(FOLDER, "venv");
const START_SECONDS = 180;
const ADMIN = "admin@example.com";

/**
 * Builds the Worker, installs Label Studio and runs `tests/label-studio`; returns the exit status.
 * @param {string[]} args
 */
export async function testLabelStudio(args) {
  const { test } = await import("./test.mjs");
  return test(["--only", "label-studio", ...args]);
}

/** Installs Label Studio into a virtual environment of its own, about 1 GB. */
export async function installLabelStudio() {
  const stamp = path.join(VENV, `.edgeward-${VERSION}`);
  if (existsSync(stamp)) return;
  mkdirSync(FOLDER, { recursive: true });
  await withLock(path.join(FOLDER, ".lock"), async () => {
    if (existsSync(stamp)) return;
    rmSync(VENV, { recursive: true, force: true });
    await runStep("label-studio", "virtual environment", [python(), "-m", "venv", VENV]);
    const pip = [path.join(VENV, "bin/pip"), "install", "--disable-pip-version-check", "--no-input", `label-studio==${VERSION}`];
    await runStep("label-studio", `pip install label-studio==${VERSION} (about 1 GB)`, pip);
    writeFileSync(stamp, "");
  });
}

/** A Python from 3.10 to 3.13: `PYTHON`, or the first fitting one among the usual names. */
function python() {
  const names = process.env.PYTHON ? [process.env.PYTHON] : ["python3", "python3.13", "python3.12", "python3.11", "python3.10"];
  /** @param {string} name */
  const isFit = (name) => spawnSync(name, ["-c", "import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 14))"]).status === 0;
  const found = names.find(isFit);
  if (!found) throw new StepFailed("Label Studio needs Python 3.10 to 3.13 with venv; set PYTHON to one");
  return found;
}

/** The Python of that environment, which has Label Studio's own SDK. */
export const labelStudioPython = path.join(VENV, "bin/python");

/**
 * Starts a Label Studio with an empty database: `{ url, port, secretKey, admin, output, stop }`. `host`: the URL below which
 * people see it, if it has a path of its own.
 * @param {{ host?: string }} [options]
 */
export async function startLabelStudio({ host } = {}) {
  const data = mkdtempSync(path.join(FOLDER, "data-"));
  const port = await freePort();
  const secretKey = randomBytes(40).toString("base64url");
  const command = [
    "start",
    "--no-browser",
    "--data-dir",
    data,
    "--internal-host",
    "127.0.0.1",
    "--port",
    String(port),
    "--username",
    ADMIN,
    "--password",
    randomBytes(16).toString("hex"),
  ];
  const child = spawn(path.join(VENV, "bin/label-studio"), command, {
    cwd: data,
    env: toolEnv({
      SECRET_KEY: secretKey,
      ...(host === undefined ? {} : { LABEL_STUDIO_HOST: host }),
      LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK: "true",
      COLLECT_ANALYTICS: "false",
      LATEST_VERSION_CHECK: "false",
      SENTRY_DSN: "",
      FRONTEND_SENTRY_DSN: "",
      PYTHONDONTWRITEBYTECODE: "1",
    }),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  /** Signals the whole process group, since the server is a child of the command. */
  const end = (/** @type {NodeJS.Signals} */ signal) => child.pid !== undefined && process.kill(-child.pid, signal);
  const studio = {
    url: `http://127.0.0.1:${port}`,
    port,
    secretKey,
    admin: { id: 1, email: ADMIN },
    /** The last 200,000 characters of its output. */
    output: "",
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        end("SIGTERM");
        const patience = setTimeout(() => end("SIGKILL"), 10_000);
        await ended;
        clearTimeout(patience);
      }
      rmSync(data, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  const onExit = () => {
    try {
      end("SIGKILL");
    } catch {}
  };
  process.once("exit", onExit);
  child.once("exit", () => process.off("exit", onExit));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (studio.output = (studio.output + text).slice(-200_000)));
  }
  const deadline = performance.now() + START_SECONDS * 1000;
  while (!(await isUp(studio.url))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await studio.stop();
      throw new Error(`Label Studio did not start:\n${studio.output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return studio;
}

/** @param {string} url */
async function isUp(url) {
  try {
    const answer = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) });
    return answer.ok;
  } catch {
    return false;
  }
}
