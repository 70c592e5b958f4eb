// What `npm run dev` does after a change of the sources, or of the files of its configuration.
import { existsSync, watch } from "node:fs";
import path from "node:path";
import { build } from "./build.mjs";
import { at } from "./project.mjs";
import { refuseOversize } from "./size.mjs";
import { messageOf, StepFailed } from "./step.mjs";

const SETTLE_MS = 300;

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

/**
 * Calls `then` after a change of one of the files, which need not be there yet; says what it throws.
 * @param {string[]} files
 * @param {() => Promise<void>} then
 */
export function watchFiles(files, then) {
  const changed = settled(async () => {
    try {
      await then();
    } catch (error) {
      process.stderr.write(`dev  ${messageOf(error)}\ndev  the configuration from before keeps running\n`);
    }
  });
  // Editors put a new file in the place of the old one, so it is the folder that is watched.
  for (const folder of new Set(files.map((file) => path.dirname(file)))) {
    watchFolder(folder, { recursive: false }, (name) => {
      if (name === null || files.includes(path.join(folder, name))) changed();
    });
  }
}

/**
 * @param {string} folder
 * @param {{ recursive: boolean }} options
 * @param {(name: string | null) => void} changed
 */
function watchFolder(folder, { recursive }, changed) {
  watch(folder, { recursive }, (_, name) => changed(name))
    .on("error", (error) => process.stderr.write(`dev  cannot watch ${folder}: ${error.message}\n`))
    .unref();
}

/**
 * Runs `work` once changes have settled, never twice at a time, and again if something has changed meanwhile.
 * @param {() => Promise<void>} work
 */
function settled(work) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  let isWorking = false;
  let again = false;
  const run = async () => {
    if (isWorking) {
      again = true;
      return;
    }
    isWorking = true;
    await work();
    isWorking = false;
    if (again) {
      again = false;
      await run();
    }
  };
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, SETTLE_MS);
  };
}
