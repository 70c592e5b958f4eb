// `npm run dev` for a test, with ports and a folder of its own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePort } from "../../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../../scripts/lib/project.mjs";
import { until } from "../../edge/lib/world.mjs";
import { outsideNpm } from "./applications.mjs";

const START_SECONDS = 120;

/**
 * Starts it, until the test has ended. Returns its port, what it had said when it was ready, and `said()`: what it has said by now.
 * @param {import("node:test").TestContext} t
 * @param {string[]} [options]
 * @param {{ localFile?: string, watches?: boolean }} [more] `localFile`: the content of wrangler.local.toml.
 */
export async function startDev(t, options = [], { localFile, watches = false } = {}) {
  const port = await freePort();
  const state = mkdtempSync(path.join(tmpdir(), "edgeward-dev-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  if (localFile !== undefined) writeFileSync(path.join(state, "wrangler.local.toml"), localFile);
  const hasDemoOrigin = !options.includes("--upstream") && localFile === undefined;
  const own = [
    "--port",
    String(port),
    ...(hasDemoOrigin ? ["--origin-port", String(await freePort())] : []),
    "--state",
    state,
    ...(watches ? [] : ["--no-watch"]),
  ];
  const child = spawn(pinnedNode, [at("scripts/dev.mjs"), ...options, ...own], { cwd: at(), env: outsideNpm(), stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  await until(() => {
    assert.equal(child.exitCode, null, output);
    return output.includes("Ctrl-C stops everything");
  }, START_SECONDS);
  return { port, state, output, pid: child.pid ?? assert.fail(), said: () => output };
}
