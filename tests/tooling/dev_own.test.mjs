// `npm run dev` in front of an application of one's own, and with settings of one's own: what runs, and what is refused before
// anything is built.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { composed, described, judged } from "../../scripts/lib/dev-config.mjs";
import { newSecrets } from "../../scripts/lib/dev-secrets.mjs";
import { HELP, readOptions } from "../../scripts/lib/dev-options.mjs";
import { isFrom, readLocalFile } from "../../scripts/lib/local-file.mjs";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { DEMO_RULES } from "../../scripts/lib/with-provider.mjs";
import { outsideNpm } from "../browser/lib/applications.mjs";
import { startDev } from "../browser/lib/dev.mjs";
import { until } from "../edge/lib/fresh.mjs";

/** @import { TestContext } from "node:test" */

const BUILT = /not given out/; // a row of the table of sizes, which ends every build
const START_SECONDS = 30;

/**
 * A folder with this local file, if any.
 * @param {string} [content]
 */
function folderWith(content) {
  const folder = mkdtempSync(path.join(tmpdir(), "edgeward-dev-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  if (content !== undefined) writeFileSync(path.join(folder, "wrangler.local.toml"), content);
  return folder;
}

/**
 * A small application that knows nothing of Edgeward but the header with the address.
 * @param {TestContext} t
 * @param {number} [port]
 */
async function startApplication(t, port = 0) {
  /** @type {{ url?: string, headers: http.IncomingHttpHeaders }[]} */
  const seen = [];
  const server = http.createServer(({ url, headers }, response) => {
    seen.push({ url, headers });
    response.setHeader("Content-Type", "text/html");
    response.end(`<h1>My application</h1><p>Hello ${headers["x-forwarded-email"]}</p>`);
  });
  await once(server.listen(port, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`, seen };
}

/**
 * What a browser sends for a link; `fetch` would call itself a script.
 * @param {string} url
 */
async function navigate(url, headers = {}) {
  const request = http.get(url, { headers: { Accept: "text/html", "Sec-Fetch-Mode": "navigate", ...headers } });
  const [response] = /** @type {[http.IncomingMessage]} */ (await once(request, "response"));
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk;
  return { status: response.statusCode, location: response.headers.location ?? "", cookies: response.headers["set-cookie"] ?? [], body };
}

/**
 * Opens the printed link; returns the session's cookie.
 * @param {string} output
 */
async function signIn(output) {
  const link = output.match(/^ +(http:\/\/127\.0\.0\.1:\d+\/\?token=[\w.-]+)$/m)?.[1] ?? assert.fail(output);
  const { status, cookies, body } = await navigate(link);
  assert.equal(status, 303, body);
  return cookies.find((line) => line.startsWith("__Host-edgeward="))?.split(";")[0] ?? assert.fail(cookies.join("\n"));
}

/**
 * Runs a script that is to fail; returns what it printed.
 * @param {string} script
 * @param {string[]} args
 */
function refused(script, args) {
  const { status, stdout, stderr } = spawnSync(pinnedNode, [at("scripts", script), ...args], { encoding: "utf8", cwd: at(), env: outsideNpm() });
  assert.equal(status, 1, `${args.join(" ")}\n${stdout}${stderr}`);
  assert.doesNotMatch(stdout, BUILT, args.join(" "));
  return stderr;
}

const gitStatus = () => execFileSync("git", ["status", "--porcelain"], { cwd: at(), encoding: "utf8" });

describe("in front of an application of one's own", { timeout: 300_000 }, () => {
  test("the printed link signs in, the application is told who it is, no demo origin runs, and no tracked file changes", async (t) => {
    const before = gitStatus();
    const { url, seen } = await startApplication(t);
    const { port, output, pid } = await startDev(t, ["--upstream", url]);
    assert.ok(output.includes(`Edgeward is at http://127.0.0.1:${port}, in front of your application at ${url}`), output);
    assert.ok(output.includes("The configuration is [env.local] of wrangler.toml, with --upstream"), output);
    assert.ok(output.includes(`--audience ${url}\n`), output);
    assert.doesNotMatch(output, /demo origin|warning:|note:/);
    const children = execFileSync("ps", ["-o", "args=", "--ppid", String(pid)], { encoding: "utf8" });
    assert.match(children, /wrangler/);
    assert.doesNotMatch(children, /demo-origin/);

    const cookie = await signIn(output);
    const page = await navigate(`http://127.0.0.1:${port}/some/page?x=1`, { Cookie: `${cookie}; own=1`, "X-Forwarded-Email": "forged@example.com" });
    assert.equal(page.status, 200, page.body);
    assert.match(page.body, /My application.*Hello demo@example\.com/);
    const last = seen.at(-1);
    assert.deepEqual([last?.url, last?.headers.host, last?.headers.cookie], ["/some/page?x=1", new URL(url).host, "own=1"]);
    const nobody = await navigate(`http://127.0.0.1:${port}/some/page`);
    assert.equal(nobody.status, 303, nobody.body);
    assert.equal(new URL(nobody.location).origin, `http://localhost:${port}`, "the gateway");
    assert.equal(seen.length, 1);
    assert.equal(gitStatus(), before);
  });

  test("if it is down, the banner says so and a page says 502; once it is up, that is told and it is reached", async (t) => {
    const own = await freePort();
    const { port, output, said } = await startDev(t, ["--upstream", `http://127.0.0.1:${own}`]);
    const [banner] = output.split("\nCtrl-C stops everything.");
    assert.match(banner.split("\n").at(-1) ?? "", new RegExp(`^warning: nothing listens at http://127\\.0\\.0\\.1:${own}\\. Start your application there`));
    const cookie = await signIn(output);
    const page = await navigate(`http://127.0.0.1:${port}/`, { Cookie: cookie });
    assert.equal(page.status, 502);
    assert.match(page.body, /<h1[^>]*>Not available right now<\/h1>[\s\S]*The application did not respond/);
    assert.match(said(), /"reason":"the origin did not answer/);
    await startApplication(t, own);
    await until(() => said().includes(`dev  http://127.0.0.1:${own} answers now`), START_SECONDS);
    assert.match((await navigate(`http://127.0.0.1:${port}/`, { Cookie: cookie })).body, /Hello demo@example\.com/);
  });

  test("settings of the local file count, also together with a provider, whose rule for the demo's /admin does not come along", async (t) => {
    const { url, seen } = await startApplication(t);
    const localFile = `
[vars.EDGEWARD_SITE_APP]
upstream = "${url}"
identity_headers = ["remote"]
assertion = false
query = { parameter = "sso" }
`;
    const providerPort = await freePort();
    const { port, state, output } = await startDev(t, ["--with-provider", "--provider-port", String(providerPort)], { localFile });
    assert.ok(output.includes(`in front of your application at ${url}`), output);
    assert.ok(output.includes(`with ${path.join(state, "wrangler.local.toml")} and --with-provider`), output);
    assert.match(output, new RegExp(`Open http://127\\.0\\.0\\.1:${port}/; your application is told the role in x-forwarded-groups`));
    assert.doesNotMatch(output, /demo origin|needs the role|sign\.js/);
    const begun = await navigate(`http://127.0.0.1:${port}/admin`);
    assert.match((await navigate(new URL(begun.location, `http://127.0.0.1:${port}`).href)).location, new RegExp(`^http://localhost:${providerPort}/`));
    const link = output.match(/^ +(http:\S+\/\?sso=[\w.-]+)$/m)?.[1] ?? assert.fail(output);
    const { cookies } = await navigate(link);
    const session = cookies.find((line) => line.startsWith("__Host-edgeward="))?.split(";")[0] ?? assert.fail(cookies.join("\n"));
    assert.equal((await navigate(`http://127.0.0.1:${port}/admin`, { Cookie: session })).status, 200, "no rule keeps people without a role out");
    const last = seen.at(-1);
    assert.deepEqual(
      [last?.headers["remote-user"], last?.headers["x-forwarded-email"], last?.headers["x-edgeward-assertion"]],
      ["demo@example.com", undefined, undefined],
    );
  });
});

describe("while it runs", { timeout: 300_000 }, () => {
  test("a changed local file is used at once if it is good; otherwise its mistakes are told, and what was before keeps running", async (t) => {
    const { url, seen } = await startApplication(t);
    const file = (/** @type {string} */ rest) => `[vars.EDGEWARD_SITE_APP]\nupstream = "${url}"\n${rest}\n`;
    const { port, state, output, said } = await startDev(t, [], { localFile: file(""), watches: true });
    const cookie = await signIn(output);
    const open = async () => {
      await navigate(`http://127.0.0.1:${port}/`, { Cookie: cookie });
      return seen.at(-1)?.headers["remote-user"];
    };
    assert.equal(await open(), "demo@example.com");
    const local = path.join(state, "wrangler.local.toml");
    writeFileSync(local, file("identity_headers = 1"));
    await until(() => said().includes(`dev  ${local}: EDGEWARD_SITE_APP.identity_headers: `), START_SECONDS);
    assert.equal(await open(), "demo@example.com");
    writeFileSync(local, file("identity_headers = []"));
    await until(() => said().includes("dev  the configuration has changed"), START_SECONDS);
    await until(async () => (await open()) === undefined, START_SECONDS);
    rmSync(local);
    await until(() => said().includes("dev  this change needs a new start of npm run dev\ndev  the configuration from before keeps running"), START_SECONDS);
  });
});

describe("wrong options", () => {
  /** @type {(args: string[], env?: NodeJS.ProcessEnv) => string} */
  const told = (args, env = {}) => {
    try {
      readOptions(args, env);
    } catch (error) {
      return /** @type {Error} */ (error).message;
    }
    return assert.fail(`${args.join(" ")} was accepted`);
  };

  test("each is told with what to write instead", () => {
    for (const [args, message] of /** @type {[string[], RegExp][]} */ ([
      [["--prot", "1"], /^there is no option --prot; did you mean --port\? \(npm run dev -- --help lists the options\)$/],
      [["--upstraem", "http://127.0.0.1:3000"], /did you mean --upstream\?/],
      [["--with-providr"], /did you mean --with-provider\?/],
      [["http://127.0.0.1:3000"], /^unexpected argument: http:\/\/127\.0\.0\.1:3000/],
      [["--port", "0"], /^--port 0 is not a port number$/],
      [["--port", "0x50"], /^--port 0x50 is not a port number$/],
      [["--port", "65536"], /^--port 65536 is not a port number$/],
      [["--provider-port", "9999"], /^--provider-port is for a provider: add --with-provider$/],
      [["--upstream", "http://127.0.0.1:3000", "--origin-port", "9"], /^--origin-port is for the demo origin, which does not run with --upstream/],
      [["--upstream"], /^--upstream needs a value/],
      [["--upstream", "--port", "9000"], /^--upstream needs a value/],
      [["--upstream", ""], /^--upstream must be a URL that begins with http:\/\/ or https:\/\/, such as http:\/\/127\.0\.0\.1:3000$/],
      [["--upstream", "3000"], /^--upstream 3000 must be a URL, such as http:\/\/127\.0\.0\.1:3000$/],
      [["--upstream", "localhost:3000"], /must be a URL .* such as http:\/\/localhost:3000$/],
      [["--upstream", "ftp://127.0.0.1"], /must be a URL that begins with http:\/\/ or https:\/\//],
      [["--upstream", "http://"], /^--upstream http:\/\/ is no valid URL/],
      [["--upstream", "http://127.0.0.1:99999"], /is no valid URL/],
      [["--upstream", "http://ada:secret-word@127.0.0.1:3000/x"], /^--upstream must have no user name and no password in it: http:\/\/127\.0\.0\.1:3000\/x /],
      [["--upstream", "ada:secret-word@127.0.0.1:3000"], /^--upstream must be a URL/],
      [["--upstream", "http://127.0.0.1:3000/?key=secret-word"], /without a query and without a fragment: http:\/\/127\.0\.0\.1:3000$/],
      [["--upstream", "http://127.0.0.1:3000/#"], /without a query and without a fragment/],
      [["--upstream", "http://0.0.0.0:3000"], /stands for all addresses of a machine; write http:\/\/127\.0\.0\.1:3000$/],
      [["--upstream", "http://[::]:3000"], /write http:\/\/127\.0\.0\.1:3000$/],
      [["--upstream", "http://localhost:8787"], /is where npm run dev itself listens/],
      [["--upstream", "http://127.0.0.1:9000", "--port", "9000"], /is where npm run dev itself listens/],
      [["--upstream", "http://localhost:8789", "--with-provider"], /is where npm run dev itself listens/],
    ])) {
      assert.match(told(args), message, args.join(" "));
      assert.doesNotMatch(told(args), /secret-word/, args.join(" "));
    }
  });

  test("all are told at once, whatever else is wrong", () => {
    const all = told(["--prot", "1", "--port", "none", "--provider-port", "1", "--upstream", "3000"]);
    assert.match(all, /^4 mistakes:\n/);
    for (const part of ["--prot;", "--port none", "--provider-port is", "--upstream 3000"]) assert.ok(all.includes(part), part);
  });

  test("an option that npm took for its own is told", () => {
    const env = { npm_lifecycle_event: "dev", npm_config_upstream: "true" };
    const all = told(["http://127.0.0.1:3000"], env);
    assert.match(all, /npm took --upstream for an option of its own: write -- before the options, as in npm run dev -- --upstream/);
    assert.match(told([], { npm_lifecycle_event: "dev", npm_config_with_provider: "true" }), /npm took --with-provider/);
    assert.equal(readOptions(["--upstream", "http://127.0.0.1:3000"], env).upstream, "http://127.0.0.1:3000");
  });

  test("good ones are read, the URL in one form", () => {
    /** @param {string} url */
    const upstream = (url) => readOptions(["--upstream", url], {}).upstream;
    assert.equal(upstream("HTTP://LocalHost:3000/"), "http://localhost:3000");
    assert.equal(upstream("https://staging.example.com:443/app/"), "https://staging.example.com/app");
    assert.equal(upstream("http://[::1]:3000"), "http://[::1]:3000");
    assert.equal(upstream("http://127.0.0.1:8788"), "http://127.0.0.1:8788", "the demo origin's port is free then");
    assert.deepEqual(readOptions(["--no-watch", "--port", "9000"], {}), {
      upstream: undefined,
      port: 9000,
      originPort: 8788,
      hasOriginPort: false,
      providerPort: undefined,
      state: undefined,
      watch: false,
      help: false,
    });
    assert.ok(readOptions(["--help", "--port", "0"], {}).help);
    for (const name of ["upstream", "port", "origin-port", "with-provider", "provider-port", "state", "no-watch"])
      assert.match(HELP, new RegExp(`--${name}\\b`));
  });

  test("they stand last on the screen, nothing is built, and nothing is left", async () => {
    const state = folderWith();
    const server = net.createServer();
    const busy = await freePort();
    await once(server.listen(busy, "127.0.0.1"), "listening");
    try {
      for (const [args, last] of /** @type {[string[], RegExp][]} */ ([
        [["--upstream", "3000"], /^error: --upstream 3000 must be a URL/],
        [["--upstream", "http://10.0.0.1:80"], /^error: --upstream http:\/\/10\.0\.0\.1: http:\/\/ leads to this machine only .* upstream_plaintext = true/],
        [["--upstream", "http://127.0.0.1:3000", "--port", String(busy)], new RegExp(`^error: port ${busy} is in use: .* --port <n>$`)],
      ])) {
        const lines = refused("dev.mjs", ["--state", state, ...args])
          .trim()
          .split("\n");
        assert.match(lines.at(-1) ?? "", last);
        assert.deepEqual(readdirSync(state), [], args.join(" "));
      }
    } finally {
      server.close();
    }
  });
});

describe("the local file", () => {
  const options = (/** @type {string[]} */ ...args) => readOptions(args, {});
  /**
   * @param {string} content
   * @param {...string} args
   */
  const effective = (content, ...args) => {
    const all = composed(options(...args), folderWith(content));
    /** @type {Record<string, Record<string, unknown> | undefined>} */
    const vars = /** @type {never} */ (all.config.env?.local.vars);
    return { ...all, vars, site: vars.EDGEWARD_SITE_APP ?? {} };
  };

  test("is read if it is there: tables are merged by key, the rest is replaced, and false removes", () => {
    const plain = composed(options(), folderWith());
    assert.deepEqual([plain.isPlain, plain.local, plain.hasDemoOrigin], [true, undefined, true]);
    const { vars, site, isPlain, hasDemoOrigin } = effective(`
[vars]
EDGEWARD_GATEWAY = false
[vars.EDGEWARD]
user_cache = 5
[vars.EDGEWARD_SITE_APP]
upstream = "http://127.0.0.1:3000"
sources = ["session"]
login = false
login_url = "http://localhost:3000/login"
query = { single_use = true }
translate = false
[[send_email]]
name = "EDGEWARD_EMAIL"
`);
    assert.deepEqual([isPlain, hasDemoOrigin], [false, false]);
    assert.equal(vars.EDGEWARD_GATEWAY, undefined);
    assert.deepEqual(vars.EDGEWARD, { log: "all", user_cache: 5 });
    assert.deepEqual(site.sources, ["session"]);
    assert.deepEqual(site.query, { parameter: "token", single_use: true, user_switch: "confirm" });
    assert.deepEqual([site.login, site.login_url, site.translate], [undefined, "http://localhost:3000/login", false]);
    assert.deepEqual(site.hosts, ["127.0.0.1:8787"]);
  });

  test("moves with the ports, gives way to the options, and its rules stay with a provider", () => {
    const moved = effective(
      '[vars.EDGEWARD_SITE_TWO]\nhosts = ["two.localhost:8787"]\nupstream = "http://127.0.0.1:8788"\n',
      "--port",
      "9000",
      "--origin-port",
      "9001",
    );
    assert.deepEqual(moved.vars.EDGEWARD_SITE_TWO, { hosts: ["two.localhost:9000"], upstream: "http://127.0.0.1:9001" });
    const own = '[vars.EDGEWARD_SITE_APP]\nupstream = "http://127.0.0.1:3000"\n';
    assert.equal(effective("", "--upstream", "http://127.0.0.1:8788").hasDemoOrigin, false, "an application of one's own at that port");
    const over = effective(own, "--upstream", "http://127.0.0.1:4000", "--with-provider");
    assert.deepEqual([over.site.upstream, over.site.rules, over.site.login, over.hasDemoOrigin], ["http://127.0.0.1:4000", undefined, "provider", false]);
    assert.equal(effective("", "--with-provider").site.rules, DEMO_RULES);
    const ruled = effective("[[vars.EDGEWARD_SITE_APP.rules]]\npublic = true\n", "--with-provider");
    assert.deepEqual(ruled.site.rules, [{ public: true }]);
    assert.throws(() => effective(own, "--origin-port", "9001"), /--origin-port is for the demo origin, and no site is in front of it/);
    assert.throws(() => effective("[vars]\nEDGEWARD_SITE_APP = false\n", "--upstream", "http://127.0.0.1:4000"), /wrangler\.local\.toml removes/);
    assert.equal(effective("[vars.EDGEWARD_SITE_APP]\nupstream_plaintext = true\n", "--upstream", "http://10.0.0.1").site.upstream, "http://10.0.0.1");
  });

  test("may put the site below a path and move its endpoints; a site where npm run dev signs in must be left", () => {
    const below = effective('[vars.EDGEWARD_SITE_APP]\nhosts = ["127.0.0.1:8787/studio"]\nendpoints = "/auth"\n');
    const { url, api } = described(below, options());
    assert.deepEqual([url, api], ["http://127.0.0.1:8787/studio", "http://127.0.0.1:8787/studio/auth"]);
    const elsewhere = effective('[vars.EDGEWARD_SITE_APP]\nhosts = ["app.localhost:8787"]\n');
    assert.throws(() => described(elsewhere, options()), /wrangler\.local\.toml: no site has 127\.0\.0\.1:8787 among its hosts/);
  });

  test("is refused with its name and the setting if it is no TOML or sets what it cannot", () => {
    for (const [content, told] of /** @type {[string, RegExp][]} */ ([
      ["[vars\n", /wrangler\.local\.toml: Invalid TOML/],
      ["[env.local.vars.EDGEWARD]\nlog = 1", /wrangler\.local\.toml: env: this file is for \[env\.local\] alone: write \[vars\.…\]/],
      ["[EDGEWARD_SITE_APP]\n", /wrangler\.local\.toml: EDGEWARD_SITE_APP: belongs below vars: \[vars\.EDGEWARD_SITE_APP\]/],
      ["[var.EDGEWARD]\n", /wrangler\.local\.toml: var: cannot be set here, .*; did you mean vars\?/],
      ["vars = 1", /wrangler\.local\.toml: vars: must be a table/],
      ['[vars]\nEDGEWARD_KEY_SECRET_1 = "canary"', /wrangler\.local\.toml: vars\.EDGEWARD_KEY_SECRET_1: a secret belongs in \.dev\.vars/],
      ['main = "x"\nroutes = []', /wrangler\.local\.toml:\n {2}main: cannot be set here.*\n {2}routes: cannot be set here/],
    ])) {
      assert.throws(
        () => readLocalFile(folderWith(content)),
        (/** @type {Error} */ { message }) => told.test(message) && !message.includes("canary"),
        content,
      );
    }
    assert.equal(readLocalFile(folderWith()), undefined);
  });

  test("is named for what it sets, and for what is missing in a table that only it has", () => {
    const file = { name: "x", vars: { EDGEWARD_SITE_APP: { a: 1, rules: [{ b: 1 }] }, EDGEWARD_SITE_TWO: {} } };
    const base = { EDGEWARD_SITE_APP: { c: 1 } };
    for (const [place, is] of /** @type {[string, boolean][]} */ ([
      ["EDGEWARD_SITE_APP.a", true],
      ["EDGEWARD_SITE_APP.rules.1.b", true],
      ["EDGEWARD_SITE_APP.c", false],
      ["EDGEWARD_SITE_APP.d", false],
      ["EDGEWARD_SITE_TWO.upstream", true],
      ["EDGEWARD_SITE_THREE.upstream", false],
    ])) {
      assert.equal(isFrom(file, place, base), is, place);
    }
    assert.equal(isFrom(undefined, "EDGEWARD_SITE_APP.a", base), false);
  });

  test("what the core finds wrong in it is told before the build, all of it, with file and setting, last on the screen", () => {
    const state = folderWith("[vars.EDGEWARD_SITE_APP]\nupstreem = 1\nsources = []\n[vars.EDGEWARD]\nlog = 'loud'\n");
    const lines = refused("dev.mjs", ["--state", state, "--port", "9911", "--upstream", "http://127.0.0.1:9912/a%20b"]).trim().split("\n");
    const from = lines.findIndex((line) => line.startsWith("error: "));
    assert.equal(lines[from], "error: 4 mistakes:");
    const file = path.join(state, "wrangler.local.toml");
    const told = lines.slice(from + 1).map((line) => line.trim().replace(/^(.*?: EDGEWARD[\w.]*): .*/, "$1"));
    assert.deepEqual(
      told.toSorted(),
      [
        `${file}: EDGEWARD.log`,
        `wrangler.toml [env.local] with ${file}: EDGEWARD_SITE_APP.login`, // of the two files together: there is no session for it
        `${file}: EDGEWARD_SITE_APP.upstreem`,
        "--upstream: EDGEWARD_SITE_APP.upstream",
      ].toSorted(),
    );
    assert.ok(!existsSync(path.join(state, "wrangler.9911.json")));
  });

  test("check-config and explain know it: it stands beside the configuration and counts for the environment local alone", () => {
    const folder = folderWith('[vars.EDGEWARD_SITE_APP]\nupstream = "http://10.0.0.1"\nrules = [{ prefix = "/", public = true }]\nunauthenticated = false\n');
    const site = 'hosts = ["127.0.0.1:8787"]\nupstream = "https://o.ward.dev"\nsources = ["session"]\nunauthenticated = "deny"\n';
    const config = path.join(folder, "wrangler.toml");
    writeFileSync(
      config,
      `name = "x"\n[vars.EDGEWARD_SITE_APP]\n${site}[env.local.vars.EDGEWARD_SITE_APP]\n${site}[env.other.vars.EDGEWARD_SITE_APP]\n${site}`,
    );
    /** @param {string[]} args */
    const check = (...args) => spawnSync(pinnedNode, [at("scripts/check-config.mjs"), "--config", config, ...args], { encoding: "utf8", cwd: at() });
    const local = path.join(folder, "wrangler.local.toml");
    const text = check().stdout;
    assert.ok(text.includes(`${config}: no errors`) && text.includes(`${config} [env.other]: no errors`), text);
    assert.ok(text.includes(`${config} [env.local] with ${local}: 1 error\n  ${local}: EDGEWARD_SITE_APP.upstream: must be https`), text);
    const json = JSON.parse(check("--json", "--env", "local").stdout);
    assert.deepEqual(
      json.local.errors.map((/** @type {{ error: string }} */ { error: _, ...rest }) => rest),
      [{ path: "EDGEWARD_SITE_APP.upstream", file: local }],
    );
    writeFileSync(local, "[vars.EDGEWARD_SITE_APP]\nrules = [{ prefix = '/', public = true }]\nunauthenticated = false\n");
    const explain = (/** @type {string[]} */ ...args) =>
      spawnSync(pinnedNode, [at("scripts/admin.mjs"), "explain", "--config", config, "--path", "/", ...args], { encoding: "utf8", cwd: at() });
    assert.match(explain().stdout, /granted, as anonymous/);
    assert.match(explain("--remote").stdout, /refused/);
    writeFileSync(local, "[vars");
    assert.equal(check("--env", "other").status, 0, "it is not read for another environment");
    assert.match(check("--env", "local").stderr, /wrangler\.local\.toml: Invalid TOML/);
  });

  test("docs/develop.md: its file has no error, and its mistakes are told in its words", async () => {
    const text = readFileSync(at("docs/develop.md"), "utf8");
    const [, file] = /```toml\n([\s\S]*?)```/.exec(text) ?? assert.fail("no file");
    const folder = folderWith(file);
    const secrets = path.join(folder, ".dev.vars");
    writeFileSync(secrets, newSecrets());
    const all = composed(options(), folder);
    assert.deepEqual(await judged(all, { folder, config: "", secrets }), [], "no error and no note");
    const { assertion, query, rules } = /** @type {Record<string, object | undefined>} */ (all.config.env?.local.vars?.EDGEWARD_SITE_APP ?? {});
    assert.deepEqual([assertion, query], [undefined, { parameter: "token", single_use: false, user_switch: "confirm", max_age: 60 }]);
    assert.equal(/** @type {object[]} */ (rules).length, 2);

    const [, told] = /```\n(error: [\s\S]*?)```/.exec(text) ?? assert.fail("no mistakes");
    const state = folderWith('[vars.EDGEWARD]\nuser_cache = 0\nlog = "loud"\n');
    const printed = refused("dev.mjs", ["--state", state, "--port", String(await freePort()), "--origin-port", String(await freePort())]).replaceAll(
      `${state}/`,
      "",
    );
    const linesOf = (/** @type {string} */ lines) => lines.trim().split("\n").toSorted();
    assert.deepEqual(linesOf(printed.slice(printed.indexOf("error: "))), linesOf(told));
  });

  test("git ignores it", () => {
    assert.equal(execFileSync("git", ["check-ignore", "wrangler.local.toml"], { cwd: at(), encoding: "utf8" }).trim(), "wrangler.local.toml");
  });
});

test("misspelt options, environments and steps are told with what was meant, last on the screen", () => {
  for (const [script, args, last] of /** @type {[string, string[], string][]} */ ([
    ["check-config.mjs", ["--confg", "x"], "error: there is no option --confg; did you mean --config?"],
    ["check-config.mjs", ["--env", "locla"], "error: wrangler.toml has no [env.locla]; did you mean local?"],
    ["deploy.mjs", ["--dry-rnu"], "error: there is no option --dry-rnu; did you mean --dry-run?"],
    ["test.mjs", ["--olny", "edge"], "error: there is no option --olny; did you mean --only?"],
    ["test.mjs", ["--only", "toolng"], "error: there is no step toolng; did you mean tooling?"],
  ])) {
    assert.equal(refused(script, args).trim().split("\n").at(-1), last);
  }
});
