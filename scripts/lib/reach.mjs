// Whether anything listens where a URL leads.
import net from "node:net";
import { portOf } from "./dev-options.mjs";

const PATIENCE_MS = 2_000;
const POLL_MS = 1_000;

/**
 * @param {string} url
 * @returns {Promise<boolean>}
 */
export function listens(url) {
  const parsed = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect({ host: parsed.hostname.replace(/^\[|\]$/g, ""), port: portOf(parsed), timeout: PATIENCE_MS });
    const end = (/** @type {boolean} */ answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .on("connect", () => end(true))
      .on("error", () => end(false))
      .on("timeout", () => end(false));
  });
}

/**
 * Calls `then` once something listens there; holds up no end of the process.
 * @param {string} url
 * @param {() => void} then
 */
export function whenListens(url, then) {
  const poll = async () => {
    if (await listens(url)) then();
    else setTimeout(poll, POLL_MS).unref();
  };
  setTimeout(poll, POLL_MS).unref();
}
