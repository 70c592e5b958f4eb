// An issuer other than Edgeward: keys of every algorithm, tokens, and a real HTTP server that publishes what it is told.

import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import { now } from "./world.mjs";

/** @import { JWTHeaderParameters } from "jose" */
/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */

/** @typedef {Awaited<ReturnType<typeof newKey>>} IssuerKey */
/** @typedef {{ alg: string, kid: string, privateKey: CryptoKey | Uint8Array }} SigningKey */
/** @typedef {Awaited<ReturnType<typeof startIssuer>>} Issuer */
/** @typedef {string | Uint8Array | ((request: IncomingMessage, response: ServerResponse) => unknown)} Document */

export const ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
export const SYMMETRIC = ["HS256", "HS384", "HS512"];

/**
 * A key pair of an issuer.
 * @param {string} alg
 */
export async function newKey(alg, kid = "k1") {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" }, pem: await exportSPKI(publicKey) };
}

/** A shared secret that satisfies the rules for every HMAC algorithm. */
export const newIssuerSecret = () => randomBytes(64).toString("base64url");

/**
 * Claims that are good now; `undefined` leaves one out.
 * @param {Record<string, unknown>} [overrides]
 * @returns {Record<string, unknown>}
 */
export function claimsOfIssuer(overrides = {}) {
  const claims = {
    iss: "https://id.example",
    aud: "app",
    sub: "u1",
    email: "anna@example.com",
    email_verified: true,
    iat: now(),
    exp: now() + 300,
    jti: randomBytes(8).toString("hex"),
    ...overrides,
  };
  return JSON.parse(JSON.stringify(claims));
}

/**
 * A token by a key of an issuer.
 * @param {SigningKey} key
 * @param {Record<string, unknown>} [claims]
 * @param {Partial<JWTHeaderParameters>} [header]
 */
export function tokenOf(key, claims = {}, header = {}) {
  return new SignJWT(claimsOfIssuer(claims)).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
}

/**
 * A token by a shared secret.
 * @param {string} alg
 * @param {string | Uint8Array} secret
 * @param {Record<string, unknown>} [claims]
 * @param {Record<string, unknown>} [header]
 */
export function tokenBySecret(alg, secret, claims = {}, header = {}) {
  /** @param {object} value */
  const b64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${b64({ alg, ...header })}.${b64(claimsOfIssuer(claims))}`;
  return `${input}.${createHmac(`sha${alg.slice(2)}`, secret)
    .update(input)
    .digest("base64url")}`;
}

/**
 * The table of an issuer whose server is `server`.
 * @param {Record<string, unknown>} [settings]
 */
export const issuerTable = (settings = {}) => ({ issuer: "https://id.example", audience: "app", create_users: true, ...settings });

/** A server that publishes documents: `documents` has path → text, bytes, or a function of request and response. */
export async function startIssuer(port = 0) {
  /** @type {Map<string, Document>} */
  const documents = new Map();
  /** @type {string[]} */
  const requests = [];
  const server = http.createServer((request, response) => {
    const target = request.url ?? "";
    requests.push(target);
    const document = documents.get(target);
    if (document === undefined) return response.writeHead(404).end();
    if (typeof document === "function") return document(request, response);
    response.writeHead(200, { "content-type": "application/json" }).end(document);
  });
  await once(server.listen(port, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`;
  return {
    url,
    documents,
    requests,
    /**
     * @param {string} path
     * @param {...{ jwk: object }} keys
     */
    publish: (path, ...keys) => documents.set(path, JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })),
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
