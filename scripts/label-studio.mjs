// `npm run test:label-studio`: tests the Worker in front of a real, unmodified Label Studio, by HTTP and in Chromium.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async (args) => {
  const { testLabelStudio } = await import("./lib/label-studio.mjs");
  process.exitCode = await testLabelStudio(args);
});
