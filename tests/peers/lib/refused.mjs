// The tokens that every guide's configuration must refuse, each by what is wrong with it.

import { createPublicKey } from "node:crypto";
import { newKey, tokenBySecret, tokenOf } from "../../edge/lib/issuer.mjs";
import { tampered } from "../../edge/lib/tokens.mjs";
import { now } from "../../edge/lib/world.mjs";

/** @import { IssuerKey } from "../../edge/lib/issuer.mjs" */

/** @param {object} part */
const b64 = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");

/**
 * Tokens that differ from a good one in one thing.
 * @param {IssuerKey} key The issuer's.
 * @param {Record<string, unknown>} good Claims of a token that is accepted.
 * @returns {Promise<Record<string, string>>}
 */
export async function refusedTokens(key, good) {
  const other = key.alg === "RS256" ? "PS256" : "RS256";
  /** @type {Record<string, Record<string, unknown>>} */
  const claims = {
    expired: { iat: now() - 900, exp: now() - 60 },
    "not valid yet": { nbf: now() + 600 },
    "from the future": { iat: now() + 600, exp: now() + 900 },
    "for another audience": { aud: "other-app" },
    "without an audience": { aud: undefined },
    "of another issuer": { iss: "https://sso.example.org" },
    "without an issuer": { iss: undefined },
    "without an end": { exp: undefined },
    "without a beginning": { iat: undefined },
    "valid for two days": { exp: now() + 2 * 86_400 },
  };
  const token = await tokenOf(key, good);
  const [, payload, signature] = token.split(".");
  const none = b64({ alg: "none", typ: "JWT" });
  /** @type {Record<string, string>} */
  const tokens = {
    "by another key": await tokenOf({ ...(await newKey(key.alg)), kid: key.kid }, good),
    "by another algorithm": await tokenOf({ ...(await newKey(other)), kid: key.kid }, good),
    "by the public key as a shared secret": tokenBySecret("HS256", key.pem, good, { kid: key.kid }),
    "by the public key's bytes as a shared secret": tokenBySecret("HS256", createPublicKey(key.pem).export({ format: "der", type: "spki" }), good),
    unsigned: `${none}.${payload}.`,
    "unsigned, with a signature": `${none}.${payload}.${signature}`,
    tampered: tampered(token),
  };
  for (const [what, changes] of Object.entries(claims)) tokens[what] = await tokenOf(key, { ...good, ...changes });
  return tokens;
}
