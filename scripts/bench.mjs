// `npm run bench`: builds what has changed, then measures (bench/run.mjs).
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const { build } = await import("./lib/build.mjs");
  await build();
  await import("../bench/run.mjs");
});
