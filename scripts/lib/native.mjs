// Commands of the native admin tool, in the terminal.
import { spawn } from "node:child_process";
import { adminEnv, buildAdmin } from "./admin.mjs";
import { readToml } from "./check-config.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { root } from "./project.mjs";
import { StepFailed } from "./step.mjs";

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
  const env = { ...adminEnv(), ...(args.includes("retire") ? settingsFor(args) : {}) };
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
function settingsFor(args) {
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
