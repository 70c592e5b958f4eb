// The native admin tool: builds it if its sources have changed, then runs it with wrangler's KV commands as its store.
import path from "node:path";
import { at, toolEnv, wrangler } from "./project.mjs";
import { runStep } from "./step.mjs";

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
