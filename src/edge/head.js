// The head of a request, read once: method, URL, then name and value of each header. And what the core is told of it.

let withheld = new Set();

/** Keeps which headers the core is told the names of, and not the values; a line each. */
export function withhold(names) {
  withheld = new Set(names.split("\n"));
}

export function isWithheld(name) {
  return withheld.has(name);
}

/** Names are in lower case and in order, and a repeated header is one, joined by `, `. */
export function read(request) {
  const head = [request.method, request.url];
  request.headers.forEach((value, name) => {
    head.push(name, value);
  });
  return head;
}

const encoder = new TextEncoder();

/** What the core is told, a line each, as UTF-8 into `buffer`. Answers how many bytes that is, or -1 when it does not fit. */
export function tell(head, buffer) {
  const text = told(head);
  const done = encoder.encodeInto(text, buffer);
  return done.read === text.length ? done.written : -1;
}

/**
 * The same as text, for a head of any length. No value holds a line break. Joined at once: a string that grows leaves
 * a piece behind at every step.
 */
export function told(head) {
  const lines = head.slice();
  for (let at = 2; at < lines.length; at += 2) {
    if (withheld.has(lines[at])) lines[at + 1] = "";
  }
  return lines.join("\n");
}
