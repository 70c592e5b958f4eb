// The three programs of label-studio-sso's README at a site that keeps the SSO cookie: each asks for one token within the
// lifetime of a token, however many pages a person opens. The site and the program are at one host, as that README has it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "../edge/lib/front.mjs";
import { Jar, send } from "../edge/lib/http.mjs";
import { NAVIGATION, startWorld } from "../edge/lib/world.mjs";
import { outsideNpm } from "../browser/lib/applications.mjs";
import { installNpm, installPython } from "./lib/peers.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */

const EMAIL = "ada@example.com";
const PAGES = 20;
const FOLDER = at("tests/peers/label-studio-sso");

/** @type {World} */
let world;
/** @type {string} */
let python;
before(async () => {
  await installNpm();
  python = await installPython("service-django", at("examples/service-django/requirements.txt"));
  const settings = { sources: ["session", "sso_cookie"], query: undefined };
  world = await startWorld({
    sites: {
      STRICT: { ...settings, sso_cookie: { name: "ls_auth_token", same_site: "strict", keep: true } },
      LAX: { ...settings, sso_cookie: { name: "ls_auth_token", keep: true } },
      CLEARING: { ...settings, sso_cookie: { name: "ls_auth_token" } },
    },
  });
});
after(() => world?.stop());

/**
 * A program in front of `site`, while `use` runs: with the port of the program, and the tokens asked for so far.
 * @param {string[]} command
 * @param {Site} site
 * @param {(port: number, asked: () => number) => Promise<void>} use
 */
async function withProgram([program, ...args], site, use) {
  const front = await startFront(site);
  /** @type {ChildProcess | undefined} */
  let child;
  try {
    const env = {
      ...outsideNpm(),
      PYTHONDONTWRITEBYTECODE: "1",
      EMAIL,
      LABEL_STUDIO_URL: front.url,
      LABEL_STUDIO_API_TOKEN: await world.apiToken("token:issue"),
    };
    const running = spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    child = running;
    const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
    const port = Number((await lines.next()).value);
    await use(port, () => front.requests.filter((request) => request === "POST /api/sso/token").length);
  } finally {
    if (child !== undefined) {
      const ended = new Promise((resolve) => child?.once("exit", resolve));
      child.kill();
      await ended;
    }
    await front.stop();
  }
}

for (const kind of ["express", "django"]) {
  test(`the program for ${kind} asks for one token, and the kept cookie and the session last for many pages`, async () => {
    const command = kind === "django" ? [python, "-W", "ignore", `${FOLDER}/django_app.py`] : [pinnedNode, `${FOLDER}/express.mjs`];
    const site = world.site("STRICT");
    await withProgram(command, site, async (port, asked) => {
      const jar = new Jar();
      const answer = await send({ port, headers: [["Host", `127.0.0.1:${port}`], ...NAVIGATION] });
      assert.equal(answer.status, 302, String(answer));
      jar.take(answer);
      for (let page = 0; page < PAGES; page++) {
        const opened = await site.navigate(`/projects/${page}`, { cookie: jar.header });
        assert.equal(opened.status, 200, String(opened));
        assert.equal(opened.seen.header("x-forwarded-email"), EMAIL);
        jar.take(opened);
        assert.match(jar.header, /ls_auth_token=/, "it stays");
        // Without the session it signs in again, as the package does.
        if (page === 5) jar.drop("__Host-edgeward");
      }
      assert.equal(asked(), 1);
    });
  });
}

for (const [name, most] of /** @type {const} */ ([
  ["LAX", 1],
  ["CLEARING", PAGES],
])) {
  test(`the program for Koa behind a mount asks for ${most === 1 ? "one token where the cookie is kept" : "tokens again and again where it is cleared"}`, async () => {
    await withProgram([pinnedNode, `${FOLDER}/koa.mjs`], world.site(name), async (port, asked) => {
      const jar = new Jar();
      let signedIn = 0;
      for (let page = 0; page < PAGES; page++) {
        /** @type {[string, string][]} */
        const headers = [["Host", "studio.example.test"], ["X-Forwarded-Proto", "https"], ...NAVIGATION];
        if (jar.header) headers.push(["Cookie", jar.header]);
        const answer = await send({ port, path: `/label-studio/projects/${page}`, headers });
        jar.take(answer);
        if (answer.status === 200) signedIn += 1;
        else assert.equal(page, 0, `the first request comes without the cookie, this one: ${answer}`);
      }
      assert.equal(signedIn, PAGES - 1);
      if (most === 1) assert.equal(asked(), 1);
      else assert.ok(asked() > 5, `${asked()} tokens`);
    });
  });
}
