// The examples in Node, Python, PHP and Go: they hand two people over to a site behind the built Worker, and check at the
// origin who comes. Each runs twice: at the Worker, and at the fixed key set of examples/testing, which can sign what the
// Worker never would.

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { createHmac, createPublicKey } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { assertion, HEADER, ISSUER, keySet, startKeyServer } from "../../examples/testing/testing.js";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "../edge/lib/front.mjs";
import { claimsOf, headerOf, tampered } from "../edge/lib/tokens.mjs";
import { newPath, startWorld, until } from "../edge/lib/world.mjs";
import { EXAMPLES, freePort, installExamplesPython, PASSWORD, startExample } from "./lib/examples.mjs";
import { blocks } from "./lib/peers.mjs";

/** @import { Front } from "../edge/lib/front.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Running } from "./lib/examples.mjs" */

/** @typedef {ReturnType<typeof visitor>} Visitor */

const ADA = "ada@example.com";
const ZOE = "zoe@example.com";
/** An example keeps a token until it has less than 60 seconds left: here for ten seconds. */
const LIFETIME = 70;
const RENEWED_SECONDS = 30;

/** @type {Record<string, Front>} */
const fronts = {};
/** The examples in front of which the Worker is, and which are its clients. */
/** @type {Record<string, Running>} */
const running = {};
/** The same programs with the key set of examples/testing. */
/** @type {Record<string, Running>} */
const alone = {};
/** @type {Awaited<ReturnType<typeof startKeyServer>> | undefined} */
let keyServer;
/** Where it will be. */
let keyServerPort = 0;
/** @type {World} */
let world;
let apiToken = "";

/** @param {string} name */
const audienceOf = (name) => `https://${name}.example.com`;

before(async () => {
  const ports = Object.fromEntries(await Promise.all(EXAMPLES.map(async (name) => [name, await freePort()])));
  const sites = Object.fromEntries(
    EXAMPLES.flatMap((name) => {
      const site = { query: { single_use: true, user_switch: "confirm" }, sso_token: { lifetime: LIFETIME }, assertion: { audience: audienceOf(name) } };
      // The second one shows the assertion that the example would get.
      return [
        [name.toUpperCase(), { ...site, upstream: `http://127.0.0.1:${ports[name]}` }],
        [`SHOWN_${name.toUpperCase()}`, { ...site, hosts: [`shown-${name}.example.test`] }],
      ];
    }),
  );
  world = await startWorld({ sites });
  apiToken = await world.apiToken("token:issue");
  keyServerPort = await freePort();
  // All of them end before one failure is told: `after` stops only what has started.
  const started = await Promise.allSettled(
    EXAMPLES.map(async (name) => {
      fronts[name] = await startFront(world.site(name.toUpperCase()));
      const settings = { EDGEWARD_API_TOKEN: apiToken, ASSERTION_AUDIENCE: audienceOf(name) };
      running[name] = await startExample(name, ports[name], { ...settings, EDGEWARD_URL: fronts[name].url });
      alone[name] = await startExample(name, await freePort(), { ...settings, EDGEWARD_URL: `http://127.0.0.1:${keyServerPort}`, ASSERTION_ISSUER: ISSUER });
    }),
  );
  for (const one of started) if (one.status === "rejected") throw one.reason;
});
after(async () => {
  for (const one of [...Object.values(running), ...Object.values(alone), ...Object.values(fronts), keyServer]) await one?.stop();
  await world?.stop();
});

/**
 * A person with a browser of their own.
 * @param {string} name
 * @param {string} email
 */
function visitor(name, email) {
  /** @type {Map<string, string>} */
  const jar = new Map();
  return {
    jar,
    /**
     * @param {string} path
     * @param {string} [password]
     */
    async get(path, password = PASSWORD, { as = email } = {}) {
      const basic = Buffer.from(`${as.split("@")[0]}:${password}`).toString("base64");
      const cookie = [...jar].map((pair) => pair.join("=")).join("; ");
      const headers = { authorization: `Basic ${basic}`, ...(cookie && { cookie }) };
      const response = await fetch(`${running[name].url}${path}`, { headers, redirect: "manual" });
      for (const line of response.headers.getSetCookie()) {
        const [, key, value] = /^([^=]+)=([^;]*)/.exec(line) ?? assert.fail(line);
        jar.set(key, value);
      }
      return { status: response.status, text: await response.text(), headers: response.headers };
    },
  };
}

/** @param {string} name */
const tokenRequests = (name) => fronts[name].requests.filter((request) => request === "POST /api/sso/token").length;

/**
 * Where an answer sends the browser: a path of the site.
 * @param {string} name
 * @param {{ status: number, text: string, headers: Headers }} answer
 */
function sentTo(name, { status, text, headers }) {
  assert.equal(status, 303, text);
  assert.doesNotMatch(text, /eyJ/, "the token is in the body");
  assert.match(headers.get("cache-control") ?? "", /no-store/);
  assert.equal(headers.get("referrer-policy"), "no-referrer");
  const location = headers.get("location") ?? "";
  assert.ok(location.startsWith(`${fronts[name].url}/`), location);
  return location.slice(fronts[name].url.length);
}

/**
 * Opens the site by cookie; answers the token in it.
 * @param {string} name
 * @param {Visitor} who
 */
async function openByCookie(name, who) {
  const answer = await who.get("/open/cookie?page=%2Fme");
  assert.equal(sentTo(name, answer), "/me");
  const line = answer.headers.getSetCookie().find((cookie) => cookie.startsWith("ls_auth_token=")) ?? assert.fail("no cookie");
  for (const attribute of ["HttpOnly", "Path=/", "SameSite=Lax"]) assert.ok(line.toLowerCase().includes(attribute.toLowerCase()), line);
  const [, age] = /max-age=(\d+)/i.exec(line) ?? assert.fail(line);
  assert.ok(Number(age) > 50 && Number(age) <= LIFETIME, line);
  return who.jar.get("ls_auth_token") ?? "";
}

/**
 * Asks the example, as an origin, who comes with this assertion.
 * @param {Running} example
 * @param {string | undefined} value
 */
async function callerOf({ url }, value) {
  const response = await fetch(`${url}/me`, { headers: value === undefined ? {} : { [HEADER]: value } });
  return { status: response.status, text: await response.text() };
}

/** @param {unknown} value */
const b64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("while the keys cannot be fetched nobody comes in, and it is not the caller's fault", async () => {
  for (const name of EXAMPLES) {
    const answer = await callerOf(alone[name], assertion({ email: ADA }, { audience: audienceOf(name) }));
    assert.equal(answer.status, 503, `${name}: ${answer.text}`);
  }
  keyServer = await startKeyServer({ port: keyServerPort });
});

for (const name of EXAMPLES) {
  describe(`examples/${name}`, () => {
    const site = () => world.site(name.toUpperCase());
    const shown = () => world.site(`SHOWN_${name.toUpperCase()}`);
    /**
     * Whom the example, as the origin of the site, takes a browser for.
     * @param {string} cookie
     * @param {string} [path]
     */
    const seen = async (cookie, path = "/me") => {
      const answer = await site().navigate(path, { cookie });
      assert.equal(answer.status, 200, String(answer));
      return answer.json;
    };

    test("a link signs in whoever follows it, once, at the page that was asked for", async () => {
      const page = "/me?filter=%2fa+b%20%41&empty=&&flag";
      /** @type {string[]} */
      const subjects = [];
      for (const email of [ADA, ZOE]) {
        const link = sentTo(name, await visitor(name, email).get(`/open/link?page=${encodeURIComponent(page)}`));
        assert.ok(link.startsWith(`${page}&token=eyJ`), link);
        const arrived = await site().navigate(link);
        assert.equal(arrived.status, 303, String(arrived));
        assert.equal(new URL(arrived.headers.need("location"), site().origin).href, `${site().origin}${page}`);
        const session = arrived.cookies.find((cookie) => cookie.name === "__Host-edgeward")?.pair ?? assert.fail(String(arrived));
        const caller = await seen(session, page);
        assert.equal(caller.email, email);
        subjects.push(caller.sub);
        assert.equal((await site().navigate(link)).status, 401, "the link a second time");
      }
      assert.notEqual(subjects[0], subjects[1]);
      const fragment = sentTo(name, await visitor(name, ADA).get("/open/link?page=%2Fme%23part"));
      assert.match(fragment, /^\/me\?token=eyJ[^#]+#part$/);
    });

    test("the cookie signs in whoever has it; its token is asked for once in its lifetime", async () => {
      const ada = visitor(name, ADA);
      const zoe = visitor(name, ZOE);
      const before = tokenRequests(name);
      const open = (/** @type {Visitor} */ who) => openByCookie(name, who);
      // PHP has a session for each browser, which has to exist before others can share it.
      const first = name === "php" ? [await open(ada)] : await Promise.all([open(ada), open(ada), open(ada)]);
      const ofAda = new Set([...first, ...(await Promise.all([open(ada), open(ada)]))]);
      assert.equal(ofAda.size, 1);
      assert.equal(tokenRequests(name) - before, 1);
      const [token] = ofAda;
      const ofZoe = await open(zoe);
      assert.equal(tokenRequests(name) - before, 2);
      assert.equal((await seen(`ls_auth_token=${token}`)).email, ADA);
      assert.equal((await seen(`ls_auth_token=${ofZoe}`)).email, ZOE);
      // Whoever signs in next in the same browser does not get the token of the first.
      await ada.get("/open/cookie?page=%2Fme", PASSWORD, { as: ZOE });
      assert.equal((await seen(`ls_auth_token=${ada.jar.get("ls_auth_token")}`)).email, ZOE);
    });

    test("who has signed out at the site comes in again by the same kept token", async () => {
      const ada = visitor(name, ADA);
      await ada.get("/open/cookie");
      const token = ada.jar.get("ls_auth_token");
      const arrived = await site().navigate("/me", { cookie: `ls_auth_token=${token}` });
      const session = arrived.cookies.find((cookie) => cookie.name === "__Host-edgeward")?.pair ?? assert.fail(String(arrived));
      const out = await site().form("/api/sso/logout", {}, { cookie: session });
      assert.ok(out.status < 400, String(out));
      assert.equal((await site().client("/me", { cookie: session })).status, 401);
      await ada.get("/open/cookie");
      assert.equal((await seen(`ls_auth_token=${ada.jar.get("ls_auth_token")}`)).email, ADA);
    });

    test("no page leads away from the site, and nobody is handed over who has not signed in", async () => {
      for (const page of ["https://evil.test/", "@evil.test/", ".evil.test", ":80@evil.test/", "/a\r\nX-Evil: 1", "\\\\evil.test", "/ü", "/a b"]) {
        const answer = await visitor(name, ADA).get(`/open/link?page=${encodeURIComponent(page)}`);
        assert.equal(answer.status, 400, `${page}: ${answer.headers.get("location")}`);
      }
      // It stays on the site, whatever the site makes of such a path.
      sentTo(name, await visitor(name, ADA).get(`/open/link?page=${encodeURIComponent("//evil.test/\\")}`));
      for (const [email, password] of [
        [ADA, "wrong"],
        ["eve@example.com", PASSWORD],
      ]) {
        for (const way of ["link", "cookie"]) {
          const answer = await visitor(name, email).get(`/open/${way}`, password);
          assert.equal(answer.status, 401);
          assert.doesNotMatch(JSON.stringify([...answer.headers]), /eyJ/);
        }
      }
      assert.equal((await fetch(`${running[name].url}/open/cookie`, { redirect: "manual" })).status, 401);
    });

    test("the origin takes an assertion of the Worker, and none that is for somebody else, forged or missing", async () => {
      const { user, cookie, token } = await shown().signIn();
      const good = (await shown().client("/", { cookie })).seen.headers.need(HEADER);
      const answer = await callerOf(running[name], good);
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(JSON.parse(answer.text), { sub: user.id, email: user.email, roles: [] });

      const other = world.site(`SHOWN_${(name === "koa" ? "go" : "koa").toUpperCase()}`);
      const forOther = (await other.client("/", { cookie: (await other.signIn(user)).cookie })).seen.headers.need(HEADER);
      const [header, claims, signature] = good.split(".");
      const changed = b64({ ...claimsOf(good), email: "admin@example.com" });
      const refused = {
        "no assertion": undefined,
        "an empty one": "",
        "what is no token": "x.y.z",
        "one for another origin": forOther,
        "a tampered one": tampered(good),
        "one with another address": `${header}.${changed}.${signature}`,
        "an unsigned one": `${b64({ ...headerOf(good), alg: "none" })}.${claims}.`,
        "an SSO token": token,
        "one by the keys of examples/testing": assertion({ email: ADA }, { audience: audienceOf(name) }),
        "one by these keys that names the Worker's issuer": assertion({ email: ADA }, { audience: audienceOf(name), claims: { iss: "edgeward" } }),
        "one by these keys that names the Worker's key": assertion(
          { email: ADA },
          { audience: audienceOf(name), kid: String(headerOf(good).kid), claims: { iss: "edgeward" } },
        ),
      };
      for (const [what, value] of Object.entries(refused)) assert.equal((await callerOf(running[name], value)).status, 401, what);
    });

    test("with the key set of examples/testing the origin takes any person, and still checks every claim", async () => {
      const audience = audienceOf(name);
      // Some wait a little before they ask for the keys again.
      await until(async () => (await callerOf(alone[name], assertion({ email: ADA }, { audience }))).status === 200, RENEWED_SECONDS);
      for (const email of [ADA, ZOE]) {
        const answer = await callerOf(alone[name], assertion({ email, roles: ["editor"] }, { audience }));
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual([JSON.parse(answer.text).email, JSON.parse(answer.text).roles], [email, ["editor"]]);
      }
      const now = Math.floor(Date.now() / 1000);
      const person = { email: ADA };
      /** @param {Record<string, unknown>} claims */
      const by = (claims) => assertion(person, { audience, claims });
      const good = assertion(person, { audience });
      const { kid } = headerOf(good);
      const publicKey = createPublicKey({ key: keySet.keys[0], format: "jwk" }).export({ type: "spki", format: "pem" });
      const symmetric = `${b64({ alg: "HS256", typ: "assertion+jwt", kid })}.${good.split(".")[1]}`;
      const refused = {
        "for another audience": assertion(person, { audience: "https://another.example.com" }),
        "for no audience": by({ aud: undefined }),
        expired: by({ iat: now - 400, exp: now - 100 }),
        "without end": by({ exp: undefined }),
        "without a beginning": by({ iat: undefined }),
        "about nobody": by({ sub: undefined }),
        "by another issuer": by({ iss: "https://evil.test" }),
        "that names the Worker": by({ iss: "edgeward" }),
        "of another type": assertion(person, { audience, typ: "JWT" }),
        "by an unknown key": assertion(person, { audience, kid: "unknown" }),
        "by another algorithm": assertion(person, { audience, algorithm: "EdDSA" }),
        "by a key for another algorithm": assertion(person, { audience, algorithm: "RS256", kid: String(kid) }),
        "by the public key as a secret": `${symmetric}.${createHmac("sha256", publicKey).update(symmetric).digest("base64url")}`,
        tampered: tampered(good),
      };
      for (const [what, value] of Object.entries(refused)) assert.equal((await callerOf(alone[name], value)).status, 401, what);
    });
  });
}

test("a kept token is renewed before it ends, and nobody arrives with an expired one", async () => {
  await Promise.all(
    EXAMPLES.map(async (name) => {
      const zoe = visitor(name, ZOE);
      const first = await openByCookie(name, zoe);
      const asked = tokenRequests(name);
      const renewed = await until(async () => {
        const value = await openByCookie(name, zoe);
        return tokenRequests(name) > asked ? value : undefined;
      }, RENEWED_SECONDS);
      assert.notEqual(renewed, first);
      assert.ok(Number(claimsOf(first).exp) > Date.now() / 1000, `${name}: the first one has ended`);
      const answer = await world.site(name.toUpperCase()).navigate("/me", { cookie: `ls_auth_token=${renewed}` });
      assert.equal(answer.json.email, ZOE, name);
    }),
  );
});

test("an assertion of examples/testing has the claims of a real one, in Node and in Python", async () => {
  const site = world.site("SHOWN_KOA");
  const { cookie } = await site.signIn();
  const real = (await site.client(newPath(), { cookie })).seen.headers.need(HEADER);
  const audience = audienceOf("koa");
  const names = (/** @type {object} */ value) => Object.keys(value).toSorted();
  const code = `import edgeward_testing as t; print(t.assertion("zoe@example.com", audience=${JSON.stringify(audience)}, roles=["editor"]))`;
  const options = /** @type {const} */ ({ cwd: at("examples/testing"), encoding: "utf8", env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" } });
  const inPython = execFileSync(await installExamplesPython(), ["-c", code], options).trim();
  const front = await startFront(site);
  const [script] = blocks("examples/testing/README.md", "sh");
  const env = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: apiToken };
  const { stdout: ofWorker } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], { env });
  await front.stop();
  assert.deepEqual([claimsOf(ofWorker.trim()).email, claimsOf(ofWorker.trim()).iss], [ADA, "edgeward"]);
  assert.equal((await callerOf(running.koa, ofWorker.trim())).status, 200);

  const inShell = execFileSync(pinnedNode, ["sign.js", "--email", ZOE, "--audience", audience, "--role", "editor"], options).trim();
  for (const value of [inPython, inShell]) {
    assert.deepEqual(names(claimsOf(value)), names(claimsOf(real)));
    assert.deepEqual(names(headerOf(value)), names(headerOf(real)));
    const answer = await callerOf(alone.koa, value);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([JSON.parse(answer.text).email, JSON.parse(answer.text).roles], [ZOE, ["editor"]]);
  }
});

test("what goes wrong is told to the browser in plain words, and in the log without a secret", async () => {
  const { users } = (await world.site("KOA").admin("GET", `/api/sso/users?email=${ZOE}`)).json;
  assert.equal((await world.site("KOA").admin("PATCH", `/api/sso/users/${users[0].id}`, { active: false })).status, 200);
  for (const name of EXAMPLES) {
    assert.equal((await visitor(name, ZOE).get("/open/link")).status, 403, `${name}: a disabled user`);
    // Its address serves a key set and no token.
    const basic = `Basic ${Buffer.from(`ada:${PASSWORD}`).toString("base64")}`;
    assert.equal((await fetch(`${alone[name].url}/open/cookie`, { headers: { authorization: basic }, redirect: "manual" })).status, 502, name);
    await fronts[name].stop();
    const answer = await visitor(name, ADA).get("/open/link");
    assert.equal(answer.status, 504, `${name}: nobody answers`);
    for (const { output } of [running[name], alone[name]]) {
      assert.match(output, /assertion refused|Edgeward/, `${name} logs nothing`);
      assert.doesNotMatch(output, /eyJ|ewt_/, `${name} logs a secret`);
      assert.ok(!output.includes(apiToken) && !output.includes(PASSWORD), name);
    }
  }
});
