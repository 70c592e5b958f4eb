// Scopes and claims mean here what they mean in the Python packages usso and more-sso-auth: the real packages are asked
// and the core by the function of the commands, about the same cases, and must say the same.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { before, test } from "node:test";
import { core } from "../../scripts/lib/core.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { installPeers } from "../peers/lib/peers.mjs";

/** Every answer comes from a site of so many rules at most. */
const RULES = 500;

/** @type {string} */
let python;
before(async () => (python = await installPeers()));

/**
 * What the real packages say of each case.
 * @param {object[]} cases
 * @returns {boolean[]}
 */
function theirs(cases) {
  const { stdout, stderr, status } = spawnSync(python, [at("tests/tooling/lib/peers.py")], { input: JSON.stringify(cases), encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/**
 * What the core says: one rule for each different requirement, one question for each case.
 * @param {{ require: object, caller: object }[]} cases
 * @returns {Promise<boolean[]>}
 */
async function ours(cases) {
  const wanted = [...new Set(cases.map(({ require }) => JSON.stringify(require)))];
  const answers = new Map();
  for (let first = 0; first < wanted.length; first += RULES) {
    const part = wanted.slice(first, first + RULES);
    const rules = part.map((require, index) => ({ path: `/${index}`, require: JSON.parse(require) }));
    const vars = { EDGEWARD_SITE_APP: { hosts: ["site.example"], upstream: "https://origin.example", sources: [], rules } };
    const mine = cases.map((one, index) => ({ ...one, index })).filter(({ require }) => part.includes(JSON.stringify(require)));
    const questions = mine.map(({ require, caller }) => ({
      path: `/${part.indexOf(JSON.stringify(require))}`,
      caller,
    }));
    const told = /** @type {{ granted: boolean }[]} */ (await core("explain", { vars, questions }));
    told.forEach(({ granted }, at) => answers.set(mine[at].index, granted));
  }
  return cases.map((_, index) => answers.get(index));
}

/**
 * A sequence that is the same at each run (mulberry32).
 * @param {number} seed
 */
function random(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  /**
   * @template T
   * @param {T[]} list
   */
  const pick = (list) => list[Math.floor(next() * list.length)];
  /**
   * As many as `most`, or fewer.
   * @template T
   * @param {number} most
   * @param {() => T} make
   */
  const some = (most, make) => Array.from({ length: Math.floor(next() * (most + 1)) }, make);
  return { next, pick, some };
}

/**
 * @param {object[]} cases
 * @param {boolean[]} said
 * @param {boolean[]} expected
 */
function compare(cases, said, expected) {
  const different = cases.map((one, index) => ({ ...one, ours: said[index], theirs: expected[index] })).filter((one) => one.ours !== one.theirs);
  assert.deepEqual(different.slice(0, 5), []);
  const granted = expected.filter(Boolean).length;
  // A table that only ever says one thing would show nothing.
  assert.ok(granted > cases.length / 20 && granted < (cases.length * 19) / 20, `${granted} of ${cases.length} granted`);
}

test("scopes cover what they cover in usso", async () => {
  const { pick, next, some } = random(20_260_101);
  const actions = ["", "", "read:", "create:", "update:", "delete:", "manage:", "admin:", "owner:", "*:", "superadmin:", "none:"];
  const words = ["media", "files", "f1", "*", "**", "f*", "*s", "[mf]*", "[!m]edia", "", "a", "[a-c]", "x.y"];
  const filter = () => `${pick(["user_id", "workspace_id", "tenant_id", "a%20b"])}=${pick(["1", "2", "w1", "*", "w*", "", "%31", "a+b", "a%20b", "[12]"])}`;
  const query = () => (next() < 0.6 ? "" : `?${[filter(), ...some(2, filter)].join("&")}`);
  /** @param {string[]} list */
  const pathOf = (list) => [pick(list), ...some(2, () => pick(list))].join("/");
  const scope = () => `${pick([...actions, "odd:", "READ:"])}${pathOf(words)}${query()}`;
  const cases = Array.from({ length: 3_000 }, () => {
    const access = `${pick(actions)}${pathOf(["media", "files", "f1", "a", "b", "*", "x.y"])}${query()}`;
    return { access, scopes: [scope(), ...some(1, scope)] };
  });
  /** @type {[access: string, scopes: string[]][]} */
  const shown = [
    ["read:media/files", ["manage:media/files"]],
    ["update:media/files/transaction?user_id=123", ["*:*"]],
    ["read:media/files", ["media//files"]],
    ["superadmin:a", ["owner:*"]],
    ["read:openid", ["openid", "email"]],
  ];
  const documented = shown.map(([access, scopes]) => ({ access, scopes }));
  const all = [...documented, ...cases].filter(({ scopes }) => scopes.every((text) => text !== ""));
  const said = await ours(all.map(({ access, scopes }) => ({ require: { access }, caller: { scopes } })));
  compare(all, said, theirs(all));
});

test("a claim fits where more-sso-auth's permission check says so", async () => {
  const { pick, next, some } = random(20_260_102);
  const scalars = ["admin", "user", "*", "", "1", 0, 1, 1.5, 1.0, -1, true, false];
  /** @returns {unknown} */
  const leaf = () =>
    next() < 0.65 ? pick(scalars) : next() < 0.5 ? some(3, () => pick([...scalars, ["admin"], null])) : next() < 0.5 ? null : { role: pick(scalars) };
  /** @returns {unknown} */
  const value = () =>
    next() < 0.2 ? undefined : next() < 0.55 ? pick(scalars) : next() < 0.8 ? some(3, () => pick([...scalars, ["admin"]])) : { role: pick(scalars) };
  const tree = () => ({
    permissions: pick(
      /** @type {(() => unknown)[]} */ ([
        () => ({ pma: { role: leaf() } }),
        () => ({ pma: leaf() }),
        () => ({ pma: { role: leaf(), x: leaf() }, role: leaf() }),
        () => "*",
        () => leaf(),
        () => ({}),
      ]),
    )(),
  });
  /** @type {{ claims: object, path: string, value?: unknown }[]} */
  const cases = Array.from({ length: 3_000 }, () => {
    const claims = next() < 0.03 ? {} : tree();
    // Their check fails on claims whose permissions are no table (and answers nothing), which is no verdict.
    const wanted = value();
    return { claims, path: pick(["pma.role", "pma", "role", "pma.x", "pma.role.role"]), ...(wanted === undefined ? {} : { value: wanted }) };
  });
  const said = await ours(
    cases.map(({ claims, path, value }) => ({
      require: { claim: { path: `permissions.${path}`, ...(value === undefined ? {} : { value }) } },
      caller: { claims },
    })),
  );
  compare(cases, said, theirs(cases));
});
