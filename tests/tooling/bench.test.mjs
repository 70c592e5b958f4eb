// The bench measures, and prints no table when the Workers did not do the same work.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";

/** @import { TestContext } from "node:test" */

/** @typedef {{ label: string, name: string, ratio: number, p50: number, cpu: number, time: number }} Row What the rows of a report have, each some of it. */
/** @typedef {{ rows: Row[], samples: Record<string, unknown> }} SectionReport */

const SHORT = ["--rounds", "1", "--seconds", "0.2"];

test("the bench prints one row for each Worker and keeps every sample", async (t) => {
  const file = path.join(folder(t), "samples.json");
  const { status, stdout, stderr } = await bench([...SHORT, "--json", file]).ended;
  assert.equal(status, 0, stderr);
  const variants = ["edgeward", "edgeward-unsigned", "edgeward-page", "edgeward-trace", "edgeward-cookie"];
  const names = ["passthrough", "undecided", ...variants, "jose", "jose-memo", "hono", "hono-memo", "js-memo"];
  assert.deepEqual(
    stdout
      .trim()
      .split("\n")
      .slice(2)
      .map((row) => row.split("|")[1].trim()),
    names,
  );
  const { rows, samples } = JSON.parse(readFileSync(file, "utf8"));
  assert.deepEqual(
    rows.map((/** @type {{ name: string }} */ { name }) => name),
    names,
  );
  assert.equal(rows[0].ratio, 1);
  for (const name of names) assert.ok(samples[name][0].microseconds > 0);
});

test("an earlier build is measured beside the newest, named by a relative path", async () => {
  const { status, stdout, stderr } = await bench([...SHORT, "--only", "edgeward,edgeward-page", "--before", "build"]).ended;
  assert.equal(status, 0, stderr);
  const names = stdout
    .trim()
    .split("\n")
    .slice(2)
    .map((row) => row.split("|")[1].trim());
  assert.deepEqual(names, ["passthrough", "edgeward", "edgeward-page", "before", "before-page"]);
});

/** @param {string} edits */
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

/**
 * Runs one section, short; answers its table as lists of cells, and its JSON.
 * @param {TestContext} t
 * @param {string} name
 * @param {...string} args
 * @returns {Promise<{ head: string[], rows: string[][], report: SectionReport }>}
 */
async function section(t, name, ...args) {
  const file = path.join(folder(t), "samples.json");
  const { status, stdout, stderr } = await bench(["--section", name, "--rounds", "1", "--seconds", "0.2", "--json", file, ...args]).ended;
  assert.equal(status, 0, stderr);
  const table = stdout
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return { head: table[0], rows: table.slice(2), report: JSON.parse(readFileSync(file, "utf8")) };
}

/**
 * A number above zero, perhaps with what lies around it.
 * @param {string} cell
 */
const isFigure = (cell) => /^\d+(\.\d+)?( \(\d+\.\d+–\d+\.\d+\))?$/.test(cell) && Number.parseFloat(cell) > 0;

for (const { name, args = [], rows, columns } of [
  {
    name: "first-sight",
    args: ["--row", "EdDSA"],
    rows: 1,
    columns: ["credential", "passthrough", "passthrough-kv", "edgeward", "edgeward-assertion", "µs jose"],
  },
  { name: "refusals", rows: 9, columns: ["refusal", "edgeward", "jose", "µs passthrough"] },
  {
    name: "scale",
    args: ["--row", "60 headers", "--row", "30 cookies", "--only", "edgeward,js-memo"],
    rows: 2,
    columns: ["with", "edgeward", "js-memo", "µs passthrough"],
  },
  {
    name: "scale",
    args: ["--row", "2 headers", "--row", "500 rules", "--row", "200 sites", "--row", "100,000 users", "--only", "edgeward"],
    rows: 4,
    columns: ["with", "edgeward", "µs passthrough"],
  },
]) {
  test(`the section ${name} prints a row for each scenario (${args.join(" ") || "all rows"})`, async (t) => {
    const { head, rows: printed, report } = await section(t, name, ...args);
    assert.deepEqual(head, columns);
    assert.equal(printed.length, rows, JSON.stringify(printed));
    for (const row of printed) assert.ok(row.slice(1).every(isFigure), row.join(" | "));
    assert.equal(Object.keys(report.samples).length, rows);
  });
}

test("a session's first request waits for KV, and the section latency shows by how much", async (t) => {
  const { report } = await section(t, "latency", "--only", "edgeward");
  const first = report.rows.find(({ label, name }) => label.startsWith("first request") && name === "edgeward");
  const seen = report.rows.find(({ label, name }) => label.startsWith("every request") && name === "edgeward");
  assert.ok(first && seen);
  assert.ok(first.p50 >= 20, `${first.p50} ms`);
  assert.ok(seen.p50 < 20, `${seen.p50} ms`);
});

test("the section start measures a fresh isolate with one site and with 200", async (t) => {
  const { rows, report } = await section(t, "start");
  assert.deepEqual(
    rows.map(([label]) => label),
    ["pass-through", "pass-through with the same Wasm", "hono", "edgeward, 1 site", "edgeward, 200 sites"],
  );
  for (const { label, cpu, time } of report.rows) assert.ok(cpu > 0 && time > 0, label);
});

test("the section bodies sends 100 MB down and up", async (t) => {
  const { rows } = await section(t, "bodies", "--only", "edgeward");
  assert.deepEqual(
    rows.map(([way, name]) => `${way} ${name}`),
    ["down passthrough", "down edgeward", "up passthrough", "up edgeward"],
  );
});

test("the section memory reads the memory after each count", async (t) => {
  const { head, rows } = await section(t, "memory", "--counts", "0,300", "--only", "edgeward,jose");
  assert.deepEqual(head, ["resident memory, MB, after", "Worker", "0", "300"]);
  assert.deepEqual(
    rows.map(([, name]) => name),
    ["passthrough", "edgeward", "jose", "passthrough", "edgeward", "jose"],
  );
  for (const row of rows) assert.ok(row.slice(2).every(isFigure), row.join(" | "));
});

test("the section page replays the recordings, and one that is given", async (t) => {
  const recording = path.join(folder(t), "recording.json");
  const headers = [
    [["Accept", "text/html"]],
    [
      ["Accept", "*/*"],
      ["Origin", "http://{host}"],
    ],
  ];
  const requests = [
    ["GET", "/", 0, 0, 0, 200, 2000, 0],
    ["POST", "/api", 70_000, 1, 0, 201, 0, 1],
    ["GET", "/a.js?v=1", 0, 1, 0, 404, 12, 1],
  ];
  const answers = [[["cache-control", "no-cache"]], [["cache-control", "public, max-age=60"]]];
  writeFileSync(recording, JSON.stringify({ application: "App", headers, cookies: [["theme=xxxx"]], answers, requests }));
  const { rows } = await section(t, "page", "--recording", recording, "--only", "edgeward,jose-memo");
  assert.deepEqual(
    rows.map(([label]) => label),
    ["one caller", "another caller at each visit", "20 callers at once", "200 callers at once"].map((row) => `App (3 requests), ${row}`),
  );
  const { rows: own } = await section(t, "page", "--only", "edgeward", "--row", "20 callers at once");
  assert.equal(own.length, readdirSync(at("bench/recordings")).length);
});

for (const { what, args, file, source, says } of [
  {
    what: "lets through what the others refuse",
    args: ["refusals", "--row", "403 JSON, a role"],
    file: "jose-refuse.js",
    source: forwarding(""),
    says: /jose: an answer was not as it had to be: HTTP\/1\.1 200/,
  },
  {
    what: "refuses after it has asked the origin",
    args: ["refusals", "--row", "404 JSON"],
    file: "jose-refuse.js",
    source: `export default { async fetch(request, env) { await fetch(env.ORIGIN + "/"); return new Response("no", { status: 404 }); } };`,
    says: /jose: \d+ requests were answered, the origin received \d+/,
  },
  {
    what: "lets anybody in",
    args: ["first-sight", "--row", "EdDSA"],
    file: "jose-bearer.js",
    source: forwarding(`forward.headers.delete("authorization");`),
    says: /jose: the origin received/,
  },
  {
    what: "tells one caller's identity of another",
    args: ["page", "--row", "Node-RED 5.0.7 (85 requests), 20 callers"],
    file: "js-memo.js",
    source: readFileSync(at("bench/workers/js-memo.js"), "utf8")
      .replace("const known = memo.get(cookie);", `const known = memo.get("first") ?? memo.get(cookie);`)
      .replace("memo.set(cookie, known);", `memo.set("first", known);`),
    says: /js-memo: the origin received x-forwarded-user/,
  },
  {
    what: "loses a part of what is uploaded",
    args: ["bodies"],
    file: "jose.js",
    source: forwarding("").replace(
      "return fetch(forward)",
      `return request.method === "GET" ? fetch(forward) : fetch(forward.url, { method: "POST", headers: { "cf-ray": request.headers.get("cf-ray") }, body: "short" })`,
    ),
    says: /jose: 100000000 bytes were sent, the origin received 5|jose: the origin received/,
  },
]) {
  test(`the bench refuses in another section when a Worker ${what}`, async (t) => {
    const workers = folder(t);
    for (const name of readdirSync(at("bench/workers"))) writeFileSync(path.join(workers, name), readFileSync(at("bench/workers", name)));
    writeFileSync(path.join(workers, file), source);
    const { status, stdout, stderr } = await bench(["--rounds", "1", "--seconds", "0.3", "--workers", workers, "--section", ...args]).ended;
    assert.equal(status, 1, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /the Workers did not do the same work, so there is no table\./);
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

/** @param {string[]} args */
function bench(args) {
  const child = spawn(pinnedNode, [at("bench/run.mjs"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  for (const stream of /** @type {const} */ (["stdout", "stderr"])) child[stream].setEncoding("utf8").on("data", (text) => (said[stream] += text));
  /** @type {Promise<{ status: number | null, stdout: string, stderr: string }>} */
  const ended = new Promise((resolve) => child.on("close", (status) => resolve({ status, ...said })));
  assert.ok(child.pid);
  return { pid: child.pid, ended };
}

/** @param {TestContext} t */
function folder(t) {
  const made = mkdtempSync(path.join(tmpdir(), "edgeward-bench-test-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** @param {number} pid */
function childrenOf(pid) {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/**
 * What `look` finds; asks again until it does, for at most twenty seconds.
 * @template T
 * @param {() => T | undefined} look
 * @returns {Promise<T>}
 */
async function until(look) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < deadline, "waited for twenty seconds");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
