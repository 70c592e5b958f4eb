// Long-lived children, each in a process group of its own, that end when we end, however that happens.
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { codeOf, StepFailed } from "./step.mjs";

const GRACE_MS = 5_000;
const POLL_MS = 50;

// Reads process groups, one a line, until our end of the pipe closes, which also happens if we are killed by SIGKILL.
const GUARD = `
trap '' INT TERM HUP
while read -r group; do groups="$groups -$group"; done
kill -s TERM -- $groups 2>/dev/null
sleep 3
kill -s KILL -- $groups 2>/dev/null
`;

/** A set of children that are stopped together. */
export class Children {
  /** @type {Map<string, number>} */
  #groups = new Map();
  #guard;
  /** @type {(why: StepFailed) => void} */
  #ended;

  constructor() {
    this.#guard = spawn("sh", ["-c", GUARD], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#guard.stdin.on("error", () => {});
    this.#guard.unref();
    const { promise, resolve } = /** @type {PromiseWithResolvers<StepFailed>} */ (Promise.withResolvers());
    this.earlyEnd = promise;
    this.#ended = resolve;
  }

  /**
   * Starts a child. `onOutput(text)` gets its output. If it ends by itself, `earlyEnd` resolves with the reason.
   * @param {string} name
   * @param {string[]} command
   * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onOutput: (text: string) => void }} options
   */
  start(name, [program, ...args], { onOutput, ...options }) {
    const child = spawn(program, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.setEncoding("utf8").on("data", onOutput);
    child.stderr.setEncoding("utf8").on("data", onOutput);
    child.on("error", (error) => this.#ended(new StepFailed(`${name} could not be started: ${error.message}`)));
    if (child.pid === undefined) return;
    this.#groups.set(name, child.pid);
    this.#guard.stdin.write(`${child.pid}\n`);
    child.on("exit", (code, signal) => this.#ended(new StepFailed(`${name} ended unexpectedly with ${signal ?? `status ${code}`}`)));
  }

  /** Ends every child and its whole group, first by SIGTERM, then by SIGKILL. */
  async stop() {
    const groups = [...this.#groups.values()];
    for (const group of groups) signalGroup(group, "SIGTERM");
    const deadline = Date.now() + GRACE_MS;
    while (groups.some(isAlive) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    for (const group of groups.filter(isAlive)) signalGroup(group, "SIGKILL");
    this.#guard.kill("SIGKILL");
  }
}

/** @param {number} group */
const isAlive = (group) => signalGroup(group, 0);

/**
 * Signals a process group; returns whether it still exists.
 * @param {number} group
 * @param {NodeJS.Signals | 0} signal
 */
function signalGroup(group, signal) {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/**
 * A port of this machine that nothing uses, for a server that starts a little later. It lies below the ports that systems give to
 * connections by themselves, so that none of these takes it in the meantime.
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(20_000, 32_000);
    const server = net.createServer();
    try {
      await once(server.listen(port, "127.0.0.1"), "listening");
    } catch {
      continue;
    }
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new StepFailed("no free port was found");
}
