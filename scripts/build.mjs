// `npm run build`: builds the Worker as it ships into build/ and checks its size.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const { buildAndWeigh } = await import("./lib/weigh.mjs");
  await buildAndWeigh();
});
