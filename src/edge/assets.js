// Files that are the same for everybody: kept at the edge, compressed, and sent without what would keep a browser from
// keeping them. The core says which they are and for how long; here is only how.
import { forward } from "./glue.js";

/** What shrinks. Images and fonts are compressed by themselves. */
const SHRINKS = /^(?:text\/|application\/(?:javascript|json|manifest\+json|wasm|xml)|image\/svg\+xml|font\/(?:ttf|otf))/i;
/** Smaller ones are not worth it. */
const WORTH = 1024;
/** Longer ones go through as they are. */
const LONGEST = 16 * 1024 * 1024;
const KEPT_HEADERS = "edgeward-headers";
/** What belongs to the one transfer that filled the cache, or is said anew. */
const NOT_KEPT = ["set-cookie", "vary", "cache-control", "expires", "pragma", "age", "date", "etag", "content-length", "content-encoding", "connection", "transfer-encoding", "access-control-allow-origin", "x-request-id"];

/** As `forward`, for such a file, which is kept for so many `seconds`. */
export function forwardFile(request, plan, standing, seconds) {
  return forward(request, plan, standing, (url, ask, way) => fromCache(request, url, seconds, ask, way));
}

/**
 * The answer to a GET or HEAD for such a file: from the cache, or by `ask` from the origin. A part of a file, or an
 * answer that is not the file, goes through without being kept.
 */
async function fromCache(request, url, seconds, ask, way) {
  if (request.headers.has("range")) return ask();
  const gzip = acceptsGzip(request.headers.get("accept-encoding"));
  const key = keyOf(request, url, gzip);
  const file = (await kept(key)) ?? (await filled(url, key, seconds, gzip, way));
  if (file === undefined) return ask();
  if (isCurrent(request.headers, file.headers)) return unchanged(file);
  // The body is encoded already, if at all.
  return new Response(request.method === "HEAD" ? null : file.body, { headers: file.headers, encodeBody: "manual" });
}

/**
 * What the cache has. It keeps the encoded bytes as bytes, with the file's headers in one of their own: neither the
 * cache nor the runtime then has an encoding to undo or to do once more.
 */
async function kept(key) {
  const found = await caches.default.match(key).catch(() => undefined);
  const headers = found?.headers.get(KEPT_HEADERS);
  return headers ? { headers: new Headers(JSON.parse(headers)), body: found.body } : undefined;
}

function keep(key, seconds, headers, body) {
  const kept = { "content-type": "application/octet-stream", "cache-control": `public, max-age=${seconds}`, [KEPT_HEADERS]: JSON.stringify([...headers]) };
  return caches.default.put(key, new Response(body, { headers: kept })).catch(() => {});
}

/**
 * Where it is kept: below our own prefix, which no request for the origin has, so that no address of the origin's can
 * name it; one entry for each encoding.
 */
function keyOf(request, url, gzip) {
  const { origin } = new URL(request.url);
  const { pathname, search } = new URL(url);
  return `${origin}/api/sso/assets/${gzip ? "gzip" : "identity"}${pathname}${search}`;
}

/**
 * The file from the origin, put into the cache; undefined when it is not to be kept. `way`: the headers that the origin
 * always gets, which for a file are nobody's, and where to connect.
 */
async function filled(url, key, seconds, gzip, { standing, cf }) {
  const asked = new Headers({ accept: "*/*", "accept-encoding": "identity", "user-agent": "edgeward" });
  for (let at = 0; at < standing.length; at += 2) asked.set(standing[at], standing[at + 1]);
  const answer = await fetch(url, { headers: asked, redirect: "manual", cf });
  if (answer.status !== 200 || Number(answer.headers.get("content-length")) > LONGEST) {
    await answer.body?.cancel();
    return undefined;
  }
  const plain = await answer.arrayBuffer();
  if (plain.byteLength > LONGEST) return undefined;
  const headers = new Headers(answer.headers);
  for (const name of NOT_KEPT) headers.delete(name);
  const shrinks = gzip && plain.byteLength >= WORTH && SHRINKS.test(headers.get("content-type") ?? "");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", plain)).slice(0, 12);
  // A strong tag is of one encoding alone (RFC 9110 §8.8.3.3).
  headers.set("etag", `"${digest.toHex()}${shrinks ? "-gzip" : ""}"`);
  headers.set("cache-control", `public, max-age=${seconds}`);
  headers.set("vary", "Accept-Encoding");
  let body = plain;
  if (shrinks) {
    body = await new Response(new Blob([plain]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    headers.set("content-encoding", "gzip");
  }
  await keep(key, seconds, headers, body);
  return { headers, body };
}

function acceptsGzip(header) {
  for (const item of (header ?? "").split(",")) {
    const [name, ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    if (name === "gzip" || name === "*") return weight === undefined || Number(weight.slice(2)) > 0;
  }
  return false;
}

/** Whether the client has this very file (RFC 9110 §13.1.2, §13.1.3). */
function isCurrent(asked, file) {
  const tags = asked.get("if-none-match");
  if (tags !== null) {
    const strong = (tag) => tag.trim().replace(/^W\//, "");
    return tags.trim() === "*" || tags.split(",").some((tag) => strong(tag) === file.get("etag"));
  }
  const since = Date.parse(asked.get("if-modified-since") ?? "");
  const modified = Date.parse(file.get("last-modified") ?? "");
  return since >= modified;
}

function unchanged(file) {
  const headers = new Headers();
  for (const name of ["etag", "cache-control", "vary", "last-modified"]) {
    const value = file.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(null, { status: 304, headers });
}
