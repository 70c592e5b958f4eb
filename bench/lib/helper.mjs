// The processes beside the Workers: the origin, the load and KV.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** @import { Helpers } from "./types.js" */

/**
 * Starts `origin.mjs`, `load.mjs` or `kv.mjs`: resolves, once it is ready, to `{ hello, ask(message), stop() }`.
 * @template {keyof Helpers} File
 * @param {File} file
 * @returns {Promise<Helpers[File]>}
 */
export async function startHelper(file) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { detached: true, serialization: "advanced" });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {Map<number, { resolve: (answer: unknown) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve) => child.once("exit", resolve));
  ended.then((code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code}`));
  });
  const hello = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  /** @param {{ id: number }} message */
  child.on("message", (/** @type {{ id: number }} */ { id, ...answer }) => {
    waiting.get(id)?.resolve(answer);
    waiting.delete(id);
  });
  let next = 0;
  /** @param {object} [message] */
  const ask = (message = {}) =>
    new Promise((resolve, reject) => {
      const id = (next += 1);
      waiting.set(id, { resolve, reject });
      child.send({ id, ...message });
    });
  const stop = async () => {
    kill();
    process.off("exit", kill);
    await ended;
  };
  // The other process is one of ours, and says what it is declared to say.
  return /** @type {Helpers[File]} */ (/** @type {unknown} */ ({ hello, ask, stop }));
}
