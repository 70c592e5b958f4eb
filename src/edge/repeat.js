// Requests that begin as one did that was forwarded: recognised by what the core was told of it, and sent with the
// headers that were made then. Whether it may be sent is the core's to say, each time anew.
import { freeIn, rayIn } from "./head.js";

/** So many requests can be recognised; the core remembers as many. */
const MOST = 1024;
/** So many characters are kept of them all, */
const ROOM = 4 * 1024 * 1024;
/** and of one that is not longer. */
const LONGEST = 8192;
const ASCII = /^[\0-\x7f]*$/;
/** A value that is one line in any case, and short. What is not ASCII would not keep its bytes as a string. */
const PLAIN = /^[ -+\--~]{0,1024}$/;

/** By what they have in common, the requests that were forwarded; the one that was recognised last comes last. */
let shapes = new Map();
let latest;
let kept = 0;
/** What requests had in common that came once, in two generations. */
let young = new Set();
let old = new Set();
const GENERATION = 512;

/** All are forgotten. Each instance of the core begins with that: it knows nothing of what another has decided. */
export function forget() {
  shapes = new Map();
  latest = undefined;
  kept = 0;
  young = new Set();
  old = new Set();
}

/** What a request that was forwarded and that `head` is alike has left behind. */
export function recognise(head) {
  const shape = shapes.get(head.alike);
  if (shape === undefined) return undefined;
  shape.changed = undefined;
  for (const at of shape.sent) {
    const value = head.lines[at + 1];
    if (value === shape.lines[at + 1]) continue;
    if (!PLAIN.test(value)) return undefined;
    (shape.changed ??= []).push(at);
  }
  if (shape !== latest) {
    latest = shape;
    shapes.delete(head.alike);
    shapes.set(head.alike, shape);
  }
  return shape;
}

/** Whether a request that is alike came before, lately. To remember one costs a good deal, and most that are alike no other never come again. */
export function cameBefore({ alike }) {
  if (young.has(alike) || old.has(alike)) return true;
  if (alike.length > LONGEST) return false;
  if (young.size >= GENERATION) {
    old = young;
    young = new Set();
  }
  young.add(alike);
  return false;
}

/** The name that the CDN gave a request, whose `shape` was recognised; empty without one. */
export function rayOf(shape, head) {
  return shape.ray < 0 ? "" : head.lines[shape.ray + 1];
}

/** The URL at the origin and the headers for `head`, which `shape` was recognised by. `id`: the request's name, if the origin has to be told. */
export function repeated(shape, { lines }, id) {
  const { headers, changed } = shape;
  if (changed !== undefined) {
    for (const at of changed) {
      const value = lines[at + 1];
      headers.set(lines[at], value);
      charge(shape, value.length - shape.lines[at + 1].length);
      shape.lines[at + 1] = value;
    }
  }
  if (id !== undefined) headers.set("x-request-id", id);
  return { url: shape.base + lines[1].slice(shape.from), headers };
}

/**
 * Remembers the request with this `head` as the core's `id`: it went to `base` and what came after the first `from`
 * characters of its URL, with `headers`, whose `own` names are of our making; `way` is the rest of how it went.
 */
export function remember(head, { id, from, base }, headers, own, way) {
  const { lines, alike } = head;
  const free = freeIn(head);
  const length = free.reduce((sum, at) => sum + lines[at + 1].length, alike.length);
  if (length > LONGEST || !ASCII.test(alike) || !free.every((at) => ASCII.test(lines[at + 1]))) return;
  const sent = free.filter((at) => !own.has(lines[at]));
  drop(alike, shapes.get(alike));
  latest = { id, from, base, lines, length: 0, sent, ray: rayIn(head), headers, way, changed: undefined };
  shapes.set(alike, latest);
  charge(latest, length);
}

/** A shape has become longer, by so much. Those go that were not recognised for the longest, until all have room. */
function charge(shape, length) {
  shape.length += length;
  kept += length;
  if (shapes.size <= MOST && kept <= ROOM) return;
  for (const [oldest, other] of shapes) {
    drop(oldest, other);
    if (shapes.size <= MOST && kept <= ROOM) return;
  }
}

function drop(alike, shape) {
  if (shapes.delete(alike)) kept -= shape.length;
}
