// An issuer other than Edgeward: keys of every algorithm, tokens, and a real HTTP server that publishes what it is told.

import { createHmac, randomBytes } from "node:crypto";
import http from "node:http";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import { now } from "./world.mjs";

export const ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
export const SYMMETRIC = ["HS256", "HS384", "HS512"];

/** A key pair of an issuer. */
export async function newKey(alg, kid = "k1") {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" }, pem: await exportSPKI(publicKey) };
}

/** A shared secret that satisfies the rules for every HMAC algorithm. */
export const newIssuerSecret = () => randomBytes(64).toString("base64url");

/** Claims that are good now; `undefined` leaves one out. */
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

/** A token by a key of an issuer. */
export function tokenOf(key, claims = {}, header = {}) {
  return new SignJWT(claimsOfIssuer(claims)).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
}

/** A token by a shared secret. */
export function tokenBySecret(alg, secret, claims = {}, header = {}) {
  const b64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${b64({ alg, ...header })}.${b64(claimsOfIssuer(claims))}`;
  return `${input}.${createHmac(`sha${alg.slice(2)}`, secret)
    .update(input)
    .digest("base64url")}`;
}

/** The table of an issuer whose server is `server`. */
export const issuerTable = (settings = {}) => ({ issuer: "https://id.example", audience: "app", create_users: true, ...settings });

/** A server that publishes documents: `documents` has path → text, bytes, or a function of request and response. */
export async function startIssuer(port = 0) {
  const documents = new Map();
  const requests = [];
  const server = http.createServer((request, response) => {
    requests.push(request.url);
    const document = documents.get(request.url);
    if (document === undefined) return response.writeHead(404).end();
    if (typeof document === "function") return document(request, response);
    response.writeHead(200, { "content-type": "application/json" }).end(document);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    documents,
    requests,
    publish: (path, ...keys) => documents.set(path, JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })),
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
