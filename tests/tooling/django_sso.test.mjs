// What `import-django-sso` reads, and what it plans. The files in django-sso/ come from the real packages: see make.py there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { openDjangoSso } from "../../scripts/lib/django-sso.mjs";
import { algorithmOf, makePlan, normalUrl } from "../../scripts/lib/django-sso-plan.mjs";
import { jsonObjects } from "../../scripts/lib/json-objects.mjs";
import { at } from "../../scripts/lib/project.mjs";

/** @import { Choices } from "../../scripts/lib/django-sso-plan.mjs" */

/** What each line tells of its protocol, in either form: a dump of 1.1 looks as one of 3.0. */
const LINES = /** @type {const} */ ({
  "1.0.0": { json: "push", sql: "push" },
  "1.1.4": { json: undefined, sql: "flat" },
  "3.0.2": { json: undefined, sql: "fields" },
});

/** @type {string} */
let folder;
before(() => (folder = mkdtempSync(path.join(tmpdir(), "edgeward-django-sso-"))));
after(() => rmSync(folder, { recursive: true, force: true }));

/** @param {string} name */
const given = (name) => at("tests/tooling/django-sso", name);
/**
 * @param {string} name
 * @param {string | Buffer} content
 */
function file(name, content) {
  const written = path.join(folder, name);
  writeFileSync(written, content);
  return written;
}
/**
 * The database of a line; `more` is run in it.
 * @param {string} line
 * @param {string} [more]
 */
function database(line, more = "") {
  const written = path.join(folder, `${line}-${Math.random()}.sqlite3`);
  const made = new DatabaseSync(written);
  made.exec(readFileSync(given(`${line}.sql`), "utf8"));
  made.exec(more);
  made.close();
  return written;
}
/**
 * @template T
 * @param {AsyncIterable<T>} all
 */
async function list(all) {
  /** @type {T[]} */
  const found = [];
  for await (const one of all) found.push(one);
  return found;
}
/**
 * @param {Partial<Choices>} [choices]
 * @returns {Choices}
 */
const choose = (choices) => ({ roles: new Map(), dialects: new Map(), baseUrls: new Map(), ...choices });
/** Those of the fixtures that have to be decided. */
const DECIDED = {
  roles: new Map([
    ["Night shift", "night"],
    ["staff", ""],
  ]),
  dialect: "fields",
};

for (const [line, dialects] of Object.entries(LINES)) {
  for (const form of /** @type {const} */ (["json", "sql"])) {
    test(`the users and services of a gateway of ${line} are read from ${form === "json" ? "dumpdata" : "SQLite"}`, async () => {
      const gateway = await openDjangoSso(form === "json" ? given(`${line}.json`) : database(line));
      assert.equal(gateway.dialect, dialects[form]);
      assert.equal(gateway.hasUsernames, true);
      const users = await list(gateway.users());
      const [{ password, ...ann }] = users;
      assert.deepEqual(ann, {
        username: "ann",
        email: "Ann.Lee@example.com",
        first_name: "Ann",
        last_name: "Lee",
        is_active: true,
        is_staff: true,
        is_superuser: false,
        groups: ["editors", "Night shift"],
      });
      assert.match(password, /^pbkdf2_sha256\$1000000\$\w+\$/);
      const named = Object.fromEntries(users.map((user) => [user.username, user]));
      assert.deepEqual(Object.keys(named), ["ann", "sam", "bea", "arg", "una", "idle", "nobody", "two", "twice", "other@example.com"]);
      assert.deepEqual([named.bea.is_superuser, named.idle.is_active, named.nobody.email, named.sam.groups], [true, false, "", ["editors"]]);
      assert.deepEqual(
        ["sam", "bea", "arg", "una"].map((name) => named[name].password.slice(0, 8)),
        ["scrypt$1", "bcrypt_s", "argon2$a", named.una.password.slice(0, 8)],
      );
      assert.ok(named.una.password.startsWith("!"));
      assert.deepEqual(
        gateway.services.map(({ token, ...service }) => ({ ...service, token: token.length })),
        [
          { name: "Wiki", base_url: "https://wiki.example.com/", enabled: true, token: 128 },
          { name: "Shop", base_url: "https://shop.example.com/a", enabled: true, token: 128 },
          { name: "Old one", base_url: "https://old.example.com", enabled: false, token: 128 },
          { name: "Plain", base_url: "http://plain.example.com", enabled: true, token: 128 },
          { name: "Short", base_url: "https://short.example.com", enabled: true, token: 13 },
        ],
      );
      assert.deepEqual(await list(gateway.users()), users, "a second pass reads the same");
      gateway.close();
    });
  }
}

test("both forms of a gateway have the same users and services", async () => {
  const [dump, sqlite] = [await openDjangoSso(given("3.0.2.json")), await openDjangoSso(database("3.0.2"))];
  assert.deepEqual(await list(dump.users()), await list(sqlite.users()));
  assert.deepEqual(dump.services, sqlite.services);
  sqlite.close();
});

test("a dump with natural keys, one object per line, has the same users", async () => {
  const plain = await openDjangoSso(given("3.0.2.json"));
  const groups = ["", "editors", "Night shift", "staff"];
  const lines = JSON.parse(readFileSync(given("3.0.2.json"), "utf8")).map(
    (/** @type {{ model: string, pk: number, fields: { groups: number[], [name: string]: unknown } }} */ { model, pk, fields }) => {
      const byName = { ...fields, groups: fields.groups?.map((/** @type {number} */ key) => [groups[key]]) };
      return JSON.stringify(model === "auth.user" ? { model, fields: byName } : { model, pk, fields });
    },
  );
  const natural = await openDjangoSso(file("natural.jsonl", `${lines.join("\n")}\n`));
  assert.deepEqual(await list(natural.users()), await list(plain.users()));
});

test("a model of the project's own is found by its fields; of several, one has to be named", async () => {
  const renamed = readFileSync(given("3.0.2.json"), "utf8").replaceAll('"auth.user"', '"accounts.Person"');
  assert.equal((await list((await openDjangoSso(file("own.json", renamed))).users())).length, 10);
  const extra = { model: "old.user", pk: 1, fields: { password: "", last_login: null, email: "old@example.com" } };
  const both = file("both.json", JSON.stringify([...JSON.parse(renamed), extra]));
  await assert.rejects(openDjangoSso(both), /users of several models: accounts\.person, old\.user\n.*--user-model/s);
  const old = await openDjangoSso(both, { userModel: "old.User" });
  assert.equal(old.hasUsernames, false);
  assert.deepEqual(
    (await list(old.users())).map(({ username, is_active }) => ({ username, is_active })),
    [{ username: "old@example.com", is_active: true }],
  );
  await assert.rejects(openDjangoSso(both, { userModel: "auth.user" }), /has no users of the model auth\.user; it has accounts\.person, old\.user/);
  const table = database(
    "3.0.2",
    `CREATE TABLE my_accounts_person (id integer primary key, password text, last_login text, username text, email text);
     INSERT INTO my_accounts_person VALUES (1, '!', NULL, 'p', 'p@example.com');`,
  );
  await assert.rejects(openDjangoSso(table), /several models/);
  const own = await openDjangoSso(table, { userModel: "my_accounts.person" });
  assert.deepEqual(
    (await list(own.users())).map(({ username }) => username),
    ["p"],
  );
  own.close();
});

test("what is no gateway's, no export, or only a part of one is an error that says so", async () => {
  const whole = readFileSync(given("3.0.2.json"), "utf8");
  const entries = JSON.parse(whole);
  for (const [name, content, pattern] of /** @type {[string, string | Buffer, RegExp][]} */ ([
    ["cut.json", whole.slice(0, -400), /ends in the middle|interrupted/],
    ["unclosed.json", whole.trimEnd().slice(0, -1), /ends in the middle/],
    ["empty.json", "", /no services of django-sso/],
    ["list.json", "[]", /no services of django-sso/],
    ["service.json", JSON.stringify(entries.filter((/** @type {{ model: string }} */ { model }) => model === "auth.user")), /must come from the gateway/],
    ["users.json", JSON.stringify([{ email: "a@b.c" }]), /not what `python manage\.py dumpdata` writes/],
    ["text.json", "hello", /not a list of objects/],
    ["more.json", `${whole}x`, /not a list of objects/],
    ["broken.json", "[{]}", /ends in the middle|not JSON/],
    ["latin1.json", Buffer.from('[{"model": "a.b", "fields": {"name": "Zo\xEB"}}]', "latin1"), /is not UTF-8/],
    ["nogroup.json", JSON.stringify(entries.filter((/** @type {{ model: string }} */ { model }) => model !== "auth.group")), /lacks the group 1/],
    ["nousers.json", JSON.stringify(entries.filter((/** @type {{ model: string }} */ { model }) => model !== "auth.user")), /has no users\n.*dumpdata/],
    ["other.sqlite3", "SQLite format 3\0 but not really", /other\.sqlite3: /],
  ])) {
    await assert.rejects(
      async () => list((await openDjangoSso(file(name, content))).users()),
      (/** @type {Error} */ error) => pattern.test(error.message) && error.message.includes(name) && error.name === "StepFailed",
      name,
    );
  }
  await assert.rejects(openDjangoSso(path.join(folder, "absent.json")), /ENOENT/);
});

test("objects are told apart whatever their texts hold, and wherever the file is cut into pieces", async () => {
  const objects = [{ a: 'br{ace} "quoted" \\ back\\\\' }, {}, { "}": [{ "{": "]" }] }, { long: `${'é€😀\\"{'.repeat(40_000)}` }, { z: "\u2028" }];
  for (const indent of [0, 1]) assert.deepEqual(await list(jsonObjects(file("tricky.json", JSON.stringify(objects, null, indent)))), objects);
  assert.deepEqual(await list(jsonObjects(file("tricky.jsonl", objects.map((one) => JSON.stringify(one)).join("\n")))), objects);
});

test("a database is not written to, not even by its journal", async () => {
  const name = database("3.0.2");
  const before = readFileSync(name);
  const gateway = await openDjangoSso(name);
  await list(gateway.users());
  gateway.close();
  assert.deepEqual(readFileSync(name), before);
});

test("the plan has who can be moved, why others cannot, and whose password cannot", async () => {
  const gateway = await openDjangoSso(given("3.0.2.json"));
  const plan = await makePlan(gateway, choose(DECIDED));
  assert.deepEqual(plan.questions, []);
  assert.deepEqual([plan.users, plan.inactive, plan.madeUp], [6, 1, 0]);
  assert.deepEqual(
    plan.leftOut.map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`),
    [
      "user nobody: has no e-mail address; --email-domain gives such users one",
      "user two: has the address two@example.com, as 1 other user has",
      "user twice: has the address TWO@example.com, as 1 other user has",
      "user other@example.com: has a username that is somebody else's address",
      "service Short: its token has fewer than 32 bytes; create the service with a new token",
    ],
  );
  assert.deepEqual(
    [...plan.needsLink],
    [
      ["arg@example.com", "the hash of the password (argon2, m=102400,t=2,p=8) needs more memory or time than an isolate has for one password"],
      ["una@example.com", "has no password"],
    ],
  );
  assert.deepEqual(
    [...plan.groups],
    [
      ["editors", { role: "editors", members: 2 }],
      ["Night shift", { role: "night", members: 1 }],
      ["staff", { role: "", members: 1 }],
    ],
  );
  const moved = await list(plan.moved());
  assert.deepEqual(
    moved.map(({ user }) => user.username),
    ["ann", "sam", "bea", "arg", "una", "idle"],
  );
  assert.deepEqual(moved[0].user, {
    email: "Ann.Lee@example.com",
    username: "ann",
    first_name: "Ann",
    last_name: "Lee",
    active: true,
    staff: true,
    superuser: false,
    roles: ["editors", "night"],
  });
  assert.deepEqual(moved[5].user.roles, []);
  assert.deepEqual(
    plan.services.map(({ token, ...service }) => service),
    [
      { name: "Wiki", base_url: "https://wiki.example.com", enabled: true, dialect: "fields" },
      { name: "Shop", base_url: "https://shop.example.com/a", enabled: true, dialect: "fields" },
      { name: "Old one", base_url: "https://old.example.com", enabled: false, dialect: "fields" },
      { name: "Plain", base_url: "http://plain.example.com", enabled: true, dialect: "fields" },
    ],
  );
});

test("users without an address get one only with --email-domain, and it may not be somebody else's", async () => {
  const gateway = await openDjangoSso(given("3.0.2.json"));
  const plan = await makePlan(gateway, choose({ ...DECIDED, emailDomain: "users.example.com" }));
  assert.equal(plan.madeUp, 1);
  assert.equal((await list(plan.moved())).find(({ user }) => user.username === "nobody")?.user.email, "nobody@users.example.com");
  const clash = await makePlan(
    await openDjangoSso(file("clash.json", readFileSync(given("3.0.2.json"), "utf8").replace('"sam@example.com"', '"nobody@users.example.com"'))),
    choose({ ...DECIDED, emailDomain: "users.example.com" }),
  );
  assert.deepEqual(
    clash.leftOut.filter(({ name }) => ["nobody", "sam"].includes(name)).map(({ name }) => name),
    ["sam", "nobody"],
  );
});

test("what a file cannot tell has to be decided, and a group gives no right by its name", async () => {
  const gateway = await openDjangoSso(given("1.1.4.json"));
  const { questions } = await makePlan(
    gateway,
    choose({
      dialects: new Map([
        ["Wiki", "flat"],
        ["Nothing", "flat"],
      ]),
    }),
  );
  assert.deepEqual(questions, [
    'the group staff has the name of a right; name a role with --role "staff=<role>", or none with --role "staff="',
    "--dialect names Nothing, which is no service",
    ...["Shop", "Old one", "Plain"].map((name) => `the file does not tell which django-sso the service ${name} has; name it with --dialect`),
  ]);
  const named = await makePlan(
    gateway,
    choose({
      ...DECIDED,
      roles: new Map([
        ["Night shift", "night"],
        ["staff", "staff"],
      ]),
    }),
  );
  assert.deepEqual(named.questions, [], "a right that is named is meant");
});

test("a service has its own dialect and base URL if they are named", async () => {
  const gateway = await openDjangoSso(database("3.0.2"));
  const plan = await makePlan(
    gateway,
    choose({ roles: DECIDED.roles, dialects: new Map([["Shop", "webhook"]]), baseUrls: new Map([["Plain", "https://Plain.example.com:443//"]]) }),
  );
  assert.deepEqual(
    plan.services.map(({ name, base_url, dialect }) => `${name} ${base_url} ${dialect}`),
    [
      "Wiki https://wiki.example.com fields",
      "Shop https://shop.example.com/a webhook",
      "Old one https://old.example.com fields",
      "Plain https://plain.example.com fields",
    ],
  );
  gateway.close();
});

test("a base URL has one form", () => {
  for (const [text, url] of /** @type {[string, string | undefined][]} */ ([
    [" https://A.example.com:443/x//", "https://a.example.com/x"],
    ["http://a.example.com:8000", "http://a.example.com:8000"],
    ["https://a.example.com/?x=1", undefined],
    ["https://u:p@a.example.com", undefined],
    ["a.example.com", undefined],
    ["ftp://a.example.com", undefined],
    ["", undefined],
  ]))
    assert.equal(normalUrl(text), url, text);
});

test("an algorithm is named without salt and output", () => {
  for (const [hash, name] of /** @type {[string, string][]} */ ([
    ["", "no password"],
    ["!abc", "no password"],
    ["pbkdf2_sha256$600000$salt$output", "pbkdf2_sha256, 600000 rounds"],
    ["bcrypt_sha256$$2b$12$saltandoutput", "bcrypt_sha256, cost "],
    ["md5$salt$output", "md5"],
    ["secret", "unknown"],
  ]))
    assert.ok(algorithmOf(hash).startsWith(name) && !/salt|output|secret/.test(algorithmOf(hash)), algorithmOf(hash));
});

test("ten thousand users among a hundred megabytes of sessions are planned within 64 MiB of heap", async () => {
  const entries = JSON.parse(readFileSync(given("3.0.2.json"), "utf8"));
  const [ann] = entries.filter((/** @type {{ model: string }} */ { model }) => model === "auth.user");
  const others = entries.filter((/** @type {{ model: string }} */ { model }) => model !== "auth.user");
  const dump = file("many.json", `[${others.map((/** @type {object} */ one) => JSON.stringify(one)).join(",")}`);
  for (let thousand = 0; thousand < 10; thousand += 1) {
    const users = Array.from({ length: 1000 }, (_, i) => ({
      ...ann,
      fields: { ...ann.fields, username: `user${thousand}-${i}`, email: `user${thousand}-${i}@example.com` },
    }));
    const session = { model: "sessions.session", pk: `s${thousand}`, fields: { session_data: "x".repeat(10_000), expire_date: "2026-01-01T00:00:00Z" } };
    const sessions = Array.from({ length: 1000 }, () => session);
    appendFileSync(dump, [...users, ...sessions].map((one) => `,${JSON.stringify(one)}`).join("\n"));
  }
  appendFileSync(dump, "]\n");
  assert.ok(statSync(dump).size > 100_000_000);
  const program = `
    import { openDjangoSso } from ${JSON.stringify(at("scripts/lib/django-sso.mjs"))};
    import { makePlan } from ${JSON.stringify(at("scripts/lib/django-sso-plan.mjs"))};
    const gateway = await openDjangoSso(${JSON.stringify(dump)});
    const roles = new Map([["Night shift", "night"]]);
    const plan = await makePlan(gateway, { roles, dialect: "fields", dialects: new Map(), baseUrls: new Map() });
    let moved = 0;
    for await (const { user } of plan.moved()) moved += user.username.startsWith("user") ? 1 : 0;
    console.log(JSON.stringify([plan.users, moved, plan.leftOut.length]));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--max-old-space-size=64", "--input-type=module", "-e", program]);
  assert.deepEqual(JSON.parse(stdout), [10_000, 10_000, 1]);
});
