// WebCrypto, by the four verbs that the core has for it.

const ECDSA = { name: "ECDSA", namedCurve: "P-256" };
const SIGN = { name: "ECDSA", hash: "SHA-256" };
const NONCE = 12;

/** A new ES256 key pair: [PKCS #8 bytes, x, y]. */
export async function generate() {
  const pair = await crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const [pkcs8, jwk] = await Promise.all([
    crypto.subtle.exportKey("pkcs8", pair.privateKey),
    crypto.subtle.exportKey("jwk", pair.publicKey),
  ]);
  return [new Uint8Array(pkcs8), jwk.x, jwk.y];
}

export async function sign(pkcs8, message) {
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, ECDSA, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign(SIGN, key, message));
}

/** AES-256-GCM; the nonce stands before the ciphertext. */
export async function seal(key, plain) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, aes, plain));
  const whole = new Uint8Array(NONCE + sealed.length);
  whole.set(nonce);
  whole.set(sealed, NONCE);
  return whole;
}

export async function open(key, sealed) {
  const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const iv = sealed.subarray(0, NONCE);
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, aes, sealed.subarray(NONCE)));
}
