// Signed assertions for an origin's own tests: any person, without an Edgeward. The keys are published, so nothing
// that is signed here proves anything.

import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";

/** @import { webcrypto } from "node:crypto" */
/** @import { AddressInfo } from "node:net" */

/** @typedef {"ES256" | "EdDSA" | "RS256"} Algorithm */
/** @typedef {webcrypto.JsonWebKey & { kid: string, alg: Algorithm }} Key */
/**
 * Whom an assertion is about; whatever is left out is made from the address.
 * @typedef {{ email: string, id?: string, username?: string, name?: string, roles?: string[], staff?: boolean, superuser?: boolean }} Person
 */
/**
 * - `claims`: laid over all others; `undefined` leaves one out
 * - `typ`, `kid`: for the tests in which the header is wrong
 * @typedef {{ audience: string, expiresIn?: number, algorithm?: Algorithm, claims?: Record<string, unknown>, typ?: string, kid?: string }} Options
 */

/** Edgeward's own `iss` is `edgeward`, or what `issuer` of the table EDGEWARD says. This is never one of them. */
export const ISSUER = "edgeward-testing-only";
/** The header in which Edgeward sends the assertion, unless the site sets `assertion.header`. */
export const HEADER = "x-edgeward-assertion";

/** @type {Key[]} */
const keys = JSON.parse(readFileSync(new URL("keys.json", import.meta.url), "utf8")).keys;

/** The public keys, as Edgeward publishes its own at /.well-known/jwks.json. */
export const keySet = {
  keys: keys.map((key) => ({
    ...createPublicKey({ key, format: "jwk" }).export({ format: "jwk" }),
    kid: key.kid,
    alg: key.alg,
    use: "sig",
  })),
};

/**
 * A signed assertion with the claims that Edgeward gives one.
 * @param {Person} person
 * @param {Options} options
 */
export function assertion(person, { audience, expiresIn = 300, algorithm = "ES256", claims = {}, typ, kid }) {
  const key = keys.find(({ alg }) => alg === algorithm);
  if (!key) throw new TypeError(`no key for ${algorithm}`);
  const now = Math.floor(Date.now() / 1000);
  const username = person.username ?? person.email.split("@")[0];
  const payload = {
    iss: ISSUER,
    aud: audience,
    sub: person.id ?? `usr_testing_${Buffer.from(person.email).toString("hex")}`,
    email: person.email,
    username,
    name: person.name ?? username,
    roles: person.roles ?? [],
    staff: person.staff ?? false,
    superuser: person.superuser ?? false,
    site: "testing",
    iat: now,
    exp: now + expiresIn,
    sid: randomBytes(16).toString("base64url"),
    ...claims,
  };
  const input = [{ alg: algorithm, typ: typ ?? "assertion+jwt", kid: kid ?? key.kid }, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const privateKey = createPrivateKey({ key, format: "jwk" });
  // JWS has the two numbers of an ECDSA signature side by side (RFC 7518 §3.4).
  const signature = sign(algorithm === "EdDSA" ? null : "sha256", Buffer.from(input), {
    key: privateKey,
    dsaEncoding: "ieee-p1363",
  });
  return `${input}.${signature.toString("base64url")}`;
}

/**
 * The header for a request of a test: `fetch(url, { headers: headersOf({ email }, { audience }) })`.
 * @param {Person} person
 * @param {Options} options
 */
export const headersOf = (person, options) => ({ [HEADER]: assertion(person, options) });

/** Serves the key set at /.well-known/jwks.json on this machine, for an origin that fetches it from `EDGEWARD_URL`. */
export async function startKeyServer({ port = 0 } = {}) {
  const server = http.createServer((request, response) => {
    if (request.url !== "/.well-known/jwks.json") return response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(keySet));
  });
  await once(server.listen(port, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
