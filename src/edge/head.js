// The head of a request, read once: method, URL, then name and value of each header. And what the core is told of it.

let withheld = new Set();
let naming = "";
/** Those that the core is not told, and the one that names the request. */
let free = new Set();

/** Keeps which headers the core is told the names of, and not the values, a line each; and which one names a request. */
export function withhold(names, ray) {
  withheld = new Set(names.split("\n"));
  naming = ray;
  free = new Set(withheld).add(ray);
}

/** Method and URL, then name and value of each header, as the runtime gives them: in lower case, in order, a repeated one joined by `, `. */
export function read(request) {
  const lines = [request.method, request.url];
  request.headers.forEach((value, name) => {
    lines.push(name, value);
  });
  return lines;
}

/**
 * What two requests have in common that may differ in nothing but their URL, their name and what the core is not told.
 * Joined at once: a string that grows leaves a piece behind at every step.
 */
export function common(head) {
  const lines = head.slice();
  lines[1] = "";
  for (let at = 2; at < lines.length; at += 2) {
    if (free.has(lines[at])) lines[at + 1] = "";
  }
  return lines.join("\n");
}

/** Where in a head the names of headers are whose values may differ among requests that have the rest in common. */
export function freeIn(lines) {
  const found = [];
  for (let at = 2; at < lines.length; at += 2) {
    if (free.has(lines[at])) found.push(at);
  }
  return found;
}

/** Where in a head the name of the header is by which the CDN names the request; -1 without one. */
export function rayIn(lines) {
  for (let at = 2; at < lines.length; at += 2) {
    if (lines[at] === naming) return at;
  }
  return -1;
}

const encoder = new TextEncoder();

/** What the core is told, a line each, as UTF-8 into `buffer`. Answers how many bytes that is, or -1 when it does not fit. */
export function tell(head, buffer) {
  const text = told(head);
  const done = encoder.encodeInto(text, buffer);
  return done.read === text.length ? done.written : -1;
}

/** The same as text, for a head of any length. No value holds a line break. */
export function told(head) {
  const lines = head.slice();
  for (let at = 2; at < lines.length; at += 2) {
    if (withheld.has(lines[at])) lines[at + 1] = "";
  }
  return lines.join("\n");
}
