// Calls the Durable Object that compares and hashes a user's password (attempts.js).

/** @import { Attempts } from "./attempts.js" */
/** @import { Kdf, PasswordAttempt } from "./types.js" */

/**
 * One of 256 objects, by the first byte of the user's hash.
 * @param {DurableObjectNamespace<Attempts>} namespace
 * @param {string} user
 */
function shard(namespace, user) {
  return namespace.get(namespace.idFromName(user.slice(0, 2)));
}

/**
 * Compares a password with a hash; an empty `output` stands for none. Promises what came out, and the seconds to wait.
 * @param {DurableObjectNamespace<Attempts>} namespace
 * @param {string} text the rest of the attempt, as JSON
 * @param {Uint8Array} salt
 * @param {Uint8Array} output
 */
export async function attemptPassword(namespace, text, salt, output) {
  const rest = /** @type {Omit<PasswordAttempt, "salt" | "output">} */ (JSON.parse(text));
  // Copies: what was given is memory of the core.
  const hash = { salt: salt.slice(), output: output.length === 0 ? undefined : output.slice() };
  const { outcome, seconds } = await shard(namespace, rest.user).attempt({ ...rest, ...hash });
  return [outcome, seconds];
}

/**
 * Hashes a new password. Promises what came out, and then either salt and output, or the seconds to wait.
 * @param {DurableObjectNamespace<Attempts>} namespace
 * @param {string} user
 * @param {string} password
 * @param {string} kdf as JSON
 */
export async function hashPassword(namespace, user, password, kdf) {
  const made = await shard(namespace, user).hash(password, /** @type {Kdf} */ (JSON.parse(kdf)));
  return made.outcome === "hashed" ? [made.outcome, made.salt, made.output] : [made.outcome, made.seconds];
}
