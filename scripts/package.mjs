// `npm run package`: builds, and packs what a deployer installs into dist/, with its checksum. With `-- --tag v<version>` it refuses
// a tag that does not fit, and writes the notes of the release too.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async (args) => {
  const { runPackage } = await import("./lib/package.mjs");
  process.exitCode = await runPackage(args);
});
