// The settings of this example, all from the environment. A wrong setting stops the start.

/** @type {string[]} */
const errors = [];

const host = process.env.HOST ?? "127.0.0.1";
const port = Number(process.env.PORT ?? 3002);

export const config = {
  host,
  port,
  // As it is registered at the gateway, and as browsers see it.
  baseUrl: httpUrl("BASE_URL", process.env.BASE_URL ?? `http://${host}:${port}`),
  sessionSecret: required("SESSION_SECRET", 32),
  gateway: {
    url: httpUrl("SSO_GATEWAY", required("SSO_GATEWAY", 1)),
    token: required("SSO_TOKEN", 32),
    webhookSecret: required("SSO_WEBHOOK_SECRET", 32),
    timeout: 5_000,
  },
};

if (errors.length > 0) {
  console.error(errors.join("\n"));
  process.exit(1);
}

/**
 * @param {string} name
 * @param {number} length
 */
function required(name, length) {
  const value = process.env[name] ?? "";
  if (value === "") errors.push(`${name} is not set`);
  else if (value.length < length) errors.push(`${name} must have at least ${length} characters`);
  return value;
}

/**
 * @param {string} name
 * @param {string} value
 */
function httpUrl(name, value) {
  const url = URL.canParse(value) ? new URL(value) : new URL("http://invalid");
  if (value !== "" && !/^https?:\/\//.test(value)) errors.push(`${name} is not an http(s) URL`);
  return url;
}
