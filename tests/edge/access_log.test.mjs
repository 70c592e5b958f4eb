// The access log of the built Worker: one line for each decision, when the origin has answered; what a client sends forges none.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { newPath, startWorld } from "./lib/world.mjs";

/** @import { World } from "./lib/world.mjs" */

/** @type {World} */
let world;
before(async () => {
  world = await startWorld({
    edgeward: { log: "all" },
    cf: { colo: "FRA", country: "DE" },
    sites: {
      APP: { cors: { origins: ["https://spa.example.test"], credentials: true } },
      OPEN: { unauthenticated: undefined, rules: [{ prefix: "/", public: true, name: "open" }] },
      SECURE: { hosts: ["secure.example.com"], unauthenticated: "pass" },
      DOWN: { upstream: "http://127.0.0.1:9/base", unauthenticated: "pass" },
    },
    variants: { quiet: { edgeward: {}, sites: { OPEN: { unauthenticated: "pass" } } } },
  });
});
after(() => world?.stop());

/**
 * The lines about a path.
 * @param {string} path
 */
async function linesAbout(path) {
  await world.settled();
  return world.events().filter((line) => line.path === path);
}

/** What is different in each line. @param {Record<string, unknown>} line */
function withoutTimes({ time, duration_ms, request_id, ...line }) {
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Number.isInteger(duration_ms) && Number(duration_ms) >= 0, String(duration_ms));
  assert.match(String(request_id), /^[\w-]+$/);
  return line;
}

test("a forwarded request has one line, written when the origin has answered, with its status and how long that took", async () => {
  const open = world.site("OPEN");
  const path = newPath();
  world.origin.on(path, (_, response) => setTimeout(() => response.writeHead(418).end(), 300));
  const asked = open.send("PUT", `${path}?token=canary-query`, {
    body: "x",
    headers: { "CF-Ray": "8f0c2b7d4e5a6b1c-FRA", "CF-Connecting-IP": "203.0.113.77" },
  });
  assert.equal((await asked).status, 418);
  const [line, ...others] = await linesAbout(path);
  assert.deepEqual(others, []);
  assert.ok(line.duration_ms >= 290 && line.duration_ms < 5_000, JSON.stringify(line));
  assert.equal(line.request_id, "8f0c2b7d4e5a6b1c-FRA");
  const expected = {
    event: "forwarded",
    site: "open",
    host: open.host,
    method: "PUT",
    path,
    rule: 1,
    rule_name: "open",
    address: "203.0.113.0/24",
    status: 418,
  };
  assert.deepEqual(withoutTimes(line), expected);
});

test("the line of a signed-in request names the user, where the credential was, and the location that took it in", async () => {
  const secure = world.site("SECURE");
  const { user, cookie } = await secure.signIn();
  const path = newPath();
  assert.equal((await secure.client(`${path}?x`, { cookie })).status, 200);
  const [line, ...others] = await linesAbout(path);
  assert.deepEqual(others, []);
  assert.deepEqual([line.event, line.user, line.source, line.status, line.colo], ["forwarded", user.id, "session", 200, "FRA"]);
});

test("an origin that does not answer is named, by scheme and host, in one line", async () => {
  const down = world.site("DOWN");
  const path = newPath();
  const answer = await down.client(`${path}?token=canary-query`);
  assert.deepEqual([answer.status, answer.json.code], [502, "origin_unreachable"]);
  const [line, ...others] = await linesAbout(path);
  assert.deepEqual(others, []);
  const { reason, ...told } = withoutTimes(line);
  assert.match(String(reason), /^the origin did not answer: [ -~]{1,180}$/);
  assert.doesNotMatch(String(reason), /canary|base/);
  const { host } = down;
  assert.deepEqual(told, { event: "fault", site: "down", host, method: "GET", path, status: 502, code: "origin_unreachable", upstream: "http://127.0.0.1:9" });
});

test("a JSON refusal names the request as its line does, and a page of a listed origin may read it", async () => {
  const app = world.site("APP");
  const path = newPath();
  const answer = await app.client(path, { headers: { Origin: "https://spa.example.test", "X-Request-Id": "chosen" } });
  const [line] = await linesAbout(path);
  assert.equal(answer.status, 401);
  assert.equal(answer.json.request_id, line.request_id);
  assert.equal(answer.headers.get("x-request-id"), line.request_id);
  assert.equal(answer.headers.get("access-control-expose-headers"), "x-request-id");
  const elsewhere = await app.client(path, { headers: { Origin: "https://evil.test" } });
  assert.equal(elsewhere.headers.get("access-control-expose-headers"), undefined);
  const admin = await app.admin("GET", "/api/sso/users/nobody");
  assert.equal(admin.json.request_id, admin.headers.get("x-request-id"));
});

test("a sign-in has its own line, whatever the origin answers", async () => {
  const open = world.site("APP");
  const user = await open.createUser();
  const path = newPath();
  await open.navigate(path, { cookie: `ls_auth_token=${await open.issue(user.email)}` });
  const lines = await linesAbout(path);
  assert.deepEqual(
    lines.map(({ event, user: who }) => [event, who]),
    [
      ["signed_in", user.id],
      ["forwarded", user.id],
    ],
  );
});

test('without log = "all", a forwarded request and a health check have no line', async () => {
  const path = newPath();
  assert.equal((await world.site("OPEN", "quiet").client(path)).status, 200);
  assert.deepEqual(await linesAbout(path), []);
});

test("SEC-104: no bytes of a client forge a line, make it long, or change how it is read", async () => {
  const from = world.logs.length;
  const { host, port } = world.site("OPEN");
  const long = "x".repeat(100_000);
  /** @type {[target: string, host: string, lines: string[]][]} */
  const attacks = [
    ['/a%0d%0a{"event":"forged"}', host, []],
    ["/\u202egpj.exe\u2066", host, []],
    ["/\x1b[2J\x7f", host, []],
    ['/"}{"event":"forged"}', host, []],
    [`/${long}`, host, []],
    [`/${"x/".repeat(30_000)}`, host, []],
    [`/?${long}`, host, []],
    ["/a", `${long}.test`, []],
    ["/a", 'x"}{"event":"forged', []],
    ["/a", "\u202emoc.test", []],
    ["/a", host, ['CF-IPCountry: DE","event":"forged', 'CF-Connecting-IP: 1.2.3.4","event":"forged', 'CF-Ray: a","event":"forged']],
  ];
  for (const [target, name, lines] of attacks) {
    const text = `GET ${target} HTTP/1.1\r\nHost: ${name}\r\n${lines.map((line) => `${line}\r\n`).join("")}Connection: close\r\n\r\n`;
    // Some of these no server takes. That is an answer as well.
    await exchangeRaw({ port, text: Buffer.from(text, "utf8").toString("latin1") }).catch(() => undefined);
  }
  await world.settled();
  const lines = world.logs.slice(from).map(({ message }) => message);
  assert.ok(lines.length >= 5, String(lines.length));
  for (const line of lines) {
    assert.match(line, /^\{[ -~]{1,2500}\}$/, line.slice(0, 200));
    assert.notEqual(JSON.parse(line).event, "forged");
  }
});
