// One site of a world as its visitors see it: browsers, scripts, other programs, and callers of the admin API.

import assert from "node:assert/strict";
import http from "node:http";
import { newEmail, until } from "./fresh.mjs";
import { holdsTo } from "./contract.mjs";
import { open, send } from "./http.mjs";
import { openWebSocket } from "./websocket.mjs";

/** @import { Outgoing, Pair } from "./http.mjs" */
/** @import { World } from "./world.mjs" */

/** @typedef {string[][] | Record<string, string | undefined>} HeaderList Pairs, or an object, of which what is undefined is not sent. */
/**
 * How a request is sent: `headers` over those of `kind`, which is one of NAVIGATION, SCRIPT and CLIENT; `host` is null for none.
 * @typedef {object} Sending
 * @property {HeaderList} [headers]
 * @property {string} [cookie]
 * @property {string} [bearer]
 * @property {string[][]} [kind]
 * @property {string | null} [host]
 * @property {Outgoing["body"]} [body]
 */
/** @typedef {{ token?: string | null, headers?: HeaderList }} Calling Of the admin API; with null no token is sent. */
/**
 * A user as the admin API tells it.
 * @typedef {object} User
 * @property {string} id
 * @property {string} email
 * @property {string} username
 * @property {string} first_name
 * @property {string} last_name
 * @property {boolean} active
 * @property {boolean} staff
 * @property {boolean} superuser
 * @property {string[]} roles
 * @property {string} [tenant]
 * @property {Record<string, { id: number }>} [accounts] At applications that have accounts of their own.
 * @property {number | null} sessions_valid_after
 * @property {number} created_at
 * @property {number} updated_at
 */

/**
 * What a top-level navigation of a browser sends.
 * @type {Pair[]}
 */
export const NAVIGATION = [
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
  ["Sec-Fetch-Mode", "navigate"],
  ["Sec-Fetch-Dest", "document"],
  ["Sec-Fetch-Site", "none"],
];
/**
 * What `fetch` of a page's own script sends.
 * @type {Pair[]}
 */
export const SCRIPT = [
  ["Accept", "*/*"],
  ["Sec-Fetch-Mode", "cors"],
  ["Sec-Fetch-Dest", "empty"],
  ["Sec-Fetch-Site", "same-origin"],
];
/**
 * What a client that is no browser sends.
 * @type {Pair[]}
 */
export const CLIENT = [["Accept", "application/json"]];

/** One site as its visitors see it. */
export class Site {
  #port;
  #agent;
  /**
   * @param {World} world
   * @param {string} name
   * @param {string} host
   * @param {(secure: boolean) => number} port
   * @param {() => http.Agent} agent
   */
  constructor(world, name, host, port, agent) {
    this.world = world;
    this.name = name;
    this.host = host;
    /** Whether its visitors come over https, as they have to at a public host. */
    this.secure = !/(^|\.)(test|localhost)(:\d+)?$|^127\.|^\[::1\]/.test(host);
    /** The site's own origin, in the sense of RFC 6454. */
    this.origin = `${this.secure ? "https" : "http"}://${host}`;
    this.#port = port;
    this.#agent = agent;
  }
  get port() {
    return this.#port(this.secure);
  }

  /** @param {Sending} options */
  #headers({ headers = [], cookie, bearer, kind = CLIENT, host = this.host }) {
    const own = pairsOf(headers);
    const given = new Set(own.map(([name]) => name.toLowerCase()));
    /** @type {Pair[]} */
    const list = host === null || given.has("host") ? [] : [["Host", host]];
    list.push(...pairsOf(kind).filter(([name]) => !given.has(name.toLowerCase())));
    // From this the runtime takes the scheme of the URL.
    if (this.secure && !given.has("x-forwarded-proto")) list.push(["X-Forwarded-Proto", "https"]);
    if (cookie) list.push(["Cookie", cookie]);
    if (bearer) list.push(["Authorization", `Bearer ${bearer}`]);
    return [...list, ...own];
  }

  /**
   * Sends a request. `headers` is a list of pairs or an object; `kind` one of NAVIGATION, SCRIPT, CLIENT.
   * @param {string} method
   * @param {string} path
   * @param {Sending} [options]
   */
  send(method, path, options = {}) {
    return send({ port: this.port, agent: this.#agent(), method, path, headers: this.#headers(options), body: options.body });
  }
  /**
   * The same with the body left open, see `open` in http.mjs.
   * @param {string} method
   * @param {string} path
   * @param {Sending} [options]
   */
  open(method, path, options = {}) {
    return open({ port: this.port, method, path, headers: this.#headers(options) });
  }
  /**
   * A browser goes to a page.
   * @param {string} path
   * @param {Sending} [options]
   */
  navigate(path, options = {}) {
    return this.send("GET", path, { kind: NAVIGATION, ...options });
  }
  /**
   * A script of the page asks for something.
   * @param {string} path
   * @param {Sending} [options]
   */
  script(path, options = {}) {
    return this.send("GET", path, { kind: SCRIPT, ...options });
  }
  /**
   * A client that is no browser asks for something.
   * @param {string} path
   * @param {Sending} [options]
   */
  client(path, options = {}) {
    return this.send("GET", path, { kind: CLIENT, ...options });
  }
  /**
   * A form is submitted by a browser.
   * @param {string} path
   * @param {Record<string, string>} fields
   * @param {Sending} [options]
   */
  form(path, fields, options = {}) {
    const { headers = [], ...rest } = options;
    const own = pairsOf(headers);
    const given = new Set(own.map(([name]) => name.toLowerCase()));
    /** @type {Pair[]} */
    const usual = [
      ["Origin", this.origin],
      ["Sec-Fetch-Site", "same-origin"],
      ["Content-Type", "application/x-www-form-urlencoded"],
    ];
    const list = [...usual.filter(([name]) => !given.has(name.toLowerCase())), ...own];
    return this.send("POST", path, { kind: NAVIGATION, body: new URLSearchParams(fields).toString(), headers: list, ...rest });
  }
  /**
   * @param {string} path
   * @param {Sending} [options]
   */
  webSocket(path, options = {}) {
    return openWebSocket({ port: this.port, path, headers: this.#headers({ kind: [], ...options }) });
  }

  /**
   * A call of the admin API, with the admin API token unless `token` says otherwise (`null` for none).
   * @param {string} method
   * @param {string} path
   * @param {unknown} [json]
   * @param {Calling} [options]
   */
  async admin(method, path, json, { token, headers = [] } = {}) {
    const credential = token === undefined ? await this.world.adminToken() : token;
    /** @type {Pair[]} */
    const list = credential === null ? [] : [["Authorization", `Token ${credential}`]];
    if (json !== undefined) list.push(["Content-Type", "application/json"]);
    const answer = await this.send(method, path, { headers: [...list, ...pairsOf(headers)], body: json === undefined ? undefined : JSON.stringify(json) });
    holdsTo(method, path, json, answer);
    return answer;
  }

  /**
   * A call of `POST /api/sso/token`.
   * @param {unknown} json
   * @param {Calling} [options]
   */
  issueAnswer(json, options) {
    return this.admin("POST", "/api/sso/token", json, options);
  }
  /**
   * An SSO token for an address.
   * @param {string} email
   * @param {Record<string, unknown>} [fields]
   */
  async issue(email, fields = {}) {
    const answer = await this.issueAnswer({ email, ...fields });
    assert.equal(answer.status, 200, String(answer));
    return answer.json.token;
  }
  /**
   * A new user.
   * @param {Record<string, unknown>} [fields]
   * @returns {Promise<User>}
   */
  async createUser(fields = {}) {
    const answer = await this.admin("POST", "/api/sso/users", { email: newEmail(), ...fields });
    assert.equal(answer.status, 201, String(answer));
    return answer.json;
  }
  /**
   * Signs a user in by the SSO cookie: `{ user, token, cookie }`, where `cookie` is the session as `name=value`.
   * @param {User} [user]
   */
  async signIn(user) {
    user ??= await this.createUser();
    const token = await this.issue(user.email);
    const answer = await this.navigate("/signed-in", { cookie: `ls_auth_token=${token}` });
    assert.equal(answer.status, 200, String(answer));
    const session = answer.cookies.find(({ name, cleared }) => name.startsWith("__Host-") && !cleared);
    assert.ok(session, `no session was opened: ${answer}`);
    return { user, token, cookie: session.pair, session };
  }
}

/**
 * Signs in a user whose sessions have just been ended: SSO tokens of that second ended with them, so this
 * tries until the next.
 * @param {Site} site
 * @param {Pick<User, "email">} user
 */
export async function signInAgain(site, user) {
  return until(async () => {
    const answer = await site.navigate("/signed-in", { cookie: `ls_auth_token=${await site.issue(user.email)}` });
    const session = answer.cookies.find(({ name, cleared }) => name.startsWith("__Host-") && !cleared);
    return answer.status === 200 ? session?.pair : undefined;
  });
}

/**
 * @param {HeaderList} headers
 * @returns {Pair[]}
 */
function pairsOf(headers) {
  const list = Array.isArray(headers) ? headers : Object.entries(headers);
  return list.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}
