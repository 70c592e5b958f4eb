// The head of a request, read once: method, URL, then name and value of each header. And what the core is told of it.

/** @import { Head, Look } from "./types.js" */

/** @type {Set<string>} */
let withheld = new Set();
let naming = "";

/**
 * Keeps which headers the core is told the names of, and not the values, a line each; and which one names a request.
 * @param {string} names
 * @param {string} ray
 */
export function withhold(names, ray) {
  withheld = new Set(names.split("\n"));
  naming = ray;
  looked = NOTHING;
}

/** @type {(name: string, value: string, url: string) => string | undefined} */
let ask = () => undefined;

/**
 * Keeps whom to ask what an origin may be told of a header whose value the core is not told.
 * @param {typeof ask} answer
 */
export function whenWithheld(answer) {
  ask = answer;
}

/** No token of the core's is shorter. */
const SHORTEST = 60;

/**
 * What an origin may be told of such a header; undefined for nothing. What can hold no token is not asked about: one
 * begins with `eyJ`, as it is or encoded, or it is a parameter of a URL.
 * @param {string} name
 * @param {string} value
 * @param {string} url
 */
export function passedOn(name, value, url) {
  if (value.length < SHORTEST || !(value.includes("eyJ") || value.includes("%") || value.includes("?"))) return value;
  return ask(name, value, url);
}

/**
 * Method and URL, then name and value of each header, as the runtime gives them: in lower case, in order, a repeated one joined by `, `.
 * @param {Request} request
 * @returns {Head}
 */
export function read(request) {
  const head = [request.method, request.url];
  lines = head;
  request.headers.forEach(collect);
  return head;
}

/** @type {Head} */
let lines;
/**
 * One function for all requests: the runtime wraps each that it is given.
 * @param {string} value
 * @param {string} name
 */
function collect(value, name) {
  lines.push(name, value);
}

/**
 * Of no request: a head is known by which array it is.
 * @type {Look}
 */
const NOTHING = { head: [], lines: [], free: [], ray: -1, common: "" };
let looked = NOTHING;

/**
 * What is to be known of a head; asked again, it is known. `common`: what two requests have in common that may differ in
 * nothing but their URL, their name and what the core is not told. `free`: where the names of headers are whose values
 * may differ so; `ray`: where the one is by which the CDN names the request, -1 without it.
 * @param {Head} head
 */
export function look(head) {
  if (looked.head === head) return looked;
  const lines = head.slice();
  const free = [];
  let ray = -1;
  lines[1] = "";
  for (let at = 2; at < lines.length; at += 2) {
    const name = lines[at];
    if (name === naming) ray = at;
    else if (!withheld.has(name)) continue;
    free.push(at);
    lines[at + 1] = "";
  }
  // Joined at once: a string that grows leaves a piece behind at every step.
  looked = { head, lines, free, ray, common: lines.join("\n") };
  return looked;
}

const encoder = new TextEncoder();

/**
 * What the core is told, a line each, as UTF-8 into `buffer`. Answers how many bytes that is, or -1 when it does not fit.
 * @param {Head} head
 * @param {Uint8Array} buffer
 */
export function tell(head, buffer) {
  const text = told(head);
  const done = encoder.encodeInto(text, buffer);
  return done.read === text.length ? done.written : -1;
}

/**
 * The same as text, for a head of any length. No value holds a line break.
 * @param {Head} head
 */
export function told(head) {
  const { lines, ray } = look(head);
  lines[1] = head[1];
  if (ray >= 0) lines[ray + 1] = head[ray + 1];
  return lines.join("\n");
}
