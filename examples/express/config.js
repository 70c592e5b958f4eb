// The settings of this example, all from the environment. A wrong setting stops the start.

/** @type {string[]} */
const errors = [];

const edgewardUrl = httpUrl("EDGEWARD_URL", required("EDGEWARD_URL"));

export const config = {
  host: process.env.HOST ?? "127.0.0.1",
  port: Number(process.env.PORT ?? 3000),
  edgeward: {
    url: edgewardUrl,
    apiToken: required("EDGEWARD_API_TOKEN"),
    timeout: 5_000,
  },
  // How /login and /embed pass the token on.
  handOver: oneOf("EDGEWARD_HAND_OVER", "link", ["link", "cookie"]),
  // The name of the site's `query.parameter`.
  queryParameter: process.env.EDGEWARD_QUERY_PARAMETER ?? "token",
  // The same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them.
  ssoCookie: {
    name: process.env.SSO_COOKIE_NAME ?? "ls_auth_token",
    attributes: {
      domain: process.env.SSO_COOKIE_DOMAIN || undefined,
      path: process.env.SSO_COOKIE_PATH ?? "/",
      secure: oneOf("SSO_COOKIE_SECURE", String(edgewardUrl?.protocol === "https:"), ["true", "false"]) === "true",
      httpOnly: true,
      sameSite: oneOf("SSO_COOKIE_SAME_SITE", "lax", ["lax", "strict", "none"]),
      partitioned: oneOf("SSO_COOKIE_PARTITIONED", "false", ["true", "false"]) === "true",
    },
  },
};

if (errors.length > 0) {
  console.error(errors.join("\n"));
  process.exit(1);
}

/** @param {string} name */
function required(name) {
  const value = process.env[name];
  if (!value) errors.push(`${name} is not set`);
  return value;
}

/**
 * @param {string} name
 * @param {string | undefined} value
 */
function httpUrl(name, value) {
  const url = value && URL.canParse(value) ? new URL(value) : null;
  if (value && !/^https?:$/.test(url?.protocol ?? "")) errors.push(`${name} is not an http(s) URL`);
  return url;
}

/**
 * @param {string} name
 * @param {string} fallback
 * @param {string[]} choices
 */
function oneOf(name, fallback, choices) {
  const value = process.env[name] ?? fallback;
  if (!choices.includes(value)) errors.push(`${name} must be one of ${choices.join(", ")}`);
  return value;
}
