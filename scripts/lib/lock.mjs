// Lets one process run at a time, by a lock file with the owner's pid. A lock is taken over if its owner is gone.
import { linkSync, mkdirSync, readFileSync, renameSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { codeOf } from "./step.mjs";

/** @typedef {{ pid: number, host: string }} Owner */

const HEARTBEAT_MS = 2_000;
const STALE_MS = 20_000;
const POLL_MS = 200;

/**
 * Runs `work` while holding the lock `file`; calls `onWait(pid)` once if another process holds it.
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @param {(pid: number) => void} [onWait]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, onWait = () => {}) {
  mkdirSync(path.dirname(file), { recursive: true });
  let told = false;
  while (!take(file)) {
    const owner = read(file);
    if (owner && isStale(file, owner)) {
      breakLock(file, owner);
      continue;
    }
    if (owner && !told) {
      told = true;
      onWait(owner.pid);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const release = () => {
    const owner = read(file);
    if (owner?.pid === process.pid && owner.host === hostname()) ignoreMissing(() => unlinkSync(file));
  };
  const heartbeat = setInterval(() => ignoreMissing(() => utimesSync(file, new Date(), new Date())), HEARTBEAT_MS);
  heartbeat.unref();
  process.once("exit", release);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    process.removeListener("exit", release);
    release();
  }
}

/**
 * Takes the lock by a hard link, which appears with its whole content or not at all and never replaces another file.
 * @param {string} file
 */
function take(file) {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, host: hostname() }));
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    unlinkSync(mine);
  }
}

/**
 * @param {string} file
 * @returns {Owner | null}
 */
function read(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    return { pid: 0, host: "" };
  }
}

/**
 * @param {string} file
 * @param {Owner} owner
 */
function isStale(file, owner) {
  try {
    if (Date.now() - statSync(file).mtimeMs > STALE_MS) return true;
  } catch {
    return false;
  }
  return owner.host === hostname() && !isAlive(owner.pid);
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/**
 * Moves a stale lock away. If another process was faster and holds the lock by now, restores it.
 * @param {string} file
 * @param {Owner} owner
 */
function breakLock(file, owner) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  const moved = read(aside);
  if (moved && (moved.pid !== owner.pid || moved.host !== owner.host)) {
    ignoreMissing(() => linkSync(aside, file));
  }
  ignoreMissing(() => unlinkSync(aside));
}

/** @param {() => void} action */
function ignoreMissing(action) {
  try {
    action();
  } catch (error) {
    if (codeOf(error) !== "ENOENT" && codeOf(error) !== "EEXIST") throw error;
  }
}
