// The origin: answers every request with twelve bytes and tells its parent, when asked, what it received last.
// A process of its own, started by `fork`, so that its work is never counted with a Worker's.

import { createServer } from "node:http";

const BODY = "hello edge!\n";

let requests = 0;
let last = null;

const server = createServer((request, response) => {
  requests += 1;
  last = request;
  request.resume();
  response.writeHead(200, { "content-type": "text/plain", "content-length": BODY.length });
  response.end(BODY);
});
// A Worker that waits for its turn keeps its connections.
server.keepAliveTimeout = 300_000;
server.requestTimeout = 0;

process.on("message", ({ id }) => {
  const received = last && { method: last.method, path: last.url, headers: pairs(last.rawHeaders) };
  process.send({ id, requests, received });
  requests = 0;
  last = null;
});
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});

server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port, body: BODY }));

function pairs(raw) {
  const list = [];
  for (let at = 0; at < raw.length; at += 2) list.push([raw[at].toLowerCase(), raw[at + 1]]);
  return list;
}
