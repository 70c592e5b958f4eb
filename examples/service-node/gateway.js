// All that a service needs to know about the gateway: its four calls, and which addresses a browser may be sent to.

/** @typedef {{ url: URL, token: string, timeout: number }} Gateway */

/** Why a call of the gateway failed; the message holds no secret. */
export class GatewayError extends Error {}

/**
 * Announces a sign-in. Answers its token, which belongs to this browser only: keep it in the browser's session. The browser
 * brings a code back, because of `bind`: otherwise whoever begins a sign-in, and makes somebody else finish it, could take
 * it over.
 * @param {Gateway} gateway
 * @param {string} nextUrl
 */
export async function obtain(gateway, nextUrl) {
  const { token } = await call(gateway, "obtain", { next_url: nextUrl, bind: "code" });
  if (typeof token !== "string" || token === "") throw new GatewayError("obtain: the answer has no token");
  return token;
}

/**
 * Where a browser signs in.
 * @param {Gateway} gateway
 * @param {string} signInToken
 */
export function loginUrl({ url }, signInToken) {
  const login = new URL("/login/", url);
  login.searchParams.set("sso", signInToken);
  return login.href;
}

/**
 * Who has signed in. Fails until the gateway has authenticated somebody, and after `makeUsed`.
 * @param {Gateway} gateway
 * @param {{ token: string, code: string }} signIn
 */
export async function getSignIn(gateway, { token, code }) {
  const answer = await call(gateway, "get", { authentication_token: token, code });
  const { authenticated, user_identy, next_url } = answer;
  if (authenticated !== true || typeof user_identy !== "string") throw new GatewayError("get: nobody has signed in");
  return { identity: user_identy, nextUrl: next_url };
}

/**
 * Uses the sign-in up. It succeeds once; who is second must not be signed in.
 * @param {Gateway} gateway
 * @param {{ token: string, code: string }} signIn
 */
export async function makeUsed(gateway, { token, code }) {
  const { ok } = await call(gateway, "make_used", { authentication_token: token, code });
  if (ok !== true) throw new GatewayError("make_used: not confirmed");
}

/**
 * Signs a user out at the gateway and at all other services.
 * @param {Gateway} gateway
 * @param {string} identity
 */
export async function deauthenticate(gateway, identity) {
  const { ok } = await call(gateway, "deauthenticate", { user_identy: identity });
  if (ok !== true) throw new GatewayError("deauthenticate: not confirmed");
}

/**
 * @param {Gateway} gateway
 * @param {string} name
 * @param {Record<string, string>} fields
 * @returns {Promise<Record<string, unknown>>}
 */
async function call({ url, token, timeout }, name, fields) {
  let status;
  /** @type {unknown} */
  let answer;
  try {
    const response = await fetch(new URL(`/sso/${name}/`, url), {
      method: "POST",
      body: new URLSearchParams({ token, ...fields }),
      redirect: "error", // the token goes to this address and to no other
      signal: AbortSignal.timeout(timeout),
    });
    status = response.status;
    answer = await response.json();
  } catch (cause) {
    throw new GatewayError(`${name}: no answer that can be read`, { cause });
  }
  if (typeof answer !== "object" || answer === null) throw new GatewayError(`${name}: not a JSON object`);
  // Errors are told with status 200 too.
  if (status !== 200 || "error" in answer) {
    throw new GatewayError(`${name}: ${status} ${"error" in answer ? answer.error : ""}`);
  }
  return /** @type {Record<string, unknown>} */ (answer);
}

/**
 * The path and query that `value` names on this service; "/" for anything that would lead a browser elsewhere.
 * @param {URL} baseUrl
 * @param {unknown} value
 */
export function localPath(baseUrl, value) {
  if (typeof value !== "string" || !value.startsWith("/") || !URL.canParse(value, baseUrl)) return "/";
  const url = new URL(value, baseUrl);
  const path = url.pathname + url.search + url.hash;
  // Parsed as a browser does: "/\evil.example" is another host, and "/.//evil.example" becomes "//evil.example".
  return url.origin === baseUrl.origin && !path.startsWith("//") ? path : "/";
}
