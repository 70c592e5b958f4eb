// `npm run dev`: runs Edgeward in workerd on http://127.0.0.1:8787 in front of the demo origin or of an application of
// yours. Ctrl-C stops everything.
import { readOptions } from "./lib/dev-options.mjs";
import { start } from "./lib/start.mjs";

await start(
  ["rust", "npm", "target", "bindgen"],
  async (args) => {
    const { dev } = await import("./lib/dev.mjs");
    process.exitCode = await dev(args);
  },
  (args) => readOptions(args),
);
