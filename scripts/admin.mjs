// `npm run admin -- …`: what manages a deployment, by calls of its admin API, and through wrangler what no call can do.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async (args) => {
  const { runAdmin } = await import("./lib/commands.mjs");
  process.exitCode = await runAdmin(args);
});
