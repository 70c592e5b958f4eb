// A site inside a frame of an application on another site, in a browser that blocks third-party
// cookies: the session lives in a partitioned cookie.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../edge/lib/world.mjs";
import { screenshot } from "./lib/browser.mjs";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { Stage } from "./lib/stage.mjs" */

const SITE = "framed.ward.test";
const PORTAL = "portal.other.test";
const FOREIGN = "portal.foreign.test";

for (const kind of /** @type {const} */ (["express", "flask"])) {
  describe(`a frame in a page of ${kind}`, () => {
    /** @type {Stage} */
    let stage;
    before(async () => {
      stage = await startStage({
        siteNames: [SITE],
        applicationNames: [PORTAL, FOREIGN],
        sites: (network) => ({
          FRAMED: {
            hosts: [network.host(SITE)],
            sources: ["session", "query"],
            unauthenticated: "deny",
            sso_cookie: undefined,
            query: { single_use: true, user_switch: "confirm", stranger_link: "allow" },
            session: { same_site: "none", partitioned: true },
            frame_ancestors: [network.origin(PORTAL)],
          },
        }),
      });
      await stage.startApplication(kind, { site: SITE, names: [PORTAL, FOREIGN] });
    });
    after(() => stage?.stop());

    /**
     * Opens the application's page with the frame.
     * @param {string} name
     */
    async function embeddedBy(name) {
      const visitor = await stage.visitor();
      await visitor.page.goto(stage.network.origin(name));
      await visitor.page.getByRole("button", { name: "Ada Lovelace" }).click();
      await visitor.page.getByRole("link", { name: "in a frame" }).click();
      return { ...visitor, frame: visitor.page.frameLocator("iframe"), innerFrame: () => visitor.page.frames()[1] };
    }

    test("the person is signed in inside the frame, and stays so on the next page and after a reload", async () => {
      const { page, context, frame, innerFrame, complaints } = await embeddedBy(PORTAL);
      assert.equal((await receivedByOrigin(frame)).heading, "Signed in as ada@example.com");
      assert.equal(innerFrame().url(), `${stage.network.origin(SITE)}/`);
      await screenshot(page, `${kind}-frame`);

      await frame.getByRole("link", { name: "Another path" }).click();
      await frame.getByText("GET /any/path?a=1&b=2").waitFor();
      const next = await receivedByOrigin(frame);
      assert.equal(next.heading, "Signed in as ada@example.com");
      assert.equal(next.header("cookie"), undefined);

      const [session] = (await context.cookies()).filter(({ name }) => name === "__Host-edgeward");
      assert.deepEqual([session.httpOnly, session.secure, session.sameSite, session.partitionKey], [true, true, "None", "https://other.test"]);

      await page.reload();
      await frame.getByText("Signed in as ada@example.com").waitFor();
      assert.equal(innerFrame().url(), `${stage.network.origin(SITE)}/`);
      assert.deepEqual(complaints, []);
    });

    test("the session of the frame does not count in a tab of its own", async () => {
      const { page, frame } = await embeddedBy(PORTAL);
      await receivedByOrigin(frame);
      const answer = await page.goto(stage.network.origin(SITE));
      assert.equal(answer?.status(), 401);
    });

    test("a refusal is shown inside the frame of an application on the list, and no page at all in any other", async () => {
      const refused = `${stage.network.origin(SITE)}/refused`;
      const { page, frame, innerFrame } = await embeddedBy(PORTAL);
      await receivedByOrigin(frame);
      await page.context().clearCookies({ name: "__Host-edgeward" });
      await innerFrame().goto(refused);
      await frame.getByRole("heading", { level: 1 }).waitFor();
      await frame.getByText("token_missing").waitFor();
      await screenshot(page, `${kind}-frame-refusal`);

      const foreign = await embeddedBy(FOREIGN);
      const blocked = () => foreign.complaints.filter((text) => /frame-ancestors/.test(text)).length;
      await until(() => blocked() > 0);
      assert.equal(await foreign.frame.getByText("Headers, in the order of the wire").count(), 0);
      const before = blocked();
      await foreign.context.clearCookies({ name: "__Host-edgeward" });
      await foreign.page.locator("iframe").evaluate((element, address) => element.setAttribute("src", address), refused);
      await until(() => blocked() > before);
      assert.equal(await foreign.frame.getByText("token_missing").count(), 0);
    });
  });
}
