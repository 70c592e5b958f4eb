// Addresses that lead elsewhere, in every parameter of the gateway that takes one, or a value that could become one. With
// EDGEWARD_REDIRECTS, a file with further ones, one a line: such as testdata/openredirects.txt of oauth2-proxy.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { AT_GATEWAY, Browser, call, newPerson, newService, obtain, withGateway } from "./lib/gateway.mjs";
import { startReceiver } from "./lib/receiver.mjs";
import { startWorld } from "./lib/world.mjs";

/** @import { Registered } from "./lib/gateway.mjs" */
/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Site} */
let app;
/** @type {Receiver} */
let receiver;
/** @type {Registered} */
let wiki;
/** A browser that is signed in at the gateway.
 * @type {Browser} */
let browser;
before(async () => {
  receiver = await startReceiver();
  world = await startWorld(withGateway({ sites: { APP: AT_GATEWAY } }));
  [gateway, app] = [world.site("GATEWAY"), world.site("APP")];
  wiki = await newService(gateway, receiver.url, { base_url: `${receiver.url}/wiki` });
  browser = new Browser(world);
  await browser.signIn(gateway, await newPerson(gateway));
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
});

const EVIL = "evil.test";
/** What stands before a host: schemes, slashes of both kinds, and what parsers leave out or take for one. */
const LEADS = [
  "//",
  "///",
  "////",
  "/\\",
  "\\\\",
  "\\/",
  "/\\/",
  "//\\",
  "/ /",
  "/\t/",
  "/\n/",
  "/\r\n/",
  "\t//",
  " //",
  "\u00a0//",
  "\u3000//",
  "/%09/",
  "/%0a/",
  "/%0d%0a/",
  "/%2f",
  "/%5c",
  "%2f%2f",
  "/./",
  "/../",
  "/.//",
  "/..//",
  "/;/",
  "/x/..//",
  "/;@",
  "/@",
  "//x@",
  "//x:y@",
  "//%40",
  "/?//",
  "/#//",
  "//\u0000",
  "/\u0000/",
  "/\u2028/",
  "/\ufeff/",
  "//\u3002",
  "/\u2044/",
  "/\uff0f",
  "\uff0f\uff0f",
  "http:",
  "https:",
  "http:/",
  "https:/",
  "http://",
  "https://",
  "HTTPS://",
  "hTTps:\\\\",
  "https:///",
  "https:////",
  "http:/\\",
  "https:\\/",
  "ht\ntps://",
  " https://",
  "https ://",
  "ftp://",
  "ws://",
  "file:///",
  "view-source:https://",
  "feed:https://",
  "blob:https://",
  "x:",
  "javascript://",
  "javascript:alert(1)//",
  "JaVaScRiPt:alert(1)//",
  "java\tscript:alert(1)//",
  "\u0001javascript:alert(1)//",
  "data:text/html,<script>1</script>//",
  "vbscript:x//",
  "//[::1]@",
  "//127.0.0.1@",
  "//0x7f.1@",
  "//xn--",
  "<>//",
  "%00//",
  "%E5%98%8A%E5%98%8D//",
  "\u560a\u560d//",
];
/** What a good host does not make good. */
const AROUND = (/** @type {string} */ good) => [
  `http://${good}.${EVIL}/`,
  `http://${good}@${EVIL}/`,
  `http://${good}:80@${EVIL}/`,
  `http://${good}:x@${EVIL}/`,
  `http://${good}%40${EVIL}/`,
  `http://${good}%2f@${EVIL}/`,
  `http://${good}\\@${EVIL}/`,
  `http://${good}\\.${EVIL}/`,
  `http://${good}#@${EVIL}/`,
  `http://${good}?@${EVIL}/`,
  `http://${good};@${EVIL}/`,
  `http://${good}&@${EVIL}/`,
  `http://${EVIL}/${good}/`,
  `http://${EVIL}#${good}/`,
  `http://${EVIL}?${good}/`,
  `http://${EVIL}\\${good}/`,
  `http://${EVIL}%00.${good}/`,
  `http://${EVIL}%23.${good}/`,
  `http://${EVIL}%2f.${good}/`,
  `http://${EVIL}\u3002${good}/`,
  `http://${EVIL}%E3%80%82${good}/`,
  `http://x${good}/`,
  `http://${good}x/`,
  `http://${good}./`,
  `http://${good}:81/`,
  `http://${good}:443@${EVIL}/`,
  `http://${good.toUpperCase()}.${EVIL}/`,
  `http://user@${good}/`,
  `https://${good}/`,
  `ftp://${good}/`,
  `//${good}/`,
  `\\\\${good}/`,
  `http:${good}/`,
  `http:/${good}/`,
  `http:///${good}/`,
  `http://${good}//${EVIL}/`,
  `http://${good}/\\${EVIL}/`,
  `http://${good}/%2f%2f${EVIL}/`,
  `http://${good}/..//${EVIL}/`,
  `http://${good}/.//${EVIL}/`,
  `http://${good}/\t/${EVIL}/`,
  `http://${good}\t/${EVIL}/`,
  `http://${good}\r\nLocation: http://${EVIL}/`,
  `http://${good}/\r\nLocation: http://${EVIL}/`,
  `http://${good}/%0d%0aLocation:%20http://${EVIL}/`,
  `/\r\nSet-Cookie: a=b`,
  `/%0d%0aSet-Cookie:%20a=b`,
];

/** @param {string} good */
function patterns(good) {
  const own = [...LEADS.flatMap((lead) => [EVIL, "2130706433", `${good}.${EVIL}`].map((host) => `${lead}${host}`)), ...AROUND(good)];
  const further = process.env.EDGEWARD_REDIRECTS;
  // The lists say where the attacked host stands.
  const lines = further === undefined ? [] : readFileSync(further, "utf8").split("\n");
  return [...own, ...lines.filter((line) => line !== "").map((line) => line.replaceAll(/www\.whitelisteddomain\.tld|whitelisteddomain\.tld/g, good))];
}

/**
 * Whether a browser that is sent to `location` from `site` stays where it should.
 * @param {string} location
 * @param {Site} site
 * @param {string[]} origins
 */
function staysAt(location, site, origins) {
  // What browsers leave out, and what they take for a slash, has no place there.
  assert.match(location, /^[!-~]+$/, JSON.stringify(location));
  assert.ok(!location.includes("\\"), location);
  assert.ok(origins.includes(new URL(location, site.origin).origin), location);
}

/** Sends so many requests side by side. */
const AT_ONCE = 8;
/**
 * @template T
 * @param {T[]} all
 * @param {(one: T) => Promise<unknown>} visit
 */
async function each(all, visit) {
  const left = [...all];
  const work = async () => {
    for (let one = left.pop(); one !== undefined; one = left.pop()) await visit(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

const cookie = () => browser.jar(gateway).header;
/** @param {Record<string, string>} query */
const login = (query) => gateway.navigate(`/login/?${new URLSearchParams(query)}`, { cookie: cookie() });
const STATE = "0".repeat(64);

test("SEC-48: no next_url of a service leads elsewhere", async () => {
  const all = patterns(new URL(receiver.url).host);
  let [root, local] = [0, 0];
  await each(all, async (next) => {
    const obtained = await call(gateway, "obtain", { token: wiki.token, next_url: next });
    // Nothing but white space is nothing.
    if (obtained.json.error !== undefined) return assert.equal(next.trim(), "", next);
    const sso = obtained.json.token;
    const sent = await login({ sso });
    assert.deepEqual([sent.status, sent.location], [303, `${receiver.url}/wiki/sso/accept/`], String(sent));
    const { next_url: told } = (await call(gateway, "get", { token: wiki.token, authentication_token: sso })).json;
    assert.match(told, /^\/(?!\/)[!-~]*$/, JSON.stringify([next, told]));
    staysAt(told, gateway, [gateway.origin]);
    // A service puts it behind its own origin, or follows it as it is.
    assert.equal(new URL(receiver.url + told).host, new URL(receiver.url).host, told);
    if (told === "/") root += 1;
    else local += 1;
  });
  console.log(`next_url: ${all.length} addresses, ${root} became /, ${local} were paths of the service`);
  assert.ok(root > all.length / 2);
});

test("SEC-48: no return_to leads to what is not a site", async () => {
  const all = patterns(app.host);
  let away = 0;
  await each(all, async (wanted) => {
    for (const query of [
      { return_to: wanted, state: STATE },
      { return_to: wanted.replace(/^http:\/\//, "https://"), state: STATE },
    ]) {
      const sent = await login(query);
      assert.equal(sent.status, 303, `${JSON.stringify(wanted)}: ${sent}`);
      if (sent.location === "/account/") continue;
      away += 1;
      // At the site, and with a code that works in no browser but the one that the site has sent here.
      assert.match(sent.target, new RegExp(`^http://${app.host.replaceAll(".", "\\.")}/api/sso/arrive\\?code=[\\w-]{22}$`), wanted);
      assert.ok(wanted.startsWith(`http://${app.host}/`), wanted);
      assert.equal((await app.navigate(new URL(sent.target).pathname + new URL(sent.target).search)).location, undefined);
    }
  });
  console.log(`return_to: ${all.length} addresses, ${away} were at the site`);
});

test("SEC-48: neither sso, nor state, nor code is an address", async () => {
  await each(patterns(app.host), async (bad) => {
    const over = await login({ sso: bad });
    assert.deepEqual([over.status, over.location], [410, undefined], JSON.stringify(bad));
    const stated = await login({ return_to: `${app.origin}/`, state: bad });
    assert.equal(stated.location, "/account/", JSON.stringify(bad));
    const arrived = await app.navigate(`/api/sso/arrive?${new URLSearchParams({ code: bad })}`);
    assert.equal(arrived.location, undefined, `${JSON.stringify(bad)}: ${arrived}`);
    assert.ok(arrived.status >= 400 && arrived.status < 500, String(arrived));
    const fallback = await gateway.navigate(`/welcome/?${new URLSearchParams({ fallback: "true", sso: bad })}`, { cookie: cookie() });
    assert.ok(fallback.status === 200 && !fallback.text.includes(EVIL), String(fallback));
    const password = await gateway.navigate(`/password/?${new URLSearchParams({ token: bad })}`, { cookie: cookie() });
    assert.deepEqual([password.status, password.location], [410, undefined], JSON.stringify(bad));
  });
});

test("SEC-48: what a form carries is judged as what a query carries", async () => {
  const person = await newPerson(gateway);
  for (const wanted of [`http://${EVIL}/`, `//${EVIL}/`, `http://${app.host}@${EVIL}/`]) {
    const other = new Browser(world);
    await other.open(gateway, "/login/");
    const sent = await other.submit(gateway, "/login/", { username: person.email, password: person.password, return_to: wanted, state: STATE });
    assert.deepEqual([sent.status, sent.location], [303, "/account/"]);
  }
  const sso = await obtain(gateway, wiki);
  const form = await new Browser(world).open(gateway, `/login/?sso=${sso}&return_to=http://${EVIL}/&next=http://${EVIL}/&next_url=//${EVIL}`);
  assert.equal(form.status, 200);
  assert.ok(!form.text.includes(EVIL));
  assert.match(form.headers.need("content-security-policy"), /form-action 'self' http:\/\/127\.0\.0\.1:\d+(;|$)/);
});
