// WebSockets that are open for somebody who was signed in. Passes the messages of both sides on, and closes both once the
// request that opened the WebSocket would not pass any more. Of others no message comes through here: the runtime connects
// both sides itself.

import { Backlog } from "./backlog.js";

/** @import { Head } from "./types.js" */

/** What waits at all WebSockets, in bytes. */
let buffered = 0;
/** The heads that are kept to judge requests again, in characters, with what is held besides. */
let held = 0;
/**
 * The WebSockets at which something may wait, and when each was last counted: the one that was longest ago first.
 * @type {Map<Relay, number>}
 */
const counted = new Map();

/** Close codes (RFC 6455 §7.4.1). */
const GOING_AWAY = 1001;
const NO_CODE = 1005;
/** The connection ended without a close. */
const NO_CLOSE = 1006;
const POLICY = 1008;
const FAILED = 1011;
const TRY_LATER = 1013;
const NO_TLS = 1015;

/** What the core says of a WebSocket (`watch` in mod.rs): it may stay open, it must be closed, or that cannot be told now. */
const HOLDS = 0;
const ENDED = 1;
export const UNKNOWN = 2;

/** @type {(head: Head) => number | Promise<number>} */
let judge;

/**
 * Registers the function that judges the request again that opened a WebSocket. It never rejects.
 * @param {typeof judge} listener
 */
export function judgeWith(listener) {
  judge = listener;
}

/**
 * The response to the request with this `head`, which opens a WebSocket. Its messages pass through here from now on.
 * @param {Response} response
 * @param {Head} head
 */
export function relay(response, head) {
  const origin = /** @type {WebSocket} */ (response.webSocket);
  const pair = new WebSocketPair();
  const [theirs, client] = [pair[0], pair[1]];
  for (const side of [origin, client]) {
    side.binaryType = "arraybuffer";
    // Each side learns of the other's close before it is closed.
    side.accept({ allowHalfOpen: true });
  }
  const both = new Relay(head, client, origin);
  both.begin();
  const headers = new Headers(response.headers);
  // The runtime negotiates compression with each side by itself.
  headers.delete("sec-websocket-extensions");
  return new Response(null, { status: 101, webSocket: theirs, headers });
}

/** The two sides of a WebSocket, and what passes between them. */
export class Relay {
  /** Time between two judgements. Each is made from the isolate's memory, which reads the store every `user_cache` at most. In milliseconds. */
  static PAUSE = 15_000;
  /** How far a pause is from that, at most, so that not all WebSockets of a person are judged in one moment. */
  static JITTER = 0.2;
  /** The longest time without a judgement, because the store cannot be reached. In milliseconds. */
  static UNJUDGED = 90_000;
  /** How long one side has to close after the other, and how often it is looked at what still waits after the end. In milliseconds. */
  static LINGER = 10_000;
  /**
   * The request of a WebSocket that was not counted for so long has ended without a word, and what waited is gone. In
   * milliseconds: more than a pause and the longest judgement.
   */
  static LOST_AFTER = 60_000;
  /**
   * How much may wait altogether for clients and origins that read slowly, in bytes: nothing here can make a sender wait. Beyond
   * that, whichever WebSocket sends to a slow reader next is closed.
   */
  static ROOM = 24 * 1024 * 1024;
  /** What may wait at each WebSocket even then. In bytes. */
  static OWN_ROOM = 64 * 1024;
  /** How many characters the heads of all WebSockets may have together; beyond that, no other is opened. */
  static HEADS = 16 * 1024 * 1024;
  /** Added per WebSocket for what is held besides its head. In characters. */
  static OVERHEAD = 1024;

  #head;
  #client;
  #origin;
  /** How much of `held` this is. */
  #weight = 0;
  #judgedAt = Date.now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /**
   * What was sent to each side.
   * @type {Map<WebSocket, Backlog>}
   */
  #backlogs;
  /**
   * How much of `buffered` each side is.
   * @type {Map<WebSocket, number>}
   */
  #waiting = new Map();
  /** The sides whose connection has broken: the runtime goes on to say what had waited there. */
  #broken = new Set();
  /** Whether one side has closed. */
  #isClosing = false;
  #isOver = false;

  /**
   * @param {Head} head
   * @param {WebSocket} client
   * @param {WebSocket} origin
   */
  constructor(head, client, origin) {
    this.#head = head;
    this.#client = client;
    this.#origin = origin;
    this.#backlogs = new Map([client, origin].map((side) => [side, new Backlog(side)]));
  }

  /** Passes messages on from now on, unless too many WebSockets are open. */
  begin() {
    this.#weight = this.#head.reduce((sum, text) => sum + text.length, Relay.OVERHEAD);
    held += this.#weight;
    this.#countBoth();
    if (held > Relay.HEADS) sweep(Date.now() - Relay.LOST_AFTER);
    this.#pass(this.#origin, this.#client);
    this.#pass(this.#client, this.#origin);
    if (held > Relay.HEADS) this.#end(TRY_LATER, "too many", TRY_LATER);
    else this.#watch();
  }

  /**
   * Passes on what `from` sends.
   * @param {WebSocket} from
   * @param {WebSocket} to
   */
  #pass(from, to) {
    from.addEventListener("message", ({ data }) => {
      if (this.#isOver) return;
      const size = typeof data === "string" ? data.length : data.byteLength;
      if (this.#isFull(to, size)) {
        this.#end(TRY_LATER, "too slow", TRY_LATER);
        return;
      }
      try {
        this.#backlogs.get(to)?.send(data);
      } catch {
        this.#end(FAILED, "", FAILED);
      }
    });
    from.addEventListener("close", ({ code, reason }) => {
      if (code === NO_CLOSE) this.#broken.add(from);
      close(to, code, reason);
      if (this.#isOver) this.#settle();
      else if (this.#isClosing) this.#over();
      else this.#linger(from, code, reason);
    });
    from.addEventListener("error", () => {
      this.#broken.add(from);
      if (this.#isOver) this.#settle();
      else this.#end(FAILED, "", FAILED);
    });
  }

  /**
   * Waits for the other side to close as well, which closes `from`: what it sends until then still arrives. Nobody waits for ever.
   * @param {WebSocket} from
   * @param {number} code
   * @param {string} reason
   */
  #linger(from, code, reason) {
    clearTimeout(this.#timer ?? null);
    this.#isClosing = true;
    this.#timer = setTimeout(() => {
      close(from, code, reason);
      this.#over();
    }, Relay.LINGER);
  }

  /** Judges the WebSocket after a pause, again and again. */
  #watch() {
    this.#timer = setTimeout(() => this.#judge(), Relay.PAUSE * (1 + Relay.JITTER * (2 * Math.random() - 1)));
  }

  async #judge() {
    // What was waiting may have been sent meanwhile.
    this.#countBoth();
    const verdict = await judge(this.#head);
    if (this.#isOver || this.#isClosing) return;
    const now = Date.now();
    if (verdict === HOLDS) this.#judgedAt = now;
    if (verdict === ENDED) this.#end(POLICY, "sign in again", GOING_AWAY);
    else if (now - this.#judgedAt >= Relay.UNJUDGED) this.#end(TRY_LATER, "", TRY_LATER);
    else this.#watch();
  }

  /**
   * Whether another message of `size` for `to` would make what waits too much.
   * @param {WebSocket} to
   * @param {number} size
   */
  #isFull(to, size) {
    const own = this.#count(to) + size;
    if (buffered + size > Relay.ROOM) sweep(Date.now() - Relay.LOST_AFTER);
    return buffered + size > Relay.ROOM && own > Relay.OWN_ROOM;
  }

  /**
   * Counts what waits for `side`.
   * @param {WebSocket} side
   * @returns {number}
   */
  #count(side) {
    const isGone = this.#broken.has(side) || side.readyState === WebSocket.CLOSED;
    const own = isGone ? 0 : (this.#backlogs.get(side)?.size ?? 0);
    buffered += own - (this.#waiting.get(side) ?? 0);
    this.#waiting.set(side, own);
    return own;
  }

  /**
   * Closes both sides.
   * @param {number} forClient
   * @param {string} reason
   * @param {number} forOrigin
   */
  #end(forClient, reason, forOrigin) {
    if (this.#isOver) return;
    close(this.#client, forClient, reason);
    close(this.#origin, forOrigin, "");
    this.#over();
  }

  #over() {
    this.#isOver = true;
    this.#settle();
  }

  /**
   * Goes on counting what waits after the end, until nothing does: the runtime keeps it for a reader that is slow, so whoever
   * is closed for that and comes again would otherwise have more each time.
   */
  #settle() {
    clearTimeout(this.#timer ?? null);
    if (this.#countBoth() === 0) this.forget();
    else this.#timer = setTimeout(() => this.#settle(), Relay.LINGER);
  }

  /**
   * Counts what waits for both sides.
   * @returns {number}
   */
  #countBoth() {
    counted.delete(this);
    counted.set(this, Date.now());
    return this.#count(this.#client) + this.#count(this.#origin);
  }

  /** Nothing waits any more. */
  forget() {
    counted.delete(this);
    held -= this.#weight;
    this.#weight = 0;
    for (const own of this.#waiting.values()) buffered -= own;
    this.#waiting.clear();
  }
}

/**
 * Forgets the WebSockets that were last counted before `lost`.
 * @param {number} lost in milliseconds since 1970
 */
function sweep(lost) {
  for (const [socket, countedAt] of counted) {
    if (countedAt > lost) return;
    socket.forget();
  }
}

/**
 * Closes `side`, unless that was done. A code that stands for none that was received cannot be sent.
 * @param {WebSocket} side
 * @param {number} code
 * @param {string} reason
 */
function close(side, code, reason) {
  try {
    if (code === NO_CODE) side.close();
    else side.close(code === NO_CLOSE || code === NO_TLS ? GOING_AWAY : code, reason);
  } catch {
    // It is closed, or its other end is gone.
  }
}
