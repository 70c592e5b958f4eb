// `npm run dev`, for real: what it prints works, and nothing that it started outlives it.
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { createLocalJWKSet, jwtVerify } from "jose";
import { ISSUER, keySet } from "../../examples/testing/testing.js";
import { readToml } from "../../scripts/lib/check-config.mjs";
import { configForPorts } from "../../scripts/lib/dev-config.mjs";
import { newSecrets } from "../../scripts/lib/dev-secrets.mjs";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at, pinnedNode, toolEnv } from "../../scripts/lib/project.mjs";
import { withProvider } from "../../scripts/lib/with-provider.mjs";
import { readExample } from "../edge/lib/examples.mjs";

const DEADLINE_MS = 120_000;
const STOP_MS = 15_000;

const state = mkdtempSync(path.join(tmpdir(), "edgeward-dev-"));
after(() => rmSync(state, { recursive: true, force: true }));

/** Starts `npm run dev` as a terminal would: in a process group of its own. */
async function startDev(/** @type {{ port: number, originPort: number }} */ { port, originPort }, /** @type {string[]} */ options = []) {
  const env = Object.fromEntries(Object.entries(toolEnv()).filter(([name]) => !/^(npm|NODE_TEST)_/i.test(name)));
  const args = ["run", "dev", "--", "--port", String(port), "--origin-port", String(originPort), "--state", state, "--no-watch", ...options];
  const child = spawn("npm", args, { cwd: at(), env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const { pid } = child;
  assert.ok(pid);
  const run = { output: "", pid, port, originPort, url: `http://127.0.0.1:${port}` };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (run.output += text));
  /** @type {Promise<{ code: number | null, signal: NodeJS.Signals | null }>} */
  const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
  let isOver = false;
  ended.then(() => (isOver = true));
  const ready = async () => {
    await until(
      () => isOver || run.output.includes("Ctrl-C stops everything"),
      DEADLINE_MS,
      () => run.output,
    );
    assert.ok(!isOver, run.output);
    return whole;
  };
  const token = () => run.output.match(/^admin API token: (\S+)$/m)?.[1] ?? assert.fail(run.output);
  const whole = Object.assign(run, { ended, ready, token });
  after(() => {
    for (const one of isOver ? [] : [...descendants(pid), pid]) kill(one, "SIGKILL");
  });
  return whole;
}

/**
 * @param {() => unknown} condition
 * @param {number} milliseconds
 * @param {() => string} explain
 */
async function until(condition, milliseconds, explain) {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > deadline) assert.fail(`not within ${milliseconds} ms:\n${explain()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Every process below `root`, with what started it: wrangler, workerd, esbuild, the demo origin.
 * @param {number} root
 */
function descendants(root) {
  const rows = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((row) => row.trim().split(/\s+/).map(Number));
  /**
   * @param {number} parent
   * @returns {number[]}
   */
  const below = (parent) => rows.filter(([, ppid]) => ppid === parent).flatMap(([pid]) => [pid, ...below(pid)]);
  return below(root);
}

/**
 * @param {number} pid
 * @param {NodeJS.Signals | 0} signal
 */
function kill(pid, signal) {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * After the end of a run nothing of it is left.
 * @param {number[]} pids
 */
async function assertAllGone(pids) {
  assert.ok(pids.length >= 4, `expected npm, node, the demo origin, wrangler and workerd below npm, found ${pids.length}`);
  const alive = () => pids.filter((pid) => kill(pid, 0));
  await until(
    () => alive().length === 0,
    STOP_MS,
    () => execFileSync("ps", ["-o", "pid,ppid,stat,args", "-p", alive().join(",")], { encoding: "utf8" }),
  );
}

const freePorts = async () => ({ port: await freePort(), originPort: await freePort() });

/**
 * What a browser sends for a link; `fetch` would call itself a script.
 * @param {string} url
 */
async function navigate(url, headers = {}) {
  const request = http.get(url, { headers: { Accept: "text/html", "Sec-Fetch-Mode": "navigate", ...headers } });
  const [response] = await once(request, "response");
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}

/**
 * Runs the command that serves the key set of the tests until it has been asked.
 * @param {string} command
 */
async function assertServes(command) {
  const child = spawn("sh", ["-c", `exec ${command}`], { cwd: at(), stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    const url = String(line).match(/EDGEWARD_URL=(\S+)/)?.[1] ?? assert.fail(line);
    assert.deepEqual(await (await fetch(`${url}/.well-known/jwks.json`)).json(), JSON.parse(JSON.stringify(keySet)));
  } finally {
    child.kill();
    await once(child, "close");
  }
}

describe("npm run dev", { timeout: 2 * DEADLINE_MS }, () => {
  /** @type {string} */
  let token;

  test("prints a token, a curl line and a link, which all work; Ctrl-C ends everything", async () => {
    const run = await (await startDev(await freePorts())).ready();
    token = run.token();
    assert.match(token, /^ewt_/);

    const [sign, serve] = run.output.match(/(?<=^ +)node examples\/testing\/sign\.js .*$/gm) ?? assert.fail(run.output);
    const signed = (await promisify(execFile)("sh", ["-c", sign], { cwd: at() })).stdout.trim();
    const { payload } = await jwtVerify(signed, createLocalJWKSet(keySet), { issuer: ISSUER, audience: `http://127.0.0.1:${run.originPort}` });
    assert.equal(payload.email, "demo@example.com");
    await assertServes(serve.replace(/\d+$/, String(await freePort())));

    const curl = run.output.match(/^ +(curl .*)$/m)?.[1] ?? assert.fail(run.output);
    const { stdout } = await promisify(execFile)("sh", ["-c", curl]);
    const answer = JSON.parse(stdout);
    assert.equal(answer.expires_in, 600);
    assert.match(answer.token, /^[\w-]+\.[\w-]+\.[\w-]+$/);

    const link = run.output.match(/^ +(http:\/\/127\.0\.0\.1:\d+\/\?token=[\w.-]+)$/m)?.[1] ?? assert.fail(run.output);
    const signIn = await navigate(link);
    assert.equal(signIn.status, 303, signIn.body);
    assert.equal(new URL(signIn.headers.location, link).href, `${run.url}/`);
    const cookie = signIn.headers["set-cookie"].find((/** @type {string} */ line) => line.startsWith("__Host-")).split(";")[0];
    const page = await navigate(run.url, { Cookie: cookie });
    assert.match(page.body, /Signed in as demo@example\.com/);

    const env = { ...toolEnv(), EDGEWARD_URL: run.url, EDGEWARD_API_TOKEN: token };
    /** @param {...string} args */
    const admin = async (...args) => (await promisify(execFile)(pinnedNode, [at("scripts/admin.mjs"), ...args], { env })).stdout;
    const explain = await admin("explain", "--path", "/hello", "--token", answer.token);
    assert.match(explain, /credential: accepted[\s\S]*granted, as the signed-in caller/);
    assert.ok(!explain.includes(answer.token));
    const tokenFile = path.join(state, "token.txt");
    writeFileSync(tokenFile, `${answer.token}\n`);
    const tried = await admin("try", "--token-file", tokenFile);
    assert.match(tried, /^presented at site \S+ as bearer: sso token$/m);
    assert.match(tried, /^ {2}ok {6}signature$/m);
    assert.match(tried, /\naccepted: it stands for usr_\S+\n$/);
    assert.ok(!tried.includes(answer.token.split(".")[2]));
    /** @type {(input: string, ...args: string[]) => { status: number | null, stdout: string, stderr: string }} */
    const tryWith = (input, ...args) => spawnSync(pinnedNode, [at("scripts/admin.mjs"), "try", ...args], { env, input, encoding: "utf8" });
    const wrong = tryWith(`${answer.token.slice(0, -4)}AAAA`, "--token-file", "-");
    assert.equal(wrong.status, 1, wrong.stderr);
    assert.match(wrong.stdout, /^ {2}FAILED {2}signature: the token's signature does not match$/m);
    assert.match(wrong.stdout, /^ {2}- {7}aud \(not made\)$/m);
    assert.match(wrong.stdout, /\nrefused: the token's signature does not match\n$/);
    for (const args of [["--token", answer.token], [], ["--token-file", "-", "--issuer", "x"], ["--issuer", "x", "--site", "y"]]) {
      const misused = tryWith("", ...args);
      assert.equal(misused.status, 2, misused.stderr);
      assert.ok(!misused.stderr.includes(answer.token));
    }
    assert.equal(tryWith("", "--token-file", "-").status, 1);
    const nobody = tryWith("", "--issuer", "nobody");
    assert.deepEqual([nobody.status, /no site uses an issuer or a provider nobody/.test(nobody.stderr)], [1, true]);
    const [me] = JSON.parse(await admin("user", "list", "--json"));
    assert.equal(me.email, "demo@example.com");
    assert.match(await admin("user", "disable", me.email), /is disabled and signed out/);
    assert.equal((await navigate(run.url, { Cookie: cookie })).status, 403);
    assert.match(await admin("user", "enable", me.id), /may sign in again/);
    const made = JSON.parse(await admin("user", "create", "ada@example.org", "--first-name", "Ada", "--role", "editor", "--json"));
    assert.deepEqual(JSON.parse(await admin("user", "show", "ada@example.org")), made);
    assert.match(await admin("user", "delete", "ada@example.org"), /is deleted and signed out/);

    const pids = descendants(run.pid);
    process.kill(-run.pid, "SIGINT");
    await run.ended; // npm ends by the signal itself, whatever its script does
    await assertAllGone(pids);
  });

  test("keeps the token and the users, and only the owner may read the secrets", async () => {
    const before = readFileSync(path.join(state, ".dev.vars"), "utf8");
    const run = await (await startDev(await freePorts())).ready();
    assert.equal(run.token(), token);
    assert.equal(readFileSync(path.join(state, ".dev.vars"), "utf8"), before);
    for (const file of [".dev.vars", "dev.json"]) assert.equal(statSync(path.join(state, file)).mode & 0o777, 0o600, file);
    const users = /** @type {{ users: { email: string }[] }} */ (
      await (await fetch(`${run.url}/api/sso/users`, { headers: { Authorization: `Token ${token}` } })).json()
    );
    assert.deepEqual(
      users.users.map(({ email }) => email),
      ["demo@example.com"],
    );

    const pids = descendants(run.pid);
    process.kill(scriptOf(pids), "SIGINT");
    assert.deepEqual(await run.ended, { code: 0, signal: null });
    await assertAllGone(pids);
  });

  test("makes a new token when the kept one no longer works", async () => {
    writeFileSync(path.join(state, "dev.json"), JSON.stringify({ token: "ewt_of_another_time" }));
    const run = await (await startDev(await freePorts())).ready();
    assert.match(run.token(), /^ewt_[\w-]{49}$/);
    assert.notEqual(run.token(), token);
    const pids = descendants(run.pid);
    process.kill(run.pid, "SIGTERM"); // to npm alone
    await run.ended;
    await assertAllGone(pids);
  });

  test("ends with an error, and leaves nothing, when a child dies early", async () => {
    const run = await (await startDev(await freePorts())).ready();
    const pids = descendants(run.pid);
    const origin = pids.find((pid) => commandOf(pid).includes("demo-origin"));
    assert.ok(origin);
    process.kill(origin, "SIGKILL");
    assert.equal((await run.ended).code, 1);
    assert.match(run.output, /error: the demo origin ended unexpectedly with SIGKILL/);
    await assertAllGone(pids);
  });

  test("leaves nothing even when it is killed outright", async () => {
    const run = await (await startDev(await freePorts())).ready();
    const pids = descendants(run.pid);
    process.kill(scriptOf(pids), "SIGKILL");
    assert.notEqual((await run.ended).code, 0);
    await assertAllGone(pids);
  });

  test("with a provider, it says who can sign in and where; the secret of its client is for the owner only, and Ctrl-C ends it too", async () => {
    const provider = await freePort();
    const run = await (await startDev(await freePorts(), ["--with-provider", "--provider-port", String(provider)])).ready();
    assert.match(run.output, new RegExp(`provider at http://localhost:${provider}, .*\n  Ada .*\n  Grace `));
    assert.ok(run.output.includes(`Open ${run.url}/admin, which needs the role admin`), run.output);
    const file = path.join(state, `provider.${run.port}.vars`);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const secret = readFileSync(file, "utf8").trim().split("=")[1];
    assert.ok(secret.length >= 32 && !run.output.includes(secret));
    const answer = await navigate(`${run.url}/admin`);
    assert.equal(answer.status, 303, answer.body);
    const begun = await navigate(new URL(answer.headers.location, run.url).href);
    assert.equal(new URL(begun.headers.location).origin, `http://localhost:${provider}`);
    const link = run.output.match(/^ +(http:\/\/127\.0\.0\.1:\d+\/\?token=[\w.-]+)$/m)?.[1] ?? assert.fail(run.output);
    assert.equal((await navigate(link)).status, 303);
    const pids = descendants(run.pid);
    assert.ok(pids.some((pid) => commandOf(pid).includes("local-provider")));
    process.kill(scriptOf(pids), "SIGINT");
    assert.deepEqual(await run.ended, { code: 0, signal: null });
    await assertAllGone(pids);
  });

  test("says what to do if the provider's port is in use, if it dies, or if it was not asked for", async () => {
    const busy = await freePort();
    const server = net.createServer();
    await once(server.listen(busy, "localhost"), "listening");
    const blocked = await startDev(await freePorts(), ["--with-provider", "--provider-port", String(busy)]);
    assert.equal((await blocked.ended).code, 1);
    server.close();
    assert.match(blocked.output, new RegExp(`error: port ${busy} is in use: .* --provider-port <n>`));
    const alone = await startDev(await freePorts(), ["--provider-port", "9999"]);
    assert.equal((await alone.ended).code, 1);
    assert.match(alone.output, /error: --provider-port is for a provider: add --with-provider/);
    const run = await (await startDev(await freePorts(), ["--with-provider", "--provider-port", String(await freePort())])).ready();
    const pids = descendants(run.pid);
    process.kill(pids.find((pid) => commandOf(pid).includes("local-provider")) ?? assert.fail("no provider"), "SIGKILL");
    assert.equal((await run.ended).code, 1);
    assert.match(run.output, /error: the local provider ended unexpectedly with SIGKILL/);
    await assertAllGone(pids);
  });

  test("says which port is in use", async () => {
    const ports = await freePorts();
    const server = net.createServer();
    await once(server.listen(ports.port, "127.0.0.1"), "listening");
    const run = await startDev(ports);
    const { code } = await run.ended;
    server.close();
    assert.equal(code, 1);
    assert.match(run.output, new RegExp(`error: port ${ports.port} is in use: .* --port <n>`));
  });
});

/**
 * The script itself among what npm started; the shell between them names it too.
 * @param {number[]} pids
 */
const scriptOf = (pids) => pids.findLast((pid) => /^\S*node scripts\/dev\.mjs/.test(commandOf(pid))) ?? assert.fail("the script does not run");

/** @param {number} pid */
const commandOf = (pid) => execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });

test("new secrets differ each time and are long enough", () => {
  const lines = newSecrets().trim().split("\n").slice(1);
  assert.deepEqual(
    lines.map((line) => line.split("=")[0]),
    ["EDGEWARD_SESSION_SECRET_1", "EDGEWARD_TOKEN_SECRET_1", "EDGEWARD_KEY_SECRET_1"],
  );
  const values = lines.map((line) => line.split("=")[1]);
  for (const value of values) assert.equal(Buffer.from(value, "base64url").length, 32);
  assert.equal(new Set([...values, ...(newSecrets().match(/=\S+/g) ?? [])]).size, 6);
});

test("other ports move the local site, its origin and the gateway, and nothing else", () => {
  const config = configForPorts(readToml(), 9000, 9001);
  const gateway = /** @type {{ hosts: string[] }} */ (config.env?.local.vars?.EDGEWARD_GATEWAY);
  assert.deepEqual(gateway.hosts, ["localhost:9000"]);
  const site = /** @type {{ hosts: string[], upstream: string }} */ (config.env?.local.vars?.EDGEWARD_SITE_APP);
  assert.deepEqual(site.hosts, ["127.0.0.1:9000"]);
  assert.equal(site.upstream, "http://127.0.0.1:9001");
  assert.equal(config.main, at("build/worker.js"));
  assert.equal(config.workers_dev, false);
});

test("the settings with a provider are those of docs/sign-in.md, Try it", () => {
  const section = /^## Try it\n([\s\S]*?)^## /m.exec(readFileSync(at("docs/sign-in.md"), "utf8"))?.[1] ?? assert.fail("no section");
  const documented = readExample(/```toml\n([\s\S]*?)```/.exec(section)?.[1] ?? assert.fail("no settings")).vars;
  const plain = configForPorts(readToml(), 8787, 8788);
  const before = plain.env?.local.vars ?? {};
  const after = withProvider(plain, 8789).env?.local.vars ?? {};
  const { assertion: _, ...site } = /** @type {Record<string, unknown>} */ (after.EDGEWARD_SITE_APP);
  assert.deepEqual({ ...after, EDGEWARD_SITE_APP: site }, JSON.parse(JSON.stringify({ ...before, ...documented })));
});
