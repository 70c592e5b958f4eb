// Makes JWTs as Edgeward would, and as an attacker would.

import { createHmac, randomBytes } from "node:crypto";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { now } from "./world.mjs";

/** @import { Site, User } from "./site.mjs" */
/** @import { World } from "./world.mjs" */

/** @typedef {Record<string, unknown>} Claims */

/** @type {Record<string, string>} */
const HASHES = { HS256: "sha256", HS384: "sha384", HS512: "sha512" };

/**
 * Base64url of text or bytes.
 * @param {string | Uint8Array} data
 */
export const b64 = (data) => Buffer.from(data).toString("base64url");

/**
 * Signs texts as they are, so that a test can sign what is no proper JSON.
 * @param {string | Uint8Array} header
 * @param {string | Uint8Array} claims
 * @param {string | Uint8Array} secret
 */
export function signText(header, claims, secret, alg = "HS256") {
  const input = `${b64(header)}.${b64(claims)}`;
  return `${input}.${createHmac(HASHES[alg], secret).update(input).digest("base64url")}`;
}

/**
 * Signs a header and claims.
 * @param {{ alg?: string } & Record<string, unknown>} header
 * @param {Claims} claims
 * @param {string | Uint8Array} secret
 */
export function sign(header, claims, secret) {
  return signText(JSON.stringify(header), JSON.stringify(claims), secret, header.alg !== undefined && header.alg in HASHES ? header.alg : "HS256");
}

/** The header of an SSO token. */
export const SSO_HEADER = { alg: "HS256", typ: "sso+jwt", kid: "1" };

/**
 * The claims of an SSO token for a user of a site, fresh and valid.
 * @param {Site} site
 * @param {Pick<User, "id" | "email">} user
 * @param {Claims} [overrides]
 * @returns {Claims}
 */
export function ssoClaims(site, user, overrides = {}) {
  const claims = {
    user_id: user.id,
    sub: user.id,
    email: user.email,
    iss: "edgeward",
    aud: site.host,
    iat: now(),
    exp: now() + 600,
    jti: randomBytes(16).toString("base64url"),
    ...overrides,
  };
  return JSON.parse(JSON.stringify(claims));
}

/**
 * An SSO token made with the world's own secret; `undefined` leaves a claim or header member out.
 * @param {Site} site
 * @param {Pick<User, "id" | "email">} user
 * @param {Claims} [claims]
 * @param {Record<string, unknown>} [header]
 */
export function ssoToken(site, user, claims = {}, header = {}) {
  return sign({ ...SSO_HEADER, ...header }, ssoClaims(site, user, claims), site.world.secrets.token[1]);
}

/**
 * An SSO token that ended a minute ago.
 * @param {Site} site
 * @param {Pick<User, "id" | "email">} user
 */
export const expiredSsoToken = (site, user) => ssoToken(site, user, { iat: now() - 660, exp: now() - 60 });

export const claimsOf = decodeJwt;
export const headerOf = decodeProtectedHeader;

/**
 * The value of a cookie given as `name=value`.
 * @param {string} cookie
 */
export const cookieValue = (cookie) => cookie.slice(cookie.indexOf("=") + 1);

/**
 * A JWT whose times all lie `seconds` earlier, signed anew: what the same token would be if it were that much older.
 * @param {string} token
 * @param {number} seconds
 * @param {string} secret
 */
export function aged(token, seconds, secret) {
  const claims = decodeJwt(token);
  for (const [name, value] of Object.entries(claims)) {
    if (typeof value === "number" && value > 1_000_000_000) claims[name] = value - seconds * (value > 100_000_000_000 ? 1000 : 1);
  }
  return sign(decodeProtectedHeader(token), claims, secret);
}

/**
 * The session cookie `name=value`, `seconds` older.
 * @param {World} world
 * @param {string} cookie
 * @param {number} seconds
 */
export const agedSession = (world, cookie, seconds) =>
  `${cookie.slice(0, cookie.indexOf("="))}=${aged(cookieValue(cookie), seconds, world.secrets.session[1])}`;

/**
 * A token with one bit of its signature flipped.
 * @param {string} token
 */
export function tampered(token) {
  const [header, claims, signature] = token.split(".");
  const bytes = Buffer.from(signature, "base64url");
  bytes[0] ^= 1;
  return `${header}.${claims}.${bytes.toString("base64url")}`;
}
