// `npm run admin -- …`: the admin tool (src/bin/edgeward-admin.rs), told how to call wrangler.
import { start } from "./lib/start.mjs";

await start(["rust", "npm"], async (args) => {
  if (args[0] === "key") {
    const { runKeys } = await import("./lib/keys.mjs");
    process.exitCode = await runKeys(args.slice(1));
    return;
  }
  if (args[0] === "explain") {
    const { runExplain } = await import("./lib/explain.mjs");
    process.exitCode = await runExplain(args.slice(1));
    return;
  }
  const { runAdmin } = await import("./lib/admin.mjs");
  process.exitCode = await runAdmin(args);
});
