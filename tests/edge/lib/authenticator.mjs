// An authenticator of node:crypto, and the browser before it: makes passkeys and signs with them, as Web Authentication wants it.

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** @import { KeyObject } from "node:crypto" */
/** @import { Browser } from "./gateway.mjs" */
/** @import { Site } from "./site.mjs" */

/** @typedef {{ number: number, privateKey: KeyObject, cose: Buffer, id: Buffer, counter: number, flags: number, handle: string }} Passkey */
/** @typedef {{ rpId: string, origin: string }} Place */
/** @typedef {{ publicKey: { challenge: string, user?: { id: string } }, challenge: string }} Options */

/** User present, user verified, eligible for backup, backed up. */
const FLAGS = 1 | 4 | 8 | 16;
const ATTESTED = 64;

/** The algorithms by their numbers in the COSE registry. */
export const ALGORITHMS = { EdDSA: -8, ES256: -7, RS256: -257, ES384: -35, ES512: -36 };
/** @type {Record<number, { curve: string, crv: number, hash: string }>} */
const ECDSA = {
  [-7]: { curve: "P-256", crv: 1, hash: "sha256" },
  [-35]: { curve: "P-384", crv: 2, hash: "sha384" },
  [-36]: { curve: "P-521", crv: 3, hash: "sha512" },
};

/** @param {string | Buffer} bytes */
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

/**
 * CBOR in canonical form, as far as it is needed. Entries of a Map are in order already.
 * @param {unknown} value
 * @returns {Buffer}
 */
export function cbor(value) {
  if (typeof value === "number") return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Map) return Buffer.concat([head(5, value.size), ...[...value].flat().map(cbor)]);
  throw new Error(`no CBOR for ${value}`);
}

/**
 * @param {number} major
 * @param {number} argument
 */
function head(major, argument) {
  if (argument < 24) return Buffer.from([(major << 5) | argument]);
  if (argument < 256) return Buffer.from([(major << 5) | 24, argument]);
  return Buffer.from([(major << 5) | 25, argument >> 8, argument & 255]);
}

/** A passkey of this algorithm. */
export function newPasskey(number = ALGORITHMS.ES256) {
  const { publicKey, privateKey } = pairOf(number);
  const jwk = publicKey.export({ format: "jwk" });
  /** @param {string | undefined} text */
  const bytes = (text) => Buffer.from(text ?? "", "base64url");
  /** @type {[number, unknown][]} */
  let parameters;
  if (number === ALGORITHMS.RS256) {
    parameters = [
      [1, 3],
      [3, number],
      [-1, bytes(jwk.n)],
      [-2, bytes(jwk.e)],
    ]; // prettier-ignore
  } else if (number === ALGORITHMS.EdDSA) {
    parameters = [
      [1, 1],
      [3, number],
      [-1, 6],
      [-2, bytes(jwk.x)],
    ]; // prettier-ignore
  } else {
    parameters = [
      [1, 2],
      [3, number],
      [-1, ECDSA[number].crv],
      [-2, bytes(jwk.x)],
      [-3, bytes(jwk.y)],
    ]; // prettier-ignore
  }
  return { number, privateKey, cose: cbor(new Map(parameters)), id: randomBytes(32), counter: 0, flags: FLAGS, handle: "" };
}

/** @param {number} number */
function pairOf(number) {
  if (number === ALGORITHMS.RS256) return generateKeyPairSync("rsa", { modulusLength: 2048 });
  if (number === ALGORITHMS.EdDSA) return generateKeyPairSync("ed25519");
  return generateKeyPairSync("ec", { namedCurve: ECDSA[number].curve });
}

/**
 * @param {string} type
 * @param {string} challenge
 * @param {string} origin
 */
const clientData = (type, challenge, origin) => Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));

/**
 * @param {Passkey} passkey
 * @param {string} rpId
 * @param {number} further
 */
function authenticatorData(passkey, rpId, further = 0) {
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(passkey.counter);
  return Buffer.concat([sha256(rpId), Buffer.from([passkey.flags | further]), counter]);
}

/**
 * What a browser answers when it has made `passkey` as `options` ask for it.
 * @param {Passkey} passkey
 * @param {Options} options
 * @param {Place} place
 */
export function createdBy(passkey, { publicKey }, { rpId, origin }) {
  passkey.handle = publicKey.user?.id ?? "";
  const length = Buffer.from([0, passkey.id.length]);
  const data = Buffer.concat([authenticatorData(passkey, rpId, ATTESTED), Buffer.alloc(16), length, passkey.id, passkey.cose]);
  const attestation = cbor(
    new Map(
      /** @type {[string, unknown][]} */ ([
        ["fmt", "none"],
        ["attStmt", new Map()],
        ["authData", data],
      ]),
    ),
  );
  return { clientData: clientData("webauthn.create", publicKey.challenge, origin), attestation };
}

/**
 * What a browser answers when `passkey` has signed what `options` ask for.
 * @param {Passkey} passkey
 * @param {Options} options
 * @param {Place} place
 */
export function assertedBy(passkey, { publicKey }, { rpId, origin }) {
  const data = authenticatorData(passkey, rpId);
  const client = clientData("webauthn.get", publicKey.challenge, origin);
  return { clientData: client, data, signature: signedBy(passkey, data, client) };
}

/**
 * @param {Passkey} passkey
 * @param {Buffer} data
 * @param {Buffer} client
 */
export function signedBy({ number, privateKey }, data, client) {
  const hash = number === ALGORITHMS.EdDSA ? null : (ECDSA[number]?.hash ?? "sha256");
  return sign(hash, Buffer.concat([data, sha256(client)]), privateKey);
}

/**
 * The fields of a form.
 * @param {Record<string, Buffer | string>} values
 * @returns {Record<string, string>}
 */
export const fieldsOf = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === "string" ? value : value.toString("base64url")]));

/**
 * What the gateway asks for, with a new challenge.
 * @param {Browser} browser
 * @param {Site} gateway
 * @param {"sign_in" | "register"} ceremony
 * @returns {Promise<Options & { csrf: string }>}
 */
export async function optionsOf(browser, gateway, ceremony) {
  await browser.open(gateway, ceremony === "register" ? "/account/" : "/login/?again=1");
  const { csrf } = browser.fields;
  const answer = await browser.submit(gateway, "/passkey/", { for: ceremony });
  assert.equal(answer.status, 200, String(answer));
  return { ...answer.json, csrf };
}

/**
 * Adds a passkey for whoever is signed in.
 * @param {Browser} browser
 * @param {Site} gateway
 * @param {Passkey} passkey
 * @param {Place} place
 */
export async function addPasskey(browser, gateway, passkey, place) {
  const options = await optionsOf(browser, gateway, "register");
  const { clientData: client_data, attestation } = createdBy(passkey, options, place);
  const fields = fieldsOf({ challenge: options.challenge, id: passkey.id, client_data, attestation });
  return browser.submit(gateway, "/account/", { csrf: options.csrf, action: "add_passkey", ...fields });
}

/**
 * The form of a sign-in with a passkey.
 * @param {Passkey} passkey
 * @param {Options & { csrf: string }} options
 * @param {Place} place
 * @returns {Record<string, string>}
 */
export function signInForm(passkey, options, place) {
  const { clientData: client_data, data, signature } = assertedBy(passkey, options, place);
  const fields = fieldsOf({ challenge: options.challenge, id: passkey.id, client_data, data, signature, handle: passkey.handle });
  return { csrf: options.csrf, ...fields };
}
