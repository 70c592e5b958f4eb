// All that an application needs to know about Edgeward: ask for an SSO token, and tell
// whether an address belongs to the site.

/** @typedef {{ token?: string, expires_in?: number, error?: string, error_code?: string } | null} Answer */

/** Why no SSO token came. `reason` is for the program, `message` for the log; neither holds a secret. */
export class EdgewardError extends Error {
  /**
   * @param {string} reason
   * @param {string} message
   * @param {{ retryAfter?: string, cause?: unknown }} [more]
   */
  constructor(reason, message, { retryAfter, cause } = {}) {
    super(message, { cause });
    this.name = "EdgewardError";
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/** @type {Record<number, string>} */
const REASON_BY_STATUS = {
  401: "api_token_refused", // missing, unknown, revoked or expired API token
  403: "not_allowed", //       the API token may not issue for this user, or the user is disabled
  422: "user_unknown", //      the site does not create users by itself
  429: "rate_limited",
};

/**
 * Asks for an SSO token for `user`; answers `{ token, expiresIn }` with the lifetime in seconds.
 * @param {{ url: URL, apiToken: string, timeout: number }} edgeward
 * @param {{ email: string, username: string, firstName: string, lastName: string }} user
 */
export async function issueSsoToken({ url, apiToken, timeout }, user) {
  let status, headers;
  /** @type {Answer} */
  let answer;
  try {
    const response = await fetch(new URL("/api/sso/token", url), {
      method: "POST",
      headers: { authorization: `Token ${apiToken}`, "content-type": "application/json" },
      body: JSON.stringify({
        email: user.email,
        username: user.username,
        first_name: user.firstName,
        last_name: user.lastName,
      }),
      redirect: "error", // the API token goes to this address and to no other
      signal: AbortSignal.timeout(timeout),
    });
    ({ status, headers } = response);
    answer = /** @type {Answer} */ (await response.json());
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw new EdgewardError("unexpected_answer", `Edgeward answered ${status} without JSON`);
    }
    const error = /** @type {Error & { cause?: Error }} */ (cause);
    const why = error.name === "TimeoutError" ? `no answer in ${timeout} ms` : (error.cause?.message ?? error.message);
    throw new EdgewardError("unreachable", `Edgeward is not reachable: ${why}`, { cause });
  }

  if (status !== 200) {
    throw new EdgewardError(
      REASON_BY_STATUS[status] ?? "unexpected_answer",
      `Edgeward answered ${status}: ${answer?.error_code ?? answer?.error}`,
      { retryAfter: headers.get("retry-after") ?? undefined },
    );
  }
  if (typeof answer?.token !== "string" || !((answer.expires_in ?? 0) > 0)) {
    throw new EdgewardError("unexpected_answer", "Edgeward answered 200 without a token");
  }
  return { token: answer.token, expiresIn: answer.expires_in };
}

/**
 * The address on the site that `value` (absolute, or a path) names, or null if it leads anywhere else.
 * Compare parsed origins, never the beginning of the text: `https://app.example.com.evil.test/`
 * begins with `https://app.example.com`.
 * @param {URL} siteBase
 * @param {unknown} value
 */
export function siteUrl(siteBase, value) {
  if (typeof value !== "string" || !URL.canParse(value, siteBase)) return null;
  const url = new URL(value, siteBase);
  // The protocol as well: `blob:https://app.example.com/…` has the origin of what it wraps.
  const same = url.origin === siteBase.origin && url.protocol === siteBase.protocol;
  return same && !url.username && !url.password ? url : null;
}

/**
 * `url` with the token added to its query. The rest of the query keeps every byte, which
 * `url.searchParams.set` would not: it writes the whole query anew.
 * @param {URL} url
 * @param {string} parameter
 * @param {string} token
 */
export function withToken(url, parameter, token) {
  const result = new URL(url);
  result.search += `${result.search ? "&" : "?"}${encodeURIComponent(parameter)}=${token}`;
  return result;
}
