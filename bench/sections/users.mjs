// Many users: how long it takes to index, import, list and search them, as the admin command does it. Most of them are in KV
// from the beginning, as their writers would have put them there.

import { createHash } from "node:crypto";
import { performance } from "node:perf_hooks";
import { foundWorld, startEdgeward } from "../lib/edgeward.mjs";
import { upstreamOf } from "../lib/entrants.mjs";
import { ask } from "../lib/http.mjs";
import { HOST } from "../lib/request.mjs";
import { quantile } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";

/** @import { Entry, Section } from "../lib/types.js" */
/** @typedef {{ users: object[], cursor: string | null, listed: number, removed: number, created: number }} Told What the calls answer, each some of it. */
/** @typedef {(method: string, path: string, body?: object) => Promise<Told>} Call */

/** As the admin command: users in a call, and calls under way. */
const IN_A_CALL = 100;
const AT_ONCE = 6;
const PAGE = 100;
/** How many of the users are imported. */
const IMPORTED = 2000;
/** How often each kind of search is made, and how many users it is to find. */
const SEARCHES = 200;
const FOUND = 20;

const SYLLABLES = ["an", "be", "ca", "do", "el", "fi", "ga", "ha", "in", "jo", "ka", "lu", "mi", "no", "or", "pe", "ra", "so", "ta", "vi"];

/**
 * A name of some syllables, one of 20 to the power of their number.
 * @param {number} number
 * @param {number} length
 */
const nameOf = (number, length) => Array.from({ length }, (_, place) => SYLLABLES[Math.floor(number / 20 ** place) % 20]).join("");

/** @param {number} index */
function userOf(index) {
  // Multiplied by primes, so that neighbours have little in common.
  const [first, last] = [nameOf(index * 7919, 3), nameOf(index * 104_729, 4)];
  return { email: `${first}.${last}.${index}@${nameOf(index % 40, 2)}.example.com`, first_name: first, last_name: last };
}

/** @param {string} text */
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/**
 * A user as KV holds one (docs/storage.md).
 * @param {number} index
 * @returns {Entry[]}
 */
function storedUser(index) {
  const id = `usr_${String(index).padStart(22, "0")}`;
  const { email, ...names } = userOf(index);
  const [rights, at] = [{ active: true, staff: false, superuser: false, roles: [], sessions_valid_after: null }, Date.now()];
  const body = JSON.stringify({ id, email, username: email, ...names, ...rights, created_at: at, updated_at: at, version: 1 });
  return [
    [`user:${sha256(id)}`, { body, metadata: JSON.stringify(body) }],
    [`user_email:${sha256(email)}`, { body: id, metadata: null }],
  ];
}

/** What is searched for, by the number of a search. @type {[label: string, text: (index: number) => string][]} */
const KINDS = [
  ["two letters", (index) => nameOf(index * 31, 1)],
  ["four letters", (index) => nameOf(index * 31, 2)],
  ["a first name", (index) => userOf(index * 11).first_name],
  ["first and last name", (index) => `${userOf(index * 11).first_name} ${userOf(index * 11).last_name}`],
  ["the beginnings of both", (index) => `${userOf(index * 11).first_name.slice(0, 2)} ${userOf(index * 13).last_name.slice(0, 3)}`],
  ["a whole address", (index) => userOf(index * 11).email],
  ["a domain, which many have", (index) => `${nameOf(index % 40, 2)}.example`],
  ["what everybody has", () => "example"],
  ["what everybody has, and what nobody has", () => "example nobody"],
  ["what nobody has", (index) => `${nameOf(index, 2)}xyz`],
];

/** @type {Section} */
const section = {
  name: "users",
  about: "seconds to index, import, list and search many users (--users)",
  minutes: 5,
  async run({ options: { users: count }, tools }) {
    const { build, folder, kv, origin, progress } = tools;
    const [imported, stored] = [Math.min(IMPORTED, count), Math.max(count - IMPORTED, 0)];
    const entries = Array.from({ length: stored }, (_, index) => storedUser(index)).flat();
    const world = await foundWorld({ seed: "users", core: await tools.core(), kv, entries });
    const worker = await startEdgeward({ name: "users", build, folder, kv, upstream: upstreamOf(origin), world });
    const headers = { authorization: `Token ${world.token}`, "content-type": "application/json" };
    /** @type {Call} */
    const call = async (method, path, body) => {
      const answer = await ask(worker, { host: HOST, path: `/api/sso/users${path}`, method, headers, body: body && JSON.stringify(body) });
      if (answer.status !== 200) throw new Error(`${method} ${path} was answered ${answer.status}: ${answer.body}\n${worker.log()}`);
      return JSON.parse(answer.body);
    };
    /** @type {{ what: string, seconds: number, each: string }[]} */
    const rows = [];
    /**
     * @param {string} what
     * @param {() => Promise<string>} work
     */
    const timed = async (what, work) => {
      const [began, cpu] = [performance.now(), worker.cpu()];
      const each = await work();
      const seconds = (performance.now() - began) / 1000;
      rows.push({ what, seconds, each: `${each}, ${((worker.cpu() - cpu) / seconds).toFixed(1)} cores` });
      progress(`${what}: ${seconds.toFixed(1)} s`);
    };
    await timed(`index ${stored.toLocaleString("en")}`, () => indexAll(call, stored));
    await timed(`import ${imported.toLocaleString("en")} more`, () => importAll(call, { first: stored, count: imported }));
    const listed = async () => {
      const before = (await worker.reads()) ?? 0;
      const pages = await listAll(call, count);
      const reads = ((await worker.reads()) ?? 0) - before;
      return `${pages} calls, ${(reads / pages).toFixed(2)} reads of KV each`;
    };
    await timed("list, or export, all", listed);
    await timed("index all again", () => indexAll(call, count));
    const searches = await searchAll(call);
    await worker.stop();
    const text = [
      markdown(
        [`${count.toLocaleString("en")} users`, "s", "what"],
        rows.map(({ what, seconds, each }) => [what, seconds.toFixed(1), each]),
      ),
      markdown(
        ["search for", "found", "ms, median", "p95", "most"],
        searches.map(({ label, found, times }) => [label, found.toFixed(1), ...[0.5, 0.95, 1].map((q) => quantile(times, q).toFixed(1))]),
      ),
    ].join("\n\n");
    return { text, rows, searches, users: count };
  },
};
export default section;

/**
 * @param {Call} call
 * @param {{ first: number, count: number }} which
 */
async function importAll(call, { first, count }) {
  let [next, created] = [0, 0];
  const lane = async () => {
    while (next < count) {
      const from = next;
      next += IN_A_CALL;
      const users = Array.from({ length: Math.min(IN_A_CALL, count - from) }, (_, index) => userOf(first + from + index));
      const answer = await call("POST", "/bulk", { users, on_existing: "skip" });
      created += answer.created;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  if (created !== count) throw new Error(`${created} of ${count} users were created`);
  return `${Math.ceil(count / IN_A_CALL)} calls, ${AT_ONCE} at once`;
}

/**
 * @param {Call} call
 * @param {number} count
 */
async function listAll(call, count) {
  let [found, pages] = [0, 0];
  for (let cursor = /** @type {string | null} */ (""); cursor !== null; pages += 1) {
    const page = await call("GET", `?limit=${PAGE}${cursor && `&cursor=${cursor}`}`);
    found += page.users.length;
    cursor = page.cursor;
  }
  if (found !== count) throw new Error(`${found} of ${count} users were listed`);
  return pages;
}

/**
 * @param {Call} call
 * @param {number} count
 */
async function indexAll(call, count) {
  let [listed, calls] = [0, 0];
  for (let cursor = /** @type {string | null | undefined} */ (undefined); cursor !== null; calls += 1) {
    const step = await call("POST", "/reindex", { cursor });
    if (step.removed !== 0) throw new Error(`${step.removed} users were removed`);
    listed += step.listed;
    cursor = step.cursor;
  }
  if (listed !== count) throw new Error(`${listed} of ${count} users were indexed`);
  return `${calls} calls`;
}

/** @param {Call} call */
async function searchAll(call) {
  const results = [];
  for (const [label, text] of KINDS) {
    const times = [];
    let found = 0;
    for (let index = 0; index < SEARCHES; index += 1) {
      const began = performance.now();
      const page = await call("GET", `?limit=${FOUND}&search=${encodeURIComponent(text(index))}`);
      times.push(performance.now() - began);
      found += page.users.length;
    }
    results.push({ label, found: found / SEARCHES, times });
  }
  return results;
}
