// The gateway on a stage: sites and services on host names of their own, people with passwords, and what a browser shows.

import assert from "node:assert/strict";
import { newEmail } from "../../edge/lib/world.mjs";
import { startService } from "../../peers/lib/services.mjs";
import { startStage } from "./stage.mjs";

/** @import { BrowserContextOptions, Page } from "playwright-core" */
/** @import { Registered } from "../../peers/lib/gateway.mjs" */
/** @import { User } from "../../edge/lib/site.mjs" */

/** @typedef {Awaited<ReturnType<typeof startGatewayStage>>} GatewayStage */
/** @typedef {User & { password: string }} Person */

export const GATEWAY = "login.gate.test";

/**
 * Starts the gateway with sites in front of the demo origin.
 * - `sites`: the names of the sites, and the host name of each
 * - `names`: further host names of applications
 * - `settings`: of the gateway; `portal` may show its pages in a frame
 * - `vars`: further variables
 * @param {{ sites: Record<string, string>, names: string[], portal?: string, settings?: Record<string, unknown>, vars?: Record<string, unknown> }} options
 */
export async function startGatewayStage({ sites, names, portal, settings = {}, vars = {} }) {
  const stage = await startStage({
    siteNames: [GATEWAY, ...Object.values(sites)],
    applicationNames: names,
    callsNames: true,
    edgeward: { user_cache: 1 },
    sites: (network) =>
      Object.fromEntries(
        Object.entries(sites).map(([name, host]) => [
          name,
          { hosts: [network.host(host)], sources: ["session"], sso_cookie: undefined, query: undefined, unauthenticated: "login", login: "gateway" },
        ]),
      ),
    vars: (network) => ({
      EDGEWARD_GATEWAY: {
        hosts: [network.host(GATEWAY)],
        // Services of this network have names that nobody else can reach.
        development: true,
        ...(portal && { frame_ancestors: [network.origin(portal)] }),
        ...settings,
      },
      ...vars,
    }),
  });
  const { network, world } = stage;
  const url = network.origin(GATEWAY);
  const site = world.site(Object.keys(sites)[0]);

  /**
   * A call of the admin API that has to succeed.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [json]
   */
  const admin = async (method, path, json) => {
    const answer = await site.admin(method, path, json);
    assert.ok(answer.status >= 200 && answer.status < 300, `${method} ${path}: ${answer}`);
    return answer.text === "" ? undefined : answer.json;
  };
  /** @type {Awaited<ReturnType<typeof startService>>[]} */
  const services = [];

  return {
    ...stage,
    url,
    admin,
    /**
     * Registers a service.
     * @param {Record<string, unknown>} registration
     * @returns {Promise<Registered>}
     */
    register: (registration) => register(admin, registration),
    /**
     * The Express example at a host name.
     * @param {string} host
     * @param {Record<string, unknown>} registration
     */
    async startService(host, registration) {
      const gateway = { url, register: (/** @type {Record<string, unknown>} */ one) => register(admin, one) };
      const place = { url: network.origin(host), environment: network.environment };
      const service = await startService("service-node", gateway, registration, place);
      services.push(service);
      network.route(host, service.port);
      return service;
    },
    /**
     * A new user with a password.
     * @param {Record<string, unknown>} [fields]
     * @returns {Promise<Person>}
     */
    async person(fields = {}) {
      const user = await admin("POST", "/api/sso/users", { email: newEmail(), ...fields });
      const password = `correct horse of ${user.id}`;
      await admin("PUT", `/api/sso/users/${user.id}/password`, { password });
      return { ...user, password };
    },
    /**
     * A fresh browser profile. `addresses` has every address that its address bar has had, redirects too.
     * @param {BrowserContextOptions} [options]
     */
    async visitor(options = {}) {
      const visitor = await stage.visitor(options);
      /** @type {string[]} */
      const addresses = [];
      visitor.context.on("request", (request) => {
        if (request.isNavigationRequest()) addresses.push(request.url());
      });
      return { ...visitor, addresses };
    },
    async stop() {
      for (const service of services) await service.remove();
      await stage.stop();
    },
  };
}

/**
 * @param {(method: string, path: string, json?: unknown) => Promise<{ service: { id: string }, token: string, webhook_secret: string }>} admin
 * @param {Record<string, unknown>} registration
 * @returns {Promise<Registered>}
 */
async function register(admin, registration) {
  const { service, token, webhook_secret } = await admin("POST", "/api/sso/services", registration);
  return { id: service.id, token, secret: webhook_secret };
}

/**
 * Fills in the sign-in page and submits it.
 * @param {Page} page
 * @param {Pick<Person, "email" | "password">} person
 */
export async function signIn(page, person, password = person.password) {
  await page.getByLabel("E-mail address").fill(person.email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/**
 * @param {Page} page
 * @param {string} name
 */
export const heading = async (page, name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
