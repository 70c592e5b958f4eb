// WebSockets of those who were signed in when they opened: their messages pass unchanged, and they end once the request that
// opened them would not pass any more (SEC-59). Client and origin are the npm package ws.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { WebSocket, WebSocketServer } from "ws";
import { bundle } from "../../scripts/lib/build.mjs";
import { startWorld, until } from "./lib/world.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { ClientOptions } from "ws" */
/** @import { Sending, Site, User } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** As sockets.js says it, in milliseconds: the pause with its jitter; `user_cache` of these worlds, and some for a busy machine. */
const PAUSE = 18_000;
const REST = 4_000;
/** Close codes (RFC 6455 §7.4.1). */
const GOING_AWAY = 1001;
const POLICY = 1008;
const TRY_LATER = 1013;

/** @type {string} */
let folder;
/** @type {Awaited<ReturnType<typeof startSocketOrigin>>} */
let origin;
/** @type {World} As it ships. */
let world;
/** @type {World} See lib/hurried.js. */
let hurried;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-sockets-"));
  const script = path.join(folder, "worker.js");
  await bundle(fileURLToPath(new URL("lib/hurried.js", import.meta.url)), script);
  origin = await startSocketOrigin();
  const rules = [
    { prefix: "/admin", require: { role: "admin" } },
    { prefix: "/", require: { authenticated: true } },
  ];
  const sites = {
    APP: { upstream: origin.url, rules },
    OPEN: { upstream: origin.url, unauthenticated: "pass" },
    SHORT: { upstream: origin.url, sso_token: { lifetime: 10 } },
    KEPT: { upstream: origin.url, close_websockets: false },
  };
  // The first one, because of the memory that is measured.
  hurried = await startWorld({ script, edgeward: { user_cache: 1 }, sites });
  world = await startWorld({ edgeward: { user_cache: 1 }, sites });
});
after(async () => {
  await world?.stop();
  await hurried?.stop();
  origin?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * An origin that echoes, with compression. `stream` sends as much as it is told to, without waiting; `close` closes as it is
 * told to; `drop` ends the connection. It remembers how each of its WebSockets has closed, by path.
 */
async function startSocketOrigin() {
  const server = http.createServer((_, response) => response.end("a page"));
  const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 }, handleProtocols: (all) => [...all].at(-1) ?? false });
  /** @type {Map<string, { code: number, reason: string }>} */
  const closed = new Map();
  sockets.on("connection", (socket, { url = "" }) => {
    socket.on("message", (data, isBinary) => {
      const text = data.toString();
      if (text.startsWith("close ")) socket.close(Number(text.split(" ")[1]), text.split(" ")[2]);
      else if (text === "drop") socket.terminate();
      else if (text.startsWith("mixed ")) for (let left = Number(text.split(" ")[1]); left > 0; left--) socket.send(left % 2 === 1 ? "x" : "");
      else if (text.startsWith("empty ")) for (let left = Number(text.split(" ")[1]); left > 0; left--) socket.send("");
      else if (text.startsWith("stream ")) for (let left = Number(text.split(" ")[1]); left > 0; left--) socket.send(Buffer.alloc(64 * 1024, left));
      else socket.send(data, { binary: isBinary });
    });
    socket.on("error", () => {});
    socket.on("close", (code, reason) => closed.set(url, { code, reason: reason.toString() }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = /** @type {AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    closed,
    open: () => sockets.clients.size,
    stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    },
  };
}

/**
 * Opens a WebSocket of `site`.
 * @param {Site} site
 * @param {string} target
 * @param {Pick<Sending, "cookie" | "bearer"> & { headers?: string[][] }} who
 * @param {ClientOptions & { protocols?: string[] }} [options]
 */
async function connect(site, target, { cookie, bearer, headers: more = [] }, { protocols = [], ...options } = {}) {
  const headers = { Host: site.host, ...(cookie && { Cookie: cookie }), ...(bearer && { Authorization: `Bearer ${bearer}` }), ...Object.fromEntries(more) };
  const socket = new WebSocket(`ws://127.0.0.1:${site.port}${target}`, protocols, { origin: site.origin, ...options, headers });
  /** @type {Promise<{ code: number, reason: string }>} */
  const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })));
  socket.on("error", () => {});
  const opened = await Promise.race([once(socket, "open").then(() => true), closed.then(() => false), once(socket, "unexpected-response").then(() => false)]);
  assert.ok(opened, `no WebSocket at ${target}`);
  return {
    socket,
    closed,
    /** @param {string | Buffer} message */
    async echo(message) {
      const back = once(socket, "message");
      socket.send(message);
      const [data, isBinary] = await back;
      return isBinary ? data : data.toString();
    },
  };
}

let number = 0;
/** @param {string} [folder] */
const newTarget = (folder = "") => `${folder}/socket-${number++}`;

/**
 * How somebody comes to have a WebSocket, and loses the right to it.
 * @typedef {object} Way
 * @property {string} [site]
 * @property {string} [folder]
 * @property {Record<string, unknown>} [user]
 * @property {boolean} [bearer]
 * @property {(user: User, cookie: string) => Promise<unknown>} end
 */

test("SEC-59: an open WebSocket ends with the right to open it, for each way in which that ends", async () => {
  const app = world.site("APP");
  /** @type {Record<string, Way>} */
  const ways = {
    "signing out": { end: (_, cookie) => app.send("POST", "/api/sso/logout", { cookie, headers: { Origin: app.origin } }) },
    "signed out by an admin": { end: (user) => app.admin("POST", `/api/sso/users/${user.id}/logout`) },
    disabled: { end: (user) => app.admin("PATCH", `/api/sso/users/${user.id}`, { active: false }) },
    deleted: { end: (user) => app.admin("DELETE", `/api/sso/users/${user.id}`) },
    "a role taken away": { folder: "/admin", user: { roles: ["admin"] }, end: (user) => app.admin("PATCH", `/api/sso/users/${user.id}`, { roles: [] }) },
    "signed out where everybody passes": { site: "OPEN", end: (user) => app.admin("POST", `/api/sso/users/${user.id}/logout`) },
    "a bearer token that expires": { site: "SHORT", bearer: true, end: () => sleep(10_000) },
  };
  const kept = world.site("KEPT");
  const person = await app.createUser();
  const staying = await connect(kept, newTarget(), await kept.signIn(person));
  assert.equal((await app.admin("POST", `/api/sso/users/${person.id}/logout`)).status, 204);
  const anonymous = await connect(world.site("OPEN"), newTarget(), {});
  await Promise.all(
    Object.entries(ways).map(async ([name, { site = "APP", folder: under, user: traits, bearer, end }]) => {
      const at = world.site(site);
      const user = await at.createUser(traits);
      const { cookie } = await at.signIn(user);
      const target = newTarget(under);
      const socket = await connect(at, target, bearer ? { bearer: await at.issue(user.email) } : { cookie });
      const other = await connect(at, newTarget(under), { cookie: (await at.signIn(await at.createUser(traits))).cookie });
      assert.equal(await socket.echo(name), name);
      await end(user, cookie);
      assert.deepEqual(await Promise.race([socket.closed, sleep(PAUSE + REST, "still open")]), { code: POLICY, reason: "sign in again" }, name);
      await until(() => origin.closed.get(target), 2);
      assert.equal(origin.closed.get(target)?.code, GOING_AWAY, name);
      assert.equal(await other.echo("still"), "still", name);
      other.socket.close();
    }),
  );
  for (const socket of [staying, anonymous]) {
    assert.equal(await socket.echo("here"), "here");
    socket.socket.close();
  }
  const lines = world.events("closed");
  assert.equal(lines.length, Object.keys(ways).length, JSON.stringify(lines));
  for (const { site, reason, request_id } of lines) assert.ok(site && reason && request_id, JSON.stringify(lines));
});

test("what passes through a watched WebSocket is what was sent: texts, bytes, their order, closes, protocol", async () => {
  const app = world.site("APP");
  const { cookie } = await app.signIn();
  const headers = { cookie };
  for (const perMessageDeflate of [false, true]) {
    const socket = await connect(app, newTarget(), headers, { perMessageDeflate, protocols: ["one", "two"] });
    assert.equal(socket.socket.protocol, "two");
    assert.ok((await socket.echo("ü€😀".repeat(10_000))) === "ü€😀".repeat(10_000));
    assert.equal(await socket.echo(""), "");
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 31) & 255));
    assert.ok(bytes.equals(Buffer.from(/** @type {Buffer} */ (await socket.echo(bytes)))));
    /** @type {string[]} */
    const got = [];
    socket.socket.on("message", (data, isBinary) => got.push(`${isBinary}${data}`));
    const sent = Array.from({ length: 500 }, (_, at) => (at % 3 === 0 ? Buffer.from(`${at}`) : `${at}`));
    for (const message of sent) socket.socket.send(message);
    await until(() => got.length === sent.length);
    assert.deepEqual(
      got,
      sent.map((message) => `${typeof message !== "string"}${message}`),
    );
    socket.socket.close(4321, "enough");
    assert.equal((await socket.closed).code, 4321);
  }
  const target = newTarget();
  const leaving = await connect(app, target, headers);
  leaving.socket.close(4400, "bye");
  await until(() => origin.closed.get(target), 2);
  assert.deepEqual(origin.closed.get(target), { code: 4400, reason: "bye" });
  const bare = newTarget();
  (await connect(app, bare, headers)).socket.close();
  await until(() => origin.closed.get(bare), 2);
  assert.equal(origin.closed.get(bare)?.code, 1005);
  const told = await connect(app, newTarget(), headers);
  told.socket.send("close 4500 later");
  assert.deepEqual(await told.closed, { code: 4500, reason: "later" });
  const dropped = await connect(app, newTarget(), headers);
  dropped.socket.send("drop");
  assert.equal((await dropped.closed).code, 1001);
  // What the origin still sends after the client's close arrives before the origin's own.
  const last = await connect(app, newTarget(), headers);
  /** @type {unknown[]} */
  const late = [];
  last.socket.on("message", (data) => late.push(String(data)));
  for (const message of ["1", "2", "3"]) last.socket.send(message);
  last.socket.close(4000);
  assert.equal((await last.closed).code, 4000);
  assert.deepEqual(late, ["1", "2", "3"]);
  const gone = newTarget();
  (await connect(app, gone, headers)).socket.terminate();
  await until(() => origin.closed.get(gone), 5);
});

test("a WebSocket survives a store that cannot be reached for a while, and not for long", async () => {
  const app = hurried.site("APP");
  const store = async (/** @type {boolean} */ down) => assert.equal((await app.send("POST", "/__test/store", { body: JSON.stringify({ down }) })).status, 200);
  const user = await app.createUser();
  const { cookie } = await app.signIn(user);
  const socket = await connect(app, newTarget(), { cookie });
  await store(true);
  await sleep(2_500);
  assert.equal(await socket.echo("still"), "still");
  await store(false);
  await sleep(1_500);
  await store(true);
  await sleep(2_500);
  assert.equal(await socket.echo("again"), "again");
  assert.deepEqual(await Promise.race([socket.closed, sleep(6_000, "still open")]), { code: TRY_LATER, reason: "" });
  await store(false);
});

test("a reader that is slow is closed before what waits for it exceeds the bound, and hinders nobody", async () => {
  const app = hurried.site("APP");
  const { cookie } = await app.signIn();
  // Compressed, all of it would fit into the buffers on the way.
  const slow = await connect(app, newTarget(), { cookie }, { perMessageDeflate: false });
  const other = await connect(app, newTarget(), { cookie });
  /** @type {{ _socket: import("node:net").Socket }} */ (/** @type {unknown} */ (slow.socket))._socket.pause();
  // 64 MiB: far more than the buffers of all connections on the way.
  slow.socket.send("stream 1024");
  await until(() => origin.closed.size > 0 && [...origin.closed.values()].some(({ code }) => code === TRY_LATER), 10);
  assert.equal(await other.echo("fine"), "fine");
  slow.socket.terminate();
  // Nothing of it counts any more, so as much as the bound passes at once.
  const next = await connect(app, newTarget(), { cookie });
  let count = 0;
  next.socket.on("message", () => (count += 1));
  next.socket.send("stream 180");
  await until(() => count === 180);
  for (const { socket } of [other, next]) socket.close();
});

test("what waits for a reader that was closed for being slow still counts, until its connection ends", async () => {
  const app = hurried.site("APP");
  const { cookie } = await app.signIn();
  const closes = () => [...origin.closed.values()].filter(({ code }) => code === TRY_LATER).length;
  const other = await connect(app, newTarget(), { cookie });
  const before = closes();
  /** @type {import("ws").WebSocket[]} */
  const slow = [];
  /** Opens a WebSocket, reads nothing of it, and waits until it is closed for that. */
  const readsNothing = async () => {
    const { socket } = await connect(app, newTarget(), { cookie }, { perMessageDeflate: false });
    /** @type {{ _socket: import("node:net").Socket }} */ (/** @type {unknown} */ (socket))._socket.pause();
    slow.push(socket);
    socket.send("stream 1024");
    await until(() => closes() === before + slow.length, 10);
  };
  for (let left = 4; left > 0; left--) await readsNothing();
  const { memory } = hurried;
  for (let left = 20; left > 0; left--) await readsNothing();
  // Each may have 64 KiB; in the place of the first one, each would have 12 MiB.
  const grown = (hurried.memory - memory) / 1024 / 1024;
  assert.ok(grown < 80, `${grown} MiB more`);
  assert.equal(await other.echo("fine"), "fine");
  for (const socket of slow) socket.terminate();
  // Nothing of it counts any more.
  const next = await connect(app, newTarget(), { cookie });
  let count = 0;
  next.socket.on("message", () => (count += 1));
  next.socket.send("stream 180");
  await until(() => count === 180);
  for (const { socket } of [other, next]) socket.close();
});

test("messages without content count as well, and only as long as they wait", async () => {
  const app = hurried.site("APP");
  const { cookie } = await app.signIn();
  const target = newTarget();
  const slow = await connect(app, target, { cookie }, { perMessageDeflate: false });
  /** @type {{ _socket: import("node:net").Socket }} */ (/** @type {unknown} */ (slow.socket))._socket.pause();
  slow.socket.send("empty 200000");
  await until(() => origin.closed.get(target)?.code === TRY_LATER, 20);
  slow.socket.terminate();
  // More messages than the bound has room for, to somebody who reads them.
  const reader = await connect(app, newTarget(), { cookie });
  let count = 0;
  reader.socket.on("message", () => (count += 1));
  for (let round = 1; round <= 3; round++) {
    reader.socket.send("mixed 40000");
    await until(() => count === round * 40_000, 20);
  }
  reader.socket.close();
});

test("as many WebSockets are open as there is room for their heads, and another one when one is closed", async () => {
  const app = hurried.site("APP");
  const { cookie } = await app.signIn();
  const headers = [["X-Long", "%41".repeat(3_000)]];
  /** @type {Awaited<ReturnType<typeof connect>>[]} */
  const open = [];
  for (let ended = false; !ended; ) {
    const one = await connect(app, newTarget(), { cookie, headers });
    ended = await Promise.race([one.closed.then(() => true), sleep(300, false)]);
    if (ended) assert.deepEqual(await one.closed, { code: TRY_LATER, reason: "too many" });
    else open.push(one);
    assert.ok(open.length < 100, "there is no bound");
  }
  assert.ok(open.length >= 10, `${open.length}`);
  for (const one of open) assert.equal(await one.echo("here"), "here");
  open.pop()?.socket.close();
  await until(async () => {
    const { closed } = await connect(app, newTarget(), { cookie, headers });
    return Promise.race([closed.then(() => false), sleep(300, true)]);
  });
  for (const { socket } of open) socket.close();
});
