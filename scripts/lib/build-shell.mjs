// The build of shell/ for Node: cargo → wasm-bindgen → build/shell/.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { SHELL } from "./built.mjs";
import { withLock } from "./lock.mjs";
import { at, wasmBindgen } from "./project.mjs";
import { runStep } from "./step.mjs";

const TARGET = "wasm32-unknown-unknown";

/** @type {Promise<void> | undefined} */
let built;

/** Builds what has changed, once for each process. Prints a message only if that takes long. */
export function buildShell() {
  built ??= withLock(at("build/.shell.lock"), build);
  return built;
}

async function build() {
  // By itself, so that the feature `worker` is off: the Worker's shell needs functions that Node does not have.
  const cargo = ["cargo", "build", "--locked", "--profile", "shell", "--package", "edgeward-shell", "--lib", "--target", TARGET];
  await runStep("core", "cargo: the core for the commands", cargo, { quietFor: 1_500 });
  const compiled = path.join(process.env.CARGO_TARGET_DIR ?? at("target"), TARGET, "shell/edgeward_shell.wasm");
  const file = at(SHELL);
  const folder = path.dirname(file);
  const stampFile = path.join(folder, ".stamp");
  const stamp = createHash("sha256").update(readFileSync(compiled)).update(readFileSync(wasmBindgen)).digest("hex");
  if (existsSync(file) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  const draft = `${folder}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  const bindgen = [wasmBindgen, compiled, "--target", "experimental-nodejs-module", "--no-typescript", "--out-dir", draft];
  await runStep("core", "wasm-bindgen", bindgen, { quietFor: 1_500 });
  writeFileSync(path.join(draft, ".stamp"), stamp);
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
}
