// Reads the head of a request: method, URL, then name and value of each header that the core wants to know. The core says
// once per name how much it wants to know; of most headers it learns nothing.

/** @import { Head } from "./types.js" */

/** The core's answers about a name. 0 is nothing. */
const NAME = 1;
const VALUE = 2;
/** The core has not read its configuration yet. */
const UNDECIDED = 3;

/**
 * The core's answers by name.
 * @type {Map<string, number>}
 */
let wanted = new Map();
/** Clients choose names, so their number and length are bounded. If there are too many, all are forgotten. */
const MOST_NAMES = 1000;
const LONGEST_NAME = 64;

/** @type {(name: string) => number} */
let ask;

/**
 * Registers the core's function that says how much it wants to know of a header. A new instance is asked again.
 * @param {typeof ask} answer
 */
export function whenNamed(answer) {
  ask = answer;
  wanted = new Map();
}

/** @param {string} name */
function want(name) {
  const answer = ask(name);
  if (answer === UNDECIDED) return VALUE;
  if (name.length > LONGEST_NAME) return answer;
  if (wanted.size >= MOST_NAMES) wanted.clear();
  wanted.set(name, answer);
  return answer;
}

/** The length of our shortest credential: `LENGTH` in `model/api_token.rs`. */
const SHORTEST = 53;

/**
 * Whether a value may hold a credential of ours. `may_hold_a_credential` in `site/disclosure.rs` has the same test.
 * @param {string} name
 * @param {string} value
 */
function mayHold(name, value) {
  if (name === "referer" && value.includes("?")) return true;
  return value.length >= SHORTEST && (value.includes("eyJ") || value.includes("ewt_") || value.includes("%"));
}

/** @type {Head} */
let head;
/** How many characters the head has that is being read, with what the core is not told. */
let size = 0;
/**
 * A single function for all requests, because the runtime wraps every new one that it gets.
 * @param {string} value
 * @param {string} name
 */
function collect(value, name) {
  size += name.length + value.length;
  const answer = wanted.get(name) ?? want(name);
  if (answer === VALUE || mayHold(name, value)) head.push(name, value);
  else if (answer === NAME) head.push(name, "");
}

/**
 * What the core gets of a request at first. The runtime gives names in lower case, and a repeated header as one, joined by
 * `, `. A value that may hold a credential is included whatever its name is.
 * @param {Request} request
 */
export function read(request) {
  /** @type {Head} */
  const lines = [request.method, request.url];
  head = lines;
  size = lines[0].length + lines[1].length;
  request.headers.forEach(collect);
  return lines;
}

/** How many characters all headers of the request have that {@link read} has read last, with method and URL. */
export function sizeOfLast() {
  return size;
}

/**
 * @param {string} value
 * @param {string} name
 */
function collectAll(value, name) {
  head.push(name, value);
}

/**
 * The same with every header: for our own endpoints, and for pages.
 * @param {Request} request
 */
export function readAll(request) {
  /** @type {Head} */
  const lines = [request.method, request.url];
  head = lines;
  request.headers.forEach(collectAll);
  return lines;
}

/**
 * The number of characters in the head of a request: method, URL and all headers.
 * @param {Request} request
 */
export function sizeOf(request) {
  return readAll(request).reduce((sum, text) => sum + text.length, 0);
}

/**
 * The value that was read of the header `name`.
 * @param {Head} lines
 * @param {string} name
 */
export function headerOf(lines, name) {
  for (let at = 2; at < lines.length; at += 2) if (lines[at] === name) return lines[at + 1];
  return undefined;
}

const encoder = new TextEncoder();

/**
 * Writes the head into `buffer`, one item a line, as UTF-8. Returns the number of bytes, or -1 if it does not fit.
 * @param {Head} lines
 * @param {Uint8Array} buffer
 */
export function encodeInto(lines, buffer) {
  // Joined in one step: a growing string would allocate at every step.
  const text = toText(lines);
  const done = encoder.encodeInto(text, buffer);
  return done.read === text.length ? done.written : -1;
}

/**
 * The same as a string, for a head of any length. No value contains a line break.
 * @param {Head} lines
 */
export function toText(lines) {
  return lines.join("\n");
}
