// What is done after a change of files.
import { watch } from "node:fs";
import path from "node:path";
import { messageOf } from "./step.mjs";

const SETTLE_MS = 300;

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
export function watchFolder(folder, { recursive }, changed) {
  watch(folder, { recursive }, (_, name) => changed(name))
    .on("error", (error) => process.stderr.write(`dev  cannot watch ${folder}: ${error.message}\n`))
    .unref();
}

/**
 * Runs `work` once changes have settled, never twice at a time, and again if something has changed meanwhile.
 * @param {() => Promise<void>} work
 */
export function settled(work) {
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
