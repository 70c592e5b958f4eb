// `npm run admin -- import-django-sso`: the users, passwords and services of a real gateway of django-sso, moved to the Worker.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { formOf, Jar } from "./lib/http.mjs";
import { newEmail, startWorld, until } from "./lib/world.mjs";

/** @import { Front } from "./lib/front.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const GATEWAY = { hosts: ["gateway.example.test"], identity: "username" };
const DUMP = "tests/tooling/django-sso/3.0.2.json";
/** What the file leaves to be decided. */
const DECIDED = ["--role", "Night shift=night", "--role", "staff=", "--dialect", "fields"];
/** In the file: six users can be moved, of whom two have no hash that can, and three services. */
const MOVED = { users: 6, passwords: 4, services: 3 };

/** @type {World} */
let world;
/** @type {Site} */
let gateway;
/** @type {Front} */
let front;
/** @type {string} */
let folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-import-"));
  world = await startWorld({ vars: { EDGEWARD_GATEWAY: GATEWAY }, edgeward: { user_cache: 1 } });
  gateway = world.site("GATEWAY");
  front = await startFront(gateway);
});
after(async () => {
  await front?.stop();
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Runs the command: `{ status, out, error }`.
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 * @returns {Promise<{ status: number, out: string, error: string }>}
 */
async function run(args, env = {}) {
  const variables = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken(), ...env };
  return new Promise((resolve) => {
    const child = execFile(pinnedNode, [at("scripts/admin.mjs"), ...args], { env: variables, maxBuffer: 1e8 }, (error, out, err) =>
      resolve({ status: error ? Number(error.code) : 0, out, error: err }),
    );
    child.stdin?.end();
  });
}
/**
 * Imports a file and returns what was done.
 * @param {string} file
 * @param {...string} options
 */
async function imported(file, ...options) {
  const { status, out, error } = await run(["import-django-sso", file, ...options, "--yes", "--json"]);
  assert.equal(status, 0, error);
  return JSON.parse(out);
}
/** @typedef {{ model: string, pk: number, fields: { [name: string]: unknown } }} Entry An entry of dumpdata. */
/**
 * A file with the fixture's entries after a change.
 * @param {string} name
 * @param {(entries: Entry[]) => object[]} change
 */
function changed(name, change) {
  const file = path.join(folder, name);
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(at(DUMP), "utf8")))));
  return file;
}
/** Tokens by the name of their service. */
const tokens = () =>
  Object.fromEntries(
    JSON.parse(readFileSync(at(DUMP), "utf8"))
      .filter((/** @type {{ model: string }} */ { model }) => model === "sso_gateway.service")
      .map((/** @type {{ fields: { name: string, token: string } }} */ { fields }) => [fields.name, fields.token]),
  );

/**
 * Signs in at the gateway's page: the answer to the form.
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
/**
 * A service asks for a sign-in.
 * @param {string} token
 */
const obtain = async (token) =>
  (
    await gateway.send("POST", "/sso/obtain/", {
      headers: [["Content-Type", "application/x-www-form-urlencoded"]],
      body: new URLSearchParams({ token, next_url: "/" }).toString(),
    })
  ).json;
/** Every record of the deployment, without what a call of the admin API notes about its token. */
const records = async () => (await world.kvEntries()).filter(([key]) => !/^api_token/.test(key));
/**
 * No record has changed. Names those that have, and not what they hold.
 * @param {[string, string][]} before
 */
async function assertUnchanged(before) {
  const [old, now] = [new Map(before), new Map(await records())];
  assert.deepEqual(
    [...new Set([...old.keys(), ...now.keys()])].filter((key) => old.get(key) !== now.get(key)),
    [],
  );
}
/** The hashes of all passwords. */
const hashes = async () => (await records()).filter(([key]) => key.startsWith("password:")).map(([, value]) => JSON.parse(value).hash);
/**
 * A sign-in has replaced a hash that was moved. It does so after its answer.
 * @param {string[]} before
 */
const untilRehashed = (before) => until(async () => (await hashes()).some((hash) => !before.includes(hash) && hash.startsWith("$argon2id$")), 20);

test("a dry run prints the plan and changes nothing, and without --yes nothing is moved where nobody can be asked", async () => {
  const before = await records();
  const dry = await run(["import-django-sso", at(DUMP), ...DECIDED, "--dry-run"]);
  assert.equal(dry.status, 0, dry.error);
  assert.match(dry.out, /^6 users to move, 1 of them disabled/m);
  assert.match(dry.out, /2 users without a hash that can be moved/);
  assert.match(dry.out, /group Night shift, 1 member: the role night/);
  assert.match(dry.out, /Wiki: https:\/\/wiki\.example\.com, dialect fields$/m);
  assert.match(dry.out, /Plain: .*is not https/);
  assert.match(dry.out, /user nobody: has no e-mail address/);
  assert.match(dry.out, /Nothing was moved: this was a dry run\.\n$/);
  const told = JSON.parse((await run(["import-django-sso", at(DUMP), ...DECIDED, "--dry-run", "--json"])).out);
  assert.deepEqual([told.users, told.services.length, told.needs_link.length, told.left_out.length], [6, 4, 2, 5]);
  for (const text of [dry.out, JSON.stringify(told)]) assert.doesNotMatch(text, /\$[\w+/.]{22}|[A-Za-z0-9]{60}/, "neither a hash nor a token is shown");
  const asked = await run(["import-django-sso", at(DUMP), ...DECIDED]);
  assert.equal(asked.status, 2);
  assert.match(asked.error, /add --yes to move them, or --dry-run/);
  const undecided = await run(["import-django-sso", at(DUMP), "--yes"]);
  assert.equal(undecided.status, 1);
  assert.match(undecided.error, /nothing was moved\. First decide:\n {2}the group staff.*\n {2}the file does not tell/);
  await assertUnchanged(before);
});

test("users, passwords and services are moved; a second import changes nothing and says so", async () => {
  const done = await imported(at(DUMP), ...DECIDED);
  assert.deepEqual(
    { ...done, left_out: done.left_out.length, needs_link: done.needs_link.map((/** @type {{ email: string }} */ { email }) => email) },
    {
      users: { created: MOVED.users, existing: 0 },
      passwords: { moved: MOVED.passwords, existing: 0 },
      services: { created: MOVED.services, existing: 0 },
      needs_link: ["arg@example.com", "una@example.com"],
      left_out: 6,
      failed: [],
    },
  );
  assert.match(done.needs_link[0].reason, /^the hash of the password \(argon2, m=102400,t=2,p=8\) needs more memory or time/);
  assert.match(done.left_out.at(-1).reason, /http:\/\/plain\.example\.com is not taken: the URL must begin with https/);
  const { users } = (await gateway.admin("GET", "/api/sso/users?email=ann.lee@example.com")).json;
  const { id, created_at, updated_at, sessions_valid_after, ...ann } = users[0];
  assert.deepEqual(ann, {
    email: "ann.lee@example.com",
    username: "ann",
    first_name: "Ann",
    last_name: "Lee",
    active: true,
    staff: true,
    superuser: false,
    roles: ["editors", "night"],
  });
  const { services } = (await gateway.admin("GET", "/api/sso/services")).json;
  assert.deepEqual(
    services
      .map((/** @type {{ name: string, base_url: string, enabled: boolean, dialect: string }} */ { name, base_url, enabled, dialect }) => [
        name,
        base_url,
        enabled,
        dialect,
      ])
      .toSorted(),
    [
      ["Old one", "https://old.example.com", false, "fields"],
      ["Shop", "https://shop.example.com/a", true, "fields"],
      ["Wiki", "https://wiki.example.com", true, "fields"],
    ],
  );

  const before = await records();
  const again = await run(["import-django-sso", at(DUMP), ...DECIDED, "--yes"]);
  assert.equal(again.status, 0, again.error);
  assert.match(
    again.out,
    /^Everything was here already; nothing was changed\.\nusers: 0 created, 6 here already\npasswords: 0 moved, 4 here already\nservices: 0 created, 3 here already\n/,
  );
  assert.match(again.out, /2 users to send a link/);
  await assertUnchanged(before);
});

for (const [username, algorithm] of Object.entries({ ann: "PBKDF2", sam: "scrypt", bea: "bcrypt" })) {
  test(`whoever had a password of ${algorithm} signs in with it by username, and its hash is replaced by one of Argon2id`, async () => {
    const before = await hashes();
    assert.equal((await signIn(username, "the password of nobody")).status, 403);
    const answer = await signIn(username, `the password of ${username}`);
    assert.deepEqual([answer.status, answer.location], [303, "/account/"], String(answer));
    await untilRehashed(before);
    assert.equal((await signIn(username, `the password of ${username}`)).status, 303, "with the new hash");
  });
}

test("a disabled user cannot sign in with the password that was moved", async () => {
  assert.equal((await signIn("idle", "the password of idle")).status, 403);
});

test("whoever cannot keep the password gets a link; a later import knows that there is a password, and keeps it", async () => {
  const { status, out, error } = await run(["user", "password-link", "arg@example.com"]);
  assert.equal(status, 0, error);
  assert.match(out, /^http:\/\/gateway\.example\.test\/password\/\?token=\S+\n$/);
  assert.match(error, /Give this link to arg@example\.com and to nobody else\. It works once/);
  const link = new URL(out.trim());
  const jar = new Jar();
  const page = await gateway.navigate(link.pathname + link.search);
  assert.equal(page.status, 200, String(page));
  jar.take(page);
  const { action, fields } = formOf(page);
  const name = Object.keys(fields).find((field) => /new/.test(field)) ?? "";
  const set = await gateway.form(action, { ...fields, [name]: "a new password of arg" }, { cookie: jar.header });
  assert.ok(set.status < 400, String(set));
  assert.equal((await signIn("arg", "a new password of arg")).status, 303);
  const again = await imported(at(DUMP), ...DECIDED);
  assert.deepEqual(
    again.needs_link.map((/** @type {{ email: string }} */ { email }) => email),
    ["una@example.com"],
  );
  assert.equal((await signIn("arg", "a new password of arg")).status, 303);
});

test("a password that was changed here is not set back by another import", async () => {
  const child = spawn(pinnedNode, [at("scripts/admin.mjs"), "user", "set-password", "sam@example.com"], {
    env: { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() },
    stdio: ["pipe", "ignore", "inherit"],
  });
  child.stdin.end("another password of sam\n");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  assert.equal((await imported(at(DUMP), ...DECIDED)).passwords.moved, 0);
  assert.equal((await signIn("sam", "the password of sam")).status, 403);
  assert.equal((await signIn("sam", "another password of sam")).status, 303);
});

test("services call with the tokens that they had; a disabled one cannot", async () => {
  const { Wiki, Shop, "Old one": old } = tokens();
  for (const token of [Wiki, Shop]) assert.match((await obtain(token)).token, /^[\w-]{20,}$/);
  assert.deepEqual(await obtain(old), { error: "Application token doesn't exist" });
});

test("a service with the same base URL and another token is left out, and one that was renamed here is known by its token", async () => {
  const { services } = (await gateway.admin("GET", "/api/sso/services")).json;
  const wiki = services.find((/** @type {{ name: string }} */ { name }) => name === "Wiki");
  await gateway.admin("PATCH", `/api/sso/services/${wiki.id}`, { base_url: "https://moved.example.com" });
  await until(async () => (await gateway.admin("GET", `/api/sso/services/${wiki.id}`)).json.base_url.includes("moved"));
  const other = changed("other.json", (entries) => {
    for (const { model, fields } of entries) if (model === "sso_gateway.service" && fields.name === "Shop") fields.token = "x".repeat(64);
    return entries;
  });
  const done = await imported(other, ...DECIDED);
  assert.deepEqual(done.services, { created: 0, existing: 2 }, "Wiki by its token, Old one by its base URL");
  assert.match(done.left_out.find((/** @type {{ name: string }} */ { name }) => name === "Shop").reason, /has this base URL and another token/);
});

test("an import that is interrupted goes on where it stopped", async () => {
  const people = Array.from({ length: 300 }, (_, i) => ({ username: `walker${i}`, email: newEmail("walker") }));
  const file = changed("many.json", (entries) => [
    ...entries.filter(({ model }) => model !== "auth.user"),
    ...people.map((fields) => ({ model: "auth.user", fields: { ...entries.find(({ model }) => model === "auth.user")?.fields, ...fields } })),
  ]);
  const child = spawn(pinnedNode, [at("scripts/admin.mjs"), "import-django-sso", file, ...DECIDED, "--yes"], {
    env: { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() },
    stdio: ["ignore", "ignore", "pipe"],
  });
  for await (const line of child.stderr.setEncoding("utf8")) if (/^50 of 300 users, /m.test(line)) break;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  const { status, out, error } = await run(["import-django-sso", file, ...DECIDED, "--yes", "--json"]);
  assert.equal(status, 0, error);
  assert.match(error, /^250 of 300 users, [0-9]+ a minute …$/m);
  const { users, passwords } = JSON.parse(out);
  assert.equal(users.created + users.existing, 300);
  assert.equal(passwords.moved + passwords.existing, 300);
  assert.ok(users.existing >= 50 && passwords.existing >= 50, JSON.stringify({ users, passwords }));
  const before = await hashes();
  assert.equal((await signIn("walker299", "the password of ann")).status, 303);
  await untilRehashed(before);
  const { passwords: last } = await imported(file, ...DECIDED);
  assert.deepEqual(last, { moved: 0, existing: 300 });
});

test("a user who is here under another username, or whose username another user has, is left out", async () => {
  const [here, taken] = [await gateway.createUser(), await gateway.createUser({ username: "taken" })];
  await until(async () => (await gateway.admin("GET", `/api/sso/users?email=${taken.email}`)).json.users.length === 1);
  const file = changed("conflict.json", (entries) => {
    const [ann, sam] = entries.filter(({ model }) => model === "auth.user");
    return [
      ...entries.filter(({ model }) => model !== "auth.user"),
      { ...ann, fields: { ...ann.fields, email: here.email } },
      { ...sam, fields: { ...sam.fields, username: "taken", email: newEmail() } },
    ];
  });
  const { left_out, users } = await imported(file, ...DECIDED);
  assert.deepEqual(users, { created: 0, existing: 0 });
  assert.match(left_out[0].reason, new RegExp(`^is here already \\(${here.email}\\) with the username ${here.email}`));
  assert.match(left_out[1].reason, new RegExp(`^another user here \\(${taken.email}\\) has this username`));
});

test("an import waits when the deployment limits the calls of its API token, and goes on by itself", async () => {
  const limited = await startWorld({ vars: { EDGEWARD_GATEWAY: GATEWAY }, limits: { calls: 4 } });
  const only = await startFront(limited.site("GATEWAY"));
  try {
    const { status, out, error } = await run(["import-django-sso", at(DUMP), ...DECIDED, "--yes", "--json"], {
      EDGEWARD_URL: only.url,
      EDGEWARD_API_TOKEN: await limited.adminToken(),
    });
    assert.equal(status, 0, error);
    assert.match(error, /^waiting \d+ seconds: the deployment limits the calls of an API token …$/m);
    const { users, passwords, services } = JSON.parse(out);
    assert.deepEqual([users.created, passwords.moved, services.created], [MOVED.users, MOVED.passwords, MOVED.services]);
  } finally {
    await only.stop();
    await limited.stop();
  }
});

test("the database itself is taken as well, and tells the dialect", async () => {
  const file = path.join(folder, "db.sqlite3");
  const database = new DatabaseSync(file);
  database.exec(readFileSync(at("tests/tooling/django-sso/1.1.4.sql"), "utf8"));
  database.exec("UPDATE sso_gateway_service SET base_url = 'https://line' || id || '.example.com', token = token || id");
  database.exec("UPDATE auth_user SET username = 'old_' || username, email = 'old_' || email WHERE email != ''");
  database.close();
  const done = await imported(file, ...DECIDED.slice(0, 4));
  assert.deepEqual([done.users.created, done.services.created], [6, 4]);
  const { services } = (await gateway.admin("GET", "/api/sso/services")).json;
  assert.equal(services.find((/** @type {{ base_url: string }} */ { base_url }) => base_url === "https://line1.example.com").dialect, "flat");
  const before = await hashes();
  assert.equal((await signIn("old_bea", "the password of bea")).status, 303);
  await untilRehashed(before);
});

test("a host that is not the gateway, a gateway that tells addresses, and a wrong file are errors before anything is sent", async () => {
  const before = await records();
  const app = await startFront(world.site("APP"));
  const elsewhere = await run(["import-django-sso", at(DUMP), ...DECIDED, "--yes"], { EDGEWARD_URL: app.url });
  await app.stop();
  assert.equal(elsewhere.status, 1);
  assert.match(elsewhere.error, /is not the gateway: .*\n.*EDGEWARD_GATEWAY/);
  const addressed = await run(["import-django-sso", at(DUMP), ...DECIDED, "--yes", "--by-address"]);
  assert.equal(addressed.status, 1);
  assert.match(addressed.error, /know these users by their email, and the gateway here tells their username.*\n.*identity = "email"/);
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/takes one file/],
    [/takes one file/, "a", "b"],
    [/exclude each other/, at(DUMP), "--yes", "--dry-run"],
    [/not one of push, flat/, at(DUMP), "--dialect", "round"],
    [/not a domain/, at(DUMP), "--email-domain", "a@b.c"],
    [/--role needs a name/, at(DUMP), "--role", "editors"],
    [/has no option --remote/, at(DUMP), "--remote"],
  ])) {
    const { status, error } = await run(["import-django-sso", ...args]);
    assert.equal(status, 2, `${args.join(" ")}: ${error}`);
    assert.match(error, pattern);
  }
  const reader = await world.apiToken("users:read", "users:write");
  const refused = await run(["import-django-sso", at(DUMP), ...DECIDED, "--yes"], { EDGEWARD_API_TOKEN: reader });
  assert.equal(refused.status, 1);
  assert.match(refused.error, /403 .*insufficient_scope/);
  await assertUnchanged(before);
});
