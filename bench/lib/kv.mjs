// Workers KV: what workerd's binding speaks, kept in memory; as in production in no process of the Worker's, so that its
// own CPU is nobody's. A process of its own, started by `fork`. Each Worker has a namespace, that is a port.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { tell } from "./child.mjs";

/** @import { IncomingMessage, Server } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @import { Entry, KvOrder } from "./types.js" */
/** @typedef {{ values: Map<string, Entry[1]>, names: string[], reads: number }} State `names`: in order, for lists. */

/**
 * What namespaces begin with, by name.
 * @type {Map<string, Entry[]>}
 */
const seeds = new Map();
/**
 * Namespaces by port.
 * @type {Map<number, State & { server: Server }>}
 */
const open = new Map();

process.on("message", async (/** @type {KvOrder & { id: number }} */ { id, ...order }) => tell({ id, ...(await obey(order)) }));
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});
tell({ ready: true });

/**
 * `seed` keeps `entries` under that name; `grow` keeps what `from` has and `users` users more; `begin` opens a namespace with them, whose every answer takes `delay`
 * milliseconds; `dump` tells what a namespace holds, `reads` how
 * often it was read; `end` closes it.
 * @param {KvOrder} order
 */
async function obey(order) {
  if ("seed" in order) seeds.set(order.seed, [...(seeds.get(order.seed) ?? []), ...order.entries]);
  if ("grow" in order && !seeds.has(order.grow)) {
    const before = seeds.get(order.from) ?? [];
    seeds.set(order.grow, [...before, ...usersLike(before, order.users)]);
  }
  if ("begin" in order) return { port: await namespace(new Map(seeds.get(order.begin) ?? []), order.delay ?? 0) };
  if ("dump" in order) return { entries: [...opened(order.dump).values] };
  if ("reads" in order) return { reads: opened(order.reads).reads };
  if ("end" in order) {
    const { server } = opened(order.end);
    open.delete(order.end);
    server.closeAllConnections();
    server.close();
  }
  return {};
}

/**
 * The namespace at this port.
 * @param {number} port
 */
function opened(port) {
  const state = open.get(port);
  if (state === undefined) throw new Error(`no namespace is at port ${port}`);
  return state;
}

/**
 * Records of `count` users such as those in `entries` (docs/storage.md).
 * @param {Entry[]} entries
 * @param {number} count
 * @returns {Entry[]}
 */
function usersLike(entries, count) {
  const known = entries.find(([key]) => key.startsWith("user:"));
  if (known === undefined) throw new Error("there is no user to make others like");
  const [, { body }] = known;
  /** @param {string} text */
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  return Array.from({ length: count }, (_, index) => {
    const [id, email] = [`usr_${String(index).padStart(22, "0")}`, `stored-${index}@example.com`];
    const user = JSON.stringify({ ...JSON.parse(body), id, email, username: email });
    /** @type {Entry[]} */
    const both = [
      [`user:${sha256(id)}`, { body: user, metadata: null }],
      [`user_email:${sha256(email)}`, { body: id, metadata: null }],
    ];
    return both;
  }).flat();
}

/**
 * @param {Map<string, Entry[1]>} values
 * @param {number} delay
 * @returns {Promise<number>}
 */
function namespace(values, delay) {
  /** @type {State} */
  const state = { values, names: [...values.keys()].sort(), reads: 0 };
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text) => (body += text));
    request.on("end", () => {
      const reply = () => {
        const { status, text = "", headers = {} } = answer(state, request, body);
        response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) }).end(text);
      };
      if (delay > 0) setTimeout(reply, delay);
      else reply();
    });
  });
  server.keepAliveTimeout = 300_000;
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {AddressInfo} */ (server.address());
      open.set(port, Object.assign(state, { server }));
      resolve(port);
    });
  });
}

/**
 * @param {State} state
 * @param {IncomingMessage} request
 * @param {string} body
 * @returns {{ status: number, text?: string, headers?: Record<string, string> }}
 */
function answer(state, { method, url, headers }, body) {
  const { pathname, searchParams } = new URL(url ?? "", "http://kv");
  const key = decodeURIComponent(pathname.slice(1));
  if (method === "PUT") {
    if (!state.values.has(key)) state.names.splice(placeOf(state.names, key), 0, key);
    state.values.set(key, { body, metadata: headers["cf-kv-metadata"]?.toString() ?? null });
    return { status: 200 };
  }
  if (method === "DELETE") {
    if (state.values.delete(key)) state.names.splice(placeOf(state.names, key), 1);
    return { status: 200 };
  }
  state.reads += 1;
  if (key === "") {
    const [prefix, limit] = [searchParams.get("prefix") ?? "", Number(searchParams.get("key_count_limit") ?? 1000)];
    const after = searchParams.get("cursor");
    const first = after ? placeOf(state.names, `${after}\0`) : placeOf(state.names, prefix);
    const found = state.names.slice(first, first + limit + 1).filter((name) => name.startsWith(prefix));
    const keys = found.slice(0, limit).map((name) => {
      const metadata = state.values.get(name)?.metadata ?? null;
      return metadata === null ? { name } : { name, metadata };
    });
    const rest = found.length > limit ? { list_complete: false, cursor: keys.at(-1)?.name } : { list_complete: true };
    return { status: 200, text: JSON.stringify({ keys, ...rest, cacheStatus: null }), headers: { "content-type": "application/json" } };
  }
  const value = state.values.get(key);
  if (value === undefined) return { status: 404 };
  return { status: 200, text: value.body, headers: value.metadata === null ? {} : { "cf-kv-metadata": value.metadata } };
}

/**
 * Where a name is among others that are in order, or would be.
 * @param {string[]} names
 * @param {string} name
 */
function placeOf(names, name) {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (names[middle] < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
