// Requests that begin as one did that was forwarded: recognised by what the core was told of it, and sent with the
// headers that were made then. Whether it may be sent is the core's to say, each time anew.
import { isWithheld } from "./head.js";

const MOST_CALLERS = 512;
/** A browser asks for pages, data and pictures with other headers each. */
const MOST_SHAPES = 4;
/** Longer heads are not kept, in characters. */
const LONGEST = 8192;
const ASCII = /^[\0-\x7f]*$/;
/** A value that is one line in any case. What is not ASCII would not keep its bytes as a string. */
const PLAIN = /^[ -+\--~]*$/;

/** What of a header's value must be as it was. */
const ALL = 0;
/** Nothing; but the origin gets it. */
const SENT = 1;
/** Nothing, and the origin does not get it. */
const UNSENT = 2;

/** By what signs them in, the heads of callers that were let through. The oldest is forgotten first. */
let callers = new Map();

/** All are forgotten. Each instance of the core begins with that: it knows nothing of what another has decided. */
export function forget() {
  callers = new Map();
}

/** A head that was forwarded and that `head` is the same as, as far as the core was told of it. */
export function recognise(head) {
  const shapes = callers.get(credential(head));
  if (shapes === undefined) return undefined;
  for (const shape of shapes) {
    if (fits(shape, head)) return shape;
  }
  return undefined;
}

/** The value that a caller is looked up by. Most have one; whoever has none is nobody, or is not remembered. */
function credential(head) {
  let authorization;
  for (let at = 2; at < head.length; at += 2) {
    if (head[at] === "cookie") return head[at + 1];
    if (head[at] === "authorization") authorization = head[at + 1];
  }
  return authorization;
}

/** Whether `head` is of this shape; which of the values that the origin gets have changed is left in `changed`. */
function fits(shape, head) {
  const { head: kept, needs } = shape;
  if (head.length !== kept.length || head[0] !== kept[0]) return false;
  let changed;
  for (let at = 2; at < head.length; at += 2) {
    if (head[at] !== kept[at]) return false;
    const value = head[at + 1];
    if (value === kept[at + 1] || needs[at] === UNSENT) continue;
    if (needs[at] === ALL || !PLAIN.test(value)) return false;
    (changed ??= []).push(at);
  }
  shape.changed = changed;
  return true;
}

/** The value of the header in which the CDN names the request. */
export function ray(shape, head) {
  return shape.ray === 0 ? "" : head[shape.ray + 1];
}

/** The URL at the origin and the headers for `head`, which `shape` was recognised as. `id`: the request's name, if the origin needs to be told. */
export function repeated(shape, head, id) {
  const { headers, head: kept, changed } = shape;
  if (changed !== undefined) {
    for (const at of changed) {
      headers.set(head[at], head[at + 1]);
      kept[at + 1] = head[at + 1];
    }
  }
  if (id !== undefined) headers.set("x-request-id", id);
  return { url: shape.base + head[1].slice(shape.from), headers };
}

/**
 * Remembers `head` as the core's `id`: it went to `base` and what came after the first `from` characters of its URL,
 * with `headers`, whose `own` names are of our making; `way` is the rest of how it went.
 */
export function remember(head, { id, from, base }, headers, own, way) {
  const key = credential(head);
  const text = head.join("\n");
  if (key === undefined || text.length > LONGEST || !ASCII.test(text)) return;
  const needs = [];
  let ray = 0;
  for (let at = 2; at < head.length; at += 2) {
    const isRay = head[at] === "cf-ray";
    if (isRay) ray = at;
    const told = !isRay && !isWithheld(head[at]);
    needs[at] = told ? ALL : own.has(head[at]) ? UNSENT : SENT;
  }
  const shape = { id, from, base, head, needs, ray, headers, way, changed: undefined };
  const shapes = callers.get(key);
  if (shapes === undefined) {
    if (callers.size >= MOST_CALLERS) callers.delete(callers.keys().next().value);
    callers.set(key, [shape]);
    return;
  }
  const same = shapes.findIndex((known) => fits(known, head));
  if (same >= 0) shapes[same] = shape;
  else if (shapes.push(shape) > MOST_SHAPES) shapes.shift();
}
