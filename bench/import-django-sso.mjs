// How long `npm run admin -- import-django-sso` takes for many users, and how much memory the command and the Worker need:
// the command and the built Worker as they are, over a dump that is generated here. `npm run build` first.
//   node bench/import-django-sso.mjs [users]
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import path from "node:path";
import { at, pinnedNode } from "../scripts/lib/project.mjs";
import { startFront } from "../tests/edge/lib/front.mjs";
import { formOf, Jar } from "../tests/edge/lib/http.mjs";
import { startWorld } from "../tests/edge/lib/world.mjs";

const USERS = Number(process.argv[2] ?? 10_000);
/** As Django 5 hashes; the others have fewer rounds, only to be generated sooner. */
const ROUNDS = 600_000;
/** Every how many users one signs in afterwards. */
const SAMPLE = Math.max(1, Math.floor(USERS / 20));
const passwordOf = (/** @type {number} */ n) => `horse battery ${n}`;

/** @param {number} n */
function hashOf(n) {
  const salt = randomBytes(11).toString("hex");
  const rounds = n % SAMPLE === 0 ? ROUNDS : 1_000;
  return `pbkdf2_sha256$${rounds}$${salt}$${pbkdf2Sync(passwordOf(n), salt, rounds, 32, "sha256").toString("base64")}`;
}

/** @param {string} file */
function writeDump(file) {
  const time = "2024-05-06T07:08:09Z";
  const users = Array.from({ length: USERS }, (_, n) => ({
    model: "auth.user",
    pk: n + 1,
    fields: {
      password: hashOf(n),
      last_login: null,
      is_superuser: false,
      username: `person${n}`,
      first_name: "Ada",
      last_name: `Lovelace ${n}`,
      email: `person${n}@example.com`,
      is_staff: false,
      is_active: true,
      date_joined: time,
      groups: [],
      user_permissions: [],
    },
  }));
  const service = { name: "Wiki", base_url: "https://wiki.example.com", enabled: true, token: randomBytes(32).toString("hex") };
  writeFileSync(file, JSON.stringify([...users, { model: "sso_gateway.service", pk: 1, fields: service }]));
}

/**
 * The most memory that a process has had, in MB.
 * @param {number} pid
 */
function peakOf(pid) {
  const kb = /VmHWM:\s+([0-9]+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kb) / 1024);
}

const folder = mkdtempSync(path.join(tmpdir(), "edgeward-bench-import-"));
// The limit on calls is that of the template.
const world = await startWorld({ vars: { EDGEWARD_GATEWAY: { hosts: ["gateway.example.test"], identity: "username" } }, limits: { calls: 1_200 } });
try {
  const gateway = world.site("GATEWAY");
  const front = await startFront(gateway);
  const file = path.join(folder, "dump.json");
  writeDump(file);
  const workerd = Number(
    execFileSync("pgrep", ["-P", String(process.pid), "workerd"], { encoding: "utf8" })
      .trim()
      .split("\n")[0],
  );
  const before = peakOf(workerd);
  const env = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() };
  const begun = performance.now();
  const command = spawn(pinnedNode, [at("scripts/admin.mjs"), "import-django-sso", file, "--dialect", "fields", "--yes", "--json"], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, peakOf(/** @type {number} */ (command.pid)))), 200);
  let out = "";
  command.stdout.setEncoding("utf8").on("data", (text) => (out += text));
  const exited = once(command, "exit").then(([status]) => {
    clearInterval(watch);
    return status;
  });
  const status = await exited;
  const seconds = Math.round((performance.now() - begun) / 1000);
  assert.equal(status, 0, out);
  const done = JSON.parse(out);
  assert.deepEqual(
    [done.users, done.passwords, done.services],
    [
      { created: USERS, existing: 0 },
      { moved: USERS, existing: 0 },
      { created: 1, existing: 0 },
    ],
  );
  console.log(`${USERS} users in ${seconds} s; the command needed ${peak} MB, workerd ${before} MB before and ${peakOf(workerd)} MB at most`);
  const keys = (await world.kvEntries()).map(([key]) => key.replace(/:.*/, ""));
  for (const family of ["user", "user_email", "user_name", "password"]) console.log(`${family}: ${keys.filter((key) => key === family).length} records`);
  let signedIn = 0;
  for (let n = 0; n < USERS; n += SAMPLE) {
    const jar = new Jar();
    const page = await gateway.navigate("/login/");
    jar.take(page);
    const { action, fields } = formOf(page);
    const answer = await gateway.form(action, { ...fields, username: `person${n}`, password: passwordOf(n) }, { cookie: jar.header });
    assert.equal(answer.status, 303, String(answer));
    signedIn += 1;
  }
  console.log(`${signedIn} of them, chosen evenly, have signed in with their old passwords (${ROUNDS} rounds of PBKDF2)`);
  await front.stop();
} finally {
  await world.stop();
  rmSync(folder, { recursive: true, force: true });
}
