// Clients that leave: whatever a request waits for, and whenever its client goes, what it has begun comes to its end, what
// it held is freed, and nobody else is held up (SEC-76). Each await of each endpoint is made slow in turn.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { newKey, startIssuer, tokenOf } from "./lib/issuer.mjs";
import { faultsOfStore } from "./lib/store.mjs";
import { AT_GATEWAY, Browser, newPerson, newService, obtain, PASSWORD, withGateway, WRONG } from "./lib/gateway.mjs";
import { startReceiver } from "./lib/receiver.mjs";
import { CLIENT, NAVIGATION, newEmail, startWorld, until } from "./lib/world.mjs";

/** @import { Issuer, IssuerKey } from "./lib/issuer.mjs" */
/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const MIB = 1024 * 1024;
/** Milliseconds that a slow call takes, in which its client leaves and somebody else is served. */
const SLOW = 60;
/** Of calls of one name, that are made side by side or in a loop, so many are made slow. */
const OF_ONE_NAME = 3;

/** @type {string} */
let folder;
/** @type {Issuer} */
let issuer;
/** @type {IssuerKey} */
let key;
/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let gateway;
/** @type {Receiver} */
let receiver;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-abandoned-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/slow.js", import.meta.url)), script);
  issuer = await startIssuer();
  key = await newKey("ES256");
  issuer.publish("/keys", key);
  const foreign = {
    issuer: "https://id.example",
    audience: "app",
    algorithms: ["ES256"],
    jwks_url: `${issuer.url}/keys`,
    loopback_origin: issuer.url,
    create_users: true,
    keys_ttl: 60,
    keys_cooldown: 1,
  };
  receiver = await startReceiver();
  const options = {
    script,
    edgeward: { user_cache: 1 },
    vars: { EDGEWARD_ISSUER_OTHER: foreign },
    sites: {
      PORTAL: AT_GATEWAY,
      APP: { assertion: {}, query: { single_use: true, user_switch: "confirm" }, sources: ["session", "sso_cookie", "query", "bearer", "api_key"] },
      OTHER: { issuers: ["other"], sources: ["session", "bearer"], sso_cookie: undefined, query: undefined },
    },
  };
  world = await startWorld(withGateway(options));
  [app, gateway] = [world.site("APP"), world.site("GATEWAY")];
});
after(async () => {
  await world?.stop();
  await issuer?.stop();
  await receiver?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const state = async () => (await app.client("/__test/state")).json;
/** @param {object} plan */
const slow = (plan) => app.send("POST", "/__test/slow", { body: JSON.stringify(plan) });
const settled = () => until(async () => (await state()).waiting === 0, 30);

/**
 * A request as bytes; without `whole` the last byte of its body is missing.
 * @param {Site} site
 */
function bytes(
  site,
  /** @type {{ method?: string, path?: string, headers?: string[][], body?: string, kind?: string[][] }} */ {
    method = "GET",
    path: target = "/",
    headers = [],
    body,
    kind = CLIENT,
  },
  whole = true,
) {
  const lines = [["Host", site.host], ...kind, ...headers, ...(body === undefined ? [] : [["Content-Length", Buffer.byteLength(body)]])];
  const head = `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return head + (body ?? "").slice(0, whole ? undefined : -1);
}

/**
 * Sends bytes and leaves when `left` has come about.
 * @param {string} text
 * @param {() => unknown} left
 */
async function leave(text, left) {
  const socket = net.connect(app.port, "127.0.0.1");
  socket.on("error", () => {});
  await new Promise((resolve) => socket.on("connect", resolve));
  socket.write(text);
  try {
    await left();
  } finally {
    socket.resetAndDestroy();
  }
}

/**
 * @param {string} method
 * @param {string} target
 * @param {unknown} [json]
 * @param {string} [token]
 */
const admin = async (method, target, json, token) => ({
  method,
  path: target,
  headers: [
    ["Authorization", `Token ${token ?? (await world.adminToken())}`],
    ["Content-Type", "application/json"],
  ],
  body: json === undefined ? undefined : JSON.stringify(json),
});
/**
 * @param {string} target
 * @param {Record<string, string>} fields
 * @param {string} [cookie]
 */
const form = (target, fields, cookie) => ({
  method: "POST",
  path: target,
  kind: NAVIGATION,
  headers: [
    ["Origin", app.origin],
    ["Sec-Fetch-Site", "same-origin"],
    ["Content-Type", "application/x-www-form-urlencoded"],
    ...(cookie ? [["Cookie", cookie]] : []),
  ],
  body: new URLSearchParams(fields).toString(),
});

/** Every endpoint, as a request of somebody whom this isolate sees for the first time. */
const ENDPOINTS = {
  "a session's first request": async () => ({ headers: [["Cookie", (await app.signIn()).cookie]] }),
  "an SSO cookie": async () => ({ kind: NAVIGATION, headers: [["Cookie", `ls_auth_token=${await app.issue(newEmail())}`]] }),
  "a link": async () => ({ kind: NAVIGATION, path: `/?token=${await app.issue(newEmail())}` }),
  "a bearer token": async () => ({ headers: [["Authorization", `Bearer ${await app.issue(newEmail())}`]] }),
  "a bearer token of another issuer": async () => {
    const email = newEmail();
    return { site: world.site("OTHER"), headers: [["Authorization", `Bearer ${await tokenOf(key, { sub: email, email })}`]] };
  },
  "an API token that acts as a user": async () => {
    const user = await app.createUser();
    const { token } = (await app.admin("POST", "/api/sso/tokens", { name: "robot", scopes: [], acts_as: user.id })).json;
    return { headers: [["X-Api-Key", token]] };
  },
  "who am I": async () => ({ path: "/api/sso/me", headers: [["Cookie", (await app.signIn()).cookie]] }),
  "sign out": async () => form("/api/sso/logout", {}, (await app.signIn()).cookie),
  "switch user": async () => form("/api/sso/switch", { token: await app.issue(newEmail()), return_to: "/" }, (await app.signIn()).cookie),
  "the key set": async () => {
    // Keys are read again by an isolate that has just begun.
    await world.restart();
    return { path: "/.well-known/jwks.json" };
  },
  "issue a token for a new user": async () => admin("POST", "/api/sso/token", { email: newEmail() }),
  "make a user": async () => admin("POST", "/api/sso/users", { email: newEmail() }),
  "list users": async () => admin("GET", "/api/sso/users?limit=3"),
  "show a user": async () => admin("GET", `/api/sso/users/${(await app.createUser()).id}`),
  "change a user": async () => admin("PATCH", `/api/sso/users/${(await app.createUser()).id}`, { roles: ["editor"] }),
  "move a user": async () => admin("PATCH", `/api/sso/users/${(await app.createUser()).id}`, { email: newEmail("moved") }),
  "delete a user": async () => admin("DELETE", `/api/sso/users/${(await app.createUser()).id}`),
  "sign a user out everywhere": async () => admin("POST", `/api/sso/users/${(await app.createUser()).id}/logout`),
  "users in bulk": async () => admin("POST", "/api/sso/users/bulk", { users: [{ email: newEmail() }, { email: newEmail() }] }),
  "make an API token": async () => admin("POST", "/api/sso/tokens", { name: "n", scopes: ["users:read"] }),
  "list API tokens": async () => admin("GET", "/api/sso/tokens?limit=3"),
  "change an API token": async () => admin("PATCH", `/api/sso/tokens/${(await newToken()).id}`, { name: "m" }),
  "revoke an API token": async () => admin("POST", `/api/sso/tokens/${(await newToken()).id}/revoke`),
  "delete an API token": async () => admin("DELETE", `/api/sso/tokens/${(await newToken()).id}`),
  "signing keys": async () => admin("GET", "/api/sso/keys"),
  "rotate signing keys": async () => admin("POST", "/api/sso/keys/rotate"),
  "a service asks for a sign-in": async () => serviceCall("obtain", { next_url: "/" }),
  "a service asks who it is": async () => serviceCall("get", { authentication_token: (await signedIn()).sso }),
  "a service uses a sign-in": async () => serviceCall("make_used", { authentication_token: (await signedIn()).sso }),
  "a service signs a user out": async () => serviceCall("deauthenticate", { user_identy: (await newPerson(gateway)).email }),
  "the sign-in page": async () => visit(`/login/?sso=${await obtain(gateway, await service())}`),
  "sign in with a password": async () => submit("/login/", { ...(await opened()), username: (await newPerson(gateway)).email, password: PASSWORD }),
  "a wrong password": async () => submit("/login/", { ...(await opened()), username: (await newPerson(gateway)).email, password: WRONG }),
  "sign in for a service": async () => {
    const fields = { ...(await opened()), sso: await obtain(gateway, await service()) };
    return submit("/login/", { ...fields, username: (await newPerson(gateway)).email, password: PASSWORD });
  },
  "go through to a site": async () => {
    const { browser } = await signedIn();
    const sent = await browser.open(world.site("PORTAL"), "/");
    return visit(sent.target.slice(gateway.origin.length), browser);
  },
  "arrive at a site with a code": async () => {
    const portal = world.site("PORTAL");
    const { browser } = await signedIn();
    const sent = await browser.open(portal, "/");
    const back = await browser.open(gateway, sent.target.slice(gateway.origin.length));
    return { ...visit(back.target.slice(portal.origin.length), browser, portal), site: portal };
  },
  "the account": async () => visit("/account/", (await signedIn()).browser),
  "the page after a service that is down": async () => {
    const { browser, sso } = await signedIn();
    return visit(`/welcome/?fallback=true&sso=${sso}`, browser);
  },
  "end all sessions": async () => {
    const { browser } = await signedIn();
    await browser.open(gateway, "/account/");
    return submit("/account/", { csrf: browser.fields.csrf, action: "end_all" }, browser);
  },
  "sign out everywhere": async () => submit("/logout/", {}, (await signedIn()).browser),
  "change a password": async () => {
    const { browser } = await signedIn();
    await browser.open(gateway, "/password/");
    return submit("/password/", { csrf: browser.fields.csrf, current: PASSWORD, new: `${PASSWORD} 2` }, browser);
  },
  "set a password by a link": async () => {
    const { id } = await gateway.createUser();
    const url = new URL((await app.admin("POST", `/api/sso/users/${id}/password-link`, {})).json.url);
    const browser = new Browser(world);
    await browser.open(gateway, url.pathname + url.search);
    return submit("/password/", { ...browser.fields, new: PASSWORD }, browser);
  },
  "make a link to set a password": async () => admin("POST", `/api/sso/users/${(await app.createUser()).id}/password-link`, {}),
  "set a user's password": async () => admin("PUT", `/api/sso/users/${(await app.createUser()).id}/password`, { password: PASSWORD }),
  "a user's sessions": async () => admin("GET", `/api/sso/users/${(await app.createUser()).id}/sessions`),
  "make a service": async () =>
    admin("POST", "/api/sso/services", { name: "s", base_url: `${receiver.url}/${randomBytes(4).toString("hex")}`, dialect: "flat", enabled: false }),
  "list services": async () => admin("GET", "/api/sso/services"),
  "show a service": async () => admin("GET", `/api/sso/services/${(await service()).id}`),
  "change a service": async () => admin("PATCH", `/api/sso/services/${(await service()).id}`, { name: "renamed" }),
  "a service's events": async () => admin("GET", `/api/sso/services/${(await service()).id}/events`),
  "a service gets another token": async () => admin("POST", `/api/sso/services/${(await newService(gateway, receiver.url)).id}/rotate`, { what: "token" }),
  "delete a service": async () => admin("DELETE", `/api/sso/services/${(await newService(gateway, receiver.url)).id}`),
  explain: async () => admin("POST", "/api/sso/explain", { path: "/" }),
};

/** @type {Promise<import("./lib/gateway.mjs").Registered> | undefined} */
let registered;
/** A service of the gateway. */
const service = () => (registered ??= newService(gateway, receiver.url));
/**
 * @param {string} name
 * @param {Record<string, string>} fields
 */
const serviceCall = async (name, fields) => {
  const body = new URLSearchParams({ token: (await service()).token, ...fields }).toString();
  return { site: gateway, method: "POST", path: `/sso/${name}/`, headers: [["Content-Type", "application/x-www-form-urlencoded"]], body };
};
/** The hidden fields of the sign-in page, and the browser that has it open. */
let last = /** @type {Browser | undefined} */ (undefined);
async function opened() {
  last = new Browser(world);
  await last.open(gateway, "/login/");
  return last.fields;
}
/** A browser that has signed in for a service. */
async function signedIn() {
  const sso = await obtain(gateway, await service());
  const browser = new Browser(world);
  const sent = await browser.signIn(gateway, await newPerson(gateway), `?sso=${sso}`);
  assert.equal(sent.status, 303, String(sent));
  return { browser, sso };
}
/**
 * @param {string} target
 * @param {Browser} [browser]
 */
const visit = (target, browser, site = gateway) => ({
  site,
  path: target,
  kind: NAVIGATION,
  headers: browser === undefined ? [] : [["Cookie", browser.jar(site).header]],
});
/**
 * @param {string} target
 * @param {Record<string, string>} fields
 */
const submit = (target, fields, browser = last) => {
  const sent = form(target, fields, browser?.jar(gateway).header);
  return { ...sent, site: gateway, headers: sent.headers.map(([name, value]) => [name, name === "Origin" ? gateway.origin : value]) };
};

const newToken = async () => (await app.admin("POST", "/api/sso/tokens", { name: "n", scopes: ["users:read"] })).json;

/** The bytes of a request to its own site, or to the app. */
const of = ({ site = app, ...request }) => bytes(site, request);

for (const [name, make] of Object.entries(ENDPOINTS)) {
  test(`SEC-76: a client that leaves at any await leaves nothing behind: ${name}`, async () => {
    await slow({});
    const first = of(await make());
    await slow({});
    await exchange(first);
    const { calls } = await state();
    // Every endpoint here waits for something.
    assert.ok(calls.length > 0, "no call of a port was seen");
    /** @param {number} nth */
    const isRepeated = (nth) => calls.slice(0, nth).filter((/** @type {string} */ name) => name === calls[nth]).length >= OF_ONE_NAME;
    let left = 0;
    for (let nth = 0; nth < calls.length; nth++) {
      if (isRepeated(nth)) continue;
      const request = of(await make());
      const visitor = await app.signIn();
      await slow({ nth, ms: SLOW });
      await leave(request, () =>
        until(async () => {
          const { begun, waiting, calls } = await state();
          left += Number(begun);
          // Sometimes there is one await less: then the request has ended.
          return begun || (calls.length > 0 && waiting === 0);
        }, 5),
      );
      const started = performance.now();
      assert.equal((await app.client("/", { cookie: visitor.cookie })).status, 200);
      assert.ok(performance.now() - started < 1000, `somebody else was held up at call ${nth}, ${calls[nth]}`);
      await settled();
    }
    assert.deepEqual(await until(async () => ((await faultsOfStore(world)).length === 0 ? [] : undefined), 10), []);
    assert.equal((await state()).held, 0);
    assert.ok(left > 0, "no client left while something was under way");
  });
}

/**
 * Sends bytes and waits for the head of the answer.
 * @param {string} text
 */
function exchange(text) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(app.port, "127.0.0.1", () => socket.write(text));
    socket.once("data", (chunk) => {
      socket.destroy();
      resolve(chunk.toString("latin1"));
    });
    socket.on("error", reject);
  });
}

/**
 * Sends `count` requests, a few at a time, and leaves each as `left` says.
 * @param {number} count
 * @param {(n: number) => string | Promise<string>} text
 * @param {() => unknown} left
 */
async function crowd(count, text, left) {
  let next = 0;
  const one = async () => {
    while (next < count) {
      next += 1;
      await leave(await text(next), left);
    }
  };
  await Promise.all(Array.from({ length: 100 }, one));
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test("SEC-76: two thousand long heads with bodies that never end hold no memory", async () => {
  await slow({});
  const request = { ...form("/api/sso/switch", { token: "x".repeat(200), return_to: "/" }) };
  request.headers.push(["X-Long", "x".repeat(60_000)]);
  const text = bytes(app, request, false);
  // The client leaves at a time of its own choosing, not when something has happened.
  await crowd(
    2000,
    () => text,
    () => pause(30),
  );
  await settled();
  const { memory, held } = await state();
  assert.equal(held, 0);
  assert.ok(memory < 24 * MIB, `${(memory / MIB).toFixed(1)} MiB of Wasm`);
});

test("SEC-76: unfinished bodies make way when there are too many, and an honest form is served", async () => {
  await slow({});
  const request = { ...form("/api/sso/switch", { token: "x".repeat(200), return_to: "/" }) };
  request.headers.push(["X-Long", "x".repeat(60_000)]);
  const text = bytes(app, request, false);
  const sockets = Array.from({ length: 200 }, () => {
    const socket = net.connect(app.port, "127.0.0.1", () => socket.write(text));
    socket.on("error", () => {});
    const one = { socket, answer: "" };
    socket.on("data", (chunk) => (one.answer += chunk.toString("latin1")));
    return one;
  });
  try {
    // They make way, or are turned away where too many come at once.
    await until(() => sockets.filter(({ answer }) => /^HTTP\/1\.1 (408|503)/.test(answer)).length >= 150, 5);
    assert.ok((await state()).held < 4 * MIB);
    const visitor = await app.signIn();
    assert.equal((await app.client("/", { cookie: visitor.cookie })).status, 200);
    const honest = await app.form("/api/sso/switch", { token: await app.issue(newEmail()), return_to: "/" });
    assert.equal(honest.status, 303, String(honest));
    // Those that did not make way are given up in time.
    await until(() => sockets.every(({ answer }) => /^HTTP\/1\.1 (408|503)/.test(answer)), 20);
    assert.ok(sockets.some(({ answer }) => answer.startsWith("HTTP/1.1 408")));
  } finally {
    for (const { socket } of sockets) socket.destroy();
  }
  await settled();
});

/** An API token that nobody has made: its checksum is no secret. */
function inventedToken() {
  const body = `ewt_${randomBytes(32).toString("base64url")}`;
  return body + createHash("sha256").update(body).digest("hex").slice(0, 6);
}

test("SEC-76: a thousand callers who leave while KV is slow hold no memory", async () => {
  await slow({ name: "kv.get", every: 60 });
  const text = async () =>
    bytes(app, {
      path: "/api/sso/users",
      headers: [
        ["Authorization", `Token ${inventedToken()}`],
        ["X-Long", "x".repeat(60_000)],
      ],
    });
  await crowd(1000, text, () => pause(5));
  await settled();
  const { memory } = await state();
  assert.ok(memory < 24 * MIB, `${(memory / MIB).toFixed(1)} MiB of Wasm`);
});

test("SEC-76: requests that look again for an issuer's keys have their limit too, and the issuer is not blamed", async () => {
  await slow({});
  const site = world.site("OTHER");
  const reply = JSON.stringify({ keys: [key.jwk] });
  issuer.documents.set("/keys", (_, response) => setTimeout(() => response.writeHead(200).end(reply), 2500));
  const long = ["X-Long", "x".repeat(60_000)];
  // The first one asks the issuer; all others look again until it has answered.
  const token = await tokenOf(key, {}, { kid: "nobody's" });
  const text = bytes(site, { headers: [["Authorization", `Bearer ${token}`], long] });
  const sockets = Array.from({ length: 400 }, () => {
    const socket = net.connect(app.port, "127.0.0.1", () => socket.write(text));
    socket.on("error", () => {});
    const one = { socket, answer: "" };
    socket.on("data", (chunk) => (one.answer += chunk.toString("latin1")));
    return one;
  });
  try {
    let most = 0;
    const answered = () => sockets.filter(({ answer }) => answer.startsWith("HTTP/1.1 ")).length;
    await until(async () => {
      most = Math.max(most, (await state()).held);
      return answered() === sockets.length;
    }, 20);
    assert.ok(most > 4 * MIB, `they did wait: ${most}`);
    assert.ok(most <= 8 * MIB + 70_000, `${(most / MIB).toFixed(1)} MiB of heads`);
    const refused = sockets.filter(({ answer }) => answer.startsWith("HTTP/1.1 503")).length;
    assert.ok(refused > 200, `${refused} were refused`);
  } finally {
    for (const { socket } of sockets) socket.destroy();
  }
  await settled();
  issuer.publish("/keys", key);
  assert.equal((await site.client("/", { bearer: await tokenOf(key) })).status, 200);
});

test("SEC-76: a stranger who leaves while an issuer's keys are fetched holds nobody up", async () => {
  const site = world.site("OTHER");
  issuer.documents.set("/keys", (_, response) => setTimeout(() => response.writeHead(200).end(JSON.stringify({ keys: [key.jwk] })), 300));
  const stranger = bytes(site, { headers: [["Authorization", `Bearer ${await tokenOf(key, {}, { kid: "unknown" })}`]] });
  await slow({ name: "fetch", nth: 0, ms: 0 });
  await leave(stranger, () => until(async () => (await state()).begun, 5));
  const started = performance.now();
  const answer = await site.client("/", { bearer: await tokenOf(key) });
  assert.equal(answer.status, 200, String(answer));
  assert.ok(performance.now() - started < 2000, "somebody else waited for a request that was gone");
});
