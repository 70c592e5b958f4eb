// The load: a fixed number of keep-alive connections, one request outstanding on each, for a fixed time or a fixed number
// of requests. Plain sockets and one comparison per answer keep it cheap. A process of its own, started by `fork`.

import { connect } from "node:net";
import { tell } from "./child.mjs";
import { mintedToken } from "./mint.mjs";
import { digits, positionOf } from "./plan.mjs";

/** @import { Socket } from "node:net" */
/** @import { LoadOrder, LoadReport, LoadRun, Plan, PlannedKind } from "./types.js" */
/** @typedef {{ n: number, kind: PlannedKind, bytes: Buffer }} Next */
/** @typedef {Omit<LoadReport, "seconds">} Tally */
/** @typedef {Plan & { name: string, next: number, pieces: string[][] }} KeptPlan */

const PLACES = /(#NUMBER#|#CREDENTIAL#)/;
/** What a longer body is sent in. */
const CHUNK = Buffer.alloc(64 * 1024, "x");
const WITHOUT_BODY = /^HTTP\/1\.1 (204|304) /;

/**
 * Plans by name, each with the number of its next request, which goes on from run to run.
 * @type {Map<string, KeptPlan>}
 */
const plans = new Map();

process.on("message", async (/** @type {LoadOrder & { id: number }} */ { id, ...order }) => tell({ id, ...(await obey(order)) }));
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});
tell({ ready: true });

/** @param {LoadOrder} order */
async function obey(order) {
  if ("plan" in order) return run(order);
  if ("keep" in order) plans.set(order.keep.name, { ...order.keep, next: 0, pieces: order.keep.kinds.map(({ head }) => head.split(PLACES)) });
  else plans.delete(order.forget);
  return {};
}

/**
 * The bytes of the request with the number `n`, as far as they are sent at once: with its body, if that is short.
 * @param {KeptPlan} plan
 * @param {number} n
 * @param {{ kind: number, caller: number }} position
 */
function bytesOf(plan, n, { kind, caller }) {
  let text = "";
  for (const piece of plan.pieces[kind]) {
    if (piece === "#NUMBER#") text += digits(n);
    else if (piece === "#CREDENTIAL#") text += plan.mint ? mintedToken(plan.mint, n) : plan.callers[caller];
    else text += piece;
  }
  const { sends } = plan.kinds[kind];
  return Buffer.from(sends > 0 && sends <= CHUNK.length ? text + "x".repeat(sends) : text, "latin1");
}

/**
 * Sends requests of a plan until `seconds` or `count` of them are over; counts the answers that are as the plan wants
 * them, and keeps the first that is not, and the last head. `latencies`: the milliseconds of each answer too.
 * @param {LoadRun} run
 * @returns {Promise<LoadReport>}
 */
async function run({ plan: name, port, connections, seconds = Infinity, count = Infinity, latencies = false }) {
  const plan = plans.get(name);
  if (plan === undefined) throw new Error(`no plan is kept as ${name}`);
  /** @type {Tally} */
  const tally = { requests: 0, wrong: null, last: null, sent: 0, milliseconds: [] };
  const began = performance.now();
  const until = began + seconds * 1000;
  const last = plan.next + count;
  /** @returns {Next | null} */
  const next = () => {
    if (tally.wrong !== null || plan.next >= last || performance.now() >= until) return null;
    const n = plan.next;
    if (plan.once && n >= plan.callers.length * plan.kinds.length) {
      tally.wrong = "the plan has no credential left that was not sent yet";
      return null;
    }
    plan.next += 1;
    const position = positionOf(plan, n);
    const kind = plan.kinds[position.kind];
    tally.sent += kind.sends;
    return { n, kind, bytes: bytesOf(plan, n, position) };
  };
  await Promise.all(Array.from({ length: connections }, () => one(port, next, tally, latencies)));
  return { ...tally, seconds: (performance.now() - began) / 1000 };
}

/**
 * @param {number} port
 * @param {() => Next | null} next
 * @param {Tally} tally
 * @param {boolean} latencies
 */
function one(port, next, tally, latencies) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    /** @type {Next} */
    let request;
    /** @type {string | null} */
    let head = null;
    let text = "";
    let [began, wanted, received] = [0, 0, 0];
    /** @param {string} what */
    const fail = (what) => {
      tally.wrong ??= String(what).slice(0, 2000);
      socket.destroy();
    };
    const send = () => {
      const following = next();
      if (following === null) return socket.destroy();
      request = following;
      [head, text, wanted, received] = [null, "", 0, 0];
      began = performance.now();
      socket.write(request.bytes);
      if (request.kind.sends > CHUNK.length) upload(socket, request.kind.sends);
    };
    socket.setTimeout(20_000, () => fail(`no answer within 20 s; so far: ${JSON.stringify(head ?? text)}`));
    socket.on("error", (error) => fail(`connection: ${error.message}`));
    socket.on("close", resolve);
    socket.on("end", () => fail(`connection closed after ${JSON.stringify((head ?? "") + text)}`));
    socket.on("connect", send);
    socket.on("data", (/** @type {Buffer} */ chunk) => {
      if (head === null) {
        text += chunk.toString("latin1");
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        head = text.slice(0, end + 2);
        text = text.slice(end + 4);
        received = text.length;
        // The origin declares a length: a Worker that loses it does other work than its peers.
        const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? (WITHOUT_BODY.test(head) ? 0 : null);
        if (length === null) return fail(`no length: ${head}${text}`);
        wanted = Number(length);
      } else {
        received += chunk.length;
        if (received <= 10_000) text += chunk.toString("latin1");
      }
      if (received < wanted) return;
      const { kind } = request;
      if (!head.startsWith(`HTTP/1.1 ${kind.status} `)) return fail(head + text);
      if (kind.answer !== undefined && text !== kind.answer) return fail(head + text);
      if (kind.length !== undefined && received !== kind.length) return fail(`${received} bytes instead of ${kind.length}: ${head}`);
      tally.requests += 1;
      tally.last = { n: request.n, head };
      if (latencies) tally.milliseconds.push(performance.now() - began);
      send();
    });
  });
}

/**
 * Sends `length` bytes as fast as the other side takes them.
 * @param {Socket} socket
 * @param {number} length
 */
function upload(socket, length) {
  let left = length;
  const write = () => {
    while (left > 0) {
      const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= chunk.length;
      if (!socket.write(chunk)) return socket.once("drain", write);
    }
  };
  write();
}
