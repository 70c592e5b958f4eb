// The documents fit the code: links, settings, endpoints, codes, records, dependencies and named tests. What the code
// has comes from the schema and from the facts, which are the tables that the core itself goes by.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { builtCore } from "../../scripts/lib/core.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { parse as parseToml } from "smol-toml";
import { readExample } from "../edge/lib/examples.mjs";

/** @typedef {{ dependencies: object, "dev-dependencies": object, target: Record<string, { dependencies: object }> }} Manifest */

/** @param {string} file */
const read = (file) => readFileSync(at(file), "utf8");
/**
 * The project's own files with these endings; not only what git has, so that a new file counts before it is committed.
 * @param {...string} patterns
 */
const files = (...patterns) =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", ...patterns], { cwd: at(), encoding: "utf8" })
    .split("\n")
    .filter((file) => file && existsSync(at(file)));
const documents = files("*.md");
/**
 * What the documents have to name besides settings.
 * @typedef {Record<"codes" | "paths" | "key_families" | "locks" | "reserved_headers" | "secrets" | "resources", string[]> & { metrics: string }} Facts
 */
const facts = /** @type {Facts} */ ((await builtCore())("facts"));
const { definitions } = JSON.parse(read("wrangler.schema.json"));
/**
 * The settings of a table of the schema: a Map from each name to the name of its own table, if it is one.
 * @param {string} table
 * @returns {Map<string, string | undefined>}
 */
const settingsOf = (table) =>
  new Map(Object.entries(/** @type {Record<string, Schema>} */ (definitions[table].properties)).map(([name, schema]) => [name, tableOf(schema)]));
/** @typedef {{ $ref?: string, allOf?: { $ref: string }[] }} Schema */
const tableOf = (/** @type {Schema} */ { $ref, allOf = [] }) =>
  [$ref, ...allOf.map((part) => part.$ref)].map((ref) => ref?.replace("#/definitions/", "")).find((name) => name && definitions[name]?.properties);

test("every link in a document leads to a file, and every anchor to a heading", () => {
  for (const document of documents) {
    for (const [, target] of withoutCode(read(document)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file, anchor] = target.split("#");
      const full = file ? path.join(path.dirname(at(document)), file) : at(document);
      assert.ok(existsSync(full), `${document} links to ${target}`);
      if (!anchor) continue;
      assert.ok(statSync(full).isFile() && anchors(readFileSync(full, "utf8")).has(anchor), `${document}: no heading for ${target}`);
    }
  }
});

test("no document has a placeholder left, or speaks of another place than the project", () => {
  for (const document of documents) {
    assert.doesNotMatch(read(document), /@@|\bTODO\b|\bTBD\b|\.\.\/\.\.\/\.\.|\/work\/|\/tmp\//, document);
  }
});

test("the README is short enough to be read", () => {
  const lines = read("README.md").trimEnd().split("\n").length;
  assert.ok(lines <= 150, String(lines));
});

test("docs/configuration.md has every setting of the code, and no other", () => {
  const settings = [...settingsOf("RawEdgeward").keys()];
  for (const [name, table] of settingsOf("RawSite")) {
    // docs/issuers.md has its table.
    if (table && name !== "tenants") settings.push(...[...settingsOf(table).keys()].map((inner) => `${name}.${inner}`));
    // A table whose members all have defaults needs no row of its own.
    if (!table || !["session", "sso_token"].includes(name)) settings.push(name);
  }
  const rows = tableRows(read("docs/configuration.md"), "| name | type | default | meaning |").map(([name]) => name.replaceAll("`", ""));
  assert.deepEqual(
    rows.filter((name, index) => rows.indexOf(name) < index),
    [],
    "two rows of one name",
  );
  const named = rows.filter((name) => /^[a-z]/.test(name) && name !== "any other name");
  assert.deepEqual(named.toSorted(), settings.toSorted());

  const families = Object.keys(definitions.vars.patternProperties).map((pattern) => pattern.match(/^\^(EDGEWARD_[A-Z_]+)\[/)?.[1] ?? pattern);
  const bindings = [...families, ...facts.secrets, ...facts.resources];
  assert.ok(bindings.length >= 11, String(bindings));
  for (const name of bindings) {
    assert.ok(
      rows.some((row) => row.startsWith(name) || row.includes(`vars.${name}`)),
      `no row for ${name}`,
    );
  }
});

test("docs/issuers.md has every setting of an issuer, and no other", () => {
  const rows = tableRows(read("docs/issuers.md"), "| name | type | default | meaning |").map(([name]) => name.replaceAll("`", ""));
  assert.deepEqual(rows.toSorted(), [...settingsOf("RawIssuer").keys()].toSorted());
  for (const name of settingsOf("RawTenants").keys()) assert.match(read("docs/issuers.md"), new RegExp(`\\b${name} = `), name);
});

test("docs/sign-in.md has every setting of a provider, and no other", () => {
  const text = read("docs/sign-in.md");
  const rows = tableRows(text, "| name | type | default | meaning |").map(([name]) => name.replaceAll("`", ""));
  const all = [...settingsOf("RawProvider").keys()];
  const ofIssuer = all.filter((name) => settingsOf("RawIssuer").has(name));
  assert.deepEqual(rows.toSorted(), all.filter((name) => !ofIssuer.includes(name)).toSorted());
  const shared = /These settings of an \[issuer\][^:]*: ([^.]*)\./.exec(text)?.[1] ?? "";
  assert.deepEqual([...shared.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name).toSorted(), ofIssuer.toSorted());
});

test("the example of docs/configuration.md names every setting of a site but those that only plain http needs", () => {
  const example = [...read("docs/configuration.md").matchAll(/```toml\n([\s\S]*?)```/g)]
    .map(([, text]) => readExample(text))
    .find(({ vars }) => vars.EDGEWARD_SITE_APP);
  const rows = tableRows(read("docs/configuration.md"), "| name | type | default | meaning |").map(([name]) => name.replaceAll("`", ""));
  assert.ok(example);
  const { EDGEWARD, EDGEWARD_SITE_APP: site } = example.vars;
  const missing = rows
    .filter((name) => /^[a-z_.]+$/.test(name))
    .filter((name) => {
      const [first, second] = name.split(".");
      return !(first in EDGEWARD) && !(second ? second in /** @type {object} */ (site[first] ?? {}) : first in site);
    });
  // Issuers are named in the tenants of a site that has tenants; `login` stands in place of `login_url`, and `amr` and `providers` go with it. A profile stands in an example of its own, in its own document.
  assert.deepEqual(
    missing.filter((name) => !/^label_studio(\.|$)/.test(name)),
    ["upstream_plaintext", "login", "amr", "providers", "tenants"],
  );
  const shown = read("docs/label-studio.md").match(/```toml\n(\[vars\.EDGEWARD_SITE_STUDIO\]\n[\s\S]*?)```/)?.[1] ?? "";
  const profile = /** @type {object} */ (readExample(shown).vars.EDGEWARD_SITE_STUDIO.label_studio);
  assert.deepEqual(
    missing.filter((name) => /^label_studio\./.test(name) && !(name.split(".")[1] in profile)),
    ["label_studio.organization"],
  );
});

test("every endpoint and every code that a client can be told is documented", () => {
  const api = read("docs/admin-api.md");
  for (const path of facts.paths) assert.ok(api.includes(path), `docs/admin-api.md says nothing of ${path}`);
  const all = ["docs/troubleshooting.md", "docs/configuration.md", "docs/admin-api.md", "docs/integrate.md", "docs/issuers.md"].map(read).join("\n");
  for (const code of facts.codes) assert.ok(all.includes(`\`${code}\``) || all.includes(`"${code}"`), `no document names the code ${code}`);
});

test("docs/monitoring.md has every metric, and dashboard and alerts ask for no other one", () => {
  const metrics = facts.metrics.split("\n").map((line) => /** @type {[string, string]} */ (line.split(" ").slice(0, 2)));
  const document = read("docs/monitoring.md");
  const rows = [...document.matchAll(/^\| `(edgeward_\w+)` \| (\w+) \|/gm)].map(([, name, type]) => [name, type]);
  assert.deepEqual(rows, metrics);
  const known = new Set(metrics.flatMap(([name, type]) => (type === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => name + end) : [name])));
  const dashboard = JSON.parse(read("docs/monitoring/dashboard.json"));
  /** @type {string[]} */
  const expressions = dashboard.panels.flatMap((/** @type {{ targets: { expr: string }[] }} */ { targets }) => targets.map(({ expr }) => expr));
  expressions.push(dashboard.templating.list.find((/** @type {{ name: string }} */ { name }) => name === "site").query);
  const alerts = document.match(/```yaml\ngroups:[\s\S]*?```/)?.[0] ?? "";
  assert.match(alerts, /expr:/);
  for (const expression of [...expressions, alerts]) {
    const named = [...expression.matchAll(/\bedgeward_\w+/g)].map(([name]) => name);
    assert.ok(named.length > 0, expression);
    for (const name of named) assert.ok(known.has(name), `${expression}: ${name}`);
  }
  const shown = expressions.join("\n");
  for (const [name] of metrics) assert.ok(shown.includes(name), `the dashboard does not show ${name}`);
  const kinds = new Set([...alerts.matchAll(/\{(\w+)/g)].map(([, label]) => label));
  // The name of the scrape is Prometheus' own label.
  kinds.delete("job");
  for (const label of kinds) assert.ok(document.includes(`| \`${label}\` |`), `the documents know no label ${label}`);
});

test("docs/configuration.md names every family of headers that no client can send", () => {
  const text = read("docs/configuration.md");
  const prefixes = facts.reserved_headers
    .filter((/** @type {string} */ name) => name.endsWith("*") && !name.startsWith("x-"))
    .map((/** @type {string} */ name) => name.slice(0, -1));
  assert.ok(prefixes.length > 0);
  for (const prefix of prefixes) assert.ok(text.includes(`\`${prefix}\``), prefix);
});

test("docs/storage.md has every family of keys and every lease", () => {
  const storage = read("docs/storage.md");
  for (const prefix of [...facts.key_families, ...facts.locks]) assert.ok(storage.includes(`\`${prefix}`), prefix);
});

test("ARCHITECTURE.md has at most 150 lines, and a row for every dependency", () => {
  const architecture = read("ARCHITECTURE.md");
  assert.ok(architecture.trimEnd().split("\n").length <= 150);
  const { dependencies, target, "dev-dependencies": forTests } = /** @type {Manifest} */ (parseToml(read("Cargo.toml")));
  const { dependencies: ofHashes } = /** @type {Manifest} */ (parseToml(read("kdf/Cargo.toml")));
  const crates = [dependencies, ofHashes, forTests, ...Object.values(target).map((table) => table.dependencies)].flatMap(Object.keys);
  const { devDependencies } = JSON.parse(read("package.json"));
  for (const name of [...crates, ...Object.keys(devDependencies)]) assert.ok(architecture.includes(`\`${name}\``), `no row for ${name}`);
});

test("ARCHITECTURE.md's code map has every module", () => {
  const map = tableRows(read("ARCHITECTURE.md"), "| room | what it does | what it does not know |")
    .map(([modules]) => modules)
    .join(" ");
  const modules = new Set(files("src/*.rs", "src/**/*.rs").map((file) => path.basename(file.split("/")[1], ".rs")));
  for (const module of ["base", "lib"]) assert.ok(modules.delete(module), module);
  assert.ok(modules.size > 0);
  for (const module of modules) assert.match(map, new RegExp(`\`${module}[\`/]`), module);
});

test("SECURITY.md has a row for every class that a test names, and every test that it names is there", () => {
  const tests = files("src/*.rs", "src/**/*.rs", "tests/*.rs", "tests/**/*.rs", "tests/**/*.test.mjs").map((file) => ({
    name: path.basename(file),
    text: read(file),
  }));
  const ids = new Set();
  for (const { name, text } of tests) {
    const found = name.endsWith(".rs") ? text.matchAll(/fn sec_(\d+)_/g) : text.matchAll(/(?<=test\(\s*[`"'][^\n]*)SEC-(\d+)/g);
    for (const [, id] of found) ids.add(Number(id));
  }
  const rows = tableRows(read("SECURITY.md"), "| id | the failure | tests |");
  assert.deepEqual(
    rows.map(([id]) => Number(id.slice(4))),
    [...ids].toSorted((a, b) => a - b),
  );
  for (const [id, , cell] of rows) {
    for (const named of cell.split("<br>")) {
      const [, file, text] = named.match(/^`([^`]+)`: (.*)$/) ?? assert.fail(`${id}: ${named}`);
      const wanted = text.replaceAll("\\|", "|").replaceAll("`", "");
      const there = tests.some((one) => one.name === file && one.text.replaceAll("`", "").includes(wanted));
      assert.ok(there, `${id}: ${file} has no test "${wanted}"`);
    }
  }
});

test("SECURITY.md lists exactly the headers that no client may send at any site", () => {
  const listed = read("SECURITY.md").match(/^At every site: (.*?)\. \(/m)?.[1] ?? "";
  assert.deepEqual(
    listed
      .split(", ")
      .map((name) => name.replaceAll("`", ""))
      .toSorted(),
    facts.reserved_headers.toSorted(),
  );
});

/**
 * The cells of the table under a head line.
 * @param {string} text
 * @param {string} head
 */
function tableRows(text, head) {
  const lines = text.split("\n");
  const start = lines.indexOf(head);
  assert.notEqual(start, -1, head);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  return lines.slice(start + 2, end === -1 ? undefined : end).map((line) =>
    line
      .slice(2, -2)
      .split(/(?<!\\) \| /)
      .map((cell) => cell.trim()),
  );
}

/**
 * What a Markdown file says outside code blocks.
 * @param {string} text
 */
function withoutCode(text) {
  return text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
}

/**
 * The anchors that a code host makes of a file's headings.
 * @param {string} text
 */
function anchors(text) {
  const headings = [...text.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.+)$/gm)];
  return new Set(
    headings.map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}
