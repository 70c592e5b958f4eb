// A service that is told events: it remembers each as it came, and answers as a test says.

import { once } from "node:events";
import http from "node:http";
import { Headers, readAll } from "./http.mjs";

/** @import { ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @typedef {{ path: string, id: string, headers: Headers, raw: string, body: Record<string, unknown>, at: number }} Received */
/** @typedef {{ status?: number, headers?: Record<string, string>, body?: string }} Reply */
/** @typedef {Awaited<ReturnType<typeof startReceiver>>} Receiver */

/** What django-sso's services answer. */
export const OK = { status: 200, body: '{"ok": true}' };

/** Starts it: each path is a service of its own. */
export async function startReceiver() {
  /** @type {Received[]} */
  const all = [];
  /** @type {Map<string, (event: Received, times: number) => Reply | undefined | Promise<Reply | undefined>>} */
  const answers = new Map();
  /** @type {ServerResponse[]} */
  const held = [];
  const server = http.createServer(async (request, response) => {
    const path = request.url ?? "";
    const raw = (await readAll(request)).toString("utf8");
    const headers = new Headers(request.rawHeaders);
    const body = JSON.parse(raw);
    const event = { path, id: headers.get("webhook-id") ?? String(body.n), headers, raw, body, at: Date.now() };
    all.push(event);
    const times = all.filter((other) => other.path === path && other.id === event.id).length;
    const answer = answers.get(path);
    /** @type {Reply | undefined} */
    const reply = answer === undefined ? OK : await answer(event, times);
    if (reply === undefined) return held.push(response);
    response.writeHead(reply.status ?? 200, { "content-type": "application/json", ...reply.headers }).end(reply.body ?? "");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = /** @type {AddressInfo} */ (server.address());
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    all,
    answers,
    /** Responses of requests that are not answered. */
    held,
    /**
     * The events of a service so far.
     * @param {string} service
     */
    of: (service) => all.filter(({ path }) => path === `/${service}`),
    /**
     * Their ids.
     * @param {string} service
     */
    ids: (service) => all.filter(({ path }) => path === `/${service}`).map(({ id }) => id),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
