// One request to a Worker, outside of the load.

import { request } from "node:http";

/** @typedef {{ status: number | undefined, headers: import("node:http").IncomingHttpHeaders, body: string }} Answer */

/**
 * Sends it with the given `Host` and resolves to `{ status, headers, body }`.
 * @param {{ port: number }} worker
 * @param {{ host: string, path: string, method?: string, headers?: Record<string, string>, body?: string }} request
 * @returns {Promise<Answer>}
 */
export function ask({ port }, { host, path, method = "GET", headers = {}, body }) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, host: "127.0.0.1", path, method, headers: { host, ...headers } }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: text }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
