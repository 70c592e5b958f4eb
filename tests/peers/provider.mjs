// A real OpenID provider (npm oidc-provider) that issues JWT access tokens to one client, opaque ones for the resource
// `urn:opaque`, and introspects them. `POST /rotate` makes a new
// signing key and goes on publishing the one before. Prints its URL when it is ready.
import http from "node:http";
import { Provider } from "oidc-provider";
import { newKey } from "./lib/signing_key.mjs";

const [, , port, keysOnStdin] = process.argv;
const issuer = `http://127.0.0.1:${port}`;

/** @param {object[]} keys */
const provider = (keys) =>
  new Provider(issuer, {
    clients: [
      { client_id: "app", client_secret: "DEV-ONLY-client-secret-of-the-tests", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    ],
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:app",
        getResourceServerInfo: (/** @type {unknown} */ _, /** @type {string} */ resource) => ({
          scope: "read write",
          audience: "app",
          accessTokenTTL: 300,
          ...(resource === "urn:opaque" ? { accessTokenFormat: "opaque" } : { accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }),
        }),
      },
    },
    extraTokenClaims: () => ({ email: "anna@example.com", email_verified: true, roles: ["editor"] }),
    jwks: { keys },
    ttl: { ClientCredentials: 300 },
  }).callback();

let keys = keysOnStdin ? JSON.parse(keysOnStdin) : [newKey()];
let current = provider(keys);

const server = http.createServer((request, response) => {
  if (request.method === "POST" && request.url === "/rotate") {
    keys = [newKey(), ...keys].slice(0, 2);
    current = provider(keys);
    return response.end(JSON.stringify(keys));
  }
  current(request, response);
});
server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ issuer, keys })));
