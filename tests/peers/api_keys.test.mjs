// API keys and opaque tokens of others: USSO's endpoint, as its SDK asks it, and a real OpenID provider's introspection.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { startWorld, until } from "../edge/lib/world.mjs";
import { startProvider, startPython } from "./lib/peers.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Provider, Python } from "./lib/peers.mjs" */

const KEY = "uak_of-anna";
/** What USSO's endpoint says of a good key; the SDK reads the same. */
const ANNA = { sub: "anna", tenant_id: "acme", roles: ["editor"], scopes: ["read:posts"], email: "anna@example.com", email_verified: true };

/** @type {{ path: string | undefined, type: string | undefined, body: string }[]} */
const asked = [];
/** @type {{ status: number, headers?: http.OutgoingHttpHeaders, delay?: number }} */
let answer = { status: 200 };
const usso = http.createServer(async (request, response) => {
  let body = "";
  for await (const piece of request) body += piece;
  asked.push({ path: request.url, type: request.headers["content-type"], body });
  const { status, headers, delay } = answer;
  if (delay) await new Promise((resolve) => setTimeout(resolve, delay).unref());
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(ANNA));
});
/** @type {string} */
let url;
/** @type {Provider} */
let provider;
/** @type {Python} */
let python;
/** @type {World} */
let world;

before(async () => {
  await new Promise((resolve) => usso.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {AddressInfo} */ (usso.address());
  url = `http://127.0.0.1:${port}`;
  provider = await startProvider();
  python = await startPython();
  const common = { sso_cookie: undefined, query: undefined, sources: ["bearer", "api_key"] };
  /** @param {string} issuer */
  const table = (issuer) => ({ issuer, audience: "app", algorithms: ["RS256"], loopback_origin: issuer, create_users: true, grant_roles: ["editor"] });
  world = await startWorld({
    sites: { USSO: { ...common, issuers: ["usso"] }, PROVIDER: { ...common, issuers: ["provider"] } },
    vars: {
      CLIENT_SECRET: "DEV-ONLY-client-secret-of-the-tests",
      EDGEWARD_ISSUER_USSO: {
        ...table(url),
        jwks_url: `${url}/jwks`,
        claims: { scopes: "scopes" },
        verify: { url: `${url}/api/sso/v1/apikeys/verify`, form: "usso", ttl: 2 },
      },
      EDGEWARD_ISSUER_PROVIDER: {
        ...table(provider.issuer),
        typ: "at+jwt",
        discovery_url: `${provider.issuer}/.well-known/openid-configuration`,
        verify: { url: `${provider.issuer}/token/introspection`, form: "introspection", client_id: "app", client_secret: "CLIENT_SECRET", ttl: 2 },
      },
    },
  });
});
after(async () => {
  await world?.stop();
  await python?.stop();
  await provider?.stop();
  usso.closeAllConnections();
  usso.close();
});

/** @param {string} key */
const byKey = (key) => world.site("USSO").client("/", { headers: { "x-api-key": key } });

test("USSO's endpoint is asked as its SDK asks it, and says the same of a key", async () => {
  const code = "from usso.api_key import fetch_api_key_data\nuser = fetch_api_key_data(URL, KEY)";
  const read = await python.call("run", { code, names: { URL: `${url}/api/sso/v1/apikeys/verify`, KEY } });
  const response = await byKey(KEY);
  assert.equal(response.status, 200, String(response));
  const [theirs, ours] = asked.splice(0);
  assert.equal(ours.path, theirs.path);
  assert.equal(ours.type, theirs.type);
  assert.deepEqual(JSON.parse(ours.body), JSON.parse(theirs.body));
  assert.equal(response.seen.header("x-forwarded-email"), read.email);
  assert.equal(response.seen.header("x-forwarded-groups"), "editor");
  assert.equal(response.seen.header("x-api-key"), undefined);
});

test("SEC-97: a key that is revoked at USSO ends within ttl, and no redirect or late answer lets one in", async () => {
  assert.equal((await byKey(KEY)).status, 200);
  answer = { status: 401 };
  await until(async () => (await byKey(KEY)).status === 401);
  answer = { status: 302, headers: { location: `${url}/elsewhere` } };
  asked.length = 0;
  assert.equal((await byKey("redirected")).status, 503);
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["/api/sso/v1/apikeys/verify"],
  );
  answer = { status: 200, delay: 6000 };
  assert.equal((await byKey("late")).status, 503);
  answer = { status: 200 };
});

test("an opaque token of the provider is introspected, and ends when it is revoked", async () => {
  const site = world.site("PROVIDER");
  const opaque = await provider.token({ resource: "urn:opaque" });
  assert.ok(!opaque.includes("."), opaque);
  const response = await site.client("/", { bearer: opaque });
  assert.equal(response.status, 200, String(response));
  assert.equal(response.seen.header("x-forwarded-email"), "anna@example.com");
  assert.equal(response.seen.header("authorization"), undefined);
  // Its JWTs are verified by key as before.
  assert.equal((await site.client("/", { bearer: await provider.token() })).status, 200);
  assert.equal((await site.client("/", { bearer: `${opaque}x` })).status, 401);
  await provider.revoke(opaque);
  await until(async () => (await site.client("/", { bearer: opaque })).status === 401);
});

test("SEC-97: no credential of ours reaches an issuer as a key, however it is disguised", async () => {
  const site = world.site("USSO");
  const token = await site.issue("anna@example.com");
  const apiToken = await world.adminToken();
  const encoded = (/** @type {string} */ text) => text.replaceAll(".", "%2E");
  const disguised = [token, apiToken].flatMap((secret) => [
    secret,
    `x${secret}`,
    `${secret} `,
    `key ${secret}`,
    `Bearer ${secret}`,
    `k=${encoded(secret)}`,
    `${secret}.x`,
  ]);
  const before = asked.length;
  for (const text of disguised) {
    assert.equal((await byKey(text)).status, 401);
    await site.client("/", { bearer: text });
  }
  const bodies = asked.slice(before).map(({ body }) => decodeURIComponent(body));
  for (const secret of [token, apiToken])
    assert.deepEqual(
      bodies.filter((body) => body.includes(secret) || body.includes(encoded(secret))),
      [],
    );
});
