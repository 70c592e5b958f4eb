// scripts/lib/lock.mjs: one process at a time.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { withLock } from "../../scripts/lib/lock.mjs";
import { at } from "../../scripts/lib/project.mjs";

const folder = mkdtempSync(path.join(tmpdir(), "edgeward-lock-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const DEAD_PID = 2 ** 22 + 1; // above the largest pid that Linux or macOS gives

test("the lock is held during the work and gone afterwards, also after an error", async () => {
  const file = path.join(folder, "a", "lock");
  const held = await withLock(file, async () => JSON.parse(readFileSync(file, "utf8")).pid);
  assert.equal(held, process.pid);
  await assert.rejects(
    withLock(file, () => Promise.reject(new Error("work failed"))),
    /work failed/,
  );
  assert.deepEqual(readdirSync(path.dirname(file)), []);
});

test("many processes never hold the lock at the same time", async () => {
  const file = path.join(folder, "many");
  const journal = path.join(folder, "journal");
  writeFileSync(journal, "");
  const script = `
    import { appendFileSync } from "node:fs";
    import { withLock } from ${JSON.stringify(at("scripts/lib/lock.mjs"))};
    for (let round = 0; round < 3; round++) {
      await withLock(${JSON.stringify(file)}, async () => {
        appendFileSync(${JSON.stringify(journal)}, "in ");
        await new Promise((resolve) => setImmediate(resolve));
        appendFileSync(${JSON.stringify(journal)}, "out ");
      });
    }`;
  const run = () => promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  await Promise.all(Array.from({ length: 4 }, run));
  assert.equal(readFileSync(journal, "utf8"), "in out ".repeat(12));
});

test("the lock of a process that is gone is taken over", async () => {
  const file = path.join(folder, "dead");
  writeFileSync(file, JSON.stringify({ pid: DEAD_PID, host: hostname() }));
  assert.equal(await withLock(file, async () => "done"), "done");
  assert.equal(existsSync(file), false);
});

test("a lock whose owner stopped its heartbeat is taken over", async () => {
  const file = path.join(folder, "silent");
  writeFileSync(file, JSON.stringify({ pid: process.ppid, host: "another machine" }));
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(file, longAgo, longAgo);
  assert.equal(await withLock(file, async () => "done"), "done");
});

test("who waits is told whom for", async () => {
  const file = path.join(folder, "told");
  /** @type {string[]} */
  const order = [];
  const { promise: held, resolve: release } = Promise.withResolvers();
  const first = withLock(file, () => held);
  const second = withLock(
    file,
    async () => order.push("second"),
    (pid) => {
      order.push(`waits for ${pid}`);
      release(undefined);
    },
  );
  await Promise.all([first, second]);
  assert.deepEqual(order, [`waits for ${process.pid}`, "second"]);
});
