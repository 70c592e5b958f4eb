// Back in Chromium. The pinned one never keeps a page as it was left (its shell does not support that), so what Back shows comes
// from the HTTP cache or from the site.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { receivedByOrigin, startStage } from "./lib/stage.mjs";

/** @import { Stage } from "./lib/stage.mjs" */

const SITE = "site.ward.test";

/** @type {Stage} */
let stage;
before(async () => {
  stage = await startStage({
    siteNames: [SITE],
    applicationNames: [],
    sites: (network) => ({ SITE: { hosts: [network.host(SITE)], query: { single_use: true, user_switch: "confirm", stranger_link: "allow" } } }),
  });
});
after(() => stage?.stop());

test("D1: after signing out, Back shows no page of the person", async () => {
  const { page } = await stage.visitor();
  const origin = stage.network.origin(SITE);
  const token = await stage.world.site("SITE").issue("ada@example.com");
  await page.goto(`${origin}/one?token=${token}`);
  await page.goto(`${origin}/two`);
  assert.equal((await receivedByOrigin(page)).heading, "Signed in as ada@example.com");
  await page.goBack();
  assert.equal((await receivedByOrigin(page)).heading, "Signed in as ada@example.com");
  await page.goForward();

  await page.goto(`${origin}/api/sso/logout`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { level: 1, name: /signed out/i }).waitFor();
  for (let steps = 0; steps < 2; steps++) {
    await page.goBack();
    assert.doesNotMatch(await page.content(), /ada@example\.com/, `${steps + 1} back: ${page.url()}`);
  }
});
