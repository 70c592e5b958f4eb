// Carries out what the core has decided: sends a request to the origin, or our own answer. Header changes that many requests
// share cross once (`rendering`, `callerHeaders`): to pass each header by itself would cost more than to verify the
// credential. No decisions here.

import { countAnswer, countForwarded } from "./counters.js";
import { headerOf } from "./head.js";
import { relay } from "./sockets.js";

/** @import { Head, Rendering, Through } from "./types.js" */

/** @type {(request: Request, error: string, begun: number) => Response} */
let unreachable;
/** @type {(whom: string, status: number, location: string) => void} */
let refused;

/** @type {(url: string, headers: string) => string | undefined} */
let inspect;
/** The headers of a response that the core inspects: always, and where names are translated. */
let always = "";
/** @type {string[]} */
let translated = [];

/**
 * Registers the core's function that says what changes of a response's headers, and the names of those that it wants to see.
 * @param {typeof inspect} listener
 * @param {string} name
 * @param {string} names
 */
export function whenAnswered(listener, name, names) {
  inspect = listener;
  always = name;
  translated = names.split("\n");
}

/**
 * Registers the core's function that answers if the origin cannot be reached.
 * @param {typeof unreachable} answer
 */
export function whenUnreachable(answer) {
  unreachable = answer;
}

/**
 * Registers the core's function to call if an origin may not have accepted the identity that it was told.
 * @param {typeof refused} listener
 */
export function whenRefused(listener) {
  refused = listener;
}

/**
 * Parses header changes that many requests share. The lines of `text`: the origin's base URL; the host to connect to if it
 * is not the URL's; then `-` and a header to remove, `+` and one to set (the next line is its value), `>` and one to copy
 * (the next line names its source), `*` and one whose value begins differently (the next lines have the number of characters
 * that are replaced, and what replaces them), `~` and a change to the response's headers (see `applyChanges`).
 * @param {string} text
 * @returns {Rendering}
 */
export function rendering(text) {
  const lines = text.split("\n");
  /** @type {Rendering} */
  const read = { base: lines[0], override: lines[1], removed: [], set: [], copied: [], rebased: [], changes: undefined };
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
      case 0x2a:
        read.rebased.push(line, Number(lines[++at]), lines[++at]);
        break;
      default:
        (read.changes ??= []).push(line);
    }
  }
  return read;
}

/**
 * Parses names and values of headers to set. In `text`, a line with `+` and the name precedes a line with the value.
 * @param {string} text
 */
export function callerHeaders(text) {
  const lines = text.split("\n");
  lines.pop();
  for (let at = 0; at < lines.length; at += 2) lines[at] = lines[at].slice(1);
  return lines;
}

const IDENTIFIED = 1;
const UNCACHED = 2;
const WATCHED = 4;
const TRANSLATED = 8;
/** Above the flags is the number of the site. */
const SITE = 8;

/**
 * Sends `request` to the origin and promises its response. `head` is what was read of it. `flags`: whether the origin is told
 * an identity, whether the CDN must bypass its cache, whether a WebSocket is closed once the request would not pass, and
 * whether names in the response are translated. The base replaces the first `before` characters of the URL. The characters
 * `from` to `until` are cut out of the `Cookie` header. `own` has the changes of this request alone, if any: `@` and a URL that
 * replaces the whole; `-` and `+` as in `rendering`; `=` and a cookie of ours; `^` and Strict-Transport-Security beside them;
 * `!` and a rule for the response (see `applyRules`); `$` and a line of the log, to be written once the origin has answered.
 * `through` may answer in the origin's place. `begun`: when the request came.
 * @param {Request} request
 * @param {Head} head
 * @param {Rendering} rendering
 * @param {string[] | undefined} callerHeaders
 * @param {number} flags
 * @param {number} before
 * @param {number} from
 * @param {number} until
 * @param {string | undefined} own
 * @param {Through | undefined} through
 * @param {number} begun
 */
export function forward(request, head, rendering, callerHeaders, flags, before, from, until, own, through, begun) {
  const { base, override, removed, set, copied, rebased, changes } = rendering;
  // The runtime copies the headers, so those that do not change never become strings, whatever bytes they have.
  const headers = new Headers(request.headers);
  for (let at = 0; at < removed.length; at++) headers.delete(removed[at]);
  if (until !== 0) {
    const cookies = headerOf(head, "cookie") ?? "";
    headers.set("cookie", cookies.slice(0, from) + cookies.slice(until));
  }
  if (callerHeaders !== undefined) for (let at = 0; at < callerHeaders.length; at += 2) headers.set(callerHeaders[at], callerHeaders[at + 1]);
  for (let at = 0; at < set.length; at += 2) headers.set(set[at], set[at + 1]);
  for (let at = 0; at < copied.length; at += 2) headers.set(copied[at], headerOf(head, copied[at + 1]) ?? "");
  for (let at = 0; at < rebased.length; at += 3) {
    const name = /** @type {string} */ (rebased[at]);
    headers.set(name, rebased[at + 2] + (headerOf(head, name) ?? "").slice(/** @type {number} */ (rebased[at + 1])));
  }
  const uncached = (flags & UNCACHED) !== 0;
  const watch = (flags & WATCHED) !== 0 ? head : undefined;
  if (own === undefined) {
    const response = send(request, base + head[1].slice(before), headers, cf(uncached, override));
    return respond(request, head[1], response, flags, changes, undefined, watch, begun);
  }
  let url = base + head[1].slice(before);
  /** @type {string[] | undefined} */
  let cookies;
  /** @type {string | undefined} */
  let hsts;
  /** @type {{ [kind: string]: string } | undefined} */
  let rules;
  let line = "";
  const lines = own.split("\n");
  for (let at = 0; at < lines.length - 1; at++) {
    const text = lines[at].slice(1);
    switch (lines[at].charCodeAt(0)) {
      case 0x40:
        url = text;
        break;
      case 0x2d:
        headers.delete(text);
        break;
      case 0x2b:
        headers.set(text, lines[++at]);
        break;
      case 0x5e:
        hsts = text;
        break;
      case 0x21:
        (rules ??= {})[text[0]] = text.slice(1);
        break;
      case 0x24:
        line = text;
        break;
      default:
        (cookies ??= []).push(text);
    }
  }
  const ask = () => send(request, url, headers, cf(uncached, override));
  const response = rules === undefined ? ask() : applyRules(rules, through === undefined ? ask() : through(url, ask, { set, cf: cf(false, override) }));
  /** @param {Response} answer */
  const logged = (answer) => {
    logRequest(`${line.slice(0, -1)},"status":${answer.status}}`, request, begun);
    return answer;
  };
  return respond(request, head[1], line === "" ? response : response.then(logged), flags, changes, cookies, watch, begun, hsts);
}

/**
 * The response for the client, from the promise of the origin's.
 * @param {Request} request
 * @param {string} url
 * @param {Promise<Response>} promise
 * @param {number} flags
 * @param {string[] | undefined} changes
 * @param {string[] | undefined} cookies
 * @param {Head | undefined} watch the head of the request, if a WebSocket that it opens is to be watched
 * @param {number} begun
 * @param {string} [hsts]
 * @returns {Promise<Response>}
 */
function respond(request, url, promise, flags, changes, cookies, watch, begun, hsts) {
  /** @param {unknown} error */
  const failed = (error) => unreachable(request, String(error), begun);
  const names = (flags & TRANSLATED) !== 0 ? translated : [];
  /** @param {Response} answer */
  const open = (answer) => {
    const inspected = inspectHeaders(answer, url, names);
    return changes === undefined || inspected === undefined ? inspected : applyChanges(inspected, changes);
  };
  if (cookies === undefined) {
    const checked = (flags & IDENTIFIED) !== 0 ? keepPrivate : refuseBareUpgrade;
    return promise.then((answer) => {
      const opened = open(answer);
      const whole = opened && checked(opened, watch);
      if (whole === undefined) return failed(NO_STATUS);
      countForwarded(flags >>> SITE, begun);
      return whole;
    }, failed);
  }
  let isOrigins = true;
  return promise
    .then(open)
    .catch((error) => {
      isOrigins = false;
      return failed(error);
    })
    .then((answer) => {
      const opened = answer && refuseBareUpgrade(answer, watch);
      const own = opened && withCookies(opened, cookies, hsts);
      if (own !== undefined) {
        if (isOrigins) countForwarded(flags >>> SITE, begun);
        return own;
      }
      const refusal = failed(NO_STATUS);
      return withCookies(refusal, cookies) ?? refusal;
    });
}

const NO_STATUS = "its status is invalid, or a 101 that was not requested";

/**
 * The response with the headers that a client may get: the core inspects some of them, where they are there. Undefined if it
 * has an invalid status, or if the core cannot tell.
 * @param {Response} response
 * @param {string} url
 * @param {string[]} names
 */
function inspectHeaders(response, url, names) {
  const { headers } = response;
  let lines = "";
  if (headers.has(always)) for (const value of headers.getSetCookie()) lines += `${always}\n${value}\n`;
  for (let at = 0; at < names.length; at++) {
    const value = headers.get(names[at]);
    if (value !== null) lines += `${names[at]}\n${value}\n`;
  }
  if (lines === "") return response;
  const changes = inspect(url, lines);
  if (changes === "") return response;
  const answer = changes === undefined ? undefined : rebuild(response);
  return answer && changeHeaders(answer, /** @type {string} */ (changes).split("\n"));
}

/**
 * The response, or undefined for a 101 without a WebSocket: the client requested no upgrade, or not the one that the origin
 * has chosen (RFC 9110 §15.2.2). Whatever follows it on the connection belongs to no request.
 * @param {Response} response
 * @param {Head} [watch]
 */
function refuseBareUpgrade(response, watch) {
  if (response.status !== 101) return response;
  if (response.webSocket === null) return undefined;
  return watch === undefined ? response : relay(response, watch);
}

/**
 * Applies a profile's rules to the origin's response. Its cookies are removed. `w` is the caller, to be reported if the
 * origin may not have accepted them.
 * @param {{ [kind: string]: string }} rules
 * @param {Promise<Response>} response
 */
async function applyRules(rules, response) {
  const answer = await response;
  const { status, headers } = answer;
  if (rules.w !== "" && status >= 300 && status !== 304) refused(rules.w, status, headers.get("location") ?? "");
  if (!headers.has("set-cookie")) return answer;
  const own = rebuild(answer);
  if (own === undefined) return answer;
  own.headers.delete("set-cookie");
  return own;
}

/**
 * Sends the request. A URL with an init makes one Request object, `fetch` of a Request makes two. Redirects are left to the
 * browser. An init must not have a body with GET or HEAD, although HTTP allows one.
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

const HSTS = "strict-transport-security";
const CREDENTIALS = "Cookie, Authorization";
const SAYS_WHO_MAY_CACHE = /\b(public|private|no-store|s-maxage)\b/i;

/**
 * The same response if it says who may cache it, otherwise one that is marked private. Undefined for an invalid status.
 * @param {Response} response
 * @param {Head} [watch]
 */
function keepPrivate(response, watch) {
  const { status } = response;
  if (status === 101) return refuseBareUpgrade(response, watch);
  const kept = response.headers.get("cache-control");
  if (kept !== null && SAYS_WHO_MAY_CACHE.test(kept)) return response;
  const answer = rebuild(response, status);
  if (answer !== undefined) markPrivate(answer.headers, kept);
  return answer;
}

/**
 * The response with our cookies, marked private whatever the origin says: they are for one person only.
 * @param {Response} response
 * @param {string[]} cookies
 * @param {string} [hsts] unless the origin says it itself
 */
function withCookies(response, cookies, hsts) {
  const answer = rebuild(response);
  if (answer === undefined) return undefined;
  if (hsts !== undefined && !answer.headers.has(HSTS)) answer.headers.set(HSTS, hsts);
  for (const cookie of cookies) answer.headers.append("set-cookie", cookie);
  const kept = answer.headers.get("cache-control");
  if (kept === null || !/\b(private|no-store)\b/i.test(kept)) markPrivate(answer.headers, kept === null || SAYS_WHO_MAY_CACHE.test(kept) ? null : kept);
  return answer;
}

/**
 * The response with changed headers: `-` removes a header, `+` sets and `&` appends one, with the value in the next entry;
 * `f` adds a frame policy, also in the next entry. A further policy can only restrict (CSP Level 3 §8.1). But browsers ignore
 * X-Frame-Options if a policy has frame-ancestors (§6.4.2), so none is added to a response that refuses frames.
 * @param {Response} response
 * @param {string[]} changes
 */
function applyChanges(response, changes) {
  const { status } = response;
  const answer = status === 101 ? undefined : rebuild(response, status);
  return answer === undefined ? response : changeHeaders(answer, changes);
}

/**
 * Makes the `changes` of `applyChanges` at a response whose headers are mutable.
 * @param {Response} answer
 * @param {string[]} changes
 */
function changeHeaders(answer, changes) {
  const { headers } = answer;
  for (let at = 0; at < changes.length; at++) {
    if (changes[at] === "") continue;
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
function markPrivate(headers, kept) {
  headers.set("cache-control", kept === null ? "private" : `private, ${kept}`);
  headers.append("vary", CREDENTIALS);
}

/**
 * A copy of the response with mutable headers: those of a fetched response are read-only.
 * @param {Response} response
 */
function rebuild(response, status = response.status) {
  if (status === 101) {
    if (refuseBareUpgrade(response) === undefined) return undefined;
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
 * this one has alone. `site`: its number; `begun`: when the request came, 0 if nobody is to note how long it took.
 * @param {number} status
 * @param {string} shared
 * @param {string} own
 * @param {string} body
 * @param {number} site
 * @param {number} begun
 */
export function answer(status, shared, own, body, site, begun) {
  if (begun !== 0) countAnswer(site, begun);
  const known = commonHeaders(shared);
  // The response makes a copy of its own, which the runtime does in one go.
  const response = new Response(status === 204 || status === 303 ? null : body, { status, headers: known });
  if (own !== "") appended(response.headers, own);
  return response;
}

/**
 * The bindings that are configuration, names and values in turn: variables as JSON, secrets as they are.
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

/**
 * Writes a line of the log, as the core has made it, with the time before it.
 * @param {string} line
 */
export function log(line) {
  write(line, Date.now(), "");
}

/**
 * Writes a line about a request that came at `begun`, with how long it took and where the CDN took it in.
 * @param {string} line
 * @param {Request} request
 * @param {number} begun
 */
export function logRequest(line, request, begun) {
  const colo = request.cf?.colo;
  const place = typeof colo === "string" && /^[A-Z]{3}$/.test(colo) ? `,"colo":"${colo}"` : "";
  write(line, begun, `${place},"duration_ms":${Date.now() - begun}`);
}

/**
 * @param {string} line a JSON object with at least one member
 * @param {number} time
 * @param {string} more members to add
 */
function write(line, time, more) {
  console.log(`{"time":"${new Date(time).toISOString()}",${line.slice(1, -1)}${more}}`);
}
