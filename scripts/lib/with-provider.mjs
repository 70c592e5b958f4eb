// What `npm run dev -- --with-provider` adds: a local OpenID provider (local-provider.mjs) with two people, and the settings that
// let them sign in with it. Everybody may open the site; /admin of the demo origin only who has the role.

/** @import { WranglerConfig } from "./effective-config.mjs" */

/** Cookies do not know ports, so the provider is at another host than the site. */
const HOST = "localhost";

/** The client that the local Worker is at the provider. */
export const CLIENT = "edgeward";

/** The name of that client's secret. */
export const PROVIDER_SECRET = "EDGEWARD_PROVIDER_LOCAL_SECRET";

/** Who may open what at the demo origin. */
export const DEMO_RULES = [
  { prefix: "/admin", require: { role: "admin" } },
  { prefix: "/", require: { authenticated: true } },
];

/** Who can sign in at the local provider, by `sub`. */
export const PEOPLE = {
  ada: { name: "Ada", email: "ada@example.com", roles: ["admin"], about: "has the role admin" },
  grace: { name: "Grace", email: "grace@example.com", roles: [], about: "has no role" },
};

/** @param {number} port */
export const issuerAt = (port) => `http://${HOST}:${port}`;

/**
 * The configuration with the provider at this port in its local environment.
 * @param {WranglerConfig} config
 * @param {number} port
 * @param {{ isDemo?: boolean }} [options] Whether the site is in front of the demo origin, which gets rules unless it has some.
 * @returns {WranglerConfig}
 */
export function withProvider(config, port, { isDemo = true } = {}) {
  const local = config.env?.local;
  const vars = local?.vars;
  const site = /** @type {{ rules?: object[] } | undefined} */ (vars?.EDGEWARD_SITE_APP);
  const rules = isDemo && site?.rules === undefined && vars?.EDGEWARD_RULES_APP === undefined ? { rules: DEMO_RULES } : {};
  const issuer = issuerAt(port);
  return {
    ...config,
    env: {
      ...config.env,
      local: {
        ...local,
        vars: {
          ...vars,
          EDGEWARD_PROVIDER_LOCAL: {
            preset: "oidc",
            issuer,
            loopback_origin: issuer,
            client_id: CLIENT,
            create_users: true,
            grant_roles: ["admin"],
          },
          EDGEWARD_SITE_APP: {
            ...site,
            login: "provider",
            providers: ["local"],
            ...rules,
          },
        },
      },
    },
  };
}
