// What the core has decided, carried out: a request sent to the origin, an answer of our own. One string crosses for
// a request that is forwarded; each header that crossed by itself would cost more than its verification. No decisions
// here.

import { look, passedOn, read } from "./head.js";
import { remember, repeated } from "./repeat.js";

/** @import { Head, Return, Shape, Through } from "./types.js" */

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
 * Sends `request` to the origin and promises its response. `plan`: the URL; whether an identity goes along
 * (`i`, and `u` when the CDN is to be told); the host to connect to, if it is not the URL's; then a line that
 * begins with `*` if requests with this `head` may be recognised (see `remember`; two more lines go with it), with `-`
 * for each header to remove, with `+` for each to set (its value is the next line), with `=` for each cookie of ours,
 * with `~` for each change of the answer's headers, with `!` for each rule for the answer (see `ruled`). `standing`:
 * names and values of headers to set as well. `through` may answer in the origin's place.
 * @param {Request} request
 * @param {Head} head
 * @param {string} plan
 * @param {string[]} standing
 * @param {Through} [through]
 */
export function forward(request, head, plan, standing, through) {
  const lines = plan.split("\n");
  // A copy of the runtime's own: what does not change never becomes a string, whatever bytes it has.
  const headers = new Headers(request.headers);
  for (const at of look(head).free) put(headers, head[at], head[at + 1], passedOn(head[at], head[at + 1], head[1]));
  /** @type {string[] | undefined} */
  let cookies;
  /** @type {string[] | undefined} */
  let changes;
  /** @type {{ [kind: string]: string } | undefined} */
  let rules;
  /** @type {{ id: number, from: number, base: string } | undefined} */
  let repeat;
  /** @type {Set<string> | undefined} */
  let own;
  for (let at = 3; at < lines.length - 1; at++) {
    const line = lines[at];
    switch (line.charCodeAt(0)) {
      case 0x2a:
        repeat = { id: Number(line.slice(1)), from: Number(lines[++at]), base: lines[++at] };
        own = new Set();
        break;
      case 0x2d:
        headers.delete(line.slice(1));
        own?.add(line.slice(1));
        break;
      case 0x2b:
        headers.set(line.slice(1), lines[++at]);
        own?.add(line.slice(1));
        break;
      case 0x7e:
        (changes ??= []).push(line.slice(1));
        break;
      case 0x21:
        (rules ??= {})[line[1]] = line.slice(2);
        break;
      default:
        (cookies ??= []).push(line.slice(1));
    }
  }
  for (let at = 0; at < standing.length; at += 2) {
    headers.set(standing[at], standing[at + 1]);
    own?.add(standing[at]);
  }
  const way = { identified: lines[1] !== "", override: lines[2], changes };
  if (repeat !== undefined && own !== undefined) remember(head, repeat, headers, own, way);
  const ask = () => send(request, lines[0], headers, cf(lines[1] === "u", way.override));
  const response =
    rules === undefined ? ask() : ruled(rules, through === undefined ? ask() : through(lines[0], ask, { standing, cf: cf(false, way.override) }));
  return returned(request, response, way, cookies);
}

/**
 * Puts `shown` in the place of a header's `value`, where it differs.
 * @param {Headers} headers
 * @param {string} name
 * @param {string} value
 * @param {string | undefined} shown
 */
function put(headers, name, value, shown) {
  if (shown === undefined) headers.delete(name);
  else if (shown !== value) headers.set(name, shown);
}

/**
 * Sends `request` as one was sent that began with the same `head`. `id`: its name, if the origin needs to be told.
 * @param {Request} request
 * @param {Head} head
 * @param {Shape} shape
 * @param {boolean} uncached
 * @param {string} [id]
 */
export function forwardAgain(request, head, shape, uncached, id) {
  const { url, headers } = repeated(shape, head, id);
  const { way } = shape;
  return returned(request, send(request, url, headers, cf(uncached, way.override)), way, undefined);
}

/**
 * What becomes of the origin's response on its way to the client.
 * @param {Request} request
 * @param {Promise<Response>} promise
 * @param {Return} way
 * @param {string[] | undefined} cookies
 * @returns {Promise<Response>}
 */
function returned(request, promise, { identified, changes }, cookies) {
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
 * An answer of our own. `head`: the status, then name and value of each header, a line each.
 * @param {string} head
 * @param {string} body
 */
export function answer(head, body) {
  const lines = head.split("\n");
  const headers = new Headers();
  for (let at = 1; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
  const status = Number(lines[0]);
  return new Response(status === 204 || status === 303 ? null : body, { status, headers });
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

/** @param {Request} request */
function sizeOf(request) {
  let size = 0;
  for (const text of read(request)) size += text.length;
  return size;
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
