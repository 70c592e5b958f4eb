// Passkeys in Chromium, whose virtual authenticators (CDP, WebAuthn domain) make and use them as real ones do.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible } from "./lib/axe.mjs";
import { receivedByOrigin } from "./lib/stage.mjs";
import { GATEWAY, heading, signIn, startGatewayStage } from "./lib/gateway.mjs";

/** @import { CDPSession, Page } from "playwright-core" */
/** @import { GatewayStage } from "./lib/gateway.mjs" */

/** @typedef {{ cdp: CDPSession, authenticatorId: string }} Device */
/** @typedef {Awaited<ReturnType<typeof credentialsOf>>[number]} Credential */

const HOME = "home.ward.test";
const BUTTON = { name: "Sign in with a passkey" };
const REFUSED = "The passkey was not accepted. Try again.";

/**
 * Gives the page a device with passkeys. `isPresent`: whether somebody touches it whenever it asks.
 * @param {Page} page
 * @param {{ isPresent?: boolean, isSynced?: boolean }} [options]
 * @returns {Promise<Device>}
 */
async function addDevice(page, { isPresent = true, isSynced = true } = {}) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable", { enableUI: false });
  const options = {
    protocol: /** @type {const} */ ("ctap2"),
    transport: /** @type {const} */ ("internal"),
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: isPresent,
    defaultBackupEligibility: isSynced,
    defaultBackupState: isSynced,
  };
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  return { cdp, authenticatorId };
}

/** @param {Device} device */
const credentialsOf = async ({ cdp, authenticatorId }) => (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials;

/**
 * Copies what one device has onto another.
 * @param {Device} device
 * @param {Credential[]} credentials
 */
async function put({ cdp, authenticatorId }, credentials) {
  for (const credential of credentials) await cdp.send("WebAuthn.addCredential", { authenticatorId, credential });
}

/** @param {Device} device @param {boolean} enabled */
const touch = ({ cdp, authenticatorId }, enabled) => cdp.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled });

/**
 * The answer to the next sign-in.
 * @param {Page} page
 */
const firstSignIn = (page) => page.waitForResponse((response) => response.request().method() === "POST" && new URL(response.url()).pathname === "/login/");

describe("passkeys in a browser", () => {
  /** @type {GatewayStage} */
  let stage;
  before(async () => {
    const rules = [
      { prefix: "/admin", require: { amr: "passkey", max_age: 300 } },
      { prefix: "/", require: { authenticated: true } },
    ];
    stage = await startGatewayStage({ sites: { HOME }, names: [], settings: { passkeys: {} }, vars: { EDGEWARD_RULES_HOME: rules } });
  });
  after(() => stage?.stop());

  /**
   * A person at the account page, who has added a passkey.
   * @param {{ isSynced?: boolean }} [options]
   */
  async function withPasskey(options = {}) {
    const person = await stage.person();
    const { page, context } = await stage.visitor();
    // While the person types, nobody touches the device.
    const device = await addDevice(page, { ...options, isPresent: false });
    await page.goto(`${stage.url}/login/`);
    await signIn(page, person);
    await heading(page, "Your account");
    await touch(device, true);
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByRole("button", { name: "Rename" }).waitFor();
    await touch(device, false);
    return { person, page, context, device, credentials: await credentialsOf(device) };
  }

  /**
   * Another browser with a device that has these passkeys.
   * @param {Credential[]} credentials
   */
  async function elsewhere(credentials) {
    const { page } = await stage.visitor();
    const device = await addDevice(page, { isPresent: false });
    await put(device, credentials);
    return { page, device };
  }

  test("one is added, named and listed; the page is accessible and has no other script", async () => {
    const { page, device, credentials } = await withPasskey();
    assert.equal(credentials.length, 1);
    assert.equal(credentials[0].rpId, GATEWAY);
    assert.equal(Buffer.from(credentials[0].userHandle ?? "", "base64").length, 32);
    await page.getByText("synced").waitFor();
    await page.getByRole("textbox", { name: "Name" }).fill("My phone");
    await page.getByRole("button", { name: "Rename" }).click();
    await page.getByText("My phone").waitFor();
    for (const width of [320, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      await assertAccessible(page, `account with passkeys at ${width}`);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `something sticks out at ${width}`);
    }
    const blocked = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
      return !("ran" in window);
    });
    assert.ok(blocked);
    // The same device makes no second one for the same person.
    await touch(device, true);
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByText(REFUSED).waitFor();
  });

  test("it signs in by the button, on the way to a site", async () => {
    const { credentials, person } = await withPasskey();
    const { page, device } = await elsewhere(credentials);
    await page.goto(`${stage.network.origin(HOME)}/hello`);
    await page.getByRole("button", BUTTON).waitFor();
    await assertAccessible(page, "sign-in with a passkey");
    await touch(device, true);
    await page.getByRole("button", BUTTON).click();
    await page.waitForURL(`${stage.network.origin(HOME)}/hello`);
    await page.getByText(person.email).first().waitFor();
  });

  test("it signs in by autofill, without a click on the button", async () => {
    const { credentials } = await withPasskey();
    const { page, device } = await elsewhere(credentials);
    await touch(device, true);
    await page.goto(`${stage.url}/login/`);
    await heading(page, "Your account");
    await page.getByText("last used").waitFor();
  });

  test("a second device has its own, and a removed one is refused and forgotten", async () => {
    const { page, device, credentials } = await withPasskey();
    const second = await elsewhere(credentials);
    await touch(second.device, true);
    await second.page.goto(`${stage.url}/login/`);
    await heading(second.page, "Your account");
    // A device of another kind, which has none yet, makes one of its own.
    await device.cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId: device.authenticatorId });
    const third = await addDevice(page, { isSynced: false });
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByText("on one device").waitFor();
    const [own] = await credentialsOf(third);
    assert.notEqual(own.credentialId, credentials[0].credentialId);
    await touch(third, false);
    const rows = page.locator("li", { hasText: "on one device" });
    await rows.getByRole("button", { name: "Remove" }).click();
    await page.getByText("on one device").waitFor({ state: "detached" });
    // Told by the page, the device has forgotten it.
    await assert.doesNotReject(async () => {
      for (let tries = 0; tries < 50 && (await credentialsOf(third)).length > 0; tries++) await new Promise((done) => setTimeout(done, 100));
    });
    assert.deepEqual(await credentialsOf(third), []);
    const stale = await elsewhere([own]);
    const answer = firstSignIn(stale.page);
    await touch(stale.device, true);
    await stale.page.goto(`${stage.url}/login/`);
    assert.equal((await answer).status(), 400);
    await touch(stale.device, false);
    await stale.page.getByRole("alert").filter({ hasText: REFUSED }).waitFor();
    await stale.page.getByText("passkey_invalid").waitFor();
  });

  test("without user verification it does not sign in, and the password does", async () => {
    const { credentials, person } = await withPasskey();
    const { page, device } = await elsewhere(credentials);
    await device.cdp.send("WebAuthn.setUserVerified", { authenticatorId: device.authenticatorId, isUserVerified: false });
    await page.goto(`${stage.url}/login/`);
    await touch(device, true);
    await page.getByRole("button", BUTTON).click();
    await page.getByText(REFUSED).waitFor();
    assert.equal(new URL(page.url()).pathname, "/login/");
    await touch(device, false);
    await signIn(page, person);
    await heading(page, "Your account");
  });

  test("a copy with an old counter is refused", async () => {
    const { device, credentials } = await withPasskey({ isSynced: false });
    const { page, device: original } = await elsewhere(await credentialsOf(device));
    await touch(original, true);
    await page.goto(`${stage.url}/login/`);
    await heading(page, "Your account");
    const copy = await elsewhere([{ ...credentials[0], signCount: 0 }]);
    // Somebody touches it again and again until it has caught up; the first time decides.
    const answer = firstSignIn(copy.page);
    await touch(copy.device, true);
    await copy.page.goto(`${stage.url}/login/`);
    assert.equal((await answer).status(), 400);
  });

  test("a page that asks for one has a person sign in once more with it, and comes back to where the person was", async () => {
    const { page, device, person, context } = await withPasskey();
    await page.goto(`${stage.network.origin(HOME)}/page`);
    await page.waitForURL(`${stage.network.origin(HOME)}/page`);
    const wanted = `${stage.network.origin(HOME)}/admin/users?sort=name&dir=%2F`;
    await page.goto(wanted);
    await page.getByText("Sign in once more").waitFor();
    assert.equal(new URL(page.url()).host, new URL(stage.url).host);
    assert.equal(await page.getByLabel("Password", { exact: true }).count(), 0);
    await assertAccessible(page, "sign in once more");
    await touch(device, true);
    await page.getByRole("button", BUTTON).click();
    await page.waitForURL(wanted);
    await touch(device, false);
    const received = await receivedByOrigin(page);
    assert.equal(received.header("x-forwarded-email"), person.email);
    // It counts for the next page as well.
    await page.goto(`${stage.network.origin(HOME)}/admin/`);
    await page.waitForURL(`${stage.network.origin(HOME)}/admin/`);
    await context.close();
  });

  test("without JavaScript the button is absent, and the password form works", async () => {
    const person = await stage.person();
    const { page } = await stage.visitor({ javaScriptEnabled: false });
    await page.goto(`${stage.url}/login/`);
    assert.equal(await page.getByRole("button", BUTTON).count(), 0);
    await signIn(page, person);
    await heading(page, "Your account");
    assert.equal(await page.getByRole("button", { name: "Add a passkey" }).count(), 0);
  });
});
