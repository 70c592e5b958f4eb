// The licences of what is compiled into the package: crates that are linked into its Wasm.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { at } from "./project.mjs";
import { capture } from "./step.mjs";

const TARGET = "wasm32-unknown-unknown";

/** @typedef {{ id: string, name: string, version: string, license: string | null, manifest_path: string, source: string | null, targets: { kind: string[] }[] }} Crate */
/** @typedef {{ packages: Crate[], resolve: { nodes: { id: string, deps: { pkg: string, dep_kinds: { kind: string | null }[] }[] }[] }, workspace_members: string[] }} Metadata */

/** The text of the file: each crate with its licence, and each licence's text once. */
export async function licences() {
  /** @type {Map<string, string[]>} */
  const texts = new Map();
  /** @type {string[]} */
  const unnamed = [];
  for (const crate of await linked()) {
    const title = `${crate.name} ${crate.version} (${crate.license ?? "see below"})`;
    const folder = path.dirname(crate.manifest_path);
    const files = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice|unlicense)/i.test(name) && !/apache/i.test(name));
    const found = files.length > 0 ? files : readdirSync(folder).filter((name) => /^licen[cs]e/i.test(name));
    if (found.length === 0) unnamed.push(title);
    for (const name of found.filter((name) => existsSync(path.join(folder, name)))) {
      const text = readFileSync(path.join(folder, name), "utf8").replaceAll("\r\n", "\n").trim();
      texts.set(text, [...(texts.get(text) ?? []), title]);
    }
  }
  const parts = [...texts].map(([text, titles]) => `${[...new Set(titles)].join("\n")}\n\n${text}`);
  if (unnamed.length > 0) parts.push(`${unnamed.join("\n")}\n\nThese crates have no file with the text of their licence.`);
  const rule = `\n\n${"-".repeat(80)}\n\n`;
  return `The WebAssembly of this package has code of these crates, each under the licence that is named with it.${rule}${parts.join(rule)}\n`;
}

/** The crates of registries that are linked into the Worker, the core of the commands and the password hashes. */
async function linked() {
  /** @type {Map<string, Crate>} */
  const found = new Map();
  for (const manifest of ["Cargo.toml", "shell/Cargo.toml", "kdf/Cargo.toml"]) {
    const features = manifest.startsWith("kdf") ? ["--all-features"] : [];
    const command = [
      "cargo",
      "metadata",
      "--format-version",
      "1",
      "--locked",
      "--offline",
      "--filter-platform",
      TARGET,
      "--manifest-path",
      at(manifest),
      ...features,
    ];
    const { packages, resolve, workspace_members } = /** @type {Metadata} */ (JSON.parse(await capture(command)));
    const crates = new Map(packages.map((crate) => [crate.id, crate]));
    const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
    const reached = new Set(workspace_members);
    for (const id of reached) {
      const crate = crates.get(id);
      // A macro runs while it is compiled, and none of it is linked.
      if (crate === undefined || crate.targets.some(({ kind }) => kind.includes("proc-macro"))) continue;
      if (crate.source !== null) found.set(`${crate.name} ${crate.version}`, crate);
      for (const { pkg, dep_kinds } of nodes.get(id)?.deps ?? []) if (dep_kinds.some(({ kind }) => kind === null)) reached.add(pkg);
    }
  }
  return [...found.values()].toSorted((one, other) => one.name.localeCompare(other.name));
}
