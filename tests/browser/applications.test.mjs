// The example applications in front of a real site: a person signs in to the application, goes to
// the site by cookie, by link or by way of the sign-in page, and is signed in at the demo origin.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { screenshot } from "./lib/browser.mjs";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { Application } from "./lib/applications.mjs" */
/** @import { Stage } from "./lib/stage.mjs" */

const DEEP = "/reports/2026?filter=%2fa+b%20%41&empty=&&flag&name=Zo%C3%AB";
const SSO_COOKIE = "sso_token";
const ADA = "ada@example.com";
const ZOE = "zoe@example.com";

for (const kind of /** @type {const} */ (["express", "flask"])) {
  describe(kind, () => {
    const site = "edge.ward.test";
    const sibling = "portal.ward.test";
    const stranger = "portal.other.test";
    /** @type {Stage} */
    let stage;
    /** @type {Application} */
    let application;

    before(async () => {
      stage = await startStage({
        siteNames: [site],
        applicationNames: [sibling, stranger],
        sites: (network) => ({
          APP: {
            hosts: [network.host(site)],
            sources: ["session", "sso_cookie", "query", "bearer"],
            unauthenticated: "login",
            login_url: `${network.origin(stranger)}/login`,
            sso_cookie: { name: SSO_COOKIE, domain: "ward.test" },
            query: { single_use: true, user_switch: "confirm" },
            identity_headers: ["x-forwarded", "remote"],
            assertion: {},
          },
        }),
      });
      application = await stage.startApplication(kind, {
        site,
        names: [sibling, stranger],
        environment: { SSO_COOKIE_NAME: SSO_COOKIE, SSO_COOKIE_DOMAIN: "ward.test" },
      });
    });
    after(() => stage?.stop());

    /**
     * A visitor who has signed in to the application at `name`.
     * @param {string} name
     */
    async function signedInAt(name, person = "Ada Lovelace") {
      const visitor = await stage.visitor();
      await visitor.page.goto(stage.network.origin(name));
      await visitor.page.getByRole("button", { name: person }).click();
      await visitor.page.getByText("Signed in as").waitFor();
      return visitor;
    }

    test("the token in the cookie signs the person in, and the cookie is gone", async () => {
      const { page, context, complaints } = await signedInAt(sibling);
      await page.getByRole("link", { name: "token in the cookie" }).click();
      const seen = await receivedByOrigin(page);
      assert.equal(seen.heading, `Signed in as ${ADA}`);
      assert.equal(page.url(), `${stage.network.origin(site)}/`);
      await screenshot(page, `${kind}-cookie`);

      const cookies = await context.cookies(page.url());
      assert.ok(!cookies.some(({ name }) => name === SSO_COOKIE), "the SSO cookie was not cleared");
      const session = cookies.find(({ name }) => name === "__Host-edgeward");
      assert.ok(session);
      assert.deepEqual([session.domain, session.path, session.httpOnly, session.secure, session.sameSite], [site, "/", true, true, "Lax"]);

      await page.getByRole("link", { name: "Another path" }).click();
      const next = await receivedByOrigin(page);
      assert.equal(next.heading, `Signed in as ${ADA}`);
      assert.equal(next.header("cookie"), undefined, "our cookies do not reach the origin");
      assert.equal(next.header("x-forwarded-preferred-username"), "ada");
      assert.equal(next.header("remote-name"), "Ada Lovelace");
      assert.match(next.header("x-edgeward-assertion") ?? "", /^[\w-]+\.[\w-]+\.[\w-]+$/);
      assert.deepEqual(complaints, []);
    });

    test("the token in the link signs the person in across domains, and leaves the address", async () => {
      const { page, context, complaints } = await signedInAt(stranger, "Zoë Ångström");
      await page.goto(`${stage.network.origin(stranger)}/open/link?path=${encodeURIComponent(DEEP)}`);
      const seen = await receivedByOrigin(page);
      assert.equal(seen.heading, `Signed in as ${ZOE}`);
      assert.equal(page.url(), stage.network.origin(site) + DEEP);
      assert.equal(seen.request, `GET ${DEEP}`);
      assert.equal(seen.header("remote-name"), "Zo%C3%AB %C3%85ngstr%C3%B6m");
      assert.equal(seen.header("referer"), undefined);
      assert.ok((await context.cookies(page.url())).some(({ name }) => name === "__Host-edgeward"));
      await screenshot(page, `${kind}-link`);
      assert.deepEqual(complaints, []);
    });

    test("a deep link goes to the sign-in page and back to where it led, byte for byte", async () => {
      const { page, complaints } = await stage.visitor();
      await page.goto(stage.network.origin(site) + DEEP);
      assert.equal(new URL(page.url()).origin, stage.network.origin(stranger));
      assert.equal(new URL(page.url()).pathname, "/login");
      await screenshot(page, `${kind}-sign-in-page`);
      await page.getByRole("button", { name: "Ada Lovelace" }).click();
      const seen = await receivedByOrigin(page);
      assert.equal(seen.heading, `Signed in as ${ADA}`);
      assert.equal(page.url(), stage.network.origin(site) + DEEP);
      assert.equal(seen.request, `GET ${DEEP}`);

      // The session lasts: the same deep link once more, without a detour.
      /** @type {string[]} */
      const visited = [];
      page.on("framenavigated", (frame) => visited.push(frame.url()));
      await page.goto(stage.network.origin(site) + DEEP);
      assert.deepEqual(visited, [stage.network.origin(site) + DEEP]);
      assert.deepEqual(complaints, []);
    });

    test("a person whom the application knows comes back from a deep link without a question", async () => {
      const { page } = await signedInAt(stranger);
      await page.goto(stage.network.origin(site) + DEEP);
      assert.equal((await receivedByOrigin(page)).heading, `Signed in as ${ADA}`);
      assert.equal(page.url(), stage.network.origin(site) + DEEP);
    });

    test("going back to the page with the token does not sign in again", async () => {
      const { page } = await signedInAt(stranger);
      /** @type {string | undefined} */
      let link;
      page.on("request", (request) => {
        if (request.url().includes("token=")) link = request.url();
      });
      await page.getByRole("link", { name: "token in the link" }).click();
      // Another site led to it, and nobody was sent there from here.
      await page.getByText("You are not signed in.").waitFor();
      await page.getByRole("button", { name: "Sign in", exact: true }).click();
      assert.equal((await receivedByOrigin(page)).heading, `Signed in as ${ADA}`);
      const other = await stage.visitor();
      assert.ok(link);
      await other.page.goto(link);
      assert.equal(new URL(other.page.url()).origin, stage.network.origin(stranger), "a used link signs nobody in");
    });

    test("a disabled user is told so by the application", async () => {
      const { page } = await signedInAt(stranger, "Zoë Ångström");
      const { json } = await stage.world.site("APP").admin("GET", `/api/sso/users?email=${ZOE}`);
      const [user] = json.users;
      await stage.world.site("APP").admin("PATCH", `/api/sso/users/${user.id}`, { active: false });
      try {
        const answer = await page.goto(`${stage.network.origin(stranger)}/open/link`);
        assert.equal(answer?.status(), 403);
        await page.getByText("may be disabled").waitFor();
      } finally {
        await stage.world.site("APP").admin("PATCH", `/api/sso/users/${user.id}`, { active: true });
      }
    });

    test("the application logged no token", () => {
      assert.doesNotMatch(application.output, /eyJ|ewt_/);
    });
  });
}
