// The programs of label-studio-sso's guide for an application's own JWTs, as they stand there but for URL and secret, against
// the second example of docs/migrate-from-custom-jwt.md: jsonwebtoken in Express, PyJWT in Flask and in Django; in Chromium its
// HTML page and its React component. Then the claims that the document adds, one at a time, until the setting goes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { outsideNpm } from "../browser/lib/applications.mjs";
import { startStage } from "../browser/lib/stage.mjs";
import { readExample } from "../edge/lib/examples.mjs";
import { send } from "../edge/lib/http.mjs";
import { newIssuerSecret } from "../edge/lib/issuer.mjs";
import { newEmail, NAVIGATION, now, until } from "../edge/lib/world.mjs";
import { blocks, installNpm, installPeers } from "./lib/peers.mjs";

/** @import { Stage } from "../browser/lib/stage.mjs" */
/** @import { Site } from "../edge/lib/site.mjs" */

const DOCUMENT = "docs/migrate-from-custom-jwt.md";
const FOLDER = at("tests/peers/label-studio-sso");
const PORTAL = "portal.other.test";
const SESSION = "__Host-edgeward";
const PASSWORD = "of-the-programs";
const UNLISTED = "the token has a claim that only_claims of its issuer does not list";

const example = readExample(blocks(DOCUMENT, "toml")[1]).vars;
/** The steps of the document: the claim, the code that adds it, and what becomes of the settings. */
const steps = [...readFileSync(at(DOCUMENT), "utf8").matchAll(/^\| \d \| `((\w+): [^`]*)` \| (.*) \|$/gm)].map(([, code, claim, settings]) => ({
  claim,
  code,
  goes: /remove/.test(settings),
}));

/**
 * The people of one application, by what they type in: two programs that make a token of the same claims in the same second make
 * the same token.
 */
const peopleOf = (/** @type {string} */ application) => ({
  ada: { email: `ada.${application}@example.net`, first: "Ada", last: "Lovelace" },
  bob: { email: `bob.${application}@example.net`, first: "Bob", last: "Baker" },
});
/** @typedef {ReturnType<typeof peopleOf>} People */

/** Site and issuer after so many steps. */
function afterSteps(/** @type {number} */ count, /** @type {string} */ host, /** @type {string} */ portal) {
  const { upstream, label_studio, ...studio } = example.EDGEWARD_SITE_STUDIO;
  assert.ok(upstream && label_studio);
  const done = steps.slice(0, count);
  const names = done.map(({ claim }) => claim);
  const { unbound_tokens_reason, only_claims, required_claims, ...issuer } = example.EDGEWARD_ISSUER_PORTAL;
  const setting = { unbound_tokens_reason, only_claims: [.../** @type {string[]} */ (only_claims), ...names] };
  return {
    site: { ...studio, hosts: [host], issuers: [`step${count}`], sso_cookie: undefined, identity_headers: ["x-forwarded"], frame_ancestors: [portal] },
    issuer: {
      ...issuer,
      secret: `SECRET_${count}`,
      required_claims: [.../** @type {string[]} */ (required_claims), ...names],
      ...(done.some(({ goes }) => goes) ? {} : setting),
    },
  };
}

const counts = [...Array(steps.length + 1).keys()];
const secrets = counts.map(newIssuerSecret);
const nameOf = (/** @type {number} */ count) => `step${count}.ward.test`;

/** @type {Stage} */
let stage;
/** @type {string} */
let python;
/** @type {typeof import("jsonwebtoken").default} */
let jsonwebtoken;
before(async () => {
  await installNpm();
  python = await installPeers();
  ({ default: jsonwebtoken } = await import("jsonwebtoken"));
  stage = await startStage({
    siteNames: counts.map(nameOf),
    applicationNames: [PORTAL],
    sites: (network) =>
      Object.fromEntries(counts.map((count) => [`STEP${count}`, afterSteps(count, network.host(nameOf(count)), network.origin(PORTAL)).site])),
    vars: (network) =>
      Object.fromEntries(
        counts.flatMap((count) => [
          [`SECRET_${count}`, secrets[count]],
          [`EDGEWARD_ISSUER_STEP${count}`, afterSteps(count, network.host(nameOf(count)), network.origin(PORTAL)).issuer],
        ]),
      ),
  });
});
after(() => stage?.stop());

/**
 * A program while `use` runs, with its port.
 * @param {string[]} command
 * @param {{ people: People, step?: number, secret?: string, pages?: Record<string, string>, moreClaims?: string }} options
 * @param {(port: number) => Promise<void>} use
 */
async function withProgram([program, ...args], { people, step = 0, secret = secrets[step], pages = {}, moreClaims = "" }, use) {
  // As Express calls their names, and as Python does.
  const users = Object.entries(people).map(([name, { email, first, last }]) => [
    name,
    { email, firstName: first, lastName: last, first_name: first, last_name: last },
  ]);
  const env = {
    ...outsideNpm(),
    PYTHONDONTWRITEBYTECODE: "1",
    LABEL_STUDIO_URL: stage.network.origin(nameOf(step)),
    JWT_SSO_SECRET: secret,
    USERS: JSON.stringify(Object.fromEntries(users)),
    MORE_CLAIMS: moreClaims,
  };
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // Those in Python do not read it.
  child.stdin.end(JSON.stringify(pages));
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const port = Number((await lines.next()).value);
    assert.ok(port > 0, "the program did not start");
    await use(port);
  } finally {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill();
    await ended;
  }
}

const express = () => [pinnedNode, `${FOLDER}/run_custom_jwt.mjs`];
const PROGRAMS = {
  "jsonwebtoken in Express": express,
  "PyJWT in Flask": () => [python, "-W", "ignore", `${FOLDER}/run_custom_jwt.py`, "flask"],
  "PyJWT in Django": () => [python, "-W", "ignore", `${FOLDER}/run_custom_jwt.py`, "django"],
};

/** What each answers somebody who is not signed in there. @type {Record<string, number>} */
const NOBODY = { "jsonwebtoken in Express": 401, "PyJWT in Flask": 401, "PyJWT in Django": 302 };

/** What a signed-in person's browser gets from the program. */
function ask(/** @type {number} */ port, /** @type {string} */ path, /** @type {string | undefined} */ name) {
  const authorization = name && `Basic ${Buffer.from(`${name}:${PASSWORD}`).toString("base64")}`;
  return send({
    port,
    path,
    headers: [["Host", `127.0.0.1:${port}`], ...NAVIGATION, ...(authorization ? [/** @type {[string, string]} */ (["Authorization", authorization])] : [])],
  });
}
/** A token out of the program's API: another one than before, which its seconds tell apart. */
async function newToken(/** @type {number} */ port, /** @type {string} */ name, /** @type {string} */ before = "") {
  return until(async () => {
    const { token } = (await ask(port, "/api/label-studio-token", name)).json;
    return token !== before && token;
  });
}
const arrive = (/** @type {Site} */ site, /** @type {string} */ token) => site.navigate(`/?token=${token}`);

/** @param {Site} site @param {string} token @param {string} what */
async function assertRefused(site, token, what) {
  const answer = await arrive(site, token);
  assert.equal(answer.status, 401, `${what}: ${answer}`);
  assert.ok(!answer.cookies.some(({ name, cleared }) => name === SESSION && !cleared), what);
}

for (const [kind, command] of Object.entries(PROGRAMS)) {
  test(`${kind}: the guide's program signs two people in, each once with each of its tokens`, async () => {
    const site = stage.world.site("STEP0");
    const people = peopleOf(kind.split(" ")[2].toLowerCase());
    await withProgram(command(), { people }, async (port) => {
      for (const [name, { email, first, last }] of Object.entries(people)) {
        const redirect = await ask(port, "/label-studio", name);
        assert.equal(redirect.status, 302, String(redirect));
        const link = new URL(redirect.target);
        assert.deepEqual([link.origin, link.pathname], [stage.network.origin(nameOf(0)), "/"]);
        const opened = await arrive(site, link.searchParams.get("token") ?? "");
        assert.deepEqual([opened.status, new URL(opened.target, link).pathname, new URL(opened.target, link).search], [303, "/", ""], String(opened));
        const { users: found } = (await site.admin("GET", `/api/sso/users?email=${email}`)).json;
        assert.deepEqual(
          found.map((/** @type {{ first_name: string, last_name: string }} */ user) => [user.first_name, user.last_name]),
          [[first, last]],
        );
        const me = await site.client("/api/sso/me", { cookie: opened.setCookie(SESSION).pair });
        assert.equal(me.json.user.email, email);

        const token = link.searchParams.get("token") ?? "";
        await assertRefused(site, token, "the link a second time");
        const next = await newToken(port, name, token);
        assert.equal((await arrive(site, next)).status, 303);
        await assertRefused(site, next, "the second one a second time");
        await assertRefused(stage.world.site(`STEP${steps.length}`), await newToken(port, name, next), "at another site");
      }
      const nobody = await ask(port, "/api/label-studio-token", undefined);
      assert.deepEqual([nobody.status, nobody.text.includes("eyJ")], [NOBODY[kind], false], String(nobody));
    });
    await withProgram(command(), { people, secret: newIssuerSecret() }, async (port) => {
      await assertRefused(site, await newToken(port, "ada"), "with another secret");
    });
  });
}

test(`SEC-98: ${DOCUMENT}: what else is signed with the secret is refused, and the log names the claim`, async () => {
  const site = stage.world.site("STEP0");
  const person = { email: newEmail("ada").replace(/@.*/, "@example.net"), first_name: "Ada", last_name: "Lovelace" };
  const sign = (/** @type {object} */ claims, /** @type {object} */ options = { expiresIn: 600 }) =>
    jsonwebtoken.sign(claims, secrets[0], { algorithm: "HS256", ...options });
  assert.equal((await arrive(site, sign(person))).status, 303);
  /** @type {Record<string, [token: string, named?: string]>} */
  const refused = {
    "a mail to set a new password": [sign({ ...person, purpose: "reset" }), "purpose"],
    "a small one": [sign({ email: person.email })],
    "the application's session": [sign({ ...person, sid: "1" }), "sid"],
    "for another place": [sign(person, { expiresIn: 600, audience: "mail" }), "aud"],
    "by another issuer": [sign(person, { expiresIn: 600, issuer: "https://mail.example.net" })],
    "without an end": [sign(person, {})],
    "with an end far away": [sign(person, { expiresIn: 601 })],
    "without a time": [sign({ ...person, exp: now() + 60 }, { noTimestamp: true })],
    "that has expired": [sign({ ...person, iat: now() - 300, exp: now() - 60 }, {})],
  };
  for (const [what, [token, named]] of Object.entries(refused)) {
    const from = stage.world.logs.length;
    const answer = await arrive(site, token);
    assert.ok(!answer.cookies.some(({ name, cleared }) => name === SESSION && !cleared), what);
    assert.equal(answer.status, 401, `${what}: ${answer}`);
    if (named === undefined) continue;
    const lines = await until(async () => {
      const written = stage.world.logs.slice(from).map(({ message }) => message);
      return written.some((line) => line.includes(UNLISTED)) && written.join("\n");
    });
    assert.ok(lines.includes(`are not in only_claims, so the token was refused: ${named}`), lines);
  }
});

test(`${DOCUMENT}: one claim after another, until the setting goes`, async () => {
  assert.deepEqual(
    steps.map(({ claim, goes }) => [claim, goes]),
    [
      ["jti", false],
      ["iss", false],
      ["aud", true],
    ],
  );
  const people = peopleOf("steps");
  const adding = (/** @type {number} */ count) =>
    steps
      .slice(0, count)
      .map(({ code }) => `      ${code},\n`)
      .join("");
  for (const count of counts) {
    const site = stage.world.site(`STEP${count}`);
    await withProgram(express(), { people, step: count, moreClaims: adding(count) }, async (port) => {
      for (const [name, { email }] of Object.entries(people)) {
        const opened = await arrive(site, await newToken(port, name));
        assert.equal(opened.status, 303, String(opened));
        const me = await site.client("/api/sso/me", { cookie: opened.setCookie(SESSION).pair });
        assert.equal(me.json.user.email, email);
      }
    });
    if (count === 0) continue;
    // A program that has not taken the step is refused from now on.
    await withProgram(express(), { people, step: count, moreClaims: adding(count - 1) }, async (port) => {
      await assertRefused(site, await newToken(port, "ada"), `without ${steps[count - 1].claim}`);
    });
  }
});

test("the guide's HTML page and its React component show the site in a frame, to two people as themselves", async () => {
  const bundled = await build({
    stdin: {
      contents: `import { createElement } from "react"; import { createRoot } from "react-dom/client"; import Embed from "./custom-jwt/LabelStudioEmbed.jsx";
        createRoot(document.getElementById("root")).render(createElement(Embed));`,
      resolveDir: FOLDER,
    },
    bundle: true,
    write: false,
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const pages = {
    "/": readFileSync(`${FOLDER}/custom-jwt/page.html`, "utf8"),
    "/react": '<!doctype html><title>React</title><link rel="icon" href="data:,"><div id="root"></div><script src="/bundle.js"></script>',
    "/bundle.js": bundled.outputFiles[0].text,
  };
  for (const path of ["/", "/react"]) {
    // For one person in one second the program makes one token, so each page has people of its own.
    const people = peopleOf(path === "/" ? "page" : "component");
    await withProgram(express(), { people, pages }, async (port) => {
      stage.network.route(PORTAL, port);
      for (const [username, { email }] of Object.entries(people)) {
        const { page, context, complaints } = await stage.visitor({ httpCredentials: { username, password: PASSWORD } });
        // The guide's page has no icon, and its programs have no route for one.
        await page.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
        await page.goto(`${stage.network.origin(PORTAL)}${path}`);
        await page.frameLocator("iframe").getByText(`Signed in as ${email}`).waitFor();
        assert.equal(page.frames()[1].url(), `${stage.network.origin(nameOf(0))}/`, "the token is gone");
        assert.deepEqual(complaints, []);
        await context.close();
      }
    });
  }
});
