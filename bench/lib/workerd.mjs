// One workerd process per Worker, started straight from a generated configuration: nothing but workerd itself
// stands between the load and the Worker, or between the Worker and the origin.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import workerd from "workerd";

const COMPATIBILITY_DATE = "2026-11-01";
const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/**
 * Starts a Worker and resolves to `{ name, pid, port, cpu(), stop() }`.
 *
 * `modules` is a list of `{ name, file }` (the first is the entry; `.wasm` becomes a Wasm module) and
 * `bindings` maps a name to `{ text }`, `{ json }`, `{ kv: { key: value } }` (what it holds at first), `{ object: className }` or `{ limit: true }`.
 */
export async function startWorker({ name, modules, bindings, folder }) {
  const file = join(folder, `${name}.capnp`);
  writeFileSync(file, configuration({ modules, bindings }));
  const child = spawn(workerd.default, ["serve", "--control-fd=3", "--import-path=/", file], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    // A group of its own: Ctrl-C reaches the bench alone, which then stops every process in order.
    detached: true,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (log = (log + text).slice(-4000)));
  }
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    kill();
    process.off("exit", kill);
    await ended;
  };
  const port = await new Promise((resolve, reject) => {
    let told = "";
    child.stdio[3].setEncoding("utf8").on("data", (text) => {
      told += text;
      const listening = /"event":"listen","socket":"http","port":(\d+)/.exec(told);
      if (listening) resolve(Number(listening[1]));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${name}: workerd ended with ${code}\n${log}`)));
  });
  return { name, pid: child.pid, port, cpu: () => cpuSeconds(child.pid), log: () => log, stop };
}

/** User and system time of all threads of a process, in seconds. */
function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function configuration({ modules, bindings }) {
  const classes = Object.values(bindings).flatMap(({ object }) => object ?? []);
  const seed = Object.values(bindings).find(({ kv }) => kv)?.kv ?? {};
  const objects = classes.map((name) => `(className = ${text(name)}, uniqueKey = ${text(`bench-${name}`)}, enableSql = true)`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      compatibilityDate = ${text(COMPATIBILITY_DATE)},
      modules = [${modules.map(module).join(", ")}],
      bindings = [${Object.entries(bindings).map(binding).join(", ")}],
      durableObjectNamespaces = [${objects.join(", ")}],
      durableObjectStorage = (${classes.length > 0 ? "inMemory" : "none"} = void),
    )),
    (name = "kv", worker = (
      compatibilityDate = ${text(COMPATIBILITY_DATE)},
      modules = [(name = "kv.js", esModule = ${text(KV)})],
      bindings = [(name = "SEED", json = ${text(JSON.stringify(seed))})],
    )),
    (name = "internet", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  extensions = [(modules = [(name = "bench:limit", internal = true, esModule = ${text(LIMIT)})])],
);
`;
}

function module({ name, file }) {
  return `(name = ${text(name)}, ${name.endsWith(".wasm") ? "wasm" : "esModule"} = embed ${text(file)})`;
}

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

/** A Cap'n Proto text literal. */
function text(value) {
  const escaped = value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n");
  return `"${escaped}"`;
}

// What workerd's KV binding speaks, kept in memory: enough for the requests that prepare the run.
const KV = `
let values;
export default {
  async fetch(request, env) {
    values ??= new Map(Object.entries(env.SEED).map(([key, body]) => [key, { body, metadata: null }]));
    const url = new URL(request.url);
    const key = decodeURIComponent(url.pathname.slice(1));
    if (request.method === "PUT") {
      values.set(key, { body: await request.text(), metadata: request.headers.get("cf-kv-metadata") });
      return new Response(null);
    }
    if (request.method === "DELETE") {
      values.delete(key);
      return new Response(null);
    }
    if (key === "") {
      const prefix = url.searchParams.get("prefix") ?? "";
      const keys = [...values.keys()].filter((name) => name.startsWith(prefix)).sort().map((name) => ({ name }));
      return Response.json({ keys, list_complete: true, cacheStatus: null });
    }
    const value = values.get(key);
    if (value === undefined) return new Response(null, { status: 404 });
    return new Response(value.body, { headers: value.metadata ? { "cf-kv-metadata": value.metadata } : {} });
  },
};
`;

// A rate limit that never refuses. The class is named as Cloudflare's is; bindings are told by that.
const LIMIT = `
class Ratelimit {
  async limit() {
    return { success: true };
  }
}
export default () => new Ratelimit();
`;
