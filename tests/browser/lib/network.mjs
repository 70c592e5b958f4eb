// The network between a browser, the edge and the applications: one HTTPS port for all host names
// (what a CDN and a TLS proxy are in production), and a forward proxy by which the applications
// find those names.

import { createHash, createPublicKey } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { selfSigned } from "./certificate.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { Request } from "miniflare" */
/** @import { Answered } from "../../edge/lib/world.mjs" */

/** @typedef {Awaited<ReturnType<typeof startNetwork>>} Network */

/** What belongs to one connection, and not to the request. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "content-length", "host"]);

/**
 * Starts the network for some host names; `route` says later which local port each of them leads to.
 * @param {string[]} names
 */
export async function startNetwork(names) {
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-network-"));
  const certificateFile = path.join(folder, "certificate.pem");
  const { key, cert } = selfSigned(names);
  writeFileSync(certificateFile, cert);

  /** @type {Map<string | undefined, number>} */
  const routes = new Map();
  const front = https.createServer({ key, cert }, (request, response) => {
    const port = routes.get(request.headers.host?.split(":")[0]);
    if (port === undefined) return response.writeHead(421).end();
    const forwarded = http.request({
      host: "127.0.0.1",
      port,
      method: request.method,
      path: request.url,
      headers: [...withoutForwarded(request.rawHeaders), "X-Forwarded-Proto", "https"],
    });
    forwarded.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  });

  const proxy = http.createServer();
  proxy.on("connect", (request, socket) => {
    if (!names.includes(request.url?.split(":")[0] ?? "")) return socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const onward = net.connect(/** @type {AddressInfo} */ (front.address()).port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });

  await Promise.all([front, proxy].map((server) => once(server.listen(0, "127.0.0.1"), "listening")));
  const { port } = /** @type {AddressInfo} */ (front.address());
  return {
    /** By this a browser trusts the certificate: what comes over an untrusted one it does not keep. */
    publicKeyHash: createHash("sha256")
      .update(createPublicKey(cert).export({ type: "spki", format: "der" }))
      .digest("base64"),
    /**
     * The origin of a name as the browser knows it.
     * @param {string} name
     */
    origin: (name) => `https://${name}:${port}`,
    /**
     * The name with its port, as in a `Host` header.
     * @param {string} name
     */
    host: (name) => `${name}:${port}`,
    /**
     * @param {string} name
     * @param {number} localPort
     */
    route: (name, localPort) => routes.set(name, localPort),
    /**
     * Fetches for the Worker what it asks for: at a name of this network over TLS, anything else as it is.
     * @param {Request} request
     * @returns {Promise<Answered>}
     */
    async fetch(request) {
      const url = new URL(request.url);
      const secure = names.includes(url.hostname);
      const sending = Buffer.from(await request.arrayBuffer());
      const headers = Object.fromEntries([...request.headers].filter(([name]) => !HOP_BY_HOP.has(name)));
      const options = { method: request.method, headers: { ...headers, host: url.host, "content-length": String(sending.length) } };
      const target = secure ? { host: "127.0.0.1", port, servername: url.hostname, ca: cert } : { host: url.hostname, port: url.port };
      const sent = (secure ? https : http).request({ ...target, path: `${url.pathname}${url.search}`, ...options }).end(sending);
      const [answer] = /** @type {[http.IncomingMessage]} */ (await once(sent, "response"));
      /** @type {Buffer[]} */
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      /** @type {[string, string][]} */
      const pairs = [];
      for (let i = 0; i < answer.rawHeaders.length; i += 2) pairs.push([answer.rawHeaders[i], answer.rawHeaders[i + 1]]);
      const body = chunks.length > 0 ? Buffer.concat(chunks) : null;
      return [body, { status: answer.statusCode, headers: pairs.filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase())) }];
    },
    /** What a program needs in its environment to call those names: the proxy, and trust in the certificate. */
    environment: {
      ...bothCases("HTTPS_PROXY", `http://127.0.0.1:${/** @type {AddressInfo} */ (proxy.address()).port}`),
      ...bothCases("NO_PROXY", ""),
      NODE_USE_ENV_PROXY: "1",
      NODE_EXTRA_CA_CERTS: certificateFile,
      REQUESTS_CA_BUNDLE: certificateFile,
      SSL_CERT_FILE: certificateFile,
      CURL_CA_BUNDLE: certificateFile,
    },
    async stop() {
      for (const server of [front, proxy]) {
        server.closeAllConnections();
        server.close();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * @param {string} name
 * @param {string} value
 */
const bothCases = (name, value) => ({ [name]: value, [name.toLowerCase()]: value });

/** @param {string[]} rawHeaders */
function withoutForwarded(rawHeaders) {
  /** @type {string[]} */
  const kept = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i].toLowerCase() !== "x-forwarded-proto") kept.push(rawHeaders[i], rawHeaders[i + 1]);
  }
  return kept;
}
