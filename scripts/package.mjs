// `npm run package`: builds, and packs what a deployer installs into dist/.
import { start } from "./lib/start.mjs";

await start(["rust", "npm", "target", "bindgen"], async () => {
  const { makePackage } = await import("./lib/package.mjs");
  const { tarball, size, files } = await makePackage();
  console.log(`${tarball}: ${files} files, ${Math.ceil(size / 1024)} KB`);
});
