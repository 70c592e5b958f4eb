// The directory of users, in workerd: what a search finds, and that it follows the records whatever happens to a call; the
// rebuild from KV; and lists, which need no read for each user. What the core makes of a wrong index: tests/flows/directory.rs.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { newEmail, startWorld, until } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-directory-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/listed.js", import.meta.url)), script);
  world = await startWorld({ script, directory: true, edgeward: { user_cache: 1 } });
  app = world.site("APP");
});
beforeEach(() => order({ lose: true, fails: null }));
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {object} body */
const order = async (body) => (await app.send("POST", "/__test/directory", { body: JSON.stringify(body) })).json;
/**
 * @param {string} text
 * @param {string} [more]
 */
const search = async (text, more = "") => {
  const answer = await app.admin("GET", `/api/sso/users?search=${encodeURIComponent(text)}${more}`);
  assert.equal(answer.status, 200, String(answer));
  return answer.json;
};
/**
 * The ids that a search finds.
 * @param {string} text
 * @param {string} [more]
 * @returns {Promise<string[]>}
 */
const found = async (text, more) => (await search(text, more)).users.map((/** @type {{ id: string }} */ { id }) => id);
/**
 * Waits until a search finds these users.
 * @param {string} text
 * @param {string[]} ids
 */
const finds = (text, ids) => until(async () => JSON.stringify(await found(text)) === JSON.stringify(ids));
/** @param {string} id */
const stored = async (id) => (await order({ sql: "SELECT version, text, words FROM user WHERE id = ?", values: [id] })).rows[0];
/** @param {{ id: string, version: number, text: string | null, tenant?: string, made?: boolean }} user */
const put = (user) => order({ call: { call: "put", users: [{ tenant: "", ...user }] } });
/** @param {string} id */
const isGone = (id) => until(async () => (await stored(id))?.text === null);

/** Rebuilds the directory: what each step has done. */
async function rebuild() {
  const steps = [];
  for (let cursor = /** @type {string | undefined} */ (undefined); cursor !== null; ) {
    const answer = await app.admin("POST", "/api/sso/users/reindex", { cursor });
    assert.equal(answer.status, 200, String(answer));
    steps.push(answer.json);
    ({ cursor } = answer.json);
  }
  return steps;
}

let round = 0;
/** A text that no other test has. */
const unique = () => `q${(round += 1)}${Math.random().toString(36).slice(2, 8)}`;

test("a user is found by the beginnings of address, local part, domain, username and names, in any order and case", async () => {
  const name = unique();
  const user = await app.createUser({
    email: `${name}.second-part@mail.${name}.example.com`,
    username: `the ${name}user`,
    first_name: "Ada Augusta",
    last_name: "King-Noel",
  });
  await finds(name, [user.id]);
  for (const rest of [
    `${name}.sec`,
    "second-part@mail",
    "PART@",
    `mail.${name}`,
    `${name}.EXAMPLE.c`,
    `${name}us`,
    "ada",
    "aug",
    "king-n",
    "Noel",
    "noel  ada\tau",
  ])
    assert.deepEqual(await found(`${name} ${rest}`), [user.id], rest);
  for (const rest of ["da", "usta", "ada lovelace", "adaa", "mple", `${name}.second-part@mail.x`]) assert.deepEqual(await found(`${name} ${rest}`), [], rest);
});

test("SEC-125: no character of a search has a meaning of its own, and no text is too strange", async () => {
  const name = unique();
  const plain = await app.createUser({ email: `${name}@example.com`, first_name: "a_b%c", last_name: `O'Neil"; DROP TABLE user; --` });
  await finds(name, [plain.id]);
  for (const text of ["%", "_", `${name.slice(0, -1)}_`, `${name} %`, `${name} a%`, "*", "[a-z]", "' OR 1=1 --", `${name}' --`, "\\", "\u0000", "\u{10ffff}"])
    assert.deepEqual(await found(text), [], JSON.stringify(text));
  for (const text of ["a_b%", "a_b%c", "o'neil\"", "DROP"]) assert.deepEqual(await found(`${name} ${text}`), [plain.id], text);
  for (const text of [
    "",
    "  ",
    "\t",
    Array(9)
      .fill("x")
      .map((x, n) => x + n)
      .join(" "),
    "ä".repeat(129),
  ]) {
    const answer = await app.admin("GET", `/api/sso/users?search=${encodeURIComponent(text)}`);
    assert.deepEqual([answer.status, answer.json.code], [400, "invalid_request"], text);
  }
  assert.deepEqual(await found("\u0645\u0300".repeat(60)), []);
});

test("case, accents and forms of a letter are not told apart", async () => {
  const name = unique();
  const all = [
    ["Łukasz Żółć", ["łuk", "ŁUKASZ", "zo", "żół"]],
    ["José Muñoz", ["jose", "JOSÉ", "jose\u0301", "mun", "MUÑ"]],
    ["Θεόδωρος Παπάς", ["θεοδωρος", "ΘΕΟΔ", "παπάς", "ΠΑΠΑΣ", "παπασ"]],
    ["Наталья Ёлкина", ["наталья", "НАТ", "елк", "ёлк"]],
    ["김철수", ["김", "김철", "김철수"]],
    ["محمد علي", ["محمد", "علي"]],
  ];
  for (const [first_name, texts] of /** @type {[string, string[]][]} */ (all)) {
    const user = await app.createUser({ email: newEmail(), username: `${name}${unique()}`, first_name });
    await until(async () => (await stored(user.id)) !== undefined);
    for (const text of texts) assert.deepEqual(await found(`${name} ${text}`), [user.id], text);
  }
});

test("SEC-125: a search finds users of its own tenant only, and those without a tenant otherwise", async () => {
  const name = unique();
  const [none, one, two] = await Promise.all([undefined, "one", "two"].map((tenant) => app.createUser({ email: `${name}@example.com`, tenant })));
  await finds(name, [none.id]);
  await until(async () => (await found(name, "&tenant=one")).length + (await found(name, "&tenant=two")).length === 2);
  assert.deepEqual([await found(name, "&tenant=one"), await found(name, "&tenant=two"), await found(name, "&tenant=three")], [[one.id], [two.id], []]);
  // Even where the index has the user of another one.
  await put({ id: two.id, version: 9, tenant: "one", text: `${name}@example.com\n${name}@example.com\n\n` });
  assert.deepEqual(await found(name, "&tenant=one"), [one.id]);
});

test("SEC-125: who is renamed, moved or deleted is not found by what was", async () => {
  const name = unique();
  const user = await app.createUser({ email: `${name}a@example.com`, last_name: `${name}old` });
  await finds(`${name}old`, [user.id]);
  await app.admin("PATCH", `/api/sso/users/${user.id}`, { last_name: `${name}new`, email: `${name}b@example.com` });
  await finds(`${name}new`, [user.id]);
  assert.deepEqual([await found(`${name}old`), await found(`${name}a`)], [[], []]);
  await finds(`${name}b`, [user.id]);
  await app.admin("DELETE", `/api/sso/users/${user.id}`);
  assert.deepEqual(await found(name), []);
  await isGone(user.id);
  const { rows } = await order({ sql: "SELECT word FROM word WHERE word LIKE ?", values: [`%${name.toUpperCase()}%`] });
  assert.deepEqual(rows, []);
  // Nor by what comes late.
  await put({ id: user.id, version: 1, text: `${name}a@example.com\nx\n\n` });
  assert.equal((await stored(user.id)).text, null);
});

test("SEC-126: an older version replaces no newer one, in whatever order they arrive", async () => {
  const [id, name] = [`usr_${unique()}`, unique()];
  for (const version of [2, 3, 1, 3, 2]) await put({ id, version, text: `${name}${version}\nx\n\n` });
  assert.deepEqual((await order({ call: { call: "search", tenant: "", text: name, after: null, limit: 9 } })).users, [
    { id, version: 3, text: `${name}3\nx\n\n` },
  ]);
  await put({ id, version: 4, text: null });
  for (const version of [3, 4]) await put({ id, version, text: `${name}${version}\nx\n\n` });
  assert.equal((await stored(id)).text, null);
  // A record that is made anew from a backup has the version that it had.
  await put({ id, version: 3, text: `${name}3\nx\n\n`, made: true });
  assert.equal((await stored(id)).version, 3);
  await put({ id, version: 2, text: `${name}2\nx\n\n` });
  assert.equal((await stored(id)).version, 3);
});

for (const fails of ["before", "after"]) {
  test(`SEC-126: what fails ${fails} it had an effect is told again, and nobody waits for it`, async () => {
    const name = unique();
    await order({ fails });
    const began = Date.now();
    const user = await app.createUser({ email: `${name}@example.com` });
    const gone = await app.createUser({ email: `${name}gone@example.com` });
    await app.admin("PATCH", `/api/sso/users/${user.id}`, { first_name: `${name}first` });
    await app.admin("DELETE", `/api/sso/users/${gone.id}`);
    assert.ok(Date.now() - began < 4000, "a failing directory must hold up nobody");
    const answer = await app.admin("GET", `/api/sso/users?search=${name}`);
    assert.deepEqual([answer.status, answer.json.code], [503, "temporarily_unavailable"]);
    await order({ fails: null });
    await finds(`${name}first`, [user.id]);
    await isGone(gone.id);
    assert.deepEqual(await found(`${name}gone`), []);
  });
}

test("SEC-126: what is still to be told outlives the death of the runtime", async () => {
  const name = unique();
  await order({ fails: "before" });
  const user = await app.createUser({ email: `${name}@example.com` });
  await world.kill();
  await finds(name, [user.id]);
});

test("pages of a search go on where they ended, whether its words are rare or common", async () => {
  const name = unique();
  const numbers = Array.from({ length: 50 }, (_, number) => String(number).padStart(2, "0"));
  const users = numbers.map((number) => ({ email: `${name}${number}@example.com`, first_name: number.endsWith("7") ? `${name}rare` : "x" }));
  assert.equal((await app.admin("POST", "/api/sso/users/bulk", { users })).json.created, 50);
  await until(async () => (await order({ sql: "SELECT count(*) AS n FROM user" })).rows[0].n === 50);
  for (const [text, expected] of /** @type {[string, string[]][]} */ ([
    [name, numbers],
    [`${name}rare`, numbers.filter((number) => number.endsWith("7"))],
    [`${name} ${name}rare example`, numbers.filter((number) => number.endsWith("7"))],
    [`${name}1`, numbers.filter((number) => number.startsWith("1"))],
    ["x example", numbers.filter((number) => !number.endsWith("7"))],
    [`${name} ${name}nobody`, []],
  ])) {
    for (const limit of [1, 7, 100]) {
      /** @type {string[]} */
      const emails = [];
      for (let cursor = ""; cursor !== null; ) {
        const page = await search(text, `&limit=${limit}${cursor && `&cursor=${cursor}`}`);
        assert.ok(page.users.length <= limit);
        emails.push(...page.users.map((/** @type {{ email: string }} */ { email }) => email));
        cursor = page.cursor;
      }
      assert.deepEqual(
        emails,
        expected.map((number) => `${name}${number}@example.com`),
        `${text}, ${limit}`,
      );
    }
  }
  for (const cursor of ["x", "YzE6"]) assert.equal((await app.admin("GET", `/api/sso/users?search=a&cursor=${cursor}`)).status, 400);
});

test("SEC-126: a rebuild from KV finds everybody, and forgets who is gone", async () => {
  const name = unique();
  const user = await app.createUser({ email: `${name}@example.com` });
  await finds(name, [user.id]);
  await order({ lose: true });
  await put({ id: "usr_AAAAAAAAAAAAAAAAAAAAAA", version: 1, text: `${name}ghost\nx\n\n` });
  const before = await search(name);
  assert.deepEqual(before.users, []);
  const steps = await rebuild();
  assert.deepEqual(await found(name), [user.id]);
  assert.equal(
    steps.reduce((sum, { removed }) => sum + removed, 0),
    1,
  );
  assert.equal(await stored("usr_AAAAAAAAAAAAAAAAAAAAAA"), undefined);
  const { indexed_at: at } = await search(name);
  assert.ok(Math.abs(at - Date.now() / 1000) < 60, `${at}`);
});

test("SEC-126: what others write while a rebuild goes on is kept, and an interrupted one goes on", async () => {
  const name = unique();
  const [old, gone] = [await app.createUser({ email: `${name}old@example.com` }), await app.createUser({ email: `${name}gone@example.com` })];
  await finds(name, [gone.id, old.id]);
  const begun = (await app.admin("POST", "/api/sso/users/reindex", {})).json;
  const fresh = await app.createUser({ email: `${name}new@example.com` });
  await app.admin("PATCH", `/api/sso/users/${old.id}`, { first_name: `${name}changed` });
  await app.admin("DELETE", `/api/sso/users/${gone.id}`);
  await isGone(gone.id);
  for (const cursor of [begun.cursor, begun.cursor]) {
    for (let next = cursor; next !== null; ) next = (await app.admin("POST", "/api/sso/users/reindex", { cursor: next })).json.cursor;
  }
  assert.deepEqual(await found(name), [fresh.id, old.id]);
  assert.deepEqual(await found(`${name}changed`), [old.id]);
  assert.equal((await stored(gone.id))?.text ?? null, null);
});

test("the mark of a deleted user goes after a day", async () => {
  const id = `usr_${unique()}`;
  await put({ id, version: 2, text: null });
  await order({ sql: "UPDATE user SET gone = gone - 86400000 WHERE id = ?", values: [id] });
  await put({ id: `usr_${unique()}`, version: 1, text: "x\nx\n\n" });
  assert.equal(await stored(id), undefined);
});

test("a change that no search could notice does not call the directory", async () => {
  const name = unique();
  const user = await app.createUser({ email: `${name}@example.com` });
  await finds(name, [user.id]);
  const { calls } = await order({});
  for (const body of [{ roles: ["x"] }, { active: false }]) assert.equal((await app.admin("PATCH", `/api/sso/users/${user.id}`, body)).status, 200);
  assert.equal((await order({})).calls, calls);
  assert.deepEqual((await search(name)).users[0].roles, ["x"]);
});

test("without the binding, a search is refused, and writers do not wait for it", async () => {
  const bare = await startWorld();
  try {
    const site = bare.site();
    const user = await site.createUser();
    for (const [method, path] of [
      ["GET", "/api/sso/users?search=x"],
      ["POST", "/api/sso/users/reindex"],
    ]) {
      const answer = await site.admin(method, path, method === "POST" ? {} : undefined);
      assert.deepEqual([answer.status, answer.json.code], [409, "no_directory"], path);
    }
    assert.equal((await site.admin("GET", `/api/sso/users?email=${user.email}`)).json.users.length, 1);
  } finally {
    await bare.stop();
  }
});

test("a record that is short is in KV's lists, byte for byte, and a long one is read", async () => {
  const name = unique();
  const short = await app.createUser({ email: `${name}@example.com`, first_name: 'quo"te' });
  const long = await app.createUser({ email: `${name}long@example.com`, roles: Array.from({ length: 60 }, (_, n) => `a-rather-long-role-${n}`) });
  const kv = await world.kv;
  /** @type {Map<string, unknown>} */
  const shown = new Map();
  const page = /** @type {{ keys: { name: string, metadata?: unknown }[] }} */ (await kv.list({ prefix: "user:" }));
  for (const { name: key, metadata } of page.keys) shown.set(JSON.parse(String(await kv.get(key))).id, [metadata, await kv.get(key)]);
  const [metadata, value] = /** @type {string[]} */ (shown.get(short.id));
  assert.equal(metadata, value);
  const [none] = /** @type {unknown[]} */ (shown.get(long.id));
  assert.equal(none ?? null, null);
  const listed = (await app.admin("GET", "/api/sso/users?limit=100")).json.users;
  for (const { id, roles } of [short, long]) assert.deepEqual(listed.find((/** @type {{ id: string }} */ user) => user.id === id)?.roles, roles);
});
