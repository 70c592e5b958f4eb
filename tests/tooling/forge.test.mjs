// What runs on a forge: the commands that the documents name, with no more rights than they need.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { at } from "../../scripts/lib/project.mjs";

const FOLDER = ".github/workflows";
const workflows = readdirSync(at(FOLDER)).map((name) => ({ name, text: readFileSync(at(path.join(FOLDER, name)), "utf8") }));
/** @param {string} text */
const commandsOf = (text) => [...text.matchAll(/^ +- run: (.+)$/gm)].map(([, command]) => command);

test("each workflow may read and nothing else, has a time limit, and names the commit of each action", () => {
  assert.deepEqual(workflows.map(({ name }) => name).toSorted(), ["audit.yml", "test.yml"]);
  for (const { name, text } of workflows) {
    assert.deepEqual(
      [...text.matchAll(/^( *)permissions:\n((?:\1 +.+\n)+)/gm)].map(([, , rights]) => rights.trim()),
      ["contents: read"],
      name,
    );
    assert.match(text, /^ {4}timeout-minutes: \d+$/m, name);
    const uses = [...text.matchAll(/uses: (.+)/g)].map(([, action]) => action);
    assert.ok(uses.length > 0, name);
    for (const action of uses) assert.match(action, /^[\w/-]+@[0-9a-f]{40} # v[\d.]+$/, name);
    assert.equal(uses.length, text.match(/persist-credentials: false/g)?.length, name);
  }
});

test("a change is tested by the README's command, and nothing is set up besides", () => {
  assert.match(readFileSync(at("README.md"), "utf8"), /^npm test {2}/m);
  assert.deepEqual(commandsOf(workflows.find(({ name }) => name === "test.yml")?.text ?? ""), ["npm test"]);
});

test("the audit looks at every lock file, with the cargo-deny of the tests", () => {
  const commands = commandsOf(workflows.find(({ name }) => name === "audit.yml")?.text ?? "").join("\n");
  const version = /const DENY_VERSION = "(.+)"/.exec(readFileSync(at("scripts/setup.mjs"), "utf8"))?.[1];
  assert.ok(commands.includes(`cargo-deny@${version}`), String(version));
  for (const part of ["check advisories", "kdf/Cargo.toml check advisories", "npm audit", "npm audit --package-lock-only --prefix tests/peers"])
    assert.ok(commands.includes(part), part);
});
