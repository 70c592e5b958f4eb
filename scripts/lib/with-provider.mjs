// What `npm run dev -- --with-provider` adds: a local OpenID provider (local-provider.mjs) with two people, and the settings that
// let them sign in with it. Everybody may open the site; /admin only who has the role.

/** @import { WranglerConfig } from "./effective-config.mjs" */

/** Cookies do not know ports, so the provider is at another host than the site. */
const HOST = "localhost";

/** The client that the local Worker is at the provider. */
export const CLIENT = "edgeward";

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
 * @returns {WranglerConfig}
 */
export function withProvider(config, port) {
  const local = config.env?.local;
  const vars = local?.vars;
  const site = vars?.EDGEWARD_SITE_APP;
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
            .../** @type {object} */ (site),
            login: "provider",
            providers: ["local"],
            rules: [
              { prefix: "/admin", require: { role: "admin" } },
              { prefix: "/", require: { authenticated: true } },
            ],
          },
        },
      },
    },
  };
}
