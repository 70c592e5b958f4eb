// Workers KV: what workerd's binding speaks, kept in memory; as in production in no process of the Worker's, so that its
// own CPU is nobody's. A process of its own, started by `fork`. Each Worker has a namespace, that is a port.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

/** What namespaces begin with, by name. */
const seeds = new Map();
/** Namespaces by port. */
const open = new Map();

process.on("message", async ({ id, ...order }) => process.send({ id, ...(await obey(order)) }));
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});
process.send({ ready: true });

/**
 * `seed` keeps `entries` under that name; `grow` keeps what `from` has and `users` users more; `begin` opens a namespace with them, whose every answer takes `delay`
 * milliseconds; `dump` tells what a namespace holds, `reads` how
 * often it was read; `end` closes it.
 */
async function obey({ seed, entries, grow, from, users, begin, delay = 0, dump, reads, end }) {
  if (seed !== undefined) seeds.set(seed, [...(seeds.get(seed) ?? []), ...entries]);
  if (grow !== undefined && !seeds.has(grow)) seeds.set(grow, [...seeds.get(from), ...usersLike(seeds.get(from), users)]);
  if (begin !== undefined) return { port: await namespace(new Map(seeds.get(begin) ?? []), delay) };
  if (dump !== undefined) return { entries: [...open.get(dump).values] };
  if (reads !== undefined) return { reads: open.get(reads).reads };
  if (end !== undefined) {
    const { server } = open.get(end);
    open.delete(end);
    server.closeAllConnections();
    server.close();
  }
  return {};
}

/** Records of `count` users such as those in `entries` (docs/storage.md). */
function usersLike(entries, count) {
  const [, { body }] = entries.find(([key]) => key.startsWith("user:"));
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  return Array.from({ length: count }, (_, index) => {
    const [id, email] = [`usr_${String(index).padStart(22, "0")}`, `stored-${index}@example.com`];
    const user = JSON.stringify({ ...JSON.parse(body), id, email, username: email });
    return [
      [`user:${sha256(id)}`, user],
      [`user_email:${sha256(email)}`, id],
    ].map(([key, text]) => [key, { body: text, metadata: null }]);
  }).flat();
}

function namespace(values, delay) {
  const state = { values, reads: 0 };
  state.server = createServer((request, response) => {
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
  state.server.keepAliveTimeout = 300_000;
  return new Promise((resolve) => {
    state.server.listen(0, "127.0.0.1", () => {
      const { port } = state.server.address();
      open.set(port, state);
      resolve(port);
    });
  });
}

function answer(state, { method, url, headers }, body) {
  const { pathname, searchParams } = new URL(url, "http://kv");
  const key = decodeURIComponent(pathname.slice(1));
  if (method === "PUT") {
    state.values.set(key, { body, metadata: headers["cf-kv-metadata"] ?? null });
    return { status: 200 };
  }
  if (method === "DELETE") {
    state.values.delete(key);
    return { status: 200 };
  }
  state.reads += 1;
  if (key === "") {
    const prefix = searchParams.get("prefix") ?? "";
    const keys = [...state.values.keys()]
      .filter((name) => name.startsWith(prefix))
      .sort()
      .map((name) => ({ name }));
    return { status: 200, text: JSON.stringify({ keys, list_complete: true, cacheStatus: null }), headers: { "content-type": "application/json" } };
  }
  const value = state.values.get(key);
  if (value === undefined) return { status: 404 };
  return { status: 200, text: value.body, headers: value.metadata === null ? {} : { "cf-kv-metadata": value.metadata } };
}
