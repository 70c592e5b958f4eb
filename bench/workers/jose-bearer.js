// `jose.js` for bearer tokens of an issuer: one algorithm, one key, which is imported once.

import { importSPKI, jwtVerify } from "jose";
import { headersFor, keepPrivate } from "./shared.js";

/** @import { BearerEnv, Claims } from "./types.js" */

/** @type {CryptoKey | undefined} */
let key;

/** @satisfies {ExportedHandler<BearerEnv>} */
export default {
  async fetch(request, env) {
    const token = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    /** @type {Claims} */
    let claims;
    try {
      key ??= await keyOf(env);
      const verified = await jwtVerify(token, key, {
        algorithms: [env.ALGORITHM],
        issuer: env.TOKEN_ISSUER,
        audience: env.TOKEN_AUDIENCE,
        requiredClaims: ["exp", "iat", "sub"],
      });
      claims = verified.payload;
    } catch {
      return new Response("unauthorized", { status: 401 });
    }

    const headers = headersFor(request, claims, env.COOKIE);
    headers.delete("authorization");
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return keepPrivate(await fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }));
  },
};

/**
 * A public key as PEM, or a shared secret.
 * @param {BearerEnv} env
 */
function keyOf({ ALGORITHM, KEY }) {
  if (!ALGORITHM.startsWith("HS")) return importSPKI(KEY, ALGORITHM);
  return crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(KEY),
    { name: "HMAC", hash: `SHA-${ALGORITHM.slice(2)}` },
    false,
    ["verify"],
  );
}
