// The component of examples/react in Chromium: it shows the site in a frame, in a page that examples/koa serves on another
// domain. Two people see the site as themselves.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { screenshot } from "./lib/browser.mjs";
import { startStage } from "./lib/stage.mjs";

/** @import { Stage } from "./lib/stage.mjs" */

const SITE = "framed.ward.test";
const PORTAL = "portal.other.test";
const PASSWORD = "of-the-examples";

/** @type {Stage} */
let stage;
before(async () => {
  stage = await startStage({
    siteNames: [SITE],
    applicationNames: [PORTAL],
    sites: (network) => ({
      FRAMED: {
        hosts: [network.host(SITE)],
        sources: ["session", "query"],
        sso_cookie: undefined,
        query: { single_use: true, user_switch: "confirm", stranger_link: "allow" },
        session: { same_site: "none", partitioned: true },
        frame_ancestors: [network.origin(PORTAL)],
      },
    }),
  });
  await stage.startApplication("koa", { site: SITE, names: [PORTAL], environment: { DEMO_PASSWORD: PASSWORD, ASSERTION_AUDIENCE: "none" } });
});
after(() => stage?.stop());

test("two people see the site in the frame as themselves, and again after the button", async () => {
  for (const username of ["ada", "zoe"]) {
    const { page, complaints } = await stage.visitor({ httpCredentials: { username, password: PASSWORD } });
    /** @type {string[]} */
    const handedOver = [];
    page.on("response", (response) => {
      if (new URL(response.url()).pathname === "/open/link") handedOver.push(response.headers().location);
    });
    await page.goto(stage.network.origin(PORTAL));
    const frame = page.frameLocator("iframe");
    await frame.getByText(`Signed in as ${username}@example.com`).waitFor();
    assert.equal(page.frames()[1].url(), `${stage.network.origin(SITE)}/me`);
    await screenshot(page, `react-${username}`);
    assert.doesNotMatch(await page.content(), /eyJ/, "the page has a token");

    await page.getByRole("button", { name: "Load again" }).click();
    await page.locator("section[aria-busy=false]").waitFor();
    await frame.getByText(`Signed in as ${username}@example.com`).waitFor();
    assert.equal(new Set(handedOver).size, 2, "each time a token of its own");
    assert.deepEqual(complaints, []);
  }
});
