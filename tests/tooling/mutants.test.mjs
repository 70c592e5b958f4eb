// `npm run mutants`: what it would run, and over which files. The tool itself is installed on demand, so it is not run here.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse as parseToml } from "smol-toml";
import { command, readOptions } from "../../scripts/lib/mutants.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { StepFailed } from "../../scripts/lib/step.mjs";

const { test_tool: tool, examine_globs: globs } = /** @type {{ test_tool: string, examine_globs: string[] }} */ (
  parseToml(readFileSync(at(".cargo/mutants.toml"), "utf8"))
);

/**
 * The project's files that a pattern of git matches.
 * @param {...string} patterns
 */
const files = (...patterns) =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", ...patterns.map((pattern) => `:(glob)${pattern}`)], {
    cwd: at(),
    encoding: "utf8",
  })
    .split("\n")
    .filter((file) => file && existsSync(at(file)));

test("each security file is there, under whatever folder", () => {
  assert.equal(tool, "nextest");
  for (const glob of globs) {
    assert.match(glob, /^src\/(\*\*\/\w+|\w+\/mod)\.rs$/);
    assert.notDeepEqual(files(glob), [], `${glob} matches no file; has it another name?`);
  }
});

test("every file of the rooms that decide who passes is among them", () => {
  const examined = files(...globs);
  for (const room of ["judge", "authn", "access", "rules"]) {
    const wanted = files(`src/${room}/**/*.rs`).filter((file) => !/(^|\/)tests(\.rs$|\/)/.test(file));
    assert.ok(wanted.includes(`src/${room}/mod.rs`), room);
    assert.deepEqual(
      wanted.filter((file) => !examined.includes(file)),
      [],
      `${room}: no glob matches these`,
    );
  }
});

test("without files it is the configuration's, with files these alone", () => {
  /** @param {...string} args */
  const of = (...args) => command(readOptions(args), "out", "out/changes.diff");
  const base = ["cargo", "mutants", "--output", "out", "--workspace", "--test-workspace=true"];
  const tests = ["--", "-E", "not test(interleav)"];
  assert.deepEqual(of(), [...base, ...tests]);
  assert.deepEqual(of("src/a.rs", "src/b.rs"), [...base, "--no-config", "--test-tool", "nextest", "--file", "src/a.rs", "--file", "src/b.rs", ...tests]);
  assert.deepEqual(of("--shard", "2/7"), [...base, "--shard", "2/7", ...tests]);
  assert.deepEqual(of("--in-diff", "main"), [...base, "--in-diff", "out/changes.diff", ...tests]);
  assert.deepEqual(of("--list"), [...base, "--list"]);
});

test("a wrong option is told with the usage", () => {
  for (const args of [["--shard", "7"], ["--shard", "1/0"], ["--no-such"]]) {
    assert.throws(
      () => readOptions(args),
      (error) => error instanceof StepFailed && /npm run mutants -- \[--in-diff/.test(error.message),
      String(args),
    );
  }
});
