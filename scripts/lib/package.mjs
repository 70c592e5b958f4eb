// The package `edgeward`: the built Worker, the commands over it, and what they need, so that whoever deploys compiles nothing.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { APART } from "./apart.mjs";
import { build } from "./build.mjs";
import { buildShell } from "./build-shell.mjs";
import { SHELL } from "./built.mjs";
import { optionError } from "./did-you-mean.mjs";
import { licences } from "./licences.mjs";
import { at } from "./project.mjs";
import { releaseNotes } from "./release.mjs";
import { refuseOversize } from "./size.mjs";
import { capture, StepFailed } from "./step.mjs";
import { buildHash } from "./version.mjs";

/** The command, and a program that `dev` starts. */
const PROGRAMS = ["scripts/edgeward.mjs", "scripts/lib/local-provider.mjs"];

/** What is imported in the repository alone: it compiles. */
const OF_REPOSITORY = ["scripts/setup.mjs", ...["build-shell", "weigh", "dev-watch"].map((name) => `scripts/lib/${name}.mjs`)];

/** The packages that the commands use. */
const DEPENDENCIES = ["csv-parse", "smol-toml", "wrangler"];

const COPIED = [
  ...["worker.js", "edgeward.wasm", ...APART].map((name) => `build/${name}`),
  SHELL,
  SHELL.replace(/\.js$/, "_bg.wasm"),
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "SECURITY.md",
  "docs",
  "examples/demo-origin/server.mjs",
  ...["README.md", "keys.json", "package.json", "sign.js", "testing.js"].map((name) => `examples/testing/${name}`),
  "wrangler.schema.json",
];

const HELP = `npm run package -- [options]
  --tag <v…>   refuse unless the tag, the versions and CHANGELOG.md agree; write the notes of the release into dist/NOTES.md`;

const OPTIONS = /** @type {const} */ ({ tag: { type: "string" }, help: { type: "boolean" } });

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function runPackage(args) {
  const { tag, help } = readOptions(args);
  if (help) {
    console.log(HELP);
    return 0;
  }
  const notes = tag === undefined ? undefined : releaseNotes(tag);
  const { tarball, size, files } = await makePackage();
  if (notes !== undefined) writeFileSync(at("dist/NOTES.md"), notes);
  console.log(`${path.relative(at(), tarball)}: ${files} files, ${Math.ceil(size / 1024)} KB`);
  return 0;
}

/** @param {string[]} args */
function readOptions(args) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    throw new StepFailed(optionError(error, OPTIONS), HELP);
  }
}

/**
 * Makes the package and a file with its checksum; returns the path of its tarball, its size in bytes and the number of its files.
 * @param {string} [dist]
 */
export async function makePackage(dist = at("dist")) {
  refuseOversize(await build());
  await buildShell();
  const folder = path.join(dist, "package");
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of COPIED) cpSync(at(file), path.join(folder, file), { recursive: true });
  for (const file of scripts()) write(folder, file, asPackage(readFileSync(at(file), "utf8")));
  write(folder, "wrangler.example.toml", example(readFileSync(at("wrangler.toml"), "utf8")));
  write(folder, "THIRD-PARTY-LICENSES", await licences());
  write(folder, "package.json", `${JSON.stringify(manifest(), null, 2)}\n`);
  const packed = JSON.parse(await capture(["npm", "pack", "--json", "--pack-destination", dist], { cwd: folder }));
  const [{ filename, size, entryCount }] = /** @type {{ filename: string, size: number, entryCount: number }[]} */ (packed);
  const tarball = path.join(dist, filename);
  const sum = createHash("sha256").update(readFileSync(tarball)).digest("hex");
  writeFileSync(path.join(dist, "SHA256SUMS"), `${sum}  ${filename}\n`);
  return { tarball, size, files: entryCount };
}

/**
 * @param {string} folder
 * @param {string} file
 * @param {string} text
 */
function write(folder, file, text) {
  const to = path.join(folder, file);
  mkdirSync(path.dirname(to), { recursive: true });
  writeFileSync(to, text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
}

/** The programs and all that they import. */
function scripts() {
  const found = new Set(PROGRAMS);
  // A set grows while it is gone through.
  for (const file of found) {
    const text = readFileSync(at(file), "utf8");
    for (const [, name] of text.matchAll(/(?:from|import\()\s*"(\.{1,2}\/[^"]+\.mjs)"/g)) {
      const imported = path.posix.join(path.posix.dirname(file), name);
      if (!OF_REPOSITORY.includes(imported)) found.add(imported);
    }
  }
  return [...found];
}

/**
 * A text for people in which the repository's commands are those of the package.
 * @param {string} text
 */
export const asPackage = (text) =>
  text.replace(/npm run (admin|check-config|deploy|dev)\b(?: --(?= ))?/g, "npx edgeward $1").replaceAll("npx wrangler", "npx edgeward wrangler");

/** @param {string} text */
function example(text) {
  const ours = "# build/ is what `npm run build` made and the tests have run; wrangler ships these files as they are.";
  if (!text.includes(ours)) throw new Error("wrangler.toml no longer says where build/ comes from; scripts/lib/package.mjs has its words");
  const its = "# The Worker is the package's, byte for byte what its tests have run; wrangler ships these files as they are.";
  return asPackage(text.replace(ours, its));
}

function manifest() {
  const { name, version, description, license, type, engines, devDependencies, optionalDependencies } = JSON.parse(readFileSync(at("package.json"), "utf8"));
  return {
    name,
    version,
    description,
    license,
    type,
    bin: { edgeward: PROGRAMS[0] },
    engines: { node: engines.node },
    dependencies: Object.fromEntries(DEPENDENCIES.map((dependency) => [dependency, devDependencies[dependency]])),
    optionalDependencies,
    edgeward: { build: buildHash() },
  };
}
