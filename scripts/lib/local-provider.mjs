// An OpenID provider for this machine (npm oidc-provider): its sign-in page asks who of two people one is, and nothing else.
//   LOCAL_CLIENT_SECRET=… node local-provider.mjs <port> <redirect URI of its one client>
// It keeps nothing: keys and codes are new with each start.
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import http from "node:http";
import { interactionPolicy, Provider } from "oidc-provider";
import { CLIENT, issuerAt, PEOPLE } from "./with-provider.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { Context } from "oidc-provider" */

const FORM_LIMIT = 1_000;
const [, , port, redirectUri] = process.argv;
const people = new Map(Object.entries(PEOPLE));
const secret = process.env.LOCAL_CLIENT_SECRET;
if (!secret) throw new Error("LOCAL_CLIENT_SECRET is not set");

/** Asks at each sign-in, even if the browser is known: so one can sign out and come back as the other person. */
function alwaysAsk() {
  const policy = interactionPolicy.base();
  const { Check } = interactionPolicy;
  const check = new Check("each_time", "every sign-in asks", (context) => (context.oidc.result?.login ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT));
  policy.get("login")?.checks.add(check);
  return policy;
}

const signingKey = {
  ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
  kid: randomUUID(),
  alg: "RS256",
  use: "sig",
};

const provider = new Provider(issuerAt(Number(port)), {
  clients: [{ client_id: CLIENT, client_secret: secret, redirect_uris: [redirectUri] }],
  claims: { openid: ["sub", "roles"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: [randomBytes(32).toString("base64url")] },
  jwks: { keys: [signingKey] },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false } },
  interactions: { policy: alwaysAsk(), url: (/** @type {unknown} */ _, /** @type {{ uid: string }} */ { uid }) => `/interaction/${uid}` },
  findAccount: (/** @type {unknown} */ _, /** @type {string} */ id) => {
    const person = people.get(id);
    if (person === undefined) return undefined;
    const { name, email, roles } = person;
    return { accountId: id, claims: () => ({ sub: id, name, email, email_verified: true, roles }) };
  },
  // Nobody is asked to agree: the client is one's own.
  async loadExistingGrant(/** @type {Context} */ { oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope(oidc.params.scope);
    await grant.save();
    return grant;
  },
});
const answer = provider.callback();

const server = http.createServer((request, response) => {
  if (!request.url?.startsWith("/interaction/")) return answer(request, response);
  interact(request, response).catch(() => send(response, 400, "<p>This sign-in is over. Open the site again.</p>"));
  return undefined;
});
server.listen(Number(port), new URL(issuerAt(Number(port))).hostname);

/**
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function interact(request, response) {
  await provider.interactionDetails(request, response);
  if (request.method !== "POST") return send(response, 200, form());
  const accountId = new URLSearchParams(await bodyOf(request)).get("person") ?? "";
  const result = people.has(accountId) ? { login: { accountId } } : { error: "access_denied", error_description: "the person has said no" };
  return provider.interactionFinished(request, response, result);
}

/** @param {IncomingMessage} request */
async function bodyOf(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
    if (body.length > FORM_LIMIT) throw new Error("the form is too long");
  }
  return body;
}

function form() {
  const buttons = [...people].map(([id, { name, about }]) => `<button name="person" value="${id}"><b>${name}</b> ${about}</button>`);
  return `<form method="post">${buttons.join("")}<button name="person" value="">Cancel</button></form>`;
}

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {string} content
 */
function send(response, status, content) {
  response.writeHead(status, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
  });
  response.end(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Local provider</title>
<style>
:root { color-scheme: light dark; }
html { background: Canvas; color: CanvasText; }
body { max-width: 24rem; margin: 3rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
button { display: block; width: 100%; margin: .75rem 0; padding: .75rem 1rem; font: inherit; text-align: left; cursor: pointer; }
</style>
</head>
<body>
<main>
<h1>Who are you?</h1>
<p>This OpenID provider runs on your machine only, for trying Edgeward out. It asks for no password.</p>
${content}
</main>
</body>
</html>
`);
}
