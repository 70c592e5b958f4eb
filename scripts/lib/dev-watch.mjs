// What `npm run dev` does in the repository after a change of the sources.
import { existsSync } from "node:fs";
import { build } from "./build.mjs";
import { at } from "./project.mjs";
import { refuseOversize } from "./size.mjs";
import { messageOf, StepFailed } from "./step.mjs";
import { settled, watchFolder } from "./watch.mjs";

/** Rebuilds after a change; wrangler dev notices the new files in build/. */
export function watchSources() {
  const changed = settled(async () => {
    try {
      refuseOversize(await build());
    } catch (error) {
      process.stderr.write(`${error instanceof StepFailed ? error.output : ""}\ndev  ${messageOf(error)}; the last good build keeps running\n`);
    }
  });
  for (const folder of ["src", "www", "kdf"].map((name) => at(name)).filter(existsSync)) {
    watchFolder(folder, { recursive: true }, (name) => {
      if (name === null || /\.(rs|js|html|css|svg|toml)$/.test(name)) changed();
    });
  }
}
