// `npm run admin -- …`: the admin tool (src/bin/edgeward-admin.rs), told how to call wrangler.
import { start } from "./lib/start.mjs";

await start(["rust", "npm"], async (args) => {
  const { runAdmin } = await import("./lib/admin.mjs");
  process.exitCode = await runAdmin(args);
});
