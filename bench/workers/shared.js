// What both peers do once the session is verified, and how an answer is marked as private.

/** @import { Claims } from "./types.js" */
/** @typedef {string | null | undefined} Text Of a header or a cookie, which a request may lack. */

/**
 * The request's headers for the origin: without the session cookie, with who is calling and how the request came.
 * @param {Request} request
 * @param {Claims} claims
 * @param {string} cookieName
 */
export function headersFor(request, claims, cookieName) {
  const headers = new Headers(request.headers);
  const cookie = headers.get("cookie");
  if (cookie !== null) {
    const others = cookie
      .split(";")
      .map((pair) => pair.trim())
      .filter((pair) => !pair.startsWith(`${cookieName}=`));
    if (others.length > 0) headers.set("cookie", others.join("; "));
    else headers.delete("cookie");
  }
  headers.set("x-forwarded-user", claims.sub);
  headers.set("x-forwarded-email", claims.email);
  headers.set("x-forwarded-groups", claims.roles.join(","));
  headers.set("x-forwarded-preferred-username", claims.username);
  const address = headers.get("cf-connecting-ip");
  if (address === null) headers.delete("x-forwarded-for");
  else headers.set("x-forwarded-for", address);
  headers.set("x-forwarded-host", headers.get("host") ?? "");
  headers.set("x-forwarded-proto", request.url.slice(0, request.url.indexOf(":")));
  headers.delete("x-real-ip");
  return headers;
}

/**
 * Whether the origin says who may cache its answer. `no-cache` alone does not.
 * @param {Headers} headers
 */
export function saysWhoMayCache(headers) {
  const said = headers.get("cache-control");
  return said !== null && /\b(public|private|no-store|s-maxage)\b/i.test(said);
}

/**
 * One person's answer, unless the origin says otherwise. The headers of a fetched response cannot be changed.
 * @param {Response} response
 */
export function keepPrivate(response) {
  if (saysWhoMayCache(response.headers)) return response;
  const answer = new Response(response.body, response);
  forOnePerson(answer.headers);
  return answer;
}

/** @param {Headers} headers */
export function forOnePerson(headers) {
  const said = headers.get("cache-control");
  headers.set("cache-control", said === null ? "private" : `private, ${said}`);
  headers.append("vary", "Cookie, Authorization");
}

/**
 * Verified claims by the text that they were verified from: as many as a cautious author lets it grow to, the oldest goes first.
 * @template {{ exp: number }} Kept
 */
export class Memo {
  /** @type {Map<Text, Kept>} */
  #known = new Map();

  /** @param {Text} text */
  get(text) {
    const known = this.#known.get(text);
    return known !== undefined && known.exp > Date.now() / 1000 ? known : undefined;
  }

  /**
   * @param {Text} text
   * @param {Kept} claims
   */
  set(text, claims) {
    this.#known.delete(text);
    if (this.#known.size >= 4096) this.#known.delete(this.#known.keys().next().value);
    this.#known.set(text, claims);
  }
}

// What Edgeward lets no client send (SECURITY.md, "Headers that no client may send").
const FAMILIES =
  /^(x-(forwarded|remote|auth-request|edgeward|authentik|pomerium|webauth|original|authenticated|ssl|goog-authenticated|goog-iap)-|x-ms-client-principal|remote-|cf-access-|oidc-claim-|ssl-client-)/;
const SINGLE =
  /^(x-(forwarded|real-ip|auth-user|auth-username|auth-email|auth-groups|user-name|proxyuser-ip|scheme|url-scheme|authenticated|client-ip|cluster-client-ip|host|rewrite-url|request-id|user|user-id|user-email|email|username|groups|http-method-override|http-method|method-override)|forwarded|auth-user|true-client-ip|client-ip|keep-alive|proxy-connection|proxy-authorization|te|trailer)$/;
/** @type {Map<string, boolean>} */
const names = new Map();

/**
 * Whether a header has one of these names, in any spelling that a server may take for it. What a name is, is found out once.
 * @param {string} name
 */
export function isReserved(name) {
  let reserved = names.get(name);
  if (reserved === undefined) {
    const spelling = name.replace(/[^a-z0-9]/g, "-");
    reserved = FAMILIES.test(spelling) || SINGLE.test(spelling);
    if (names.size < 1000) names.set(name, reserved);
  }
  return reserved;
}
