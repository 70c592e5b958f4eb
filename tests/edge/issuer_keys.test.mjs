// How the Worker comes by the keys of an issuer: over real HTTP, in workerd.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { issuerTable, newKey, startIssuer, tokenOf } from "./lib/issuer.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { ServerResponse } from "node:http" */
/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { SiteSettings, World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Issuer} */
let issuer;
/** Each case has an issuer of its own, so that none is disturbed by another's cool-down. */
const CASES = ["plain", "rotate", "flood", "redirect", "slow", "large", "gone", "missing", "discovery", "other", "der", "restart", "many", "broken", "told"];
before(async () => {
  issuer = await startIssuer();
  /** @type {Record<string, SiteSettings>} */
  const sites = {};
  /** @type {Record<string, unknown>} */
  const vars = {};
  for (const name of CASES) {
    /** @type {Record<string, Record<string, string>>} */
    const own = {
      discovery: { discovery_url: `${issuer.url}/discovery` },
      other: { discovery_url: `${issuer.url}/other` },
      der: { public_key_url: `${issuer.url}/der` },
    };
    const url = own[name] ?? { jwks_url: `${issuer.url}/${name}` };
    vars[`EDGEWARD_ISSUER_${name.toUpperCase()}`] = issuerTable({ algorithms: ["EdDSA"], loopback_origin: issuer.url, ...url });
    sites[name.toUpperCase()] = { issuers: [name] };
  }
  world = await startWorld({ sites, vars, isolates: 1 });
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
});

/** @param {string} path */
const asked = (path) => issuer.requests.filter((url) => url === path).length;
/**
 * @param {string} name
 * @param {IssuerKey} key
 * @param {{ kid?: string }} [header]
 */
const send = async (name, key, header) => world.site(name.toUpperCase()).client("/", { bearer: await tokenOf(key, {}, header) });

test("keys are fetched once, and a new one is asked for at once", async () => {
  const [first, second] = [await newKey("EdDSA", "a"), await newKey("EdDSA", "b")];
  issuer.publish("/plain", first);
  for (let n = 0; n < 5; n++) assert.equal((await send("plain", first)).status, 200);
  assert.equal(asked("/plain"), 1);
  issuer.publish("/plain", first, second);
  assert.equal((await send("plain", second)).status, 200);
  assert.equal((await send("plain", first)).status, 200);
  assert.equal(asked("/plain"), 2);
});

test("many first requests at once share one question, and so do many with a new key", async () => {
  const [first, second] = [await newKey("EdDSA", "a"), await newKey("EdDSA", "b")];
  const { promise: held, resolve: release } = Promise.withResolvers();
  const slowly =
    (/** @type {IssuerKey[]} */ ...keys) =>
    async (/** @type {unknown} */ _, /** @type {ServerResponse} */ response) => {
      await held;
      response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
    };
  issuer.documents.set("/many", slowly(first));
  const cold = Array.from({ length: 20 }, () => send("many", first));
  setTimeout(() => release(undefined), 300);
  for (const answer of await Promise.all(cold)) assert.equal(answer.status, 200, String(answer));
  assert.equal(asked("/many"), 1);
  issuer.publish("/many", first, second);
  const rotated = await Promise.all(Array.from({ length: 20 }, (_, n) => send("many", n % 2 ? second : first)));
  for (const answer of rotated) assert.equal(answer.status, 200, String(answer));
  assert.equal(asked("/many"), 2);
});

test("SEC-24: a flood of unknown keys leads to one question", async () => {
  const key = await newKey("EdDSA", "a");
  issuer.publish("/flood", key);
  assert.equal((await send("flood", key)).status, 200);
  const token = await tokenOf(key);
  const [, claims, signature] = token.split(".");
  const site = world.site("FLOOD");
  const started = Date.now();
  for (let round = 0; round < 100; round++) {
    const flood = Array.from({ length: 100 }, (_, n) => {
      const header = Buffer.from(JSON.stringify({ alg: "EdDSA", kid: `${round}-${n}` })).toString("base64url");
      return site.client("/", { bearer: `${header}.${claims}.${signature}` });
    });
    for (const answer of await Promise.all(flood)) assert.equal(answer.status, 401);
  }
  const coolDowns = 1 + Math.ceil((Date.now() - started) / 10_000);
  assert.ok(asked("/flood") <= 1 + coolDowns, `${asked("/flood")} questions in ${coolDowns} cool-downs`);
  assert.equal((await send("flood", key)).status, 200);
});

test("SEC-25: redirects, long, slow, missing and broken answers are no keys", async () => {
  const key = await newKey("EdDSA", "a");
  const set = JSON.stringify({ keys: [key.jwk] });
  issuer.documents.set("/target", set);
  issuer.documents.set("/redirect", (_, response) => response.writeHead(302, { location: `${issuer.url}/target` }).end(set));
  issuer.documents.set("/large", set + " ".repeat(64 * 1024));
  issuer.documents.set("/broken", (_, response) => {
    response.writeHead(200, { "content-length": 1000 }).write(set);
    setTimeout(() => response.destroy(), 50);
  });
  issuer.documents.set("/slow", (_, response) => response.writeHead(200).write(set.slice(0, 10)));
  for (const name of ["redirect", "large", "missing", "broken", "slow"]) {
    const started = Date.now();
    const answer = await send(name, key);
    assert.equal(answer.status, 503, `${name}: ${answer}`);
    assert.ok(Date.now() - started < 4500, `${name} took ${Date.now() - started} ms`);
  }
  assert.equal(asked("/target"), 0);
  // The log has the host and the cause of each, and nothing of the documents.
  const { host } = new URL(issuer.url);
  const causes = {
    redirect: "status 302, a redirect, which is not followed; configure the URL that it leads to",
    large: "the document is longer than 64 KB",
    missing: "status 404",
    broken: "the connection failed",
    slow: "no answer in time",
  };
  await world.settled();
  const failed = world.events("issuer_keys_failed");
  for (const [name, cause] of Object.entries(causes)) {
    const lines = failed.filter((line) => line.issuer === name);
    assert.deepEqual([...new Set(lines.map(({ reason }) => reason))], [`${host}: ${cause}`]);
  }
});

test("a discovery document leads to the keys, one of another issuer does not", async () => {
  const key = await newKey("EdDSA", "a");
  issuer.publish("/discovered", key);
  issuer.documents.set("/discovery", JSON.stringify({ issuer: "https://id.example", jwks_uri: `${issuer.url}/discovered` }));
  issuer.documents.set("/other", JSON.stringify({ issuer: "https://id.example/", jwks_uri: `${issuer.url}/discovered` }));
  assert.equal((await send("discovery", key)).status, 200);
  assert.equal((await send("other", key)).status, 503);
});

test("a key at a URL may be DER", async () => {
  const key = await newKey("EdDSA", "a");
  issuer.documents.set("/der", Buffer.from(key.pem.replace(/-----[^-]+-----|\s/g, ""), "base64"));
  assert.equal((await send("der", key)).status, 200);
});

test("a new isolate finds the keys in KV when the issuer is gone", async () => {
  const key = await newKey("EdDSA", "a");
  issuer.publish("/restart", key);
  assert.equal((await send("restart", key)).status, 200);
  issuer.documents.delete("/restart");
  await world.restart();
  assert.equal((await send("restart", key)).status, 200);
  assert.equal(asked("/restart"), 1);
});

test("explain tells what is understood of an issuer's keys at this moment, and of a token each check", async (t) => {
  const [good, encrypting] = [await newKey("EdDSA", "good"), await newKey("EdDSA", "encrypting")];
  const set = { keys: [good.jwk, { ...encrypting.jwk, use: "enc" }, { kty: "oct", k: "c2VjcmV0", kid: "shared" }] };
  const admin = (/** @type {object} */ body) => world.site("TOLD").admin("POST", "/api/sso/explain", body);
  const told = async () => (await admin({ issuer: "told" })).json;

  issuer.documents.set("/told", JSON.stringify(set));
  const { usable, host, taken, left_out: left, keys } = await told();
  assert.deepEqual([usable, host, taken, left], [true, new URL(issuer.url).host, 1, 2]);
  assert.deepEqual(
    keys.map((/** @type {{ kid: string, taken: boolean }} */ { kid, taken: one }) => [kid, one]),
    [
      ["good", true],
      ["encrypting", false],
      ["shared", false],
    ],
  );
  issuer.documents.set("/told", (_, response) => response.writeHead(503).end());
  assert.deepEqual(await told().then(({ usable: one, error }) => [one, error]), [false, "status 503"]);
  assert.equal((await admin({ issuer: "nobody" })).status, 404);
  assert.equal((await admin({ issuer: "told", path: "/" })).status, 400);

  // The command shows people the same.
  const front = await startFront(world.site("TOLD"));
  t.after(() => front.stop());
  const run = async () => {
    const env = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() };
    return new Promise((resolve) => {
      execFile(pinnedNode, [at("scripts/admin.mjs"), "try", "--issuer", "told"], { env }, (error, out) => resolve([error?.code ?? 0, out]));
    });
  };
  const [status, out] = await run();
  assert.equal(status, 1, out);
  assert.match(out, /^issuer told: iss .*; algorithms EdDSA\n.* at 127\.0\.0\.1:\d+\nno keys: status 503\n$/);
  issuer.documents.set("/told", JSON.stringify(set));
  const [fine, shown] = await run();
  assert.equal(fine, 0, shown);
  assert.match(shown, /\n {2}taken {5}good: EdDSA\n {2}left out {2}encrypting: .+\n {2}left out {2}shared: .+\nusable: 1 taken, 2 left out\n$/);

  // Nothing of what was shown is kept: the keys are asked for again.
  issuer.documents.set("/told", JSON.stringify(set));
  const before = asked("/told");
  assert.equal((await send("told", good)).status, 200);
  assert.equal(asked("/told"), before + 1);

  const checks = async (/** @type {string} */ token) => {
    const answer = await admin({ path: "/", source: "bearer", token });
    return [answer.json.credential, answer.json.checks.find((/** @type {{ passed: boolean }} */ { passed }) => passed === false)?.check];
  };
  assert.deepEqual(await checks(await tokenOf(good)), ["accepted", undefined]);
  const foreign = await tokenOf(good, { aud: "elsewhere" });
  assert.deepEqual(await checks(foreign), ["refused: the token is for another audience", "aud"]);
  assert.equal((await world.site("TOLD").client("/", { bearer: foreign })).status, 401);
});
