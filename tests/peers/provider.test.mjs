// A real OpenID provider (npm oidc-provider) as an issuer: discovery, rotation under load, and an outage.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorld, until } from "../edge/lib/world.mjs";
import { startProvider } from "./lib/peers.mjs";

/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Provider } from "./lib/peers.mjs" */

/** @type {Provider} */
let provider;
/** @type {World} */
let world;
/** @type {Site} */
let site;
before(async () => {
  provider = await startProvider();
  world = await startWorld({
    sites: { APP: { issuers: ["provider"], sources: ["bearer"], sso_cookie: undefined, query: undefined, custom_headers: { "x-client": "claim:client_id" } } },
    vars: {
      EDGEWARD_ISSUER_PROVIDER: {
        issuer: provider.issuer,
        audience: "app",
        algorithms: ["RS256"],
        typ: "at+jwt",
        discovery_url: `${provider.issuer}/.well-known/openid-configuration`,
        loopback_origin: provider.issuer,
        create_users: true,
        grant_roles: ["editor"],
        keys_cooldown: 1,
      },
    },
  });
  site = world.site("APP");
});
after(async () => {
  await world?.stop();
  await provider?.stop();
});

/** @param {string} token */
const send = async (token) => site.client("/", { bearer: token });

test("its tokens are taken after discovery", async () => {
  const answer = await send(await provider.token());
  assert.equal(answer.status, 200, String(answer));
  assert.deepEqual(
    ["x-forwarded-email", "x-forwarded-groups", "x-client"].map((name) => answer.seen.header(name)),
    ["anna@example.com", "editor", "app"],
  );
});

test("its keys rotate under load without one wrong answer", async () => {
  let stop = false;
  let count = 0;
  const kids = new Set();
  /** @type {string[]} */
  const wrong = [];
  const client = async () => {
    while (!stop) {
      const token = await provider.token();
      kids.add(JSON.parse(Buffer.from(token.split(".")[0], "base64url").toString()).kid);
      for (let again = 0; again < 3; again++) {
        const answer = await send(token);
        count++;
        if (answer.status !== 200) wrong.push(String(answer));
      }
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (let rotation = 0; rotation < 3; rotation++) {
    // The cool-down of the last question must be over; real issuers rotate less often than that.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await provider.rotate();
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  stop = true;
  await Promise.all(clients);
  assert.deepEqual(wrong, []);
  assert.equal(kids.size, 4);
  assert.ok(count > 100, String(count));
});

test("while it is stopped its tokens count, in new isolates too, and unknown keys are nobody's fault", async () => {
  const token = await provider.token();
  assert.equal((await send(token)).status, 200);
  const { keys, port } = provider;
  await provider.stop();
  assert.equal((await send(token)).status, 200);
  await world.restart();
  assert.equal((await send(token)).status, 200, "by KV");
  const [, body, signature] = token.split(".");
  const header = Buffer.from(JSON.stringify({ alg: "RS256", typ: "at+jwt", kid: "unknown" })).toString("base64url");
  assert.equal((await send(`${header}.${body}.${signature}`)).status, 503);
  provider = await startProvider({ port, keys });
  assert.equal((await send(await provider.token())).status, 200);
  await provider.rotate();
  // A new key counts as soon as the cool-down of a second after the failure is over.
  await until(async () => (await send(await provider.token())).status === 200, 2);
  assert.equal((await send(`${header}.${body}.${signature}`)).status, 401);
});
