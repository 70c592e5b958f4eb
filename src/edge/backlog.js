// Counts what waits at a WebSocket because its reader is slow. The runtime queues without a bound, and nothing can make the
// sender wait.

/** What the runtime holds for each message besides its content, empty ones included. In bytes. */
const MESSAGE = 128;
/** A mark is made after so many messages. */
const MARK_EVERY = 256;

/** The messages that were sent to one side of a WebSocket and have not left yet. */
export class Backlog {
  #socket;
  /** All bytes and all messages that were sent, and how many of these messages have left for certain. */
  #bytes = 0;
  #messages = 0;
  #left = 0;
  /** Whether the last message was empty: `bufferedAmount` does not tell whether it has left. */
  #endsEmpty = false;
  /**
   * How many bytes and messages had been sent at some moments, the oldest first.
   * @type {{ bytes: number, messages: number }[]}
   */
  #marks = [];

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.#socket = socket;
  }

  /** @param {string | ArrayBuffer} message */
  send(message) {
    const before = this.#socket.bufferedAmount;
    this.#socket.send(message);
    const size = this.#socket.bufferedAmount - before;
    this.#bytes += size;
    this.#messages += 1;
    this.#endsEmpty = size === 0;
    if (this.#messages % MARK_EVERY === 0) this.#marks.push({ bytes: this.#bytes, messages: this.#messages });
  }

  /** What waits, in bytes. Messages leave in order, so the bytes that have left tell which messages have. */
  get size() {
    const waiting = this.#socket.bufferedAmount;
    if (waiting === 0 && !this.#endsEmpty) {
      this.#left = this.#messages;
      this.#marks.length = 0;
    }
    const gone = this.#bytes - waiting;
    // At a mark with as many bytes, empty messages may still wait.
    while (this.#marks.length > 0 && this.#marks[0].bytes < gone) this.#left = this.#marks.shift()?.messages ?? this.#left;
    return waiting + MESSAGE * (this.#messages - this.#left);
  }
}
