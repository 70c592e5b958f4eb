// The origin: answers every request with twelve bytes, or as the table says that it was given, and tells its parent, when
// asked, what it received last. A process of its own, started by `fork`, so that its work is never counted with a Worker's.

import { createServer } from "node:http";
import { tell } from "./child.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { Header, OriginAnswer, OriginAnswers } from "./types.js" */

const BODY = "hello edge!\n";
const CHUNK = Buffer.alloc(64 * 1024, "x");

let requests = 0;
let bytes = 0;
/** @type {IncomingMessage | null} */
let last = null;
/**
 * `METHOD path` without the query → `{ status, headers, length }`.
 * @type {Map<string, OriginAnswer>}
 */
let answers = new Map();

const server = createServer((request, response) => {
  requests += 1;
  last = request;
  request.on("data", (chunk) => (bytes += chunk.length));
  const answer = answers.size === 0 ? undefined : answers.get(`${request.method} ${request.url}`);
  if (answer === undefined) {
    request.resume();
    response.writeHead(200, { "content-type": "text/plain", "content-length": BODY.length });
    return response.end(BODY);
  }
  const { status, headers, length } = answer;
  const send = () => {
    response.writeHead(status, status === 304 || status === 204 ? headers : { ...headers, "content-length": length });
    stream(response, length);
  };
  // Whoever uploads is answered when all of it is here.
  if (request.method === "GET") send();
  else request.on("end", send);
});
// A Worker that waits for its turn keeps its connections.
server.keepAliveTimeout = 300_000;
server.requestTimeout = 0;

process.on("message", (/** @type {{ id: number, answers?: OriginAnswers }} */ { id, ...order }) => {
  if (order.answers) answers = new Map(order.answers);
  const received = last && { method: last.method, path: last.url, headers: pairs(last.rawHeaders) };
  tell({ id, requests, bytes, received });
  requests = 0;
  bytes = 0;
  last = null;
});
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});

server.listen(0, "127.0.0.1", () => tell({ port: /** @type {AddressInfo} */ (server.address()).port, body: BODY }));

/**
 * Writes `length` bytes as fast as the other side takes them.
 * @param {ServerResponse} response
 * @param {number} length
 */
function stream(response, length) {
  let left = length;
  const write = () => {
    while (left > 0) {
      const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= chunk.length;
      if (!response.write(chunk) && left > 0) return response.once("drain", write);
    }
    response.end();
  };
  write();
}

/**
 * @param {string[]} raw
 * @returns {Header[]}
 */
function pairs(raw) {
  /** @type {Header[]} */
  const list = [];
  for (let at = 0; at < raw.length; at += 2) list.push([raw[at].toLowerCase(), raw[at + 1]]);
  return list;
}
