// `npm run check-config`: every error of wrangler.toml's configuration, before it ships.
import { start } from "./lib/start.mjs";

await start(["rust", "npm"], async (args) => {
  const { runCheckConfig } = await import("./lib/check-config.mjs");
  process.exitCode = await runCheckConfig(args);
});
