// An issuer besides Edgeward, with a key of one algorithm, and tokens of the people at Edgeward.

import { randomBytes } from "node:crypto";
import { exportSPKI, generateKeyPair, SignJWT } from "jose";
import { CREDENTIAL } from "./plan.mjs";
import { browserRequest } from "./request.mjs";

/** @import { JWTPayload } from "jose" */
/** @import { Binding, SiteSettings, User } from "./types.js" */
/**
 * An issuer: its settings in Edgeward, its bindings in `jose-bearer`, what makes a token of claims, and its secret if it has one.
 * @typedef {{ site: SiteSettings, vars: Record<string, Binding>, peer: Record<string, string>, sign: (claims: JWTPayload) => Promise<string>, secret?: string }} Issuer
 */

const ISSUER = "https://id.example";
const AUDIENCE = "app";

/**
 * A new issuer, whose tokens have this algorithm.
 * @param {string} algorithm
 * @returns {Promise<Issuer>}
 */
export async function newIssuer(algorithm) {
  const site = { issuers: ["bench"], sources: ["bearer"], sso_cookie: undefined, assertion: undefined };
  const table = { issuer: ISSUER, audience: AUDIENCE, algorithms: [algorithm] };
  const peer = { ALGORITHM: algorithm, TOKEN_ISSUER: ISSUER, TOKEN_AUDIENCE: AUDIENCE };
  if (algorithm.startsWith("HS")) {
    const secret = randomBytes(64).toString("base64url");
    const key = new TextEncoder().encode(secret);
    return {
      secret,
      site,
      vars: { EDGEWARD_ISSUER_BENCH: { json: { ...table, secret: "BENCH_SECRET" } }, BENCH_SECRET: { text: secret } },
      peer: { ...peer, KEY: secret },
      sign: (claims) => new SignJWT(claims).setProtectedHeader({ alg: algorithm }).sign(key),
    };
  }
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const pem = await exportSPKI(publicKey);
  return {
    site,
    vars: { EDGEWARD_ISSUER_BENCH: { json: { ...table, public_key: pem } } },
    peer: { ...peer, KEY: pem },
    sign: (claims) => new SignJWT(claims).setProtectedHeader({ alg: algorithm }).sign(privateKey),
  };
}

/**
 * What such a token says of a person; good for six hours.
 * @param {User} user
 */
export function claimsOf({ id, email, username, roles }) {
  const now = Math.floor(Date.now() / 1000);
  return { iss: ISSUER, aud: AUDIENCE, sub: id, email, email_verified: true, username, roles, iat: now, exp: now + 6 * 3600 };
}

/** A browser's request with such a token. */
export function bearerRequest() {
  return browserRequest({ credential: null, more: [["Authorization", `Bearer ${CREDENTIAL}`]] });
}
