// What `npm run mutants` does: runs cargo-mutants over the files in .cargo/mutants.toml, or over the files of a change.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { at, root, toolEnv } from "./project.mjs";
import { capture, messageOf, StepFailed } from "./step.mjs";

const HELP = `npm run mutants -- [--in-diff <commit>] [--shard <k>/<n>] [--list] [<file> …]

Changes one place of the code at a time and runs the native tests. A change that no test notices counts as missed.
The default files are those in .cargo/mutants.toml. The report is in target/mutants/mutants.out.

  --in-diff <commit>  only what has changed since this commit, including uncommitted changes
  --shard <k>/<n>     the k-th of n parts (from 0), to spread the work over machines or nights
  --list              only list the changes`;

/** @typedef {{ inDiff?: string, shard?: string, list: boolean, help: boolean, files: string[] }} Options */

/**
 * Runs cargo-mutants; returns its exit status: 0 if every change was noticed, 2 if one was missed, 3 after a timeout.
 * @param {string[]} args
 */
export async function mutants(args) {
  const options = readOptions(args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const output = at("target/mutants");
  mkdirSync(output, { recursive: true });
  const diff = `${output}/changes.diff`;
  if (options.inDiff !== undefined) writeFileSync(diff, await capture(["git", "diff", "--no-ext-diff", options.inDiff, "--", "src"]));
  return run(command(options, output, diff));
}

/**
 * The command for `options`.
 * @param {Pick<Options, "inDiff" | "shard" | "list" | "files">} options
 * @param {string} output
 * @param {string} diff
 */
export function command({ inDiff, shard, list, files }, output, diff) {
  return [
    "cargo",
    "mutants",
    "--output",
    output,
    // The lowest rooms are a crate of their own, and the tests of the others run through them.
    "--workspace",
    "--test-workspace=true",
    ...(inDiff === undefined ? [] : ["--in-diff", diff]),
    ...(shard === undefined ? [] : ["--shard", shard]),
    ...(list ? ["--list"] : []),
    // cargo-mutants would add the files to those of its configuration; here they replace them.
    ...(files.length === 0 ? [] : ["--no-config", "--test-tool", "nextest"]),
    ...files.flatMap((file) => ["--file", file]),
    // The interleavings take longer than all other tests together and only test the store.
    ...(list ? [] : ["--", "-E", "not test(interleav)"]),
  ];
}

/**
 * Parses the command line.
 * @param {string[]} args
 * @returns {Options}
 */
export function readOptions(args) {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        "in-diff": { type: "string" },
        shard: { type: "string" },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.shard !== undefined && !/^\d+\/[1-9]\d*$/.test(values.shard)) throw new Error("--shard must be <k>/<n>, such as 0/7");
    return { inDiff: values["in-diff"], shard: values.shard, list: values.list, help: values.help, files: positionals };
  } catch (error) {
    throw new StepFailed(`${messageOf(error)}\n${HELP}`);
  }
}

/**
 * Runs a command in the terminal; returns its exit status.
 * @param {string[]} command
 * @returns {Promise<number>}
 */
function run([program, ...args]) {
  // Without debug information each build takes half the time.
  const child = spawn(program, args, { cwd: root, env: toolEnv({ CARGO_PROFILE_DEV_DEBUG: "0" }), stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new StepFailed(`${program} could not be started: ${error.message}`)));
    child.on("exit", (code) => resolve(code ?? 130));
  });
}
