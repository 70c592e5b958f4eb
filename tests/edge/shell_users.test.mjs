// `npm run admin -- user …` and `key …`: calls of the admin API from a shell. The Worker makes every change.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { startFront } from "./lib/front.mjs";
import { newEmail, startWorld, until } from "./lib/world.mjs";
import { serveKv } from "./lib/wrangler.mjs";

/** @import { Front } from "./lib/front.mjs" */
/** @import { Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const BOUND = 5;

/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Front} */
let front;
/** @type {string} */
let folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-shell-"));
  world = await startWorld({ sites: { APP: { assertion: {} } }, edgeward: { user_cache: 1 }, directory: true });
  app = world.site();
  front = await startFront(app);
});
after(async () => {
  await front?.stop();
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Runs the admin command with these variables over the usual ones: `{ status, out, error }`.
 * @param {Record<string, string>} env
 * @param {...string} args
 */
async function run(env, ...args) {
  const variables = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken(), ...env };
  return new Promise((resolve) => {
    execFile(pinnedNode, [at("scripts/admin.mjs"), ...args], { env: variables, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) =>
      resolve({ status: error ? error.code : 0, out, error: err }),
    );
  });
}
/** @param {...string} args */
const admin = (...args) => run({}, ...args);
/**
 * The same with `--json`, for a command that must work.
 * @param {...string} args
 */
async function json(...args) {
  const { status, out, error } = await admin(...args, "--json");
  assert.equal(status, 0, error);
  return JSON.parse(out);
}
/** @param {string} email */
const byEmail = async (email) => (await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json.users;
/** @param {string} id */
const byId = async (id) => (await app.admin("GET", `/api/sso/users/${id}`)).json;

/**
 * A file with this content.
 * @param {string} name
 * @param {string | Buffer} content
 */
function file(name, content) {
  const written = path.join(folder, name);
  writeFileSync(written, content);
  return written;
}

/**
 * A user of whom two fit into a batch.
 * @param {string} email
 */
const large = (email) => ({ email, roles: Array.from({ length: 270 }, (_, index) => `${index}-`.padEnd(100, "x")) });

/** @typedef {undefined | "hang up" | { status: number, headers: Record<string, string>, body: object }} Trouble */
/**
 * A server in front of `url` that answers some bulk calls by itself: `answer` is told the number of each, from 1.
 * @param {string} url
 * @param {(count: number) => Trouble} answer
 */
async function startTroubled(url, answer) {
  let count = 0;
  const server = http.createServer(async (request, response) => {
    const body = await buffer(request);
    count += 1;
    const trouble = answer(count);
    if (trouble === "hang up") return void request.socket.destroy();
    if (trouble !== undefined) return void response.writeHead(trouble.status, trouble.headers).end(JSON.stringify(trouble.body));
    const headers = { authorization: String(request.headers.authorization), "content-type": "application/json" };
    const passed = await fetch(new URL(request.url ?? "", url), { method: request.method, headers, body });
    response.writeHead(passed.status, { "content-type": "application/json" }).end(await passed.text());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`, stop };
}

test("a user that the shell made is one that HTTP knows, and the other way round", async () => {
  const email = newEmail("shell");
  const made = await json(
    "user",
    "create",
    email.toUpperCase(),
    "--username",
    "ada",
    "--first-name",
    "Ada",
    "--last-name",
    "L",
    "--role",
    "reader",
    "--role",
    "writer",
    "--staff",
  );
  assert.deepEqual(await byEmail(email), [made]);
  assert.deepEqual(
    { username: made.username, first_name: made.first_name, last_name: made.last_name, roles: made.roles, staff: made.staff, superuser: made.superuser },
    { username: "ada", first_name: "Ada", last_name: "L", roles: ["reader", "writer"], staff: true, superuser: false },
  );
  assert.equal((await app.signIn(made)).user.id, made.id);
  const other = await app.createUser({ first_name: "By HTTP" });
  assert.deepEqual(await json("user", "show", other.email), other);
  assert.deepEqual(await json("user", "show", other.id), other);
  assert.deepEqual(JSON.parse((await admin("user", "show", other.email)).out), other);
  const listed = await json("user", "list");
  for (const user of [made, other])
    assert.deepEqual(
      listed.find((/** @type {{ id: string }} */ { id }) => id === user.id),
      user,
    );
  const { out } = await admin("user", "list");
  assert.match(out, /^id +email +active +roles\n/);
  assert.match(out, new RegExp(`^${made.id} +${email} +true +reader,writer$`, "m"));
  const third = newEmail("shell");
  assert.match((await admin("user", "create", third)).out, new RegExp(`^User ${third} has the id usr_[\\w-]{22}\\.\\n$`));
});

test("an address that a URL would read in another way leads to its own user", async () => {
  const email = newEmail("a+b&email=x#?/'~=").replaceAll("%", "");
  const made = await json("user", "create", email);
  assert.deepEqual(await json("user", "show", email), made);
  assert.equal((await admin("user", "delete", email)).status, 0);
  assert.deepEqual(await byEmail(email), []);
});

test("an address that is taken is an error, in any spelling", async () => {
  const user = await app.createUser();
  const { status, error } = await admin("user", "create", user.email.toUpperCase());
  assert.equal(status, 1);
  assert.match(error, /already exists/);
});

for (const [command, refusal] of Object.entries({ disable: 403, logout: 401, delete: 401 })) {
  test(`user ${command} ends the user's sessions within the bound`, async () => {
    const { user, cookie } = await app.signIn();
    assert.equal((await app.client("/", { cookie })).status, 200);
    const { status, error, out } = await admin("user", command, command === "delete" ? user.email : user.id);
    assert.equal(status, 0, error);
    assert.match(out, new RegExp(`${user.email}.*within 90 seconds`));
    await until(async () => (await app.client("/", { cookie })).status === refusal, BOUND);
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

test("user update changes what is named and leaves the rest", async () => {
  const user = await app.createUser({ first_name: "Ada", last_name: "L", roles: ["reader", "old"], staff: true });
  const changed = await json(
    "user",
    "update",
    user.email,
    "--add-role",
    "editor",
    "--add-role",
    "reader",
    "--remove-role",
    "old",
    "--no-staff",
    "--superuser",
    "--last-name",
    "",
  );
  assert.deepEqual(changed, await byId(user.id));
  assert.deepEqual({ ...changed, updated_at: 0 }, { ...user, last_name: "", roles: ["reader", "editor"], staff: false, superuser: true, updated_at: 0 });
  const other = newEmail("moved");
  const moved = await admin("user", "update", user.id, "--email", other, "--no-roles");
  assert.match(moved.out, new RegExp(`^User ${other} is changed; roles and rights: superuser\\. This takes effect`));
  assert.deepEqual([(await byEmail(other))[0].id, await byEmail(user.email)], [user.id, []]);

  const before = front.requests.length;
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/nothing to change/],
    [/--staff excludes --no-staff/, "--staff", "--no-staff"],
    [/--no-roles excludes/, "--no-roles", "--add-role", "x"],
    [/there is no option --role/, "--role", "x"],
  ])) {
    const { status, error } = await admin("user", "update", user.id, ...args);
    assert.equal(status, 2, error);
    assert.match(error, pattern);
  }
  assert.deepEqual(front.requests.slice(before), []);
  const taken = await admin("user", "update", user.id, "--email", (await app.createUser()).email);
  assert.deepEqual([taken.status, /another user has this address/.test(taken.error)], [1, true]);
  const editor = await world.apiToken("users:read", "users:write");
  assert.match((await run({ EDGEWARD_API_TOKEN: editor }, "user", "update", user.id, "--add-role", "x")).error, /403 .*insufficient_scope/);
});

test("SEC-59: roles that many callers add and remove at the same time are all there afterwards", async () => {
  const user = await app.createUser({ roles: ["kept", "gone"] });
  const added = Array.from({ length: 8 }, (_, index) => `role${index}`);
  const changes = [...added.map((role) => ({ add_roles: [role] })), { remove_roles: ["gone"] }, { first_name: "Ada" }];
  const answers = await Promise.all(changes.map((change) => app.admin("PATCH", `/api/sso/users/${user.id}`, change)));
  // Whoever was refused under contention has changed nothing, and says so.
  const refused = changes.filter((_, index) => answers[index].status !== 200);
  for (const change of refused) assert.equal((await app.admin("PATCH", `/api/sso/users/${user.id}`, change)).status, 200);
  const { roles, first_name } = await byId(user.id);
  assert.deepEqual([roles.toSorted(), first_name], [["kept", ...added].toSorted(), "Ada"]);
});

test("what there is not is an error that says so, and changes nothing", async () => {
  const before = await world.kvEntries();
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/there is no user nobody@example\.test at http:/, "user", "show", "nobody@example.test"],
    [/there is no user usr_0000000000000000000000 at http:/, "user", "disable", "usr_0000000000000000000000"],
    [/there is no user usr_0000000000000000000000 at http:/, "user", "logout", "usr_0000000000000000000000"],
    [/there is no user nobody@example\.test/, "user", "delete", "nobody@example.test"],
    [/400 .*email/, "user", "create", "nonsense"],
    [/400 .*roles/, "user", "create", newEmail(), "--role", "a\tb"],
    [/no-such-file\.csv/, "user", "import", "no-such-file.csv"],
  ])) {
    const { status, error, out } = await admin(...args);
    assert.equal(status, 1, args.join(" "));
    assert.match(error, pattern);
    assert.equal(out, "");
  }
  assert.deepEqual(await world.kvEntries(), before);
});

test("SEC-59: what was taken away a moment ago stays away when the shell changes something else", async () => {
  const user = await app.createUser({ roles: ["editor"] });
  // The store as a shell would see it: as it was a minute ago.
  const entries = await world.kvEntries();
  const late = await serveKv({
    kv: Promise.resolve({
      get: async (key) => entries.find(([name]) => name === key)?.[1] ?? null,
      put: async (key, value) => (await world.kv).put(key, value),
      delete: async (key) => (await world.kv).delete(key),
    }),
    kvEntries: async () => entries,
  });
  const taken = await app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false, roles: [] });
  assert.equal(taken.status, 200, String(taken));
  const ended = await run(late.env, "user", "logout", user.email);
  assert.equal(ended.status, 0, ended.error);
  await late.stop();
  const { active, roles, sessions_valid_after } = await byId(user.id);
  assert.deepEqual({ active, roles }, { active: false, roles: [] });
  assert.ok(sessions_valid_after >= taken.json.updated_at);
  assert.deepEqual(late.asked, [], "no command for users reads or writes the store by itself");
});

test("user list goes through all pages and says how far it is", async () => {
  const emails = Array.from({ length: 130 }, () => newEmail("page"));
  for (const part of [emails.slice(0, 100), emails.slice(100)]) await app.admin("POST", "/api/sso/users/bulk", { users: part.map((email) => ({ email })) });
  const { status, out, error } = await admin("user", "list", "--json");
  assert.equal(status, 0, error);
  assert.match(error, /^\d+ users …$/m);
  const listed = JSON.parse(out);
  assert.deepEqual(
    emails.filter((email) => !listed.some((/** @type {User} */ user) => user.email === email)),
    [],
  );
  assert.equal(new Set(listed.map((/** @type {{ id: string }} */ { id }) => id)).size, listed.length);
});

test("user search finds users by the beginnings of their words, and user reindex makes anew what it looks in", async () => {
  const name = `q${Math.random().toString(36).slice(2, 10)}`;
  const [plain, other] = await Promise.all([
    app.createUser({ email: `${name}@example.com`, first_name: "Ada", last_name: "King" }),
    app.createUser({ email: `${name}@example.com`, tenant: "acme" }),
  ]);
  /** @param {string[]} args */
  const found = async (...args) => {
    const { status, out, error } = await admin("user", ...args, "--json");
    assert.equal(status, 0, error);
    return { ids: JSON.parse(out).map((/** @type {{ id: string }} */ { id }) => id), error };
  };
  await until(async () => (await found("search", name)).ids.length === 1 && (await found("search", name, "--tenant", "acme")).ids.length === 1);
  const first = await found("search", `${name} KI ad`);
  assert.deepEqual(first.ids, [plain.id]);
  assert.match(first.error, /^note: .*`npm run admin -- user reindex`/m);
  assert.deepEqual((await found("search", `${name} kingdom`)).ids, []);
  assert.deepEqual((await found("list", "--search", name, "--tenant", "acme")).ids, [other.id]);
  const table = await admin("user", "search", name);
  assert.match(table.out, new RegExp(`^${plain.id} .*${name}@example.com`, "m"));

  const rebuilt = await admin("user", "reindex");
  assert.equal(rebuilt.status, 0, rebuilt.error);
  assert.match(rebuilt.out, /^\d+ users are indexed; 0 entries/);
  assert.match(rebuilt.error, /^\d+ users …$/m);
  const last = await found("search", name);
  assert.deepEqual([last.ids, /note:/.test(last.error)], [[plain.id], false]);
  for (const args of [["list", "--tenant", "acme"], ["search"], ["search", "a", "b"], ["reindex", "now"]]) {
    const { status, error } = await admin("user", ...args);
    assert.notEqual(status, 0, error);
  }
  const wrong = await admin("user", "reindex", "--from", "nowhere");
  assert.notEqual(wrong.status, 0);
  assert.match(wrong.error, /--from nowhere goes on from here/);
});

test("user import makes the users of a CSV or JSON file that are not there yet", async () => {
  const [known, one, two, three] = [(await app.createUser()).email, newEmail(), newEmail(), newEmail()];
  const csv = file("users.csv", `\uFEFFemail,first_name,last_name\r\n${known},Other,\r\n${one}, Zoë ,"Ng, PhD"\r\n\r\n${two},,\r\n`);
  const first = await admin("user", "import", csv);
  assert.equal(first.status, 0, first.error);
  assert.equal(first.out, "2 users created, 1 existed already.\n");
  const list = file("users.json", JSON.stringify([{ email: one }, { email: three, first_name: "T", roles: ["editor"] }]));
  assert.deepEqual(await json("user", "import", list), { created: 1, exists: 1, invalid: 0, failed: 0, errors: [], not_sent: 0 });
  assert.equal((await byEmail(one))[0].first_name, "Zoë");
  assert.equal((await byEmail(one))[0].last_name, "Ng, PhD");
  assert.equal((await byEmail(two)).length, 1);
  assert.equal((await byEmail(three))[0].first_name, "T");
  assert.deepEqual((await byEmail(three))[0].roles, ["editor"]);
  assert.notEqual((await byEmail(known))[0].first_name, "Other", "who was there is not changed");
});

test("user import sends hundreds in pieces of a hundred, and says how far it is", async () => {
  const emails = Array.from({ length: 250 }, () => newEmail("import"));
  const before = front.requests.length;
  const { status, out, error } = await admin("user", "import", file("many.csv", `email\n${emails.join("\n")}\n`));
  assert.equal(status, 0, error);
  assert.equal(out, "250 users created, 0 existed already.\n");
  assert.match(error, /^(?:\d+ of 250 …\n)+$/m);
  assert.deepEqual(front.requests.slice(before), Array(3).fill("POST /api/sso/users/bulk"));
  const listed = (await json("user", "list")).map((/** @type {{ email: string }} */ { email }) => email);
  assert.deepEqual(
    emails.filter((email) => !listed.includes(email)),
    [],
  );
});

test("user import is sent a few batches at a time, and of two entries for one user the first counts", async () => {
  const [twice, ...others] = Array.from({ length: 15 }, () => newEmail("twice"));
  const users = [{ ...large(twice), first_name: "First" }, ...others.map(large), { email: ` ${twice.toUpperCase()}`, first_name: "Second" }];
  const before = front.requests.length;
  const { status, out, error } = await admin("user", "import", file("twice.json", JSON.stringify(users)));
  assert.equal(status, 0, error);
  assert.equal(out, "15 users created, 1 existed already.\n");
  assert.equal(front.requests.length - before, 9);
  assert.equal((await byEmail(twice))[0].first_name, "First");
});

test("user import waits as the deployment asks, sends again what got no answer, and is stopped by nothing of that", async () => {
  /** @type {number[]} */
  const at = [];
  const limited = await startTroubled(
    front.url,
    /** @type {(count: number) => Trouble} */ (
      (count) => {
        at.push(performance.now());
        if (count === 2) return { status: 429, headers: { "retry-after": "2" }, body: { code: "rate_limited", error: "later" } };
        if (count === 3) return "hang up";
        if (count === 4) return { status: 503, headers: {}, body: { code: "temporarily_unavailable", error: "later" } };
        return undefined;
      }
    ),
  );
  const users = Array.from({ length: 14 }, () => large(newEmail("limited")));
  const { status, out, error } = await run({ EDGEWARD_URL: limited.url }, "user", "import", file("waits.json", JSON.stringify(users)));
  await limited.stop();
  assert.equal(status, 0, error);
  assert.match(out, /^14 users created/);
  assert.match(error, /waiting for 2 s as the deployment asks/);
  assert.equal(at.length, 10, "7 batches, and 3 of them once more");
  assert.ok((at.at(-1) ?? 0) - at[1] >= 1900);
});

test("user import that is stopped names what is left, keeps it in a file, and goes on from there", async () => {
  const stopped = await startTroubled(front.url, (count) =>
    count > 1 ? { status: 401, headers: {}, body: { code: "invalid_api_token", error: "no" } } : undefined,
  );
  const users = Array.from({ length: 16 }, () => ({ ...large(newEmail("rest")), first_name: "R" }));
  const all = file("all.json", JSON.stringify(users));
  const rest = path.join(folder, "rest.json");
  const { status, out, error } = await run({ EDGEWARD_URL: stopped.url }, "user", "import", all, "--rest", rest);
  await stopped.stop();
  assert.equal(status, 1);
  assert.equal(out, "2 users created, 0 existed already.\n");
  assert.match(error, /401 .*invalid_api_token[\s\S]*14 of 16 entries were not imported[\s\S]*not answered: entries \d+ to \d+/);
  const left = JSON.parse(readFileSync(rest, "utf8"));
  assert.deepEqual([left.length, left[0].first_name, statSync(rest).mode & 0o777], [14, "R", 0o600]);
  assert.match((await admin("user", "import", all, "--rest", rest)).error, /rest\.json exists already/);
  assert.equal((await admin("user", "import", rest)).out, "14 users created, 0 existed already.\n");
  assert.equal((await admin("user", "import", all)).out, "0 users created, 16 existed already.\n");
});

test("user export writes what user import makes the same users of", async () => {
  const subject = { issuer: ISSUER, sub: "user:exported" };
  const made = [
    await app.createUser({ first_name: "Zoë", roles: ["a", "b"], staff: true, username: "zoe" }),
    await app.createUser({ active: false, superuser: true }),
    (await app.admin("POST", "/api/sso/users", { email: newEmail(), tenant: "exported" })).json,
    (await app.admin("POST", "/api/sso/users", { subject, email: "exported@example.com" })).json,
    (await app.admin("POST", "/api/sso/users", { subject: { ...subject, sub: "user:none" } })).json,
  ];
  const exported = path.join(folder, "exported.json");
  const { status, out, error } = await admin("user", "export", exported);
  assert.equal(status, 0, error);
  const entries = JSON.parse(readFileSync(exported, "utf8"));
  assert.equal(out, `${entries.length} users are in ${exported}.\n`);
  assert.equal(statSync(exported).mode & 0o777, 0o600);
  assert.match((await admin("user", "export", exported)).error, /exists already, and nothing was written/);
  assert.deepEqual(JSON.parse(readFileSync(exported, "utf8")), entries);

  /** @typedef {User & { subject?: { sub: string } }} Found */
  /** @type {(one: Found, user: Found) => boolean} */
  const isOf = (one, user) => (user.subject ? one.subject?.sub === user.subject.sub : !one.subject && one.email === user.email);
  const few = entries.filter((/** @type {Found} */ entry) => made.some((user) => isOf(entry, user)));
  assert.equal(few.length, made.length);
  for (const { id } of made) assert.equal((await app.admin("DELETE", `/api/sso/users/${id}`)).status, 204);
  assert.equal((await json("user", "import", file("few.json", JSON.stringify(few)))).created, made.length);
  const listed = await json("user", "list");
  for (const user of made) {
    const { id, created_at, updated_at, sessions_valid_after, ...same } = user;
    const {
      id: _id,
      created_at: _made,
      updated_at: _changed,
      sessions_valid_after: _ended,
      ...again
    } = listed.find((/** @type {Found} */ one) => isOf(one, user) && one.id !== id);
    assert.deepEqual(again, same);
  }
});

test("user import sends no body that is too long", async () => {
  const roles = Array.from({ length: 20 }, (_, i) => `${i}-`.padEnd(100, "x"));
  const users = Array.from({ length: 60 }, () => ({ email: newEmail("long"), roles }));
  assert.equal((await json("user", "import", file("long.json", JSON.stringify(users)))).created, 60);
});

test("user import changes nothing when one entry is wrong, and names each that is", async () => {
  const email = newEmail();
  const before = front.requests.length;
  for (const [name, content, ...wanted] of /** @type {[string, string | Buffer, ...RegExp[]][]} */ ([
    ["wrong.csv", `email,first_name\n${email},A\nnonsense,B\n${email},${"x".repeat(255)}\n`, /entry 2: has no valid email/, /entry 3: .*not a name/],
    ["wrong.json", JSON.stringify([{ email }, { email, phone: "1" }, "x"]), /entry 2: .*unknown field `phone`/, /entry 3: is not an object/],
    ["columns.csv", `email,phone\n${email},1\n`, /has "phone"/],
    ["none.csv", `first_name\nA\n`, /has no email/],
    ["long-row.csv", `email,first_name\n${email},A,B\n`, /line 2/],
    ["quote.csv", `email,first_name\n${email},"A\n`, /Quote Not Closed/],
    ["object.json", JSON.stringify({ email }), /is not a list/],
    ["broken.json", "[", /JSON/],
    ["latin1.csv", Buffer.from(`email,first_name\n${email},Zo\xEB\n`, "latin1"), /is not UTF-8/],
  ])) {
    const { status, error, out } = await admin("user", "import", file(name, content));
    assert.equal(status, 1, name);
    for (const pattern of wanted) assert.match(error, pattern, name);
    assert.match(error, new RegExp(name.replace(".", "\\.")));
    assert.equal(out, "", name);
  }
  assert.deepEqual(front.requests.slice(before), []);
  assert.deepEqual(await byEmail(email), []);
});

test("user import names each entry that the deployment refuses, and ends with status 1", async () => {
  const token = (
    await app.admin("POST", "/api/sso/tokens", { name: "limited", scopes: ["users:read", "users:write"], issue_for: { email_domains: ["example.test"] } })
  ).json.token;
  const [good, outside, granted] = [newEmail(), "someone@other.test", newEmail()];
  const users = file("limited.json", JSON.stringify([{ email: outside }, { email: good }, { email: granted, roles: ["editor"] }]));
  const { status, out, error } = await run({ EDGEWARD_API_TOKEN: token }, "user", "import", users);
  assert.equal(status, 1);
  assert.equal(out, "1 users created, 0 existed already.\n");
  assert.match(error, /2 of 3 entries were not imported/);
  assert.match(error, new RegExp(`entry 1 \\(${outside}\\): invalid, insufficient_scope`));
  assert.match(error, new RegExp(`entry 3 \\(${granted}\\): invalid, insufficient_scope`));
  assert.equal((await byEmail(good)).length, 1);
  assert.deepEqual(await byEmail(granted), []);
});

const ISSUER = "https://id.example.com";
/** @param {string} sub */
const bySubject = async (sub) => (await app.admin("GET", `/api/sso/users?issuer=${encodeURIComponent(ISSUER)}&subject=${encodeURIComponent(sub)}`)).json.users;

test("users by subject are made, found, disabled and deleted by their issuer's name and theirs", async () => {
  const [one, two] = ["user:test/1?&=ü", "user:test2"];
  const made = await json("user", "create", one, "--issuer", ISSUER, "--first-name", "Test");
  assert.deepEqual([made.subject, made.email, made.first_name], [{ issuer: ISSUER, sub: one }, null, "Test"]);
  const withAddress = await admin("user", "create", two, "--issuer", ISSUER, "--email", "shared@example.com");
  assert.match(withAddress.out, /^User user:test2 of https:\/\/id\.example\.com has the id usr_/);
  const again = await admin("user", "create", one, "--issuer", ISSUER);
  assert.deepEqual([again.status, again.error.trim().split("\n").at(-1)], [1, `error: a user with the subject ${one} of ${ISSUER} already exists`]);

  assert.deepEqual(await json("user", "show", one, "--issuer", ISSUER), made);
  assert.deepEqual(await json("user", "show", made.id), made);
  for (const other of [
    [one, "--issuer", "https://id.example.org"],
    [one, "--issuer", ISSUER, "--tenant", "acme"],
    ["nobody", "--issuer", ISSUER],
    [one.toUpperCase(), "--issuer", ISSUER],
  ]) {
    const { status, error } = await admin("user", "show", ...other);
    assert.equal(status, 1, other.join(" "));
    assert.match(error, /there is no user .* of https:/);
  }
  const byAddress = await admin("user", "show", "shared@example.com");
  assert.match(byAddress.error, /there is no user shared@example\.com/, "its address finds no subject");
  assert.match((await admin("user", "list")).out, /^usr_.* user:test2 of https:\/\/id\.example\.com *$/m);

  const disabled = await admin("user", "disable", one, "--issuer", ISSUER);
  assert.match(disabled.out, /^User user:test\/1\?&=ü of https:\/\/id\.example\.com is disabled/);
  assert.equal((await bySubject(one))[0].active, false);
  assert.equal((await bySubject(two))[0].active, true);
  assert.equal((await json("user", "enable", one, "--issuer", ISSUER)).active, true);
  assert.equal((await admin("user", "logout", one, "--issuer", ISSUER)).status, 0);
  assert.deepEqual(await json("user", "delete", one, "--issuer", ISSUER), { id: made.id, email: null });
  assert.deepEqual(await bySubject(one), []);
  assert.equal((await bySubject(two)).length, 1);

  for (const wrong of [
    ["show", "user:test2"],
    ["create", "a@example.com", "--email", "b@example.com"],
  ]) {
    const { status, error } = await admin("user", ...wrong);
    assert.equal(status, 2, wrong.join(" "));
    assert.match(error, /--issuer/);
  }
});

test("user import takes users by subject, from CSV and JSON", async () => {
  const csv = file(
    "subjects.csv",
    `issuer,subject,first_name,email\n${ISSUER},user:csv1,Ann,\n${ISSUER},"user,csv2",,x@example.com\n,,Plain,plain-csv@example.com\n`,
  );
  assert.equal((await admin("user", "import", csv)).out, "3 users created, 0 existed already.\n");
  assert.deepEqual([(await bySubject("user:csv1"))[0].first_name, (await bySubject("user,csv2"))[0].email], ["Ann", "x@example.com"]);
  assert.equal((await byEmail("plain-csv@example.com"))[0].first_name, "Plain");
  assert.deepEqual(await byEmail("x@example.com"), [], "a subject is not found by its address");
  const subject = { issuer: ISSUER, sub: "user:json" };
  const list = file(
    "subjects.json",
    JSON.stringify([
      { subject, roles: ["editor"] },
      { subject: { issuer: ISSUER, sub: "user:csv1" }, first_name: "Other" },
    ]),
  );
  assert.equal((await admin("user", "import", list)).out, "1 users created, 1 existed already.\n");
  assert.deepEqual((await bySubject("user:json"))[0].roles, ["editor"]);
  assert.equal((await bySubject("user:csv1"))[0].first_name, "Ann", "who was there is not changed");

  const before = front.requests.length;
  for (const [name, content, pattern] of /** @type {[string, string, RegExp][]} */ ([
    ["half.csv", `issuer,subject\n${ISSUER},\n`, /entry 1: has no valid subject/],
    ["one-column.csv", `subject\nuser:a\n`, /not both issuer and subject/],
    ["nobody.csv", `issuer,subject,first_name\n,,Ann\n`, /entry 1: has no valid email/],
    ["text.json", JSON.stringify([{ subject: "user:a" }]), /entry 1: has no valid subject/],
  ])) {
    const { status, error } = await admin("user", "import", file(name, content));
    assert.equal(status, 1, name);
    assert.match(error, pattern, name);
  }
  assert.deepEqual(front.requests.slice(before), []);
});

test("users of a tenant are made, found and imported by its name", async () => {
  const email = newEmail("tenant");
  const here = await json("user", "create", email, "--tenant", "acme");
  assert.equal(here.tenant, "acme");
  const plain = await json("user", "create", email);
  assert.notEqual(here.id, plain.id);
  assert.deepEqual(await json("user", "show", email, "--tenant", "acme"), here);
  assert.deepEqual(await json("user", "show", email), plain);
  assert.equal((await json("user", "disable", email, "--tenant", "acme")).id, here.id);
  assert.equal((await byId(plain.id)).active, true);
  const [one, two] = [newEmail(), newEmail()];
  assert.equal((await json("user", "import", file("tenants.csv", `email,tenant\n${one},\n${two},globex\n`), "--tenant", "acme")).created, 2);
  assert.equal((await json("user", "show", one, "--tenant", "acme")).tenant, "acme");
  assert.equal((await json("user", "show", two, "--tenant", "globex")).tenant, "globex");
  assert.match((await admin("user", "list")).out, /^id +email +active +roles +tenant(?: +subject)?\n/);
});

test("a command that is written wrongly is told with its usage and ends with status 2, and nothing is sent", async () => {
  const before = front.requests.length;
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/the command is missing/, "user"],
    [/no command remove/, "user", "remove", "a@b.c"],
    [/no command lst; did you mean list\?/, "user", "lst"],
    [/no command dsiable; did you mean disable\?/, "user", "dsiable", "a@b.c"],
    [/there is no option --tennant; did you mean --tenant\?/, "user", "show", "a@b.c", "--tennant", "acme"],
    [/there is no option --rol; did you mean --role\?/, "user", "create", "a@b.c", "--rol", "x"],
    [/takes one <address or subject>/, "user", "create"],
    [/takes one <id, address or subject>/, "user", "show", "a@b.c", "d@e.f"],
    [/takes no arguments/, "user", "list", "all"],
    [/neither an id nor an address/, "user", "disable", "usr_nobody"],
    [/--tenant needs an address/, "user", "show", "usr_0000000000000000000000", "--tenant", "acme"],
    [/neither a \.csv nor a \.json file/, "user", "import", "users.txt"],
    [/one argument: list or rotate/, "key", "toString"],
  ])) {
    const { status, error } = await admin(...args);
    assert.equal(status, 2, `${args.join(" ")}: ${error}`);
    assert.match(error, pattern);
    assert.match(error, /^Usage: npm run admin -- (user|key)/m);
  }
  assert.deepEqual(front.requests.slice(before), []);
});

test("a command group that is written wrongly is told with the one that was meant", async () => {
  const before = front.requests.length;
  for (const [pattern, ...args] of /** @type {[RegExp, ...string[]][]} */ ([
    [/^error: there is no command usr; did you mean user\?$/m, "usr", "list"],
    [/^error: there is no command tokens; did you mean token\?$/m, "--json", "tokens", "list"],
    [/^error: there is no command secrets; did you mean secret\?$/m, "secrets", "list"],
    [/^error: there is no command toString$/m, "toString"],
  ])) {
    const { status, error } = await admin(...args);
    assert.equal(status, 2, args.join(" "));
    assert.match(error, pattern);
  }
  assert.deepEqual(front.requests.slice(before), []);
});

test("--remote and --env are refused by commands that call the admin API, with what to set instead", async () => {
  const user = await app.createUser();
  const before = front.requests.length;
  for (const args of [
    ["user", "disable", user.email, "--remote"],
    ["--remote", "user", "disable", user.email],
    ["user", "delete", user.email, "--env", "local"],
    ["--env", "local", "user", "delete", user.email],
    ["key", "rotate", "--remote"],
  ]) {
    const { status, error } = await admin(...args);
    assert.equal(status, 2, args.join(" "));
    assert.match(error, /calls the admin API and has no option --(remote|env)/);
    assert.match(error, /EDGEWARD_URL/);
  }
  assert.deepEqual(front.requests.slice(before), []);
});

test("--help tells every command, those over wrangler and those over the admin API", async () => {
  const { status, out } = await admin("--help");
  assert.equal(status, 0);
  for (const name of ["token", "secret", "schema", "user", "key", "explain"]) assert.match(out, new RegExp(`^  ${name} `, "m"));
  for (const args of [
    ["user", "--help"],
    ["user", "create", "--help"],
    ["user", "--help", "import"],
    ["key", "--help"],
  ]) {
    const told = await admin(...args);
    assert.equal(told.status, 0, told.error);
    assert.match(told.out, /^Usage: npm run admin -- (user|key)/);
    assert.match(told.out, /EDGEWARD_URL and EDGEWARD_API_TOKEN/);
  }
  for (const command of ["create", "list", "show", "update", "enable", "disable", "logout", "delete", "import"])
    assert.equal((await admin("user", command, "--help")).status, 0);
});

test("a deployment that does not answer, or that is none, is an error that says what to do", async () => {
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  for (const [pattern, EDGEWARD_URL] of /** @type {[RegExp, string][]} */ ([
    [/does not answer: .*ECONNREFUSED.*\n.*EDGEWARD_URL/, nowhere],
    [/EDGEWARD_URL is not a URL: example/, "example"],
    [/404 .*not_found[\s\S]*EDGEWARD_URL does not name a site/, `http://127.0.0.1:${app.port}`],
    [/200, but not from Edgeward; does EDGEWARD_URL name a site/, world.origin.url],
  ])) {
    const { status, error } = await run({ EDGEWARD_URL }, "user", "show", "ada@example.test");
    assert.equal(status, 1, error);
    assert.match(error, pattern);
    assert.doesNotMatch(error, /^ +at /m, "no stack trace");
  }
});

test("an API token that is wrong or lacks the scope is an error that says what to do, and changes nothing", async () => {
  const user = await app.createUser();
  const wrong = await run({ EDGEWARD_API_TOKEN: "ewt_nonsense" }, "user", "disable", user.email);
  assert.equal(wrong.status, 1);
  assert.match(wrong.error, /401 .*invalid_api_token[\s\S]*token create/);
  assert.ok(!wrong.error.includes("ewt_nonsense"));
  const reader = await world.apiToken("users:read");
  for (const args of [
    ["disable", user.email],
    ["logout", user.id],
    ["delete", user.email],
    ["create", newEmail()],
    ["import", file("one.csv", `email\n${newEmail()}\n`)],
  ]) {
    const { status, error, out } = await run({ EDGEWARD_API_TOKEN: reader }, "user", ...args);
    assert.equal(status, 1, args.join(" "));
    assert.match(error, /403 .*insufficient_scope[\s\S]*lacks the scope/);
    assert.equal(out, "");
  }
  assert.deepEqual(await byId(user.id), user);
  assert.equal((await run({ EDGEWARD_API_TOKEN: reader }, "user", "show", user.email)).status, 0);
});

test("a deployment without an API token is never asked with that of another one", async () => {
  const { status, error } = await run({ EDGEWARD_API_TOKEN: "" }, "user", "list");
  assert.equal(status, 1);
  assert.match(error, /set EDGEWARD_API_TOKEN/);
});

test("the keys that sign assertions are listed and rotated from a shell", async () => {
  const before = await json("key", "list");
  const rotated = await json("key", "rotate");
  assert.deepEqual(
    rotated.slice(0, -1).map((/** @type {{ kid: string }} */ { kid }) => kid),
    before.map((/** @type {{ kid: string }} */ { kid }) => kid),
  );
  assert.notEqual(rotated.at(-1).kid, before.at(-1).kid);
  assert.match((await admin("key", "list")).out, /^kid +signs from +published until +sealed with/);
});
