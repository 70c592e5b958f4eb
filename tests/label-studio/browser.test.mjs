// Label Studio in a real Chromium, through the edge: what a person does on a day with it, and the same inside a frame of
// an application that signs its own users in. Pictures of every step are in test-output/.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { screenshot } from "../browser/lib/browser.mjs";
import { startStage } from "../browser/lib/stage.mjs";
import { until } from "../edge/lib/world.mjs";
import { CHOICES, MODES, PNG, secretsOf, siteOf, startStudio } from "./lib/studio.mjs";

/** @import { Page } from "playwright-core" */
/** @import { Stage } from "../browser/lib/stage.mjs" */
/** @import { Studio } from "./lib/studio.mjs" */

const PORTAL = "portal.other.test";
/** @param {string} mode */
const hostOf = (mode) => `${mode}.studio.test`;

/** @type {Studio} */
let studio;
before(async () => (studio = await startStudio()));
after(() => studio?.stop());

for (const mode of MODES) {
  describe(`Label Studio in Chromium, mode ${mode}`, () => {
    /** @type {Stage} */
    let stage;
    /** @type {string} */
    let portal;
    /** @type {string} */
    let address;
    /** @type {Page} */
    let page;
    /** @type {string[]} */
    let complaints;
    let bytes;
    /** @type {string[]} */
    const failures = [];
    /** How many answers its locked database cost: its page complains of each that it cannot read. */
    let locked = 0;
    /** @param {string} name */
    const picture = (name) => screenshot(page, `label-studio-${mode}-${name}`);

    before(async () => {
      secrets ??= await secretsOf(studio);
      stage = await startStage({
        siteNames: [hostOf(mode)],
        applicationNames: [PORTAL],
        vars: () => secrets ?? {},
        sites: (network) => ({
          STUDIO: siteOf(studio, mode, {
            hosts: [network.host(hostOf(mode))],
            sources: ["session", "query"],
            sso_cookie: undefined,
            // The frame is of another site.
            query: { single_use: true, user_switch: "confirm", stranger_link: "allow" },
            unauthenticated: "login",
            login_url: `${network.origin(PORTAL)}/login`,
            logout_url: `${network.origin(PORTAL)}/`,
            session: { same_site: "none", partitioned: true },
            frame_ancestors: [network.origin(PORTAL)],
          }),
        }),
      });
      await stage.startApplication("express", { site: hostOf(mode), names: [PORTAL] });
      portal = stage.network.origin(PORTAL);
      address = stage.network.origin(hostOf(mode));
    });
    after(() => stage?.stop());

    /**
     * A fresh browser, in which `person` is signed in to the application.
     * @param {string} person
     */
    async function visitor(person) {
      const fresh = await stage.visitor({ viewport: { width: 1280, height: 800 } });
      fresh.context.setDefaultTimeout(30_000);
      await fresh.page.goto(portal);
      await fresh.page.getByRole("button", { name: person }).click();
      await fresh.page.getByText("Signed in as").waitFor();
      return fresh;
    }
    const whoami = () => page.evaluate(async () => (await (await fetch("/api/current-user/whoami")).json()).email);

    /** Counts what crosses the wire from now on. */
    async function meter() {
      const wire = await page.context().newCDPSession(page);
      await wire.send("Network.enable");
      let sum = 0;
      wire.on("Network.loadingFinished", ({ encodedDataLength }) => (sum += encodedDataLength));
      return () => {
        const counted = sum;
        sum = 0;
        return counted;
      };
    }

    test("signing in at the application leads into Label Studio inside its frame, as a user who was not there before", async () => {
      ({ page } = await visitor("Zoë Ångström"));
      assert.deepEqual((await studio.userOf("zoe@example.com")).length, mode === MODES[0] ? 0 : 1);
      await page.getByRole("link", { name: "in a frame" }).click();
      const frame = page.frameLocator("iframe");
      await frame
        .getByRole("button", { name: /Create Project/ })
        .first()
        .waitFor();
      await page.waitForLoadState("networkidle");
      await picture("frame");
      const inner = page.frames()[1];
      assert.equal(inner.url(), `${address}/`);
      assert.equal(await inner.evaluate(async () => (await (await fetch("/api/current-user/whoami")).json()).email), "zoe@example.com");
      assert.equal((await studio.userOf("zoe@example.com")).length, 1);
      const cookies = await page.context().cookies();
      assert.deepEqual(
        cookies.filter(({ domain }) => domain === hostOf(mode)).map(({ name }) => name),
        ["__Host-edgeward"],
      );
      await page.context().close();
    });

    test("the first page comes compressed, and the second costs under 150 KB", async (t) => {
      ({ page, complaints } = await visitor("Ada Lovelace"));
      page.context().on("response", async (answer) => {
        // Tips come from the internet, if at all.
        if (answer.status() < 400 || !answer.url().startsWith(address) || answer.url().includes("/heidi-tips")) return;
        const text = await answer.text().catch(() => "");
        // Its SQLite refuses two writes at once, without an edge too. Its own log tells that it answered so.
        const line = `"${answer.request().method()} ${new URL(answer.url()).pathname} HTTP/1.1" 500`;
        if (answer.status() === 500 && studio.output.includes("database is locked") && studio.output.includes(line)) {
          locked++;
          return;
        }
        failures.push(`${answer.status()} ${answer.url()} ${text.slice(0, 300)}`);
      });
      bytes = await meter();
      await page.goto(`${portal}/open/link`);
      await page
        .getByRole("button", { name: /Create Project/ })
        .first()
        .waitFor();
      await page.waitForLoadState("networkidle");
      const first = bytes();
      await picture("first-page");
      await page.goto(`${address}/projects/`);
      await page
        .getByRole("button", { name: /Create/ })
        .first()
        .waitFor();
      await page.waitForLoadState("networkidle");
      const second = bytes();
      await picture("projects");
      t.diagnostic(`first page ${Math.round(first / 1000)} KB (3,270 KB without the edge), second page ${Math.round(second / 1000)} KB`);
      assert.ok(first > 100_000 && first < 1_400_000, `first page: ${first} bytes`);
      assert.ok(second > 0 && second < 150_000, `second page: ${second} bytes`);
      assert.equal(await whoami(), "ada@example.com");
    });

    test("a project is made with an uploaded image, and its task is labelled and submitted", async () => {
      // The dialogue makes a draft, and asks for the name afterwards.
      const draft = page.waitForResponse((answer) => answer.request().method() === "POST" && answer.url() === `${address}/api/projects`);
      await page
        .getByRole("button", { name: /Create/ })
        .first()
        .click();
      assert.equal((await draft).status(), 201);
      await page.locator("#project_name").fill(`Pictures ${mode}`);
      await page.getByText("Data Import", { exact: true }).click();
      await page.locator('input[type="file"]').setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: PNG });
      await page
        .getByText(/dot\.png/)
        .first()
        .waitFor();
      await picture("upload");
      await page.getByText("Labeling Setup", { exact: true }).click();
      await page.getByText("Custom template").first().click();
      await page.locator(".CodeMirror").waitFor();
      await page.evaluate(
        (text) =>
          /** @type {{ CodeMirror: { setValue(text: string): void } }} */ (/** @type {unknown} */ (document.querySelector(".CodeMirror"))).CodeMirror.setValue(
            text,
          ),
        CHOICES,
      );
      await page.getByText("Cat").first().waitFor();
      await picture("labelling-setup");
      await page.getByRole("button", { name: "Save" }).click();
      await page.waitForURL(/\/projects\/\d+\/data/);
      await page.waitForLoadState("networkidle");
      await picture("data-manager");

      const project = Number(page.url().match(/projects\/(\d+)/)?.[1]);
      await page.locator(".lsf-table__row-wrapper").first().click();
      await page.getByText("Cat").first().click();
      await picture("labelling");
      await page.getByRole("button", { name: /Submit/ }).click();
      const [task] = await until(async () => {
        const { json } = await studio.call("GET", `/api/tasks?project=${project}&fields=all`);
        return json.tasks.some((/** @type {{ total_annotations: number }} */ { total_annotations: total }) => total > 0) && json.tasks;
      }, 15);
      const [annotation] = (await studio.call("GET", `/api/tasks/${task.id}/annotations/`)).json;
      assert.equal(annotation.completed_by, (await studio.userOf("ada@example.com"))[0].id);
      assert.deepEqual(annotation.result[0].value.choices, ["Cat"]);
      await page.waitForLoadState("networkidle");
      await picture("submitted");
    });

    test("the account page is the person's own", async () => {
      await page.goto(`${address}/user/account`);
      await page.getByText("Personal Info").first().waitFor();
      await page.locator('input[value="ada@example.com"], input[placeholder="ada@example.com"]').first().waitFor();
      await picture("account");
    });

    test("another user in the same browser is another user in Label Studio", async () => {
      await page.goto(portal);
      await page
        .getByRole("button", { name: /Sign out|Log out/ })
        .first()
        .click();
      await page.getByRole("button", { name: "Zoë Ångström" }).click();
      await page.goto(`${portal}/open/link`);
      await page.getByRole("heading", { name: "Switch user?" }).waitFor();
      await picture("switch-asked");
      await page.getByRole("button", { name: "Switch user" }).click();
      await page
        .getByRole("button", { name: /Create/ })
        .first()
        .waitFor();
      assert.equal(await whoami(), "zoe@example.com");
      await picture("switched");
    });

    test("logging out in Label Studio's own menu signs out, and the next visit leads to the application's sign-in page", async () => {
      await page.goto(`${address}/projects/`);
      await page.waitForLoadState("networkidle");
      await page.locator('[class*="menu-header__user"], [class*="userpic"]').first().click();
      await page.getByText("Log Out").first().click();
      await page.waitForURL(`${portal}/**`);
      await picture("signed-out");
      const cookies = await page.context().cookies();
      assert.deepEqual(
        cookies.filter(({ domain }) => domain === hostOf(mode)),
        [],
      );
      await page
        .getByRole("button", { name: /Sign out|Log out/ })
        .first()
        .click();
      await page.goto(`${address}/projects/`);
      assert.match(page.url(), new RegExp(`^${portal}/login`));
      // Its editor complains of its own objects even without an edge; what an edge could break is told apart.
      const unread = complaints.filter((text) => /SyntaxError: .*<!doctype .*is not valid JSON/s.test(text)).slice(0, locked);
      assert.deepEqual(
        complaints.filter((text) => !unread.includes(text) && /SyntaxError|ReferenceError|Refused to|CORS|Content Security Policy directive/.test(text)),
        [],
      );
      assert.deepEqual(failures, []);
      await page.context().close();
    });
  });
}

/**
 * The admin has one personal access token, and Label Studio shows it once.
 * @type {Record<string, string> | undefined}
 */
let secrets;
