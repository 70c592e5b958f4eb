// The load: a fixed number of keep-alive connections, one request outstanding on each, for a fixed time.
// Plain sockets and one comparison per answer keep it cheap. A process of its own, started by `fork`.

import { connect } from "node:net";
import { NUMBER } from "./number.mjs";

process.on("message", async ({ id, ...order }) => process.send({ id, ...(await run(order)) }));
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});
process.send({ ready: true });

let number = 0;

/** The bytes of `request`, with the next number wherever it says `NUMBER`: no two requests are the same. */
function numbered(request) {
  const bytes = Buffer.from(request, "latin1");
  const places = [];
  for (let at = bytes.indexOf(NUMBER); at >= 0; at = bytes.indexOf(NUMBER, at + 1)) places.push(at);
  return () => {
    const one = Buffer.from(bytes);
    const digits = String((number += 1)).padStart(NUMBER.length, "0");
    for (const at of places) one.write(digits, at, "latin1");
    return one;
  };
}

/** Sends `request` (HTTP/1.1) over and over; counts the answers that are a 200 with `body`, and keeps the first that is not, and the last head. */
async function run({ port, request, body, connections, seconds }) {
  const next = numbered(request);
  const began = process.hrtime.bigint();
  const until = performance.now() + seconds * 1000;
  const tally = { requests: 0, wrong: null, last: "" };
  await Promise.all(Array.from({ length: connections }, () => one(port, next, body, until, tally)));
  return { ...tally, seconds: Number(process.hrtime.bigint() - began) / 1e9 };
}

function one(port, next, body, until, tally) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const fail = (what) => {
      tally.wrong ??= what;
      socket.destroy();
    };
    let text = "";
    socket.setTimeout(5000, () => fail(`no answer within 5 s; so far: ${JSON.stringify(text)}`));
    socket.on("error", (error) => fail(`connection: ${error.message}`));
    socket.on("close", resolve);
    socket.on("end", () => fail(`connection closed after ${JSON.stringify(text)}`));
    socket.on("connect", () => socket.write(next()));
    socket.on("data", (chunk) => {
      text += chunk.latin1Slice();
      if (!complete(text)) return;
      if (!text.startsWith("HTTP/1.1 200 ") || text.slice(text.indexOf("\r\n\r\n") + 4) !== body) return fail(text);
      tally.requests += 1;
      if (tally.wrong !== null || performance.now() >= until) {
        tally.last = text.slice(0, text.indexOf("\r\n\r\n") + 2);
        socket.destroy();
      } else {
        socket.write(next());
      }
      text = "";
    });
  });
}

/** Whether `text` holds a whole answer. A length must be declared: the origin declares one, and a Worker that loses it does other work than its peers. */
function complete(text) {
  const head = text.indexOf("\r\n\r\n");
  if (head < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head));
  return length === null || text.length >= head + 4 + Number(length[1]);
}
