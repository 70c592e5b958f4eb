// docs/migrate-from-oauth2-proxy.md and docs/migrate-from-cloudflare-access.md: their configurations, taken from their own text,
// with two people, of whom one may and the other may not. Only the addresses of the provider and of the origin are the test's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import { builtCore } from "../../scripts/lib/core.mjs";
import { readExample } from "./lib/examples.mjs";
import { Browser } from "./lib/gateway.mjs";
import { providerTable, startProviders } from "./lib/provider.mjs";
import { newPath, startWorld } from "./lib/world.mjs";

/** @import { Claims } from "./lib/provider.mjs" */

/** The first host of both examples. */
const HOST = "app.example.com";

/** @param {string} document */
function read(document) {
  const text = readFileSync(new URL(`../../${document}`, import.meta.url), "utf8");
  const { vars } = readExample(/```toml\n([\s\S]*?)```/.exec(text)?.[1] ?? assert.fail(`${document} shows no settings`));
  /**
   * The first cells of a table under a heading.
   * @param {string} heading
   */
  const rows = (heading) => {
    const section = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? assert.fail(heading);
    return [...section.matchAll(/^\| (.*?) \| (.*) \|$/gm)].map(([, left, right]) => ({ left, right })).slice(1);
  };
  return { document, text, vars, rows };
}

/**
 * Starts the site of a document, with a provider in the place of its own.
 * @param {ReturnType<typeof read>} given
 */
async function start({ vars }) {
  const server = await startProviders();
  const provider = await server.add("id");
  const { upstream, ...site } = vars.EDGEWARD_SITE_APP;
  assert.equal(upstream, "https://origin.example.com");
  const { issuer, loopback_origin } = providerTable(server, "id");
  const world = await startWorld({
    sites: { APP: { sso_cookie: undefined, query: undefined, identity_headers: undefined, ...site } },
    vars: { EDGEWARD_PROVIDER_ID: { ...vars.EDGEWARD_PROVIDER_ID, issuer, loopback_origin }, EDGEWARD_PROVIDER_ID_SECRET: "x" },
  });
  const app = world.site();
  assert.equal(app.host, HOST);
  return {
    world,
    app,
    provider,
    /**
     * A browser opens a page, and its person signs in at the provider, which says this of them.
     * @param {Claims} claims
     */
    async signIn(claims, path = newPath()) {
      provider.ways = { claims };
      const browser = new Browser(world);
      const sent = await browser.open(app, path);
      assert.equal(sent.status, 303, String(sent));
      const begun = await browser.open(app, sent.target.replace(app.origin, ""));
      assert.equal(begun.status, 303, String(begun));
      const answer = await browser.open(app, provider.respond(begun.target));
      return { browser, answer, path };
    },
    async stop() {
      await world.stop();
      await server.stop();
    },
  };
}

const core = await builtCore();

/** @param {Record<string, unknown>} vars */
function checkConfig(vars) {
  const told = /** @type {{ x: { errors: object[] } }} */ (core("check-config", { x: { vars } }));
  assert.deepEqual(told.x.errors, []);
}

/** @param {Record<string, unknown>} claims */
const person = (claims) => ({ preferred_username: claims.sub, ...claims });

describe("docs/migrate-from-oauth2-proxy.md", () => {
  const guide = read("docs/migrate-from-oauth2-proxy.md");
  const STAFF = person({ sub: "0042", email: "ada@example.com", groups: ["staff", "chess"] });
  const OTHER = person({ sub: "0043", email: "grace@example.com", groups: ["chess"] });
  /** @type {Awaited<ReturnType<typeof start>>} */
  let place;
  before(async () => {
    place = await start(guide);
  });
  after(() => place?.stop());

  test("every setting of the example before has a row, and so has every header and endpoint that the guide is asked about", () => {
    const [, ini] = /```ini\n([\s\S]*?)```/.exec(guide.text) ?? assert.fail("no example");
    const settings = guide.rows("Settings").map(({ left }) => left);
    for (const [, name] of ini.matchAll(/^(\w+) = /gm)) assert.ok(settings.join().includes(`\`${name}\``), `no row for ${name}`);
    for (const name of ["cookie_refresh", "pass_access_token", "set_xauthrequest", "skip_auth_routes", "authenticated_emails_file"]) {
      assert.ok(settings.join().includes(`\`${name}\``), `no row for ${name}`);
    }
  });

  test("its settings have no error", () => checkConfig(guide.vars));

  test("who is of the group gets to the page that they opened, and the origin gets the four headers of oauth2-proxy and no old one of a client", async () => {
    const { browser, answer, path } = await place.signIn(STAFF);
    assert.deepEqual([answer.status, answer.target.split("?edgeward_attempt=")[0]], [303, `${place.app.origin}${path}`]);
    browser.headers = [
      ["X-Forwarded-User", "root"],
      ["X-Auth-Request-Email", "root@example.com"],
      ["X-Forwarded-Access-Token", "x"],
    ];
    const { seen } = await browser.open(place.app, path);
    const names = guide.rows("Headers").map(({ left }) => left.match(/`(X-Forwarded-[\w-]+)`/)?.[1].toLowerCase());
    const told = Object.fromEntries(names.flatMap((name) => (name ? [[name, seen.header(name)]] : [])));
    assert.deepEqual(told, {
      "x-forwarded-user": "0042",
      "x-forwarded-email": "ada@example.com",
      "x-forwarded-groups": "staff,chess",
      "x-forwarded-preferred-username": "0042",
      "x-forwarded-access-token": undefined,
    });
    assert.equal(seen.header("x-auth-request-email"), undefined);
    assert.equal(seen.header("cookie"), undefined);
    const me = await place.app.client("/api/sso/me", { cookie: browser.jar(place.app).header });
    assert.equal(me.json.user.email, "ada@example.com");
  });

  test("who lacks the group is refused everything but what is public, and the log names the rule", async () => {
    const { browser, path } = await place.signIn(OTHER);
    assert.equal((await browser.open(place.app, path)).status, 403);
    await place.world.settled();
    assert.match(place.world.events("denied").at(-1).reason, /rule 4/);
    assert.equal((await browser.open(place.app, "/healthz")).status, 200);
    assert.equal((await browser.open(place.app, "/api/x")).status, 403);
  });

  test("another domain, and an address that is not verified, are refused at the sign-in; the reason makes one without the claim count", async () => {
    for (const claims of [
      { ...STAFF, email: "ada@example.net" },
      { ...STAFF, email_verified: false },
      { ...STAFF, email_verified: undefined },
    ]) {
      assert.equal((await place.signIn(claims)).answer.status, 403, JSON.stringify(claims));
    }
    const reasoned = await start({
      ...guide,
      vars: { ...guide.vars, EDGEWARD_PROVIDER_ID: { ...guide.vars.EDGEWARD_PROVIDER_ID, unverified_email_reason: "the organisation manages them" } },
    });
    try {
      assert.equal((await reasoned.signIn({ ...STAFF, email_verified: undefined })).answer.status, 303);
    } finally {
      await reasoned.stop();
    }
  });

  test("nobody is signed in: public paths pass, the API gets 401 even in a browser, and pages lead to the provider", async () => {
    for (const path of ["/healthz", "/assets/a.css"]) assert.equal((await place.app.client(path)).status, 200, path);
    assert.equal((await place.app.send("POST", "/healthz")).status, 401);
    assert.equal((await place.app.navigate("/api/x")).status, 401);
    assert.match((await place.app.navigate("/page")).target, /\/api\/sso\/login\/id\?return_to=/);
    assert.equal((await place.app.client("/page")).status, 401);
  });

  test("the row for trusted_ips: that network passes anonymously, everybody else has to be of the group", async () => {
    const { right } = guide.rows("Settings").find(({ left }) => left.includes("trusted_ips")) ?? assert.fail("no row");
    const [anonymous, require] = [...right.matchAll(/`([^`]+ = [^`]+)`/g)].map(([, text]) => text);
    const rule = readExample(`[vars.R]\n${anonymous}\n${require}`).vars.R;
    const world = await startWorld({
      sites: { APP: { rules: [{ prefix: "/", ...rule }], unauthenticated: undefined } },
    });
    try {
      const site = world.site();
      const from = (/** @type {string} */ address) => site.client("/", { headers: { "CF-Connecting-IP": address } });
      assert.equal((await from("192.0.2.7")).status, 200);
      assert.equal((await from("198.51.100.7")).status, 401);
    } finally {
      await world.stop();
    }
  });
});

describe("docs/migrate-from-cloudflare-access.md", () => {
  const guide = read("docs/migrate-from-cloudflare-access.md");
  const ANALYST = person({ sub: "a1", email: "ada@example.com", groups: ["analysts"] });
  const COLLEAGUE = person({ sub: "g1", email: "grace@example.com", groups: ["sales"] });
  const FRANCE = [["CF-IPCountry", "FR"]];
  /** @type {Awaited<ReturnType<typeof start>>} */
  let place;
  before(async () => {
    place = await start(guide);
  });
  after(() => place?.stop());

  test("its settings have no error", () => checkConfig(guide.vars));

  test("the analyst gets to the reports, in the right country only; a colleague to the rest; a trainee is excluded", async () => {
    const { browser: ada, answer, path } = await place.signIn(ANALYST);
    assert.deepEqual([answer.status, answer.target.split("?edgeward_attempt=")[0]], [303, `${place.app.origin}${path}`]);
    ada.headers = /** @type {[string, string][]} */ (FRANCE);
    assert.equal((await ada.open(place.app, "/reports/1")).seen.header("x-forwarded-email"), "ada@example.com");
    ada.headers = [["CF-IPCountry", "US"]];
    assert.equal((await ada.open(place.app, "/reports/1")).status, 403);
    const { browser: grace } = await place.signIn(COLLEAGUE);
    grace.headers = /** @type {[string, string][]} */ (FRANCE);
    assert.equal((await grace.open(place.app, "/reports/1")).status, 403);
    assert.equal((await grace.open(place.app, "/page")).status, 200);
    const { browser: trainee } = await place.signIn({ ...ANALYST, sub: "t1", email: "tim@example.com", groups: ["analysts", "trainees"] });
    trainee.headers = /** @type {[string, string][]} */ (FRANCE);
    assert.equal((await trainee.open(place.app, "/reports/1")).status, 403);
  });

  test("another domain is refused at the sign-in; without a session only the bypassed path passes, whatever a client says of Access", async () => {
    assert.equal((await place.signIn({ ...ANALYST, email: "ada@example.net" })).answer.status, 403);
    const forged = { "Cf-Access-Jwt-Assertion": "a.b.c", "Cf-Access-Authenticated-User-Email": "ada@example.com", Cookie: "CF_Authorization=a.b.c" };
    assert.equal((await place.app.client("/page", { headers: forged })).status, 401);
    const { status, seen } = await place.app.client("/healthz", { headers: forged });
    assert.equal(status, 200);
    assert.deepEqual([seen.header("cf-access-jwt-assertion"), seen.header("cf-access-authenticated-user-email")], [undefined, undefined]);
  });

  test("an origin that checked the token of Access checks the assertion with the values of the table", async () => {
    const { browser } = await place.signIn(ANALYST);
    const { seen } = await browser.open(place.app, "/page");
    /** @type {Record<string, string>} */
    const values = Object.fromEntries(guide.rows("An example").map(({ left, right }) => [left, right]));
    const header = /`(X-[\w-]+)`/.exec(values.header)?.[1] ?? assert.fail(values.header);
    const { pathname } = new URL(/`(https:\/\/app[^`]+)`/.exec(values.keys)?.[1] ?? assert.fail(values.keys));
    const keys = (await place.app.client(pathname)).json;
    const options = {
      issuer: "edgeward",
      audience: String(/** @type {{ audience: string }} */ (guide.vars.EDGEWARD_SITE_APP.assertion).audience),
      algorithms: ["RS256"],
    };
    const { payload } = await jwtVerify(seen.header(header) ?? assert.fail(header), createLocalJWKSet(keys), options);
    assert.equal(payload.email, "ada@example.com");
    assert.equal(Number(payload.exp) - Number(payload.iat), 300);
    assert.notEqual(payload.sub, "a1");
  });

  test("a program comes with an API token in the place of a service token", async () => {
    const user = await place.app.createUser({ email: "robot@example.com" });
    const made = await place.app.admin("POST", "/api/sso/tokens", { name: "robot", scopes: [], acts_as: user.id });
    assert.equal(made.status, 201, String(made));
    assert.equal((await place.app.client("/page", { headers: { "X-Api-Key": made.json.token } })).status, 200);
    const old = { "CF-Access-Client-Id": "x.access", "CF-Access-Client-Secret": "y" };
    assert.equal((await place.app.client("/page", { headers: old })).status, 401);
  });
});
