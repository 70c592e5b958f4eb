// docs/migrate-from-custom-jwt.md: an application that mints tokens with a shared secret. Its example runs in workerd, and
// the tokens are those that its code makes, in Python by PyJWT and in Node by jose. What Label Studio makes of such a user
// is in tests/flows/label_studio.rs; here a plain origin shows what arrives.

import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { SignJWT } from "jose";
import { at } from "../../scripts/lib/project.mjs";
import { readExample } from "../edge/lib/examples.mjs";
import { newIssuerSecret } from "../edge/lib/issuer.mjs";
import { tampered } from "../edge/lib/tokens.mjs";
import { newEmail, newPath, now, startWorld } from "../edge/lib/world.mjs";
import { blocks, startPython } from "./lib/peers.mjs";

/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Python } from "./lib/peers.mjs" */

const DOCUMENT = "docs/migrate-from-custom-jwt.md";
const SESSION = "__Host-edgeward";
/** A link that is followed in a frame of another site. */
const FRAME = [
  ["Accept", "text/html"],
  ["Sec-Fetch-Mode", "navigate"],
  ["Sec-Fetch-Dest", "iframe"],
  ["Sec-Fetch-Site", "cross-site"],
];

const secret = newIssuerSecret();
const [settings, minting] = blocks(DOCUMENT, "python");
const mintInNode = new Function(
  "SignJWT",
  "randomUUID",
  blocks(DOCUMENT, "js")[0]
    .replaceAll(/^import .*$/gm, "")
    .replace("export const mint =", "return"),
)(SignJWT, randomUUID);

/** @type {Python} */
let python;
/** @type {World} */
let world;
/** @type {Site} */
let site;
before(async () => {
  python = await startPython();
  const { vars } = readExample(blocks(DOCUMENT, "toml")[0]);
  const { upstream, label_studio, ...example } = vars.EDGEWARD_SITE_STUDIO;
  assert.ok(upstream && label_studio);
  const studio = { sso_cookie: undefined, identity_headers: ["x-forwarded"], ...example };
  const issuer = vars.EDGEWARD_ISSUER_PORTAL;
  const { unverified_email_reason, ...asks } = issuer;
  assert.ok(unverified_email_reason);
  world = await startWorld({
    sites: {
      STUDIO: studio,
      ASKS: { ...studio, hosts: ["asks.example.com"], issuers: ["asks"] },
      KNOWN: { ...studio, hosts: ["known.example.com"], issuers: ["known"] },
    },
    vars: { JWT_SSO_SECRET: secret, EDGEWARD_ISSUER_PORTAL: issuer, EDGEWARD_ISSUER_ASKS: asks, EDGEWARD_ISSUER_KNOWN: { ...issuer, create_users: false } },
  });
  site = world.site("STUDIO");
});
after(async () => {
  await world?.stop();
  await python?.stop();
});

const address = () => newEmail("portal").replace(/@.*/, "@example.net");
/** @param {string} token */
const arrive = (token, { at = site, path = newPath() } = {}) => at.navigate(`${path}?token=${token}&page=2`, { kind: FRAME });

/** Claims as the application mints them, with changes; `undefined` leaves one out. */
const claims = (changes = {}) =>
  JSON.parse(
    JSON.stringify({
      iss: "https://portal.example.net",
      aud: "label-studio",
      jti: randomUUID(),
      user_email: address(),
      given_name: "Ada",
      family_name: "Lovelace",
      iat: now(),
      exp: now() + 300,
      ...changes,
    }),
  );
/**
 * A token of these claims, by PyJWT.
 * @param {Record<string, unknown>} [changes]
 */
const mint = (changes, { alg = "HS256", by = secret } = {}) => python.call("mint", { by: "pyjwt", alg, claims: claims(changes), secret: by });

/**
 * @param {string} token
 * @param {string} what
 * @param {{ at?: Site }} [options]
 */
async function assertRefused(token, what, options) {
  const path = newPath();
  const answer = await arrive(token, { path, ...options });
  assert.equal(answer.status, 401, `${what}: ${answer}`);
  assert.ok(!answer.cookies.some(({ name, cleared }) => name === SESSION && !cleared), what);
  assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
}

const WAYS = {
  PyJWT: async () => ({
    email: "ada@example.net",
    token: (await python.call("run", { code: `${minting}\nuser = {"token": token}`, names: { SECRET: secret } })).token,
  }),
  jose: async () => {
    const email = address();
    return { email, token: await mintInNode({ email, firstName: "Ada", lastName: "Lovelace" }, secret) };
  },
};

for (const [by, way] of Object.entries(WAYS)) {
  test(`${DOCUMENT}: a link with a token that ${by} made as it says signs the person in, once, in a frame`, async () => {
    const { email, token } = await way();
    const path = newPath();
    const answer = await arrive(token, { path });
    assert.deepEqual([answer.status, answer.location], [303, `${site.origin}${path}?page=2`], String(answer));
    const session = answer.setCookie(SESSION);
    assert.deepEqual(
      ["samesite", "partitioned", "secure", "httponly"].map((name) => session.attributes[name]),
      ["None", true, true, true],
    );

    const page = await site.navigate(`${path}?page=2`, { kind: FRAME, cookie: session.pair });
    assert.equal(page.status, 200, String(page));
    assert.equal(page.seen.header("x-forwarded-email"), email);
    assert.match(page.headers.need("content-security-policy"), /frame-ancestors 'self' https:\/\/portal\.example\.net/);
    assert.doesNotMatch(JSON.stringify(world.origin.about(path)), /eyJ/, "neither the token nor the session reaches the origin");
    const { users } = (await site.admin("GET", `/api/sso/users?email=${email}`)).json;
    assert.deepEqual(
      users.map((/** @type {{ first_name: string, last_name: string }} */ { first_name, last_name }) => [first_name, last_name]),
      [["Ada", "Lovelace"]],
    );

    await assertRefused(token, "the link a second time");
    // The next one is another token, though it is of the same second, and leads to the same user.
    const again = await way();
    assert.notEqual(again.token, token);
    assert.equal((await arrive(again.token)).status, 303);
  });
}

test(`${DOCUMENT}: a token as it was before, or by anybody else, signs nobody in`, async () => {
  assert.equal((await arrive(await mint())).status, 303);
  /** @type {Record<string, [changes: Record<string, unknown>, options?: { alg?: string, by?: string }]>} */
  const refused = {
    "without iss": [{ iss: undefined }],
    "without aud": [{ aud: undefined }],
    "without iat": [{ iat: undefined }],
    "without exp": [{ exp: undefined }],
    "of another issuer": [{ iss: "https://portal.example.net/" }],
    "for somebody else": [{ aud: "another" }],
    over: [{ iat: now() - 300, exp: now() - 60 }],
    "that lives too long": [{ exp: now() + 700 }],
    "in a link that is too old": [{ iat: now() - 301, exp: now() + 200 }],
    "with the address in another claim": [{ user_email: undefined, email: "ada@example.net" }],
    "with an address for which the portal does not speak": [{ user_email: "admin@example.com" }],
    "by another secret": [{}, { by: newIssuerSecret() }],
    "by another algorithm": [{}, { alg: "HS512" }],
  };
  for (const [what, [changes, options]] of Object.entries(refused)) await assertRefused(await mint(changes, options), `a token ${what}`);
  await assertRefused(tampered(await mint()), "a tampered token");
  const none = [{ alg: "none" }, claims()].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  await assertRefused(`${none.join(".")}.`, "an unsigned token");
  await assertRefused(`${none.join(".")}.${createHmac("sha256", secret).update(none.join(".")).digest("base64url")}`, "a token that says it is unsigned");
});

test(`${DOCUMENT}: without unverified_email_reason the token must say that the address is verified`, async () => {
  const asks = { at: world.site("ASKS") };
  await assertRefused(await mint(), "an unverified address", asks);
  await assertRefused(await mint({ email_verified: "true" }), "a text", asks);
  assert.equal((await arrive(await mint({ email_verified: true }), asks)).status, 303);
});

test(`${DOCUMENT}: without create_users a token signs in whoever was made in advance, and nobody else`, async () => {
  const known = world.site("KNOWN");
  await assertRefused(await mint(), "a token of somebody unknown", { at: known });
  const user_email = address();
  await known.createUser({ email: user_email });
  assert.equal((await arrive(await mint({ user_email }), { at: known })).status, 303);
});

test(`${DOCUMENT}: PyJWT refuses a token with aud when it is told no audience`, async () => {
  const names = { TOKEN: await mint(), SECRET: secret };
  /** @param {string} more */
  const decode = (more) => `import jwt\nuser = jwt.decode(TOKEN, SECRET, algorithms=["HS256"]${more})`;
  assert.equal(await python.call("refused", { code: decode(""), names }), "InvalidAudienceError");
  assert.equal(await python.call("refused", { code: decode(', audience="label-studio"'), names }), null);
});

test(`${DOCUMENT}: every setting of the example before has a row`, () => {
  const names = [...settings.matchAll(/^([A-Z_]+) =/gm)].map(([, name]) => name);
  assert.equal(names.length, 9);
  const text = readFileSync(at(DOCUMENT), "utf8");
  for (const name of names) assert.ok(text.includes(`\n| \`${name}\` |`), name);
});
