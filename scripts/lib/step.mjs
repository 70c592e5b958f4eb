// A step of a longer job: runs a command, shows progress, and keeps the output in case the command fails.
import { spawn } from "node:child_process";
import { duration, project, toolEnv } from "./project.mjs";

const LINE_EVERY_MS = 10_000;
const KEPT_CHARACTERS = 200_000;

/** A failure that is reported without a stack trace, but with the output of the command that failed. */
export class StepFailed extends Error {
  /**
   * @param {string} message
   * @param {string} [output]
   */
  constructor(message, output = "") {
    super(message);
    this.name = "StepFailed";
    this.output = output;
    /** Whether the output has been shown while the command ran. */
    this.isShown = false;
    /** @type {{ passed?: number, failed?: number, failures?: string[] }} */
    this.counts = {};
  }
}

/**
 * The message of anything that was thrown.
 * @param {unknown} error
 */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/**
 * The code of a system error, such as `ENOENT`.
 * @param {unknown} error
 */
export const codeOf = (error) => (error instanceof Error && "code" in error ? error.code : undefined);

/**
 * Runs `command` and announces it on stderr as `label  title`. A terminal shows the last line of the command's output in
 * place; elsewhere such a line is printed every ten seconds. A failure has the whole output. A step that succeeds within
 * `quietFor` milliseconds prints nothing.
 * @param {string} label
 * @param {string} title
 * @param {string[]} command
 * @param {{ quietFor?: number, cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export async function runStep(label, title, command, { quietFor = 0, ...options } = {}) {
  const started = Date.now();
  const terminal = process.stderr.isTTY && !process.env.CI;
  const prefix = `${label}  ${title}`;
  let last = "";
  const show = () => {
    const line = `${prefix} … ${duration(Date.now() - started)}  ${last}`;
    if (terminal) process.stderr.write(`\r\x1b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    else process.stderr.write(`${line}\n`);
  };
  /** @type {NodeJS.Timeout | undefined} */
  let ticker;
  /** @type {NodeJS.Timeout | undefined} */
  let silence;
  const announce = () => {
    if (!terminal) process.stderr.write(`${prefix} …\n`);
    ticker = setInterval(show, terminal ? 200 : LINE_EVERY_MS);
  };
  if (quietFor > 0) silence = setTimeout(announce, quietFor);
  else announce();
  /** @param {string} text */
  const end = (text) => {
    clearTimeout(silence);
    clearInterval(ticker);
    if (terminal && ticker) process.stderr.write("\r\x1b[2K");
    if (text) process.stderr.write(`${prefix}  ${text} ${duration(Date.now() - started)}\n`);
  };
  try {
    const output = await capture(command, { ...options, onLine: (line) => void (last = line) });
    end(ticker ? "done in" : "");
    return output;
  } catch (error) {
    end("failed after");
    throw error;
  }
}

/**
 * Runs a command and returns its stdout. If it fails, throws StepFailed with all of its output.
 * @param {string[]} command
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options]
 * @returns {Promise<string>}
 */
export function capture([program, ...args], { cwd = project, env = toolEnv(), onLine = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let stdout = "";
    let rest = "";
    /** @param {string} chunk */
    const take = (chunk) => {
      output = (output + chunk).slice(-KEPT_CHARACTERS);
      const lines = (rest + chunk).split(/\r?\n|\r/);
      rest = lines.pop() ?? "";
      const line = lines.map(plain).filter(Boolean).at(-1);
      if (line) onLine(line);
    };
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      stdout += chunk;
      take(chunk);
    });
    child.stderr.setEncoding("utf8").on("data", take);
    /** @param {NodeJS.Signals} signal */
    const stop = (signal) => child.kill(signal);
    process.on("SIGINT", stop).on("SIGTERM", stop);
    const ended = () => process.off("SIGINT", stop).off("SIGTERM", stop);
    child.on("error", (error) => {
      ended();
      reject(new StepFailed(`${program} could not be started: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      ended();
      if (code === 0) resolve(stdout);
      else reject(new StepFailed(`${[program, ...args].join(" ")} ended with ${signal ?? `status ${code}`}`, output));
    });
  });
}

/** @param {string} line */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins a terminal's colour codes.
const plain = (line) => line.replace(/\x1b\[[0-9;]*[A-Za-z]/g, "").trim();

/**
 * Ends every script that fails: reports a failed step without a stack trace, anything else with one.
 * @param {unknown} error
 * @returns {never}
 */
export function fail(error) {
  if (error instanceof StepFailed) {
    if (error.output) process.stderr.write(`${error.output.trimEnd()}\n`);
    process.stderr.write(`error: ${error.message}\n`);
  } else {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  }
  process.exit(1);
}
