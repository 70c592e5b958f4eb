// A real OpenID provider (npm oidc-provider) with pages on which people sign in and agree. `POST /rotate` makes a new signing key
// and publishes that one alone. Arguments: the port, the redirect URI of its client, and as JSON the redirect URI and the public key
// of a second one. Prints its URL when it is ready.
import http from "node:http";
import https from "node:https";
import { Provider } from "oidc-provider";
import { newKey } from "./lib/signing_key.mjs";

const [, , port, redirectUri, second] = process.argv;
const loggedOut = redirectUri.replace("/callback/", "/logged-out/");
const backChannel = redirectUri.replace("/callback/", "/backchannel/");
const issuer = `http://127.0.0.1:${port}`;

/** The client that authenticates with a key. */
function keyed() {
  if (!second) return [];
  const { redirectUri, jwk } = JSON.parse(second);
  return [
    {
      client_id: "keyed",
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: /** @type {const} */ ("private_key_jwt"),
      token_endpoint_auth_signing_alg: /** @type {const} */ ("ES256"),
      jwks: { keys: [jwk] },
    },
  ];
}

/**
 * Reaches the names of the tests, which only the browser resolves, and takes their certificates.
 * @param {string} address
 * @param {RequestInit} options
 * @returns {Promise<Response>}
 */
function reach(address, { method, headers, body }) {
  const { protocol, host, hostname, port, pathname, search } = new URL(address);
  const where = { host: "127.0.0.1", port, path: pathname + search, servername: hostname, rejectUnauthorized: false };
  const all = { ...Object.fromEntries(new Headers(headers)), host };
  return new Promise((resolve, reject) => {
    const request = (protocol === "https:" ? https : http).request({ ...where, method, headers: all }, (response) => {
      response.resume().once("end", () => resolve(new Response(null, { status: response.statusCode })));
    });
    request.once("error", reject).end(String(body));
  });
}

const start = () =>
  new Provider(issuer, {
    features: { backchannelLogout: { enabled: true } },
    fetch: reach,
    clients: [
      {
        client_id: "web",
        client_secret: "DEV-ONLY:client/secret of the tests",
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: [loggedOut],
        backchannel_logout_uri: backChannel,
        backchannel_logout_session_required: true,
      },
      ...keyed(),
    ],
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    findAccount: (/** @type {unknown} */ _, /** @type {string} */ id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id }),
    }),
    cookies: { keys: ["DEV-ONLY"] },
    jwks: { keys: [newKey()] },
  }).callback();

let current = start();
const server = http.createServer((request, response) => {
  if (request.method === "POST" && request.url === "/rotate") {
    current = start();
    return response.end("{}");
  }
  current(request, response);
});
server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ issuer })));
