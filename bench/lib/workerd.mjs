// One workerd process per Worker, started straight from a generated configuration: nothing but workerd itself
// stands between the load and the Worker, or between the Worker and the origin.

/// <reference path="./modules.d.ts" />
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import workerd from "workerd";

/** @import { Binding, Module } from "./types.js" */

const COMPATIBILITY_DATE = "2026-11-01";
const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/**
 * Starts a Worker and resolves to `{ name, pid, port, readyAfter, cpu(), exactCpu(), memory(), log(), stop() }`; `readyAfter`
 * is how many milliseconds the process took until it listened.
 *
 * `modules` is a list of `{ name, file }` (the first is the entry; `.wasm` becomes a Wasm module, `.bin` bytes) and
 * `bindings` maps a name to `{ text }`, `{ json }`, `{ kv: port }`, `{ object: className }` or `{ limit: true }`.
 * Durable Objects are kept in memory; `onDisk` keeps them in `folder`, for classes that use SQL.
 * @param {{ name: string, modules: Module[], bindings: Record<string, Binding>, folder: string, onDisk?: boolean }} what
 */
export async function startWorker({ name, modules, bindings, folder, onDisk = false }) {
  const file = join(folder, `${name}.capnp`);
  // Each start begins with nothing.
  const disk = onDisk ? mkdtempSync(join(folder, `${name}-objects-`)) : undefined;
  writeFileSync(file, configuration({ modules, bindings, disk }));
  const startedAt = performance.now();
  const child = spawn(workerd.default, ["serve", "--control-fd=3", "--import-path=/", file], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    // A group of its own: Ctrl-C reaches the bench alone, which then stops every process in order.
    detached: true,
  });
  // The fourth pipe: what workerd tells by `--control-fd`.
  const control = /** @type {import("node:stream").Readable} */ (child.stdio[3]);
  const { pid } = child;
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text) => (log = (log + text).slice(-4000)));
  }
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {Promise<void>} */
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    kill();
    process.off("exit", kill);
    await ended;
  };
  /** @type {number} */
  const port = await new Promise((resolve, reject) => {
    let told = "";
    control.setEncoding("utf8").on("data", (text) => {
      told += text;
      const listening = /"event":"listen","socket":"http","port":(\d+)/.exec(told);
      if (listening) resolve(Number(listening[1]));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${name}: workerd ended with ${code}\n${log}`)));
  });
  const readyAfter = performance.now() - startedAt;
  if (pid === undefined) throw new Error(`${name}: workerd did not start`);
  return { name, pid, port, readyAfter, cpu: () => cpuSeconds(pid), exactCpu: () => exactCpuSeconds(pid), memory: () => memoryOf(pid), log: () => log, stop };
}

/**
 * User and system time of all threads of a process, in seconds.
 * @param {number} pid
 */
function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * The same to the nanosecond, for a process that lives a short time; threads that have ended are not in it.
 * @param {number} pid
 */
function exactCpuSeconds(pid) {
  const spent = readdirSync(`/proc/${pid}/task`).map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]));
  return spent.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e9;
}

/**
 * Resident memory of a process now, and the most that it has been, in bytes. `clear_refs` begins the latter anew.
 * @param {number} pid
 */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  /** @param {string} name */
  const field = (name) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status);
    if (found === null) throw new Error(`/proc/${pid}/status has no ${name}`);
    return Number(found[1]) * 1024;
  };
  return { now: field("VmRSS"), most: field("VmHWM"), forget: () => writeFileSync(`/proc/${pid}/clear_refs`, "5") };
}

/** @param {{ modules: Module[], bindings: Record<string, Binding>, disk?: string }} what */
function configuration({ modules, bindings, disk }) {
  const classes = Object.values(bindings).flatMap((binding) => ("object" in binding ? binding.object : []));
  const kv = Object.values(bindings).find((binding) => "kv" in binding);
  const objects = classes.map((name) => `(className = ${text(name)}, uniqueKey = ${text(`bench-${name}`)}, enableSql = true)`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      compatibilityDate = ${text(COMPATIBILITY_DATE)},
      modules = [${modules.map(module).join(", ")}],
      bindings = [${Object.entries(bindings).map(binding).join(", ")}],
      durableObjectNamespaces = [${objects.join(", ")}],
      durableObjectStorage = (${disk ? `localDisk = "disk"` : `${classes.length > 0 ? "inMemory" : "none"} = void`}),
    )),
${kv ? `    (name = "kv", external = (address = "127.0.0.1:${kv.kv}", http = ())),\n` : ""}${disk ? `    (name = "disk", disk = (path = ${text(disk)}, writable = true)),\n` : ""}    (name = "internet", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  extensions = [(modules = [(name = "bench:limit", internal = true, esModule = ${text(LIMIT)})])],
);
`;
}

/** @param {Module} module */
function module({ name, file }) {
  const kind = name.endsWith(".wasm") ? "wasm" : name.endsWith(".bin") ? "data" : "esModule";
  return `(name = ${text(name)}, ${kind} = embed ${text(file)})`;
}

/** @param {[name: string, kind: Binding]} binding */
function binding([name, kind]) {
  const value =
    "text" in kind
      ? `text = ${text(kind.text)}`
      : "json" in kind
        ? `json = ${text(JSON.stringify(kind.json))}`
        : "kv" in kind
          ? 'kvNamespace = "kv"'
          : "limit" in kind
            ? 'wrapped = (moduleName = "bench:limit")'
            : `durableObjectNamespace = ${text(kind.object)}`;
  return `(name = ${text(name)}, ${value})`;
}

/**
 * A Cap'n Proto text literal.
 * @param {string} value
 */
function text(value) {
  const escaped = value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n");
  return `"${escaped}"`;
}

// A rate limit that never refuses. The class is named as Cloudflare's is; bindings are told by that.
const LIMIT = `
class Ratelimit {
  async limit() {
    return { success: true };
  }
}
export default () => new Ratelimit();
`;
