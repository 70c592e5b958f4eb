#!/usr/bin/env node
// `npx edgeward …`: the commands of the package, for whoever deploys Edgeward. They run in the folder of their wrangler.toml.
import { start } from "./lib/start.mjs";

await start([], async (args) => {
  const { edgeward } = await import("./lib/edgeward.mjs");
  process.exitCode = await edgeward(args);
});
