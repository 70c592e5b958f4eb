// `npm run deploy`: builds, refuses what must not ship, and lets wrangler deploy build/.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async (args) => {
  const { deploy } = await import("./lib/deploy.mjs");
  process.exitCode = await deploy(args);
});
