// Calls the Durable Object that compares and hashes a user's password (attempts.js).

/** @import { Attempts } from "./attempts.js" */
/** @import { NewPassword, PasswordAttempt } from "./types.js" */

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
 * Hashes a new password, unless it is the one of which `salt` and `output` are the hash; an empty `output` stands for none.
 * Promises what came out, and then either salt and output, or the seconds to wait.
 * @param {DurableObjectNamespace<Attempts>} namespace
 * @param {string} text the rest, as JSON
 * @param {Uint8Array} salt
 * @param {Uint8Array} output
 */
export async function hashPassword(namespace, text, salt, output) {
  const { user, password, kdf, current } = /** @type {NewPassword} */ (JSON.parse(text));
  // Copies: what was given is memory of the core.
  const hash = current === null ? undefined : { kdf: current, salt: salt.slice(), output: output.slice() };
  const made = await shard(namespace, user).hash(password, kdf, hash);
  return made.outcome === "hashed" ? [made.outcome, made.salt, made.output] : [made.outcome, made.seconds];
}
