// `npm run admin -- token …` and `user …`: the same as the admin API, from a shell, through wrangler's KV
// commands (here a stand-in over the test's KV; `npm run dev` has its own test with the real one).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { ADMIN_BINARY, newEmail, startWorld, until } from "./lib/world.mjs";
import { serveKv } from "./lib/wrangler.mjs";

const BOUND = 5;

let world, app, kv, folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-shell-"));
  world = await startWorld({ edgeward: { user_cache: 1 } });
  app = world.site();
  kv = await serveKv(world);
});
after(async () => {
  await kv?.stop();
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the admin command: `{ status, out, error }`. */
function admin(...args) {
  return new Promise((resolve) => {
    execFile(ADMIN_BINARY, args, { env: { ...process.env, ...kv.env } }, (error, out, err) => resolve({ status: error ? error.code : 0, out, error: err }));
  });
}
/** The same with `--json`, for a command that must work. */
async function json(...args) {
  const { status, out, error } = await admin(...args, "--json");
  assert.equal(status, 0, error);
  return JSON.parse(out);
}

test("the first API token is made before any HTTP call can, and works at once", async () => {
  const { token, id } = await json("token", "create", "--name", "ops", "--scope", "admin");
  const answer = await app.admin("GET", `/api/sso/tokens/${id}`, undefined, { token });
  assert.equal(answer.status, 200, String(answer));
  assert.equal(answer.json.name, "ops");
  assert.deepEqual(answer.json.scopes, ["admin"]);
  assert.equal(answer.json.created_by, "shell");
});

test("scopes, expiry and limits of an API token are what was asked for", async () => {
  const { token, id } = await json("token", "create", "--name", "portal", "--scope", "token:issue", "--scope", "users:read", "--expires-in", "3600", "--email-domain", "allowed.test");
  const shown = (await app.admin("GET", `/api/sso/tokens/${id}`)).json;
  assert.deepEqual(shown.scopes.toSorted(), ["token:issue", "users:read"]);
  assert.equal(shown.expires_at, shown.created_at + 3600);
  assert.equal((await app.issueAnswer({ email: "a@allowed.test" }, { token })).status, 200);
  assert.equal((await app.issueAnswer({ email: "a@other.test" }, { token })).status, 403);
});

test("the list of API tokens shows those that HTTP made, and no secret; a revocation holds", async () => {
  const { token, id } = (await app.admin("POST", "/api/sso/tokens", { name: "by http", scopes: ["users:read"] })).json;
  const listed = await json("token", "list");
  assert.equal(listed.find((one) => one.id === id).name, "by http");
  assert.doesNotMatch((await admin("token", "list")).out, /ewt_/);
  assert.equal((await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status, 200);
  assert.equal((await admin("token", "revoke", id)).status, 0);
  await until(async () => (await app.admin("GET", "/api/sso/users?limit=1", undefined, { token })).status === 401, BOUND);
});

test("a user that the shell made is one that HTTP knows, and the other way round", async () => {
  const email = newEmail("shell");
  const made = await json("user", "create", email.toUpperCase(), "--username", "ada", "--first-name", "Ada", "--role", "reader", "--role", "writer", "--staff");
  const { users } = (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json;
  assert.deepEqual(users, [made]);
  assert.deepEqual({ username: made.username, first_name: made.first_name, roles: made.roles, staff: made.staff, superuser: made.superuser }, { username: "ada", first_name: "Ada", roles: ["reader", "writer"], staff: true, superuser: false });
  assert.equal((await app.signIn(made)).user.id, made.id);
  const other = await app.createUser({ first_name: "By HTTP" });
  assert.deepEqual(await json("user", "show", other.email), other);
  assert.deepEqual(await json("user", "show", other.id), other);
  const listed = (await json("user", "list")).map(({ id }) => id);
  assert.ok(listed.includes(made.id) && listed.includes(other.id));
});

test("an address that is taken is an error, in any spelling", async () => {
  const user = await app.createUser();
  const { status, error } = await admin("user", "create", user.email.toUpperCase());
  assert.notEqual(status, 0);
  assert.match(error, /exist/i);
});

for (const command of ["disable", "logout", "delete"]) {
  test(`user ${command} ends the user's sessions within the bound`, async () => {
    const { user, cookie } = await app.signIn();
    assert.equal((await app.client("/", { cookie })).status, 200);
    const { status, error } = await admin("user", command, command === "delete" ? user.email : user.id);
    assert.equal(status, 0, error);
    await until(async () => [401, 403].includes((await app.client("/", { cookie })).status), BOUND);
    const shown = await app.admin("GET", `/api/sso/users/${user.id}`);
    assert.equal(shown.status, command === "delete" ? 404 : 200);
    if (command !== "delete") assert.equal(shown.json.active, command !== "disable");
  });
}

test("user enable lets a disabled user sign in again", async () => {
  const user = await app.createUser({ active: false });
  assert.equal((await app.issueAnswer({ email: user.email })).status, 403);
  assert.equal((await admin("user", "enable", user.email)).status, 0);
  await until(async () => (await app.issueAnswer({ email: user.email })).status === 200, BOUND);
});

test("user import makes the users of a CSV or JSON file that are not there yet", async () => {
  const [known, one, two, three] = [(await app.createUser()).email, newEmail(), newEmail(), newEmail()];
  const csv = path.join(folder, "users.csv");
  writeFileSync(csv, `email,first_name,last_name\n${known},Other,\n${one},Zoë,"Ng, PhD"\n${two},,\n`);
  const first = await admin("user", "import", csv);
  assert.equal(first.status, 0, first.error);
  assert.match(first.out, /\b2\b/);
  const list = path.join(folder, "users.json");
  writeFileSync(list, JSON.stringify([{ email: one }, { email: three, first_name: "T" }]));
  assert.equal((await admin("user", "import", list)).status, 0);
  const byEmail = async (email) => (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json.users;
  assert.equal((await byEmail(one))[0].first_name, "Zoë");
  assert.equal((await byEmail(one))[0].last_name, "Ng, PhD");
  assert.equal((await byEmail(two)).length, 1);
  assert.equal((await byEmail(three))[0].first_name, "T");
  assert.notEqual((await byEmail(known))[0].first_name, "Other", "who was there is not changed");
});

test("user import changes nothing when one entry is wrong, and names it", async () => {
  const email = newEmail();
  const file = path.join(folder, "wrong.csv");
  writeFileSync(file, `email,first_name\n${email},A\nnonsense,B\n`);
  const { status, error } = await admin("user", "import", file);
  assert.notEqual(status, 0);
  assert.match(error, /entry 2/);
  assert.deepEqual((await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json.users, []);
});

test("an unknown user, id or scope is an error that says so, and changes nothing", async () => {
  const before = await world.kvEntries();
  for (const args of [["user", "show", "nobody@example.test"], ["user", "disable", "usr_nobody"], ["token", "revoke", "x"], ["token", "revoke", "0".repeat(32)], ["token", "create", "--name", "n", "--scope", "root"], ["token", "create", "--name", "", "--scope", "admin"], ["user", "create", "nonsense"]]) {
    const { status, error } = await admin(...args);
    assert.notEqual(status, 0, args.join(" "));
    assert.ok(error.trim().length > 5, args.join(" "));
  }
  assert.deepEqual(await world.kvEntries(), before);
});
