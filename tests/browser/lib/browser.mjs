// A real Chromium: the one in CHROMIUM_BIN, or the one that npm brings. That of the system may be of any version, and what
// works in frames without cookies of third parties differs between them.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { withLock } from "../../../scripts/lib/lock.mjs";
import { at } from "../../../scripts/lib/project.mjs";

/** @import { Page } from "playwright-core" */

const TEST_OUTPUT = at("test-output");

/**
 * Starts Chromium; every name under `.test` leads to this machine. `trusted`: the hash of a public key.
 * @param {{ trusted?: string }} [options]
 */
export async function launchBrowser({ trusted } = {}) {
  const { executablePath, env } = await findChromium();
  return chromium.launch({
    executablePath,
    env: { ...process.env, ...env },
    args: [
      "--no-sandbox", // it only sees pages of this test, and cannot start as root otherwise
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--ignore-certificate-errors",
      ...(trusted ? [`--ignore-certificate-errors-spki-list=${trusted}`] : []),
      "--host-resolver-rules=MAP *.test 127.0.0.1",
    ],
  });
}

/**
 * Keeps a picture of the page in test-output/, which git ignores.
 * @param {Page} page
 * @param {string} name
 */
export async function screenshot(page, name) {
  mkdirSync(TEST_OUTPUT, { recursive: true });
  writeFileSync(path.join(TEST_OUTPUT, ".gitignore"), "*\n");
  await page.screenshot({ path: path.join(TEST_OUTPUT, `${name}.png`) });
}

async function findChromium() {
  const given = process.env.CHROMIUM_BIN;
  if (given) return { executablePath: given };
  return withLock(at(".tools/chromium.lock"), unpackedChromium);
}

/** Chromium out of the npm package @sparticuz/chromium, unpacked once into .tools/. */
async function unpackedChromium() {
  const packageFolder = at("node_modules/@sparticuz/chromium");
  const { version } = JSON.parse(readFileSync(path.join(packageFolder, "package.json"), "utf8"));
  const folder = at(`.tools/chromium-${version}`);
  if (!existsSync(folder)) {
    process.stderr.write("browser  unpacks Chromium into .tools/\n");
    const draft = mkdtempSync(at(".tools/chromium-draft-"));
    try {
      await unpack(packageFolder, draft);
      renameSync(draft, folder);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  const executablePath = path.join(folder, "chromium");
  if (starts(executablePath)) return { executablePath };
  // A machine without the NSS libraries: the package has them too.
  const env = { LD_LIBRARY_PATH: path.join(folder, "al2023/lib") };
  if (starts(executablePath, env)) return { executablePath, env };
  throw new Error("the Chromium of @sparticuz/chromium does not start here; install one and set CHROMIUM_BIN to it");
}

/**
 * The package unpacks into the folder for temporary files, and reuses what it finds there.
 * @param {string} packageFolder
 * @param {string} folder
 */
async function unpack(packageFolder, folder) {
  const usual = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  try {
    const { default: sparticuz, inflate } = await import("@sparticuz/chromium");
    await sparticuz.executablePath();
    await inflate(path.join(packageFolder, "bin/al2023.tar.br"));
  } finally {
    if (usual === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = usual;
  }
}

/** @param {string} executablePath */
function starts(executablePath, env = {}) {
  return spawnSync(executablePath, ["--version"], { env: { ...process.env, ...env } }).status === 0;
}
