// Requests that begin as one did that was forwarded: recognised by what the core was told of it, and sent with the
// headers that were made then. Whether it may be sent is the core's to say, each time anew.
import { look, passedOn } from "./head.js";

/** @import { Head, Return, Shape } from "./types.js" */

/** So many requests can be recognised; the core remembers as many. */
const MOST = 1024;
/** So many characters are kept of them all, */
const ROOM = 4 * 1024 * 1024;
/** and of one that is not longer. */
const LONGEST = 8192;
const ASCII = /^[\0-\x7f]*$/;
/** What is not ASCII would not keep its bytes as a string. */
const PLAIN = /^[ -~]{0,1024}$/;

/**
 * By what they have in common, the requests that were forwarded; the one that was recognised last comes last.
 * @type {Map<string, Shape>}
 */
let shapes = new Map();
/** @type {Shape | undefined} */
let latest;
let kept = 0;
/**
 * What requests had in common that came once, in two generations.
 * @type {Set<string>}
 */
let young = new Set();
/** @type {Set<string>} */
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

/**
 * The request that was forwarded and that one with this `head` has all in common with, but for what may differ. Requests
 * of one page follow each other, so the last is tried first: to compare is cheaper than to look up.
 * @param {Head} head
 * @returns {Shape | undefined}
 */
export function recognise(head) {
  if (latest === undefined || !isAlike(latest, head)) {
    const { common } = look(head);
    const shape = shapes.get(common);
    if (shape === undefined) return undefined;
    latest = shape;
    shapes.delete(common);
    shapes.set(common, shape);
  }
  const shape = latest;
  shape.changed = undefined;
  let { length } = shape;
  for (const at of shape.sent) {
    const value = head[at + 1];
    const before = shape.head[at + 1];
    if (value === before) continue;
    length += value.length - before.length;
    if (length > LONGEST || !PLAIN.test(value)) return undefined;
    (shape.changed ??= []).push(at);
  }
  return shape;
}

/**
 * Whether both have all in common, as if both had been looked at.
 * @param {Shape} shape
 * @param {Head} head
 */
function isAlike(shape, head) {
  const { head: other, isFree } = shape;
  if (head.length !== other.length || head[0] !== other[0]) return false;
  for (let at = 2; at < head.length; at += 2) {
    if (head[at] !== other[at] || (head[at + 1] !== other[at + 1] && !isFree[at])) return false;
  }
  return true;
}

/**
 * Whether one came before, lately, that has all in common with `head`. To remember a request costs a good deal, and
 * many have nothing in common with any other.
 * @param {Head} head
 */
export function cameBefore(head) {
  const { common } = look(head);
  if (young.has(common) || old.has(common) || shapes.has(common)) return true;
  if (common.length > LONGEST || !ASCII.test(common)) return false;
  if (young.size >= GENERATION) {
    old = young;
    young = new Set();
  }
  young.add(common);
  return false;
}

/**
 * What the core is asked about a request that was recognised as `shape`: its URL and the name that the CDN gave it, if it did.
 * @param {Shape} shape
 * @param {Head} head
 */
export function asked(shape, head) {
  return shape.ray < 0 ? head[1] : `${head[1]}\n${head[shape.ray + 1]}`;
}

/**
 * The URL at the origin and the headers for `head`, which was recognised as `shape`. `id`: the request's name, if the origin has to be told.
 * @param {Shape} shape
 * @param {Head} head
 * @param {string} [id]
 */
export function repeated(shape, head, id) {
  const { headers, changed } = shape;
  if (changed !== undefined) {
    for (const at of changed) {
      const value = head[at + 1];
      const shown = passedOn(head[at], value, head[1]);
      if (shown === undefined) headers.delete(head[at]);
      else headers.set(head[at], shown);
      charge(shape, value.length - shape.head[at + 1].length);
      shape.head[at + 1] = value;
    }
  }
  if (id !== undefined) headers.set("x-request-id", id);
  return { url: shape.base + head[1].slice(shape.from), headers };
}

/**
 * Remembers the request with this `head` as the core's `id`: it went to `base` and what came after the first `from`
 * characters of its URL, with `headers`, whose `own` names are of our making; `way` is the rest of how it went.
 * @param {Head} head
 * @param {{ id: number, from: number, base: string }} repeat
 * @param {Headers} headers
 * @param {Set<string>} own
 * @param {Return} way
 */
export function remember(head, { id, from, base }, headers, own, way) {
  const { common, free, ray } = look(head);
  const length = free.reduce((sum, at) => sum + head[at + 1].length, common.length);
  if (length > LONGEST || !ASCII.test(common) || !free.every((at) => ASCII.test(head[at + 1]))) return;
  const isFree = new Array(head.length).fill(false);
  for (const at of free) isFree[at] = true;
  const sent = free.filter((at) => !own.has(head[at]));
  drop(common, shapes.get(common));
  latest = { id, from, base, head: head.with(1, ""), isFree, sent, ray, headers, way, length: 0, changed: undefined };
  shapes.set(common, latest);
  charge(latest, length);
}

/**
 * A shape has become longer, by so much. Those go that were not recognised for the longest, until all have room.
 * @param {Shape} shape
 * @param {number} length
 */
function charge(shape, length) {
  shape.length += length;
  kept += length;
  if (shapes.size <= MOST && kept <= ROOM) return;
  for (const [oldest, other] of shapes) {
    drop(oldest, other);
    if (shapes.size <= MOST && kept <= ROOM) return;
  }
}

/**
 * @param {string} common
 * @param {Shape | undefined} shape
 */
function drop(common, shape) {
  if (!shapes.delete(common) || shape === undefined) return;
  kept -= shape.length;
  if (latest === shape) latest = undefined;
}
