// An HTTP client for tests: it sends exactly the headers it is told to send, in that order,
// follows no redirect and keeps every header of the answer.

import http from "node:http";
import net from "node:net";
import { codeOf } from "../../../scripts/lib/step.mjs";

/** @import { IncomingMessage } from "node:http" */
/** @import { Readable } from "node:stream" */

/** @typedef {[name: string, value: string]} Pair A header: values are Latin-1, one character per byte. */
/** @typedef {string | Uint8Array} Bytes */
/** @typedef {{ size: number, sha256: string }} SeenBody How long a body was that the origin received, and its hash in hex. */
/**
 * One `Set-Cookie` taken apart: attribute names in lower case, `true` for those without a value. `cleared`: it takes the cookie
 * away; `pair`: `name=value`.
 * @typedef {{ raw: string, name: string, value: string, attributes: Record<string, string | true>, cleared: boolean, pair: string }} SetCookie
 */
/** @typedef {{ port: number, method?: string, path?: string, headers?: Pair[], body?: Bytes, agent?: http.Agent }} Outgoing */

/** With any other method, Node would send an empty body in chunks, which some servers leave on the connection. */
const WITHOUT_BODY = ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/**
 * Sends one request and reads the whole answer. `headers` is a list of pairs; values are Latin-1, one character per byte.
 * @param {Outgoing} request
 */
export async function send({ port, method = "GET", path = "/", headers = [], body, agent }) {
  const exchange = open({ port, method, path, headers, agent, body: body ?? (WITHOUT_BODY.includes(method) ? undefined : "") });
  exchange.end();
  const answer = await exchange.answer;
  return new Answer(answer, await readAll(answer));
}

/**
 * Starts a request and leaves the body open: `write` and `end` go on with it, `answer` is the
 * `http.IncomingMessage`, as soon as its head is there.
 * @param {Outgoing} request
 */
export function open({ port, method = "GET", path = "/", headers = [], body, agent }) {
  const list = [...headers];
  /** @param {string} name */
  const has = (name) => list.some(([key]) => key.toLowerCase() === name);
  const bytes = body === undefined ? undefined : Buffer.from(body);
  if (bytes && !has("content-length") && !has("transfer-encoding")) list.push(["Content-Length", String(bytes.length)]);
  const request = http.request({ host: "127.0.0.1", port, method, path, headers: list.flat(), agent });
  /** @type {Promise<IncomingMessage>} */
  const answer = new Promise((resolve, reject) => {
    request.on("response", resolve);
    request.on("error", reject);
  });
  answer.catch(() => {});
  return {
    request,
    answer,
    /** @type {(chunk: string | Uint8Array) => Promise<void>} */
    write: (chunk) => new Promise((resolve, reject) => request.write(chunk, (error) => (error ? reject(error) : resolve()))),
    end: () => request.end(bytes),
  };
}

/**
 * Sends bytes as they are, for what no HTTP library would send. Gives `undefined` when the connection ends without an answer.
 * @param {{ port: number, text: string }} request
 * @returns {Promise<Answer | undefined>}
 */
export function sendRaw({ port, text }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    /** @type {Buffer[]} */
    const chunks = [];
    socket.on("data", (/** @type {Buffer} */ chunk) => chunks.push(chunk));
    /**
     */
    socket.on("error", (error) => (codeOf(error) === "ECONNRESET" ? resolve(parseAnswer(Buffer.concat(chunks))) : reject(error)));
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(parseAnswer(Buffer.concat(chunks))));
    socket.write(Buffer.from(text, "latin1"));
  });
}

/**
 * Sends bytes as they are, which have to be answered.
 * @param {{ port: number, text: string }} request
 */
export async function exchangeRaw(request) {
  const answer = await sendRaw(request);
  if (answer === undefined) throw new Error(`not answered: ${JSON.stringify(request.text.slice(0, 300))}`);
  return answer;
}

/** @param {Buffer} bytes */
function parseAnswer(bytes) {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [statusLine, ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const rawHeaders = lines.flatMap((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  let body = bytes.subarray(headEnd + 4);
  if (/^transfer-encoding:\s*chunked$/im.test(lines.join("\n"))) body = dechunk(body);
  return new Answer({ statusCode: Number(statusLine.split(" ")[1]), rawHeaders }, body);
}

/** @param {Buffer} bytes */
function dechunk(bytes) {
  /** @type {Buffer[]} */
  const parts = [];
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    if (!size) break;
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return Buffer.concat(parts);
}

/**
 * All that comes.
 * @param {Readable} stream
 */
export async function readAll(stream) {
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * A list of header pairs with look-up by name in any case.
 */
export class Headers {
  /** @param {string[]} rawHeaders */
  constructor(rawHeaders) {
    /** @type {Pair[]} */
    this.list = [];
    for (let i = 0; i < rawHeaders.length; i += 2) this.list.push([rawHeaders[i], rawHeaders[i + 1]]);
  }
  /** @param {string} name */
  all(name) {
    return this.list.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  }
  /**
   * The value of a header, `undefined` when absent; repeated ones are joined by a comma.
   * @param {string} name
   */
  get(name) {
    const values = this.all(name);
    return values.length ? values.join(", ") : undefined;
  }
  /**
   * The value of a header that has to be there.
   * @param {string} name
   */
  need(name) {
    const value = this.get(name);
    if (value === undefined) throw new Error(`no header is named ${name}: ${JSON.stringify(this.list)}`);
    return value;
  }
  get names() {
    return this.list.map(([key]) => key.toLowerCase());
  }
}

/** A whole answer. */
export class Answer {
  /**
   * @param {{ statusCode?: number, rawHeaders: string[] }} head
   * @param {Buffer} body
   */
  constructor({ statusCode, rawHeaders }, body) {
    /** Every answer has one; a request has none. */
    this.status = statusCode ?? 0;
    this.headers = new Headers(rawHeaders);
    this.body = body;
  }
  get text() {
    return this.body.toString("utf8");
  }
  get json() {
    return JSON.parse(this.text);
  }
  get location() {
    return this.headers.get("location");
  }
  /** Where it leads; fails if it is no redirect. */
  get target() {
    const { location } = this;
    if (location === undefined) throw new Error(`the answer leads nowhere: ${this}`);
    return location;
  }
  get type() {
    return (this.headers.get("content-type") ?? "").split(";")[0].trim();
  }
  /** The cookies that this answer sets, see `parseSetCookie`. */
  get cookies() {
    return this.headers.all("set-cookie").map(parseSetCookie);
  }
  /** @param {string} name */
  cookie(name) {
    return this.cookies.find((cookie) => cookie.name === name);
  }
  /**
   * The cookie of this name; fails if the answer sets none.
   * @param {string} name
   */
  setCookie(name) {
    const cookie = this.cookie(name);
    if (cookie === undefined) throw new Error(`no cookie is named ${name}: ${this}`);
    return cookie;
  }
  /** What the origin saw, when the answer is the origin's default one. */
  get seen() {
    const seen = this.json;
    if (seen.origin !== "edgeward-test") throw new Error(`not an answer of the origin: ${this.status} ${this.text.slice(0, 300)}`);
    return new Seen(seen);
  }
  /** For messages of assertions. */
  toString() {
    const text = this.text.replace(/<style[\s\S]*?<\/style>/g, "").replace(/\n\s*/g, "\n");
    return `${this.status} ${JSON.stringify(this.headers.list)}\n${text.slice(0, 1000)}`;
  }
}

/** One request as the origin received it. */
export class Seen {
  /** @param {{ method: string, url: string, headers: string[], body?: SeenBody }} seen */
  constructor({ method, url, headers, body }) {
    this.method = method;
    this.url = url;
    this.headers = new Headers(headers);
    this.body = body;
  }
  get path() {
    return this.url.split("?", 1)[0];
  }
  /** The bytes after the first `?`; `undefined` without one. */
  get query() {
    const at = this.url.indexOf("?");
    return at < 0 ? undefined : this.url.slice(at + 1);
  }
  /** @param {string} name */
  header(name) {
    return this.headers.get(name);
  }
}

/**
 * One `Set-Cookie` taken apart: attribute names in lower case, `true` for those without a value.
 * @param {string} raw
 * @returns {SetCookie}
 */
export function parseSetCookie(raw) {
  const [pair, ...rest] = raw.split(";").map((part) => part.trim());
  const equals = pair.indexOf("=");
  /** @type {Record<string, string | true>} */
  const attributes = {};
  for (const part of rest) {
    const at = part.indexOf("=");
    attributes[(at < 0 ? part : part.slice(0, at)).toLowerCase()] = at < 0 ? true : part.slice(at + 1);
  }
  const [name, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
  const past = typeof attributes.expires === "string" && new Date(attributes.expires) < new Date();
  const cleared = value === "" && (attributes["max-age"] === "0" || past);
  return { raw, name, value, attributes, cleared, pair: `${name}=${value}` };
}

/**
 * The attributes that say which cookie is meant and how it is kept: all but the lifetime.
 * @param {SetCookie} cookie
 */
export function cookieAttributes(cookie) {
  const { "max-age": _maxAge, expires: _expires, ...rest } = cookie.attributes;
  if (typeof rest.samesite === "string") rest.samesite = rest.samesite.toLowerCase();
  return rest;
}

/** A cookie jar for one host: enough for a browser that stays on one site. */
export class Jar {
  /** @type {Map<string, string>} */
  #cookies = new Map();
  /**
   * Takes over what an answer sets and clears.
   * @param {Answer} answer
   */
  take(answer) {
    for (const cookie of answer.cookies) {
      if (cookie.cleared) this.#cookies.delete(cookie.name);
      else this.#cookies.set(cookie.name, cookie.value);
    }
    return answer;
  }
  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    this.#cookies.set(name, value);
  }
  /** @param {string} name */
  get(name) {
    return this.#cookies.get(name);
  }
  /** @param {string} name */
  drop(name) {
    this.#cookies.delete(name);
  }
  get header() {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }
}

/**
 * The one form of a page: `{ method, action, fields }`.
 * @param {Answer} answer
 */
export function formOf(answer) {
  const forms = [...answer.text.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)];
  if (forms.length !== 1) throw new Error(`expected one form, found ${forms.length}: ${answer}`);
  const [, attributes, content] = forms[0];
  /** @type {Record<string, string>} */
  const fields = {};
  for (const [, input] of content.matchAll(/<(?:input|button)\b([^>]*)>/g)) {
    const name = attribute(input, "name");
    if (name !== undefined) fields[name] = attribute(input, "value") ?? "";
  }
  const action = attribute(attributes, "action");
  if (action === undefined) throw new Error(`the form leads nowhere: ${answer}`);
  return { method: (attribute(attributes, "method") ?? "get").toLowerCase(), action, fields };
}

/**
 * The value of a tag's attribute.
 * @param {string} text
 * @param {string} name
 */
export function attribute(text, name) {
  const found = new RegExp(`\\b${name}=(?:"([^"]*)"|([^\\s">]+))`).exec(text);
  const value = found?.[1] ?? found?.[2];
  return value?.replace(/&(#x?[0-9a-f]+|\w+);/gi, (_, entity) => {
    /** @type {Record<string, string>} */
    const named = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
    if (!entity.startsWith("#")) return named[entity];
    return String.fromCodePoint(entity[1].toLowerCase() === "x" ? Number.parseInt(entity.slice(2), 16) : Number(entity.slice(1)));
  });
}
