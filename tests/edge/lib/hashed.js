// The Worker, with the Durable Object `Attempts` within a test's reach: `POST /__test/password` makes an attempt or hashes a
// new password, at the moment that the test says. It tells which hashes were made, and which functions of the runtime were
// called that hash passwords.
import kdf from "./kdf.wasm";
import worker, { Attempts as PlainAttempts } from "../../../src/edge/entry.js";
import { compute, memoryOfHashes } from "../../../src/edge/hashing.js";
import { attemptPassword, hashPassword } from "../../../src/edge/passwords.js";

/** @import { HashInstance, Kdf } from "../../../src/edge/types.js" */
/** @import { PasswordOrder, TestEnv } from "./types.js" */

export { Audit, Once, Record } from "../../../src/edge/entry.js";

/** The moment that `Attempts` sees; undefined for the real one. */
/** @type {number | undefined} */
let clock;
/** When each hash began, in milliseconds since 1970. */
/** @type {number[]} */
let begun = [];
/** @type {string[]} */
const asked = [];
/** The hashes in kdf.wasm, as the Worker made its instance. */
/** @type {HashInstance[]} */
const made = [];

const { Instance } = WebAssembly;
/** Counts what is called of a password hash. The core's instance was made before. */
class Counted extends Instance {
  /**
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Imports} imports
   */
  constructor(module, imports) {
    super(module, imports);
    const plain = /** @type {HashInstance} */ (/** @type {unknown} */ (this.exports));
    made.push(plain);
    const entries = Object.entries(plain).map(([name, value]) => {
      if (typeof value !== "function" || ["kdf_buffer", "kdf_capacity"].includes(name)) return [name, value];
      const counted = (/** @type {number[]} */ ...args) => {
        begun.push(Date.now());
        return Reflect.apply(value, plain, args);
      };
      return [name, counted];
    });
    Object.defineProperty(this, "exports", { value: Object.fromEntries(entries) });
  }
}
WebAssembly.Instance = Counted;

const subtle = /** @type {{ [method: string]: (...args: unknown[]) => unknown }} */ (/** @type {unknown} */ (SubtleCrypto.prototype));
for (const name of ["deriveBits", "deriveKey", "importKey"]) {
  const plain = subtle[name];
  subtle[name] = function (...args) {
    asked.push(`${name} ${JSON.stringify(args.filter((arg) => typeof arg === "string" || (typeof arg === "object" && arg !== null && "name" in arg)))}`);
    return plain.apply(this, args);
  };
}

export class Attempts extends PlainAttempts {
  /** @override */
  static now() {
    return clock ?? Date.now();
  }

  /**
   * Runs a query over the rows, for what no caller may do.
   * @param {string} query
   * @param {(string | number)[]} values
   */
  query(query, values) {
    this.ctx.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS lanes (user TEXT NOT NULL, lane TEXT NOT NULL, failures INTEGER NOT NULL, last INTEGER NOT NULL, waits_until INTEGER NOT NULL, PRIMARY KEY (user, lane)) WITHOUT ROWID",
    );
    return this.ctx.storage.sql.exec(query, ...values).toArray();
  }

  /** Rings the alarm now. */
  async ring() {
    await this.alarm();
  }

  /** The moment of the next alarm. */
  async armed() {
    return await this.ctx.storage.getAlarm();
  }
}

/** @param {string} hex */
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
/** @param {Uint8Array} bytes */
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * @param {PasswordOrder} order
 * @param {TestEnv} env
 */
async function obey(order, env) {
  const namespace = /** @type {DurableObjectNamespace<Attempts>} */ (/** @type {unknown} */ (env.EDGEWARD_ATTEMPTS));
  if ("now" in order) clock = order.now ?? undefined;
  if (order.attempt) {
    const { salt, output, ...rest } = order.attempt;
    const [outcome, seconds] = await attemptPassword(namespace, JSON.stringify(rest), bytes(salt), bytes(output ?? ""));
    return { outcome, seconds };
  }
  if (order.hash) {
    const { user, password, kdf: named, current } = order.hash;
    const text = JSON.stringify({ user, password, kdf: named, current: current?.kdf ?? null });
    const [outcome, first, second] = await hashPassword(namespace, text, bytes(current?.salt ?? ""), bytes(current?.output ?? ""));
    if (!(first instanceof Uint8Array) || !(second instanceof Uint8Array)) return { outcome, seconds: first };
    return { outcome, salt: hex(first), output: hex(second) };
  }
  if (order.shard !== undefined) {
    const object = namespace.get(namespace.idFromName(order.shard));
    if (order.query) return { rows: await object.query(order.query[0], order.query.slice(1)) };
    if (order.alarm) await object.ring();
    return { armed: await object.armed() };
  }
  if (order.vector) {
    const instance = /** @type {HashInstance} */ (/** @type {unknown} */ (new Instance(kdf, {}).exports));
    return { output: hex(compute(instance, order.vector.kdf, order.vector.inputs.map(bytes), 32)) };
  }
  // The very instance that the Worker uses, without its pauses.
  for (let count = 0; count < (order.many ?? 0); count += 1)
    compute(made[0], /** @type {Kdf} */ (order.kdf), [bytes("00".repeat(12)), bytes("00".repeat(16))], 32);
  const told = { hashes: begun, asked, instances: made.length, memory: memoryOfHashes() };
  if (order.forget) begun = [];
  return told;
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    if (new URL(request.url).pathname !== "/__test/password") return worker.fetch(request, env);
    try {
      return Response.json(await obey(await request.json(), env));
    } catch (error) {
      return Response.json({ failed: String(error) });
    }
  },
};
