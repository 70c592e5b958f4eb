// The native admin tool: builds it if its sources have changed, then runs it with wrangler's KV commands as its store.
import { spawn } from "node:child_process";
import path from "node:path";
import { effectiveConfig } from "./effective-config.mjs";
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
  // A command in the environment stands for wrangler in tests.
  const given = options.length === 0 ? process.env.EDGEWARD_WRANGLER : undefined;
  return toolEnv({ EDGEWARD_WRANGLER: given ?? JSON.stringify([...wrangler, ...options]) });
}

/**
 * Refuses a profile where wrangler finds the deployment: to ignore it could change the wrong one.
 * @param {string | undefined} profile
 */
export function refuseProfile(profile) {
  if (profile !== undefined) throw new StepFailed("this command goes through wrangler and has no option --profile; --remote and --env say where");
}

/**
 * Runs the tool in the terminal; returns its exit status.
 * @param {string[]} args
 * @returns {Promise<number>}
 */
export async function runAdmin(args) {
  const program = await buildAdmin();
  const env = { ...adminEnv(), ...(args.includes("retire") ? await settingsFor(args) : {}) };
  const child = spawn(program, args, { cwd: root, env, stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new StepFailed(`${program} could not be started: ${error.message}`)));
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}

/**
 * The settings of the deployment that the command is about, without any secret: what ends with a secret depends on them.
 * @param {string[]} args
 */
async function settingsFor(args) {
  const { readToml } = await import("./check-config.mjs");
  const named = args.find((_, index) => args[index - 1] === "--env") ?? args.find((word) => word.startsWith("--env="))?.slice("--env=".length);
  try {
    const { vars } = effectiveConfig(readToml(), named ?? (args.includes("--remote") ? "" : "local"));
    return { EDGEWARD_SETTINGS: JSON.stringify({ vars }) };
  } catch (error) {
    // The command says that it could not read them, and warns by the greatest values that they may have.
    if (error instanceof StepFailed) return {};
    throw error;
  }
}
