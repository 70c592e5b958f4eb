// The native admin tool: builds it if its sources have changed, then runs it with wrangler's KV commands as its store.
import { spawn } from "node:child_process";
import path from "node:path";
import { at, root, toolEnv, wrangler } from "./project.mjs";
import { runStep, StepFailed } from "./step.mjs";

/** Builds the tool and returns the path of its program. Prints a message only if that takes long. */
export async function buildAdmin() {
  const command = ["cargo", "build", "--locked", "--bin", "edgeward-admin"];
  await runStep("admin", "cargo: the admin tool", command, { quietFor: 1_500 });
  return path.join(process.env.CARGO_TARGET_DIR ?? at("target"), "debug/edgeward-admin");
}

/**
 * The tool's environment. `options` are for wrangler, such as another configuration or another folder for local data.
 * @param {string[]} [options]
 */
export function adminEnv(options = []) {
  return toolEnv({ EDGEWARD_WRANGLER: JSON.stringify([...wrangler, ...options]) });
}

/**
 * Runs the tool in the terminal; returns its exit status.
 * @param {string[]} args
 * @returns {Promise<number>}
 */
export async function runAdmin(args) {
  const program = await buildAdmin();
  const child = spawn(program, args, { cwd: root, env: adminEnv(), stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new StepFailed(`${program} could not be started: ${error.message}`)));
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}
