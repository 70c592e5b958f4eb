// WebSockets by hand (RFC 6455): as a client opens them, and the frames of both sides.

import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import { Answer, readAll } from "./http.mjs";

/** @import { IncomingMessage } from "node:http" */
/** @import { Duplex, Readable } from "node:stream" */
/** @import { Pair } from "./http.mjs" */

/** An answer to a request for a WebSocket, and the WebSocket if the answer opens one (status 101). */
class Upgrade extends Answer {
  #socket;
  #frames;
  /**
   * @param {IncomingMessage} answer
   * @param {Buffer} body
   * @param {{ socket: Duplex, head: Buffer, key: string }} [opened]
   */
  constructor(answer, body, opened) {
    super(answer, body);
    this.#socket = opened?.socket;
    this.#frames = opened && frameReader(opened.socket, opened.head);
    this.accepted = opened !== undefined && this.headers.get("sec-websocket-accept") === acceptKey(opened.key);
  }
  /**
   * Sends a text; answers what comes back, and fails when the WebSocket ends instead.
   * @param {string} text
   */
  async echo(text) {
    this.#socket?.write(frame(Buffer.from(text), { mask: true }));
    const back = await this.#frames?.next();
    if (back === undefined) throw new Error(`no text comes back through the WebSocket: ${this}`);
    return back;
  }
  /** Whether the other side has ended it. */
  get closed() {
    return this.#frames?.ended() === true;
  }
  close() {
    this.#socket?.destroy();
  }
}

/**
 * Opens a WebSocket by hand.
 * @param {{ port: number, path?: string, headers?: Pair[] }} request
 * @returns {Promise<Upgrade>}
 */
export function openWebSocket({ port, path = "/", headers = [] }) {
  const key = randomBytes(16).toString("base64");
  /** @type {Pair[]} */
  const list = [...headers, ["Connection", "Upgrade"], ["Upgrade", "websocket"], ["Sec-WebSocket-Version", "13"], ["Sec-WebSocket-Key", key]];
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, path, headers: list.flat() });
    request.on("error", reject);
    request.on("response", async (answer) => resolve(new Upgrade(answer, await readAll(answer))));
    request.on("upgrade", (answer, socket, head) => resolve(new Upgrade(answer, Buffer.alloc(0), { socket, head, key })));
    request.end();
  });
}

/**
 * RFC 6455 section 4.2.2: what the server answers to a key.
 * @param {string} key
 */
export function acceptKey(key) {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/**
 * One text frame (RFC 6455 section 5.2) of less than 64 KB.
 * @param {Buffer} payload
 * @param {{ mask?: boolean, opcode?: number }} [how]
 */
export function frame(payload, { mask = false, opcode = 1 } = {}) {
  const length = payload.length < 126 ? Buffer.from([payload.length]) : Buffer.from([126, payload.length >> 8, payload.length & 255]);
  length[0] |= mask ? 128 : 0;
  const head = Buffer.concat([Buffer.from([128 | opcode]), length]);
  if (!mask) return Buffer.concat([head, payload]);
  const masking = randomBytes(4);
  return Buffer.concat([head, masking, Buffer.from(payload.map((byte, i) => byte ^ masking[i & 3]))]);
}

/**
 * Reads the text frames of a socket one by one.
 * @param {Readable} socket
 * @param {Buffer} head
 */
export function frameReader(socket, head) {
  /** @type {Buffer} */
  let buffer = head;
  let wake = () => {};
  let ended = false;
  socket.on("data", (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    wake();
  });
  for (const event of ["close", "error"]) {
    socket.on(event, () => {
      ended = true;
      wake();
    });
  }
  const take = () => {
    if (buffer.length < 2) return undefined;
    const opcode = buffer[0] & 15;
    const masked = buffer[1] & 128;
    let length = buffer[1] & 127;
    let at = 2;
    if (length === 126) {
      if (buffer.length < 4) return undefined;
      length = buffer.readUInt16BE(2);
      at = 4;
    }
    const masking = masked ? buffer.subarray(at, at + 4) : undefined;
    if (masked) at += 4;
    if (buffer.length < at + length) return undefined;
    let payload = buffer.subarray(at, at + length);
    if (masking) payload = Buffer.from(payload.map((byte, i) => byte ^ masking[i & 3]));
    buffer = buffer.subarray(at + length);
    return { opcode, text: payload.toString("utf8") };
  };
  return {
    /** Whether it has ended, or its next frame is a close. */
    ended: () => ended || (buffer.length > 0 && (buffer[0] & 15) === 8),
    async next() {
      for (;;) {
        const found = take();
        if (found?.opcode === 1) return found.text;
        if (found?.opcode === 8 || (!found && ended)) return undefined;
        if (!found) await new Promise((resolve) => (wake = () => resolve(undefined)));
      }
    },
  };
}
