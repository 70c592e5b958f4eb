// Long-lived children, each in a process group of its own, that end with us whatever happens to us.
import { spawn } from "node:child_process";
import net from "node:net";
import { codeOf, StepFailed } from "./step.mjs";

const GRACE_MS = 5_000;
const POLL_MS = 50;

// Reads process groups, one a line, until our end of the pipe closes: then we are gone, also when by SIGKILL.
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
   * Starts a child. `onOutput(text)` gets what it writes. When it ends by itself, `earlyEnd` resolves with why.
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
    child.on("exit", (code, signal) => this.#ended(new StepFailed(`${name} ended by itself with ${signal ?? `status ${code}`}`)));
  }

  /** Ends every child with its whole group, at first politely. */
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
 * Whether there was anything left in the group to signal.
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
 * A port of this machine that nobody listens on.
 * @returns {Promise<number>}
 */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {net.AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}
