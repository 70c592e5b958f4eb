// scripts/lib/deploy.mjs: what must not ship, and the routes' switch (SEC-68, SEC-69).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { parse as parseToml } from "smol-toml";
import { failOpenNotice, failOpenRoutes, refuseErrors, refuseUnshippable, shippingProblems } from "../../scripts/lib/deploy.mjs";
import { effectiveConfig } from "../../scripts/lib/effective-config.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";

/** @import { Route, WranglerConfig } from "../../scripts/lib/effective-config.mjs" */

/** @typedef {{ hosts: string[], upstream: string } & Record<string, unknown>} SiteTable */
/** @typedef {WranglerConfig & { kv_namespaces: { id?: string }[], migrations: object[], routes: Route[], vars: { EDGEWARD_SITE_APP: SiteTable } & Record<string, unknown> }} Filled One in which all of this is there. */

/** The project's own file: the template, or what a deployer has made of it. */
const project = () => parseToml(readFileSync(at("wrangler.toml"), "utf8"));

/** A template that nobody has filled in. */
const template = () =>
  parseToml(`
name = "edgeward"
main = "build/worker.js"
no_bundle = true
workers_dev = false
preview_urls = false
routes = [{ pattern = "app.example.com/*", zone_name = "example.com" }]
rules = [{ type = "ESModule", globs = ["worker.js"] }, { type = "CompiledWasm", globs = ["edgeward.wasm", "kdf.wasm", "kdf-import.wasm"] }, { type = "Data", globs = ["common-passwords.bin"] }]
kv_namespaces = [{ binding = "EDGEWARD_KV", id = "REPLACE_WITH_KV_NAMESPACE_ID" }]
durable_objects.bindings = [{ name = "EDGEWARD_ONCE", class_name = "Once" }, { name = "EDGEWARD_RECORD", class_name = "Record" }, { name = "EDGEWARD_AUDIT", class_name = "Audit" }]
migrations = [{ tag = "v1", new_sqlite_classes = ["Once"] }, { tag = "v2", new_sqlite_classes = ["Record"] }, { tag = "v5", new_sqlite_classes = ["Audit"] }]
ratelimits = [{ name = "EDGEWARD_LIMIT" }, { name = "EDGEWARD_FAILURE_LIMIT" }]
[vars.EDGEWARD_SITE_APP]
hosts = ["app.example.com"]
upstream = "https://origin.example.com"
login_url = "https://www.example.com/login"
[env.local.vars.EDGEWARD_SITE_APP]
hosts = ["127.0.0.1:8787"]
upstream = "http://127.0.0.1:8788"
`);

/** The template, filled in as a deployer would. */
function filledIn() {
  const config = /** @type {Filled} */ (effectiveConfig(template()));
  config.routes = [{ pattern: "app.ward.dev/*", zone_name: "ward.dev" }];
  config.kv_namespaces[0].id = "0123456789abcdef0123456789abcdef";
  Object.assign(config.vars.EDGEWARD_SITE_APP, {
    hosts: ["app.ward.dev"],
    upstream: "https://origin.ward.dev",
    login_url: "https://www.ward.dev/login",
  });
  return config;
}

/**
 * The paths of the problems after a change to a configuration that is in order.
 * @param {(config: Filled) => unknown} change
 * @param {string} [env]
 */
function pathsAfter(change, env) {
  const config = filledIn();
  change(config);
  return shippingProblems(config, env).map(({ path }) => path);
}

test("a configuration that the Worker would not start with is not deployed", async () => {
  const good = /** @type {Filled} */ (effectiveConfig(project()));
  assert.match((await refuseErrors(good, "")).told, /no errors[\s\S]*EDGEWARD_SESSION_SECRET_1/);
  const bad = structuredClone(good);
  bad.vars.EDGEWARD_SITE_APP.rules = [{ prefix: "/a/", require: { rule: "x" } }];
  await assert.rejects(refuseErrors(bad, ""), /rules\.1\.prefix: [\s\S]*rules\.1\.require\.rule: no such setting/);
});

describe("the project's wrangler.toml", () => {
  test("workers_dev_and_preview_urls_are_off", () => {
    for (const env of ["", "local"]) {
      const config = effectiveConfig(project(), env);
      assert.equal(config.workers_dev, false);
      assert.equal(config.preview_urls, false);
    }
  });

  test("logs no request URLs", () => {
    assert.equal(effectiveConfig(project()).observability?.logs?.invocation_logs, false);
  });

  test("has nothing that must not ship but what a deployer fills in", () => {
    for (const { path } of shippingProblems(effectiveConfig(project()))) assert.match(path, /^(kv_namespaces\.EDGEWARD_KV\.id|routes|vars\.EDGEWARD_SITE_.*)$/);
  });
});

describe("a template", () => {
  const PLACEHOLDERS = [
    "kv_namespaces.EDGEWARD_KV.id",
    "routes",
    "vars.EDGEWARD_SITE_APP.hosts",
    "vars.EDGEWARD_SITE_APP.upstream",
    "vars.EDGEWARD_SITE_APP.login_url",
  ];

  test("is refused for every placeholder in it", () => {
    assert.deepEqual(
      shippingProblems(effectiveConfig(template())).map(({ path }) => path),
      PLACEHOLDERS,
    );
    assert.throws(
      () => refuseUnshippable(effectiveConfig(template()), "", false),
      ({ message }) => {
        assert.match(message, /must not be deployed like this/);
        for (const path of PLACEHOLDERS) assert.ok(message.includes(`\n  - ${path}: `), path);
        return true;
      },
    );
  });

  test("passes a dry run with the same list as a warning", () => {
    const warning = refuseUnshippable(effectiveConfig(template()), "", true) ?? "";
    assert.match(warning, /a real deployment would be refused/);
    for (const path of PLACEHOLDERS) assert.ok(warning.includes(`\n  - ${path}: `), path);
  });

  test("filled in, may ship", () => {
    assert.equal(refuseUnshippable(filledIn(), "", false), null);
  });
});

describe("what must not ship", () => {
  /** @type {[name: string, change: (config: Filled) => unknown, paths: string[]][]} */
  const CASES = [
    ["a workers.dev address", (config) => (config.workers_dev = true), ["workers_dev"]],
    ["a workers.dev address by default", (config) => delete config.workers_dev, ["workers_dev"]],
    ["preview addresses", (config) => (config.preview_urls = true), ["preview_urls"]],
    ["preview addresses by default", (config) => delete config.preview_urls, ["preview_urls"]],
    ["a file that the tests have not run", (config) => (config.main = "src/edge/entry.js"), ["main"]],
    ["a module that wrangler would leave out", (config) => config.rules?.pop(), ["rules"]],
    [
      "a class for passwords without its migration",
      (config) => config.durable_objects?.bindings?.push({ name: "EDGEWARD_ATTEMPTS", class_name: "Attempts" }),
      ["migrations"],
    ],
    [
      "another class for passwords",
      (config) => config.durable_objects?.bindings?.push({ name: "EDGEWARD_ATTEMPTS", class_name: "Record" }),
      ["durable_objects.bindings"],
    ],
    ["a second bundling", (config) => delete config.no_bundle, ["no_bundle"]],
    ["no KV", (config) => (config.kv_namespaces = []), ["kv_namespaces"]],
    ["no Durable Object", (config) => delete config.durable_objects, Array(3).fill("durable_objects.bindings")],
    ["no audit log", (config) => config.durable_objects?.bindings?.pop(), ["durable_objects.bindings"]],
    ["a Durable Object that no migration makes", (config) => config.migrations.pop(), ["migrations"]],
    ["no limits", (config) => delete config.ratelimits, ["ratelimits", "ratelimits"]],
    [
      "mail without a way to send it",
      (config) => (config.vars.EDGEWARD_GATEWAY = { mail_from: "login@ward.dev" }),
      ["durable_objects.bindings", "durable_objects.bindings", "ratelimits", "send_email"],
    ],
    [
      "a gateway with mail and nothing else that it needs",
      (config) =>
        Object.assign(config, { send_email: [{ name: "EDGEWARD_EMAIL" }], vars: { ...config.vars, EDGEWARD_GATEWAY: { mail_from: "login@ward.dev" } } }),
      ["durable_objects.bindings", "durable_objects.bindings", "ratelimits"],
    ],
    ["no route", (config) => (config.routes = []), ["routes"]],
    ["no site", (config) => Object.assign(config, { vars: {} }), ["vars"]],
    ["a host that no route leads to", (config) => config.vars.EDGEWARD_SITE_APP.hosts.push("other.ward.dev"), ["vars.EDGEWARD_SITE_APP.hosts"]],
    ["this machine as host", (config) => config.vars.EDGEWARD_SITE_APP.hosts.push("127.0.0.1:8787"), ["vars.EDGEWARD_SITE_APP.hosts"]],
    ["this machine as origin", (config) => (config.vars.EDGEWARD_SITE_APP.upstream = "http://localhost:8788"), ["vars.EDGEWARD_SITE_APP.upstream"]],
    ["a secret as a variable", (config) => (config.vars.EDGEWARD_KEY_SECRET_1 = "x"), ["vars.EDGEWARD_KEY_SECRET_1"]],
    ["an API token as a variable", (config) => (config.vars.TOKEN = "ewt_abc"), ["vars.TOKEN"]],
  ];
  for (const [name, change, expected] of CASES) {
    test(name, () => assert.deepEqual(pathsAfter(change), expected));
  }

  test("the local environment", () => {
    const problems = shippingProblems(effectiveConfig(template(), "local"), "local");
    assert.equal(problems[0].path, "env.local");
  });
});

describe("what may ship", () => {
  /** @type {[name: string, change: (config: Filled) => unknown][]} */
  const CASES = [
    ["a wildcard route", (config) => (config.routes = ["*.ward.dev/*"])],
    ["a single route", (config) => Object.assign(config, { route: "app.ward.dev/*", routes: undefined })],
    ["a custom domain", (config) => (config.routes = [{ pattern: "app.ward.dev", custom_domain: true }])],
    [
      "several sites",
      (config) => {
        config.routes.push({ pattern: "wiki.ward.dev/*", zone_name: "ward.dev" });
        config.vars.EDGEWARD_SITE_WIKI = { ...config.vars.EDGEWARD_SITE_APP, hosts: ["wiki.ward.dev"] };
      },
    ],
  ];
  for (const [name, change] of CASES) {
    test(name, () => assert.deepEqual(pathsAfter(change), []));
  }
});

describe("environments", () => {
  test("take bindings from their own table only, and the rest from the top level", () => {
    const config = { ...filledIn(), env: { staging: { routes: ["staging.ward.dev/*"] } } };
    const staging = effectiveConfig(config, "staging");
    assert.equal(staging.workers_dev, false);
    assert.equal(staging.kv_namespaces, undefined);
    assert.equal(staging.name, "edgeward-staging");
    assert.ok(shippingProblems(staging, "staging").some(({ path }) => path === "kv_namespaces"));
  });

  test("that do not exist are refused", () => {
    assert.throws(() => effectiveConfig(filledIn(), "nowhere"), /no \[env\.nowhere\]/);
  });
});

describe("fail open", () => {
  test("every_deployment_announces_the_switch", () => {
    const notice = failOpenNotice(filledIn());
    assert.match(notice, /FAIL CLOSED \(app\.ward\.dev\/\*\)/);
    assert.match(notice, /Request limit failure mode/);
    assert.match(notice, /"request_limit_fail_open": false/);
    assert.match(notice, /x-edgeward-assertion/);
  });

  test("open_routes_of_this_worker_are_found", () => {
    const routes = [
      { pattern: "app.ward.dev/*", script: "edgeward", request_limit_fail_open: true },
      { pattern: "wiki.ward.dev/*", script: "edgeward", request_limit_fail_open: false },
      { pattern: "old.ward.dev/*", script: "edgeward" },
      { pattern: "other.ward.dev/*", script: "something-else", request_limit_fail_open: true },
    ];
    assert.deepEqual(failOpenRoutes(routes, "edgeward"), ["app.ward.dev/*", "old.ward.dev/*"]);
  });
});

test("npm run deploy -- --dry-run goes through wrangler, without login or network", async () => {
  const env = { ...process.env, CLOUDFLARE_API_TOKEN: "", HTTPS_PROXY: "http://127.0.0.1:9", HTTP_PROXY: "http://127.0.0.1:9" };
  const { stdout } = await promisify(execFile)(pinnedNode, [at("scripts/deploy.mjs"), "--dry-run"], { cwd: at(), env });
  assert.match(stdout, /^total .* 870,400 B/m);
  for (const name of ["edgeward.wasm", "kdf.wasm", "kdf-import.wasm", "common-passwords.bin"]) assert.ok(stdout.includes(name), name);
  for (const name of ["ONCE (Once)", "ATTEMPTS (Attempts)"]) assert.ok(stdout.includes(`env.EDGEWARD_${name}`), name);
  assert.match(stdout, /--dry-run: exiting now/);
  assert.match(stdout, /FAIL CLOSED/);
});
