// scripts/setup.mjs, once everything is in place.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";

const run = promisify(execFile);

test("a second set-up does nothing and says nothing but that", async () => {
  const { stderr, stdout } = await run(pinnedNode, [at("scripts/setup.mjs")]);
  assert.equal(stderr, "setup  everything is in place\n");
  assert.equal(stdout, "");
});

test("two set-ups at once agree", async () => {
  await Promise.all([1, 2].map(() => run(pinnedNode, [at("scripts/setup.mjs")])));
});

test("without Rust the error says how to get it", async () => {
  await assert.rejects(run(pinnedNode, [at("scripts/setup.mjs")], { env: { HOME: "/nonexistent", PATH: "/nonexistent" } }), ({ stderr, code }) => {
    assert.equal(code, 1);
    assert.match(stderr, /Rust was not found/);
    assert.match(stderr, /Install it with rustup/);
    assert.doesNotMatch(stderr, /at file:/);
    return true;
  });
});

test("the scripts that run before npm ci import nothing but Node's own modules", () => {
  for (const file of [
    "scripts/setup.mjs",
    ...["start", "project", "lock", "step", "dev-options", "did-you-mean", "place"].map((name) => `scripts/lib/${name}.mjs`),
  ]) {
    const imports = [...readFileSync(at(file), "utf8").matchAll(/^import .* from "([^"]+)";$/gm)].map(([, name]) => name);
    assert.ok(imports.length > 0, file);
    for (const name of imports) assert.match(name, /^(node:|\.\.?\/)/, `${file} imports ${name}`);
  }
  /** @type {{ [script: string]: string[] }} */
  const own = { dev: ["./lib/dev-options.mjs"] };
  for (const script of ["admin", "bench", "build", "deploy", "dev", "test"]) {
    const text = readFileSync(at(`scripts/${script}.mjs`), "utf8");
    assert.deepEqual(
      [...text.matchAll(/^import .* from "([^"]+)";$/gm)].map(([, name]) => name),
      [...(own[script] ?? []), "./lib/start.mjs"],
      script,
    );
  }
});
