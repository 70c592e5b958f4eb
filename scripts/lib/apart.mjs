// The names of what ships beside the core as files of their own.

/** The password hashes, by the feature of kdf/ that makes each. */
export const KDFS = /** @type {const} */ ({ "kdf.wasm": "argon2id", "kdf-import.wasm": "import" });
export const COMMON_PASSWORDS = "common-passwords.bin";
/** The names of the files in build/; `src/edge/hashing.js` imports them. */
export const APART = [...Object.keys(KDFS), COMMON_PASSWORDS];
