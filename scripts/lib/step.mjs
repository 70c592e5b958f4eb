// One step of a longer job: runs a command, shows that it lives, keeps its output for the case that it fails.
import { spawn } from "node:child_process";
import { duration, root, toolEnv } from "./project.mjs";

const LINE_EVERY_MS = 10_000;
const KEPT_CHARACTERS = 200_000;

export class StepFailed extends Error {
  constructor(message, output = "") {
    super(message);
    this.name = "StepFailed";
    this.output = output;
  }
}

/**
 * Runs `command` and says so on stderr as `label  title`. On a terminal the last line of the command's output
 * is shown in place; elsewhere one such line appears every ten seconds. A failure carries the whole output.
 */
export async function runStep(label, title, command, options = {}) {
  const started = Date.now();
  const terminal = process.stderr.isTTY && !process.env.CI;
  const prefix = `${label}  ${title}`;
  if (!terminal) process.stderr.write(`${prefix} …\n`);
  let last = "";
  const show = () => {
    const line = `${prefix} … ${duration(Date.now() - started)}  ${last}`;
    if (terminal) process.stderr.write(`\r\x1b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    else process.stderr.write(`${line}\n`);
  };
  const ticker = setInterval(show, terminal ? 200 : LINE_EVERY_MS);
  try {
    const output = await capture(command, { ...options, onLine: (line) => (last = line) });
    clearLine(terminal);
    process.stderr.write(`${prefix}  ${duration(Date.now() - started)}\n`);
    return output;
  } catch (error) {
    clearLine(terminal);
    process.stderr.write(`${prefix}  failed after ${duration(Date.now() - started)}\n`);
    throw error;
  } finally {
    clearInterval(ticker);
  }
}

/** Runs a command and answers its output (stdout and stderr as they came); throws StepFailed otherwise. */
export function capture([program, ...args], { cwd = root, env = toolEnv(), onLine = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let rest = "";
    const take = (chunk) => {
      output = (output + chunk).slice(-KEPT_CHARACTERS);
      const lines = (rest + chunk).split(/\r?\n|\r/);
      rest = lines.pop();
      const line = lines.map(plain).filter(Boolean).at(-1);
      if (line) onLine(line);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    const stop = (signal) => child.kill(signal);
    process.on("SIGINT", stop).on("SIGTERM", stop);
    const ended = () => process.off("SIGINT", stop).off("SIGTERM", stop);
    child.on("error", (error) => {
      ended();
      reject(new StepFailed(`${program} could not be started: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      ended();
      if (code === 0) resolve(output);
      else reject(new StepFailed(`${[program, ...args].join(" ")} ended with ${signal ?? `status ${code}`}`, output));
    });
  });
}

const plain = (line) => line.replace(/\x1b\[[0-9;]*[A-Za-z]/g, "").trim();

function clearLine(terminal) {
  if (terminal) process.stderr.write("\r\x1b[2K");
}

/** The end of every script: a failed step is told without a stack trace, anything else with one. */
export function fail(error) {
  if (error instanceof StepFailed) {
    if (error.output) process.stderr.write(`${error.output.trimEnd()}\n`);
    process.stderr.write(`error: ${error.message}\n`);
  } else {
    process.stderr.write(`${error?.stack ?? error}\n`);
  }
  process.exit(1);
}
