// Reads the head of a request: method, URL, then name and value of each header that the core wants to know. The core
// says once per name how much it wants; most headers it never hears of.

/** @import { Head } from "./types.js" */

/** What the core answers about a name. */
const NAME = 1;
const VALUE = 2;
/** It has not read the configuration yet, so it cannot tell. */
const UNDECIDED = 3;

/**
 * Names that were asked about.
 * @type {Map<string, number>}
 */
let wanted = new Map();
/** So many are remembered, none longer than that. Clients choose names, so all are forgotten when there are too many. */
const MOST_NAMES = 1000;
const LONGEST_NAME = 64;

/** @type {(name: string) => number} */
let ask;

/**
 * Registers the core's function that says how much it wants to know of a header. A new instance is asked anew.
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

/** No credential of ours is shorter. */
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
 * One function for all requests: the runtime wraps each one that it is given.
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
 * What the core is told of a request at first. Names are in lower case, and a repeated header is one, joined by `, `, as the
 * runtime has it. A value that may hold a credential is told whatever its name is.
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
 * The same with every header: for our own endpoints, and for answers to a person.
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
 * How many characters all headers of a request have, with method and URL.
 * @param {Request} request
 */
export function sizeOf(request) {
  let size = 0;
  for (const text of readAll(request)) size += text.length;
  return size;
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
 * What was read, a line each, as UTF-8 into `buffer`. Answers how many bytes that is, or -1 when it does not fit.
 * @param {Head} lines
 * @param {Uint8Array} buffer
 */
export function tell(lines, buffer) {
  // Joined at once: a string that grows leaves a piece behind at every step.
  const text = told(lines);
  const done = encoder.encodeInto(text, buffer);
  return done.read === text.length ? done.written : -1;
}

/**
 * The same as text, for a head of any length. No value holds a line break.
 * @param {Head} lines
 */
export function told(lines) {
  return lines.join("\n");
}
