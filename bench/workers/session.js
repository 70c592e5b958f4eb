// How the Workers that use `jose` come by the session in a Cookie header, and verify it.

import { jwtVerify } from "jose";

/** @import { Claims, Env } from "./types.js" */

/** @type {CryptoKey | undefined} */
let key;

/**
 * The value of the session cookie in the pairs of a Cookie header; undefined without one.
 * @param {string[]} pairs
 * @param {Env} env
 */
export function sessionIn(pairs, env) {
  const prefix = `${env.COOKIE}=`;
  return pairs.find((pair) => pair.startsWith(prefix))?.slice(prefix.length);
}

/**
 * The pairs of a Cookie header.
 * @param {string} cookie
 */
export function pairsOf(cookie) {
  return cookie.split(";").map((pair) => pair.trim());
}

/**
 * The claims of `session`; throws when there is none, or a bad one. The key is imported once.
 * @param {string | undefined} session
 * @param {Env} env
 * @returns {Promise<Claims>}
 */
export async function verify(session, env) {
  if (session === undefined) throw new Error("no session");
  key ??= await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(env.SECRET),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  const { payload } = await jwtVerify(session, key, {
    algorithms: ["HS256"],
    issuer: env.ISSUER,
    audience: env.AUDIENCE,
    typ: env.TYP,
    requiredClaims: ["exp", "sub"],
  });
  return payload;
}
