// `npm run mutants`: changes the security files one place at a time and reports the changes that no native test notices.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "nextest", "mutants"], async (args) => {
  const { mutants } = await import("./lib/mutants.mjs");
  process.exitCode = await mutants(args);
});
