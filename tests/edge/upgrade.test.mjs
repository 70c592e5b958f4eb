// An origin that answers 101 although nobody asked for an upgrade.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "node:test";
import { CLIENT, NAVIGATION, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer } from "./lib/http.mjs" */
/** @import { Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

/** What an origin may say of an upgrade that nobody asked for. */
/** @type {Record<string, string>} */
const HEADS = {
  "/websocket": "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
  "/other": "Upgrade: h2c\r\nConnection: Upgrade\r\n",
  "/bare": "",
};

const origin = net.createServer((socket) => {
  let text = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    if (!text.includes("\r\n\r\n")) return;
    const path = text.split(" ")[1].split("?")[0].replace("/public", "");
    socket.end(`HTTP/1.1 101 Switching Protocols\r\n${HEADS[path] ?? ""}Set-Cookie: of=origin\r\n\r\nsmuggled`);
  });
});

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  await once(origin.listen(0, "127.0.0.1"), "listening");
  const upstream = `http://127.0.0.1:${/** @type {net.AddressInfo} */ (origin.address()).port}`;
  const rules = [{ prefix: "/public", public: true }, { require: { authenticated: true } }];
  world = await startWorld({
    sites: {
      APP: { upstream, unauthenticated: undefined, rules },
      FRAMED: { upstream, unauthenticated: undefined, rules, frame_ancestors: ["https://portal.example.test"] },
    },
  });
  app = world.site("APP");
});
after(async () => {
  await world?.stop();
  origin.close();
});

for (const name of ["APP", "FRAMED"]) {
  test(`an origin's unasked 101 is 502 for everybody, in every way: ${name.toLowerCase()}`, async () => {
    const site = world.site(name);
    const user = await app.createUser();
    const token = await site.issue(user.email);
    // Anonymous; signed in, with and without a cookie of ours on the way back; and a second time.
    /** @type {[string, (path: string, kind: string[][]) => Promise<Answer>][]} */
    const ways = [
      ["public", (path, kind) => site.send("GET", `/public${path}`, { kind })],
      ["bearer", (path, kind) => site.send("GET", path, { kind, bearer: token })],
      ["bearer, again", (path, kind) => site.send("GET", `${path}?2`, { kind, bearer: token })],
      ["bearer, a second time", (path, kind) => site.send("GET", `${path}?3`, { kind, bearer: token })],
      ["POST", (path, kind) => site.send("POST", path, { kind, bearer: token, body: "x" })],
      ["sign-in", async (path, kind) => site.send("GET", path, { kind, cookie: `ls_auth_token=${await site.issue(user.email)}` })],
    ];
    for (const path of Object.keys(HEADS)) {
      for (const [way, ask] of ways) {
        for (const kind of [CLIENT, SCRIPT, NAVIGATION]) {
          const answer = await ask(path, kind);
          assert.equal(answer.status, 502, `${path}, ${way}: ${answer}`);
          assert.ok(!answer.text.includes("smuggled"));
          assert.equal(answer.cookie("of"), undefined);
          if (kind === NAVIGATION) assert.equal(answer.type, "text/html");
          else assert.equal(answer.json.code, "origin_unreachable");
        }
      }
    }
    await world.settled();
    assert.ok(world.events("fault").some(({ reason }) => reason.startsWith("the origin did not answer")));
  });
}
