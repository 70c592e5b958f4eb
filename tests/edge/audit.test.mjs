// The audit log: what has a row and what has none, who reads it, what its chain shows, and what happens without it.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bundle } from "../../scripts/lib/build.mjs";
import { AT_GATEWAY, Browser, newPerson, newService, obtain, PASSWORD, withGateway } from "./lib/gateway.mjs";
import { startReceiver } from "./lib/receiver.mjs";
import { newEmail, startWorld } from "./lib/world.mjs";

/** @import { Receiver } from "./lib/receiver.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */
/** @typedef {{ seq: number, time: string, action: string, actor?: string, user?: string, object?: string, site?: string, address?: string, request_id: string, result: string, of?: number, method?: string, before?: object, after?: { [name: string]: unknown }, left_out?: number, hash: string }} Row */

const AUDIT = "/api/sso/audit";
const month = () => new Date().toISOString().slice(0, 7);

/** @type {string} */
let folder;
/** @type {World} */
let world;
/** @type {Site} */
let app;
/** @type {Site} */
let gateway;
/** @type {Receiver} */
let receiver;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-audit-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/audited.js", import.meta.url)), script);
  receiver = await startReceiver();
  const sites = { APP: {}, AT: AT_GATEWAY };
  world = await startWorld(withGateway({ script, sites, variants: { bare: withGateway({ script, sites, unbound: ["EDGEWARD_AUDIT"] }) } }));
  app = world.site("APP");
  gateway = world.site("GATEWAY");
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {object} told */
async function control(told) {
  const answer = await app.send("POST", "/__test/audit", { body: JSON.stringify(told) });
  assert.equal(answer.status, 200, String(answer));
  return answer.json;
}

/**
 * @param {string} [query]
 * @returns {Promise<Row[]>} oldest first
 */
async function rows(query = "") {
  const all = [];
  let cursor = "";
  for (;;) {
    const answer = await app.admin("GET", `${AUDIT}?order=newest&limit=100${query}${cursor}`);
    assert.equal(answer.status, 200, String(answer));
    all.push(...answer.json.rows);
    if (answer.json.cursor === null) return all.reverse();
    cursor = `&cursor=${answer.json.cursor}`;
  }
}

const last = async (/** @type {string} */ query) => (await rows(query)).at(-1);

/** @param {string} [cursor] */
const verify = async (cursor = "") => {
  const answer = await app.admin("GET", `${AUDIT}/verify${cursor}`);
  assert.equal(answer.status, 200, String(answer));
  return answer.json;
};

describe("rows", () => {
  test("SEC-121: an admin act has the intent before it and the outcome after it, with what has changed", async () => {
    const user = await app.createUser();
    const answer = await app.admin(
      "PATCH",
      `/api/sso/users/${user.id}`,
      { active: false, roles: ["editor"], email: newEmail("other"), first_name: "Eve" },
      { headers: { "CF-Connecting-IP": "203.0.113.77" } },
    );
    assert.equal(answer.status, 200, String(answer));
    const [made, intended, done] = (await rows(`&user=${user.id}`)).slice(-3);
    assert.equal(made.action, "user.created");
    assert.deepEqual(
      [intended.action, intended.result, done.action, done.result, done.of],
      ["user.changed", "intended", "user.disabled", "done", intended.seq],
    );
    assert.deepEqual(done.before, { active: true, email: "changed", username: "changed" });
    assert.deepEqual(done.after, {
      active: false,
      email: "changed",
      username: "changed",
      first_name: "changed",
      roles: ["editor"],
      sessions_valid_after: "changed",
    });
    assert.equal(done.address, "203.0.113.0/24");
    assert.match(done.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(done.hash, /^[0-9a-f]{64}$/);
    assert.match(done.actor ?? "", /^[0-9a-f]{32}$/);
  });

  test("SEC-121: tokens, sign-ins, switches and sign-outs have a row each", async () => {
    const { user, cookie } = await app.signIn();
    const other = await app.createUser();
    const link = await app.issue(other.email);
    const switched = await app.send("POST", "/api/sso/switch", {
      cookie,
      headers: { Origin: app.origin, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded" },
      body: `token=${link}&return_to=%2F`,
    });
    assert.equal(switched.status, 303, String(switched));
    await app.send("POST", "/api/sso/logout", { cookie, headers: { Origin: app.origin } });
    const actions = (await rows(`&user=${user.id}`)).map(({ action }) => action);
    assert.deepEqual(actions, ["user.created", "sso_token.issued", "signed_in", "signed_out"]);
    const row = await last("&action=user.switched");
    assert.deepEqual([row?.user, row?.before, row?.site], [other.id, { user: user.id }, "APP".toLowerCase()]);
  });

  test("SEC-121: what people do at the gateway has rows: signing in to it, a service and a site, passwords, leaving", async () => {
    const person = await newPerson(gateway);
    const service = await newService(gateway, receiver.url);
    const browser = new Browser(world);
    const sso = await obtain(gateway, service);
    assert.equal((await browser.signIn(gateway, person, `?sso=${sso}`)).status, 303);
    await browser.open(gateway, "/password/");
    await browser.submit(gateway, "/password/", { current: PASSWORD, new: "a better horse battery" });
    await browser.open(gateway, "/account/");
    await browser.submit(gateway, "/account/", { action: "end_all" });
    const found = await rows(`&user=${person.id}&actor=${person.id}`);
    assert.deepEqual(
      found.map(({ action, result, object, method }) => [action, result, object ?? method]),
      [
        ["signed_in", "done", "password"],
        ["signed_in", "done", service.id],
        ["password.set", "intended", "password"],
        ["signed_in", "done", "password"],
        ["password.set", "done", "password"],
        ["sessions.ended", "done", undefined],
      ],
    );
  });

  test("SEC-122: refused calls of strangers are one row in ten seconds, which counts the others", async () => {
    const before = (await rows("&action=admin.refused")).length;
    for (let n = 0; n < 100; n += 1) await app.admin("DELETE", "/api/sso/users/canary@example.com", undefined, { token: n % 2 ? null : "ewt_x" });
    const found = await rows("&action=admin.refused");
    const codes = found.slice(before).map(({ result }) => result);
    assert.equal(new Set(codes).size, codes.length, `one row for each code: ${codes}`);
    assert.ok(!JSON.stringify(found).includes("canary"));
    await new Promise((resolve) => setTimeout(resolve, 10_500));
    for (const token of [null, "ewt_x"]) await app.admin("DELETE", "/api/sso/users/canary@example.com", undefined, { token });
    const later = (await rows("&action=admin.refused")).slice(found.length);
    const told = later.reduce((sum, { left_out: leftOut = 0 }) => sum + 1 + leftOut, 0);
    assert.ok(told >= 100 - codes.length, `${told} of 102 calls are told of, beside ${codes.length} rows`);
  });
});

describe("one person", () => {
  test("SEC-120: whoever signs in and out all the time is refused, gets out, and leaves the log to everybody else", async () => {
    const user = await app.createUser();
    const token = await app.issue(user.email);
    const statuses = [];
    /** @type {string | undefined} */
    let cookie;
    for (let n = 0; n < 12; n += 1) {
      const answer = await app.navigate("/", { cookie: `ls_auth_token=${token}` });
      statuses.push(answer.status);
      cookie ??= answer.cookie("__Host-edgeward") && `__Host-edgeward=${answer.setCookie("__Host-edgeward").value}`;
      if (answer.status === 200) continue;
      assert.equal(answer.status, 429, String(answer));
      assert.ok(!answer.cookies.some(({ name, cleared }) => name === "__Host-edgeward" && !cleared), String(answer));
    }
    assert.deepEqual(statuses, [...Array(8).fill(200), ...Array(4).fill(429)]);
    assert.equal((await rows(`&user=${user.id}&action=signed_in`)).length, 8);
    // An object that starts again has forgotten nothing.
    await control({ log: month(), die: true });
    assert.equal((await app.navigate("/", { cookie: `ls_auth_token=${token}` })).status, 429);
    // A sign-out never fails, with a row or without.
    const out = await app.send("POST", "/api/sso/logout", { cookie, headers: { Origin: app.origin } });
    assert.equal(out.status, 200, String(out));
    assert.equal((await app.client("/", { cookie })).status, 401);
    assert.equal((await rows(`&user=${user.id}&action=signed_out`)).length, 0);
    await world.settled();
    assert.ok(!world.events("fault").some(({ reason }) => /audit/.test(reason)));
    // Admins act on that person, and others sign in.
    assert.equal((await app.admin("PATCH", `/api/sso/users/${user.id}`, { first_name: "Eve" })).status, 200);
    await app.signIn();
    // An hour later the next row says what was left out.
    await control({ log: month(), later: user.id });
    assert.equal((await app.navigate("/", { cookie: `ls_auth_token=${token}` })).status, 200);
    assert.equal((await last(`&user=${user.id}&action=signed_in`))?.left_out, 2);
    assert.equal((await verify()).ok, true);
  });

  test("SEC-120: people whom the log counts are bounded in number", async () => {
    const log = `${month()}:crowd`;
    assert.equal((await control({ log, crowd: 50 })).counted, 20);
  });
});

describe("reading", () => {
  test("SEC-122: pages, filters and an unknown parameter", async () => {
    const user = await app.createUser();
    await app.issue(user.email);
    assert.equal((await rows(`&user=${user.id}&action=sso_token.issued`)).length, 1);
    assert.equal((await rows(`&user=${user.id}&from=${Math.floor(Date.now() / 1000) + 60}`)).length, 0);
    assert.equal((await rows(`&user=${user.id}&until=${Math.floor(Date.now() / 1000) + 60}`)).length, 2);
    const all = (await rows()).map(({ seq }) => seq);
    assert.deepEqual(
      all,
      Array.from({ length: all.length }, (_, i) => i + 1),
      "every row once, though a call looks at seven",
    );
    assert.equal((await app.admin("GET", `${AUDIT}?users=x`)).json.code, "invalid_request");
    const reader = await world.apiToken("audit:read");
    assert.equal((await app.admin("GET", AUDIT, undefined, { token: reader })).status, 200);
    assert.equal((await app.admin("GET", AUDIT, undefined, { token: await world.apiToken("users:read") })).status, 403);
  });

  test("who follows the log by its cursor gets every new row once", async () => {
    let cursor = "";
    const news = async () => {
      const found = [];
      for (;;) {
        const answer = await app.admin("GET", `${AUDIT}?order=oldest&action=user.created${cursor}`);
        assert.equal(answer.status, 200, String(answer));
        found.push(...answer.json.rows.filter((/** @type {Row} */ { result }) => result === "done").map((/** @type {Row} */ { user }) => user));
        const next = `&cursor=${answer.json.cursor}`;
        if (next === cursor) return found;
        cursor = next;
      }
    };
    await news();
    for (let n = 0; n < 5; n += 1) {
      const { id } = await app.createUser();
      assert.deepEqual(await news(), [id]);
    }
  });

  test("an export has every row as a line, and is a row", async () => {
    const lines = [];
    let cursor = "";
    do {
      const answer = await app.admin("GET", `${AUDIT}/export${cursor}`);
      assert.equal(answer.type, "application/x-ndjson");
      lines.push(
        ...answer.text
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line)),
      );
      cursor = answer.headers.get("x-audit-cursor") ? `?cursor=${answer.headers.get("x-audit-cursor")}` : "";
    } while (cursor !== "");
    assert.deepEqual(
      lines.map(({ seq }) => seq),
      lines.map((_, i) => i + 1),
    );
    assert.ok(lines.some(({ action }) => action === "audit.exported"));
  });
});

describe("the chain", () => {
  /** @type {{ [name: string]: string[] }} */
  const TAMPERINGS = {
    "a changed row": ["UPDATE row SET line = replace(line, 'signed_in', 'signed_ix') WHERE seq = 5"],
    "a row of another user": ["UPDATE row SET user = 'usr_x' WHERE seq = 6"],
    "a row of another time": ["UPDATE row SET at = at + 1 WHERE seq = 6"],
    "a missing row": ["DELETE FROM row WHERE seq = 5"],
    "a missing first row": ["DELETE FROM row WHERE seq = 1"],
    "a missing last row": ["DELETE FROM row WHERE seq = 30"],
    "many missing last rows": ["DELETE FROM row WHERE seq > 12"],
    "a cut end, head and all": ["DELETE FROM row WHERE seq > 20", "UPDATE head SET seq = 20"],
    "swapped rows": ["UPDATE row SET seq = 100 WHERE seq = 5", "UPDATE row SET seq = 5 WHERE seq = 6", "UPDATE row SET seq = 6 WHERE seq = 100"],
    "an added row": ["INSERT INTO row VALUES (31, 1, NULL, NULL, NULL, '{}', 'x')"],
    "a row before the first": ["INSERT INTO row VALUES (0, 1, NULL, NULL, NULL, '{}', 'x')"],
    "another last hash": ["UPDATE row SET hash = 'x' WHERE seq = 30"],
    "all rows gone": ["DELETE FROM row"],
    "a missing table": ["DROP TABLE row"],
    "a missing head": ["DROP TABLE head"],
  };

  test("SEC-123: verify gives rows and last hash of each month, also in pieces", async () => {
    await control({ log: `${month()}:good`, fill: 30 });
    const verdict = await verify("?tenant=good");
    const [head] = (await control({ log: `${month()}:good`, sql: ["SELECT hash FROM head"] }))[0];
    assert.deepEqual(verdict, { ok: true, months: [{ month: month(), ok: true, rows: 30, head: head.hash }], cursor: null });
    assert.deepEqual(await verify("?tenant=nobody"), { ok: true, months: [], cursor: null });
    const own = await verify();
    assert.equal(own.ok, true, JSON.stringify(own));
  });

  test("a check that one call cannot finish goes on by its cursor", async () => {
    await control({ log: `${month()}:long`, fill: 300 });
    const first = await verify("?tenant=long");
    assert.deepEqual([first.ok, first.months], [true, []]);
    const second = await verify(`?tenant=long&cursor=${first.cursor}`);
    assert.deepEqual([second.ok, second.months[0].rows, second.cursor], [true, 300, null]);
    await control({ log: `${month()}:long`, sql: ["DELETE FROM row WHERE seq = 299"] });
    assert.equal((await verify(`?tenant=long&cursor=${first.cursor}`)).ok, false);
  });

  for (const [at, [name, sql]] of Object.entries(TAMPERINGS).entries()) {
    test(`SEC-123: verify finds ${name}`, async () => {
      const log = `bad-${at}`;
      await control({ log: `${month()}:${log}`, fill: 30 });
      assert.equal((await verify(`?tenant=${log}`)).ok, true);
      await control({ log: `${month()}:${log}`, sql });
      const verdict = await verify(`?tenant=${log}`);
      assert.equal(verdict.ok, false, JSON.stringify(verdict));
      assert.ok(verdict.months[0].because.length > 0);
    });
  }

  test("what is forgotten is gone, and takes no storage", async () => {
    const log = `${month()}:forgotten`;
    await control({ log, fill: 3 });
    assert.equal(await control({ log, forget: true }), 0);
    assert.deepEqual(await verify("?tenant=forgotten"), { ok: true, months: [], cursor: null });
    await control({ log, fill: 1 });
    assert.equal((await verify("?tenant=forgotten")).months[0].rows, 1);
  });
});

describe("without the log", () => {
  /**
   * Nothing that needs a row happens at `site`, and everybody gets out.
   * @param {Site} site
   * @param {Site} at the gateway
   * @param {(works: boolean) => Promise<unknown>} let_ has the log work, or not
   */
  async function holds(site, at, let_) {
    const { user, cookie, token } = await app.signIn();
    const person = await newPerson(gateway);
    await let_(false);
    const email = newEmail("unaudited");
    for (const [method, path, body] of /** @type {const} */ ([
      ["POST", "/api/sso/users", { email }],
      ["DELETE", `/api/sso/users/${user.id}`, undefined],
      ["POST", "/api/sso/tokens", { name: "n", scopes: ["users:read"] }],
      ["POST", "/api/sso/keys/rotate", undefined],
    ])) {
      const answer = await site.admin(method, path, body);
      assert.deepEqual([answer.status, answer.json.code], [503, "temporarily_unavailable"], `${method} ${path}`);
    }
    const issued = await site.issueAnswer({ email: user.email });
    assert.equal(issued.status, 503);
    const arrived = await site.navigate("/", { cookie: `ls_auth_token=${token}` });
    assert.equal(arrived.status, 503);
    assert.ok(!arrived.cookies.some(({ name, cleared }) => name === "__Host-edgeward" && !cleared), String(arrived));
    const browser = new Browser(world);
    const signIn = await browser.signIn(at, person);
    assert.equal(signIn.status, 503);
    // Who is signed in goes on, and out.
    assert.equal((await site.client("/", { cookie })).status, 200);
    const out = await site.send("POST", "/api/sso/logout", { cookie, headers: { Origin: site.origin } });
    assert.equal(out.status, 200, String(out));
    await let_(true);
    assert.deepEqual((await app.admin("GET", `/api/sso/users?email=${encodeURIComponent(email)}`)).json.users, []);
    assert.equal((await app.admin("GET", `/api/sso/users/${user.id}`)).status, 200);
  }

  test("SEC-121: without the binding no act, token or sign-in happens, and a sign-out does", async () => {
    await holds(world.site("APP", "bare"), world.site("GATEWAY", "bare"), async () => {});
  });

  test("SEC-121: with a log that fails no act, token or sign-in happens, and a sign-out does", async () => {
    await holds(app, gateway, (works) => control({ settings: { fails: !works } }));
  });

  test("SEC-121: a log that never answers holds up a sign-out for seconds only", async () => {
    const { cookie } = await app.signIn();
    await control({ settings: { hangs: true } });
    const begun = performance.now();
    const out = await app.send("POST", "/api/sso/logout", { cookie, headers: { Origin: app.origin } });
    await control({ settings: { hangs: false } });
    assert.equal(out.status, 200, String(out));
    assert.ok(performance.now() - begun < 15_000);
  });
});

test("SEC-121: a runtime that is killed after an answer has the row of what it has answered", async () => {
  for (let n = 0; n < 3; n += 1) {
    const user = await app.createUser();
    await world.kill();
    const row = await last(`&user=${user.id}`);
    assert.deepEqual([row?.action, row?.result], ["user.created", "done"]);
    assert.equal((await verify()).ok, true);
  }
});
