// Keys that were imported once are not imported again; and none is used for what it is not.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { exportPKCS8, importPKCS8 } from "jose";
import { bundle } from "../../scripts/lib/build.mjs";
import { issuerTable, newKey, startIssuer, tokenOf } from "./lib/issuer.mjs";
import { newPath, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** More than are kept. */
const MANY = 70;

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** @type {Record<string, IssuerKey>} */
const keys = {};
/** @type {IssuerKey[]} */
let many;
const NAMES = ["each", "rsa", "other", "flood"];
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-imports-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/imports.js", import.meta.url)), script);
  issuer = await startIssuer();
  /**
   * @param {string} name
   * @param {string[]} algorithms
   */
  const table = (name, algorithms) => issuerTable({ algorithms, jwks_url: `${issuer.url}/${name}`, loopback_origin: issuer.url });
  for (const alg of ["RS256", "ES256", "EdDSA"]) keys[alg] = await newKey(alg, alg);
  many = await Promise.all(Array.from({ length: MANY }, (_, n) => newKey("EdDSA", `k${n}`)));
  issuer.publish("/each", keys.RS256, keys.ES256, keys.EdDSA);
  // One RSA key, published for one algorithm by one issuer and for another one by another.
  /** @param {string} alg */
  const as = (alg) => ({ ...keys.RS256, alg, kid: alg, jwk: { ...keys.RS256.jwk, alg, kid: alg } });
  keys.rs512 = as("RS512");
  keys.ps256 = as("PS256");
  issuer.publish("/rsa", keys.RS256);
  issuer.publish("/other", keys.rs512, keys.ps256);
  issuer.publish("/flood", ...many);
  const vars = {
    EDGEWARD_ISSUER_EACH: table("each", ["RS256", "ES256", "EdDSA"]),
    EDGEWARD_ISSUER_RSA: table("rsa", ["RS256"]),
    EDGEWARD_ISSUER_OTHER: table("other", ["RS512", "PS256"]),
    EDGEWARD_ISSUER_FLOOD: table("flood", ["EdDSA"]),
  };
  const sites = Object.fromEntries(NAMES.map((name) => [name.toUpperCase(), { issuers: [name], assertion: undefined }]));
  world = await startWorld({ script, vars, sites: { ...sites, SIGNED: { assertion: {} } } });
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * @param {string} name
 * @param {string} bearer
 */
const show = (name, bearer) => world.site(name.toUpperCase()).client(newPath(), { bearer });
/** @param {Answer} answer */
const imports = (answer) => answer.headers.need("x-test-imports").split(", ").filter(Boolean);
/** @param {string} token */
const tampered = (token) => token.replace(/\.[^.]*$/, (signature) => `.${signature[1] === "A" ? "B" : "A"}${signature.slice(2)}`);

test("an issuer's key is imported for its first token and not for the second, by every kind of key", async () => {
  for (const [alg, imported] of [
    ["RS256", "spki RSASSA-PKCS1-v1_5 SHA-256 verify"],
    ["ES256", "spki ECDSA P-256 verify"],
    ["EdDSA", "spki Ed25519 verify"],
  ]) {
    const first = await show("each", await tokenOf(keys[alg]));
    assert.deepEqual([first.status, imports(first)], [200, [imported]], String(first));
    for (let n = 0; n < 3; n++) {
      const again = await show("each", await tokenOf(keys[alg]));
      assert.deepEqual([again.status, imports(again)], [200, []], String(again));
      const forged = await show("each", tampered(await tokenOf(keys[alg])));
      assert.deepEqual([forged.status, imports(forged)], [401, []], String(forged));
    }
  }
});

test("the same bytes are another key for another algorithm, and each checks its own signatures alone", async () => {
  assert.equal((await show("rsa", await tokenOf(keys.RS256))).status, 200);
  for (const [key, imported] of /** @type {[IssuerKey, string][]} */ ([
    [keys.rs512, "spki RSASSA-PKCS1-v1_5 SHA-512 verify"],
    [keys.ps256, "spki RSA-PSS SHA-256 verify"],
  ])) {
    // Signed by the key as it was imported for RS256, and said to be by another algorithm.
    const [, claims, signature] = (await tokenOf(keys.RS256)).split(".");
    const header = Buffer.from(JSON.stringify({ alg: key.alg, kid: key.kid })).toString("base64url");
    const confused = await show("other", `${header}.${claims}.${signature}`);
    assert.deepEqual([confused.status, imports(confused)], [401, [imported]], String(confused));
    const privateKey = await importPKCS8(await exportPKCS8(keys.RS256.privateKey), key.alg);
    const answer = await show("other", await tokenOf({ ...key, privateKey }));
    assert.deepEqual([answer.status, imports(answer)], [200, []], String(answer));
  }
});

test("more keys than are kept work as well, and the oldest is imported anew", async () => {
  for (const key of many) {
    const answer = await show("flood", await tokenOf(key));
    assert.deepEqual([answer.status, imports(answer)], [200, ["spki Ed25519 verify"]], String(answer));
  }
  assert.deepEqual(imports(await show("flood", await tokenOf(many[MANY - 1]))), []);
  assert.deepEqual(imports(await show("flood", await tokenOf(many[0]))), ["spki Ed25519 verify"]);
});

test("our signing key is opened and imported once, cannot be read out, and outlives a flood of issuers' keys", async () => {
  const site = world.site("SIGNED");
  const visits = [];
  for (let n = 0; n < 2; n++) visits.push(await site.client("/", { cookie: (await site.signIn()).cookie }));
  for (const key of many) await show("flood", await tokenOf(key));
  visits.push(await site.client("/", { cookie: (await site.signIn()).cookie }));
  const signed = visits.map((answer) => answer.seen.header("x-edgeward-assertion"));
  assert.equal(new Set(signed).size, 3);
  for (const answer of visits) assert.equal(answer.headers.get("x-test-private"), "pkcs8 ECDSA P-256 sign");
  assert.deepEqual(imports(visits[visits.length - 1]), []);
});
