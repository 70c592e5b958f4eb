// What ships beside the core as files of their own: the password hashes (kdf/), each a Wasm with memory of its own, and the
// list of common passwords.
import { copyFileSync, renameSync } from "node:fs";
import path from "node:path";
import { COMMON_PASSWORDS, KDFS } from "./apart.mjs";
import { at, pinnedNode } from "./project.mjs";
import { runStep } from "./step.mjs";

const TARGET = "wasm32-unknown-unknown";

// What rustc uses by default, and the vector instructions.
const WASM_FEATURES = ["mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory", "bulk-memory-opt", "multivalue", "reference-types", "simd"];

/**
 * Compiles both hashes; returns name and path of all files. A folder of its own for each, since the flags and features differ,
 * and cargo would otherwise build them anew each time.
 * @param {string} crate the project's folder
 * @returns {Promise<[name: string, compiled: string][]>}
 */
export async function compileApart(crate) {
  /** @type {[string, string][]} */
  const compiled = [[COMMON_PASSWORDS, path.join(crate, "src/edge", COMMON_PASSWORDS)]];
  for (const [name, feature] of Object.entries(KDFS)) {
    const folder = path.join(process.env.CARGO_TARGET_DIR ?? path.join(crate, "target"), `kdf-${feature}`);
    const simd = `target.${TARGET}.rustflags=["-Ctarget-feature=+simd128"]`;
    const options = ["--manifest-path", path.join(crate, "kdf/Cargo.toml"), "--features", feature, "--target-dir", folder, "--config", simd];
    await runStep("build", `cargo: ${name}`, ["cargo", "build", "--release", "--lib", "--target", TARGET, "--locked", ...options], { cwd: crate });
    compiled.push([name, path.join(folder, TARGET, "release/edgeward_kdf.wasm")]);
  }
  return compiled;
}

/**
 * Puts a compiled file where it ships from.
 * @param {string} from
 * @param {string} to
 */
export async function placeApart(from, to) {
  const draft = `${to}.new`;
  if (to.endsWith(".wasm")) {
    const options = ["-O3", ...WASM_FEATURES.map((feature) => `--enable-${feature}`), "-o", draft];
    await runStep("build", `wasm-opt: ${path.basename(to)}`, [pinnedNode, at("node_modules/binaryen/bin/wasm-opt"), from, ...options]);
  } else {
    copyFileSync(from, draft);
  }
  renameSync(draft, to);
}
