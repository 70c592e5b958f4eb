// Starts every script: the set-up first, then the script itself on the Node that package.json pins.
import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { constants } from "node:os";
import { isPackage, pinnedNode } from "./project.mjs";
import { fail, StepFailed } from "./step.mjs";

const PARENT_POLL_MS = 500;

/**
 * Sets up `parts`, then calls `main(arguments)` on the pinned Node. If another Node runs this, it starts the same script on
 * the pinned one, passes signals on to it, and ends with its status.
 * @param {import("../setup.mjs").Part[]} parts
 * @param {(args: string[]) => Promise<void>} main
 * @param {(args: string[]) => unknown} [look] Looks at the arguments before anything is set up, so it needs no package; what it throws
 *   ends the script.
 */
export async function start(parts, main, look = () => {}) {
  try {
    endWithNpm();
    look(process.argv.slice(2));
    if (isPackage) refuseOldNode();
    else await (await import("../setup.mjs")).setup(parts);
    if (realpathSync(process.execPath) === realpathSync(pinnedNode)) await main(process.argv.slice(2));
    else await restart();
  } catch (error) {
    fail(error);
  }
}

/** wrangler, which the package runs, wants this or newer. */
const OLDEST_NODE = 22;

/** The package brings a Node along that is new enough, unless npm was told to leave optional packages out. */
function refuseOldNode() {
  if (pinnedNode === process.execPath && Number(process.versions.node.split(".")[0]) < OLDEST_NODE)
    throw new StepFailed(
      `Node ${process.versions.node} is too old: without the package's own Node (npm install --include=optional), ${OLDEST_NODE} or newer is needed`,
    );
}

/** When a signal ends npm, npm does not always pass it on. So we end when our parent process changes. */
function endWithNpm() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, PARENT_POLL_MS);
  watch.unref();
}

async function restart() {
  const child = spawn(pinnedNode, process.argv.slice(1), { stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
