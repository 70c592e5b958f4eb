// Live credentials that strayed to where no site looks for them: no origin gets one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sign, ssoToken, cookieValue } from "./lib/tokens.mjs";
import { CLIENT, newEmail, newPath, NAVIGATION, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let open;
/** @type {User} */
let user;
/** @type {string} */
let cookie;
/** A live SSO token for this site, one for another site, a live session, and a token of the application's own. */
/** @type {Record<string, string>} */
let strays;
/** @type {string} */
let own;
before(async () => {
  world = await startWorld({
    sites: {
      APP: { sources: ["session", "sso_cookie", "query", "bearer", "header"], token_headers: [{ name: "x-token" }] },
      OPEN: {
        sources: ["session"],
        unauthenticated: undefined,
        sso_cookie: undefined,
        query: undefined,
        rules: [{ prefix: "/public", public: true }, { anonymous_ok: true }],
      },
    },
  });
  app = world.site("APP");
  open = world.site("OPEN");
  ({ user, cookie } = await app.signIn());
  strays = {
    "SSO token": ssoToken(app, user),
    "SSO token of another site": ssoToken(open, user),
    session: cookieValue((await app.signIn(user)).cookie),
    "API token": await world.adminToken(),
  };
  own = sign({ alg: "HS256", typ: "JWT" }, { sub: "somebody", name: "a token of the application's own" }, "x".repeat(32));
});
after(() => world?.stop());

/** @param {string} text */
const escaped = (text) => [...text].map((c) => `%${c.charCodeAt(0).toString(16)}`).join("");
/**
 * Ways to write a token.
 * @param {string} token
 */
const written = (token) => [token, token.replaceAll(".", "%2E"), `%65${token.slice(1)}`, escaped(token)];

/**
 * What the origin got, which holds no credential of ours in any form.
 * @param {Answer} answer
 * @param {string} what
 */
function assertClean(answer, what) {
  assert.equal(answer.status, 200, `${what}: ${answer}`);
  let text = JSON.stringify([answer.seen.url, answer.seen.headers.list]);
  for (let layer = 0; layer < 4; layer++) {
    for (const [kind, token] of Object.entries(strays)) assert.ok(!text.includes(token), `${what}: ${kind} in ${text}`);
    text = text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  return answer.seen;
}

/** The same at a site and as somebody, and where nobody is signed in and the path is public. */
const places = () =>
  /** @type {[string, (path: string, headers: Record<string, string>, cookie?: string) => Promise<Answer>][]} */ ([
    ["signed in", (path, headers, c) => app.send("GET", path, { kind: SCRIPT, headers, cookie: [cookie, c].filter(Boolean).join("; ") })],
    ["anonymous", (path, headers, c) => open.send("GET", path, { kind: CLIENT, headers, cookie: c })],
    ["public", (path, headers, c) => open.send("GET", `/public${path}`, { kind: CLIENT, headers, cookie: c })],
  ]);

test("SEC-40: no live credential of ours reaches an origin in another cookie, parameter or header", async () => {
  for (const [place, send] of places()) {
    for (const [kind, token] of Object.entries(strays)) {
      const what = `${kind}, ${place}`;
      for (const text of written(token)) {
        const byCookie = assertClean(await send(newPath(), {}, `a=1; other=${text}; b=2`), `cookie, ${what}`);
        assert.equal(byCookie.header("cookie"), "a=1; b=2");
        // Without a name, as a name, behind a comma, and behind many beginnings of a token.
        for (const [sent, left] of [
          [`a=1; ${text}; b=2`, "a=1; b=2"],
          [`a=1; ${text}=x`, "a=1"],
          [`a, ${text}; b=2`, "b=2"],
          [`a=1; o=${"eyJ".repeat(100)}.${text}`, "a=1"],
        ]) {
          assert.equal(assertClean(await send(newPath(), {}, sent), `cookie ${sent}, ${what}`).header("cookie"), left);
        }
        assertClean(await send(`${newPath()}?pad=${"eyJ".repeat(100)}&jwt=${text}`, {}), `query behind a pad, ${what}`);
        const path = newPath();
        const byQuery = assertClean(await send(`${path}?a=%20&other=${text}&next=%2Fx%3Ftoken%3D${text}&b=+`, {}), `query, ${what}`);
        assert.equal(byQuery.query, "a=%20&b=+");
        for (const name of ["X-Anything", "Authorization", "X-Access-Token", "Sec-WebSocket-Protocol", "X-CSRF-Token", "Idempotency-Key", "User-Agent"]) {
          const values = name === "Authorization" ? [`Bearer ${token}`] : [text, `Bearer ${text}`];
          for (const value of values) assertClean(await send(newPath(), { [name]: value }), `${name}, ${what}`).header(name.toLowerCase());
        }
        const byReferer = assertClean(await send(newPath(), { Referer: `${app.origin}/page?a=1&x=${text}&b=2` }), `Referer, ${what}`);
        // At the other site it is a page elsewhere, and keeps its name.
        const name = place === "signed in" ? world.origin.url : app.origin;
        assert.equal(byReferer.header("referer"), `${name}/page?a=1&b=2`);
        assertClean(await send(newPath(), { Referer: `${app.origin}/${text}/` }), `Referer's path, ${what}`);
      }
    }
  }
});

test("SEC-40: no Authorization header with a credential of ours in it reaches an origin, however it is written", async () => {
  for (const [place, send] of places()) {
    for (const [kind, token] of Object.entries(strays)) {
      /** @param {string} text */
      const basic = (text) => `Basic ${Buffer.from(text).toString("base64")}`;
      for (const value of [`Token '${token}'`, `Token;${token}`, basic(`user:${token}`), basic(`${token}:`), `Basic eDp5, Token ${token}`]) {
        const answer = await send(newPath(), { Authorization: value });
        assert.equal(assertClean(answer, `${value}, ${kind}, ${place}`).header("authorization"), undefined);
      }
    }
    const plain = await send(newPath(), { Authorization: "Basic eDp5" });
    assert.equal(plain.seen.header("authorization"), "Basic eDp5", place);
  }
});

test("SEC-41: our marker leaves a Referer, however short that is", async () => {
  const answer = await app.send("GET", newPath(), { kind: SCRIPT, cookie, headers: { Referer: "https://a.test/?edgeward_attempt=1&b" } });
  assert.equal(answer.seen.header("referer"), "https://a.test/?b");
});

test("SEC-40: the site's own parameter leaves a Referer with a token for Edgeward, and stays with one of the application", async () => {
  const token = await app.issue(newEmail());
  for (const [value, left] of [
    [token, "?b=2"],
    [`${token}%20`, "?b=2"],
    [`Bearer+${token}`, "?b=2"],
    [own, `?token=${own}&b=2`],
  ]) {
    const answer = await app.send("GET", newPath(), { kind: SCRIPT, cookie, headers: { Referer: `${app.origin}/page?token=${value}&b=2` } });
    assert.equal(answer.seen.header("referer"), `${world.origin.url}/page${left}`);
  }
});

test("SEC-40: a credential in a Referer or another header is removed, also after equal requests without one", async () => {
  const path = newPath();
  const plain = `${app.origin}/page?a=1&b=2`;
  const translated = `${world.origin.url}/page?a=1&b=2`;
  // The first ones fill what is remembered; those after them find it.
  /**
   * @param {number | string} n
   * @param {Record<string, string>} headers
   */
  const send = (n, headers) =>
    app.send("GET", `${path}/${n}`, { kind: SCRIPT, cookie, headers: { Referer: plain, "X-CSRF-Token": "t", "X-Repeat": "1", ...headers } });
  for (let n = 0; n < 4; n++) assert.equal((await send(n, {})).seen.header("referer"), translated);
  for (const [kind, token] of Object.entries(strays)) {
    for (const text of written(token)) {
      const dirty = assertClean(await send("dirty", { Referer: `${app.origin}/page?a=1&x=${text}&b=2`, "X-CSRF-Token": text }), kind);
      assert.equal(dirty.header("referer"), translated);
      assert.equal(dirty.header("x-csrf-token"), undefined);
      const clean = assertClean(await send("clean", {}), kind);
      assert.equal(clean.header("referer"), translated);
      assert.equal(clean.header("x-csrf-token"), "t");
    }
  }
});

test("tokens of other kinds are between the client and the application, wherever they stand", async () => {
  for (const [place, send] of places()) {
    const referer = `https://elsewhere.example/?jwt=${own}`;
    const answer = await send(`${newPath()}?jwt=${own}&x=%65`, { "X-Own": own, Referer: referer, "X-CSRF-Token": own }, `own=${own}; a=%65`);
    assert.equal(answer.status, 200, `${place}: ${answer}`);
    assert.equal(answer.seen.query, `jwt=${own}&x=%65`);
    assert.equal(answer.seen.header("cookie"), `own=${own}; a=%65`);
    for (const [name, value] of [
      ["x-own", own],
      ["referer", referer],
      ["x-csrf-token", own],
    ])
      assert.equal(answer.seen.header(name), value, place);
  }
});

test("SEC-41: a navigation with a credential in a parameter of another name goes on without it", async () => {
  const path = newPath();
  const answer = await app.send("GET", `${path}?a=1&other=${strays["SSO token"]}`, { kind: NAVIGATION, cookie });
  assert.equal(answer.status, 303, String(answer));
  assert.equal(answer.target.replace(app.origin, ""), `${path}?a=1`);
  assert.deepEqual(world.origin.about(path), []);
});
