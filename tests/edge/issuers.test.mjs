// Tokens of other issuers, verified by the Worker in workerd with its WebCrypto.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { after, before, test } from "node:test";
import { ASYMMETRIC, issuerTable, newIssuerSecret, newKey, startIssuer, SYMMETRIC, tokenBySecret, tokenOf } from "./lib/issuer.mjs";
import { tampered } from "./lib/tokens.mjs";
import { newPath, startWorld } from "./lib/world.mjs";

/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { SiteSettings, World } from "./lib/world.mjs" */

const ALL = [...SYMMETRIC, ...ASYMMETRIC];
/** Algorithms of one family share a key, so that only the algorithm differs. */
/** @type {Record<string, string>} */
const FAMILY = { RS: "RSA", PS: "RSA", HS: "HS" };

/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** @type {string} */
let secret;
/** @type {Record<string, IssuerKey>} */
const keys = {};
before(async () => {
  issuer = await startIssuer();
  secret = newIssuerSecret();
  const rsa = await newKey("RS256");
  for (const alg of ASYMMETRIC) {
    const key = FAMILY[alg.slice(0, 2)] === "RSA" ? { ...rsa, alg } : await newKey(alg);
    // WebCrypto binds a key to one algorithm, so the same RSA key is imported for each.
    keys[alg] = FAMILY[alg.slice(0, 2)] === "RSA" ? await sameKey(rsa, alg) : key;
    const { alg: _, ...unbound } = keys[alg].jwk;
    issuer.documents.set(`/${alg}`, JSON.stringify({ keys: [unbound] }));
  }
  /** @type {Record<string, SiteSettings>} */
  const sites = {};
  /** @type {Record<string, unknown>} */
  const vars = { ISSUER_SECRET: secret };
  for (const alg of ALL) {
    const source = alg.startsWith("HS") ? { secret: "ISSUER_SECRET" } : { jwks_url: `${issuer.url}/${alg}`, loopback_origin: issuer.url };
    vars[`EDGEWARD_ISSUER_${alg.toUpperCase()}`] = issuerTable({ algorithms: [alg], ...source });
    sites[alg.toUpperCase()] = {
      issuers: [alg.toLowerCase()],
      sources: ["session", "sso_cookie", "query", "bearer", "header"],
      token_headers: [{ name: "x-token", prefix: "JWT " }],
    };
  }
  for (const alg of ["ES256", "ES384", "ES512"]) {
    // The issuer's own point, with another parity of y: it lies on no curve.
    const { alg: _, ...jwk } = keys[alg].jwk;
    const y = Buffer.from(jwk.y ?? "", "base64url");
    y[y.length - 1] ^= 1;
    issuer.documents.set(`/${alg}-off`, JSON.stringify({ keys: [{ ...jwk, y: y.toString("base64url") }] }));
    vars[`EDGEWARD_ISSUER_OFF${alg}`] = issuerTable({ algorithms: [alg], jwks_url: `${issuer.url}/${alg}-off`, loopback_origin: issuer.url });
    sites[`OFF${alg}`] = { issuers: [`off${alg.toLowerCase()}`] };
  }
  world = await startWorld({ sites, vars });
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
});

/**
 * @param {IssuerKey} key
 * @param {string} alg
 * @returns {Promise<IssuerKey>}
 */
async function sameKey(key, alg) {
  const { importJWK, exportJWK } = await import("jose");
  return { ...key, alg, privateKey: /** @type {CryptoKey} */ (await importJWK({ ...(await exportJWK(key.privateKey)), alg }, alg)) };
}

/** @param {string} alg */
const sign = (alg, header = {}) => (alg.startsWith("HS") ? tokenBySecret(alg, secret, {}, header) : tokenOf(keys[alg], {}, header));

test("SEC-2: of all algorithms and keys only the diagonal passes, in workerd", async () => {
  const tokens = Object.fromEntries(await Promise.all(ALL.map(async (alg) => [alg, await sign(alg)])));
  for (const configured of ALL) {
    const site = world.site(configured.toUpperCase());
    for (const signed of ALL) {
      const answer = await site.client("/", { bearer: tokens[signed] });
      assert.equal(answer.status, configured === signed ? 200 : 401, `${signed} at a site that takes ${configured}: ${answer}`);
    }
    // The right key and signature, and another name of the algorithm.
    for (const said of [...ALL, "none", "None", "", configured.toLowerCase()].filter((alg) => alg !== configured)) {
      const [, claims, signature] = tokens[configured].split(".");
      const header = Buffer.from(JSON.stringify({ alg: said, kid: "k1" })).toString("base64url");
      assert.equal((await site.client("/", { bearer: `${header}.${claims}.${signature}` })).status, 401, `${configured} called ${said}`);
    }
  }
});

test("SEC-1: a public key in any form is no shared secret", async () => {
  for (const alg of ASYMMETRIC) {
    const site = world.site(alg.toUpperCase());
    const key = createPublicKey({ key: keys[alg].jwk, format: "jwk" });
    const forms = [
      keys[alg].pem,
      keys[alg].pem.trimEnd(),
      key.export({ type: "spki", format: "der" }),
      JSON.stringify(keys[alg].jwk),
      keys[alg].jwk.n ?? keys[alg].jwk.x ?? "",
      "k1",
      "",
    ];
    for (const form of forms) {
      for (const hmac of SYMMETRIC) {
        assert.equal((await site.client("/", { bearer: tokenBySecret(hmac, form, {}, { kid: "k1" }) })).status, 401, `${hmac} at ${alg}`);
      }
    }
  }
});

test("SEC-22: a tampered signature of any algorithm is refused at every source", async () => {
  for (const alg of ALL) {
    const site = world.site(alg.toUpperCase());
    for (const [forged, status] of /** @type {[(token: string) => string, number][]} */ ([
      [(token) => token, 200],
      [tampered, 401],
    ])) {
      const token = forged(await sign(alg));
      const link = forged(await sign(alg, { jti: "link" }));
      const path = newPath();
      const attempts = {
        bearer: site.client(path, { bearer: token }),
        cookie: site.client(path, { cookie: `ls_auth_token=${token}` }),
        query: site.client(`${path}?token=${encodeURIComponent(link)}`),
        header: site.client(path, { headers: { "X-Token": `JWT ${token}` } }),
        me: site.client("/api/sso/me", { bearer: token }),
      };
      for (const [source, attempt] of Object.entries(attempts)) assert.equal((await attempt).status, status, `${alg} by ${source}`);
    }
  }
});

test("SEC-40: no token reaches the origin, whatever it came in", async () => {
  const site = world.site("EDDSA");
  const token = await sign("EdDSA");
  for (const options of [{ bearer: token }, { cookie: `ls_auth_token=${token}; a=b` }, { headers: { "x-token": `JWT ${token}` } }]) {
    const path = newPath();
    assert.equal((await site.client(path, options)).status, 200);
    const [seen] = world.origin.about(path);
    assert.doesNotMatch(JSON.stringify(seen.headers), /eyJ/, JSON.stringify(seen.headers));
  }
});

test("a session opened by a token of another issuer goes on by itself", async () => {
  const site = world.site("ES256");
  const answer = await site.navigate("/", { cookie: `ls_auth_token=${await sign("ES256")}` });
  assert.equal(answer.status, 200);
  const session = answer.cookies.find(({ name }) => name === "__Host-edgeward");
  assert.ok(session);
  assert.equal((await site.client("/", { cookie: `__Host-edgeward=${session.value}` })).status, 200);
});

test("SEC-16: zeros, DER and points off the curve sign nothing", async () => {
  for (const [alg, size] of /** @type {[string, number][]} */ ([
    ["ES256", 32],
    ["ES384", 48],
    ["ES512", 66],
  ])) {
    const site = world.site(alg);
    const token = await sign(alg);
    const [header, claims, signature] = token.split(".");
    const raw = Buffer.from(signature, "base64url");
    /** @param {Buffer} bytes */
    const integer = (bytes) => Buffer.concat([Buffer.from([2, bytes.length + 1, 0]), bytes]);
    const content = Buffer.concat([integer(raw.subarray(0, size)), integer(raw.subarray(size))]);
    const der = Buffer.concat([Buffer.from(content.length > 127 ? [0x30, 0x81, content.length] : [0x30, content.length]), content]);
    const forged = {
      zeros: Buffer.alloc(2 * size),
      "r zero": Buffer.concat([Buffer.alloc(size), raw.subarray(size)]),
      "s zero": Buffer.concat([raw.subarray(0, size), Buffer.alloc(size)]),
      DER: der,
      short: raw.subarray(1),
      long: Buffer.concat([raw, Buffer.alloc(1)]),
      all: Buffer.alloc(2 * size, 255),
    };
    for (const [what, bytes] of Object.entries(forged)) {
      for (const [where, name] of /** @type {[Site, string][]} */ ([
        [site, what],
        [world.site(`OFF${alg}`), `${what}, off the curve`],
      ])) {
        assert.equal((await where.client("/", { bearer: `${header}.${claims}.${bytes.toString("base64url")}` })).status, 401, `${alg} ${name}`);
      }
    }
    assert.equal((await site.client("/", { bearer: token })).status, 200, alg);
    assert.equal((await world.site(`OFF${alg}`).client("/", { bearer: token })).status, 401, `${alg} off the curve`);
  }
});
