// `npm test`: runs all tests, in steps; `npm test -- --help` lists them.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen", "nextest", "deny"], async (args) => {
  const { test } = await import("./lib/test.mjs");
  process.exitCode = await test(args);
});
