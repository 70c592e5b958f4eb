// `npm run check` and the habits that `npm test` holds: each finds what it is there for.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { parse as parseToml } from "smol-toml";
import { at, pinnedNode, toolEnv } from "../../scripts/lib/project.mjs";
import { QUICK_STEPS, TYPED } from "../../scripts/lib/test.mjs";

const folder = mkdtempSync(path.join(tmpdir(), "edgeward-check-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const BIOME = at("node_modules/@biomejs/biome/bin/biome");
const TSC = at("node_modules/typescript/bin/tsc");

/**
 * Runs a program of an npm package; answers status and all that it printed.
 * @param {string} program
 * @param {string[]} args
 */
function run(program, args, options = {}) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", cwd: at(), env: toolEnv(), ...options });
  return { status, output: stdout + stderr };
}

test("the quick check has format, lint, types, clippy, the order of the rooms and doc comments", () => {
  assert.deepEqual(QUICK_STEPS, ["format", "lint", "types", "clippy", "clippy-wasm", "layering", "documented"]);
});

test("the hook runs the quick check, and can be run", () => {
  const hook = at(".githooks/pre-commit");
  assert.match(readFileSync(hook, "utf8"), /^exec npm run --silent check$/m);
  assert.ok(statSync(hook).mode & 0o100, "the hook is not executable");
});

describe("biome", () => {
  test("refuses what is not declared, not used, or no module", () => {
    const project = path.join(folder, "biome");
    const config = { ...JSON.parse(readFileSync(at("biome.json"), "utf8")), $schema: undefined, vcs: { enabled: false } };
    const wrong = {
      noUndeclaredVariables: "export const a = () => notThere;\n",
      noUnusedVariables: "const a = 1;\n",
      noUnusedImports: 'import path from "node:path";\n',
      noCommonJs: 'export const a = () => require("node:path");\n',
      noDebugger: "export const a = () => {\n  debugger;\n};\n",
    };
    const places = ["src/edge/x.js", "scripts/x.mjs", "tests/edge/x.mjs", "bench/x.mjs", "examples/x.mjs"];
    for (const [rule, text] of Object.entries(wrong)) {
      for (const place of places) {
        mkdirSync(path.dirname(path.join(project, place)), { recursive: true });
        writeFileSync(path.join(project, place), text);
      }
      writeFileSync(path.join(project, "biome.json"), JSON.stringify(config));
      const { status, output } = run(pinnedNode, [BIOME, "lint", "--error-on-warnings"], { cwd: project });
      assert.notEqual(status, 0, rule);
      const found = [...output.matchAll(/^(\S+):\d+:\d+ lint\/\w+\/(\w+)/gm)].filter(([, , name]) => name === rule).map(([, file]) => file);
      assert.deepEqual(found.toSorted(), places.toSorted(), `${rule}\n${output}`);
    }
  });

  test("knows the width and the indentation of the project", () => {
    const { output } = run(pinnedNode, [BIOME, "format", "--stdin-file-path=scripts/x.mjs"], { input: 'export const a = {\n    b: "1" }\n' });
    assert.equal(output, 'export const a = {\n  b: "1",\n};\n');
  });

  test("looks at all JavaScript that git knows, and at nothing else", () => {
    const tracked = run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.js", "*.mjs"]).output.trim().split("\n").length;
    const { output } = run(pinnedNode, [BIOME, "lint", "--verbose"]);
    const seen = [...output.matchAll(/^ *- (?:\.\/)?(\S+\.m?js)$/gm)].map(([, file]) => file);
    assert.equal(new Set(seen).size, tracked, output.slice(-2000));
  });
});

describe("tsc", () => {
  /** What a project of ours does and has: its options, and its files by their paths in the repository. */
  const configOf = (/** @type {string} */ project) => {
    const { output } = run(pinnedNode, [TSC, "--project", project, "--showConfig"]);
    /** @type {{ compilerOptions: Record<string, unknown>, files: string[] }} */
    const { compilerOptions, files } = JSON.parse(output);
    return { compilerOptions, files: files.map((file) => path.join(project, file)) };
  };

  for (const project of TYPED) {
    test(`finds a wrong type and a missing one in JavaScript such as that of ${project}`, () => {
      const copy = path.join(folder, "typed", project);
      mkdirSync(copy, { recursive: true });
      const typeRoots = [at("node_modules"), at("node_modules/@types")];
      writeFileSync(
        path.join(copy, "tsconfig.json"),
        JSON.stringify({ extends: at(project, "tsconfig.json"), compilerOptions: { typeRoots }, include: ["*.js"], exclude: [] }),
      );
      writeFileSync(path.join(copy, "wrong.js"), "export const wrong = new Headers().get(1);\n");
      writeFileSync(path.join(copy, "untyped.js"), "export const untyped = (value) => value;\n");
      const { status, output } = run(pinnedNode, [TSC, "--project", copy]);
      assert.notEqual(status, 0);
      assert.match(output, /wrong\.js\(1,\d+\): error TS2345/);
      assert.match(output, /untyped\.js\(1,\d+\): error TS7006/);
    });

    test(`is strict about ${project}, and is told to look away nowhere`, () => {
      const { compilerOptions, files } = configOf(project);
      for (const option of ["strict", "checkJs"]) assert.equal(compilerOptions[option], true, option);
      for (const [option, value] of Object.entries(compilerOptions)) assert.ok(value !== false, `${option} is off`);
      const checked = files.filter((file) => /\.m?js$/.test(file));
      // The pages have one script; every other folder has more.
      assert.ok(checked.length >= (project === "www" ? 1 : 4), String(checked));
      for (const file of checked) {
        const text = readFileSync(at(file), "utf8");
        assert.doesNotMatch(text, /\/[/*]+ *@ts-(nocheck|ignore)/, file);
        assert.doesNotMatch(text, /\/[/*]+ *@ts-expect-error(?!: \S)/, `${file}: the reason is missing`);
        for (const [comment] of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) assert.doesNotMatch(comment, /@\w+ \{[^\n]*\bany\b[^\n]*\}/, file);
      }
    });
  }

  test("sees all JavaScript that git knows, but for what needs the types of Express, Koa or React", () => {
    const tracked = run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.js", "*.mjs"]).output.trim().split("\n");
    const seen = new Set(TYPED.flatMap((project) => configOf(project).files));
    assert.deepEqual(
      tracked.filter((file) => !seen.has(file)),
      [
        "examples/express/login.js",
        "examples/express/server.js",
        "examples/koa/server.js",
        "examples/react/open-site.js",
        "examples/service-node/server.js",
        "tests/peers/label-studio-sso/express.mjs",
        "tests/peers/label-studio-sso/koa.mjs",
        "tests/peers/label-studio-sso/run_custom_jwt.mjs",
      ],
    );
  });

  test("what the types say of the core's exports is what the build exports", () => {
    const declared = [...readFileSync(at("src/edge/core.d.ts"), "utf8").matchAll(/^export function (\w+)\(([^)]*)\)/gm)];
    /** @param {string} text */
    const parameters = (text) =>
      text
        .split(",")
        .map((part) => part.split(":")[0].trim())
        .filter(Boolean);
    const built = new Map(
      [...readFileSync(at("build/bindgen/index.js"), "utf8").matchAll(/^export function (\w+) ?\(([^)]*)\)/gm)].map(([, name, text]) => [
        name,
        parameters(text),
      ]),
    );
    // The start function runs by itself, and wasm-bindgen's own state is its own.
    for (const name of ["start", "__worker_init_state"]) built.delete(name);
    assert.deepEqual(Object.fromEntries(declared.map(([, name, text]) => [name, parameters(text)])), Object.fromEntries(built));
  });
});

describe("cargo-deny", () => {
  /**
   * Checks a package that depends on another one with these fields.
   * @param {string} name
   * @param {string} fields
   */
  function deny(name, fields) {
    const project = mkdtempSync(path.join(folder, "deny-"));
    /**
     * @param {string} place
     * @param {string} text
     */
    const crate = (place, text) => {
      mkdirSync(path.join(place, "src"), { recursive: true });
      writeFileSync(path.join(place, "src/lib.rs"), "");
      writeFileSync(path.join(place, "Cargo.toml"), text);
    };
    crate(path.join(project, "inner"), `[package]\nname = "${name}"\nversion = "0.1.0"\nedition = "2024"\n${fields}\n`);
    crate(
      project,
      `[package]\nname = "outer"\nversion = "0.1.0"\nedition = "2024"\nlicense = "MIT"\npublish = false\n[dependencies]\n${name} = { path = "inner" }\n[workspace]\n`,
    );
    const checks = ["--allow", "unmatched-skip", "bans", "licenses", "sources"];
    return run("cargo", ["deny", "--offline", "--config", at("deny.toml"), "check", "--allow", "license-not-encountered", ...checks], { cwd: project });
  }

  test("takes a permissive licence, and no other", () => {
    const good = deny("good", 'license = "MIT"');
    assert.equal(good.status, 0, good.output);
    for (const licence of ['license = "GPL-3.0-only"', 'license = "AGPL-3.0-only"', 'license = "MIT AND LGPL-2.1-only"', ""]) {
      const { status, output } = deny("bad", licence);
      assert.notEqual(status, 0, licence);
      assert.match(output, /licenses FAILED/, licence);
    }
  });

  test("takes no crate that is banned", () => {
    const { deny: banned } = /** @type {{ deny: { crate: string }[] }} */ (parseToml(readFileSync(at("deny.toml"), "utf8")).bans);
    assert.ok(banned.length > 0);
    for (const { crate } of banned) {
      const { status, output } = deny(crate, 'license = "MIT"');
      assert.notEqual(status, 0, crate);
      assert.match(output, /bans FAILED/, crate);
    }
  });
});

test("rustup is told what the build needs, and no version that people would have to fetch", () => {
  const { toolchain } = /** @type {{ toolchain: { channel: string, components: string[], targets: string[] } }} */ (
    parseToml(readFileSync(at("rust-toolchain.toml"), "utf8"))
  );
  assert.equal(toolchain.channel, "stable");
  assert.deepEqual(toolchain.components, ["clippy", "rustfmt"]);
  assert.deepEqual(toolchain.targets, ["wasm32-unknown-unknown"]);
  const { package: crate } = /** @type {{ package: { "rust-version": string } }} */ (parseToml(readFileSync(at("Cargo.toml"), "utf8")));
  const [major, minor] = crate["rust-version"].split(".").map(Number);
  const { output } = run("rustc", ["--version"]);
  const [, hasMajor, hasMinor] = (output.match(/^rustc (\d+)\.(\d+)/) ?? []).map(Number);
  assert.ok(hasMajor > major || (hasMajor === major && hasMinor >= minor), output);
});
