// SEC-63: no secret and no credential is ever in a log line, in an error, in an admin answer that does not
// hand it out, or in a header to the origin.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, call, newService, obtain, setPassword, withGateway } from "./lib/gateway.mjs";
import { formOf } from "./lib/http.mjs";
import { startReceiver } from "./lib/receiver.mjs";
import { agedSession, expiredSsoToken, ssoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { newEmail, NAVIGATION, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const SESSION = "__Host-edgeward";

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Receiver} */
let receiver;
before(async () => {
  receiver = await startReceiver();
  const options = {
    edgeward: { log: "all" },
    vars: { UPSTREAM_PASSWORD: "canary-upstream-password" },
    sites: {
      APP: { assertion: {}, unauthenticated: "login", login_url: "https://portal.example.test/login" },
      CREDENTIAL: { upstream_credential: { header: "X-Upstream-Key", secret: "UPSTREAM_PASSWORD" } },
      DOWN: { upstream: "http://127.0.0.1:9" },
    },
  };
  world = await startWorld(withGateway(options));
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
});

/**
 * Does what there is to do at the gateway, well and badly: the answers that hand out nothing, and the credentials.
 * @param {(promise: Promise<Answer>) => Promise<Answer>} keep
 */
async function liveAtGateway(keep) {
  const gateway = world.site("GATEWAY");
  const [password, wrong, next] = ["canary-password-0123456789", "canary-wrong-0123456789", "canary-next-0123456789"];
  const address = "203.0.113.77";
  const person = { ...(await gateway.createUser({ email: newEmail("canary-person") })), password };
  await setPassword(gateway, person, password);
  const service = await newService(gateway, receiver.url);
  const sso = await obtain(gateway, service);
  const browser = new Browser(world);
  browser.headers = [["CF-Connecting-IP", address]];
  await keep(browser.signIn(gateway, { ...person, password: wrong }));
  await keep(call(gateway, "get", { token: `${service.token}x`, authentication_token: sso }));
  const sent = await browser.signIn(gateway, person, `?sso=${sso}`);
  assert.equal(sent.status, 303, String(sent));
  const session = sent.setCookie(SESSION).value;
  await keep(call(gateway, "get", { token: service.token, authentication_token: sso }));
  await keep(call(gateway, "make_used", { token: service.token, authentication_token: sso }));
  await keep(call(gateway, "make_used", { token: service.token, authentication_token: sso }));
  await keep(browser.open(gateway, "/account/"));
  await browser.open(gateway, "/password/");
  await browser.submit(gateway, "/password/", { current: password, new: next });
  const link = new URL((await app.admin("POST", `/api/sso/users/${person.id}/password-link`, {})).json.url).searchParams.get("token") ?? "";
  await browser.open(gateway, `/password/?token=${link}`);
  await keep(app.admin("GET", "/api/sso/services"));
  await keep(app.admin("GET", `/api/sso/services/${service.id}`));
  await keep(app.admin("GET", `/api/sso/users/${person.id}/password`));
  await keep(gateway.form("/logout/", {}, { cookie: browser.jar(gateway).header }));
  return {
    credentials: { password, wrong, next, serviceToken: service.token, serviceSecret: service.secret, gatewaySession: session, link, signIn: sso },
    personal: { address, person: person.email },
  };
}

/** Does everything that there is to do, well and badly. Gives the answers and the canaries. */
async function live() {
  /** @type {Answer[]} */
  const answers = [];
  /** @param {Promise<Answer>} promise */
  const keep = async (promise) => {
    const answer = await promise;
    answers.push(answer);
    return answer;
  };
  const email = newEmail("canary-address");
  const user = await app.createUser({ email, first_name: "canaryfirst", last_name: "canarylast", username: "canaryuser" });
  const apiToken = (await app.admin("POST", "/api/sso/tokens", { name: "canary", scopes: ["token:issue"] })).json;
  const issued = (await app.issueAnswer({ email }, { token: apiToken.token })).json.token;
  const { cookie, token } = await app.signIn(user);
  const session = cookieValue(cookie);
  const expired = expiredSsoToken(app, user);
  const bad = tampered(token);
  const foreign = ssoToken(app, user, { aud: "elsewhere" });
  const body = "canary-body-0123456789";
  const query = "canary-query-0123456789";

  for (const options of [{ cookie }, { bearer: issued }, { cookie: `${SSO}=${issued}; x=1` }, { cookie, kind: NAVIGATION }])
    await keep(app.client(`/a?q=${query}`, options));
  await keep(app.client(`/a?q=1&token=${issued}`));
  await keep(app.client(`/a?q=${query}&token=${bad}`));
  await keep(app.navigate(`/a?q=${query}&token=${bad}`, { cookie: `other=canary-cookie-0123456789` }));
  await keep(app.navigate(`/a?token=${issued}`, { headers: { Referer: `http://x/?token=${issued}` } }));
  await keep(app.navigate(`/a?token=${expired}`));
  for (const credential of [bad, expired, foreign, "canary-nonsense.x.y"]) {
    await keep(app.client("/b", { bearer: credential }));
    await keep(app.client("/b", { cookie: `${SSO}=${credential}` }));
    await keep(app.navigate("/b", { cookie: `${SESSION}=${credential}` }));
    await keep(app.client("/api/sso/me", { bearer: credential }));
  }
  await keep(app.client("/c", { cookie: agedSession(world, cookie, 60_000) }));
  await keep(app.client("/%zz", { cookie }));
  for (const segment of [email, "canary-4fJ8x0q7Zk2mN5", encodeURIComponent(email)]) await keep(app.client(`/reset/${segment}/x`, { cookie }));
  for (const segment of [issued, apiToken.token, bad, email, "canary-4fJ8x0q7Zk2mN5"]) {
    await keep(app.client(`/reset/${segment}/x`));
    await keep(app.client(`/${segment}`, { cookie, host: "unknown.test" }));
    await keep(world.site("DOWN").client(`/reset/${segment}`, { bearer: await world.site("DOWN").issue(email) }));
    await keep(app.client(`/api/sso/${segment}`));
  }
  await keep(app.client("/d", { cookie, host: "unknown.test" }));
  await keep(world.site("DOWN").client("/e", { bearer: await world.site("DOWN").issue(email) }));
  await keep(world.site("CREDENTIAL").client("/f", { bearer: await world.site("CREDENTIAL").issue(email) }));
  await keep(app.send("POST", "/g", { cookie, body, headers: { Origin: "https://evil.test" } }));
  await keep(app.send("POST", "/api/sso/token", { bearer: apiToken.token, body: `{"email":"${body}` }));
  await keep(app.issueAnswer({ email: "canary-malformed-address" }, { token: apiToken.token }));
  await keep(app.admin("GET", "/api/sso/users", undefined, { token: apiToken.token }));
  await keep(app.admin("GET", "/api/sso/users", undefined, { token: `${apiToken.token.slice(0, -1)}x` }));
  await keep(app.admin("GET", "/api/sso/users"));
  await keep(app.admin("GET", "/api/sso/tokens"));
  await keep(app.admin("GET", `/api/sso/tokens/${apiToken.id}`));
  await keep(app.admin("GET", "/api/sso/keys"));
  await keep(app.admin("POST", "/api/sso/keys/rotate"));
  await keep(app.client("/.well-known/jwks.json"));
  await keep(app.client("/api/sso/health"));
  await keep(app.client("/api/sso/me", { cookie }));
  const other = await app.createUser();
  const page = await app.navigate(`/h?token=${await app.issue(other.email)}`, { cookie });
  await app.form("/api/sso/switch", formOf(page).fields, { cookie });
  await keep(app.form("/api/sso/logout", {}, { cookie }));
  await keep(app.client("/i", { cookie }));
  await app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false });
  await keep(app.issueAnswer({ email }, { token: apiToken.token }));
  await keep(app.client("/j", { bearer: token, kind: NAVIGATION }));
  await app.admin("POST", `/api/sso/tokens/${apiToken.id}/revoke`);
  await keep(app.issueAnswer({ email }, { token: apiToken.token }));

  const atGateway = await liveAtGateway(keep);
  return {
    answers,
    credentials: {
      ...atGateway.credentials,
      apiToken: apiToken.token,
      adminToken: await world.adminToken(),
      issued,
      session,
      token,
      expired,
      bad,
      foreign,
      nonsense: "canary-nonsense",
    },
    secrets: { session: world.secrets.session[1], token: world.secrets.token[1], key: world.secrets.key[1], upstream: "canary-upstream-password" },
    personal: {
      ...atGateway.personal,
      email,
      address: "canary-address",
      first: "canaryfirst",
      last: "canarylast",
      username: "canaryuser",
      malformed: "canary-malformed",
    },
    content: { body, query, cookie: "canary-cookie", segment: "canary-4fJ8x0q7Zk2mN5" },
  };
}

let lived;
const once = () => (lived ??= live());

test("SEC-63: no log line holds a secret, a credential, a query, a body, a cookie or a person's name or address", async () => {
  const { credentials, secrets, personal, content } = await once();
  await world.settled();
  assert.ok(world.events().length > 10, "there is a log");
  const log = world.logs.map(({ message }) => message).join("\n");
  for (const [what, canary] of Object.entries({ ...credentials, ...secrets, ...personal, ...content })) {
    assert.ok(!log.includes(canary), what);
    assert.ok(!log.includes(encodeURIComponent(canary)), what);
    // Not even a part that would do: the signature, or the first half.
    for (const part of canary.split(".").filter((/** @type {string} */ part) => part.length > 20)) assert.ok(!log.includes(part), `a part of ${what}`);
    if (canary.length > 40) assert.ok(!log.includes(canary.slice(0, 24)) || canary.startsWith("eyJ") === false, `the beginning of ${what}`);
  }
});

test("SEC-63: every log line is one JSON object, whatever a client sends", async () => {
  await once();
  await app.client("/x", { headers: { "User-Agent": 'a"}\n{"event":"forged"}'.replace("\n", " "), "X-Request-Id": '"}{"event":"forged"}' } });
  for (const { message } of world.logs) assert.doesNotThrow(() => JSON.parse(message), message);
  assert.deepEqual(world.events("forged"), []);
});

test("SEC-63: no answer holds a secret or a credential that was shown to us", async () => {
  const { answers, credentials, secrets } = await once();
  for (const answer of answers) {
    const text = JSON.stringify(answer.headers.list) + (answer.text.includes('"edgeward-test"') ? "" : answer.text);
    for (const [what, canary] of Object.entries({ ...credentials, ...secrets })) assert.ok(!text.includes(canary), `${what} in ${answer}`);
    assert.doesNotMatch(text, /ewt_[\w-]{20}/);
  }
});

test("SEC-63: no request to an origin holds a secret or a credential, but the one upstream credential where it belongs", async () => {
  const { credentials, secrets } = await once();
  assert.ok(world.origin.requests.length > 3);
  for (const seen of world.origin.requests) {
    const text = JSON.stringify([seen.url, seen.headers.list.filter(([name]) => name.toLowerCase() !== "referer")]);
    for (const [what, canary] of Object.entries({ ...credentials, ...secrets })) {
      if (what === "upstream" && seen.header("x-forwarded-host") === "credential.example.test") continue;
      assert.ok(!text.includes(canary), `${what} in ${text}`);
    }
  }
});

test("SEC-122: no row of the audit log holds a secret, a credential, a query, a body, a cookie or a person's name or address", async () => {
  const { credentials, secrets, personal, content } = await once();
  let rows = "";
  let cursor = "";
  do {
    const page = (await app.admin("GET", `/api/sso/audit?limit=100${cursor}`)).json;
    rows += JSON.stringify(page.rows);
    cursor = page.cursor === null ? "" : `&cursor=${page.cursor}`;
  } while (cursor !== "");
  for (const action of ["user.created", "signed_in", "password.set", "api_token.created", "admin.refused"]) assert.ok(rows.includes(action), action);
  for (const [what, canary] of Object.entries({ ...credentials, ...secrets, ...personal, ...content })) {
    for (const text of [canary, encodeURIComponent(canary)]) assert.ok(!rows.includes(text), what);
    for (const part of canary.split(".").filter((/** @type {string} */ part) => part.length > 20)) assert.ok(!rows.includes(part), `a part of ${what}`);
  }
  assert.ok(!rows.includes("@"), "no address of anybody");
});

test("SEC-63: KV holds no secret and no credential in the clear", async () => {
  const { credentials, secrets } = await once();
  for (const entry of await world.kvEntries()) {
    for (const [what, canary] of Object.entries({ ...credentials, ...secrets })) assert.ok(!entry.join("\n").includes(canary), `${what} in ${entry}`);
  }
});

test("SEC-63: denials, faults, sign-ins and admin calls are logged, with a reason and no more", async () => {
  await once();
  const events = world.events();
  assert.ok(
    events.every((line) => typeof line.event === "string"),
    JSON.stringify(events.find((line) => typeof line.event !== "string")),
  );
  const reasons = new Set(events.map(({ reason }) => reason).filter(Boolean));
  assert.ok(reasons.size >= 4, [...reasons].join());
});
