// `npm run check`: what a commit should have passed: format, lint, types, clippy, the order of the rooms and doc comments, in
// seconds.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target"], async () => {
  const { QUICK_STEPS, test } = await import("./lib/test.mjs");
  process.exitCode = await test(["--only", QUICK_STEPS.join(",")]);
});
