// `npm run admin -- secret retire`: what may still be valid is said before a secret is removed, and somebody has to agree.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, beforeEach, test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";

const folder = mkdtempSync(path.join(tmpdir(), "edgeward-retire-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A stand-in for `wrangler secret`: the names are in a file. */
const standIn = path.join(folder, "wrangler.mjs");
const kept = path.join(folder, "secrets.json");
writeFileSync(
  standIn,
  `import { readFileSync, writeFileSync } from "node:fs";
const [, , group, verb, name] = process.argv;
const names = JSON.parse(readFileSync(${JSON.stringify(kept)}, "utf8"));
if (group !== "secret") throw new Error(group);
if (verb === "list") console.log(JSON.stringify(names.map((name) => ({ name, type: "secret_text" }))));
else if (verb === "delete") writeFileSync(${JSON.stringify(kept)}, JSON.stringify(names.filter((one) => one !== name)));
else throw new Error(verb);
`,
);
const NAMES = ["SESSION", "TOKEN", "KEY"].flatMap((purpose) => [1, 2].map((number) => `EDGEWARD_${purpose}_SECRET_${number}`));
const left = () => JSON.parse(readFileSync(kept, "utf8"));
beforeEach(() => writeFileSync(kept, JSON.stringify(NAMES)));

/**
 * Runs the command, at a terminal if `typed` is given: `{ status, out }`, where `out` is all that it says.
 * @param {string | undefined} typed
 * @param {...string} args
 */
async function retire(typed, ...args) {
  const command = [pinnedNode, at("scripts/admin.mjs"), "secret", "retire", ...args, "--remote"];
  const terminal = ["python3", "-c", "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"];
  const [program, ...rest] = typed === undefined ? command : [...terminal, ...command];
  const child = spawn(program, rest, { env: { ...process.env, EDGEWARD_WRANGLER: JSON.stringify([pinnedNode, standIn]) } });
  // The input stays open: a terminal is not closed behind what is typed.
  if (typed === undefined) child.stdin.end();
  else child.stdin.write(typed);
  const [out, error, status] = await Promise.all([text(child.stdout), text(child.stderr), new Promise((resolve) => child.on("close", resolve))]);
  child.stdin.destroy();
  return { status, out: `${out}${error}` };
}

test("without a terminal nothing is removed unless --yes is given, and the bound of the settings is named", async () => {
  for (const [purpose, pattern] of /** @type {[string, RegExp][]} */ ([
    ["session", /Every session that EDGEWARD_SESSION_SECRET_1 signed ends at once[\s\S]*would end 12 hours after secret 2 was added \(by the settings\)/],
    ["token", /every link with one that EDGEWARD_TOKEN_SECRET_1 signed is refused[\s\S]*would expire 15 minutes after secret 2 was added/],
    ["key", /What EDGEWARD_KEY_SECRET_1 encrypts can no longer be read[\s\S]*key rotate[\s\S]*30 minutes/],
  ])) {
    const told = await retire(undefined, purpose, "1");
    assert.equal(told.status, 1, told.out);
    assert.match(told.out, pattern);
    assert.match(told.out, /Nothing was changed\. To go on, add --yes/);
    assert.deepEqual(left(), NAMES);
  }
  const done = await retire(undefined, "session", "1", "--yes");
  assert.equal(done.status, 0, done.out);
  assert.match(done.out, /EDGEWARD_SESSION_SECRET_1 is removed/);
  assert.deepEqual(
    left(),
    NAMES.filter((name) => name !== "EDGEWARD_SESSION_SECRET_1"),
  );
});

test("at a terminal it asks, and anything but yes is a no", async () => {
  for (const typed of ["n\n", "\n", "yep\n"]) {
    const told = await retire(typed, "token", "1");
    assert.equal(told.status, 1, told.out);
    assert.match(told.out, /Remove it\? \[y\/N\][\s\S]*nothing was changed/);
    assert.deepEqual(left(), NAMES);
  }
  assert.equal((await retire("y\n", "token", "1")).status, 0);
  assert.ok(!left().includes("EDGEWARD_TOKEN_SECRET_1"));
});

test("the secret that signs, and one that is not there, are refused without a question", async () => {
  for (const [number, pattern] of /** @type {[string, RegExp][]} */ ([
    ["2", /this is the newest secret, which signs; rotate it first/],
    ["7", /there is no EDGEWARD_SESSION_SECRET_7/],
  ])) {
    const told = await retire(undefined, "session", number, "--yes");
    assert.equal(told.status, 1);
    assert.match(told.out, pattern);
    assert.deepEqual(left(), NAMES);
  }
});
