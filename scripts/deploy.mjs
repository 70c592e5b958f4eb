// `npm run deploy`: builds, refuses what must not ship, and hands build/ to wrangler.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async (args) => {
  const { deploy } = await import("./lib/deploy.mjs");
  process.exitCode = await deploy(args);
});
