// A real OpenID provider (npm oidc-provider) with pages on which people sign in and agree. `POST /rotate` makes a new signing key
// and publishes that one alone; `POST /disable/<name>` takes that person's account away. `GET /refreshed` tells how often a refresh
// token was taken, and how often one was refused. Arguments: the port, the redirect URI of its client, and as JSON the other
// clients: `keyed` with a redirect URI and a public key, `offline` with a redirect URI. Prints its URL when it is ready.
import http from "node:http";
import https from "node:https";
import { Provider } from "oidc-provider";
import { newKey } from "./lib/signing_key.mjs";

const [, , port, redirectUri, others] = process.argv;
const loggedOut = redirectUri.replace("/callback/", "/logged-out/");
const backChannel = redirectUri.replace("/callback/", "/backchannel/");
const issuer = `http://127.0.0.1:${port}`;

/** @type {{ keyed?: { redirectUri: string, jwk: object }, offline?: { redirectUri: string } }} */
const { keyed, offline } = JSON.parse(others ?? "{}");
const refreshed = { taken: 0, refused: 0 };
/** @type {Set<string>} */
const disabled = new Set();

const clients = [
  {
    client_id: "web",
    client_secret: "DEV-ONLY:client/secret of the tests",
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [loggedOut],
    backchannel_logout_uri: backChannel,
    backchannel_logout_session_required: true,
  },
  keyed && {
    client_id: "keyed",
    redirect_uris: [keyed.redirectUri],
    token_endpoint_auth_method: /** @type {const} */ ("private_key_jwt"),
    token_endpoint_auth_signing_alg: /** @type {const} */ ("ES256"),
    jwks: { keys: [keyed.jwk] },
  },
  offline && {
    client_id: "offline",
    client_secret: "DEV-ONLY:client/secret of the tests",
    redirect_uris: [offline.redirectUri],
    grant_types: ["authorization_code", "refresh_token"],
  },
].filter((client) => client !== undefined);

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

function start() {
  const provider = new Provider(issuer, {
    features: { backchannelLogout: { enabled: true } },
    fetch: reach,
    clients,
    rotateRefreshToken: true,
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    findAccount: (/** @type {unknown} */ _, /** @type {string} */ id) =>
      disabled.has(id) ? undefined : { accountId: id, claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id }) },
    cookies: { keys: ["DEV-ONLY"] },
    jwks: { keys: [newKey()] },
  });
  const isRefresh = (/** @type {import("oidc-provider").Context} */ { oidc }) => oidc.params.grant_type === "refresh_token";
  provider.on("grant.success", (context) => {
    if (isRefresh(context)) refreshed.taken++;
  });
  provider.on("grant.error", (context) => {
    if (isRefresh(context)) refreshed.refused++;
  });
  return provider.callback();
}

let current = start();
const server = http.createServer((request, response) => {
  const [, disable] = /^\/disable\/(\w+)$/.exec(request.url ?? "") ?? [];
  if (request.method === "POST" && disable !== undefined) {
    disabled.add(disable);
    return response.end("{}");
  }
  if (request.method === "POST" && request.url === "/rotate") {
    current = start();
    return response.end("{}");
  }
  if (request.url === "/refreshed") return response.end(JSON.stringify(refreshed));
  current(request, response);
});
server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ issuer })));
