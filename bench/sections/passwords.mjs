// What a password hash costs in the Worker, and how much more that is than on this machine without workerd.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { bundle } from "../../scripts/lib/build.mjs";
import { at, toolEnv } from "../../scripts/lib/project.mjs";
import { startEdgeward } from "../lib/edgeward.mjs";
import { upstreamOf } from "../lib/entrants.mjs";
import { ask } from "../lib/http.mjs";
import { wantedRows } from "../lib/options.mjs";
import { HOST } from "../lib/request.mjs";
import { median } from "../lib/stats.mjs";
import { markdown } from "../lib/table.mjs";

/** @import { People, RoundSection, Tools } from "../lib/types.js" */
/** @typedef {{ label: string, kdf: { name: string, [parameter: string]: string | number }, length: number, count: number }} Work */

/** @type {Work[]} */
const ROWS = [
  { label: "Argon2id, 19 MiB, 2 passes (new passwords)", kdf: { name: "argon2id", memory_kib: 19_456, passes: 2, lanes: 1 }, length: 32, count: 20 },
  { label: "Argon2id, 32 MiB, 3 passes", kdf: { name: "argon2id", memory_kib: 32_768, passes: 3, lanes: 1 }, length: 32, count: 8 },
  { label: "PBKDF2-SHA256, 1,000,000 rounds (Django)", kdf: { name: "pbkdf2_sha256", iterations: 1_000_000 }, length: 32, count: 2 },
  { label: "bcrypt over SHA-256, cost 12 (Django)", kdf: { name: "bcrypt_sha256", cost: 12 }, length: 23, count: 3 },
  { label: "scrypt, N = 2^14, r = 8, p = 5 (Django)", kdf: { name: "scrypt", log_n: 14, r: 8, p: 5 }, length: 64, count: 6 },
];

/** @type {RoundSection} */
const section = {
  name: "passwords",
  about: "CPU of a password hash in the Worker, and its ratio to the same hash without workerd",
  minutes: 2,
  rounds: 5,
  async run({ options, people, tools }) {
    const rounds = options.rounds ?? section.rounds;
    const rows = wantedRows(ROWS, options);
    const native = buildNative();
    const worker = await startHashing({ people, tools });
    const samples = rows.map(() => /** @type {{ worker: number, native: number }[]} */ ([]));
    const memory = rows.map(() => 0);
    for (let round = 0; round <= rounds; round += 1) {
      for (const [index, { kdf, length, count }] of rows.entries()) {
        const before = worker.exactCpu();
        const { status, body } = await ask(worker, { host: HOST, path: "/__hash", method: "POST", body: JSON.stringify({ kdf, length, count }) });
        if (status !== 200) throw new Error(`a hash was answered ${status}: ${body}\n${worker.log()}`);
        const spent = ((worker.exactCpu() - before) * 1000) / count;
        const { name, ...parameters } = kdf;
        const alone = Number(execFileSync(native, [name, String(count), ...Object.values(parameters).map(String)], { encoding: "utf8" }));
        memory[index] = JSON.parse(body).memory;
        // The first round makes the instances, and V8 compiles.
        if (round > 0) samples[index].push({ worker: spent, native: alone });
      }
      tools.progress(`round ${round} of ${rounds}`);
    }
    await worker.stop();
    const results = rows.map(({ label }, index) => ({
      label,
      worker: median(samples[index].map((sample) => sample.worker)),
      native: median(samples[index].map((sample) => sample.native)),
      ratio: median(samples[index].map((sample) => sample.worker / sample.native)),
      memory: memory[index],
    }));
    const text = markdown(
      ["hash", "ms CPU in the Worker", "ms without workerd", "ratio", "Wasm memory, MiB"],
      results.map((row) => [row.label, row.worker.toFixed(1), row.native.toFixed(1), row.ratio.toFixed(2), (row.memory / 2 ** 20).toFixed(1)]),
    );
    return { text, rows: results, samples, rounds };
  },
};
export default section;

/** The program that makes the same hashes without workerd. */
function buildNative() {
  const folder = join(process.env.CARGO_TARGET_DIR ?? at("target"), "kdf");
  const options = ["--manifest-path", at("kdf/Cargo.toml"), "--all-features", "--target-dir", folder];
  execFileSync("cargo", ["build", "--release", "--locked", "--quiet", "--example", "time", ...options], { env: toolEnv() });
  return join(folder, "release/examples/time");
}

/**
 * Starts the Worker with a way to its hashes (bench/workers/passwords.js), and one person who is signed in.
 * @param {{ people: People, tools: Tools }} run
 */
export async function startHashing({ people, tools }) {
  const { folder, build, workers, kv, origin } = tools;
  const script = join(folder, "passwords.js");
  await bundle(join(workers, "passwords.js"), script);
  const world = await people.worldOf("build", 1);
  const worker = await startEdgeward({ name: "passwords", build, folder, kv, upstream: upstreamOf(origin), world, script });
  return { ...worker, session: world.callers[0].session };
}
