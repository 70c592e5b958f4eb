// What the OpenID providers of the tests sign with.
import { generateKeyPairSync, randomUUID } from "node:crypto";

/** A new private key, as a JWK. */
export const newKey = () => ({
  ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
  kid: randomUUID(),
  alg: "RS256",
  use: "sig",
});
