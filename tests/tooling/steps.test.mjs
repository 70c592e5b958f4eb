// scripts/lib: the pieces that the scripts are made of.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { at, cargoLockVersion, duration, pinnedNode, root, toolEnv, wasmBindgenVersion } from "../../scripts/lib/project.mjs";
import { capture, StepFailed } from "../../scripts/lib/step.mjs";
import { leftOut, summary, testCounts } from "../../scripts/lib/test.mjs";

describe("capture", () => {
  test("answers stdout", async () => {
    assert.equal(await capture(["sh", "-c", "echo out; echo err >&2"]), "out\n");
  });

  test("a failing command carries everything it wrote", async () => {
    await assert.rejects(capture(["sh", "-c", "echo out; echo err >&2; exit 3"]), (error) => {
      assert.ok(error instanceof StepFailed);
      assert.match(error.message, /ended with status 3$/);
      assert.match(error.output, /out/);
      assert.match(error.output, /err/);
      return true;
    });
  });

  test("a program that is not there is told by name", async () => {
    await assert.rejects(capture(["no-such-program-here"]), /no-such-program-here could not be started/);
  });

  test("the last line is offered without colours", async () => {
    /** @type {string[]} */
    const lines = [];
    await capture(["printf", "\\033[1;32m   Compiling\\033[0m one v1\\n"], { onLine: (line) => lines.push(line) });
    assert.deepEqual(lines, ["Compiling one v1"]);
  });
});

describe("versions", () => {
  test("the version of wasm-bindgen is that of Cargo.lock", () => {
    const lock = '[[package]]\nname = "wasm-bindgen-macro"\nversion = "9.9.9"\n\n[[package]]\nname = "wasm-bindgen"\nversion = "0.2.1"\n';
    assert.equal(cargoLockVersion(lock, "wasm-bindgen"), "0.2.1");
    assert.throws(() => cargoLockVersion(lock, "serde"), /no package serde/);
    assert.match(wasmBindgenVersion(), /^0\.2\.\d+$/);
  });

  test("one Node is pinned, for every platform the same, and it is the one that runs this", () => {
    const { optionalDependencies } = JSON.parse(readFileSync(at("package.json"), "utf8"));
    const versions = new Set(Object.values(optionalDependencies));
    assert.equal(versions.size, 1);
    assert.equal(execFileSync(pinnedNode, ["--version"], { encoding: "utf8" }).trim(), `v${[...versions][0]}`);
    assert.equal(process.version, `v${[...versions][0]}`);
  });

  test("every dependency is pinned exactly, and the lock file names no registry", () => {
    const { devDependencies, optionalDependencies } = JSON.parse(readFileSync(at("package.json"), "utf8"));
    for (const [name, version] of Object.entries({ ...devDependencies, ...optionalDependencies })) assert.match(version, /^\d+\.\d+\.\d+(-\S+)?$/, name);
    assert.doesNotMatch(readFileSync(at("package-lock.json"), "utf8"), /"resolved"/);
  });
});

test("tools find ours first, and wrangler is neither curious nor chatty", () => {
  const env = toolEnv({ MORE: "1" });
  const folders = env.PATH?.split(path.delimiter) ?? [];
  assert.equal(folders[0], at(".tools/bin"));
  assert.ok(!folders.includes(at("node_modules/.bin")));
  assert.equal(env.WRANGLER_SEND_METRICS, "false");
  assert.equal(env.CLOUDFLARE_CF_FETCH_ENABLED, "false");
  assert.equal(env.MORE, "1");
});

test("durations are short", () => {
  assert.equal(duration(1_340), "1.3 s");
  assert.equal(duration(125_900), "2 min 05 s");
});

test("what npm test leaves out by itself is told, with the command that runs it", () => {
  /** @param {Parameters<typeof leftOut>[0]} options */
  const of = (options) => leftOut({ env: {}, ...options }).map((line) => line.match(/^[\w-]+: |published vectors/)?.[0].replace(": ", ""));
  const vectors = "published vectors";
  assert.deepEqual(of({}), ["label-studio", vectors]);
  assert.match(leftOut({ env: {} })[0], /run it with: npm run test:label-studio$/);
  assert.match(leftOut({ env: {} })[1], /run them with: EDGEWARD_VECTORS=<folder> npm test -- --only native,edge vectors /);
  assert.deepEqual(of({ env: { CI: "true" } }), [vectors]);
  assert.deepEqual(of({ env: { EDGEWARD_VECTORS: "somewhere" } }), ["label-studio"]);
  assert.deepEqual(of({ only: ["edge"] }), [vectors]);
  assert.deepEqual(of({ only: ["edge"], files: ["vectors"] }), [vectors]);
  // Who asked for something else has not been deprived of them.
  assert.deepEqual(of({ only: ["edge"], files: ["query"] }), []);
  assert.deepEqual(of({ only: ["clippy", "peers"] }), []);
});

test("each test that fails is told with its file and with what it threw, and a group of tests is not", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-reporter-"));
  try {
    const file = path.join(folder, "a.test.mjs");
    writeFileSync(
      file,
      'import assert from "node:assert/strict"; import { describe, test } from "node:test";\n' +
        'describe("all", () => { test("bad", () => assert.equal(1, 2)); test("good", () => {}); test("text", () => { throw "plain"; }); });\n',
    );
    const reporter = ["--test-reporter", at("scripts/lib/count-reporter.mjs"), "--test-reporter-destination=stdout"];
    // A test runner that starts another one would report to it.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawnSync(pinnedNode, ["--test", ...reporter, file], { encoding: "utf8", env });
    const { passed, failed, failures } = JSON.parse(run.stdout);
    assert.deepEqual([passed, failed, failures.length], [1, 2, 2]);
    assert.match(failures[0], /^a\.test\.mjs: bad\n {4}AssertionError.*\n(.*\n)+ {4}1 !== 2\n/);
    assert.equal(failures[1], "a.test.mjs: text\n    plain");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("part of a name that no test file has is an error", () => {
  const run = spawnSync(pinnedNode, [at("scripts/test.mjs"), "--only", "tooling", "no_such_file"], { encoding: "utf8", cwd: root });
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stdout, /no test file in tests\/tooling has no_such_file in its name/);
});

describe("npm test's summary", () => {
  test("counts what nextest and libtest say", () => {
    const nextest = "     Summary [   0.1s] 41 tests run: 39 passed (1 slow), 1 failed, 1 timed out, 2 skipped\n";
    assert.deepEqual(testCounts(nextest), { passed: 39, failed: 2 });
    const coloured = "\x1b[32;1m     Summary\x1b[0m [   0.1s] \x1b[1m1\x1b[0m test run: \x1b[1m1\x1b[0m \x1b[32;1mpassed\x1b[0m, 0 skipped\n";
    assert.deepEqual(testCounts(coloured), { passed: 1, failed: 0 });
    assert.deepEqual(testCounts("test result: ok. 3 passed; 0 failed; 0 ignored\ntest result: FAILED. 2 passed; 1 failed\n"), { passed: 5, failed: 1 });
    assert.deepEqual(testCounts("error: could not compile\n"), { passed: 0, failed: 0 });
  });

  test("ends with one line over all steps", () => {
    const text = summary(
      new Map([
        ["clippy", { outcome: "passed", passed: 0, failed: 0, milliseconds: 1_000 }],
        ["native", { outcome: "passed", passed: 30, failed: 0, milliseconds: 2_000 }],
        ["edge", { outcome: "failed", passed: 11, failed: 2, milliseconds: 61_000 }],
      ]),
    );
    assert.match(text, /^native +passed +2\.0 s +30 passed$/m);
    assert.match(text, /^edge +failed +1 min 01 s +11 passed$/m);
    assert.match(text, /^total +1 min 04 s$/m);
    assert.equal(text.split("\n").at(-1), "41 passed, 2 failed");
  });
});
