// The demo origin: a web server without dependencies that shows the request that reached it.
//   node server.mjs [--port 8788] [--host 127.0.0.1]
// A browser gets a page, any other client JSON. /ws echoes WebSocket messages.
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @import { Duplex } from "node:stream" */

/** @typedef {[name: string, value: string]} Header */
/** @typedef {{ method?: string, url?: string, headers: Header[], body_bytes: number }} Seen A request as it arrived. */
/** @typedef {{ opcode: number, final: boolean, data: Buffer, end: number, status?: number }} Frame A WebSocket frame; `status`: why it ends the connection. */
/** @typedef {{ opcode: number, chunks: Buffer[], length: number }} Parts What has come of a message. */

const MESSAGE_LIMIT = 1024 * 1024;

/** Starts the server; answers its port and `stop()`. */
export async function startDemoOrigin({ port = 0, host = "127.0.0.1" } = {}) {
  const server = http.createServer(answer);
  const sockets = new Set();
  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    echo(request, socket, head);
  });
  await once(server.listen(port, host), "listening"); // fails with the server's error
  return {
    port: /** @type {AddressInfo} */ (server.address()).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function answer(request, response) {
  let bodyBytes = 0;
  try {
    for await (const chunk of request) bodyBytes += chunk.length;
  } catch {
    return; // the client went away
  }
  const seen = {
    method: request.method,
    url: request.url,
    headers: pairs(request.rawHeaders),
    body_bytes: bodyBytes,
  };
  const wantsPage = /\btext\/html\b/i.test(request.headers.accept ?? "");
  const body = wantsPage ? page(seen) : json(seen);
  response.writeHead(200, {
    "Content-Type": wantsPage ? "text/html; charset=utf-8" : "application/json",
    "Content-Length": Buffer.byteLength(body),
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    Vary: "Accept",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/**
 * JSON with one line per header.
 * @param {Seen} seen
 */
function json({ headers, ...rest }) {
  const lines = headers.map((pair) => `    ${JSON.stringify(pair)}`).join(",\n");
  return `${JSON.stringify(rest, null, 2).slice(0, -2)},\n  "headers": [\n${lines}\n  ]\n}\n`;
}

/**
 * [name, value, name, value …] as [[name, value] …], in the order and spelling of the wire.
 * @param {string[]} raw
 * @returns {Header[]}
 */
const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index], raw[2 * index + 1]]);

// the page -----------------------------------------------------------------------------------------------------

const IDENTITY =
  /^(x-forwarded-(user|email|groups|preferred-username)|remote-(user|email|name|groups)|x-edgeward-.*)$/i;
const PROXY = /^(x-forwarded-(host|proto|for)|x-request-id)$/i;

/** @param {Seen} seen */
function page(seen) {
  /** @param {string} name */
  const value = (name) => seen.headers.find(([header]) => header.toLowerCase() === name)?.[1];
  const identity = value("x-forwarded-user") ?? value("remote-user");
  const email = value("x-forwarded-email") ?? value("remote-email");
  const who = email ?? identity;
  const rows = seen.headers.map(([name, text]) => {
    const kind = IDENTITY.test(name) ? "identity" : PROXY.test(name) ? "proxy" : "";
    const note = kind === "identity" ? '<span class="badge">identity</span>' : "";
    return `<tr class="${kind}"><th scope="row">${escapeHtml(name)}${note}</th><td>${escapeHtml(text)}</td></tr>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Demo origin</title>
<style>
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #fff; --line: #d5d9e0; --text: #1b1f27; --quiet: #565e6c;
  --accent: #1d4fc4; --tint: #eaf0fe; --warm: #8a5300;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131519; --card: #1c1f25; --line: #3a404b; --text: #e9ebef; --quiet: #a7afbc;
    --accent: #8fb6ff; --tint: #1e2a42; --warm: #f0bf6c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: clamp(1rem, 5vw, 3rem) 1rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 56rem; margin-inline: auto; }
.eyebrow { margin: 0; color: var(--quiet); font-weight: 600; }
h1 { margin: .15rem 0 .5rem; font-size: clamp(1.375rem, 1.2rem + 1vw, 1.75rem); line-height: 1.25; overflow-wrap: anywhere; }
.anonymous h1 { color: var(--warm); }
p { margin: 0 0 1rem; color: var(--quiet); max-width: 42rem; }
nav { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; margin-bottom: 1.5rem; }
a { color: var(--accent); font-weight: 600; text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: .2rem; }
section { margin-top: 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; overflow: hidden; }
h2 { margin: 0; padding: .75rem 1rem; font-size: 1rem; border-bottom: 1px solid var(--line); }
code, table { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .875rem; }
.line { padding: .75rem 1rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .5rem 1rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
tr + tr > * { border-top: 1px solid var(--line); }
th { width: 17rem; font-weight: 400; color: var(--quiet); }
tr.identity { background: var(--tint); }
tr.identity th { color: var(--text); font-weight: 600; }
.badge {
  display: inline-block; margin-left: .5rem; padding: 0 .45rem; border: 1px solid var(--accent); border-radius: 1rem;
  color: var(--accent); font: 600 .75rem/1.4 system-ui, sans-serif;
}
@media (max-width: 40rem) {
  th, td { display: block; width: auto; }
  th { padding-bottom: 0; }
  tr td { border-top: 0; padding-top: .1rem; }
}
</style>
</head>
<body>
<main class="${who ? "" : "anonymous"}">
<p class="eyebrow">Demo origin</p>
<h1>${who ? `Signed in as ${escapeHtml(decode(who))}` : "Nobody is signed in"}</h1>
<p>This server knows nothing of sign-in. It shows the request that reached it; ${
    who ? "the marked headers are what Edgeward told it." : "no header in it says who sent it."
  }</p>
<nav aria-label="Try">
<a href="/any/path?a=1&amp;b=2">Another path</a>
<a href="/api/sso/me">Who am I (Edgeward)</a>
<a href="/api/sso/logout">Sign out (Edgeward)</a>
</nav>
<section aria-labelledby="request">
<h2 id="request">Request</h2>
<div class="line"><code>${escapeHtml(seen.method)} ${escapeHtml(seen.url)}</code></div>
<div class="line"><code>body: ${seen.body_bytes} bytes</code></div>
</section>
<section aria-labelledby="headers">
<h2 id="headers">Headers, in the order of the wire</h2>
<table>${rows.join("\n")}</table>
</section>
</main>
</body>
</html>
`;
}

/** @type {Record<string, string>} */
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
/** @param {unknown} text */
const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => ESCAPES[character]);

/**
 * Identity values arrive percent-encoded where they are not plain ASCII.
 * @param {string} text
 */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// WebSocket echo (RFC 6455) ------------------------------------------------------------------------------------

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/**
 * @param {IncomingMessage} request
 * @param {Duplex} socket
 * @param {Buffer} head
 */
function echo(request, socket, head) {
  socket.on("error", () => socket.destroy());
  const key = request.headers["sec-websocket-key"];
  if (
    new URL(request.url ?? "", "http://origin").pathname !== "/ws" ||
    !key ||
    request.headers.upgrade?.toLowerCase() !== "websocket"
  ) {
    socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let pending = head;
  /** @type {Parts} */
  const parts = { opcode: 0, chunks: [], length: 0 };
  /** @param {Buffer} chunk */
  const take = (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (let frame; !socket.writableEnded && (frame = readFrame(pending)); ) {
      pending = pending.subarray(frame.end);
      handle(frame, parts, socket);
    }
  };
  socket.on("data", take);
  take(Buffer.alloc(0));
}

/**
 * One masked frame from the start of `bytes`, or null while it is incomplete.
 * @param {Buffer} bytes
 * @returns {Frame | null}
 */
function readFrame(bytes) {
  if (bytes.length < 2) return null;
  let length = bytes[1] & 0x7f;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  const tooLarge = length > MESSAGE_LIMIT;
  const masked = (bytes[1] & 0x80) !== 0;
  if (!masked || tooLarge)
    return {
      opcode: OPCODE.close,
      final: true,
      data: Buffer.alloc(0),
      end: bytes.length,
      status: masked ? 1009 : 1002,
    };
  if (bytes.length < at + 4 + length) return null;
  const mask = bytes.subarray(at, at + 4);
  const data = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
  for (let index = 0; index < data.length; index++) data[index] ^= mask[index & 3];
  return { opcode: bytes[0] & 0x0f, final: (bytes[0] & 0x80) !== 0, data, end: at + 4 + length };
}

/**
 * @param {Frame} frame
 * @param {Parts} parts
 * @param {Duplex} socket
 */
function handle({ opcode, final, data, status }, parts, socket) {
  if (opcode === OPCODE.ping) return send(socket, OPCODE.pong, data);
  if (opcode === OPCODE.pong) return undefined;
  if (opcode === OPCODE.close) return close(socket, status ?? (data.length >= 2 ? data.readUInt16BE(0) : 1000));
  if (opcode !== OPCODE.continuation) Object.assign(parts, { opcode, chunks: [], length: 0 });
  parts.length += data.length;
  if (parts.length > MESSAGE_LIMIT) return close(socket, 1009);
  parts.chunks.push(data);
  if (final) send(socket, parts.opcode, Buffer.concat(parts.chunks.splice(0)));
  return undefined;
}

/**
 * @param {Duplex} socket
 * @param {number} status
 */
function close(socket, status) {
  const reason = Buffer.alloc(2);
  reason.writeUInt16BE(status);
  send(socket, OPCODE.close, reason);
  socket.end();
}

/**
 * @param {Duplex} socket
 * @param {number} opcode
 * @param {Buffer} data
 */
function send(socket, opcode, data) {
  const header =
    data.length < 126 ? Buffer.from([0x80 | opcode, data.length]) : Buffer.alloc(data.length < 65536 ? 4 : 10);
  if (header.length > 2) {
    header[0] = 0x80 | opcode;
    header[1] = header.length === 4 ? 126 : 127;
    if (header.length === 4) header.writeUInt16BE(data.length, 2);
    else header.writeBigUInt64BE(BigInt(data.length), 2);
  }
  socket.write(Buffer.concat([header, data]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: "string", default: "8788" }, host: { type: "string", default: "127.0.0.1" } },
  });
  const origin = await startDemoOrigin({ port: Number(values.port), host: values.host });
  console.log(`demo origin: http://${values.host}:${origin.port}`);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => origin.stop());
}
