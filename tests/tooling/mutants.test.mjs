// `npm run mutants`: what it would run, and over which files. The tool itself is installed on demand, so it is not run here.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse as parseToml } from "smol-toml";
import { command, readOptions } from "../../scripts/lib/mutants.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { StepFailed } from "../../scripts/lib/step.mjs";

const { test_tool: tool, examine_globs: globs } = /** @type {{ test_tool: string, examine_globs: string[] }} */ (
  parseToml(readFileSync(at(".cargo/mutants.toml"), "utf8"))
);

test("each security file is there, under whatever folder", () => {
  assert.equal(tool, "nextest");
  for (const glob of globs) {
    assert.match(glob, /^src\/(\*\*\/\w+|\w+\/mod)\.rs$/);
    const found = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", `:(glob)${glob}`], { cwd: at(), encoding: "utf8" });
    assert.notEqual(found, "", `${glob} matches no file; has it another name?`);
  }
});

test("without files it is the configuration's, with files these alone", () => {
  /** @param {...string} args */
  const of = (...args) => command(readOptions(args), "out", "out/changes.diff");
  const tests = ["--", "-E", "not test(interleav)"];
  assert.deepEqual(of(), ["cargo", "mutants", "--output", "out", ...tests]);
  assert.deepEqual(of("src/a.rs", "src/b.rs"), [
    "cargo",
    "mutants",
    "--output",
    "out",
    "--no-config",
    "--test-tool",
    "nextest",
    "--file",
    "src/a.rs",
    "--file",
    "src/b.rs",
    ...tests,
  ]);
  assert.deepEqual(of("--shard", "2/7"), ["cargo", "mutants", "--output", "out", "--shard", "2/7", ...tests]);
  assert.deepEqual(of("--in-diff", "main"), ["cargo", "mutants", "--output", "out", "--in-diff", "out/changes.diff", ...tests]);
  assert.deepEqual(of("--list"), ["cargo", "mutants", "--output", "out", "--list"]);
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
