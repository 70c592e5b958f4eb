// The bench measures, and prints no table when the Workers did not do the same work.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";

const SHORT = ["--rounds", "1", "--seconds", "0.2"];

test("the bench prints one row for each Worker and keeps every sample", async (t) => {
  const file = path.join(folder(t), "samples.json");
  const { status, stdout, stderr } = await bench([...SHORT, "--json", file]).ended;
  assert.equal(status, 0, stderr);
  const variants = ["edgeward", "edgeward-page", "edgeward-trace", "edgeward-cookie"];
  const names = ["passthrough", "undecided", ...variants, "jose", "jose-memo", "hono", "hono-memo", "js-memo"];
  assert.deepEqual(stdout.trim().split("\n").slice(2).map((row) => row.split("|")[1].trim()), names);
  const { rows, samples } = JSON.parse(readFileSync(file, "utf8"));
  assert.deepEqual(rows.map(({ name }) => name), names);
  assert.equal(rows[0].ratio, 1);
  for (const name of names) assert.ok(samples[name][0].microseconds > 0);
});

test("an earlier build is measured beside the newest, named by a relative path", async () => {
  const { status, stdout, stderr } = await bench([...SHORT, "--only", "edgeward,edgeward-page", "--before", "build"]).ended;
  assert.equal(status, 0, stderr);
  const names = stdout.trim().split("\n").slice(2).map((row) => row.split("|")[1].trim());
  assert.deepEqual(names, ["passthrough", "edgeward", "edgeward-page", "before", "before-page"]);
});

const forwarding = (edits) => `
  export default {
    fetch(request, env) {
      const forward = new Request(env.ORIGIN + request.url.slice(request.url.indexOf("/", 8)), request);
      ${edits}
      return fetch(forward);
    },
  };`;
const WITHOUT_CREDENTIAL = `forward.headers.set("cookie", request.headers.get("cookie").replace(/__Host-edgeward=[^;]*; /, ""));`;

const COMPLETE = `${WITHOUT_CREDENTIAL}
  const told = {
    user: "usr_0123456789abcdefghijkl", email: "ada@example.com", groups: "editor,reviewer", "preferred-username": "ada",
    host: request.headers.get("host"), proto: "http", for: request.headers.get("cf-connecting-ip"),
  };
  for (const [name, value] of Object.entries(told)) forward.headers.set("x-forwarded-" + name, value);`;
const CLEAN = `forward.headers.delete("x-real-ip");`;

for (const { what, source, says } of [
  { what: "answers another status", source: `export default { fetch: () => new Response("hello edge!\\n", { status: 203 }) };`, says: /HTTP\/1\.1 203/ },
  { what: "answers another body", source: `export default { fetch: () => new Response("hello world\\n") };`, says: /hello world/ },
  { what: "answers without the origin", source: `export default { fetch: () => new Response("hello edge!\\n") };`, says: /the origin received 0/ },
  { what: "hands the credential on", source: forwarding(""), says: /received cookie .*__Host-edgeward/ },
  { what: "drops another cookie", source: forwarding(`forward.headers.set("cookie", "theme=dark");`), says: /received cookie \["theme=dark"\] instead of/ },
  { what: "tells no identity", source: forwarding(WITHOUT_CREDENTIAL), says: /received x-forwarded-user \[\] instead of/ },
  {
    what: "tells another identity",
    source: forwarding(`${WITHOUT_CREDENTIAL} forward.headers.set("x-forwarded-user", "mallory");`),
    says: /received x-forwarded-user \["mallory"\] instead of/,
  },
  { what: "passes on what a client made up", source: forwarding(COMPLETE), says: /received x-real-ip \["203\.0\.113\.7"\] instead of \[\]/ },
  { what: "adds a header", source: forwarding(`${COMPLETE} ${CLEAN} forward.headers.set("x-more", "1");`), says: /received x-more \["1"\] instead of \[\]/ },
  { what: "lets others keep the answer", source: forwarding(`${COMPLETE} ${CLEAN}`), says: /the answer has no "cache-control: private"/ },
]) {
  test(`the bench refuses when a Worker ${what}`, async (t) => {
    const workers = folder(t);
    for (const name of readdirSync(at("bench/workers"))) writeFileSync(path.join(workers, name), readFileSync(at("bench/workers", name)));
    writeFileSync(path.join(workers, "jose.js"), source);
    const { status, stdout, stderr } = await bench([...SHORT, "--only", "jose", "--workers", workers]).ended;
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /the Workers did not do the same work, so there is no table\.\njose: /);
    assert.match(stderr, says);
  });
}

test("the bench refuses a Worker and an option that it does not know", async () => {
  assert.match((await bench(["--only", "josie"]).ended).stderr, /no Worker is named "josie"/);
  assert.match((await bench(["--round", "1"]).ended).stderr, /--round/);
  assert.match((await bench(["--rounds", "0"]).ended).stderr, /want positive numbers/);
  assert.match((await bench(["--section", "warm"]).ended).stderr, /no section is named "warm"/);
});

test("Ctrl-C stops everything that the bench started", async () => {
  const run = bench(["--only", "jose", "--seconds", "60"]);
  const children = await until(() => {
    const found = childrenOf(run.pid);
    return found.length >= 4 ? found : undefined;
  });
  process.kill(run.pid, "SIGINT");
  const { status } = await run.ended;
  assert.equal(status, 130);
  await until(() => (children.every((pid) => !isAlive(pid)) ? true : undefined));
});

function bench(args) {
  const child = spawn(pinnedNode, [at("bench/run.mjs"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) child[stream].setEncoding("utf8").on("data", (text) => (said[stream] += text));
  const ended = new Promise((resolve) => child.on("close", (status) => resolve({ status, ...said })));
  return { pid: child.pid, ended };
}

function folder(t) {
  const made = mkdtempSync(path.join(tmpdir(), "edgeward-bench-test-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function childrenOf(pid) {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function isAlive(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** What `look` finds; asks again until it does, for at most twenty seconds. */
async function until(look) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < deadline, "waited for twenty seconds");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
