// `npm run check-config`, the schema and `npm run admin -- explain`: what is said of a configuration before it ships.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Ajv } from "ajv";
import { parse as parseToml } from "smol-toml";
import { builtCore } from "../../scripts/lib/core.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { readExample } from "../edge/lib/examples.mjs";

const folder = mkdtempSync(path.join(tmpdir(), "edgeward-config-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Runs a script; answers status and what it printed.
 * @param {string} script
 * @param {...string} args
 */
function run(script, ...args) {
  const { status, stdout, stderr } = spawnSync(pinnedNode, [at("scripts", script), ...args], { encoding: "utf8", cwd: at() });
  return { status, stdout, stderr };
}

const core = await builtCore();

/**
 * What the core says of environments, by their names.
 * @param {{ [env: string]: object }} given
 */
const check = (given) =>
  /** @type {{ [env: string]: { errors: { path: string, error: string }[], notes: object[], assumed: string[] } }} */ (core("check-config", given));

/**
 * A file with this content; answers its path.
 * @param {string} name
 * @param {string} content
 */
function file(name, content) {
  writeFileSync(path.join(folder, name), content);
  return path.join(folder, name);
}

const GOOD = `
name = "edgeward"
[vars.EDGEWARD_SITE_APP]
hosts = ["app.ward.dev", "api.ward.dev"]
upstream = "https://origin.ward.dev"
sources = ["session", "bearer"]
upstream_credential = { header = "x-key", secret = "ORIGIN_KEY" }
[[vars.EDGEWARD_RULES_APP]]
name = "assets"
glob = ["/**/*.css", "/**/*.js"]
public = true
[[vars.EDGEWARD_RULES_APP]]
name = "admins"
prefix = "/admin"
require = { role = "admin", not = { country = ["XK"] } }
unauthorised = "not_found"
[[vars.EDGEWARD_RULES_APP]]
prefix = "/"
require = { authenticated = true }
[env.other.vars.EDGEWARD_SITE_APP]
hosts = ["b c"]
upstream = "ftp://x"
sources = ["session"]
unauthenticated = "allow"
y = 1
`;

test("a deployment that lacks a binding is noted, and is no error", () => {
  /** @param {[name: string, className: string][]} objects */
  const notes = (objects, more = "") => {
    const bound = objects.map(([name, className]) => `[[durable_objects.bindings]]\nname = "${name}"\nclass_name = "${className}"\n`);
    const { status, stdout, stderr } = run("check-config.mjs", "--config", file("bound.toml", `${GOOD}${bound.join("")}${more}`), "--env", "");
    assert.equal(status, 0, stderr);
    return [...stdout.matchAll(/^ {2}note: (\S+): (.*)$/gm)].map(([, path, problem]) => `${path} ${problem}`);
  };
  const settings = notes([]);
  assert.deepEqual(settings, [], "a file without any binding is only about settings");
  const lacking = notes([
    ["EDGEWARD_ONCE", "Once"],
    ["EDGEWARD_RECORD", "Once"],
  ]);
  for (const note of [
    "kv_namespaces has no binding EDGEWARD_KV",
    'migrations do not create the class Once: add new_sqlite_classes = ["Once"] under a new tag',
    "durable_objects.bindings has no EDGEWARD_RECORD with the class Record",
    "durable_objects.bindings has no EDGEWARD_AUDIT with the class Audit",
    "durable_objects.bindings has no EDGEWARD_METRICS with the class Metrics, so nothing is counted (docs/monitoring.md)",
    "durable_objects.bindings has no EDGEWARD_DIRECTORY with the class Directory, so users cannot be searched (docs/admin-api.md#search)",
    "ratelimits has no EDGEWARD_FAILURE_LIMIT",
  ]) {
    assert.ok(lacking.includes(note), `${note}\n${lacking.join("\n")}`);
  }
  const classes = ["Once", "Record", "Audit", "Metrics", "Directory"];
  const rest = ["kv_namespaces", "ratelimits"].flatMap((name) =>
    (name === "ratelimits" ? ["EDGEWARD_LIMIT", "EDGEWARD_FAILURE_LIMIT"] : ["EDGEWARD_KV"]).map(
      (bound) => `[[${name}]]\n${name === "ratelimits" ? "name" : "binding"} = "${bound}"\n`,
    ),
  );
  const migration = `[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ${JSON.stringify(classes)}\n`;
  assert.deepEqual(
    notes(
      classes.map((name) => [`EDGEWARD_${name.toUpperCase()}`, name]),
      rest.join("") + migration,
    ),
    [],
  );
});

test("every error is reported with its path, and the command fails", () => {
  const good = file("good.toml", GOOD);
  const top = run("check-config.mjs", "--config", good, "--env", "");
  assert.equal(top.status, 0, top.stderr);
  assert.match(top.stdout, /no errors/);
  assert.match(top.stdout, /assumed to be set: EDGEWARD_KEY_SECRET_1, EDGEWARD_SESSION_SECRET_1, EDGEWARD_TOKEN_SECRET_1, ORIGIN_KEY/);
  const all = run("check-config.mjs", "--config", good, "--json");
  assert.equal(all.status, 1);
  const checked = JSON.parse(all.stdout);
  assert.deepEqual(checked[""].errors, []);
  assert.deepEqual(checked.other.errors.map((/** @type {{ path: string }} */ { path }) => path.replace("EDGEWARD_SITE_APP.", "")).toSorted(), [
    "hosts",
    "unauthenticated",
    "upstream",
    "y",
  ]);
  for (const { error } of checked.other.errors) assert.ok(error.length > 3);
  const other = run("check-config.mjs", "--config", good, "--env", "other");
  assert.equal(other.status, 1);
  assert.match(other.stdout, /\[env\.other\]: 4 errors\n {2}EDGEWARD_SITE_APP\.y: no such setting/);
});

test("settings and values that are misspelt are told with what was probably meant, wherever they stand", () => {
  const misspelt = `[vars.EDGEWARD]
logg = "all"
nothing_like_it = 1
[vars.EDGEWARD_SITE_APP]
hosts = ["app.example.com"]
upstream = "https://origin.example.com"
sources = ["sesion"]
unauthenticated = "denny"
sesion = {}
query = { single_us = true, user_switch = "confirm" }
rules = [{ prefix = "/", require = { rol = "x" } }]
[vars.EDGEWARD_SITE_APP.cors]
orgins = []
[vars.EDGWARD_SITE_B]
x = 1
[vars.OTHER_SITE]
x = 1
`;
  const { status, stdout } = run("check-config.mjs", "--config", file("misspelt.toml", misspelt), "--env", "");
  assert.equal(status, 1);
  for (const line of [
    "EDGEWARD.logg: no such setting; did you mean log?",
    "EDGEWARD.nothing_like_it: no such setting",
    "EDGEWARD_SITE_APP.sesion: no such setting; did you mean session?",
    "EDGEWARD_SITE_APP.query.single_us: no such setting; did you mean single_use?",
    "EDGEWARD_SITE_APP.cors.orgins: no such setting; did you mean origins?",
    "EDGEWARD_SITE_APP.rules.1.require.rol: no such setting; did you mean role?",
    "note: EDGWARD_SITE_B: Edgeward does not read this variable; did you mean EDGEWARD_SITE_B?",
  ]) {
    assert.ok(stdout.split("\n").includes(`  ${line}`), `${line}\n${stdout}`);
  }
  assert.match(stdout, /EDGEWARD_SITE_APP\.sources: .*; did you mean session\?$/m);
  assert.match(stdout, /EDGEWARD_SITE_APP\.unauthenticated: .*; did you mean deny\?$/m);
  assert.doesNotMatch(stdout, /OTHER_SITE/);
});

test("a rule that nobody can meet is noted, and no error", () => {
  const noted = run("check-config.mjs", "--config", file("noted.toml", GOOD.replace('role = "admin"', 'scope = "files"')), "--env", "");
  assert.equal(noted.status, 0);
  assert.match(noted.stdout, /note: EDGEWARD_SITE_APP\.rules\.2: requires scope/);
});

test("what is no file, no environment or no option is told as such", () => {
  for (const [args, told] of /** @type {[string[], RegExp][]} */ ([
    [["--config", path.join(folder, "none.toml")], /ENOENT/],
    [["--config", file("broken.toml", "x = [")], /broken\.toml/],
    [["--env", "nowhere"], /no \[env\.nowhere\]/],
    [["--strict"], /--strict/],
  ])) {
    const { status, stderr } = run("check-config.mjs", ...args);
    assert.equal(status, 1, String(args));
    assert.match(stderr, told);
  }
});

test("a weak secret in .dev.vars would be an error of the local environment, and no secret is printed", async () => {
  const { vars } = parseToml(GOOD);
  const told = check({ local: { vars, secrets: { EDGEWARD_KEY_SECRET_1: "canary-canary" } } });
  assert.deepEqual(
    told.local.errors.map(({ path }) => path),
    ["EDGEWARD_KEY_SECRET_1"],
  );
  assert.doesNotMatch(JSON.stringify(told), /canary/);
});

test("a secret that .dev.vars lacks is an error of the local environment, with the place to set it", async () => {
  const { vars } = parseToml(GOOD);
  const long = "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu";
  const all = { EDGEWARD_KEY_SECRET_1: long, EDGEWARD_TOKEN_SECRET_1: `a${long}`, EDGEWARD_SESSION_SECRET_1: `b${long}`, ORIGIN_KEY: "k" };
  const weak = { ...all, ISSUER_SECRET: "x".repeat(40) };
  const { EDGEWARD_TOKEN_SECRET_1: _, ...lacking } = all;
  const table = { issuer: "https://id.example", audience: "app", algorithms: ["HS256"], secret: "ISSUER_SECRET" };
  const shared = { .../** @type {object} */ (vars), EDGEWARD_ISSUER_ID: table };
  const told = check({
    "": { vars, secrets: {}, complete: false },
    whole: { vars, secrets: all, complete: true },
    lacking: { vars, secrets: lacking, complete: true },
    unset: { vars: shared, secrets: all, complete: true },
    weak: { vars: shared, secrets: weak, complete: true },
  });
  assert.equal(told[""].assumed.length, 4);
  assert.deepEqual([told.whole.errors, told.whole.assumed], [[], []]);
  assert.deepEqual(told.lacking.assumed, []);
  assert.deepEqual(told.lacking.errors, [
    { path: "EDGEWARD_TOKEN_SECRET_1", error: "is missing; set it with `wrangler secret put`, or in .dev.vars for the local environment" },
  ]);
  const [{ error: unset }] = told.unset.errors;
  assert.match(unset, /^ISSUER_SECRET is not a secret of this Worker; .*\.dev\.vars/);
  const [{ error: guessed }] = told.weak.errors;
  assert.match(guessed, /the issuer has to change it/);
  assert.doesNotMatch(guessed, /secret rotate/);
  for (const one of ["unset", "weak"]) assert.equal(told[one].errors.length, 1, JSON.stringify(told[one].errors));
});

test("one fault is told once", async () => {
  const parsed = /** @type {{ vars: Record<string, Record<string, unknown>> }} */ (/** @type {unknown} */ (parseToml(GOOD)));
  const table = { issuer: "https://id.example", audience: "app", algorithms: ["HS256"], secret: "ISSUER_SECRET" };
  const { secret: _, ...keyless } = table;
  const app = parsed.vars.EDGEWARD_SITE_APP;
  const grouped = { by: "header", header: "x-tenant", groups: { one: { issuers: ["id"] } } };
  const given = {
    keyless: { vars: { ...parsed.vars, EDGEWARD_ISSUER_ID: keyless } },
    login: { vars: { ...parsed.vars, EDGEWARD_SITE_APP: { ...app, unauthenticated: "login", login_url: "nowhere" } } },
    both: { vars: { ...parsed.vars, EDGEWARD_ISSUER_ID: table, EDGEWARD_SITE_APP: { ...app, issuers: ["id"], tenants: grouped } } },
  };
  const told = check(given);
  for (const [name, path, message] of /** @type {[string, string, RegExp][]} */ ([
    ["keyless", "EDGEWARD_ISSUER_ID.secret", /exactly one of/],
    ["login", "EDGEWARD_SITE_APP.login_url", /must be an https URL/],
    ["both", "EDGEWARD_SITE_APP.issuers", /tenants\.groups\.<tenant>\.issuers/],
  ])) {
    assert.deepEqual(
      told[name].errors.map((one) => one.path),
      [path],
      name,
    );
    assert.match(told[name].errors[0].error, message);
  }
});

test("the committed schema is the one that the settings give", async () => {
  const printed = run("admin.mjs", "schema");
  assert.equal(readFileSync(at("wrangler.schema.json"), "utf8"), printed.stdout, "run: npm run --silent admin -- schema > wrangler.schema.json");
});

const schema = () => JSON.parse(readFileSync(at("wrangler.schema.json"), "utf8"));
const validator = () =>
  new Ajv({ allErrors: true, strict: true, allowUnionTypes: true, formats: { uint16: true, uint32: true }, keywords: [] }).compile(schema());

/** Every TOML text that the project gives as an example of its settings, by where it stands. */
function examples() {
  /** @type {Record<string, string>} */
  const found = { "wrangler.toml": readFileSync(at("wrangler.toml"), "utf8") };
  for (const document of [
    "docs/configuration.md",
    "docs/rules.md",
    "docs/integrate.md",
    "docs/sign-in.md",
    "docs/migrate-from-oauth2-proxy.md",
    "docs/migrate-from-cloudflare-access.md",
  ]) {
    const blocks = readFileSync(at(document), "utf8").matchAll(/```toml\n([\s\S]*?)```/g);
    for (const [index, [, text]] of [...blocks].entries()) if (text.includes("vars.EDGEWARD")) found[`${document} ${index}`] = text;
  }
  return found;
}

test("the schema takes the template and every example", () => {
  const validate = validator();
  const all = examples();
  assert.ok(Object.keys(all).length >= 5, Object.keys(all).join());
  for (const [place, text] of Object.entries(all)) {
    validate(parseToml(text));
    // Where a document shows a part of a site only, settings may be missing, and nothing else may be wrong.
    const wrong = (validate.errors ?? []).filter(({ keyword }) => keyword !== "required" || !place.startsWith("docs/integrate.md"));
    assert.deepEqual(wrong, [], place);
  }
});

test("every example of rules, and the complete one, has no error", async () => {
  const all = Object.entries(examples()).filter(([place]) => !place.startsWith("docs/integrate.md"));
  for (const [place, text] of all) {
    const { vars } = readExample(text);
    const base = { hosts: ["app.example.com"], upstream: "https://origin.example.com", sources: ["session"] };
    // Rules may name methods of the gateway.
    const given = { vars: { EDGEWARD_SITE_APP: base, EDGEWARD_GATEWAY: { hosts: ["login.example.com"] }, ...vars } };
    const { errors } = check({ x: given }).x;
    assert.deepEqual(errors, [], place);
  }
});

test("a site in front of Label Studio has no error, in either mode, as its document writes it", async () => {
  const [mint, pat] = [...readFileSync(at("docs/label-studio.md"), "utf8").matchAll(/```toml\n([\s\S]*?)```/g)].map(
    ([, text]) => readExample(text).vars.EDGEWARD_SITE_STUDIO,
  );
  assert.deepEqual([mint.label_studio?.mode, pat.label_studio?.mode], ["mint", "pat"]);
  for (const { label_studio } of [mint, pat]) {
    assert.ok(label_studio);
    const { errors, assumed } = check({ x: { vars: { EDGEWARD_SITE_STUDIO: { ...mint, label_studio } } } }).x;
    assert.deepEqual(errors, [], label_studio.mode);
    assert.ok(assumed.includes(label_studio.secret), label_studio.mode);
  }
});

test("docs/migrate-from-custom-jwt.md: its example has no error, and the schema takes it", () => {
  const [text] =
    readFileSync(at("docs/migrate-from-custom-jwt.md"), "utf8").match(/(?<=```toml\n)[\s\S]*?(?=```)/) ?? assert.fail("the document shows no configuration");
  const checked = run("check-config.mjs", "--config", file("custom-jwt.toml", `name = "x"\n${text}`), "--env", "", "--json");
  assert.equal(checked.status, 0, checked.stderr);
  const { errors, assumed } = JSON.parse(checked.stdout)[""];
  assert.deepEqual(errors, []);
  for (const secret of ["JWT_SSO_SECRET", "LABEL_STUDIO_SECRET_KEY"]) assert.ok(assumed.includes(secret), secret);
  const validate = validator();
  assert.ok(validate(parseToml(text)), JSON.stringify(validate.errors));
});

test("what docs/rules.md says that its first example does, it does", () => {
  const [first] = [...readFileSync(at("docs/rules.md"), "utf8").matchAll(/```toml\n([\s\S]*?)```/g)].map(([, text]) => text);
  const [cases] = [...readFileSync(at("docs/rules.md"), "utf8").matchAll(/```json\n([\s\S]*?)```/g)].map(([, text]) => text);
  const { status, stdout, stderr } = run(
    "admin.mjs",
    "explain",
    "--config",
    file("first.toml", `name = "x"\n${first}`),
    "--remote",
    "--cases",
    file("first.json", cases),
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, /3 of 3 as expected/);
});

test("docs/rules.md has a row for every setting of a rule and of a requirement, and no other", () => {
  const { definitions } = JSON.parse(readFileSync(at("wrangler.schema.json"), "utf8"));
  /** @param {string} table */
  const settings = (table) => Object.keys(definitions[table].properties);
  const wanted = [...settings("RawRule"), ...settings("RawRequirement"), ...settings("RawClaim").map((name) => `claim.${name}`)];
  const rows = [...readFileSync(at("docs/rules.md"), "utf8").matchAll(/^\| `([a-z_.]+)` \| [^|]+ \| [^|]*\|/gm)].map(([, name]) => name);
  const named = rows.filter((name) => wanted.includes(name));
  assert.deepEqual([...new Set(named)].toSorted(), [...new Set(wanted)].toSorted());
});

test("the schema refuses what the configuration refuses: unknown names, wrong types, missing settings", () => {
  const validate = validator();
  const site = () => structuredClone(readExample(GOOD).vars.EDGEWARD_SITE_APP);
  /** @param {(site: Record<string, unknown>, vars: Record<string, unknown>) => unknown} change */
  const wrong = (change) => {
    /** @type {{ EDGEWARD_SITE_APP: Record<string, unknown> } & Record<string, unknown>} */
    const vars = { EDGEWARD_SITE_APP: { ...site(), unauthenticated: "deny" } };
    assert.ok(validate({ vars: structuredClone(vars) }), JSON.stringify(validate.errors));
    change(vars.EDGEWARD_SITE_APP, vars);
    return !validate({ vars }) && !validate({ env: { x: { vars } } });
  };
  for (const name of ["hosts", "upstream", "sources"])
    assert.ok(
      wrong((site) => delete site[name]),
      name,
    );
  assert.ok(wrong((site) => (site.unauthenticated = "allow")));
  assert.ok(wrong((site) => (site.hosts = "app.ward.dev")));
  assert.ok(wrong((site) => (site.sesion = {})));
  assert.ok(wrong((site) => (site.session = { idel: 1 })));
  assert.ok(wrong((site) => (site.query = { single_use: true })));
  assert.ok(wrong((site) => (site.cors = { origins: ["https://a.ward.dev"] })));
  assert.ok(wrong((site) => (site.rules = [{ require: { rule: "x" } }])));
  assert.ok(wrong((site) => (site.rules = [{ require: { not: { any: [{ role: 1 }] } } }])));
  assert.ok(wrong((site) => (site.rules = [{ require: { claim: { value: 1 } } }])));
  assert.ok(wrong((site) => (site.rules = [{ public: true, unauthorised: "404" }])));
  assert.ok(wrong((_, vars) => (vars.EDGEWARD_RULES_APP = [{ path: [] }])));
  assert.ok(wrong((_, vars) => (vars.EDGEWARD = { issuer: 1 })));
});

test("what the schema requires, the configuration requires", async () => {
  const { definitions } = schema();
  const { RawSite: site } = definitions;
  /** @param {Record<string, unknown>} settings */
  const errors = (settings) => {
    const vars = { EDGEWARD_SITE_APP: { hosts: ["a.ward.dev"], upstream: "https://o.ward.dev", sources: ["session"], unauthenticated: "deny", ...settings } };
    return check({ x: { vars } }).x.errors.map(({ path }) => path);
  };
  assert.deepEqual(errors({}), []);
  for (const name of site.required) assert.ok(errors({ [name]: undefined }).includes(`EDGEWARD_SITE_APP.${name}`), name);
  let tables = 0;
  for (const [name, { $ref, allOf }] of Object.entries(site.properties)) {
    const table = definitions[($ref ?? allOf?.[0].$ref)?.split("/").at(-1)];
    for (const member of table?.required ?? []) {
      tables += 1;
      assert.ok(errors({ [name]: {} }).includes(`EDGEWARD_SITE_APP.${name}.${member}`), `${name}.${member}`);
    }
  }
  assert.ok(tables >= 6, String(tables));
});

test("explain tells which rule decides and which requirement does not hold", () => {
  const good = file("good.toml", GOOD);
  /** @param {...string} args */
  const explain = (...args) => run("admin.mjs", "explain", "--config", good, "--remote", ...args);
  const admin = explain("--site", "app", "--path", "/admin/x", "--method", "POST", "--country", "DE", "--caller", '{"roles": ["admin"]}');
  assert.equal(admin.status, 0, admin.stderr);
  assert.match(admin.stdout, /rule 1 \(assets\) does not match: it is for other paths/);
  assert.match(admin.stdout, /rule 2 \(admins\) decides[\s\S]*yes role admin: the caller has one of them[\s\S]*granted, as the signed-in caller/);
  const editor = explain("--path", "/admin", "--country", "DE", "--caller", '{"roles": ["editor"]}');
  assert.match(editor.stdout, /no {2}role admin: the caller has other roles[\s\S]*refused: rule 2: requirement role is not met/);
  const nobody = JSON.parse(explain("--path", "/a%3fb", "--json").stdout);
  assert.deepEqual([nobody.rule, nobody.granted, nobody.refusal], [3, false, "rule 3 requires signing in"]);
  const asset = JSON.parse(explain("--path", "/x/a.css?v=1", "--host", "API.ward.dev", "--json").stdout);
  assert.deepEqual([asset.rule, asset.granted, asset.as, asset.host], [1, true, "anonymous", "api.ward.dev"]);
  const odd = explain("--path", "/a%zz");
  assert.match(odd.stdout, /refused: the path has an invalid percent-escape/);
  const ambiguous = explain("--path", "/x/..%2fadmin");
  assert.match(ambiguous.stdout, /reading \/x\/\.\.%2Fadmin leads to rule 3[\s\S]*reading \/admin leads to rule 2/);
  assert.match(ambiguous.stdout, /refused: servers read the path in different ways: rule 3, or rule 2/);
  for (const [args, told] of /** @type {[string[], RegExp][]} */ ([
    [[], /--path is missing/],
    [["--path", "/", "--caller", "{"], /--caller is not JSON/],
    [["--path", "/", "--caller", '{"role": "x"}'], /unknown field `role`/],
    [["--path", "/", "--site", "b"], /no such site/],
    [["--path", "/", "--host", "evil.ward.dev"], /invalid host/],
    [["--path", "/", "--address", "here"], /invalid address/],
  ])) {
    const { status, stderr } = explain(...args);
    assert.equal(status, 1, String(args));
    assert.match(stderr, told);
  }
});

test("explain --cases is a test of rules: it fails when an answer is not the expected one", () => {
  const good = file("good.toml", GOOD);
  const cases = [
    { path: "/admin", caller: { roles: ["admin"] }, country: "DE", granted: true },
    { path: "/admin", caller: { roles: [] }, granted: false },
    { path: "/a.js", granted: true },
    { path: "/x", caller: {}, granted: true },
  ];
  const right = run("admin.mjs", "explain", "--config", good, "--remote", "--cases", file("cases.json", JSON.stringify(cases)));
  assert.equal(right.status, 0, right.stderr);
  assert.match(right.stdout, /4 of 4 as expected/);
  cases[1].granted = true;
  const wrong = run("admin.mjs", "explain", "--config", good, "--remote", "--cases", file("cases.json", JSON.stringify(cases)));
  assert.equal(wrong.status, 1);
  assert.match(wrong.stdout, /3 of 4 as expected/);
  assert.match(wrong.stderr, /role admin: the caller has no role/);
});
