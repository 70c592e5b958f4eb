// A site under a URL of this machine, for programs that cannot send another `Host`.

import http from "node:http";

/** What is between two hops, and what the site's client writes itself. */
const LEFT_OUT = new Set(["host", "connection", "content-length", "transfer-encoding", "keep-alive"]);

/** Starts it: `{ url, requests, stop }`, where `requests` has `method path` of each request so far. */
export async function startFront(site) {
  const requests = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    requests.push(`${request.method} ${request.url}`);
    const headers = Object.entries(request.headers).filter(([name]) => !LEFT_OUT.has(name));
    const answer = await site.send(request.method, request.url, { kind: [], headers, body: chunks.length > 0 ? Buffer.concat(chunks) : undefined });
    const kept = answer.headers.list.filter(([name]) => !LEFT_OUT.has(name.toLowerCase()));
    response.writeHead(answer.status, kept.flat()).end(answer.body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, requests, stop };
}
