// The core's cryptographic verbs, by WebCrypto. Bytes from the core are views of its memory, which may move while a promise
// is pending. So whatever is used after an await is copied first.

const NONCE = 12;

/** @type {{ [bits: string]: string }} */
const HASHES = { 256: "SHA-256", 384: "SHA-384", 512: "SHA-512" };
/** @type {{ [algorithm: string]: string }} */
const CURVES = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };

/**
 * WebCrypto's parameters for a JWS algorithm: to import keys, and to sign and verify (RFC 7518 §3, RFC 8037 §3.1).
 * @param {string} algorithm
 * @returns {{ key: SubtleCryptoImportKeyAlgorithm, sign: SubtleCryptoSignAlgorithm }}
 */
function parameters(algorithm) {
  if (algorithm === "EdDSA") return { key: { name: "Ed25519" }, sign: { name: "Ed25519" } };
  const hash = HASHES[algorithm.slice(2)];
  switch (algorithm.slice(0, 2)) {
    case "RS":
      return { key: { name: "RSASSA-PKCS1-v1_5", hash }, sign: { name: "RSASSA-PKCS1-v1_5" } };
    case "PS":
      return { key: { name: "RSA-PSS", hash }, sign: { name: "RSA-PSS", saltLength: Number(algorithm.slice(2)) / 8 } };
    default:
      return { key: { name: "ECDSA", namedCurve: CURVES[algorithm] }, sign: { name: "ECDSA", hash } };
  }
}

/**
 * A new key pair: [PKCS #8 bytes, SubjectPublicKeyInfo bytes].
 * @param {string} algorithm
 */
export async function generate(algorithm) {
  const { key } = parameters(algorithm);
  const rsa = { ...key, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
  const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey(algorithm === "RS256" ? rsa : key, true, ["sign", "verify"]));
  const exported = await Promise.all([crypto.subtle.exportKey("pkcs8", pair.privateKey), crypto.subtle.exportKey("spki", pair.publicKey)]);
  const [pkcs8, spki] = /** @type {ArrayBuffer[]} */ (exported);
  return [new Uint8Array(pkcs8), new Uint8Array(spki)];
}

/**
 * Imported keys, each found by its algorithm and all of its bytes. The core decides at each call which key verifies a
 * signature, so a withdrawn key that is still here is never used. The oldest keys are dropped first.
 */
class ImportedKeys {
  /** @type {Map<string, CryptoKey>} */
  #keys = new Map();
  #weight = 0;
  #most;

  /** @param {{ number: number, bytes: number }} most */
  constructor(most) {
    this.#most = most;
  }

  /** @param {string} name */
  get(name) {
    return this.#keys.get(name);
  }

  /**
   * @param {string} name
   * @param {CryptoKey} key
   */
  keep(name, key) {
    if (name.length > LONGEST_NAME || this.#keys.has(name)) return;
    this.#keys.set(name, key);
    this.#weight += name.length + WEIGHT_OF_KEY;
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size <= this.#most.number && this.#weight <= this.#most.bytes) return;
      this.#keys.delete(oldest);
      this.#weight -= oldest.length + WEIGHT_OF_KEY;
    }
  }
}

/** Keys with longer names are not kept. An RSA key of 8192 bits takes 1.1 KB, and 4.8 KB with its private half. */
const LONGEST_NAME = 8192;
/** An estimate of the runtime's memory for an imported key, in bytes. */
const WEIGHT_OF_KEY = 2048;
/** Separate from our own: a stranger can make us import one issuer's key after another, which must not push out ours. */
const VERIFYING = new ImportedKeys({ number: 64, bytes: 256 * 1024 });
const SIGNING = new ImportedKeys({ number: 8, bytes: 64 * 1024 });

/**
 * The name of a key: one character per byte, so that no two keys have the same name.
 * @param {string} algorithm
 * @param {...Uint8Array} parts only the last may vary in length
 */
function nameOf(algorithm, ...parts) {
  const text = parts.map((part) => (part.length > LONGEST_NAME ? undefined : String.fromCharCode(...part)));
  return text.includes(undefined) ? undefined : `${algorithm} ${text.join("")}`;
}

/**
 * Signs with a private key that is encrypted with `secret`. The plain key never leaves JavaScript.
 * @param {string} algorithm
 * @param {Uint8Array} secret
 * @param {Uint8Array} sealed
 * @param {Uint8Array} message
 */
export async function sign(algorithm, secret, sealed, message) {
  const copy = message.slice();
  const { key, sign } = parameters(algorithm);
  const name = nameOf(algorithm, secret, sealed);
  let imported = name && SIGNING.get(name);
  if (!imported) {
    imported = await crypto.subtle.importKey("pkcs8", await open(secret, sealed), key, false, ["sign"]);
    if (name) SIGNING.keep(name, imported);
  }
  return new Uint8Array(await crypto.subtle.sign(sign, imported, copy));
}

/**
 * Whether a signature is valid. A key that cannot be imported, such as a point that is not on its curve, verifies nothing.
 * @param {string} algorithm
 * @param {Uint8Array} spki
 * @param {Uint8Array} message
 * @param {Uint8Array} signature
 */
export async function verify(algorithm, spki, message, signature) {
  const { key, sign } = parameters(algorithm);
  const name = nameOf(algorithm, spki);
  const known = name && VERIFYING.get(name);
  // There is no await before the runtime gets the bytes, so no copy is needed.
  if (known) return crypto.subtle.verify(sign, known, signature, message);
  const [copy, signed] = [message.slice(), signature.slice()];
  const imported = await crypto.subtle.importKey("spki", spki, key, false, ["verify"]).catch(() => undefined);
  if (imported === undefined) return false;
  if (name) VERIFYING.keep(name, imported);
  return crypto.subtle.verify(sign, imported, signed, copy);
}

/**
 * Encrypts with AES-256-GCM. The nonce precedes the ciphertext.
 * @param {Uint8Array} key
 * @param {Uint8Array} plain
 */
export async function seal(key, plain) {
  const copy = plain.slice();
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, aes, copy));
  const whole = new Uint8Array(NONCE + sealed.length);
  whole.set(nonce);
  whole.set(sealed, NONCE);
  return whole;
}

/**
 * @param {Uint8Array} key
 * @param {Uint8Array} sealed
 */
export async function open(key, sealed) {
  const copy = sealed.slice();
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: copy.subarray(0, NONCE) }, aes, copy.subarray(NONCE)));
}
