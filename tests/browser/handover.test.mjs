// The hand-over in Chromium: cookies from before, `SameSite=Strict`, frames of other sites.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import { expiredSsoToken } from "../edge/lib/tokens.mjs";
import { screenshot } from "./lib/browser.mjs";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { Frame } from "playwright-core" */
/** @import { Stage } from "./lib/stage.mjs" */

const PLAIN = "plain.ward.test";
const STRICT = "strict.ward.test";
const LINKED = "linked.ward.test";
/** The sign-in page, on the sites' own parent domain. */
const SIGN_IN = "sign-in.ward.test";
const ELSEWHERE = "portal.other.test";
const SSO = "sso_token";

describe("the hand-over", () => {
  /** @type {Stage} */
  let stage;
  /** @type {http.Server} */
  let server;
  /** How often the sign-in page was asked, by the name under which it was. */
  const asked = new Map();
  before(async () => {
    const sso = { name: SSO, domain: "ward.test" };
    const query = { single_use: true, user_switch: "confirm", stranger_link: "allow" };
    stage = await startStage({
      siteNames: [PLAIN, STRICT, LINKED],
      applicationNames: [SIGN_IN, ELSEWHERE],
      sites: (network) => ({
        PLAIN: { hosts: [network.host(PLAIN)], unauthenticated: "login", login_url: `${network.origin(SIGN_IN)}/login`, sso_cookie: sso, query },
        STRICT: {
          hosts: [network.host(STRICT)],
          unauthenticated: "login",
          login_url: `${network.origin(SIGN_IN)}/login`,
          session: { same_site: "strict" },
          sso_cookie: { ...sso, same_site: "strict" },
          query,
        },
        LINKED: {
          hosts: [network.host(LINKED)],
          sources: ["session", "query"],
          unauthenticated: "login",
          login_url: `${network.origin(ELSEWHERE)}/login`,
          session: { same_site: "strict" },
          sso_cookie: undefined,
          query,
        },
      }),
    });
    server = http.createServer(async (request, response) => {
      const url = new URL(request.url ?? "", `https://${request.headers.host}`);
      const to = url.searchParams.get("to") ?? "";
      if (url.pathname === "/page") {
        return response.writeHead(200, { "Content-Type": "text/html" }).end(`<!doctype html><title>Elsewhere</title><a href="${to}">Go there</a>`);
      }
      if (url.pathname === "/framing") {
        return response
          .writeHead(200, { "Content-Type": "text/html" })
          .end(`<!doctype html><title>Framing</title><iframe src="${to}" width="600" height="500"></iframe>`);
      }
      const returnTo = url.searchParams.get("return_to");
      if (url.pathname !== "/login" || returnTo === null) return response.writeHead(404).end();
      asked.set(url.hostname, (asked.get(url.hostname) ?? 0) + 1);
      const back = new URL(returnTo);
      const name = back.hostname.split(".")[0].toUpperCase();
      const token = await stage.world.site(name).issue("ada@example.com");
      if (url.hostname === SIGN_IN) {
        const cookie = `${SSO}=${token}; Domain=ward.test; Path=/; Secure; HttpOnly; SameSite=${name === "STRICT" ? "Strict" : "Lax"}; Max-Age=600`;
        return response.writeHead(303, { "X-Frame-Options": "DENY", "Set-Cookie": cookie, Location: returnTo }).end();
      }
      back.searchParams.set("token", token);
      response.writeHead(303, { "X-Frame-Options": "DENY", Location: back.href }).end();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = /** @type {AddressInfo} */ (server.address());
    for (const name of [SIGN_IN, ELSEWHERE]) stage.network.route(name, port);
  });
  after(async () => {
    await stage?.stop();
    server?.closeAllConnections();
    server?.close();
  });

  /**
   * @param {string} path
   * @param {string} to
   */
  const elsewhere = (path, to) => `${stage.network.origin(ELSEWHERE)}${path}?to=${encodeURIComponent(to)}`;

  test("C1: an old cookie of this host beside a new one of the domain locks out nobody, and both are gone afterwards", async () => {
    const { page, context } = await stage.visitor();
    const site = stage.world.site("PLAIN");
    const user = await site.createUser();
    await context.addCookies([{ name: SSO, value: expiredSsoToken(site, user), url: stage.network.origin(PLAIN), httpOnly: true, secure: true }]);
    await context.addCookies([{ name: SSO, value: await site.issue(user.email), domain: ".ward.test", path: "/", httpOnly: true, secure: true }]);
    const before = asked.get(SIGN_IN) ?? 0;
    const address = `${stage.network.origin(PLAIN)}/deep`;
    await page.goto(address);
    assert.equal((await receivedByOrigin(page)).heading, `Signed in as ${user.email}`);
    assert.equal(page.url(), address);
    assert.equal(asked.get(SIGN_IN) ?? 0, before, "the sign-in page was not needed");
    assert.deepEqual(
      (await context.cookies()).map(({ name }) => name),
      ["__Host-edgeward"],
    );
  });

  for (const [name, host, by] of /** @type {const} */ ([
    ["a link", LINKED, ELSEWHERE],
    ["a strict cookie", STRICT, SIGN_IN],
  ])) {
    test(`L4: with a strict session, people who come from another site sign in once by ${name}, and the address is clean`, async () => {
      const { page } = await stage.visitor();
      const address = `${stage.network.origin(host)}/any/path?a=1&b=2`;
      const before = asked.get(by) ?? 0;
      for (const round of [1, 2]) {
        await page.goto(elsewhere("/page", address));
        await page.getByRole("link", { name: "Go there" }).click();
        await page.waitForURL(address);
        assert.equal((await receivedByOrigin(page)).heading, "Signed in as ada@example.com");
        assert.equal(page.url(), address);
        assert.equal(asked.get(by), before + 1, `round ${round}`);
      }
    });
  }

  test("L4: in a frame of another site, where the session's cookie is blocked, a page names that", async () => {
    const { page } = await stage.visitor();
    const token = await stage.world.site("LINKED").issue("ada@example.com");
    await page.goto(elsewhere("/framing", `${stage.network.origin(LINKED)}/deep?token=${token}`));
    const frame = page.frameLocator("iframe");
    await frame.getByText("sign_in_loop").waitFor();
    await frame.getByText("For the administrator of this site").click();
    await frame.getByText("browsers block the cookies of other sites").waitFor();
  });

  test("a frame whose sign-in page forbids framing shows a button, by which the whole window signs in and comes to the page", async () => {
    const { page, complaints } = await stage.visitor();
    const address = `${stage.network.origin(PLAIN)}/deep?a=1`;
    await page.goto(elsewhere("/framing", address));
    const button = page.frameLocator("iframe").getByRole("link", { name: "Sign in" });
    await button.waitFor();
    const inner = page.frames()[1];
    assert.equal(inner.url(), address);
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      assert.deepEqual(await violations(inner), [], colorScheme);
      await screenshot(page, `frame-sign-in-${colorScheme}`);
    }
    await page.locator("body").focus();
    const hasFocus = () => button.evaluate((element) => element === document.activeElement);
    for (let presses = 0; presses < 5 && !(await hasFocus()); presses++) await page.keyboard.press("Tab");
    assert.ok(await hasFocus(), "the keyboard reaches it");
    await page.keyboard.press("Enter");
    await page.waitForURL(address);
    assert.equal((await receivedByOrigin(page)).heading, "Signed in as ada@example.com");
    assert.deepEqual(
      complaints.filter((text) => !/401/.test(text)),
      [],
    );
  });
});

/** @param {Frame} frame */
async function violations(frame) {
  await frame.evaluate(axe.source);
  return frame.evaluate(async () => {
    const { axe } = /** @type {{ axe: import("axe-core").AxeResults & typeof import("axe-core") }} */ (/** @type {unknown} */ (window));
    const results = await axe.run(document, { resultTypes: ["violations"] });
    return results.violations.map(({ id, help }) => ({ id, help }));
  });
}
