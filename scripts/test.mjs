// `npm test`: everything that must hold, in steps; `npm test -- --help` names them.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen", "nextest", "deny"], async (args) => {
  const { test } = await import("./lib/test.mjs");
  process.exitCode = await test(args);
});
