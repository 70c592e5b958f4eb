// The package, as a deployer meets it: installed into an empty folder of a machine without Rust.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import { availableParallelism, homedir, loadavg, tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { parse as parseToml } from "smol-toml";
import { APART } from "../../scripts/lib/apart.mjs";
import { makePackage } from "../../scripts/lib/package.mjs";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { upgraded } from "../../scripts/lib/upgrade-config.mjs";
import { version } from "../../scripts/lib/version.mjs";

/** @import { Example } from "../../scripts/lib/upgrade-config.mjs" */

/** What the product promises for the way from an empty folder to a page behind Edgeward. */
const PROMISED_MS = 60_000;

const scratch = realpathSync(mkdtempSync(path.join(tmpdir(), "edgeward-package-")));
after(() => rmSync(scratch, { recursive: true, force: true }));
const place = path.join(scratch, "deployment");

/** The programs of a machine on which nobody has installed Rust: npm with the system's Node, and what /usr/bin has. */
function bare() {
  const bin = path.join(scratch, "bin");
  mkdirSync(bin);
  const found = (/** @type {string} */ name) => execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
  const node = realpathSync(systemNode());
  symlinkSync(node, path.join(bin, "node"));
  for (const name of ["npm", "npx"]) {
    const script = path.join(path.dirname(realpathSync(found("npm"))), `${name}-cli.js`);
    writeFileSync(path.join(bin, name), `#!/bin/sh\nexec ${node} ${script} "$@"\n`, { mode: 0o755 });
  }
  const home = path.join(scratch, "home");
  mkdirSync(home);
  const { CARGO_HOME, CARGO_TARGET_DIR, RUSTUP_HOME, RUSTUP_TOOLCHAIN, EDGEWARD_URL, EDGEWARD_API_TOKEN, CLOUDFLARE_API_TOKEN, ...env } = process.env;
  const kept = Object.entries(env).filter(([name]) => !/^(npm|NODE_TEST)_/i.test(name));
  const npmrc = path.join(homedir(), ".npmrc");
  return {
    ...Object.fromEntries(kept),
    PATH: [bin, "/usr/bin", "/bin"].join(path.delimiter),
    HOME: home,
    // What npm has fetched before need not be fetched again, and this machine's registry stays the one that is asked.
    npm_config_cache: path.join(homedir(), ".npm"),
    ...(existsSync(npmrc) ? { NPM_CONFIG_USERCONFIG: npmrc } : {}),
  };
}

/** A Node that is not the project's own, if there is one. */
function systemNode() {
  const inherited = (process.env.PATH ?? "").split(path.delimiter).filter((folder) => !folder.startsWith(at()));
  return inherited.map((folder) => path.join(folder, "node")).find((file) => existsSync(file)) ?? process.execPath;
}

/** @type {NodeJS.ProcessEnv} */
let env;

/**
 * Runs a command in the deployer's folder.
 * @param {string} program
 * @param {...string} args
 */
function run(program, ...args) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: place, env, encoding: "utf8", maxBuffer: 1e8 });
  return { status, out: stdout, all: `${stdout}${stderr}` };
}

/** @param {...string} args */
const edgeward = (...args) => run("npx", "--no-install", "edgeward", ...args);

describe("the package", { timeout: 280_000 }, () => {
  /** @type {{ tarball: string, size: number }} */
  let made;
  let elapsed = 0;

  before(async () => {
    env = bare();
    mkdirSync(place);
    made = await makePackage(path.join(scratch, "dist"));
  });

  test("holds what a deployer needs, and nothing else", () => {
    const files = execFileSync("tar", ["tzf", made.tarball], { encoding: "utf8" }).trim().split("\n");
    const names = files.map((name) => name.replace(/^package\//, ""));
    for (const name of [
      ...["worker.js", "edgeward.wasm", ...APART].map((one) => `build/${one}`),
      ...["CHANGELOG.md", "LICENSE", "README.md", "THIRD-PARTY-LICENSES", "docs/upgrade.md", "wrangler.example.toml", "wrangler.schema.json"],
    ])
      assert.ok(names.includes(name), name);
    const known = /^(build\/(shell\/)?[\w-]+\.(js|wasm|bin)|docs\/[\w/.-]+|examples\/(demo-origin|testing)\/[\w.]+|scripts\/(lib\/)?[\w-]+\.mjs|[\w.-]+)$/;
    for (const name of names) {
      assert.match(name, known);
      assert.doesNotMatch(name, /(^|\/)(tests?|src|target|node_modules)\/|\.(rs|vars|tsbuildinfo)$|Cargo/);
    }
    const [top] = names.filter((name) => !name.includes("/")).filter((name) => name.startsWith("."));
    assert.equal(top, undefined);
    const folder = path.join(scratch, "dist/package");
    for (const name of names.filter((one) => /\.(mjs|toml)$/.test(one))) {
      const text = readFileSync(path.join(folder, name), "utf8");
      assert.doesNotMatch(text, /npm run (admin|check-config|deploy|dev)\b|npx wrangler/, name);
    }
    // Whose licence asks for a notice is named; nothing of the tests is.
    const notices = readFileSync(path.join(folder, "THIRD-PARTY-LICENSES"), "utf8");
    for (const crate of ["serde_json", "argon2", "worker", "schemars"]) assert.match(notices, new RegExp(`^${crate} \\d`, "m"));
    for (const crate of ["proptest", "p256", "ring"]) assert.doesNotMatch(notices, new RegExp(`^${crate} \\d`, "m"));
  });

  test("its manifest pins what the repository has tested, and needs no other Node", () => {
    const own = JSON.parse(readFileSync(path.join(scratch, "dist/package/package.json"), "utf8"));
    const { devDependencies, optionalDependencies } = JSON.parse(readFileSync(at("package.json"), "utf8"));
    assert.equal(own.version, version());
    assert.equal(own.private, undefined);
    assert.deepEqual(own.optionalDependencies, optionalDependencies);
    for (const [name, wanted] of Object.entries(own.dependencies)) assert.equal(wanted, devDependencies[name], name);
    const imported = new Set(
      execFileSync("grep", ["-rhoE", '(from|import\\() ?"[a-z][^":]*"', path.join(scratch, "dist/package/scripts")], { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((line) => /"([^"/]+)/.exec(line)?.[1] ?? assert.fail(line)),
    );
    // The provider of --with-provider is for those who install it.
    imported.delete("oidc-provider");
    for (const name of imported) assert.ok(Object.hasOwn(own.dependencies, name), name);
  });

  test("without Rust, it is installed and started by one command each, and a sign-in passes, in under a minute", async (t) => {
    for (const program of ["cargo", "rustc", "rustup"]) assert.notEqual(spawnSync("sh", ["-c", `command -v ${program}`], { env }).status, 0, program);
    const began = performance.now();
    const installed = run("npm", "install", "--no-audit", "--no-fund", made.tarball);
    assert.equal(installed.status, 0, installed.all);
    const afterInstall = performance.now();
    const initial = edgeward("init");
    assert.equal(initial.status, 0, initial.all);
    assert.equal(statSync(path.join(place, ".dev.vars")).mode & 0o777, 0o600);
    assert.match(readFileSync(path.join(place, ".gitignore"), "utf8"), /^\.dev\.vars$/m);

    const seen = /** @type {http.IncomingHttpHeaders[]} */ ([]);
    const origin = http.createServer((request, response) => {
      seen.push(request.headers);
      response.end(`hello ${request.headers["x-forwarded-email"]}`);
    });
    await once(origin.listen(0, "127.0.0.1"), "listening");
    const { port } = /** @type {import("node:net").AddressInfo} */ (origin.address());
    const dev = await startDev("--upstream", `http://127.0.0.1:${port}`, "--port", String(await freePort()));
    try {
      elapsed = performance.now() - began;
      const url = /^Edgeward is at (\S+),/m.exec(dev.output())?.[1] ?? assert.fail(dev.output());
      const token = /^admin API token: (\S+)$/m.exec(dev.output())?.[1] ?? assert.fail(dev.output());
      assert.equal((await fetch(`${url}/page`)).status, 401);
      const issued = await fetch(`${url}/api/sso/token`, {
        method: "POST",
        headers: { Authorization: `Token ${token}`, "Content-Type": "application/json" },
        body: JSON.stringify({ email: "ada@example.com" }),
      });
      const { token: ssoToken } = /** @type {{ token: string }} */ (await issued.json());
      const page = await fetch(`${url}/page`, { headers: { Authorization: `Bearer ${ssoToken}` } });
      assert.equal(await page.text(), "hello ada@example.com");
      assert.equal(seen.length, 1);
      assert.equal(seen[0].authorization, undefined);

      Object.assign(env, { EDGEWARD_URL: url, EDGEWARD_API_TOKEN: token });
      const listed = edgeward("admin", "user", "list", "--json");
      assert.equal(listed.status, 0, listed.all);
      assert.ok(
        JSON.parse(listed.out).some((/** @type {{ email: string }} */ { email }) => email === "ada@example.com"),
        listed.out,
      );
      const tried = edgeward("explain", "--path", "/page");
      assert.equal(tried.status, 0, tried.all);
      assert.match(tried.out, /^refused:/m);
    } finally {
      await dev.stop();
      await new Promise((resolve) => origin.close(resolve));
    }
    t.diagnostic(
      `from an empty folder to a page behind Edgeward: ${(elapsed / 1000).toFixed(1)} s, of which npm install ${((afterInstall - began) / 1000).toFixed(1)} s`,
    );
    // What else the machine does stretches it.
    const load = Math.max(1, loadavg()[0] / availableParallelism());
    assert.ok(elapsed < PROMISED_MS * load, `${elapsed} ms at a load of ${load} for each processor`);
  });

  test("a second init overwrites nothing", () => {
    const file = path.join(place, "wrangler.toml");
    const secrets = readFileSync(path.join(place, ".dev.vars"), "utf8");
    appendFileSync(file, "# mine\n");
    const again = edgeward("init");
    assert.equal(again.status, 1);
    assert.match(again.all, /wrangler\.toml is there already/);
    assert.match(readFileSync(file, "utf8"), /# mine\n$/);
    assert.equal(readFileSync(path.join(place, ".dev.vars"), "utf8"), secrets);
  });

  test("deploy --dry-run says all at once what is missing, and what to do about it", () => {
    const { status, all } = edgeward("deploy", "--dry-run");
    assert.equal(status, 0, all);
    for (const told of [
      /kv_namespaces\.EDGEWARD_KV\.id: .*npx edgeward wrangler kv namespace create EDGEWARD_KV/,
      /routes: "app\.example\.com\/\*" is the template's placeholder/,
      /vars\.EDGEWARD_SITE_APP\.upstream: /,
      /account: `npx edgeward wrangler login`/,
      /secret: `npx edgeward admin secret rotate session --remote`/,
      /secret: `npx edgeward admin secret rotate token --remote`/,
      /secret: `npx edgeward admin secret rotate key --remote`/,
    ])
      assert.match(all, told);
    assert.doesNotMatch(all, /must be node_modules|rules: have no/);
  });

  test("the secrets of this machine are rotated and retired in .dev.vars, which stays private", () => {
    const file = path.join(place, ".dev.vars");
    const rotated = edgeward("admin", "secret", "rotate", "session");
    assert.equal(rotated.status, 0, rotated.all);
    assert.match(rotated.out, /^EDGEWARD_SESSION_SECRET_2 signs from now on\.[\s\S]*npx edgeward admin secret retire session 1$/m);
    const values = [...readFileSync(file, "utf8").matchAll(/^EDGEWARD_\w+_SECRET_\d=(.{43})$/gm)].map(([, value]) => value);
    assert.equal(new Set(values).size, 4);
    assert.equal(edgeward("admin", "secret", "retire", "session", "1", "--yes").status, 0);
    assert.equal(edgeward("admin", "secret", "list").out, "EDGEWARD_SESSION_SECRET_2\nEDGEWARD_TOKEN_SECRET_1\nEDGEWARD_KEY_SECRET_1\n");
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test("check-config finds a wrong setting and what was meant, and fails", () => {
    const file = path.join(place, "wrangler.toml");
    const good = readFileSync(file, "utf8");
    writeFileSync(file, good.replace('unauthenticated = "login"', 'unauthenticatd = "login"'));
    const { status, all } = edgeward("check-config");
    writeFileSync(file, good);
    assert.equal(status, 1, all);
    assert.match(all, /EDGEWARD_SITE_APP\.unauthenticatd: no such setting; did you mean unauthenticated\?/);
  });

  test("upgrade-config adds the binding and the migration that a version has brought, and the deployment is complete again", () => {
    const file = path.join(place, "wrangler.toml");
    const whole = readFileSync(file, "utf8");
    const old = withoutAudit(whole);
    writeFileSync(file, old);
    const told = edgeward("upgrade-config");
    assert.equal(told.status, 1, told.all);
    assert.match(told.out, /to add +durable_objects\.bindings: has no EDGEWARD_AUDIT with the class Audit/);
    assert.match(told.out, /to add +env\.local\.durable_objects\.bindings: /);
    assert.match(told.out, /to add +migrations: do not create the class Audit/);
    assert.equal(readFileSync(file, "utf8"), old, "without --write nothing is written");
    const written = edgeward("upgrade-config", "--write");
    assert.equal(written.status, 0, written.all);
    assert.equal(edgeward("upgrade-config").status, 0);
    const now = readFileSync(file, "utf8");
    for (const line of old.split("\n")) assert.ok(now.split("\n").includes(line), line);
    assert.doesNotMatch(edgeward("deploy", "--dry-run").all, /EDGEWARD_AUDIT with|class Audit/);
  });

  test("--version names the build, wrangler runs, and an unknown command what was meant", () => {
    assert.match(edgeward("--version").out, new RegExp(`^edgeward ${version().replaceAll(".", "\\.")} \\(build [0-9a-f]{16}\\)\\n$`));
    assert.equal(edgeward("admin", "--version").out, edgeward("--version").out);
    // On the package's own Node, since the system's may be too old for it.
    assert.match(edgeward("wrangler", "--version").out, new RegExp(`^${JSON.parse(readFileSync(at("package.json"), "utf8")).devDependencies.wrangler}$`, "m"));
    assert.match(edgeward("dev", "--with-provider").all, /^error: --with-provider needs a program that is not there: npm install --save-dev oidc-provider$/m);
    const { status, all } = edgeward("chek-config");
    assert.equal(status, 2);
    assert.match(all, /there is no command chek-config; did you mean check-config\?/);
  });

  /** @param {...string} args */
  async function startDev(...args) {
    const child = spawn("npx", ["--no-install", "edgeward", "dev", "--", ...args], { cwd: place, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    const ended = once(child, "close");
    let isOver = false;
    ended.then(() => (isOver = true));
    const deadline = Date.now() + 2 * PROMISED_MS;
    while (!output.includes("Ctrl-C stops everything")) {
      assert.ok(!isOver && Date.now() < deadline, output);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return {
      output: () => output,
      stop: async () => {
        if (child.pid !== undefined && !isOver) process.kill(-child.pid, "SIGINT");
        await ended;
      },
    };
  }
});

/**
 * A wrangler.toml from before the audit log.
 * @param {string} text
 */
function withoutAudit(text) {
  const old = text
    .replace(/# The audit log:.*\n(?=\[\[durable_objects)/, "")
    .replaceAll(/\[\[(env\.local\.)?durable_objects\.bindings\]\]\nname = "EDGEWARD_AUDIT"\nclass_name = "Audit"\n\n/g, "")
    .replace(/\[\[migrations\]\]\ntag = "v5"\nnew_sqlite_classes = \["Audit"\]\n\n/, "");
  assert.doesNotMatch(old, /Audit/);
  return old;
}

describe("upgrade-config", () => {
  const example = /** @type {Example} */ (/** @type {unknown} */ (parseToml(readFileSync(at("wrangler.toml"), "utf8"))));
  const template = readFileSync(at("wrangler.toml"), "utf8");
  /** @type {(list: { path: string, told: string }[]) => string[]} */
  const said = (list) => list.map(({ path, told }) => `${path}: ${told}`);

  test("asks nothing of the example", () => {
    const { text, done, open } = upgraded(template, example);
    assert.equal(text, template);
    assert.deepEqual([done, open], [[], []]);
  });

  test("puts a migration below all others, under a tag that is free, in the order of the versions", () => {
    const old = template.replace(/\[\[migrations\]\]\ntag = "v4"[\s\S]*?tag = "v6"/, '[[migrations]]\ntag = "v4"');
    const { text, done, open } = upgraded(old, example);
    assert.deepEqual(said(open), []);
    assert.equal(done.length, 2, said(done).join("\n"));
    const migrationsOf = (/** @type {string} */ toml) => /** @type {Example} */ (/** @type {unknown} */ (parseToml(toml))).migrations;
    const now = migrationsOf(text);
    assert.deepEqual(now.slice(0, -2), migrationsOf(old));
    assert.deepEqual(
      now.slice(-2).map(({ new_sqlite_classes: classes }) => classes),
      [["Outbox"], ["Audit"]],
    );
    assert.equal(new Set(now.map(({ tag }) => tag)).size, now.length, JSON.stringify(now));
  });

  test("loses no comment and no setting, whatever is missing", () => {
    const parts = template.split(/(?=^\[)/m);
    let asked = 0;
    for (const [index, part] of parts.entries()) {
      if (!/^\[\[(env\.local\.)?(durable_objects|migrations|ratelimits)/.test(part)) continue;
      const old = parts.toSpliced(index, 1).join("");
      const { text, done, open } = upgraded(old, example);
      // The example's own site needs nothing of the gateway, and some things may be left out.
      const isOfGateway = /^\[\[(durable|rate)[^\]]*\]\]\nname = "EDGEWARD_(OUTBOX|ATTEMPTS|SIGN_IN_LIMIT)"/.test(part);
      const isOptional = /^name = "EDGEWARD_(METRICS|DIRECTORY)"/m.test(part);
      assert.deepEqual([done.length, open.length], isOfGateway ? [0, 0] : isOptional ? [0, 1] : [1, 0], part);
      asked += 1;
      const lines = text.split("\n");
      for (const line of old.split("\n")) assert.ok(lines.includes(line), line);
      assert.deepEqual(upgraded(text, example).done, []);
    }
    assert.ok(asked > 20, String(asked));
  });

  test("the Worker's files, its path and the date are set in their places", () => {
    const old = template
      .replace('main = "build/worker.js"', 'main = "old/worker.js" # where it was')
      .replace(', "kdf-import.wasm"', "")
      .replace(/.*common-passwords\.bin.*\n/, "")
      .replace('compatibility_date = "2026-11-01"', 'compatibility_date = "2025-01-01"')
      .replace("no_bundle = true\n", "");
    const { text, done, open } = upgraded(old, example);
    assert.deepEqual(said(open), []);
    assert.equal(done.length, 5, said(done).join("\n"));
    assert.match(text, /^main = "build\/worker\.js" # where it was$/m);
    assert.deepEqual({ ...parseToml(text), rules: undefined }, { ...parseToml(template), rules: undefined });
    const globs = (/** @type {string} */ toml) =>
      /** @type {Example} */ (/** @type {unknown} */ (parseToml(toml))).rules.flatMap((rule) => rule.globs).toSorted();
    assert.deepEqual(globs(text), globs(template));
  });

  test("what is written in a form that it does not know is left to the person", () => {
    const inline = `name = "x"
main = "build/worker.js"
no_bundle = true
compatibility_date = "2026-11-01"
durable_objects = { bindings = [{ name = "EDGEWARD_ONCE", class_name = "Once" }] }
`;
    const { text, open } = upgraded(inline, example);
    assert.match(said(open).join("\n"), /durable_objects\.bindings: has no EDGEWARD_AUDIT/);
    assert.match(said(open).join("\n"), /kv_namespaces: has no binding EDGEWARD_KV/);
    assert.ok(text.includes("durable_objects = { bindings = [{ name"), text);
    assert.deepEqual(/** @type {Example} */ (/** @type {unknown} */ (parseToml(text))).durable_objects.bindings.length, 1);
  });
});
