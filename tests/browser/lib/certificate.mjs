// A self-signed certificate for some host names, made anew for each run, so that no key is kept
// in the project. X.509 (RFC 5280) in DER, as little of it as Node, Python and Chromium ask for.

import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const DAY = 86_400_000;

/**
 * `{ key, cert }` in PEM, valid for the names from yesterday until tomorrow.
 * @param {string[]} names
 */
export function selfSigned(names) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKeyInfo = publicKey.export({ type: "spki", format: "der" });
  const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
  const name = sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from("Edgeward browser tests")))));
  const extensions = [
    // basicConstraints: CA; keyUsage: digitalSignature, keyCertSign; subjectKeyIdentifier; subjectAltName
    extension("551d13", sequence(der(0x01, Buffer.from([0xff]))), { critical: true }),
    extension("551d0f", der(0x03, Buffer.from([2, 0b1000_0100])), { critical: true }),
    extension("551d0e", der(0x04, createHash("sha1").update(publicKeyInfo).digest())),
    extension("551d11", sequence(...names.map((host) => der(0x82, Buffer.from(host))))),
  ];
  const toBeSigned = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ecdsaWithSha256,
    name,
    sequence(utcTime(Date.now() - DAY), utcTime(Date.now() + DAY)),
    name,
    publicKeyInfo,
    der(0xa3, sequence(...extensions)),
  );
  const certificate = sequence(toBeSigned, ecdsaWithSha256, bitString(sign("sha256", toBeSigned, privateKey)));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64").replace(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`,
  };
}

/**
 * @param {number} tag
 * @param {...Uint8Array} contents
 */
function der(tag, ...contents) {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
/** @param {...Uint8Array} contents */
const sequence = (...contents) => der(0x30, ...contents);
/** @param {Uint8Array} bytes */
const integer = (bytes) => der(0x02, bytes);
/** @param {string} hex */
const oid = (hex) => der(0x06, Buffer.from(hex, "hex"));
/** @param {Uint8Array} bytes */
const bitString = (bytes) => der(0x03, Buffer.from([0]), bytes);
/** @param {number} time */
const utcTime = (time) => der(0x17, Buffer.from(`${new Date(time).toISOString().replace(/\D/g, "").slice(2, 14)}Z`));
/**
 * @param {string} id
 * @param {Uint8Array} value
 */
const extension = (id, value, { critical = false } = {}) => sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
