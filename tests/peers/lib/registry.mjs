// A registry of packages: as much of it as `npm publish`, `view` and `install` need. Like the real ones, it knows a scoped
// package by its escaped name only.

import { once } from "node:events";
import http from "node:http";

/** @import { AddressInfo } from "node:net" */
/** @typedef {Awaited<ReturnType<typeof startRegistry>>} Registry */
/** @typedef {{ versions: Record<string, unknown>, "dist-tags": Record<string, string>, _attachments?: Record<string, { data: string }> }} Packument */

/** Starts it: `{ url, requests, stop }`, where `requests` has the method and the path of each request, as it was written. */
export async function startRegistry() {
  /** @type {string[]} */
  const requests = [];
  /** @type {Map<string, Packument>} */
  const packages = new Map();
  /** @type {Map<string, Buffer>} */
  const archives = new Map();

  const server = http.createServer(async (request, response) => {
    const { method = "", url = "" } = request;
    requests.push(`${method} ${url}`);
    /** @type {Buffer[]} */
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const archive = archives.get(url);
    if (method === "GET" && archive) return response.writeHead(200, { "Content-Type": "application/octet-stream" }).end(archive);
    const name = /^\/@[^/]+%2f[^/]+$/i.test(url) ? decodeURIComponent(url.slice(1)) : undefined;
    const json = (/** @type {number} */ status, /** @type {unknown} */ body) =>
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    if (name === undefined) return json(404, { error: "not found" });
    if (method === "GET") return packages.has(name) ? json(200, packages.get(name)) : json(404, { error: "not found" });
    if (method !== "PUT") return json(405, { error: "method not allowed" });
    const { _attachments: attachments, ...packument } = /** @type {Packument} */ (JSON.parse(Buffer.concat(chunks).toString()));
    for (const [version] of Object.entries(packument.versions)) {
      const { tarball } = /** @type {{ dist: { tarball: string } }} */ (packument.versions[version]).dist;
      const data = Object.values(attachments ?? {}).at(0)?.data ?? "";
      archives.set(new URL(tarball).pathname, Buffer.from(data, "base64"));
    }
    packages.set(name, packument);
    return json(201, { ok: true });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`, requests, stop };
}
