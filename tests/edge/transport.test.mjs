// Plain http and https, as the CDN tells them apart.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NAVIGATION, startWorld } from "./lib/world.mjs";

/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const HSTS = "strict-transport-security";

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld({
    sites: {
      APP: { hosts: ["app.example.com"] },
      SERVING: { hosts: ["serving.example.com"], http: "serve" },
      LOCAL: { query: { single_use: true, user_switch: "confirm" } },
    },
  });
  app = world.site("APP");
});
after(() => world?.stop());

/** What the runtime takes for http. */
const PLAIN = { "X-Forwarded-Proto": "http" };

test("SEC-86: plain http at a public host leads to https, and browsers are told so once with each sign-in", async () => {
  const user = await world.site("LOCAL").createUser();
  const token = await app.issue(user.email);
  const path = `/p%2Fq?token=${token}&x=%20`;
  const plain = await app.navigate(path, { headers: PLAIN });
  assert.equal(plain.status, 308, String(plain));
  assert.equal(plain.target, `https://app.example.com${path}`);
  assert.equal(plain.headers.get(HSTS), undefined);
  const call = await app.issueAnswer({ email: user.email }, { headers: Object.entries(PLAIN) });
  assert.equal(call.status, 400, String(call));
  assert.equal(call.json.code, "https_required");
  assert.deepEqual(world.origin.about("/p%2Fq"), [], "the origin was not asked");

  const refused = await app.navigate("/a");
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get(HSTS), "max-age=31536000");
  const opened = await app.navigate("/a", { cookie: `ls_auth_token=${await app.issue(user.email)}` });
  assert.equal(opened.status, 200, String(opened));
  assert.equal(opened.headers.get(HSTS), "max-age=31536000");
  const later = await app.navigate("/a", { cookie: opened.setCookie("__Host-edgeward").pair });
  assert.equal(later.status, 200);
  assert.equal(later.headers.get(HSTS), undefined, "what needs no change stays as the origin sent it");

  assert.equal((await world.site("SERVING").navigate("/a", { headers: PLAIN })).status, 401);
  assert.equal((await world.site("LOCAL").navigate("/a")).status, 401);
});

test("L1: a look at a link by HEAD or OPTIONS opens nothing and uses nothing up", async () => {
  const site = world.site("LOCAL");
  const user = await site.createUser();
  const path = `/p?token=${await site.issue(user.email)}`;
  for (const method of ["HEAD", "OPTIONS"]) {
    const looked = await site.send(method, path, { kind: NAVIGATION });
    assert.deepEqual(looked.cookies, [], method);
  }
  const clicked = await site.navigate(path);
  assert.equal(clicked.status, 303, String(clicked));
  assert.ok(clicked.cookie("__Host-edgeward"));
});
