// The pages of Edgeward itself, as a person meets them: by keyboard, in the dark, on a small screen.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { screenshot } from "./lib/browser.mjs";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { BrowserContextOptions, Locator, Page } from "playwright-core" */
/** @import { Stage } from "./lib/stage.mjs" */

const CLOSED = "closed.ward.test";
const LEAVING = "leaving.ward.test";
const LOOPING = "looping.ward.test";
const PORTAL = "portal.other.test";
const BROKEN = "broken.other.test";
const THIRD = "identity.third.test";

describe("the pages of Edgeward", () => {
  /** @type {Stage} */
  let stage;
  /** @type {http.Server} */
  let portal;
  before(async () => {
    stage = await startStage({
      siteNames: [CLOSED, LEAVING, LOOPING],
      applicationNames: [PORTAL, BROKEN, THIRD],
      sites: (network) => ({
        CLOSED: { hosts: [network.host(CLOSED)] },
        LEAVING: { hosts: [network.host(LEAVING)], logout_url: `${network.origin(PORTAL)}/goodbye?return_to=${encodeURIComponent(network.origin(THIRD))}` },
        LOOPING: { hosts: [network.host(LOOPING)], unauthenticated: "login", login_url: `${network.origin(BROKEN)}/login` },
      }),
    });
    portal = http.createServer((request, response) => {
      // A sign-in page that sends everybody back without a token; a log-out page that leads on.
      const returnTo = new URL(request.url ?? "", "http://portal").searchParams.get("return_to");
      if (returnTo) return response.writeHead(303, { Location: returnTo }).end();
      response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>Portal</title><h1>Portal</h1>");
    });
    await once(portal.listen(0, "127.0.0.1"), "listening");
    const { port } = /** @type {AddressInfo} */ (portal.address());
    for (const name of [PORTAL, BROKEN, THIRD]) stage.network.route(name, port);
  });
  after(async () => {
    await stage?.stop();
    portal?.closeAllConnections();
    portal?.close();
  });

  /**
   * A visitor whom a link with a token has signed in.
   * @param {string} name
   * @param {string} host
   * @param {string} email
   * @param {BrowserContextOptions} [options]
   */
  async function signedIn(name, host, email, options) {
    const visitor = await stage.visitor(options);
    await visitor.page.goto(await link(name, host, email));
    await receivedByOrigin(visitor.page);
    return visitor;
  }

  /**
   * @param {string} name
   * @param {string} host
   * @param {string} email
   */
  async function link(name, host, email, path = "/") {
    const token = await stage.world.site(name).issue(email);
    return `${stage.network.origin(host)}${path}?token=${token}`;
  }

  /**
   * Presses Tab until the control has the focus, and checks that one can see it.
   * @param {Page} page
   * @param {Locator} control
   */
  async function tabTo(page, control) {
    await page.locator("body").focus();
    for (let presses = 0; presses < 20; presses++) {
      await page.keyboard.press("Tab");
      if (await control.evaluate((element) => element === document.activeElement)) {
        const { outlineStyle, outlineWidth } = await control.evaluate((element) => {
          const { outlineStyle, outlineWidth } = getComputedStyle(element);
          return { outlineStyle, outlineWidth };
        });
        assert.equal(outlineStyle, "solid");
        assert.ok(parseFloat(outlineWidth) >= 2, outlineWidth);
        return;
      }
    }
    assert.fail("the keyboard does not reach the control");
  }

  /** @param {Page} page */
  const whoAmI = async (page) => (await page.goto(`${stage.network.origin(CLOSED)}/api/sso/me`))?.status();

  test("a refusal is a readable page in the light and in the dark, on a screen of 320 pixels too", async () => {
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      const { page, complaints } = await stage.visitor({ colorScheme, viewport: { width: 320, height: 640 } });
      const answer = await page.goto(`${stage.network.origin(CLOSED)}/private`);
      assert.equal(answer?.status(), 401);
      assert.match(answer?.headers()["content-type"] ?? "", /^text\/html/);
      assert.equal(answer?.headers()["cache-control"], "no-store");
      assert.match(answer?.headers()["content-security-policy"] ?? "", /default-src 'none'.*frame-ancestors 'none'/);
      const facts = await page.evaluate(readPage);
      assert.equal(facts.lang, "en");
      assert.equal(facts.headings, 1);
      assert.equal(facts.scrollWidth, 320, "nothing sticks out on the right");
      assert.ok(facts.contrasts.length >= 3);
      for (const { text, ratio } of facts.contrasts) assert.ok(ratio >= 4.5, `${text}: ${ratio}`);
      assert.equal(facts.dark, colorScheme === "dark");
      await page.getByText("token_missing").waitFor();
      await screenshot(page, `refusal-${colorScheme}-320`);
      await page.setViewportSize({ width: 1000, height: 720 });
      await screenshot(page, `refusal-${colorScheme}`);
      // Chromium itself writes one line for an answer with status 401; a blocked style would be another.
      assert.deepEqual(
        complaints.filter((line) => !/status of 401/.test(line)),
        [],
      );
    }
  });

  test("the keyboard logs out, and the signed-out page follows", async () => {
    const { page, complaints } = await signedIn("CLOSED", CLOSED, "ada@example.com");
    assert.equal(await whoAmI(page), 200);
    await page.goto(`${stage.network.origin(CLOSED)}/api/sso/logout`);
    await screenshot(page, "log-out");
    await tabTo(page, page.locator("form button[type=submit]"));
    await screenshot(page, "log-out-focus");
    await page.keyboard.press("Enter");
    await page.waitForLoadState();
    await page.locator("form").waitFor({ state: "detached" });
    await page.getByRole("heading", { level: 1 }).waitFor();
    await screenshot(page, "signed-out");
    assert.deepEqual(complaints, []);
    assert.deepEqual(await page.context().cookies(), []);
    assert.equal(await whoAmI(page), 401);
    const answer = await page.goto(stage.network.origin(CLOSED));
    assert.equal(answer?.status(), 401);
  });

  test("after logging out the browser goes to the log-out address on another site, and wherever that leads", async () => {
    const { page, complaints } = await signedIn("LEAVING", LEAVING, "ada@example.com");
    await page.goto(`${stage.network.origin(LEAVING)}/api/sso/logout`);
    await page.locator("form button[type=submit]").click();
    await page.waitForURL(`${stage.network.origin(THIRD)}/`);
    assert.deepEqual(complaints, []);
  });

  test("a link for somebody else asks before it changes the user", async () => {
    const { page, complaints } = await signedIn("CLOSED", CLOSED, "ada@example.com");
    await page.goto(await link("CLOSED", CLOSED, "zoe@example.com", "/inbox"));
    await screenshot(page, "user-switch");
    // To stay is the careful choice, so it comes first.
    assert.deepEqual(await page.locator("main .button").allInnerTexts(), ["Stay signed in", "Switch user"]);
    assert.deepEqual(await page.locator("main strong").allInnerTexts(), ["ada@example.com", "zoe@example.com"]);
    await tabTo(page, page.locator("form button[type=submit]"));
    await page.keyboard.press("Enter");
    const seen = await receivedByOrigin(page);
    assert.equal(seen.heading, "Signed in as zoe@example.com");
    assert.equal(page.url(), `${stage.network.origin(CLOSED)}/inbox`);

    await page.goto(await link("CLOSED", CLOSED, "ada@example.com", "/inbox"));
    const stay = page.getByRole("link");
    await tabTo(page, stay);
    await page.keyboard.press("Enter");
    assert.equal((await receivedByOrigin(page)).heading, "Signed in as zoe@example.com");
    assert.deepEqual(complaints, []);
  });

  test("a sign-in that never ends becomes a page that says why", async () => {
    const { page } = await stage.visitor();
    await page.goto(`${stage.network.origin(LOOPING)}/deep?x=1`);
    // What the person can do comes first; the causes are for whoever runs the site.
    await page.getByRole("link", { name: "Try again" }).waitFor();
    assert.equal(await page.locator("main li").first().isVisible(), false);
    const fold = page.locator("summary");
    await tabTo(page, fold);
    await page.keyboard.press("Enter");
    await page.locator("main li").first().waitFor();
    await screenshot(page, "sign-in-loop");
  });
});

/** Runs in the page: what a test wants to know of it. */
function readPage() {
  /** @param {string} color */
  const luminance = (color) => {
    const [red, green, blue] = (color.match(/[\d.]+/g) ?? []).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  /** @param {Element} element */
  const background = (element) => {
    for (let at = /** @type {Element | null} */ (element); at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\)$|transparent/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrasts = [...document.querySelectorAll("header, h1, p, li, a, button, code")].map((element) => {
    const [light, dark] = [getComputedStyle(element).color, background(element)].map(luminance).sort((a, b) => b - a);
    return { text: element.textContent, ratio: (light + 0.05) / (dark + 0.05) };
  });
  return {
    lang: document.documentElement.lang,
    headings: document.querySelectorAll("h1").length,
    scrollWidth: document.documentElement.scrollWidth,
    dark: luminance(background(document.body)) < 0.2,
    contrasts,
  };
}
