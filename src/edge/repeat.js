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

/** By what they have in common, the requests that were forwarded. */
let shapes = new Map();
let kept = 0;

/** All are forgotten. Each instance of the core begins with that: it knows nothing of what another has decided. */
export function forget() {
  shapes = new Map();
  kept = 0;
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
  shape.isUsed = true;
  return shape;
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
      headers.set(lines[at], lines[at + 1]);
      shape.lines[at + 1] = lines[at + 1];
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
  kept += length - (shapes.get(alike)?.length ?? 0);
  shapes.set(alike, { id, from, base, lines, length, sent, ray: rayIn(head), headers, way, changed: undefined, isUsed: false });
  if (shapes.size > MOST || kept > ROOM) makeRoom();
}

/** Forgets the oldest that were not recognised since they were last passed over here. */
function makeRoom() {
  for (const [alike, shape] of shapes) {
    shapes.delete(alike);
    if (shape.isUsed) {
      shape.isUsed = false;
      shapes.set(alike, shape);
    } else {
      kept -= shape.length;
      if (shapes.size <= MOST && kept <= ROOM) return;
    }
  }
}
