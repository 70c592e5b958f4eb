// The version of Edgeward, and which build of the Worker these commands deploy.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { at } from "./project.mjs";

/** The version of package.json. */
export const version = () => /** @type {{ version: string }} */ (JSON.parse(readFileSync(at("package.json"), "utf8"))).version;

/** What decides how the Worker behaves: the script, and the core as Wasm. */
const BUILT = ["worker.js", "edgeward.wasm"];

/** The first digits of the build's SHA-256; undefined if nothing is built. */
export function buildHash() {
  const files = BUILT.map((name) => at("build", name));
  if (!files.every((file) => existsSync(file))) return undefined;
  const hash = createHash("sha256");
  for (const file of files) hash.update(createHash("sha256").update(readFileSync(file)).digest());
  return hash.digest("hex").slice(0, 16);
}

/** Both for people. */
export function versions() {
  const hash = buildHash();
  return `edgeward ${version()} (${hash === undefined ? "the Worker is not built" : `build ${hash}`})`;
}
