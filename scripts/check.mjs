// `npm run check`: the checks that every commit should pass, in seconds: format, lint, types, clippy, order of the rooms.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target"], async () => {
  const { QUICK_STEPS, test } = await import("./lib/test.mjs");
  process.exitCode = await test(["--only", QUICK_STEPS.join(",")]);
});
