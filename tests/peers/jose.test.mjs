// npm jose as a peer: it takes our assertions, and it judges thousands of mutated tokens as we do, but for what is explained.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createLocalJWKSet, createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { startFront } from "../edge/lib/front.mjs";
import { ASYMMETRIC, claimsOfIssuer, issuerTable, newIssuerSecret, newKey, startIssuer, SYMMETRIC, tokenOf } from "../edge/lib/issuer.mjs";
import { now, startWorld } from "../edge/lib/world.mjs";

/** @import { TestContext } from "node:test" */
/** @import { Issuer, IssuerKey, SigningKey } from "../edge/lib/issuer.mjs" */
/** @typedef {SigningKey & { jwk: object }} Signer */
/** @import { SiteSettings, World } from "../edge/lib/world.mjs" */

const LEEWAY = 30;
/** How many times as many tokens as usual are judged. */
const TIMES = Number(process.env.EDGEWARD_TOKENS ?? 1);

/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** @type {IssuerKey[]} */
let keys;
/**
 * What is compared, by the name of its site: the keys that sign, their algorithms, and what jose verifies with. A site
 * takes all of its algorithms by one set or one secret, so that a mutation may lead from one to another.
 * @type {Record<string, { keys: Signer[], algorithms: string[], verifier: Parameters<typeof jwtVerify>[1] }>}
 */
const sides = {};
before(async () => {
  issuer = await startIssuer();
  keys = await Promise.all(ASYMMETRIC.map((alg) => newKey(alg, alg)));
  // Beside each key is what may share its name in the field: a key for encryption, a symmetric and a malformed one, and the
  // signing key of somebody else. jose is given the keys alone.
  const others = await Promise.all(ASYMMETRIC.map((alg) => newKey(alg, alg)));
  const beside = keys.flatMap(({ jwk, kid }, n) => [
    { jwk: { ...jwk, use: "enc" } },
    { jwk: { kty: "oct", kid, k: "c2VjcmV0" } },
    { jwk: { kty: "AKP", kid, alg: "ML-DSA-44", pub: "AA" } },
    others[n],
    keys[n],
  ]);
  issuer.publish("/jwks", ...beside);
  sides.APP = { keys, algorithms: ASYMMETRIC, verifier: createLocalJWKSet({ keys: keys.map(({ jwk }) => jwk) }) };
  const secret = newIssuerSecret();
  const bytes = Buffer.from(secret);
  sides.SHARED = {
    keys: SYMMETRIC.map((alg) => ({ alg, kid: alg, privateKey: bytes, jwk: { kty: "oct", k: bytes.toString("base64url") } })),
    algorithms: SYMMETRIC,
    verifier: bytes,
  };
  const table = issuerTable({ algorithms: ASYMMETRIC, jwks_url: `${issuer.url}/jwks`, loopback_origin: issuer.url, leeway: LEEWAY, keys_cooldown: 600 });
  const shared = issuerTable({ algorithms: SYMMETRIC, secret: "PEER_SECRET", leeway: LEEWAY });
  /** @type {Record<string, SiteSettings>} */
  const sites = { APP: { issuers: ["id"] }, SHARED: { issuers: ["shared"] } };
  for (const alg of ["ES256", "RS256", "EdDSA"]) sites[`A${alg.toUpperCase()}`] = { issuers: ["id"], assertion: { algorithm: alg, audience: "origin" } };
  world = await startWorld({ sites, vars: { EDGEWARD_ISSUER_ID: table, EDGEWARD_ISSUER_SHARED: shared, PEER_SECRET: secret } });
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
});

test("jose takes our assertions by each algorithm through our key set, also after a rotation", async () => {
  for (const alg of ["ES256", "RS256", "EdDSA"]) {
    const site = world.site(`A${alg.toUpperCase()}`);
    const front = await startFront(site);
    try {
      const check = async () => {
        const answer = await site.client("/", { bearer: await tokenOf(keys[0]) });
        const assertion = answer.seen.headers.need("x-edgeward-assertion");
        const jwks = createRemoteJWKSet(new URL(`${front.url}/.well-known/jwks.json`));
        const { payload, protectedHeader } = await jwtVerify(assertion, jwks, {
          issuer: "edgeward",
          audience: "origin",
          typ: "assertion+jwt",
          algorithms: [alg],
        });
        assert.equal(payload.email, "anna@example.com");
        return protectedHeader.kid;
      };
      const before = await check();
      const rotated = await site.admin("POST", "/api/sso/keys/rotate");
      assert.equal(rotated.status, 200, String(rotated));
      const ours = rotated.json.keys.filter((/** @type {{ algorithm: string }} */ { algorithm }) => algorithm === alg);
      assert.ok(ours.length >= 2 && ours.some((/** @type {{ kid: string }} */ { kid }) => kid === before), JSON.stringify(ours));
      assert.equal(await check(), before, "the new key signs only when everybody knows it");
    } finally {
      await front.stop();
    }
  }
});

/**
 * A generator of numbers that is the same in every run (mulberry32).
 * @param {number} seed
 */
function generator(seed) {
  let state = seed;
  return (/** @type {number} */ below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** @param {string} text */
const b64 = (text) => Buffer.from(text).toString("base64url");
// None within seconds of the leeway: the two are not asked in the same moment.
const DATES = [0, -1, -100, -40, -20, 20, 40, 100, 86_000, 90_000];
const ODD = [null, true, "", "x", 1, 1.5, -1, 1e300, [], {}, ["app"], ["app", 1], "app", "https://id.example", "https://id.example/"];

/**
 * One change of a token; some are signed again with a real key, some are not.
 * @param {(below: number) => number} random
 * @returns {Promise<[what: string, token: string]>}
 */
async function mutated(random, /** @type {{ keys: Signer[], algorithms: string[] }} */ { keys, algorithms }) {
  /**
   * @template T
   * @param {T[]} list
   */
  const pick = (list) => list[random(list.length)];
  const key = pick(keys);
  const claims = claimsOfIssuer({ jti: `j${random(1e9)}` });
  /** @type {Record<string, unknown>} */
  const header = {};
  const signed = (c = claims, h = header, k = key) => tokenOf(k, c, h);
  switch (random(16)) {
    case 0:
      return ["unchanged", await signed()];
    case 1:
      return ["exp", await signed({ ...claims, exp: now() + pick(DATES) })];
    case 2:
      return ["nbf", await signed({ ...claims, nbf: now() + pick(DATES) })];
    case 3:
      return ["iat", await signed({ ...claims, iat: now() + pick(DATES) })];
    case 4: {
      const name = pick(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "email"]);
      const odd = { ...claims, [name]: pick(ODD) };
      const { SignJWT } = await import("jose");
      try {
        return [`odd ${name}`, await new SignJWT(odd).setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey)];
      } catch {
        return ["unchanged", await signed()];
      }
    }
    case 5: {
      const { [pick(Object.keys(claims))]: _, ...rest } = claims;
      return ["missing claim", await signed(Object.fromEntries(Object.keys(claimsOfIssuer()).map((name) => [name, rest[name]])))];
    }
    case 6:
      return ["another kid", await signed(claims, { kid: pick([...algorithms, "", "x", "RS256 "]) })];
    case 7: {
      const [, body, signature] = (await signed()).split(".");
      return [
        "another alg",
        `${b64(JSON.stringify({ alg: pick([...algorithms, "HS256", "RS256", "none", "None", ""]), kid: pick([key.kid, pick(algorithms)]) }))}.${body}.${signature}`,
      ];
    }
    case 8: {
      const token = await signed();
      const at = random(token.length);
      return ["another letter", token.slice(0, at) + pick([..."AZaz09-_+/=. "]) + token.slice(at + 1)];
    }
    case 9: {
      const token = await signed();
      return ["cut", token.slice(0, random(token.length))];
    }
    case 10: {
      const parts = (await signed()).split(".");
      const bytes = Buffer.from(parts[2], "base64url");
      bytes[random(bytes.length)] ^= 1 << random(8);
      return ["flipped bit", `${parts[0]}.${parts[1]}.${bytes.toString("base64url")}`];
    }
    case 11:
      return ["typ", await signed(claims, { typ: pick(["JWT", "jwt", "at+jwt", "application/jwt", "sso+jwt", "x", ""]) })];
    case 12: {
      const extra = pick([
        { jwk: key.jwk },
        { jku: "https://evil.example" },
        { x5u: "https://evil.example" },
        { x5c: ["AA"] },
        { cty: "JWT" },
        { any: [1] },
        { zip: "DEF" },
      ]);
      return ["extra header", await signed(claims, extra)];
    }
    case 13: {
      const [header, body, signature] = (await signed()).split(".");
      return [
        "shuffled",
        pick([
          `${body}.${header}.${signature}`,
          `${header}.${signature}.${body}`,
          `${header}.${body}`,
          `${header}.${body}.${signature}.`,
          `.${body}.${signature}`,
          `${header}..${signature}`,
          `${header}.${body}.${signature}=`,
          ` ${header}.${body}.${signature}`,
          `${header}.${body}.${signature}.${signature}`,
        ]),
      ];
    }
    case 14: {
      // Signed by the right key over text that is no proper JSON for everybody.
      const { CompactSign } = await import("jose");
      const text = pick(['{"iss":"x",', '{"exp":1,', '{"sub":"a","sub":"b",', '{"x":1,"x":2,']) + JSON.stringify(claims).slice(1);
      return ["named twice", await new CompactSign(Buffer.from(text)).setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey)];
    }
    default:
      return ["verification of the address", await signed({ ...claims, email_verified: pick([false, "true", 1, null]) })];
  }
}

const JOSE = { issuer: "https://id.example", audience: "app", clockTolerance: LEEWAY, requiredClaims: ["exp", "iat", "email"] };

/**
 * Why we refuse what jose takes; `undefined` when nothing of it is known to be so. We are never the laxer one.
 * @param {string} token
 */
function explanation(token) {
  const [head, body] = token.split(".");
  const header = decodeProtectedHeader(token);
  const text = Buffer.from(body, "base64url").toString();
  const claims = JSON.parse(text);
  /** @param {unknown} value */
  const whole = (value) => typeof value === "number" && value >= 0 && value <= 2 ** 53;
  if (namesTwice(Buffer.from(head, "base64url").toString()) || namesTwice(text)) return "a member is named twice";
  if (/[^\w.-]/.test(token) || [head, body, token.split(".")[2]].some((part) => Buffer.from(part, "base64url").toString("base64url") !== part))
    return "not strict base64url";
  if (header.typ !== undefined && !/^(application\/)?jwt$/i.test(header.typ)) return "a type that the issuer's tokens do not have";
  if ("zip" in header || "b64" in header) return "a header that changes what is signed";
  if (!whole(claims.exp) || !whole(claims.iat) || (claims.nbf !== undefined && !whole(claims.nbf))) return "a date that is none";
  if (claims.iat > now() + LEEWAY - 2) return "issued in the future";
  if (claims.exp - claims.iat > 86_400 || claims.exp < claims.iat) return "lives too long, or not at all";
  if (claims.email_verified !== true || typeof claims.email !== "string" || !/^[^@\s]+@[^@\s]+$/.test(claims.email)) return "no verified address";
  if (Array.isArray(claims.aud) && claims.aud.some((/** @type {unknown} */ one) => typeof one !== "string")) return "an audience that is no text";
  return undefined;
}

/**
 * Whether an object of simple members has one of them twice.
 * @param {string} text
 */
function namesTwice(text) {
  const names = [...text.matchAll(/"(\w+)":/g)].map(([, name]) => name);
  return new Set(names).size < names.length && Object.keys(JSON.parse(text)).length < names.length;
}

/**
 * Judges mutated tokens, 40 in a round, here and by jose.
 * @param {TestContext} t
 */
async function compare(t, /** @type {{ name: string, seed: number, rounds: number }} */ { name, seed, rounds }) {
  const random = generator(seed);
  const site = world.site(name);
  const side = sides[name];
  const { algorithms, verifier } = side;
  for (const key of side.keys) assert.equal((await site.client("/", { bearer: await tokenOf(key) })).status, 200, key.alg);
  const counts = { both: 0, neither: 0 };
  /** @type {Record<string, number>} */
  const explained = {};
  const unexplained = [];
  for (let round = 0; round < rounds; round++) {
    const batch = await Promise.all(Array.from({ length: 40 }, () => mutated(random, side)));
    const answers = await Promise.all(
      batch.map(async ([what, token]) => {
        const judged = () =>
          // White space around it is the header's (RFC 9110 §11.4), and never reaches a verifier.
          jwtVerify(token.trim(), verifier, { ...JOSE, algorithms }).then(
            () => true,
            () => false,
          );
        // Where the verdict changes with the second, either one is right.
        const earlier = await judged();
        const answer = await site.client("/", { headers: { Authorization: `Bearer ${token}` } });
        const later = await judged();
        assert.ok([200, 401].includes(answer.status), `${what}: ${answer}`);
        const ours = answer.status === 200;
        return { what, token, ours, theirs: earlier === later ? later : ours };
      }),
    );
    for (const { what, token, ours, theirs } of answers) {
      if (ours === theirs) counts[ours ? "both" : "neither"]++;
      else {
        const why = theirs ? explanation(token) : undefined;
        if (why) explained[why] = (explained[why] ?? 0) + 1;
        else unexplained.push(`${what}: ${ours ? "we take it" : "jose takes it"}: ${token}`);
      }
    }
  }
  t.diagnostic(JSON.stringify({ ...counts, explained }));
  assert.deepEqual(unexplained, []);
  const all = rounds * 40;
  assert.ok(counts.both > all / 12 && counts.neither > all / 3, JSON.stringify(counts));
}

test("thousands of mutated tokens are judged as jose judges them, and every difference is explained", (t) =>
  compare(t, { name: "APP", seed: 20_260_101, rounds: 60 * TIMES }));

test("a thousand mutated tokens by a shared secret, of HS256, HS384 and HS512, are judged as jose judges them", (t) =>
  compare(t, { name: "SHARED", seed: 20_260_102, rounds: 30 * TIMES }));
