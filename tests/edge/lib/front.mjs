// A site under a URL of this machine, for programs that cannot send another `Host`.

import { once } from "node:events";
import http from "node:http";

/** @import { AddressInfo } from "node:net" */
/** @import { Pair } from "./http.mjs" */
/** @import { Site } from "./site.mjs" */
/** @typedef {Awaited<ReturnType<typeof startFront>>} Front */

/** What is between two hops, and what the site's client writes itself. */
const LEFT_OUT = new Set(["host", "connection", "content-length", "transfer-encoding", "keep-alive"]);

/**
 * Starts it: `{ url, requests, stop }`, where `requests` has `method path` of each request so far.
 * @param {Pick<Site, "send">} site
 * @param {number} [port] If the site has to know it; otherwise any.
 */
export async function startFront(site, port = 0) {
  /** @type {string[]} */
  const requests = [];
  const server = http.createServer(async (request, response) => {
    /** @type {Buffer[]} */
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    requests.push(`${request.method} ${request.url}`);
    /** @type {Pair[]} */
    const headers = Object.entries(request.headers).flatMap(([name, value]) => (LEFT_OUT.has(name) ? [] : [[name, String(value)]]));
    const answer = await site.send(request.method ?? "", request.url ?? "", { kind: [], headers, body: chunks.length > 0 ? Buffer.concat(chunks) : undefined });
    const kept = answer.headers.list.filter(([name]) => !LEFT_OUT.has(name.toLowerCase()));
    response.writeHead(answer.status, kept.flat()).end(answer.body);
  });
  await once(server.listen(port, "127.0.0.1"), "listening");
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`, requests, stop };
}
