// The gateway: the built Worker in workerd, at an address that browsers and services of this machine can reach.

import assert from "node:assert/strict";
import { startFront } from "../../edge/lib/front.mjs";
import { Answer } from "../../edge/lib/http.mjs";
import { newEmail, startWorld } from "../../edge/lib/world.mjs";

/** @import { Pair } from "../../edge/lib/http.mjs" */
/** @import { Sending, User } from "../../edge/lib/site.mjs" */
/** @import { WorldOptions } from "../../edge/lib/world.mjs" */

/** @typedef {Awaited<ReturnType<typeof startGateway>>} Gateway */
/** @typedef {{ id: string, token: string, secret: string }} Registered */
/** @typedef {User & { password: string }} Person */
/** @typedef {{ name: string, fields: Record<string, string> }} Call A service's call of `/sso/<name>/`. */

const HOST = "gateway.example.test";

/**
 * Starts it. `development` is what permits services at loopback addresses.
 * @param {Record<string, unknown>} [settings]
 * @param {WorldOptions} [options]
 */
export async function startGateway(settings = {}, options = {}) {
  const world = await startWorld({ ...options, vars: { EDGEWARD_GATEWAY: { hosts: [HOST], development: true, ...settings }, ...options.vars } });
  const site = world.site("GATEWAY");
  /** @type {Call[]} */
  const calls = [];
  /** @type {Map<string, { status: number, json: unknown }>} */
  const lies = new Map();
  const front = await startFront({
    send: (method, path, sending = {}) => {
      const name = /^\/sso\/(\w+)\/?$/.exec(path)?.[1];
      const lie = name && lies.get(name);
      if (name) calls.push({ name, fields: Object.fromEntries(new URLSearchParams(String(sending.body ?? ""))) });
      if (name && lie) {
        lies.delete(name);
        return Promise.resolve(answerOf(lie));
      }
      return site.send(method, path, { ...sending, headers: translated(sending.headers) });
    },
  });

  /**
   * What browsers call the front is the gateway's own origin to the gateway.
   * @param {Sending["headers"]} headers
   */
  const translated = (headers = []) =>
    /** @type {Pair[]} */ (headers).map(([name, value]) => /** @type {Pair} */ ([name, name === "origin" && value === front.url ? site.origin : value]));

  /**
   * A call of the admin API that has to succeed.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [json]
   */
  const admin = async (method, path, json) => {
    const answer = await world.site().admin(method, path, json);
    assert.ok(answer.status >= 200 && answer.status < 300, `${method} ${path}: ${answer}`);
    return answer.text === "" ? undefined : answer.json;
  };

  return {
    world,
    url: front.url,
    /** `method path` of each request so far, of browsers and of services. */
    requests: front.requests,
    /** The calls of services so far. */
    calls,
    /**
     * Answers the next call of this name in place of the gateway: what a service must not rely on.
     * @param {string} name
     * @param {unknown} json
     */
    lie(name, json, status = 200) {
      lies.set(name, { status, json });
    },
    admin,
    /**
     * @param {Record<string, unknown>} registration
     * @returns {Promise<Registered>}
     */
    async register(registration) {
      const { service, token, webhook_secret } = await admin("POST", "/api/sso/services", registration);
      return { id: service.id, token, secret: webhook_secret };
    },
    /**
     * A new user with a password.
     * @param {Record<string, unknown>} [fields]
     * @returns {Promise<Person>}
     */
    async person(fields = {}) {
      const email = newEmail();
      const user = await admin("POST", "/api/sso/users", { email, username: email.split("@")[0], ...fields });
      const password = `correct horse of ${user.id}`;
      await admin("PUT", `/api/sso/users/${user.id}/password`, { password });
      return { ...user, password };
    },
    async stop() {
      await front.stop();
      await world.stop();
    },
  };
}

/** @param {{ status: number, json: unknown }} lie */
const answerOf = ({ status, json }) => new Answer({ statusCode: status, rawHeaders: ["Content-Type", "application/json"] }, Buffer.from(JSON.stringify(json)));
