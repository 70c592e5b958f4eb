// The gateway of a world: the settings, people with passwords, services, and browsers that sign in.

import assert from "node:assert/strict";
import { Jar } from "./http.mjs";
import { newEmail } from "./fresh.mjs";
import { NAVIGATION } from "./site.mjs";

/** @import { Answer } from "./http.mjs" */
/** @import { HeaderList, Site, User } from "./site.mjs" */
/** @import { SiteSettings, World, WorldOptions } from "./world.mjs" */
/** @typedef {User & { password: string }} Person */
/** @typedef {{ id: string, token: string, secret: string, path: string }} Registered `path`: of its events at the receiver. */

export const PASSWORD = "correct horse battery";
export const WRONG = "wrong horse battery";
export const SESSION = "__Host-edgeward";

/**
 * A site whose people sign in at the gateway.
 * @type {SiteSettings}
 */
export const AT_GATEWAY = { sources: ["session"], unauthenticated: "login", login: "gateway", sso_cookie: undefined, query: undefined };

/**
 * The options of a world whose sites are under `sites` and whose gateway is `world.site("GATEWAY")`. Services are at addresses of
 * this machine.
 * @param {WorldOptions} [options]
 * @param {Record<string, unknown>} [settings]
 * @returns {WorldOptions}
 */
export const withGateway = (options = {}, settings = {}) => ({
  sites: { APP: AT_GATEWAY },
  ...options,
  // What is undefined is left out.
  vars: { EDGEWARD_GATEWAY: JSON.parse(JSON.stringify({ hosts: ["gateway.example.test"], development: true, ...settings })), ...options.vars },
});

/**
 * A user with a password.
 * @param {Site} gateway
 * @param {Record<string, unknown>} [fields]
 * @returns {Promise<Person>}
 */
export async function newPerson(gateway, fields = {}) {
  const user = await gateway.createUser({ email: newEmail("person"), ...fields });
  await setPassword(gateway, user);
  return { ...user, password: PASSWORD };
}

/**
 * @param {Site} gateway
 * @param {Pick<User, "id">} user
 */
export async function setPassword(gateway, user, password = PASSWORD) {
  const answer = await gateway.admin("PUT", `/api/sso/users/${user.id}/password`, { password });
  assert.equal(answer.status, 204, String(answer));
}

let services = 0;
/**
 * A new service, whose events come to `<receiver>/<name>/sso/event/`.
 * @param {Site} gateway
 * @param {string} receiver
 * @param {Record<string, unknown>} [fields]
 * @returns {Promise<Registered>}
 */
export async function newService(gateway, receiver, fields = {}) {
  const name = `service-${++services}`;
  const answer = await gateway.admin("POST", "/api/sso/services", { name, base_url: `${receiver}/${name}`, dialect: "fields", ...fields });
  assert.equal(answer.status, 201, String(answer));
  const { service, token, webhook_secret: secret } = answer.json;
  return { id: service.id, token, secret, path: `${name}/sso/event/` };
}

/**
 * A service calls the gateway.
 * @param {Site} gateway
 * @param {string} call
 * @param {Record<string, string>} fields
 * @param {HeaderList} [headers]
 */
export const call = (gateway, call, fields, headers = []) =>
  gateway.send("POST", `/sso/${call}/`, {
    headers: [["Content-Type", "application/x-www-form-urlencoded"], ...Object.entries(headers)],
    body: new URLSearchParams(fields).toString(),
  });

/**
 * A service asks for a sign-in: the token of it.
 * @param {Site} gateway
 * @param {Pick<Registered, "token">} service
 * @param {Record<string, string>} [fields]
 * @returns {Promise<string>}
 */
export async function obtain(gateway, { token }, fields = {}) {
  const answer = await call(gateway, "obtain", { token, next_url: "/", ...fields });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(typeof answer.json.token, "string", String(answer));
  return answer.json.token;
}

/** A browser: its cookies by host, and the hidden fields of the page that it has open. */
export class Browser {
  /** @type {Map<string, Jar>} */
  #jars = new Map();
  /** @type {Record<string, string>} */
  fields = {};
  /** What it sends besides. */
  /** @type {[string, string][]} */
  headers = [];

  /** @param {World} world */
  constructor(world) {
    this.world = world;
  }

  /** @param {Site} site */
  jar(site) {
    const jar = this.#jars.get(site.host) ?? new Jar();
    this.#jars.set(site.host, jar);
    return jar;
  }

  /**
   * @param {Site} site
   * @param {Answer} answer
   */
  #keep(site, answer) {
    this.jar(site).take(answer);
    this.fields = fieldsOf(answer);
    return answer;
  }

  /**
   * @param {Site} site
   * @param {string} path
   */
  async open(site, path) {
    return this.#keep(site, await site.send("GET", path, { kind: NAVIGATION, cookie: this.jar(site).header, headers: this.headers }));
  }

  /**
   * Submits the form of the page that is open.
   * @param {Site} site
   * @param {string} path
   * @param {Record<string, string>} fields
   */
  async submit(site, path, fields) {
    return this.#keep(site, await site.form(path, { ...this.fields, ...fields }, { cookie: this.jar(site).header, headers: this.headers }));
  }

  /**
   * Opens the sign-in page and signs in.
   * @param {Site} site
   * @param {{ email: string, password: string }} person
   * @param {string} [query]
   */
  async signIn(site, { email, password }, query = "") {
    await this.open(site, `/login/${query}`);
    return this.submit(site, "/login/", { username: email, password });
  }
}

/**
 * The hidden fields of all forms of a page.
 * @param {Answer} answer
 * @returns {Record<string, string>}
 */
function fieldsOf(answer) {
  const inputs = answer.text.matchAll(/<input\b[^>]*type="hidden"[^>]*>/g);
  const pairs = [...inputs].map(([input]) => [/name="([^"]*)"/.exec(input)?.[1], /value="([^"]*)"/.exec(input)?.[1]]);
  return Object.fromEntries(pairs.map(([name, value]) => [name, value?.replaceAll("&#38;", "&")]));
}
