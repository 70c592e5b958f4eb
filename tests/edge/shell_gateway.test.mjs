// `npm run admin -- service …`, and passwords and sessions of users: the gateway from a shell.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { formOf, Jar } from "./lib/http.mjs";
import { newEmail, startWorld, until } from "./lib/world.mjs";

/** @import { Front } from "./lib/front.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Front} */
let front;
/** What the services answer. */
let answer = 200;
before(async () => {
  world = await startWorld({
    vars: { EDGEWARD_GATEWAY: { hosts: ["gateway.example.test"] } },
    edgeward: { user_cache: 1 },
    outbound: () => [JSON.stringify({ ok: true }), { status: answer }],
  });
  gateway = world.site("GATEWAY");
  front = await startFront(gateway);
});
after(async () => {
  await front?.stop();
  await world?.stop();
});

/**
 * Runs the admin command: `{ status, out, error }`.
 * @param {string[]} args
 * @param {string} [input]
 * @returns {Promise<{ status: number, out: string, error: string }>}
 */
async function admin(args, input = "") {
  const env = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() };
  return new Promise((resolve) => {
    const child = execFile(pinnedNode, [at("scripts/admin.mjs"), ...args], { env }, (error, out, err) =>
      resolve({ status: error ? Number(error.code) : 0, out, error: err }),
    );
    child.stdin?.end(input);
  });
}
/**
 * The JSON of a command that must work.
 * @param {...string} args
 */
async function json(...args) {
  const { status, out, error } = await admin([...args, "--json"]);
  assert.equal(status, 0, error);
  return JSON.parse(out);
}
/** @param {string} token */
const obtain = async (token) => {
  const body = new URLSearchParams({ token, next_url: "/" }).toString();
  return (await gateway.send("POST", "/sso/obtain/", { headers: [["Content-Type", "application/x-www-form-urlencoded"]], body })).json;
};
let count = 0;
/**
 * A new service.
 * @param {...string} options
 */
async function service(...options) {
  const name = `Service ${++count}`;
  const made = await json("service", "create", name, "--base-url", `https://service${count}.example.com/`, "--dialect", "webhook", ...options);
  return { name, ...made };
}
/**
 * @param {string} username
 * @param {string} password
 */
async function signIn(username, password) {
  const jar = new Jar();
  const page = await gateway.navigate("/login/");
  jar.take(page);
  const { action, fields } = formOf(page);
  return gateway.form(action, { ...fields, username, password }, { cookie: jar.header });
}

test("a service is created, and its secrets are shown once, with where they belong", async () => {
  const { status, out, error } = await admin([
    "service",
    "create",
    "Wiki",
    "--base-url",
    "https://wiki.example.com/a/",
    "--dialect",
    "fields",
    "--allow-role",
    "editor",
    "--allow-user",
    "Ada@Example.com",
    "--field",
    "mail=email",
  ]);
  assert.equal(status, 0, error);
  const [, id, token] =
    /^Service Wiki has the id (svc_[\w-]{22})\.\n\ntoken {11}([\w-]{43})\nwebhook secret {2}whsec_[\w+/=]{44}\n\nPut the token into the settings .*SSO\["TOKEN"\].*\nEdgeward does not show them again\.\n$/.exec(
      out,
    ) ?? assert.fail(out);
  assert.match((await obtain(token)).token, /./);
  const { created_at, updated_at, ...shown } = await json("service", "show", "Wiki");
  assert.ok(created_at === updated_at);
  const { events, ...rest } = shown;
  assert.deepEqual(rest, {
    id,
    name: "Wiki",
    base_url: "https://wiki.example.com/a",
    enabled: true,
    dialect: "fields",
    access: { users: ["ada@example.com"], roles: ["editor"] },
    fields: { mail: "email" },
    tokens: [{ valid_until: null }],
  });
  assert.deepEqual([events.waiting, events.dead], [0, 0]);
  const listed = await admin(["service", "list"]);
  assert.match(listed.out, /^id +name +base URL +dialect +enabled +who may enter\n/);
  assert.match(listed.out, new RegExp(`^${id} +Wiki +https://wiki\\.example\\.com/a +fields +true +1 user, roles editor$`, "m"));
  for (const text of [listed.out, JSON.stringify(shown)]) assert.ok(!text.includes(token));
});

test("a service that has a token already keeps it; the token is read and not printed", async () => {
  const token = randomBytes(48).toString("base64url");
  const { status, out, error } = await admin(
    ["service", "create", "Old", "--base-url", "https://old.example.com", "--dialect", "flat", "--token"],
    `${token}\n`,
  );
  assert.equal(status, 0, error);
  assert.ok(!out.includes(token) && /webhook secret/.test(out), out);
  assert.match((await obtain(token)).token, /./);
  const again = await admin(["service", "create", "Copy", "--base-url", "https://copy.example.com", "--dialect", "flat", "--token"], token);
  assert.equal(again.status, 1);
  assert.match(again.error, /no other service may have it; nothing was changed/);
  const empty = await admin(["service", "create", "Copy", "--base-url", "https://copy.example.com", "--dialect", "flat", "--token"]);
  assert.equal(empty.status, 2);
  assert.match(empty.error, /standard input is empty/);
});

test("a service is changed, disabled and enabled; what is not named stays", async () => {
  const { name, service: made, token } = await service("--allow-role", "editor", "--field", "mail=email");
  assert.equal((await admin(["service", "change", name, "--disable", "--name", `${name} b`])).status, 0);
  await until(async () => (await obtain(token)).error !== undefined);
  const changed = await json("service", "change", made.id, "--enable", "--allow-all", "--no-fields", "--dialect", "fields");
  assert.deepEqual(
    { name: changed.name, enabled: changed.enabled, access: changed.access, fields: changed.fields, dialect: changed.dialect, base_url: changed.base_url },
    { name: `${name} b`, enabled: true, access: {}, fields: {}, dialect: "fields", base_url: made.base_url },
  );
  await until(async () => (await obtain(token)).token !== undefined);
});

test("a token is rotated with an overlap, and without one the old token ends at once", async () => {
  const { name, token } = await service();
  const { out } = await admin(["service", "rotate", name]);
  const [, next] =
    /^([\w-]{43})\n\nPut this into the settings of .* in place of its old token\. The old one stays valid for 86400 seconds\. Edgeward does not show it again\.\n$/.exec(
      out,
    ) ?? assert.fail(out);
  for (const each of [token, next]) await until(async () => (await obtain(each)).token !== undefined);
  const { token: last } = await json("service", "rotate", name, "--overlap", "0");
  await until(async () => (await obtain(last)).token !== undefined);
  for (const each of [token, next]) await until(async () => (await obtain(each)).error !== undefined);
  assert.match((await json("service", "rotate", name, "--webhook-secret")).webhook_secret, /^whsec_/);
  assert.equal((await admin(["service", "rotate", name, "--overlap", "9999999"])).status, 1);
});

test("events that wait are listed, and the service is told as soon as it answers", async () => {
  const { name } = await service();
  assert.equal((await admin(["service", "events", name])).out, `No event waits for ${name}.\n`);
  answer = 500;
  await until(async () =>
    (await world.site().admin("GET", "/api/sso/services")).json.services.some((/** @type {{ name: string }} */ one) => one.name === name),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const user = await gateway.createUser();
  await until(async () => (await json("service", "events", name)).length > 0);
  const [event] = await json("service", "events", name);
  assert.equal(event.kind, "update_account");
  assert.ok(Math.abs(event.created_at - user.created_at) < 10, "in seconds");
  assert.match((await admin(["service", "events", name])).out, /^event +kind +since +attempts +next attempt +last answer\nmsg_/);
  assert.equal((await json("service", "show", name)).events.waiting, 1);
  assert.deepEqual(await json("service", "events", name, "--dead"), []);
  for (const how of ["resend", "discard"]) {
    assert.deepEqual(await json("service", how, name, "--all"), { count: 0 }, "only dead events are meant");
    const unknown = await admin(["service", how, name, event.id]);
    assert.equal(unknown.status, 1);
    assert.match(unknown.error, /has no dead event msg_/);
  }
  answer = 200;
  await until(async () => (await json("service", "show", name)).events.waiting === 0, 30);
});

test("a service is deleted, and its token is refused", async () => {
  const { name, token } = await service();
  const { status, out } = await admin(["service", "delete", name]);
  assert.equal(status, 0);
  assert.match(out, /is deleted, with the events that waited for it/);
  await until(async () => (await obtain(token)).error !== undefined);
  assert.match((await admin(["service", "show", name])).error, /there is no service/);
});

test("the password of a user is read from standard input and never an argument", async () => {
  const user = await gateway.createUser();
  const { status, out, error } = await admin(["user", "set-password", user.email], "correct horse battery\n");
  assert.equal(status, 0, error);
  assert.match(out, /The password of .* is set, and all sessions have ended\. .*90 seconds/);
  assert.equal((await signIn(user.email, "correct horse battery")).status, 303);
  for (const [pattern, input, ...more] of /** @type {[RegExp, string, ...string[]][]} */ ([
    [/8 to 1,024 bytes and must not be one of the most common/, "short"],
    [/8 to 1,024 bytes and must not be one of the most common/, "password123"],
    [/standard input is empty/, ""],
    [/takes one <id or address>/, "", "a password as an argument"],
  ])) {
    const refused = await admin(["user", "set-password", user.email, ...more], input);
    assert.ok(refused.status > 0);
    assert.match(refused.error, pattern);
  }
  assert.equal((await signIn(user.email, "correct horse battery")).status, 303, "it is the same as before");
  assert.equal((await admin(["user", "set-password", user.email, "--must-change"], "another good horse")).status, 0);
  const forced = await signIn(user.email, "another good horse");
  assert.notEqual(forced.location, "/account/", String(forced));
  assert.equal((await admin(["user", "remove-password", user.id])).status, 0);
  assert.equal((await signIn(user.email, "another good horse")).status, 403);
});

test("a first password replaces none and ends no session, and whether there is one is told without anything of it", async () => {
  const { user, cookie } = await world.site().signIn();
  const path = `/api/sso/users/${user.id}/password`;
  assert.deepEqual((await gateway.admin("GET", path)).json, { password: null });
  assert.equal((await gateway.admin("PUT", path, { password: "correct horse battery", replace: false, must_change: true })).status, 204);
  const again = await gateway.admin("PUT", path, { password: "another good horse", replace: false });
  assert.deepEqual([again.status, again.json.code], [409, "password_exists"]);
  const { password, ...rest } = (await gateway.admin("GET", path)).json;
  assert.deepEqual([rest, Object.keys(password).toSorted(), password.must_change], [{}, ["must_change", "set_at"], true]);
  assert.ok(Math.abs(password.set_at - Date.now() / 1000) < 10, "in seconds");
  assert.equal((await signIn(user.email, "another good horse")).status, 403);
  assert.equal((await world.site().client("/", { cookie })).status, 200, "the session goes on");
  assert.equal((await gateway.admin("PUT", path, { password: "another good horse" })).status, 204);
  await until(async () => (await world.site().client("/", { cookie })).status === 401);
  assert.equal((await gateway.admin("GET", path, undefined, { token: await world.apiToken("users:read", "users:write") })).status, 403);
});

test("a link to set a password is printed alone, and it is told what became of each way to send it", async () => {
  const { email } = await gateway.createUser({ email: newEmail("linked") });
  const plain = await admin(["user", "password-link", email]);
  assert.equal(plain.status, 0, plain.error);
  assert.match(plain.out, /^https?:\/\/gateway\.example\.test\/password\/\?token=[\w-]{22}\n$/);
  assert.match(plain.error, /and is not shown again\.\n$/);
  const none = await json("user", "password-link", email, "--send", "none");
  assert.deepEqual(none.sent, { service: "not_asked", mail: "not_asked" });
  const wanted = await admin(["user", "password-link", email, "--send", "mail", "--send", "service"]);
  assert.equal(wanted.status, 1);
  assert.match(wanted.out, /^http/);
  assert.match(wanted.error, /It was not sent to a service: none is configured/);
  assert.match(wanted.error, /It was not mailed: mail_from or the binding EDGEWARD_EMAIL is missing/);
  for (const bad of [["fax"], ["none", "mail"]]) {
    const refused = await admin(["user", "password-link", email, ...bad.flatMap((way) => ["--send", way])]);
    assert.equal(refused.status, 2, refused.error);
    assert.equal(refused.out, "");
  }
});

test("a user's sessions are listed, and one of them is ended", async () => {
  const user = await gateway.createUser();
  await admin(["user", "set-password", user.email], "correct horse battery");
  assert.equal((await admin(["user", "sessions", user.email])).out, `${user.email} has no session.\n`);
  // The password has just ended all sessions of that second.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  /** @type {string[]} */
  const cookies = [];
  for (let index = 0; index < 2; index += 1) {
    const signedIn = await signIn(user.email, "correct horse battery");
    cookies.push(signedIn.setCookie("__Host-edgeward").pair);
  }
  await until(async () => (await json("user", "sessions", user.email)).sessions.length === 2);
  const { sessions } = await json("user", "sessions", user.email);
  assert.match((await admin(["user", "sessions", user.email])).out, /^session +site +since +until +browser\n/);
  const ended = await admin(["user", "end-session", user.email, sessions[0].id]);
  assert.equal(ended.status, 0, ended.error);
  const open = async () =>
    (await Promise.all(cookies.map(async (cookie) => (await gateway.navigate("/account/", { cookie })).status))).filter((status) => status === 200).length;
  await until(async () => (await open()) === 1);
  const unknown = await admin(["user", "end-session", user.email, "nonsense"]);
  assert.equal(unknown.status, 1);
  assert.match(unknown.error, /has no session nonsense/);
  assert.equal((await admin(["user", "end-session", user.email])).status, 2);
});

test("what is written wrongly is told with its usage and ends with status 2; what the gateway refuses says why", async () => {
  const { name } = await service();
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/the command is missing/],
    [/no command add/, "add"],
    [/--base-url is missing/, "create", "X", "--dialect", "flat"],
    [/--dialect is missing/, "create", "X", "--base-url", "https://x.example.com"],
    [/takes one <name>/, "create"],
    [/nothing to change/, "change", name],
    [/--enable and --disable exclude/, "change", name, "--enable", "--disable"],
    [/--allow-all excludes/, "change", name, "--allow-all", "--allow-user", "a@b.c"],
    [/--field needs a name/, "change", name, "--field", "mail"],
    [/--overlap is not a number/, "rotate", name, "--overlap", "a day"],
    [/takes one event, or --all/, "resend", name],
    [/takes one event, or --all/, "discard", name, "msg_1", "--all"],
    [/has no option --remote/, "list", "--remote"],
  ])) {
    const { status, error } = await admin(["service", ...args]);
    assert.equal(status, 2, `${args.join(" ")}: ${error}`);
    assert.match(error, pattern);
    assert.match(error, /^Usage: npm run admin -- service/m);
  }
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/the URL must begin with https:/, "create", "X", "--base-url", "http://x.example.com", "--dialect", "flat"],
    [/must not lead to a host that Edgeward serves; nothing was changed/, "create", "X", "--base-url", "https://gateway.example.test", "--dialect", "flat"],
    [/the URL must have at most 1,024 bytes, no query/, "create", "X", "--base-url", "https://x.example.com/?a=1", "--dialect", "flat"],
    [/dialect must be/, "create", "X", "--base-url", "https://x.example.com", "--dialect", "round"],
    [/--allow-user takes an e-mail address/, "change", name, "--allow-user", "nonsense"],
    [/--field takes <name>=<what>/, "change", name, "--field", "token=email"],
    [/there is no service Nothing/, "delete", "Nothing"],
  ])) {
    const { status, error, out } = await admin(["service", ...args]);
    assert.equal(status, 1, `${args.join(" ")}: ${error}`);
    assert.match(error, pattern);
    assert.equal(out, "");
  }
  const help = await admin(["service", "--help"]);
  for (const command of ["list", "show", "create", "change", "rotate", "delete", "events", "resend", "discard"]) {
    assert.match(help.out, new RegExp(`^  ${command} `, "m"));
    assert.equal((await admin(["service", command, "--help"])).status, 0, command);
  }
});
