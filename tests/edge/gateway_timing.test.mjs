// Whether the time of an answer, or what it costs, tells who exists: through the whole Worker, for whoever is unknown, disabled,
// without a password, or has another one.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { AT_GATEWAY, Browser, newPerson, SESSION, withGateway, WRONG } from "./lib/gateway.mjs";
import { newEmail, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** Names of each kind, and attempts with each: so few that no delay begins. */
const NAMES = 25;
const TIMES = 10;

/** @type {string} */
let folder;
/** @type {World} */
let world;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-timing-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/tallied.js", import.meta.url)), script);
  const sites = { APP: AT_GATEWAY };
  world = await startWorld(withGateway({ script, sites, variants: { named: withGateway({ script, sites }, { identity: "username" }) } }));
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Names of each kind.
 * @param {Site} gateway
 */
async function people(gateway) {
  const some = async (/** @type {() => Promise<string>} */ make) => {
    const names = [];
    for (let i = 0; i < NAMES; i += 1) names.push(await make());
    return names;
  };
  const disabled = async () => {
    const { id, email } = await newPerson(gateway);
    assert.equal((await gateway.admin("PATCH", `/api/sso/users/${id}`, { active: false })).status, 200);
    return email;
  };
  return {
    wrong: await some(async () => (await newPerson(gateway)).email),
    unknown: await some(async () => newEmail()),
    disabled: await some(disabled),
    passwordless: await some(async () => (await gateway.createUser()).email),
  };
}

/** @param {number[]} times */
function quartiles(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((part) => sorted[Math.floor(part * sorted.length)]);
}

let address = 0;
/**
 * Somebody from nowhere tries a name.
 * @param {Site} gateway
 * @param {Browser} browser
 * @param {string} name
 */
async function attempt(gateway, browser, name) {
  address += 1;
  const headers = { "CF-Connecting-IP": `10.${address >> 16}.${(address >> 8) & 255}.${address & 255}` };
  const cookie = browser.jar(gateway).header;
  const began = performance.now();
  const answer = await gateway.form("/login/", { ...browser.fields, username: name, password: WRONG }, { cookie, headers });
  return { answer, time: performance.now() - began, tally: answer.headers.need("x-test-tally") };
}

/**
 * All that an answer says, but for the name.
 * @param {Answer} answer
 * @param {string} name
 */
const saidBy = (answer, name) =>
  JSON.stringify([answer.status, answer.headers.list.filter(([header]) => !/^(x-test|date|x-request-id|content-length)/i.test(header)), answer.text])
    .replaceAll(name, "NAME")
    .replaceAll(/[0-9a-f]{12}-\d+/g, "ID");

/**
 * Tries names of each kind in turn, and asserts that each costs and says the same. How long each took.
 * @param {Site} gateway
 * @param {number} times
 */
async function tryAll(gateway, times) {
  const names = await people(gateway);
  const kinds = /** @type {(keyof typeof names)[]} */ (Object.keys(names));
  const browser = new Browser(world);
  await browser.open(gateway, "/login/");
  /** @type {Record<string, number[]>} */
  const took = Object.fromEntries(kinds.map((kind) => [kind, []]));
  const tallies = new Set();
  const said = new Set();
  for (let i = 0; i < NAMES * times; i += 1) {
    // In another order each time.
    for (const kind of [...kinds.slice(i % 4), ...kinds.slice(0, i % 4)]) {
      const name = names[kind][i % NAMES];
      const { answer, time, tally } = await attempt(gateway, browser, name);
      assert.equal(answer.status, 403, String(answer));
      assert.equal(answer.cookie(SESSION), undefined);
      took[kind].push(time);
      tallies.add(tally);
      said.add(saidBy(answer, name));
    }
  }
  assert.equal(tallies.size, 1, [...tallies].join("\n"));
  assert.equal(said.size, 1, [...said].slice(0, 2).join("\n\n"));
  return { took, tally: JSON.parse([...tallies][0]) };
}

test("SEC-57: unknown, disabled and without a password cost what a wrong password costs, over 1,000 tries", async () => {
  const { took, tally } = await tryAll(world.site("GATEWAY"), TIMES);
  assert.deepEqual(tally, { "kv.get": 2, "record.readKept": 1, "attempts.attempt": 1, "hash of 19456 KiB, 2 passes, 1 lanes": 1 });
  const all = Object.entries(took).map(([kind, times]) => ({ kind, figures: quartiles(times) }));
  for (const { kind, figures } of all) console.log(`${kind}: ${figures.map((time) => time.toFixed(2)).join(", ")} ms (quartiles)`);
  // Between the quartiles of one kind lies more than between the middles of any two.
  const middles = all.map(({ figures }) => figures[1]);
  const spread = Math.max(...all.map(({ figures }) => figures[2] - figures[0]));
  assert.ok(Math.max(...middles) - Math.min(...middles) < spread, `${middles.map((time) => time.toFixed(2))}, spread ${spread.toFixed(2)}`);
});

test("SEC-57: the same where people have usernames", async () => {
  // The hash is made in another isolate, which does not count.
  const { tally } = await tryAll(world.site("GATEWAY", "named"), 1);
  assert.deepEqual(tally, { "kv.get": 3, "record.readKept": 1, "attempts.attempt": 1 });
});
