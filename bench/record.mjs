// Records the load of an application's page, for `npm run bench -- --section page --recording <file>`: starts Chromium
// with an empty cache, lets it load the page through a proxy that notes each request and each answer's size, and writes a
// compact JSON. Values of cookies, credentials and bodies are not kept; paths and the other headers are: read the file
// before you pass it on. WebSockets work and are not recorded, and neither is what was not over at the end.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, request as requestTo } from "node:http";
import { connect } from "node:net";
import { parseArgs } from "node:util";
import { messageOf } from "../scripts/lib/step.mjs";
import { writeRecording } from "./lib/recording.mjs";
import { launchBrowser } from "../tests/browser/lib/browser.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @import { Duplex } from "node:stream" */
/** @import { BrowserContextOptions } from "playwright-core" */
/** @import { Exchange } from "./lib/recording.mjs" */
/** @import { Header } from "./lib/types.js" */
/** @typedef {Omit<Exchange, "status" | "answerHeaders" | "length"> & Partial<Exchange>} Begun */

const HELP = `node_modules/.bin/node bench/record.mjs --url <http://host:port/path> --application <name and version> --out <file>
  --settle <s>  how long to wait after the last answer, at the most one minute in all (5)
`;
const MOST = 60_000; // milliseconds

/**
 * Ends with `text` and the usage.
 * @param {string} text
 * @returns {never}
 */
function fail(text) {
  process.stderr.write(`record: ${text}\n${HELP}`);
  process.exit(1);
}

function read() {
  const text = /** @type {const} */ ({ type: "string" });
  try {
    return parseArgs({
      options: { url: text, application: text, out: text, settle: { ...text, default: "5" }, help: { type: "boolean", short: "h", default: false } },
    }).values;
  } catch (error) {
    return fail(messageOf(error));
  }
}

const values = read();
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const url = values.url || fail("--url is missing");
const application = values.application || fail("--application is missing");
const out = values.out || fail("--out is missing");
if (!(Number(values.settle) > 0)) fail("--settle wants a positive number of seconds");
if (!URL.canParse(url)) fail(`--url is no URL: ${url}`);
const target = new URL(url);
if (target.protocol !== "http:") fail("--url has to begin with http: the load goes through a proxy that reads it");

/** @type {Begun[]} */
let exchanges = [];
let busyAt = performance.now();
const proxy = createServer(forward).on("upgrade", tunnel);
await once(proxy.listen(0, "127.0.0.1"), "listening");
const host = `127.0.0.1:${/** @type {AddressInfo} */ (proxy.address()).port}`;
const page = `http://${host}${target.pathname}${target.search}`;

const browser = await launchBrowser();
try {
  // The first visit gets the application's cookies; the second one, with them and an empty cache, is kept.
  const { storageState } = await visit({});
  exchanges = [];
  const { title } = await visit({ storageState });
  const over = exchanges.filter(isOver);
  const text = writeRecording({ application, recorded: new Date().toISOString().slice(0, 10), host, exchanges: over });
  writeFileSync(out, text);
  process.stdout.write(
    `${JSON.stringify(title)}: ${over.length} requests, ${over.reduce((sum, { length }) => sum + length, 0)} bytes of answers; ${exchanges.length - over.length} were not over; ${text.length} bytes written\n`,
  );
} finally {
  await browser.close();
  proxy.closeAllConnections();
  proxy.close();
}
process.exit(0); // a tunnel may be open

/**
 * Whether it was answered to the end.
 * @param {Begun} exchange
 * @returns {exchange is Exchange}
 */
function isOver(exchange) {
  return exchange.length !== undefined;
}

/** @param {BrowserContextOptions} options */
async function visit(options) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  await tab.goto(page);
  const began = performance.now();
  while (performance.now() - busyAt < Number(values.settle) * 1000 && performance.now() - began < MOST)
    await new Promise((resolve) => setTimeout(resolve, 100));
  const seen = { storageState: await context.storageState(), title: await tab.title() };
  await context.close();
  return seen;
}

/**
 * @param {IncomingMessage} incoming
 * @param {ServerResponse} response
 */
function forward(incoming, response) {
  /** @type {Begun} */
  const exchange = { method: incoming.method ?? "", path: incoming.url ?? "", headers: pairs(incoming.rawHeaders), body: 0 };
  exchanges.push(exchange);
  busyAt = performance.now();
  const outgoing = requestTo(
    { host: target.hostname, port: target.port, method: incoming.method, path: incoming.url, headers: incoming.rawHeaders },
    (answer) => {
      let length = 0;
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.on("data", (chunk) => (length += chunk.length));
      answer.on("end", () => {
        Object.assign(exchange, { status: answer.statusCode, answerHeaders: pairs(answer.rawHeaders), length });
        busyAt = performance.now();
      });
      answer.pipe(response);
    },
  );
  outgoing.on("error", () => response.destroy());
  incoming.on("data", (chunk) => (exchange.body += chunk.length));
  incoming.pipe(outgoing);
}

/**
 * @param {IncomingMessage} incoming
 * @param {Duplex} socket
 * @param {Buffer} head
 */
function tunnel(incoming, socket, head) {
  const onward = connect({ host: target.hostname, port: Number(target.port || 80) }, () => {
    onward.write(
      `${incoming.method} ${incoming.url} HTTP/1.1\r\n${pairs(incoming.rawHeaders)
        .map((pair) => `${pair.join(": ")}\r\n`)
        .join("")}\r\n`,
    );
    onward.write(head);
    onward.pipe(socket).pipe(onward);
  });
  for (const end of [onward, socket]) end.on("error", () => [onward, socket].forEach((either) => either.destroy()));
}

/**
 * @param {string[]} raw
 * @returns {Header[]}
 */
function pairs(raw) {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[at * 2], raw[at * 2 + 1]]);
}
