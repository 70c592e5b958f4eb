// A real Label Studio below a path: its own links, files and API have the path, and the site beside it has the host.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newEmail, SCRIPT, startWorld } from "../edge/lib/world.mjs";
import { CHOICES, secretsOf, siteOf, startStudio } from "./lib/studio.mjs";

/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Studio } from "./lib/studio.mjs" */

const HOST = "app.example.test";
const MOUNT = "/label-studio";
const SESSION = "__Secure-edgeward-studio";

/** @type {Studio} */
let studio;
/** @type {World} */
let world;
/** @type {Site} */
let site;
before(async () => {
  studio = await startStudio({ host: `http://${HOST}${MOUNT}` });
  world = await startWorld({
    sites: { APP: { hosts: [HOST] }, STUDIO: siteOf(studio, "mint", { hosts: [HOST + MOUNT] }) },
    vars: await secretsOf(studio),
  });
  site = world.site("APP");
});
after(async () => {
  await world?.stop();
  await studio?.stop();
});

test("Label Studio below a path: signed in by the hand-over, pages, files, API, signed out", async () => {
  const email = newEmail("mount");
  const issued = await site.admin("POST", `${MOUNT}/api/sso/token`, { email });
  assert.equal(issued.status, 200, String(issued));
  const arrived = await site.navigate(`${MOUNT}/projects/`, { cookie: `ls_auth_token=${issued.json.token}` });
  assert.deepEqual([arrived.status, arrived.type], [200, "text/html"], String(arrived));
  const session = arrived.setCookie(SESSION);
  assert.match(session.raw, /; Path=\/label-studio(;|$)/);
  const cookie = session.pair;
  const [user] = await studio.userOf(email);
  assert.equal(user.email, email);

  // Whatever the page loads from its own host is below the mount, and there.
  const urls = [...arrived.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => new URL(link.replaceAll("&amp;", "&"), `${site.origin}${MOUNT}/`));
  const links = urls.filter(({ host }) => host === HOST).map(({ pathname, search }) => pathname + search);
  const files = links.filter((link) => /\.(?:js|css|ico|svg|png)(?:\?|$)/.test(link));
  assert.ok(files.length >= 3, urls.join("\n"));
  for (const link of new Set(files)) {
    assert.ok(link.startsWith(`${MOUNT}/`), link);
    const file = await site.script(link, { cookie });
    assert.equal(file.status, 200, `${link}: ${file.status}`);
    assert.match(file.headers.get("cache-control") ?? "", /^public, max-age=/, link);
  }

  const made = await site.send("POST", `${MOUNT}/api/projects`, {
    kind: SCRIPT,
    cookie,
    headers: { "Content-Type": "application/json", Origin: site.origin },
    body: JSON.stringify({ title: "Below a path", label_config: CHOICES }),
  });
  assert.equal(made.status, 201, String(made));
  const page = await site.navigate(`${MOUNT}/projects/${made.json.id}/data`, { cookie });
  assert.deepEqual([page.status, page.type], [200, "text/html"]);
  // Its own redirects stay below the mount.
  const first = await site.navigate(`${MOUNT}/`, { cookie });
  if (first.status !== 200) assert.match(first.headers.get("location") ?? "", /^(?:http:\/\/app\.example\.test)?\/label-studio\//, String(first));

  // The site beside it gets nothing of this session, and its own sign-out path is not Label Studio's.
  assert.equal((await site.script("/x", { cookie })).status, 401);
  const out = await site.navigate(`${MOUNT}/logout`, { cookie, headers: { "Sec-Fetch-Site": "same-origin" } });
  assert.equal(out.status, 200, String(out));
  assert.match(out.setCookie(SESSION).raw, /Path=\/label-studio;.*Max-Age=0/);
  assert.equal((await site.script(`${MOUNT}/api/projects`, { cookie })).status, 401);
});
