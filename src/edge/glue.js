// What the core has decided, carried out: a request sent to the origin, an answer of our own. Header changes that many
// requests have in common have crossed before (`rendering`, `standing`); each header that crossed by itself would cost
// more than its verification. No decisions here.

import { sizeOf, headerOf } from "./head.js";

/** @import { Head, Rendering, Through } from "./types.js" */

/** @type {(request: Request, error: string) => Response} */
let unreachable;
/** @type {(whom: string, status: number, location: string) => void} */
let refused;

/**
 * Keeps the core's answer for an origin that cannot be reached.
 * @param {typeof unreachable} answer
 */
export function whenUnreachable(answer) {
  unreachable = answer;
}

/**
 * Keeps whom to tell that an origin did not take the identity it was told.
 * @param {typeof refused} listener
 */
export function whenRefused(listener) {
  refused = listener;
}

/**
 * Header changes that are no request's own, read from `text`: the origin's base URL; the host to connect to, if it is not
 * the URL's; then a line with `-` for each header to remove, `+` for each to set (its value is the next line), `>` for each
 * to copy (the next line names the one that it is copied from), `~` for each change of the answer's headers.
 * @param {string} text
 * @returns {Rendering}
 */
export function rendering(text) {
  const lines = text.split("\n");
  /** @type {Rendering} */
  const read = { base: lines[0], override: lines[1], removed: [], set: [], copied: [], changes: undefined };
  for (let at = 2; at < lines.length - 1; at++) {
    const line = lines[at].slice(1);
    switch (lines[at].charCodeAt(0)) {
      case 0x2d:
        read.removed.push(line);
        break;
      case 0x2b:
        read.set.push(line, lines[++at]);
        break;
      case 0x3e:
        read.copied.push(line, lines[++at]);
        break;
      default:
        (read.changes ??= []).push(line);
    }
  }
  return read;
}

/**
 * Names and values of headers to set, read from `text`: `+` and the name, then the value, a line each.
 * @param {string} text
 */
export function standing(text) {
  const lines = text.split("\n");
  lines.pop();
  for (let at = 0; at < lines.length; at += 2) lines[at] = lines[at].slice(1);
  return lines;
}

const IDENTIFIED = 1;
const UNCACHED = 2;

/**
 * Sends `request` to the origin and promises its response. `head` is what was read of it. `flags`: whether an identity goes
 * along, and whether the CDN has to be told. The first `before` characters of the URL are replaced by the base. The
 * characters `from` to `until` of the `Cookie` header are taken out. `own`, if there are any, are changes that only this
 * request has: `@` a URL that replaces the whole; `-` and `+` as in `rendering`; `=` for each cookie of ours; `!` for each
 * rule for the answer (see `ruled`). `through` may answer in the origin's place.
 * @param {Request} request
 * @param {Head} head
 * @param {Rendering} rendering
 * @param {string[] | undefined} standing
 * @param {number} flags
 * @param {number} before
 * @param {number} from
 * @param {number} until
 * @param {string | undefined} own
 * @param {Through} [through]
 */
export function forward(request, head, rendering, standing, flags, before, from, until, own, through) {
  const { base, override, removed, set, copied, changes } = rendering;
  // A copy of the runtime's own: what does not change never becomes a string, whatever bytes it has.
  const headers = new Headers(request.headers);
  for (let at = 0; at < removed.length; at++) headers.delete(removed[at]);
  if (until !== 0) {
    const cookies = headerOf(head, "cookie") ?? "";
    headers.set("cookie", cookies.slice(0, from) + cookies.slice(until));
  }
  if (standing !== undefined) for (let at = 0; at < standing.length; at += 2) headers.set(standing[at], standing[at + 1]);
  for (let at = 0; at < set.length; at += 2) headers.set(set[at], set[at + 1]);
  for (let at = 0; at < copied.length; at += 2) headers.set(copied[at], headerOf(head, copied[at + 1]) ?? "");
  const identified = (flags & IDENTIFIED) !== 0;
  const uncached = (flags & UNCACHED) !== 0;
  if (own === undefined) {
    return returned(request, send(request, base + head[1].slice(before), headers, cf(uncached, override)), identified, changes, undefined);
  }
  let url = base + head[1].slice(before);
  /** @type {string[] | undefined} */
  let cookies;
  /** @type {{ [kind: string]: string } | undefined} */
  let rules;
  const lines = own.split("\n");
  for (let at = 0; at < lines.length - 1; at++) {
    const line = lines[at].slice(1);
    switch (lines[at].charCodeAt(0)) {
      case 0x40:
        url = line;
        break;
      case 0x2d:
        headers.delete(line);
        break;
      case 0x2b:
        headers.set(line, lines[++at]);
        break;
      case 0x21:
        (rules ??= {})[line[0]] = line.slice(1);
        break;
      default:
        (cookies ??= []).push(line);
    }
  }
  const ask = () => send(request, url, headers, cf(uncached, override));
  const response = rules === undefined ? ask() : ruled(rules, through === undefined ? ask() : through(url, ask, { set, cf: cf(false, override) }));
  return returned(request, response, identified, changes, cookies);
}

/**
 * What becomes of the origin's response on its way to the client.
 * @param {Request} request
 * @param {Promise<Response>} promise
 * @param {boolean} identified
 * @param {string[] | undefined} changes
 * @param {string[] | undefined} cookies
 * @returns {Promise<Response>}
 */
function returned(request, promise, identified, changes, cookies) {
  const response = changes === undefined ? promise : promise.then((answer) => changed(answer, changes));
  /** @param {unknown} error */
  const failed = (error) => unreachable(request, String(error));
  if (cookies === undefined) {
    const passed = identified ? keepPrivate : asked;
    return response.then((answer) => passed(answer) ?? failed(NO_STATUS), failed);
  }
  return response.catch(failed).then((answer) => {
    const own = withCookies(answer, cookies);
    if (own !== undefined) return own;
    const refusal = failed(NO_STATUS);
    return withCookies(refusal, cookies) ?? refusal;
  });
}

const NO_STATUS = "its status is none, or one that was not asked for";

/**
 * The response, but for a 101 that switches to nothing: nobody asked for it, or not for what the origin has chosen (RFC
 * 9110 §15.2.2). What follows it on the connection belongs to no request.
 * @param {Response} response
 */
function asked(response) {
  return response.status === 101 && response.webSocket === null ? undefined : response;
}

/**
 * The origin's answer, with the rules of a profile applied: no cookie of the origin's goes on; `w`: whom the request
 * was from, to be named when the origin may have turned it down.
 * @param {{ [kind: string]: string }} rules
 * @param {Promise<Response>} response
 */
async function ruled(rules, response) {
  const answer = await response;
  const { status, headers } = answer;
  if (rules.w !== "" && status >= 300 && status !== 304) refused(rules.w, status, headers.get("location") ?? "");
  if (!headers.has("set-cookie")) return answer;
  const own = rebuilt(answer);
  if (own === undefined) return answer;
  own.headers.delete("set-cookie");
  return own;
}

/**
 * A URL and an init make one request; fetching a Request object makes two. Redirects are the browser's to follow.
 * An init may not give a body to GET or HEAD, though HTTP may.
 * @param {Request} request
 * @param {string} url
 * @param {Headers} headers
 * @param {RequestInitCfProperties | undefined} cf
 */
function send(request, url, headers, cf) {
  const { method, body } = request;
  if (body !== null && (method === "GET" || method === "HEAD")) {
    return fetch(new Request(new Request(url, request), { headers, redirect: "manual" }), { cf });
  }
  return fetch(url, { method, headers, body, redirect: "manual", cf });
}

const NOT_CACHED = { cacheTtl: -1 };

/**
 * @param {boolean} uncached
 * @param {string} override
 * @returns {RequestInitCfProperties | undefined}
 */
function cf(uncached, override) {
  if (override === "") return uncached ? NOT_CACHED : undefined;
  return uncached ? { cacheTtl: -1, resolveOverride: override } : { resolveOverride: override };
}

const CREDENTIALS = "Cookie, Authorization";
const SAYS_WHOSE = /\b(public|private|no-store|s-maxage)\b/i;

/**
 * The same response, or one that says that it is one person's. Undefined for a status that it must not have.
 * @param {Response} response
 */
function keepPrivate(response) {
  const { status } = response;
  if (status === 101) return asked(response);
  const kept = response.headers.get("cache-control");
  if (kept !== null && SAYS_WHOSE.test(kept)) return response;
  const answer = rebuilt(response, status);
  if (answer !== undefined) forOnePerson(answer.headers, kept);
  return answer;
}

/**
 * The response with cookies of ours: they are one person's, whatever the origin says of its answer.
 * @param {Response} response
 * @param {string[]} cookies
 */
function withCookies(response, cookies) {
  const answer = rebuilt(response);
  if (answer === undefined) return undefined;
  for (const cookie of cookies) answer.headers.append("set-cookie", cookie);
  const kept = answer.headers.get("cache-control");
  if (kept === null || !/\b(private|no-store)\b/i.test(kept)) forOnePerson(answer.headers, kept === null || SAYS_WHOSE.test(kept) ? null : kept);
  return answer;
}

/**
 * The response with other headers: `-` a header to remove, `+` one to set and `&` one to append, with the value in
 * the next line; `f` who may frame it, likewise. A second policy only takes away (CSP Level 3 §8.1). But where a
 * policy names ancestors, browsers pass over X-Frame-Options (§6.4.2); so one that refuses stands as it is.
 * @param {Response} response
 * @param {string[]} changes
 */
function changed(response, changes) {
  const { status } = response;
  const answer = status === 101 ? undefined : rebuilt(response, status);
  if (answer === undefined) return response;
  const { headers } = answer;
  for (let at = 0; at < changes.length; at++) {
    const name = changes[at].slice(1);
    switch (changes[at].charCodeAt(0)) {
      case 0x2d:
        headers.delete(name);
        break;
      case 0x2b:
        headers.set(name, changes[++at]);
        break;
      case 0x26:
        headers.append(name, changes[++at]);
        break;
      default:
        at++;
        if (!REFUSES_FRAMES.test(headers.get("x-frame-options") ?? "")) headers.append("content-security-policy", changes[at]);
    }
  }
  return answer;
}

const REFUSES_FRAMES = /^\s*(deny|sameorigin)\s*$/i;

/**
 * @param {Headers} headers
 * @param {string | null} kept
 */
function forOnePerson(headers, kept) {
  headers.set("cache-control", kept === null ? "private" : `private, ${kept}`);
  headers.append("vary", CREDENTIALS);
}

/**
 * A response whose headers can be changed: that of a fetch is read-only.
 * @param {Response} response
 */
function rebuilt(response, status = response.status) {
  if (status === 101) {
    if (asked(response) === undefined) return undefined;
    const { webSocket, headers } = response;
    return new Response(null, { status, webSocket, headers });
  }
  return status >= 200 && status <= 599 ? new Response(response.body, response) : undefined;
}

/**
 * Headers that answers have in common, by their text. The core's own words, so they are few.
 * @type {Map<string, Headers>}
 */
const common = new Map();
const MOST_COMMON = 100;

/** @param {string} lines */
function commonHeaders(lines) {
  const known = common.get(lines);
  if (known !== undefined) return known;
  if (common.size >= MOST_COMMON) common.clear();
  const headers = appended(new Headers(), lines);
  common.set(lines, headers);
  return headers;
}

/**
 * @param {Headers} headers
 * @param {string} lines
 */
function appended(headers, lines) {
  const list = lines.split("\n");
  for (let at = 0; at + 1 < list.length; at += 2) headers.append(list[at], list[at + 1]);
  return headers;
}

/**
 * An answer of our own. `shared`: name and value of each header that many answers have, a line each; `own`: of those that
 * this one has alone.
 * @param {number} status
 * @param {string} shared
 * @param {string} own
 * @param {string} body
 */
export function answer(status, shared, own, body) {
  const known = commonHeaders(shared);
  // The response makes a copy of its own, which the runtime does in one go.
  const response = new Response(status === 204 || status === 303 ? null : body, { status, headers: known });
  if (own !== "") appended(response.headers, own);
  return response;
}

/** A body that is not there whole after so many milliseconds does not come. */
const BODY_TIME = 10_000;
/**
 * The most characters that the heads of requests may have, together, whose bodies are read for anybody. An honest form comes
 * with its head, so when there is no room, whoever has waited for the longest makes way.
 */
const UNVERIFIED_ROOM = 1024 * 1024;
/** So many characters they may have with those that have still to leave. */
const UNVERIFIED_PEAK = 4 * UNVERIFIED_ROOM;
/** How often each of them looks whether it has to leave, in milliseconds. No request may settle a promise of another. */
const LOOK = 50;
/**
 * The sizes of those heads, the oldest first.
 * @type {Map<object, number>}
 */
const unverified = new Map();
let unverifiedSize = 0;
let unverifiedPresent = 0;

/**
 * The body of `request`; or why not: `long` when it has more than `limit` bytes, of which no more is ever held, `slow` when
 * it did not come in time, or had to make way for others when it is for `anybody`; `full` when too many of those come at once.
 * @param {Request} request
 * @param {number} limit
 * @param {boolean} anybody
 */
export async function readBody(request, limit, anybody) {
  if (Number(request.headers.get("content-length")) > limit) return "long";
  if (request.body === null) return new Uint8Array();
  const place = {};
  const size = anybody ? sizeOf(request) : 0;
  if (unverifiedPresent + size > UNVERIFIED_PEAK) return "full";
  const reader = request.body.getReader();
  const body = whole(reader, limit);
  unverifiedPresent += size;
  if (anybody) admit(place, size);
  let timer = 0;
  try {
    for (let waited = 0; waited < BODY_TIME && (!anybody || unverified.has(place)); waited += LOOK) {
      const tick = /** @type {Promise<void>} */ (new Promise((resolve) => (timer = setTimeout(resolve, LOOK))));
      const read = await Promise.race([body, tick]);
      if (read !== undefined) return read;
    }
    return "slow";
  } finally {
    clearTimeout(timer);
    dismiss(place);
    unverifiedPresent -= size;
    // The rest of the body is not needed, and it may break off as it likes.
    body.catch(() => {});
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {object} place
 * @param {number} size
 */
function admit(place, size) {
  unverified.set(place, size);
  unverifiedSize += size;
  for (const oldest of unverified.keys()) {
    if (unverifiedSize <= UNVERIFIED_ROOM || oldest === place) return;
    dismiss(oldest);
  }
}

/** @param {object} place */
function dismiss(place) {
  unverifiedSize -= unverified.get(place) ?? 0;
  unverified.delete(place);
}

/**
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {number} limit
 * @returns {Promise<Uint8Array | "long">}
 */
async function whole(reader, limit) {
  const chunks = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > limit) return "long";
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/**
 * The bindings that are configuration: variables as JSON, secrets as they are; a line break ends none of them.
 * @param {{ [name: string]: unknown }} env
 */
export function bindings(env) {
  /** @type {string[]} */
  const found = [];
  for (const name of Object.keys(env)) {
    const value = env[name];
    if (typeof value === "string") {
      found.push(name, value);
    } else if (name.startsWith("EDGEWARD")) {
      found.push(name, isPlain(value) ? JSON.stringify(value) : "");
    }
  }
  return found;
}

/** @param {unknown} value */
function isPlain(value) {
  return typeof value !== "object" || value === null || Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

/** @param {string} line */
export function log(line) {
  console.log(line);
}
