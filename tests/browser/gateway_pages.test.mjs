// Every page of the gateway as people see it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { heading, signIn, startGatewayStage } from "./lib/gateway.mjs";
import { look } from "./lib/look.mjs";

/** @import { Page } from "playwright-core" */
/** @import { GatewayStage, Person } from "./lib/gateway.mjs" */

const HOME = "home.ward.test";
const WIKI = "wiki.third.test";
const DOWN = "down.fourth.test";
const CLOSED = "closed.fifth.test";
const LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenverwaltung und Umgebung";

describe("the gateway's pages", () => {
  /** @type {GatewayStage} */
  let stage;
  /** @type {Person} */
  let person;
  before(async () => {
    stage = await startGatewayStage({ sites: { HOME }, names: [WIKI, DOWN, CLOSED] });
    await stage.startService(WIKI, { name: "Wiki" });
    await stage.startService(CLOSED, { name: LONG, access: { roles: ["editor"] } });
    person = await stage.person();
  });
  after(() => stage?.stop());

  /** @param {Page} page */
  const openWiki = (page) => page.goto(`${stage.network.origin(WIKI)}/reports/7`);

  /** @param {Person} someone */
  async function signedIn(someone) {
    const { page } = await stage.visitor();
    await page.goto(`${stage.url}/login/`);
    await signIn(page, someone);
    await heading(page, "Your account");
    return page;
  }

  test("sign-in, wrong password, wait", async () => {
    const { page } = await stage.visitor();
    await page.goto(`${stage.url}/login/`);
    await look(page, "sign-in");
    await openWiki(page);
    await page.getByText("to continue to Wiki").waitFor();
    await look(page, "sign-in-for-service");
    await page.goto(`${stage.network.origin(CLOSED)}/reports/7`);
    await page.getByText(LONG).waitFor();
    await look(page, "sign-in-long");
    const someone = await stage.person();
    await signIn(page, someone, "wrong");
    await page.getByText("is not right").waitFor();
    await look(page, "sign-in-wrong");
    for (let attempt = 0; attempt < 20 && (await page.getByText("Too many attempts").count()) === 0; attempt++) await signIn(page, someone, "wrong");
    await page.getByText("Too many attempts").waitFor();
    assert.equal(await page.getByLabel("Password", { exact: true }).getAttribute("aria-invalid"), null, "nothing wrong was entered");
    await look(page, "sign-in-wait");
  });

  test("password: change it, a common one, changed", async () => {
    const someone = await stage.person();
    const page = await signedIn(someone);
    await page.getByRole("link", { name: "Change password" }).click();
    await heading(page, "Change password");
    await look(page, "password");
    await page.getByLabel("Current password").fill(someone.password);
    await page.getByLabel("New password").fill("password1");
    await page.getByRole("button", { name: "Change password" }).click();
    const alert = page.getByRole("alert");
    await alert.waitFor();
    const field = page.getByLabel("New password");
    assert.ok((await field.getAttribute("aria-describedby"))?.split(" ").includes((await alert.getAttribute("id")) ?? ""));
    await look(page, "password-common");
    await page.getByLabel("Current password").fill(someone.password);
    await field.fill("a stallion without battery");
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("Your password was changed").waitFor();
    await look(page, "password-changed");
  });

  test("password: set it by a link, the link again, one that has to be changed", async () => {
    const someone = await stage.person();
    const { page } = await stage.visitor();
    const { url } = await stage.admin("POST", `/api/sso/users/${someone.id}/password-link`);
    // The call came without TLS, which only the browser has here.
    const link = url.replace("http:", "https:");
    await page.goto(link);
    await heading(page, "Set your password");
    await look(page, "set-password");
    await page.getByLabel("New password").fill("a stallion without battery");
    await page.getByRole("button", { name: "Set your password" }).click();
    await heading(page, "Your account");
    await page.goto(link);
    await look(page, "link-over");

    await stage.admin("PUT", `/api/sso/users/${someone.id}/password`, { password: someone.password, must_change: true });
    const other = await stage.visitor();
    await openWiki(other.page);
    await signIn(other.page, someone);
    await other.page.getByText("You need to choose a new password").waitFor();
    await look(other.page, "must-change");
    // The policy of the page after an error still lets the form lead on to the service.
    await other.page.getByLabel("New password").fill("password1");
    await other.page.getByRole("button", { name: "Set your password" }).click();
    await other.page.getByRole("alert").waitFor();
    await other.page.getByLabel("New password").fill("a mare without battery");
    await other.page.getByRole("button", { name: "Set your password" }).click();
    await other.page.waitForURL(`${stage.network.origin(WIKI)}/reports/7`);
  });

  test("account, welcome, sign-out", async () => {
    const someone = await stage.person({ email: `a.very.long.name.that.does.not.end@${"department.".repeat(8)}example.com`, roles: ["editor"] });
    const fresh = await signedIn(await stage.person());
    await look(fresh, "account-fresh");
    for (let browser = 0; browser < 2; browser++) await signedIn(someone);
    const page = await signedIn(someone);
    await page.goto(`${stage.network.origin(HOME)}/`);
    await page.goto(`${stage.url}/account/`);
    await page.getByRole("link", { name: LONG }).waitFor();
    await look(page, "account");
    await page.goto(`${stage.url}/welcome/`);
    await page.getByText("You are signed in as").waitFor();
    await look(page, "welcome");
    await page.goto(`${stage.url}/logout/`);
    await heading(page, "Sign out everywhere?");
    await look(page, "sign-out");
    await page.getByRole("button", { name: "Sign out" }).click();
    await heading(page, "Signed out");
    await look(page, "signed-out");
    await page.goto(`${stage.url}/welcome/`);
    await page.getByText("You are not signed in").waitFor();
    await look(page, "welcome-anonymous");
  });

  test("not allowed, the service does not answer, expired, begun elsewhere", async () => {
    const page = await signedIn(person);
    await page.goto(`${stage.network.origin(CLOSED)}/reports/7`);
    await heading(page, "You may not open this application");
    await look(page, "not-allowed");

    // Of a service that never answers, the test itself asks for the sign-in.
    const down = await stage.register({ name: "Down", base_url: stage.network.origin(DOWN), dialect: "fields" });
    const call = await stage.world.site("GATEWAY").send("POST", "/sso/obtain/", {
      host: new URL(stage.url).host,
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ token: down.token, next_url: "/" }).toString(),
    });
    const address = `${stage.url}/login/?sso=${call.json.token}`;
    await page.goto(address);
    await page.getByRole("link", { name: "Try again" }).waitFor();
    await look(page, "fallback");
    const { page: elsewhere } = await stage.visitor();
    await elsewhere.goto(address);
    await heading(elsewhere, "This sign-in was begun in another browser");
    await look(elsewhere, "elsewhere");
    await elsewhere.goto(`${stage.url}/login/?sso=gone`);
    await heading(elsewhere, "This sign-in has expired or was used already");
    await look(elsewhere, "expired");
    await page.goto(`${stage.url}/nothing`);
    await look(page, "not-found");
  });
});

describe("a gateway with a brand of its own", () => {
  const logo = `data:image/svg+xml;base64,${Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="240" height="60"><rect width="240" height="60" rx="8" fill="#7a1fa2"/><circle cx="30" cy="30" r="16" fill="#fff"/></svg>').toString("base64")}`;
  /** @type {GatewayStage} */
  let stage;
  before(async () => {
    const texts = {
      sign_in: "Anmelden",
      email: "E-Mail-Adresse",
      password: "Passwort",
      sign_in_lead: "Mit dem Konto der Genossenschaft",
      continue_to: "weiter zu",
      wrong_password: "Name oder Passwort stimmen nicht.",
      account: "Ihr Konto",
    };
    stage = await startGatewayStage({
      sites: { HOME },
      names: [],
      settings: { name: "Genossenschaft Überlingen", logo, accent: "#7a1fa2", language: "de", texts },
    });
  });
  after(() => stage?.stop());

  test("its name, logo, colour, language and texts are those of every page", async () => {
    const person = await stage.person();
    const { page, complaints } = await stage.visitor();
    await page.goto(`${stage.network.origin(HOME)}/inbox`);
    await heading(page, "Anmelden");
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    assert.equal(await page.title(), "Anmelden · Genossenschaft Überlingen");
    const image = page.locator("header img");
    assert.ok((await image.evaluate((/** @type {HTMLImageElement} */ { naturalWidth }) => naturalWidth)) > 0, "the logo is shown");
    const button = page.getByRole("button", { name: "Anmelden" });
    assert.equal(await button.evaluate((element) => getComputedStyle(element).backgroundColor), "rgb(122, 31, 162)");
    await look(page, "brand-sign-in");
    await page.getByLabel("E-Mail-Adresse").fill(person.email);
    await page.getByLabel("Passwort").fill("wrong");
    await button.click();
    await page.getByText("Name oder Passwort stimmen nicht.").waitFor();
    await look(page, "brand-wrong");
    await page.getByLabel("Passwort").fill(person.password);
    await page.getByRole("button", { name: "Anmelden" }).click();
    await page.waitForURL(`${stage.network.origin(HOME)}/inbox`);
    await page.goto(`${stage.url}/account/`);
    await heading(page, "Ihr Konto");
    await look(page, "brand-account");
    // Chromium itself writes one line for an answer with status 403; a blocked style or logo would be another.
    assert.deepEqual(
      complaints.filter((line) => !/status of 403/.test(line)),
      [],
    );
  });
});
