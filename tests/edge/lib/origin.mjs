// A recording HTTP origin: it remembers each request as it arrived and, unless told otherwise,
// answers with what it saw as JSON.

import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { Seen } from "./http.mjs";
import { acceptKey, frame, frameReader } from "./websocket.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @import { Duplex } from "node:stream" */

/** @typedef {Awaited<ReturnType<typeof startOrigin>>} Origin */
/** @typedef {(request: IncomingMessage, response: ServerResponse, seen: Seen) => unknown} Handler What answers one path. */

export async function startOrigin() {
  /** @type {Seen[]} */
  const requests = [];
  /** @type {Map<string, Handler>} */
  const answers = new Map();
  /** @type {Set<Duplex>} */
  const upgraded = new Set();
  const server = http.createServer({ maxHeaderSize: 128 * 1024, requestTimeout: 0 }, async (request, response) => {
    const seen = remember(request);
    const answer = answers.get(seen.path);
    if (answer) return answer(request, response, seen);
    const body = createHash("sha256");
    let size = 0;
    try {
      for await (const chunk of request) {
        body.update(chunk);
        size += chunk.length;
      }
    } catch {
      return response.destroy();
    }
    seen.body = { size, sha256: body.digest("hex") };
    const text = JSON.stringify({ origin: "edgeward-test", method: seen.method, url: seen.url, headers: request.rawHeaders, body: seen.body });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
    response.end(text);
  });
  server.keepAliveTimeout = 60_000;

  /** @param {IncomingMessage} request */
  function remember(request) {
    const seen = new Seen({ method: request.method ?? "", url: request.url ?? "", headers: request.rawHeaders });
    requests.push(seen);
    return seen;
  }

  // A WebSocket that first tells what the upgrade request looked like and then echoes.
  server.on("upgrade", (request, socket, head) => {
    const seen = remember(request);
    upgraded.add(socket);
    socket.on("close", () => upgraded.delete(socket));
    socket.on("error", () => {});
    const protocol = seen.header("sec-websocket-protocol");
    socket.write(
      [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Accept: ${acceptKey(seen.header("sec-websocket-key") ?? "")}`,
        ...(seen.path === "/sets-cookies" ? ["Set-Cookie: first=1", "Set-Cookie: __Host-edgeward=forged; Path=/; Secure"] : []),
        ...(protocol ? [`Sec-WebSocket-Protocol: ${protocol.split(",")[0].trim()}`] : []),
        "",
        "",
      ].join("\r\n"),
    );
    const frames = frameReader(socket, head);
    (async () => {
      for (let text = await frames.next(); text !== undefined; text = await frames.next()) {
        const answer = text === "what did you see" ? JSON.stringify({ url: seen.url, headers: request.rawHeaders }) : `echo: ${text}`;
        socket.write(frame(Buffer.from(answer)));
      }
      socket.destroy();
    })();
  });

  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = /** @type {AddressInfo} */ (server.address());
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    /** All requests so far. */
    requests,
    /**
     * The requests whose target contains a text.
     * @param {string} text
     */
    about: (text) => requests.filter((seen) => seen.url.includes(text)),
    /**
     * Answers one path by `(request, response, seen) => …` from now on.
     * @param {string} path
     * @param {Handler} answer
     */
    on(path, answer) {
      answers.set(path, answer);
    },
    stop() {
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
