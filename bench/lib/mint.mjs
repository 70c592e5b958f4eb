// Tokens of an issuer with a shared secret, made while the load runs: as many as are wanted, none twice.

import { createHmac } from "node:crypto";

/** @import { Mint } from "./types.js" */

/**
 * The token with the number `n`: `claims` and a `jti`, signed with `secret`.
 * @param {Mint} mint
 * @param {number} n
 */
export function mintedToken({ secret, claims }, n) {
  /** @param {object} value */
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${part({ alg: "HS256", typ: "JWT" })}.${part({ ...claims, jti: String(n) })}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}
