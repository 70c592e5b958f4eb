// `npm run check-config`: reports every error in wrangler.toml before it ships.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async (args) => {
  const { runCheckConfig } = await import("./lib/check-config.mjs");
  process.exitCode = await runCheckConfig(args);
});
