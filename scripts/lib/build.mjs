// The Worker's build: cargo → wasm-bindgen → wasm-opt and esbuild → build/worker.js and build/edgeward.wasm, and beside them
// what has no part in the core (kdf.mjs).
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as esbuild from "esbuild";
import { APART } from "./apart.mjs";
import { compileApart, placeApart } from "./kdf.mjs";
import { withLock } from "./lock.mjs";
import { at, pinnedNode, root, wasmBindgen } from "./project.mjs";
import { sizes } from "./size.mjs";
import { runStep, StepFailed } from "./step.mjs";
import { readSymbols } from "./wasm.mjs";

const TARGET = "wasm32-unknown-unknown";

// Measured: less inlining than rustc does by default saves 15 KB after gzip.
const INLINE_LESS = `target.${TARGET}.rustflags = ["-C", "llvm-args=-inline-threshold=10"]`;

// Listed one by one, never --all-features: binaryen must not use an encoding that workerd does not support yet.
// These are the features that rustc uses by default, and the exception handling of wasm-bindgen's catch wrappers.
const WASM_FEATURES = [
  "mutable-globals",
  "sign-ext",
  "nontrapping-float-to-int",
  "bulk-memory",
  "bulk-memory-opt",
  "multivalue",
  "reference-types",
  "call-indirect-overlong",
  "exception-handling",
  "simd",
];

/**
 * Builds what has changed and returns the sizes. Only the tooling's own tests set other folders for `crate` and `out`.
 * @param {{ crate?: string, out?: string }} [folders]
 */
export function build({ crate = root, out = at("build") } = {}) {
  return withLock(
    path.join(out, ".lock"),
    () => buildLocked(crate, out),
    (pid) => void process.stderr.write(`build  waiting for another build (process ${pid})\n`),
  );
}

/**
 * @param {string} crate
 * @param {string} out
 */
async function buildLocked(crate, out) {
  const lib = ["build", "--release", "--package", "edgeward", "--lib", "--target", TARGET, "--locked", "--config", INLINE_LESS];
  await runStep("build", "cargo: the library as Wasm", ["cargo", ...lib], { cwd: crate });
  const compiled = path.join(process.env.CARGO_TARGET_DIR ?? path.join(crate, "target"), TARGET, "release/edgeward.wasm");
  const apart = await compileApart(crate);

  const stampFile = path.join(out, ".stamp");
  const stamp = digest([
    compiled,
    ...apart.map(([, file]) => file),
    ...javascript(path.join(crate, "src/edge")),
    at("package-lock.json"),
    at("scripts/lib/build.mjs"),
    at("scripts/lib/kdf.mjs"),
    at("scripts/lib/wasm.mjs"),
  ]);
  const files = builtFiles(out);
  const isFresh = [...Object.values(files).flat(), stampFile].every((file) => existsSync(file)) && readFileSync(stampFile, "utf8") === stamp;
  if (!isFresh) {
    rmSync(stampFile, { force: true });
    await bind(compiled, path.join(out, "bindgen"));
    await bundle(path.join(crate, "src/edge/entry.js"), files.js, path.join(crate, "src/edge"));
    await optimize(path.join(out, "bindgen/index_bg.wasm"), files.wasm, files.symbols);
    for (const [name, file] of apart) await placeApart(file, path.join(out, name));
    writeFileSync(stampFile, stamp);
  }
  return sizes(files);
}

/**
 * What a build consists of.
 * @param {string} out
 */
export function builtFiles(out = at("build")) {
  const [wasm, js, symbols] = ["edgeward.wasm", "worker.js", "symbols.json"].map((name) => path.join(out, name));
  return { wasm, js, symbols, apart: APART.map((name) => path.join(out, name)) };
}

// The module target imports the .wasm as a module and instantiates it synchronously. `__wbg_reset_state` creates a new
// instance after a panic; with the abort handler wasm-bindgen notices that the old one has ended.
/**
 * @param {string} compiled
 * @param {string} folder
 */
async function bind(compiled, folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const target = ["--target", "module", "--out-dir", folder, "--out-name", "index", "--no-typescript"];
  const recovery = ["--experimental-reset-state-function", "--force-enable-abort-handler"];
  await runStep("build", "wasm-bindgen", [wasmBindgen, compiled, ...target, ...recovery]);
  const index = path.join(folder, "index.js");
  const written = readFileSync(index, "utf8");
  // workerd has no source-phase imports; a plain import of a .wasm file is a WebAssembly.Module.
  const plain = written.replace(/^import source (\w+) from "\.\/index_bg\.wasm";$/m, 'import $1 from "./edgeward.wasm";');
  if (plain === written) throw new StepFailed("wasm-bindgen's output has no source-phase import of index_bg.wasm; scripts/lib/build.mjs expects one");
  writeFileSync(index, plain);
}

// rustc has already optimised the code. Measured: a shrink level saves 1.9 KB; -O2, -O3, -Os and -Oz make the file smaller, but 10 to 14 KB larger after
// gzip; they take three times as long and save no CPU per request.
// The names of functions do not ship. They and the call graph tell what each capability weighs, so both are kept in a file
// beside the Wasm.
/**
 * @param {string} from
 * @param {string} to
 * @param {string} symbols
 */
async function optimize(from, to, symbols) {
  const draft = `${to}.new`;
  const symbolMap = `${symbols}.new`;
  const options = [
    "-O1",
    "--shrink-level=1",
    `--symbolmap=${symbolMap}`,
    "--print-call-graph",
    ...WASM_FEATURES.map((feature) => `--enable-${feature}`),
    "-o",
    draft,
  ];
  const callGraph = await runStep("build", "wasm-opt", [pinnedNode, at("node_modules/binaryen/bin/wasm-opt"), from, ...options]);
  writeFileSync(symbols, JSON.stringify(readSymbols(readFileSync(symbolMap, "utf8"), callGraph)));
  rmSync(symbolMap);
  renameSync(draft, to);
}

/**
 * Bundles `entry` with its imports. `shell` is the folder of the JavaScript that the shell uses.
 * @param {string} entry
 * @param {string} to
 * @param {string} [shell]
 */
export async function bundle(entry, to, shell = at("src/edge")) {
  const draft = `${to}.new`;
  try {
    await esbuild.build({
      entryPoints: [entry],
      outfile: draft,
      bundle: true,
      format: "esm",
      target: "es2024",
      minify: true,
      charset: "utf8",
      legalComments: "none",
      logLevel: "silent",
      absWorkingDir: root,
      external: ["cloudflare:*"],
      plugins: [keepModules, oneCopy(shell)],
    });
  } catch (error) {
    const { errors = [] } = /** @type {Partial<esbuild.BuildFailure>} */ (error);
    const text = await esbuild.formatMessages(errors, { kind: "error", terminalWidth: 100 });
    throw new StepFailed("esbuild could not bundle the Worker", text.join("") || String(error));
  }
  renameSync(draft, to);
}

/**
 * The files that ship beside the script stay imports, which the runtime resolves.
 * @type {esbuild.Plugin}
 */
const keepModules = {
  name: "keep-modules",
  setup: (build) => build.onResolve({ filter: /^\.\/[\w-]+\.(wasm|bin)$/ }, ({ path }) => ({ path, external: true })),
};

// wasm-bindgen imports copies of the shell's JavaScript. The entry imports the same files, and each module's state must
// exist only once.
/** @type {(folder: string) => esbuild.Plugin} */
const oneCopy = (folder) => ({
  name: "one-copy",
  setup(build) {
    build.onResolve({ filter: /\/snippets\/edgeward-\w+\/src\/edge\/\w+\.js$/ }, (given) => ({ path: path.join(folder, path.basename(given.path)) }));
    build.onLoad({ filter: /\/snippets\/edgeward-/ }, (given) => ({
      errors: [{ text: `a second copy of ${given.path}: scripts/lib/build.mjs does not know this path` }],
    }));
  },
});

/** @param {string} folder */
function javascript(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".js"))
    .sort()
    .map((name) => path.join(folder, name));
}

/** @param {string[]} files */
function digest(files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${path.relative(root, file)}\0`).update(createHash("sha256").update(readFileSync(file)).digest());
  return hash.digest("hex");
}
