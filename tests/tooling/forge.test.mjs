// What runs on a forge: the commands that the documents name, with no more rights than they need.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { at } from "../../scripts/lib/project.mjs";
import { notesOf, otherVersions, releaseNotes } from "../../scripts/lib/release.mjs";
import { version } from "../../scripts/lib/version.mjs";

const FOLDER = ".github/workflows";
const workflows = readdirSync(at(FOLDER)).map((name) => ({ name, text: readFileSync(at(path.join(FOLDER, name)), "utf8") }));
/** @param {string} text */
const commandsOf = (text) => [...text.matchAll(/^ +- run: (.+)$/gm)].map(([, command]) => command);

test("each workflow may read and nothing else, has time limits, and names the commit of each action", () => {
  assert.deepEqual(workflows.map(({ name }) => name).toSorted(), ["audit.yml", "release.yml", "test.yml"]);
  for (const { name, text } of workflows) {
    const rights = [...text.matchAll(/^( *)permissions:\n((?:\1 +.+\n)+)/gm)].map(([, , rights]) => rights.trim());
    assert.deepEqual(rights.slice(0, 1), ["contents: read"], name);
    // What publishes is a job of its own, below.
    assert.equal(rights.length, name === "release.yml" ? 2 : 1, name);
    assert.equal(text.match(/^ {4}timeout-minutes: \d+$/gm)?.length, text.match(/^ {4}runs-on: /gm)?.length, name);
    const uses = [...text.matchAll(/uses: (.+)/g)].map(([, action]) => action);
    assert.ok(uses.length > 0, name);
    for (const action of uses) assert.match(action, /^[\w/-]+@[0-9a-f]{40} # v[\d.]+$/, name);
    assert.equal(text.match(/actions\/checkout@/g)?.length, text.match(/persist-credentials: false/g)?.length, name);
  }
});

test("a change is tested by the README's command, and nothing is set up besides", () => {
  assert.match(readFileSync(at("README.md"), "utf8"), /^npm test {2}/m);
  assert.deepEqual(commandsOf(workflows.find(({ name }) => name === "test.yml")?.text ?? ""), ["npm test"]);
});

test("a release is made of a tag that fits, after all tests; what may publish runs nothing of the project", () => {
  const text = workflows.find(({ name }) => name === "release.yml")?.text ?? "";
  const [before, publishing] = text.split(/^ {2}release:$/m);
  // Tests run programs of others: not on the machine that makes the package.
  const [packing, testing] = before.split(/^ {2}test:$/m);
  assert.match(text, /^on:\n {2}push:\n {4}tags: \["v\*"\]$/m);
  assert.deepEqual(commandsOf(packing), ['git merge-base --is-ancestor "$GITHUB_SHA" origin/main', 'npm run package -- --tag "$GITHUB_REF_NAME"']);
  assert.deepEqual(commandsOf(testing), ["npm test"]);
  assert.doesNotMatch(before, /: write/);
  assert.match(publishing, /^ {4}needs: \[package, test\]$/m);
  assert.match(publishing, /permissions:\n {6}attestations: write\n {6}contents: write\n {6}id-token: write\n/);
  assert.doesNotMatch(publishing, /checkout|npm /);
  const [check, create] = commandsOf(publishing);
  assert.equal(check, "sha256sum --check SHA256SUMS");
  assert.match(create, /^gh release create "\$GITHUB_REF_NAME" --verify-tag .*--notes-file NOTES\.md \.\/\*\.tgz SHA256SUMS$/);
  assert.ok(publishing.indexOf("attest-build-provenance") < publishing.indexOf("gh release create"));
});

test("the versions agree, and CHANGELOG.md has a dated section for this one", () => {
  assert.deepEqual(otherVersions(), []);
  const changelog = readFileSync(at("CHANGELOG.md"), "utf8");
  assert.match(changelog, /^## \[Unreleased\]$/m);
  assert.ok(releaseNotes(`v${version()}`).length > 100);
  assert.throws(() => releaseNotes("v0.0.0"), /the tag v0\.0\.0 is not v/);
  assert.throws(() => notesOf(changelog, "99.0.0"), /no section/);
  assert.throws(() => notesOf("## [1.0.0]\n\n- x\n", "1.0.0"), /no date/);
  assert.equal(notesOf("## [Unreleased]\n\n## [1.1.0] - 2026-01-02\n\n- x\n\n## [1.0.0] - 2026-01-01\n\n- y\n", "1.1.0"), "- x\n");
  // SemVer, and of the dated versions the newest first.
  const dated = [...changelog.matchAll(/^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$/gm)].map(([, , date]) => date);
  assert.ok(dated.length > 0);
  assert.deepEqual(dated, dated.toSorted().reverse());
});

test("the audit looks at every lock file, with the cargo-deny of the tests", () => {
  const commands = commandsOf(workflows.find(({ name }) => name === "audit.yml")?.text ?? "").join("\n");
  const version = /const DENY_VERSION = "(.+)"/.exec(readFileSync(at("scripts/setup.mjs"), "utf8"))?.[1];
  assert.ok(commands.includes(`cargo-deny@${version}`), String(version));
  for (const part of ["check advisories", "kdf/Cargo.toml check advisories", "npm audit", "npm audit --package-lock-only --prefix tests/peers"])
    assert.ok(commands.includes(part), part);
});
