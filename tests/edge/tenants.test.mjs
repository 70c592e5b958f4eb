// Tenants by host, by header and by claim, in workerd: what is somebody in one is nobody in another.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { issuerTable, newKey, tokenOf } from "./lib/issuer.mjs";
import { newEmail, newPath, startWorld, until } from "./lib/world.mjs";

/** @import { IssuerKey } from "./lib/issuer.mjs" */
/** @import { Seen } from "./lib/http.mjs" */
/** @import { Sending, Site, User } from "./lib/site.mjs" */
/** @import { SiteSettings, World } from "./lib/world.mjs" */

/** @typedef {Sending & { headers?: Record<string, string> }} Named Headers by their names. */

const SESSION = "__Host-edgeward";
const GROUPS = { one: { issuers: ["one"] }, two: { issuers: ["two"] } };

/** How a request is put into a tenant, by what tells them apart. By claim the token alone says it. */
/** @type {Record<string, (name: string, options: Named) => Sending>} */
const INTO = {
  host: (name, options) => ({ ...options, host: `${name}.host.example.test` }),
  header: (name, options) => ({ ...options, headers: { ...options.headers, "X-Tenant-ID": name } }),
  claim: (_, options) => options,
};
const TENANTS = {
  host: { by: "host", groups: { one: { ...GROUPS.one, hosts: ["one.host.example.test"] }, two: { ...GROUPS.two, hosts: ["two.host.example.test"] } } },
  header: { by: "header", header: "x-tenant-id", groups: GROUPS },
  claim: { by: "claim", groups: GROUPS },
};

/** @type {World} */
let world;
/** @type {Record<string, IssuerKey>} */
const keys = {};
before(async () => {
  /** @type {Record<string, unknown>} */
  const vars = {};
  for (const name of ["one", "two"]) {
    keys[name] = await newKey("EdDSA");
    vars[`EDGEWARD_ISSUER_${name.toUpperCase()}`] = issuerTable({ issuer: `https://${name}.example`, algorithms: ["EdDSA"], public_key: keys[name].pem });
  }
  const settings = { query: { single_use: false, user_switch: "replace" }, custom_headers: { "x-of": "tenant", "x-id": "id" } };
  /** @type {Record<string, SiteSettings>} */
  const sites = Object.fromEntries(Object.entries(TENANTS).map(([by, tenants]) => [by.toUpperCase(), { ...settings, tenants }]));
  sites.HOST.hosts = ["one.host.example.test", "two.host.example.test"];
  world = await startWorld({ sites, vars, isolates: 2, edgeward: { user_cache: 1 } });
});
after(() => world?.stop());

/**
 * A token of the issuer of a tenant.
 * @param {string} name
 */
const token = (name, claims = {}) => tokenOf(keys[name], { iss: `https://${name}.example`, tenant_id: name, ...claims });

/**
 * The site's two isolates: one that may remember, and one that does not.
 * @param {string} by
 */
const isolates = (by) => ["edge", "edge-2"].map((worker) => world.site(by.toUpperCase(), worker));

/**
 * The answer to a request in a tenant.
 * @param {Site} site
 * @param {string} by
 * @param {string} name
 * @param {Named} options
 */
const ask = (site, by, name, options, path = "/") => site.client(path, INTO[by](name, options));

/**
 * A session in a tenant, as a browser gets it from a link.
 * @param {string} by
 * @param {string} name
 * @param {Record<string, unknown>} [claims]
 */
async function arrive(by, name, claims) {
  const [site] = isolates(by);
  const answer = await site.navigate(`/?token=${await token(name, claims)}`, INTO[by](name, {}));
  assert.equal(answer.status, 303, String(answer));
  return answer.setCookie(SESSION).pair;
}

/**
 * @param {string} by
 * @param {string} name
 * @param {Named} options
 * @param {string} what
 */
async function assertNobody(by, name, options, what) {
  for (const site of isolates(by)) {
    const path = newPath();
    const answer = await ask(site, by, name, options, path);
    assert.equal(answer.status, 401, `${what}: ${answer}`);
    assert.deepEqual(world.origin.about(path), [], `${what} reached the origin`);
  }
}

/** Whom the origin is told about. */
const told = (/** @type {{ seen: Seen }} */ { seen }) => [seen.header("x-of"), seen.header("x-id"), seen.header("x-forwarded-email")];

for (const by of ["host", "header", "claim"]) {
  describe(`tenants by ${by}`, () => {
    test("the same address in two tenants is two users", async () => {
      const email = newEmail();
      const [site] = isolates(by);
      const ids = [];
      for (const name of ["one", "two"]) {
        const answer = await ask(site, by, name, { bearer: await token(name, { email }) });
        assert.equal(answer.status, 200, String(answer));
        const [tenant, id, address] = told(answer);
        assert.deepEqual([tenant, address], [name, email]);
        const found = await site.admin("GET", `/api/sso/users?email=${email}&tenant=${name}`);
        assert.deepEqual(
          found.json.users.map((/** @type {User} */ user) => [user.id, user.tenant]),
          [[id, name]],
        );
        ids.push(id);
      }
      assert.notEqual(ids[0], ids[1]);
      assert.deepEqual((await site.admin("GET", `/api/sso/users?email=${email}`)).json.users, [], "and nobody without a tenant");
    });

    test("a session is of its tenant, in every isolate", async () => {
      const email = newEmail();
      for (const name of ["one", "two"]) {
        const cookie = await arrive(by, name, { email });
        for (const site of isolates(by)) {
          const [tenant, , address] = told(await ask(site, by, name, { cookie }));
          assert.deepEqual([tenant, address], [name, email]);
        }
      }
    });

    test("who is disabled in one is still somebody in the other", async () => {
      const email = newEmail();
      const sessions = { one: await arrive(by, "one", { email }), two: await arrive(by, "two", { email }) };
      const [site] = isolates(by);
      const [, id] = told(await ask(site, by, "one", { cookie: sessions.one }));
      assert.equal((await site.admin("PATCH", `/api/sso/users/${id}`, { active: false })).status, 200);
      await until(async () => (await ask(site, by, "one", { cookie: sessions.one })).status === 403);
      assert.equal((await ask(site, by, "two", { cookie: sessions.two })).status, 200);
      assert.equal((await ask(site, by, "two", { bearer: await token("two", { email }) })).status, 200);
    });
  });
}

for (const by of ["host", "header"]) {
  test(`tenants by ${by}: a token of one is nothing in the other, however it comes and whether or not it is remembered`, async () => {
    const credential = await token("one");
    for (const site of isolates(by)) assert.equal((await ask(site, by, "one", { bearer: credential })).status, 200);
    await assertNobody(by, "two", { bearer: credential }, "bearer");
    await assertNobody(by, "two", { cookie: `ls_auth_token=${credential}` }, "cookie");
    for (const site of isolates(by)) {
      const answer = await site.navigate(`/?token=${credential}`, INTO[by]("two", {}));
      assert.equal(answer.status, 401, String(answer));
      assert.ok(!answer.cookies.some(({ name, cleared }) => name === SESSION && !cleared), String(answer));
    }
    // Naming the tenant in the token gets nobody into it either.
    await assertNobody(by, "two", { bearer: await token("one", { tenant_id: "two" }) }, "another tenant's name");
  });

  test(`tenants by ${by}: a session of one is nothing in the other`, async () => {
    const cookie = await arrive(by, "one");
    for (const site of isolates(by)) assert.equal((await ask(site, by, "one", { cookie })).status, 200);
    await assertNobody(by, "two", { cookie }, "session");
  });

  test(`tenants by ${by}: our own tokens are of the tenant in which they were asked for`, async () => {
    const [site] = isolates(by);
    const email = newEmail();
    const credential = `Token ${await world.adminToken()}`;
    const call = INTO[by]("one", { headers: { Authorization: credential, "Content-Type": "application/json" }, body: JSON.stringify({ email }) });
    const issued = await site.send("POST", "/api/sso/token", call);
    assert.equal(issued.status, 200, String(issued));
    const answer = await ask(site, by, "one", { bearer: issued.json.token });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(told(answer)[0], "one");
    await assertNobody(by, "two", { bearer: issued.json.token }, "our own token");
  });
}

test("tenants by header: who names none, two, or one that is not there gets 400 with a credential", async () => {
  const bearer = await token("one");
  const [site] = isolates("header");
  const named = [
    [],
    [["X-Tenant-ID", ""]],
    [["X-Tenant-ID", "three"]],
    [["X-Tenant-ID", "One"]],
    [["X-Tenant-ID", "one, two"]],
    [
      ["X-Tenant-ID", "one"],
      ["X-Tenant-ID", "two"],
    ],
    [["X_Tenant_ID", "one"]],
  ];
  for (const headers of named) {
    const path = newPath();
    const answer = await site.client(path, { headers: [...headers, ["Authorization", `Bearer ${bearer}`]] });
    assert.deepEqual([answer.status, answer.json.code], [400, "unknown_tenant"], `${JSON.stringify(headers)}: ${answer}`);
    assert.deepEqual(world.origin.about(path), [], JSON.stringify(headers));
  }
  const reasons = async (/** @type {[string, string][]} */ ...headers) => {
    const { status } = await site.client("/", { headers });
    await world.settled();
    return [status, world.events("denied").at(-1)?.reason];
  };
  assert.deepEqual(await reasons(["X-Tenant-ID", "three"]), [400, "the request names an unknown tenant"]);
  assert.deepEqual(await reasons(), [401, "no credential"]);
});

test("tenants by claim: an issuer names no tenant but its own", async () => {
  for (const [issuer, tenant_id] of /** @type {[string, unknown][]} */ ([
    ["one", "two"],
    ["two", "one"],
    ["one", "three"],
    ["one", ""],
    ["one", undefined],
    ["one", null],
    ["one", ["one"]],
  ])) {
    await assertNobody("claim", issuer, { bearer: await token(issuer, { tenant_id }) }, `${issuer} says ${tenant_id}`);
  }
});
