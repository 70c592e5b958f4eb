// Published vectors for JWS and JWK, against the Worker as it ships: each signature is shown to a site whose only issuer
// has the vector's key. The payloads of these vectors are no claims, so none of them lets anybody in. But the Worker reads
// no claim before the signature has matched, and its log says which step refused: "claims are malformed" means that
// key, algorithm and signature were accepted, and anything else that they were not.
//
// EDGEWARD_VECTORS names a folder with wycheproof_json_web_signature.json, wycheproof_json_web_key.json (Project
// Wycheproof) and rfc7520/*.json (RFC 7520, in the form of the "cookbook" that was published with it). Without it,
// `npm test` leaves this file out, and says so.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { ASYMMETRIC, issuerTable, startIssuer } from "./lib/issuer.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { SiteSettings, World } from "./lib/world.mjs" */

/** @typedef {{ kty: string, kid?: string, alg?: string, k?: string } & Record<string, unknown>} VectorKey */
/** @typedef {{ keys: VectorKey[], tests: { id: string, jws: string, valid: boolean }[], world?: World, site?: string }} Group What one set of keys verifies; where it is asked. */
/** @import { Issuer } from "./lib/issuer.mjs" */

const FOLDER = process.env.EDGEWARD_VECTORS;
const ACCEPTED = "the token's claims are malformed";

/** Vectors that are called valid and are refused here, and why. By file and tcId. */
const EXCEPTIONS = {
  "signature 346": "the key says alg PS256, the header PS384: a key is for the one algorithm that it names",
  "signature 350": "the same with key_ops",
  "signature 347": 'the key says alg "ES521", which is no algorithm',
  "signature 351": "the same with key_ops",
  "signature 372": "a stray ? in base64url: two readers must not read two things",
  "signature 373": "the same in another part",
  ...Object.fromEntries(
    ["signature 348", "signature 352", `rfc7520 4_4.hmac-sha2_integrity_protection.json`].map((id) => [
      id,
      "the secret stands in a public document, so a configuration with it serves nobody",
    ]),
  ),
  ...Object.fromEntries([357, 358, 359, 376, 377].map((id) => [`signature ${id}`, "the secret is 32 zero bytes, so a configuration with it serves nobody"])),
};
// The same code verifies those of the last two sorts natively: tests/flows/vectors.rs.

assert.ok(FOLDER, "EDGEWARD_VECTORS names no folder with published vectors");
assert.ok(existsSync(FOLDER), `EDGEWARD_VECTORS: there is no ${FOLDER}`);
run(vectors(FOLDER));

/**
 * All groups.
 * @param {string} folder
 */
function vectors(folder) {
  /** @type {Group[]} */
  const groups = [];
  for (const [file, kind] of [
    ["wycheproof_json_web_signature.json", "signature"],
    ["wycheproof_json_web_key.json", "key"],
  ]) {
    for (const group of JSON.parse(readFileSync(path.join(folder, file), "utf8")).testGroups) {
      const given = group.public ?? group.private;
      const tests = group.tests.map((/** @type {{ tcId: string, jws: string, result: string }} */ { tcId, jws, result }) => ({
        id: `${kind} ${tcId}`,
        jws,
        valid: result === "valid",
      }));
      groups.push({ keys: given.keys ?? [given], tests });
    }
  }
  for (const file of readdirSync(path.join(folder, "rfc7520")).filter((name) => name.endsWith(".json"))) {
    const { input, output } = JSON.parse(readFileSync(path.join(folder, "rfc7520", file), "utf8"));
    if (!input || !output) continue;
    const { kty, d, ...key } = Array.isArray(input.key) ? {} : input.key;
    const publicOnly = Object.fromEntries(Object.entries(key).filter(([name]) => !["p", "q", "dp", "dq", "qi"].includes(name)));
    const compact = output.compact;
    // One of them has its content elsewhere.
    const valid = compact !== undefined && !compact.includes("..");
    if (compact) groups.push({ keys: [{ kty, ...publicOnly }], tests: [{ id: `rfc7520 ${file}`, jws: compact, valid }] });
    // JSON serialisations, unprotected headers and detached contents are forms that are not taken.
    const others = [output.json, output.json_flat, output.compact_detached]
      .filter(Boolean)
      .map((form) => (typeof form === "string" ? form : JSON.stringify(form)));
    if (kty) others.forEach((jws, n) => groups.push({ keys: [{ kty, ...publicOnly }], tests: [{ id: `rfc7520 ${file} other form ${n}`, jws, valid: false }] }));
  }
  return groups;
}

/** @param {Group[]} groups */
function run(groups) {
  /** @type {Issuer} */
  let issuer;
  /** @type {World[]} */
  const worlds = [];
  before(async () => {
    issuer = await startIssuer();
    /** @type {{ group: Group, name: string, vars: Record<string, unknown>, sites: Record<string, SiteSettings> }[]} */
    const bySecret = [];
    /** @type {Record<string, SiteSettings>} */
    const sites = {};
    /** @type {Record<string, unknown>} */
    const vars = {};
    groups.forEach((group, n) => {
      const name = `G${n}`;
      const symmetric = group.keys.every(({ kty }) => kty === "oct");
      // A shared secret has no set and no name: two in a set that have the same name cannot be written down.
      const named = new Set(group.keys.map(({ kid }) => kid));
      const hmac = group.keys.every(({ alg }) => /^HS/.test(alg ?? "")) && named.size === group.keys.length;
      if (symmetric && hmac) {
        const secrets = group.keys.map(({ k }, at) => [`SECRET_${name}_${at}`, k]);
        const table = issuerTable({ algorithms: [group.keys[0].alg], secret: secrets.map(([secret]) => secret), secret_encoding: "base64url" });
        bySecret.push({
          group,
          name,
          vars: { ...Object.fromEntries(secrets), [`EDGEWARD_ISSUER_${name}`]: table },
          sites: { [name]: { issuers: [name.toLowerCase()] } },
        });
        return;
      }
      issuer.documents.set(`/${name}`, JSON.stringify({ keys: group.keys }));
      vars[`EDGEWARD_ISSUER_${name}`] = issuerTable({ algorithms: ASYMMETRIC, jwks_url: `${issuer.url}/${name}`, loopback_origin: issuer.url });
      sites[name] = { issuers: [name.toLowerCase()] };
      group.site = name;
    });
    const main = await startWorld({ sites, vars });
    worlds.push(main);
    for (const group of groups) if (group.site) group.world = main;
    // Weak secrets make a configuration that serves nobody; each is alone in one.
    for (const { group, name, vars, sites } of bySecret) {
      const world = await startWorld({ sites, vars, broken: true });
      worlds.push(world);
      Object.assign(group, { world, site: name });
    }
  });
  after(async () => {
    for (const world of worlds) await world.stop();
    await issuer?.stop();
  });

  test("all published vectors come out as they should, but for the exceptions that are listed", async (t) => {
    const wrong = [];
    const excepted = new Set();
    let count = 0;
    for (const { world, site, tests } of groups) {
      assert.ok(world && site);
      for (const { id, jws, valid } of tests) {
        count++;
        const accepted = await verdict(world, site, jws);
        if (accepted === valid) continue;
        if (id in EXCEPTIONS && valid && !accepted) excepted.add(id);
        else wrong.push(`${id}: ${accepted ? "accepted" : "refused"}`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual([...excepted].toSorted(), Object.keys(EXCEPTIONS).toSorted(), "an exception that is none any more");
    assert.ok(count > 400, String(count));
    t.diagnostic(`${count} vectors, ${excepted.size} exceptions`);
  });
}

/**
 * Whether the Worker accepted the signature.
 * @param {World} world
 * @param {string} site
 * @param {string} jws
 */
async function verdict(world, site, jws) {
  const seen = world.events("denied").length;
  const answer = await world.site(site).client("/", { headers: { Authorization: `Bearer ${encodeURI(jws)}` } });
  if (answer.status === 500) {
    await world.settled();
    assert.ok(world.events("misconfigured").length > 0, String(answer));
    return false;
  }
  assert.ok([401, 503].includes(answer.status), String(answer));
  await world.settled();
  if (answer.status === 503) {
    // A set that is refused as a whole; nothing else may fail.
    assert.equal(world.events("fault").at(-1)?.reason, "an issuer's keys are unavailable");
    return false;
  }
  const denied = world.events("denied");
  assert.equal(denied.length, seen + 1);
  return denied.at(-1).reason === ACCEPTED;
}
