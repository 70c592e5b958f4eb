// Signing in with a real OpenID provider (npm oidc-provider) in a real Chromium.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { exportPKCS8 } from "jose";
import { newKey } from "../edge/lib/issuer.mjs";
import { until } from "../edge/lib/world.mjs";
import { freePort } from "../../scripts/lib/processes.mjs";
import { startWebProvider } from "../peers/lib/peers.mjs";
import { assertAccessible } from "./lib/axe.mjs";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { Page } from "playwright-core" */
/** @import { Stage } from "./lib/stage.mjs" */

const APP = "app.ward.test";
const LISTED = "listed.ward.test";
const KEYED = "keyed.ward.test";
const OFFLINE = "offline.ward.test";
/** When a session of that site is due. */
const DUE = 30_000;

describe("a provider in a browser", () => {
  /** @type {Stage} */
  let stage;
  /** @type {Awaited<ReturnType<typeof startWebProvider>>} */
  let provider;
  before(async () => {
    // Nobody listens at the second one.
    const [port, dead] = [await freePort(), await freePort()];
    const key = await newKey("ES256", "client");
    const secret = await exportPKCS8(/** @type {CryptoKey} */ (key.privateKey));
    /** @param {number} port */
    const table = (port) => {
      const issuer = `http://127.0.0.1:${port}`;
      return { preset: "oidc", issuer, loopback_origin: issuer, client_id: "web", userinfo: true, create_users: true, sign_out_at_provider: true };
    };
    /** @param {string} host */
    const site = (host) => ({
      hosts: [host],
      sources: ["session"],
      unauthenticated: "login",
      login: "provider",
      sso_cookie: undefined,
      query: undefined,
    });
    stage = await startStage({
      siteNames: [APP, LISTED, KEYED, OFFLINE],
      applicationNames: [],
      sites: (network) => ({
        APP: { ...site(network.host(APP)), providers: ["id"] },
        OFFLINE: { ...site(network.host(OFFLINE)), providers: ["offline"], session: { idle: 60, absolute: 600 } },
        LISTED: { ...site(network.host(LISTED)), providers: ["id", "other"] },
        KEYED: {
          ...site(network.host(KEYED)),
          providers: ["keyed"],
          rules: [
            { prefix: "/fresh", require: { amr: "provider:keyed", max_age: 60 } },
            { prefix: "/", require: { authenticated: true } },
          ],
        },
      }),
      vars: () => ({
        EDGEWARD_PROVIDER_ID: table(port),
        EDGEWARD_PROVIDER_ID_SECRET: "DEV-ONLY:client/secret of the tests",
        EDGEWARD_PROVIDER_OTHER: { ...table(dead), label: "Sign in with your account" },
        EDGEWARD_PROVIDER_OTHER_SECRET: "x",
        EDGEWARD_PROVIDER_KEYED: { ...table(port), client_id: "keyed", client_auth: "private_key_jwt", key_id: "client" },
        EDGEWARD_PROVIDER_KEYED_SECRET: secret,
        EDGEWARD_PROVIDER_OFFLINE: { ...table(port), client_id: "offline", offline: true, sign_out_at_provider: false },
        EDGEWARD_PROVIDER_OFFLINE_SECRET: "DEV-ONLY:client/secret of the tests",
      }),
    });
    const keyed = { redirectUri: `${stage.network.origin(KEYED)}/api/sso/callback/keyed`, jwk: key.jwk };
    const offline = { redirectUri: `${stage.network.origin(OFFLINE)}/api/sso/callback/offline` };
    provider = await startWebProvider({ port, redirectUri: `${stage.network.origin(APP)}/api/sso/callback/id`, keyed, offline });
  });
  after(async () => {
    await stage?.stop();
    await provider?.stop();
  });

  const url = (/** @type {string} */ path) => `${stage.network.origin(APP)}${path}`;

  /**
   * Signs in at the page of the provider that is open, and agrees.
   * @param {Page} page
   * @param {string} name
   */
  async function signIn(page, name) {
    await enterName(page, name);
    await page.getByRole("button", { name: "Continue" }).click();
  }

  /**
   * The same for a person who has agreed before.
   * @param {Page} page
   * @param {string} name
   */
  async function enterName(page, name) {
    await page.locator("input[name=login]").fill(name);
    await page.locator("input[name=password]").fill("any");
    await page.locator("button[type=submit]").click();
  }

  test("a person signs in, comes back to the page, and is not asked a second time", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(url("/any/path?a=1&b=2"));
    await signIn(page, "ada");
    await page.waitForURL(url("/any/path?a=1&b=2"));
    const received = await receivedByOrigin(page);
    assert.equal(received.header("x-forwarded-email"), "ada@example.com");
    assert.equal(received.header("cookie"), undefined);
    await page.goto(url("/api/sso/login/id?return_to=%2Fagain"));
    await page.waitForURL(url("/again"));
    await context.close();
  });

  test("who cancels is told so, and the button begins again", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(url("/wanted"));
    await page.getByText("Cancel").click();
    await page.getByRole("heading", { name: "Not signed in" }).waitFor();
    await assertAccessible(page, "declined");
    await page.getByRole("link", { name: "Sign in again" }).click();
    await signIn(page, "bob");
    await page.waitForURL(url("/wanted"));
    await context.close();
  });

  test("two tabs both get to where they wanted to go", async () => {
    const { page, context } = await stage.visitor();
    const second = await context.newPage();
    await page.goto(url("/first"));
    await second.goto(url("/second"));
    await signIn(second, "eve");
    await second.waitForURL(url("/second"));
    // The provider's page of the first tab is as good as before.
    await enterName(page, "eve");
    await page.waitForURL(url("/first"));
    await context.close();
  });

  test("a response that was used leads back to the start, with a sentence", async () => {
    const { page, context } = await stage.visitor();
    /** @type {string[]} */
    const seen = [];
    page.on("request", (request) => seen.push(request.url()));
    await page.goto(url("/page"));
    await signIn(page, "kim");
    await page.waitForURL(url("/page"));
    const callback = seen.find((address) => address.startsWith(url("/api/sso/callback/id?"))) ?? assert.fail("no callback");
    await page.goto(callback);
    await page.getByText("was begun in another browser").waitFor();
    await page.getByRole("link", { name: "Sign in again" }).click();
    await page.waitForURL(url("/"));
    await context.close();
  });

  test("who signs out here is signed out at the provider too, and comes back", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(url("/page"));
    await signIn(page, "zoe");
    await page.waitForURL(url("/page"));
    await page.goto(url("/api/sso/logout"));
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Yes, sign me out" }).click();
    await page.getByRole("heading", { name: "Signed out" }).waitFor();
    assert.match(page.url(), /\/api\/sso\/logged-out\/id\?state=/);
    await assertAccessible(page, "signed out");
    // The provider knows nobody any more.
    await page.getByRole("link", { name: "Sign in again" }).click();
    await signIn(page, "zoe");
    await page.waitForURL((address) => address.host === new URL(url("/")).host);
    await context.close();
  });

  test("who declines to share an account is told so, and nobody is signed in", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(url("/declined"));
    await enterName(page, "kim");
    await page.getByRole("button", { name: "Continue" }).waitFor();
    await page.getByText("Cancel").click();
    await page.getByRole("heading", { name: "Not signed in" }).waitFor();
    assert.deepEqual(
      (await context.cookies(url("/"))).filter(({ name }) => name === "__Host-edgeward"),
      [],
    );
    await context.close();
  });

  test("who signs out at the provider is signed out here, by its call", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(url("/page"));
    await signIn(page, "noa");
    await page.waitForURL(url("/page"));
    await page.goto(`${provider.issuer}/session/end`);
    await page.getByRole("button", { name: "Yes, sign me out" }).click();
    await page.getByText("was successful").waitFor();
    await until(async () => {
      await page.goto(url("/page"));
      return new URL(page.url()).origin === provider.issuer;
    });
    await context.close();
  });

  test("a new key of the provider is found at the next sign-in", async () => {
    await provider.rotate();
    const { page, context } = await stage.visitor();
    await page.goto(url("/rotated"));
    await signIn(page, "lin");
    await page.waitForURL(url("/rotated"));
    await context.close();
  });

  test("with a key in place of a secret; a page that asks for a fresh sign-in has the provider ask again, and comes back to it", async () => {
    const at = (/** @type {string} */ path) => `${stage.network.origin(KEYED)}${path}`;
    const { page, context } = await stage.visitor();
    await page.goto(at("/page"));
    await signIn(page, "zoe");
    await page.waitForURL(at("/page"));
    await page.goto(at("/fresh/page?x=1"));
    // The provider knows the browser, and asks all the same.
    await enterName(page, "zoe");
    await page.waitForURL(at("/fresh/page?x=1"));
    assert.equal((await receivedByOrigin(page)).header("x-forwarded-email"), "zoe@example.com");
    await context.close();
  });

  test("a session is renewed with a refresh token that the provider rotates, and ends with the person's account there", async () => {
    const at = (/** @type {string} */ path) => `${stage.network.origin(OFFLINE)}${path}`;
    const { page, context } = await stage.visitor();
    await page.goto(at("/page"));
    await signIn(page, "mia");
    await page.waitForURL(at("/page"));
    assert.deepEqual(await provider.refreshed(), { taken: 0, refused: 0 });
    for (const taken of [1, 2]) {
      await sleep(DUE + 1_000);
      for (const path of ["/a", "/b"]) {
        await page.goto(at(path));
        assert.equal((await receivedByOrigin(page)).header("x-forwarded-email"), "mia@example.com");
      }
      assert.deepEqual(await provider.refreshed(), { taken, refused: 0 });
    }
    await provider.disable("mia");
    await sleep(DUE + 1_000);
    await page.goto(at("/page"));
    assert.equal(new URL(page.url()).origin, provider.issuer);
    assert.deepEqual(await provider.refreshed(), { taken: 2, refused: 1 });
    await context.close();
  });

  test("of several providers there is a list, which is accessible", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(`${stage.network.origin(LISTED)}/page`);
    await page.getByRole("link", { name: "Sign in with Id" }).waitFor();
    await page.getByRole("link", { name: "Sign in with your account" }).waitFor();
    await assertAccessible(page, "list");
    await page.setViewportSize({ width: 320, height: 700 });
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 320);
    await context.close();
  });

  test("a provider that is down is a page that says so, from which one can try again", async () => {
    const { page, context } = await stage.visitor();
    await page.goto(`${stage.network.origin(LISTED)}/page`);
    await page.getByRole("link", { name: "Sign in with your account" }).click();
    await page.getByText("did not answer as it should").waitFor();
    await assertAccessible(page, "down");
    await page.getByRole("link", { name: "Sign in again" }).click();
    await page.getByRole("link", { name: "Sign in with Id" }).waitFor();
    await context.close();
  });
});
