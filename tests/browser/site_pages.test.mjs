// Every page of a site as people see it, in the languages that there are.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { at } from "../../scripts/lib/project.mjs";
import { look } from "./lib/look.mjs";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { BrowserContextOptions, Page } from "playwright-core" */
/** @import { Stage } from "./lib/stage.mjs" */

const HOME = "home.ward.test";
const AWAY = "away.ward.test";
const DOWN = "down.ward.test";
const UNKNOWN = "unknown.ward.test";
const PORTAL = "portal.other.test";
const LANGUAGES = readdirSync(at("www/texts")).map((file) => file.replace(".txt", ""));

describe("the pages of a site", () => {
  /** @type {Stage} */
  let stage;
  before(async () => {
    stage = await startStage({
      siteNames: [HOME, AWAY, DOWN, UNKNOWN],
      applicationNames: [PORTAL],
      sites: (network) => ({
        HOME: {
          hosts: [network.host(HOME)],
          name: "The Wiki of a Society with a Long Name",
          contact: "help@example.com",
          accent: "#7a1fa2",
          unauthenticated: undefined,
          rules: [
            { prefix: "/staff", require: { role: "staff" } },
            { prefix: "/", require: { authenticated: true } },
          ],
        },
        AWAY: { hosts: [network.host(AWAY)], unauthenticated: "login", login_url: `${network.origin(PORTAL)}/login` },
        DOWN: { hosts: [network.host(DOWN)], upstream: "http://127.0.0.1:9", unauthenticated: "pass" },
      }),
    });
    stage.network.route(PORTAL, stage.world.entryPort);
  });
  after(() => stage?.stop());

  /** @param {string} email */
  const token = (email) => stage.world.site("HOME").issue(email);

  /**
   * @param {string} email
   * @param {BrowserContextOptions} [options]
   */
  async function signedIn(email, options) {
    const { page } = await stage.visitor(options);
    await page.goto(`${stage.network.origin(HOME)}/?token=${await token(email)}`);
    await receivedByOrigin(page);
    return page;
  }

  /** @param {Page} page */
  const buttons = (page) => page.locator("main .button").allInnerTexts();

  test("somebody who is not signed in", async () => {
    const { page } = await stage.visitor();
    await page.goto(`${stage.network.origin(HOME)}/a`);
    assert.equal(await page.title(), "Please sign in · The Wiki of a Society with a Long Name");
    await page.getByRole("link", { name: "help@example.com" }).waitFor();
    await look(page, "site-refusal");
    await page.goto(`${stage.network.origin(HOME)}/api/sso`);
    assert.equal(page.url(), `${stage.network.origin(HOME)}/api/sso/me`);
    await look(page, "site-me-nobody");
    await page.goto(`${stage.network.origin(HOME)}/api/sso/logout`);
    await page.getByText("You are not signed in.").waitFor();
    assert.equal(await page.locator("form").count(), 0);
    await look(page, "site-sign-out-nobody");
    await page.goto(`${stage.network.origin(AWAY)}/a?edgeward_attempt=3`);
    await page.locator("summary").click();
    await look(page, "site-loop");
  });

  test("somebody who is not allowed is told as whom, and can be somebody else", async () => {
    const page = await signedIn("ada@example.com");
    await page.goto(`${stage.network.origin(HOME)}/staff/a`);
    assert.deepEqual(await page.locator("main strong").allInnerTexts(), ["ada@example.com"]);
    assert.deepEqual(await buttons(page), ["Go to the start page", "Not you? Sign out"]);
    await look(page, "site-forbidden");
    await page.getByRole("link", { name: "Not you? Sign out" }).click();
    await page.getByRole("heading", { name: "Sign out?" }).waitFor();
    await look(page, "site-sign-out");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Signed out" }).waitFor();
    await look(page, "site-signed-out");
  });

  test("who am I, and a link for somebody else", async () => {
    const page = await signedIn("ada@example.com");
    await page.goto(`${stage.network.origin(HOME)}/api/sso/me`);
    await page.getByText("Signed in until").waitFor();
    await look(page, "site-me");
    await page.goto(`${stage.network.origin(HOME)}/?token=${await token("zoe@example.com")}`);
    assert.deepEqual(await buttons(page), ["Stay signed in", "Switch user"]);
    await look(page, "site-switch");
  });

  test("an application that does not answer can be asked again, and an unknown address is said to be one", async () => {
    const { page } = await stage.visitor();
    await page.goto(`${stage.network.origin(DOWN)}/a?b=1`);
    assert.deepEqual(await buttons(page), ["Try again"]);
    await look(page, "site-unreachable");
    await Promise.all([page.waitForNavigation(), page.getByRole("link", { name: "Try again" }).click()]);
    assert.equal(page.url(), `${stage.network.origin(DOWN)}/a?b=1`);
    await page.goto(`${stage.network.origin(UNKNOWN)}/`);
    await look(page, "site-unknown-host");
    await page.goto(`${stage.network.origin(HOME)}/a%00b`);
    assert.deepEqual(await buttons(page), ["Go to the start page"]);
    await look(page, "site-bad-request");
  });

  test("each language is that of its page, which fits a small screen", async () => {
    assert.deepEqual(LANGUAGES.sort(), ["de", "en", "es", "fr", "ja", "ko", "pt", "zh"]);
    const titles = new Set();
    for (const language of LANGUAGES) {
      const page = await signedIn("ada@example.com", { locale: language });
      await page.goto(`${stage.network.origin(HOME)}/staff/a`);
      assert.equal(await page.evaluate(() => document.documentElement.lang), language);
      titles.add(await page.title());
      await look(page, `site-forbidden-${language}`);
      await page.context().close();
    }
    assert.equal(titles.size, LANGUAGES.length);
  });
});
