// The Worker with a store of its own in memory, sending itself the requests that a test asks for (`x-test-send`), each
// with a credential of its own, and telling what its Wasm memory came to. A test that sent them all by HTTP would take
// minutes.
import { instances } from "./instances.js";
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { Change, ChangeOutcome } from "../../../src/edge/types.js" */
/** @import { TestEnv, WeighOrder } from "./types.js" */

export { Audit, Once, Outbox, Record };

/** @type {Map<string, string>} */
const values = new Map();
const EDGEWARD_KV = {
  reads: 0,
  async get(/** @type {string} */ key) {
    this.reads += 1;
    return values.get(key) ?? null;
  },
  async put(/** @type {string} */ key, /** @type {string} */ value) {
    values.set(key, value);
  },
  async delete(/** @type {string} */ key) {
    values.delete(key);
  },
  async list() {
    return { keys: [], list_complete: true };
  },
};
const EDGEWARD_ONCE = {
  idFromName: (/** @type {string} */ key) => key,
  get: () => ({ acquire: async (/** @type {string} */ value) => value, release: async () => {}, changed: async () => undefined }),
};
/** What was changed is in the store at once. */
const EDGEWARD_RECORD = {
  idFromName: (/** @type {string} */ key) => key,
  get: () => ({
    read: async (/** @type {string} */ key) => values.get(key) ?? null,
    /**
     * @param {Change} change
     * @returns {Promise<ChangeOutcome>}
     */
    change: async function change({ key, from = null, to = null, needs }) {
      const held = values.get(key) ?? null;
      if (held !== from || (needs && !(await change(needs)).done)) return { done: false, value: held };
      if (to === null) values.delete(key);
      else values.set(key, to);
      return { done: true };
    },
    keep: async () => {},
  }),
};

/** The origin. */
globalThis.fetch = async () => new Response("ok");

const encoder = new TextEncoder();
/** @param {string} text */
const b64 = (text) => encoder.encode(text).toBase64({ alphabet: "base64url", omitPadding: true });
/** @type {Map<string, CryptoKey>} */
const keys = new Map();

/**
 * A token with these claims; `more` are further ones, written already.
 * @param {string} secret
 * @param {object} header
 * @param {object} claims
 */
async function sign(secret, header, claims, more = "}") {
  const key = keys.get(secret) ?? (await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]));
  keys.set(secret, key);
  const input = `${b64(JSON.stringify(header))}.${b64(`${JSON.stringify(claims).slice(0, -1)}${more === "}" ? "" : ","}${more}`)}`;
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode(input));
  return `${input}.${new Uint8Array(signature).toBase64({ alphabet: "base64url", omitPadding: true })}`;
}

/**
 * @param {number} length
 * @param {string} seed
 */
const text = (length, seed) => `${seed}-`.padEnd(length, "abcdefghijklmnopqrstuvwxyz");
/**
 * @template T
 * @param {number} length
 * @param {(index: number) => T} make
 */
const list = (length, make) => Array.from({ length }, (_, index) => make(index));

/**
 * What all tokens of a shape say besides whose they are. None is longer than a credential may be.
 * @type {{ [shape: string]: object }}
 */
const SHAPES = {
  keycloak: {
    sub: text(36, "s"),
    typ: "Bearer",
    azp: "app",
    session_state: text(36, "s"),
    acr: "1",
    "allowed-origins": list(6, (i) => `https://app-${i}.example.test`),
    realm_access: { roles: list(30, (i) => `realm-role-${i}`) },
    resource_access: Object.fromEntries(list(8, (i) => [`client-${i}`, { roles: list(8, (role) => `client-role-${role}`) }])),
    scope: "openid email profile offline_access",
    sid: text(36, "s"),
    name: "Anna Example",
    groups: list(24, (i) => `/department-${i}/team`),
    preferred_username: "anna",
  },
  small: Object.fromEntries(list(200, (i) => [`c${i}`, { "": 0 }])),
  deep: Object.fromEntries(list(12, (i) => [`d${i}`, JSON.parse(`${"[".repeat(110)}0${"]".repeat(110)}`)])),
  long: { text: text(5600, "t") },
  roles: { roles: list(190, (i) => `role-${i}`), scope: list(190, (i) => `scope:${i}`).join(" ") },
  users: { name: text(200, "n") },
};
/** As members of an object: they are written once. */
const WRITTEN = Object.fromEntries(Object.entries(SHAPES).map(([shape, claims]) => [shape, JSON.stringify(claims).slice(1)]));

/** @param {{ [name: string]: string }} extra */
const headers = (extra) => ({ accept: "application/json", "cf-ray": "0123456789abcdef-TST", ...extra });

/**
 * The headers of the `n`th request of a shape.
 * @param {WeighOrder} order
 * @param {number} n
 */
async function credential({ shape, bad, secrets, user, host }, n) {
  const now = Math.floor(Date.now() / 1000);
  const times = { iat: now, exp: now + 300 };
  if (shape === "sso") {
    const claims = { user_id: user, sub: user, iss: "edgeward", aud: host, jti: `j${n}`, ...times };
    return headers({ authorization: `Bearer ${await sign(secrets.token, { alg: "HS256", typ: "sso+jwt", kid: "1" }, claims)}` });
  }
  if (shape === "session") {
    const claims = {
      iss: "edgeward",
      aud: host,
      sub: user,
      jti: `session-${n}-${"j".repeat(22)}`,
      began: now * 1000,
      ...times,
      ext: { i: "id", sc: ["a", "b"], c: { groups: list(60, (i) => `/department-${i}/team`) } },
    };
    return headers({ cookie: `__Host-edgeward=${await sign(secrets.session, { alg: "HS256", typ: "session+jwt", kid: "1" }, claims)}` });
  }
  const email = shape === "users" ? `user-${n}-${"x".repeat(40)}@example.test` : "anna@example.test";
  const claims = { iss: "https://id.example", aud: "app", email, email_verified: true, jti: `j${n}`, ...times };
  return headers({ authorization: `Bearer ${await sign(bad ? "another secret" : secrets.issuer, { alg: "HS256" }, claims, WRITTEN[shape])}` });
}

/**
 * Sends the requests from `from` on, some at once, each `times` times.
 * @param {TestEnv} env
 * @param {WeighOrder} order
 */
async function sendAll(env, order) {
  /** @type {{ [status: number]: number }} */
  const statuses = {};
  let next = order.from;
  const end = order.from + order.count;
  const lane = async () => {
    while (next < end) {
      const headers = await credential(order, next++);
      for (let time = 0; time < order.times; time++) {
        const { status } = await worker.fetch(new Request(`http://${order.host}/`, { headers }), env);
        statuses[status] = (statuses[status] ?? 0) + 1;
      }
    }
  };
  await Promise.all(list(16, lane));
  return statuses;
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    // As much of the bindings as the core uses.
    const own = /** @type {TestEnv} */ (/** @type {unknown} */ ({ ...env, EDGEWARD_KV, EDGEWARD_ONCE, EDGEWARD_RECORD }));
    if (!request.headers.has("x-test-send")) return worker.fetch(request, own);
    /** @type {WeighOrder} */
    const order = await request.json();
    const user = [...values].find(([key]) => key.startsWith("user:"))?.[1];
    const statuses = await sendAll(own, { ...order, user: user && JSON.parse(user).id });
    const memory = /** @type {WebAssembly.Memory} */ (instances[instances.length - 1].exports.memory);
    return Response.json({ statuses, instances: instances.length, memory: memory.buffer.byteLength });
  },
};
