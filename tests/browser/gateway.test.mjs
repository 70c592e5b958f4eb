// The SSO gateway in a real Chromium: one sign-in for sites and services on host names that have nothing in common, and
// one sign-out.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { until } from "../edge/lib/world.mjs";
import { GATEWAY, heading, signIn, startGatewayStage } from "./lib/gateway.mjs";
import { receivedByOrigin } from "./lib/stage.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { BrowserContextOptions, Locator, Page } from "playwright-core" */
/** @import { GatewayStage, Person } from "./lib/gateway.mjs" */

const HOME = "home.ward.test";
const DESK = "desk.other.test";
const WIKI = "wiki.third.test";
const SHOP = "shop.fourth.test";
const PORTAL = "portal.fifth.test";
const STRANGER = "stranger.sixth.test";
/**
 * An address below each host that only people who are signed in can see.
 * @type {Record<string, string>}
 */
const DEEP = { [HOME]: "/any/path?a=1&b=2", [DESK]: "/inbox", [WIKI]: "/reports/7", [SHOP]: "/reports/8" };
const HOSTS = Object.keys(DEEP);

describe("the gateway in a browser", () => {
  /** @type {GatewayStage} */
  let stage;
  /** @type {http.Server} */
  let framing;
  before(async () => {
    stage = await startGatewayStage({ sites: { HOME, DESK }, names: [WIKI, SHOP, PORTAL, STRANGER], portal: PORTAL });
    await stage.startService(WIKI, { name: "Wiki" });
    await stage.startService(SHOP, { name: "Shop" });
    framing = http.createServer((_, response) => {
      const page = `<!doctype html><title>Frame</title><h1>Frame</h1><iframe title="Sign-in" width="500" height="500" src="${stage.url}/login/"></iframe>`;
      response.writeHead(200, { "Content-Type": "text/html" }).end(page);
    });
    await once(framing.listen(0, "127.0.0.1"), "listening");
    for (const name of [PORTAL, STRANGER]) stage.network.route(name, /** @type {AddressInfo} */ (framing.address()).port);
  });
  after(async () => {
    await stage?.stop();
    framing?.closeAllConnections();
    framing?.close();
  });

  /** @param {string} host */
  const deep = (host) => `${stage.network.origin(host)}${DEEP[host]}`;

  /**
   * Who is signed in, as the page at the deep link shows it; fails if there is another page.
   * @param {Page} page
   * @param {string} host
   */
  async function shownBy(page, host) {
    await page.waitForURL(deep(host));
    if (host === WIKI || host === SHOP) return page.locator("p b").textContent();
    return (await receivedByOrigin(page)).heading?.replace("Signed in as ", "");
  }

  /**
   * Opens all four, of which the first one asks to sign in.
   * @param {Page} page
   * @param {Person} person
   */
  async function signInEverywhere(page, person) {
    for (const [at, host] of HOSTS.entries()) {
      await page.goto(deep(host));
      if (at === 0) await signIn(page, person);
      assert.equal(await shownBy(page, host), person.email);
    }
  }

  /**
   * @param {Page} page
   * @param {string} host
   */
  async function isSignedOut(page, host) {
    await page.goto(deep(host));
    return new URL(page.url()).host === new URL(stage.url).host && (await page.getByLabel("Password", { exact: true }).count()) === 1;
  }

  /** @param {string[]} addresses */
  function assertNoToken(addresses) {
    assert.ok(addresses.length > 0);
    for (const address of addresses) assert.doesNotMatch(address, /eyJ|ewt_|whsec_/);
  }

  /**
   * Presses Tab until the control has the focus, and checks that one can see it.
   * @param {Page} page
   * @param {Locator} control
   */
  async function tabTo(page, control) {
    for (let presses = 0; presses < 20; presses++) {
      await page.keyboard.press("Tab");
      if (!(await hasFocus(control))) continue;
      assert.equal(await control.evaluate((element) => getComputedStyle(element).outlineStyle), "solid");
      return;
    }
    assert.fail("the keyboard does not reach the control");
  }

  /** @param {Locator} control */
  const hasFocus = (control) => control.evaluate((element) => element === document.activeElement);

  for (const [name, options] of /** @type {[string, BrowserContextOptions][]} */ ([
    ["", {}],
    [", with JavaScript switched off", { javaScriptEnabled: false }],
  ])) {
    test(`one sign-in opens two sites and two services on four host names, and deep links survive${name}`, async () => {
      const person = await stage.person();
      const { page, context, addresses, complaints } = await stage.visitor(options);
      await signInEverywhere(page, person);
      const cookies = await context.cookies();
      for (const host of [GATEWAY, HOME, DESK]) {
        const session = cookies.find(({ domain, name }) => domain === host && name === "__Host-edgeward");
        assert.deepEqual([session?.httpOnly, session?.secure, session?.sameSite], [true, true, "Lax"], host);
      }
      assertNoToken(addresses);
      assert.equal(addresses.filter((address) => address.startsWith(`${stage.url}/login/?`)).length, HOSTS.length);
      assert.deepEqual(complaints, []);
    });
  }

  for (const first of HOSTS) {
    test(`whichever of them is first asks, and no other does: ${first}`, async () => {
      const person = await stage.person();
      const { page } = await stage.visitor();
      await page.goto(deep(first));
      await signIn(page, person);
      assert.equal(await shownBy(page, first), person.email);
      for (const host of HOSTS) {
        await page.goto(deep(host));
        assert.equal(await shownBy(page, host), person.email);
      }
    });
  }

  test("a sign-out at the gateway ends all four, and those of the person's other browser", async () => {
    const person = await stage.person();
    const [{ page, addresses, complaints }, other] = [await stage.visitor(), await stage.visitor()];
    await signInEverywhere(page, person);
    await signInEverywhere(other.page, person);
    await page.goto(`${stage.url}/logout/`);
    await heading(page, "Sign out everywhere?");
    await page.getByRole("button", { name: "Sign out" }).click();
    await heading(page, "Signed out");
    for (const visitor of [page, other.page]) {
      for (const host of HOSTS) await until(() => isSignedOut(visitor, host));
    }
    assertNoToken(addresses);
    assert.deepEqual(complaints, []);
  });

  test("a sign-out at a service ends all four", async () => {
    const person = await stage.person();
    const { page, addresses } = await stage.visitor();
    await signInEverywhere(page, person);
    await page.goto(`${stage.network.origin(WIKI)}/`);
    await page.getByRole("button", { name: "Sign out everywhere" }).click();
    await page.getByText("You are not signed in").waitFor();
    for (const host of HOSTS) await until(() => isSignedOut(page, host));
    await page.goto(`${stage.url}/account/`);
    await heading(page, "Sign in");
    assertNoToken(addresses);
  });

  test("the account page ends one session, or all of them", async () => {
    const person = await stage.person();
    const { page } = await stage.visitor();
    await signInEverywhere(page, person);
    await page.goto(`${stage.url}/account/`);
    await heading(page, "Your account");
    const rows = page.getByRole("listitem").filter({ has: page.getByRole("button") });
    assert.equal(await rows.count(), 3, "the gateway and two sites");
    await rows.filter({ hasText: HOME }).getByRole("button").click();
    await until(async () => (await rows.count()) === 2);
    // The gateway's session is still there: the site is entered again without a form.
    await page.goto(deep(HOME));
    assert.equal(await shownBy(page, HOME), person.email);
    await page.goto(`${stage.url}/account/`);
    await page.getByRole("button", { name: "End all sessions" }).click();
    await heading(page, "Sign in");
    for (const host of HOSTS) await until(() => isSignedOut(page, host));
  });

  test("the keyboard alone signs in and out", async () => {
    const person = await stage.person();
    const { page, complaints } = await stage.visitor();
    await page.goto(deep(WIKI));
    await until(() => hasFocus(page.getByLabel("E-mail address")));
    await page.keyboard.type(person.email);
    await tabTo(page, page.getByLabel("Password", { exact: true }));
    await page.keyboard.type(person.password);
    await tabTo(page, page.getByRole("button", { name: "Sign in" }));
    await page.keyboard.press("Enter");
    assert.equal(await shownBy(page, WIKI), person.email);

    await page.goto(`${stage.url}/account/`);
    await tabTo(page, page.getByRole("link", { name: "Change password" }));
    await page.goto(`${stage.url}/logout/`);
    await tabTo(page, page.getByRole("button", { name: "Sign out" }));
    await page.keyboard.press("Enter");
    await heading(page, "Signed out");
    assert.deepEqual(complaints, []);
  });

  test("Enter in a field submits the form", async () => {
    const person = await stage.person();
    const { page } = await stage.visitor();
    await page.goto(deep(HOME));
    await until(() => hasFocus(page.getByLabel("E-mail address")));
    await page.keyboard.type(person.email);
    await page.keyboard.press("Tab");
    await page.keyboard.type(person.password);
    await page.keyboard.press("Enter");
    assert.equal(await shownBy(page, HOME), person.email);
  });

  test("password managers find the name, the password and the new password", async () => {
    const person = await stage.person();
    const { page } = await stage.visitor();
    await page.goto(`${stage.url}/login/`);
    /** @param {string} selector */
    const attributes = (selector) =>
      page.locator(selector).evaluate((/** @type {HTMLInputElement} */ { type, name, autocomplete, value }) => [type, name, autocomplete, value]);
    assert.deepEqual(await attributes("#username"), ["email", "username", "username", ""]);
    assert.deepEqual(await attributes("#password"), ["password", "password", "current-password", ""]);
    assert.equal(await page.locator("form").count(), 1);
    await signIn(page, person);
    await page.getByRole("link", { name: "Change password" }).click();
    assert.deepEqual(await attributes("[name=username]"), ["text", "username", "username", person.email]);
    assert.deepEqual(await attributes("#current"), ["password", "current", "current-password", ""]);
    assert.deepEqual(await attributes("#new"), ["password", "new", "new-password", ""]);
  });

  test("after a wrong password the page says so, and the focus is where to try again", async () => {
    const person = await stage.person();
    const { page } = await stage.visitor();
    await page.goto(deep(SHOP));
    await signIn(page, person, "not this one");
    const alert = page.getByRole("alert");
    await alert.waitFor();
    const password = page.getByLabel("Password", { exact: true });
    assert.equal(await password.getAttribute("aria-describedby"), await alert.getAttribute("id"));
    assert.equal(await password.getAttribute("aria-invalid"), "true");
    await until(() => hasFocus(password));
    assert.equal(await page.getByLabel("E-mail address").inputValue(), person.email, "the name is kept");
    assert.equal(await password.inputValue(), "");
    await page.keyboard.type(person.password);
    await page.keyboard.press("Enter");
    assert.equal(await shownBy(page, SHOP), person.email);
  });

  test("Back after a sign-in asks nobody to sign in again", async () => {
    const person = await stage.person();
    const site = (await stage.visitor()).page;
    await site.goto(deep(HOME));
    await signIn(site, person);
    assert.equal(await shownBy(site, HOME), person.email);
    await site.goBack();
    assert.equal(await shownBy(site, HOME), person.email);

    // A service has used its sign-in up; the page leads on to where the person may go.
    const service = (await stage.visitor()).page;
    await service.goto(deep(WIKI));
    await signIn(service, person);
    assert.equal(await shownBy(service, WIKI), person.email);
    await service.goBack();
    await heading(service, "This sign-in has expired or was used already");
    await service.getByRole("link", { name: "Your account" }).click();
    await service.getByRole("link", { name: "Wiki" }).click();
    await service.getByText(`Signed in as ${person.email}`).waitFor();
  });

  test("Back onto a failed attempt shows it again, whether it was followed by a success or a link, and asks for no second sending", async () => {
    const person = await stage.person();
    const fail = async (/** @type {Page} */ page) => {
      const [answer] = await Promise.all([page.waitForResponse((response) => response.request().method() === "POST"), signIn(page, person, "not this one")]);
      await page.getByRole("alert").waitFor();
      return answer;
    };
    for (const host of [WIKI, HOME]) {
      const { page } = await stage.visitor();
      await page.goto(deep(host));
      assert.equal((await fail(page)).status(), 403);
      await fail(page);
      await signIn(page, person);
      assert.equal(await shownBy(page, host), person.email);
      await page.goBack();
      await page.getByText("is not right").waitFor();
      assert.equal(await page.getByLabel("Password", { exact: true }).inputValue(), "");
      await page.goBack();
      await page.getByText("is not right").waitFor();
      await page.goForward();
      await page.goForward();
      assert.equal(await shownBy(page, host), person.email);
    }
    const { page } = await stage.visitor();
    await page.goto(`${stage.url}/login/`);
    await fail(page);
    await page.goto(`${stage.url}/welcome/`);
    await page.goBack();
    await page.getByText("is not right").waitFor();
    await page.goBack();
    assert.equal(await page.getByRole("alert").count(), 0);
    await page.goForward();
    await page.getByText("is not right").waitFor();
    // An attempt that came too early is 429, and a page as the others.
    /** @type {import("playwright-core").Response} */
    let answer;
    do answer = await fail(page);
    while (answer.status() === 403);
    assert.equal(answer.status(), 429);
    assert.match(answer.headers()["retry-after"], /^[0-9]+$/);
    await page.goto(`${stage.url}/welcome/`);
    await page.goBack();
    await page.getByText("Too many attempts").waitFor();
  });

  test("Back onto a new password that was not taken shows the page again", async () => {
    const person = await stage.person();
    const { page } = await stage.visitor();
    await page.goto(`${stage.url}/login/`);
    await signIn(page, person);
    await heading(page, "Your account");
    await page.getByRole("link", { name: "Change password" }).click();
    await page.getByLabel("Current password").fill(person.password);
    await page.getByLabel("New password").fill("password1");
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByRole("alert").waitFor();
    await page.goto(`${stage.url}/welcome/`);
    await page.goBack();
    await page.getByRole("alert").waitFor();
    for (const field of await page.locator("input[type=password]").all()) assert.equal(await field.inputValue(), "");
    assert.ok(!(await page.content()).includes("password1"));
  });

  test("two tabs sign in, in either order, and each goes to its own page", async () => {
    const person = await stage.person();
    const { page, context } = await stage.visitor();
    const second = await context.newPage();
    const third = await context.newPage();
    await page.goto(deep(WIKI));
    await second.goto(deep(SHOP));
    await third.goto(deep(HOME));
    for (const [tab, host] of /** @type {[Page, string][]} */ ([
      [second, SHOP],
      [page, WIKI],
      [third, HOME],
    ])) {
      await signIn(tab, person);
      assert.equal(await shownBy(tab, host), person.email);
    }
  });

  test("two tabs of one service finish both", async () => {
    const person = await stage.person();
    const { page, context } = await stage.visitor();
    const second = await context.newPage();
    await page.goto(deep(WIKI));
    await second.goto(`${stage.network.origin(WIKI)}/reports/9`);
    await signIn(page, person);
    assert.equal(await shownBy(page, WIKI), person.email);
    await second.reload();
    await second.waitForURL(`${stage.network.origin(WIKI)}/reports/9`);
    assert.equal(await second.locator("p b").textContent(), person.email);
  });

  test("only an application on the list may show the page in a frame", async () => {
    for (const [host, isShown] of /** @type {const} */ ([
      [PORTAL, true],
      [STRANGER, false],
    ])) {
      const { page, complaints } = await stage.visitor();
      await page.goto(stage.network.origin(host));
      const field = page.frameLocator("iframe").getByLabel("Password", { exact: true });
      if (isShown) await field.waitFor();
      else await until(() => complaints.some((text) => /frame-ancestors/.test(text)));
      assert.equal(await field.count(), isShown ? 1 : 0);
    }
  });
});
