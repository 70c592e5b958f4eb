// What the Worker weighs, capability by capability: whose the bytes of the Wasm are, and that no budget is exceeded.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { builtFiles } from "../../scripts/lib/build.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { attribute, BUDGETS, capabilityOf, refuseOversize, SIZE_LIMIT, sizes, sizeTable } from "../../scripts/lib/size.mjs";
import { readSymbols } from "../../scripts/lib/wasm.mjs";

const built = builtFiles();

/** @import { Sizes } from "../../scripts/lib/size.mjs" */
/** @import { Symbols } from "../../scripts/lib/wasm.mjs" */
/** @typedef {[name: string, callers: number[], isIndirect?: boolean]} Called */
/** @typedef {[name: string, constants: number, callers?: string[]]} Defined */

describe("the limit and the budgets", () => {
  /** @param {number} gzip */
  const weights = (gzip) => ({ rows: [], wasm: { raw: 400_000, gzip: gzip - 10 }, js: { raw: 20, gzip: 10 }, total: { raw: 400_020, gzip } });

  test("the limit is 850 KB, and at the limit is allowed", () => {
    assert.equal(SIZE_LIMIT, 870_400);
    refuseOversize(weights(870_400));
    assert.throws(() => refuseOversize(weights(870_401)), /weighs 870401 bytes gzip, 1 over the limit of 870400/);
  });

  test("the budgets together are within the limit", () => {
    const given = BUDGETS.reduce((sum, { budget }) => sum + budget, 0);
    assert.ok(given <= SIZE_LIMIT, String(given));
    const rows = [
      { name: "one", raw: 1, gzip: 1, budget: 400_000 },
      { name: "two", raw: 1, gzip: 1, budget: 470_401 },
    ];
    assert.throws(() => refuseOversize({ ...weights(1_000), rows }), /the budgets .* come to 870401 bytes, 1 over the limit of 870400/);
  });

  test("a capability over its budget is named, with what to do", () => {
    const rows = [
      { name: "small", raw: 9, gzip: 500, budget: 500 },
      { name: "large", raw: 9, gzip: 501, budget: 500 },
    ];
    const told = /^large weighs 501 bytes gzip, 1 over its budget of 500\. Make it smaller, or raise its budget in scripts\/lib\/size\.mjs/;
    assert.throws(() => refuseOversize({ ...weights(1_001), rows }), { message: told });
  });

  test("the table has every capability with its budget, what is left, the total and both parts", () => {
    const rows = [{ name: "admin", raw: 90_000, gzip: 30_000, budget: 40_000 }];
    const table = sizeTable({ ...weights(368_640), rows });
    assert.match(table, /^Worker +raw +gzip +budget$/m);
    assert.match(table, /^admin +90,000 B +30,000 B +40,000 B +75\.0 % used$/m);
    assert.match(table, /^not given out +830,400 B$/m);
    assert.match(table, /^total +400,020 B +368,640 B +870,400 B +42\.4 % used$/m);
    assert.match(table, /^of it the core +400,000 B +368,630 B$/m);
    assert.match(table, /^of it JS +20 B +10 B$/m);
  });
});

describe("whose a function is", () => {
  for (const [name, capability] of [
    ["edgeward::admin::users::list::{{closure}}::h2e308ff10945adb8", "admin"],
    ["edgeward::config::site::read::h06d2db5ba260012d", "configuration"],
    ["edgeward::config::label_studio::read::h06d2db5ba260012d", "label_studio"],
    ["edgeward::profile::gate::{{closure}}::h0000000000000000", "core"],
    ["edgeward::profile::label_studio::pat::access::{{closure}}::h25b4cd850a6df0c0", "label_studio"],
    ["edgeward::edge::bindings::verify::__wbg_verify_e4c9e45a62f47427::h1baf5c452ca8dd67", "shell"],
    ["core::ptr::drop_in_place<edgeward::admin::issue::Issue>::h0000000000000000", "admin"],
    ["<edgeward::config::raw::RawSite as core::clone::Clone>::clone::h0000000000000000", "configuration"],
    ["serde_core::de::impls::<impl serde_core::de::Deserialize for alloc::vec::Vec<T>>::deserialize::h00", "JSON"],
    ["<&mut serde_json::de::Deserializer<R> as serde_core::de::Deserializer>::deserialize_struct::h390ad33b9fad51fa", "JSON"],
    ["<core[c5930c85a12de822]::net::ip_addr::Ipv6Addr as core[c5930c85a12de822]::fmt::Display>::fmt", "standard library"],
    ["<edgeward[0123456789abcdef]::admin::Call as core[c5930c85a12de822]::fmt::Debug>::fmt", "admin"],
    ["<T as core::any::Any>::type_id::h0000000000000000", "standard library"],
    ["js_sys::Map<K,V>::set::__wbg_set_8282f7e0d2d01336::h6803b1231c4c88a6", "bindings"],
    ["__wbindgen_malloc", "bindings"],
    ['Closure(Closure { arguments: [NamedExternref("Request")] }) -> Externref catch wrapper', "bindings"],
    ["time::formatting::format::h0000000000000000", "other crates"],
    ["not_edgeward::admin::list::h0000000000000000", "other crates"],
  ]) {
    test(name, () => assert.equal(capabilityOf(name), capability));
  }

  test("a room without a row is an error that says what to do", () => {
    assert.throws(() => capabilityOf("edgeward::console::oauth::begin::h00"), /edgeward::console::oauth.* counts for no capability: give its room a row/);
    assert.throws(() => capabilityOf("edgeward::administration::list::h00"), /edgeward::administration/);
  });

  test("every room of src/ has a row", () => {
    const rooms = readdirSync(at("src"), { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== "bin");
    assert.ok(rooms.length > 10);
    for (const { name } of rooms) assert.ok(capabilityOf(`edgeward::${name}::x`));
  });

  test("what a library has made for one capability alone counts for that", () => {
    /** @param {Called[]} rows */
    const functions = (...rows) => new Map(rows.map(([name, callers, isIndirect = false], index) => [index, { name, callers, isIndirect }]));
    const owners = attribute(
      functions(
        ["edgeward::admin::list", []],
        ["edgeward::config::read", []],
        ["serde_json::for_admin", [0]],
        ["serde_json::for_both", [0, 1]],
        // By way of another function of a library, which comes later, and of itself.
        ["core::deep", [5, 4]],
        ["alloc::between", [2]],
        ["lru::through_a_table", [0], true],
        ["lru::from_javascript", []],
        ["core::of_shared", [3]],
        ["edgeward::config::helper", [0]],
      ),
    );
    assert.deepEqual(
      [...owners.values()],
      ["admin", "configuration", "admin", "JSON", "admin", "admin", "other crates", "other crates", "standard library", "configuration"],
    );
  });
});

describe("a module", () => {
  /** @type {string} */
  let folder;
  /** @type {Parameters<typeof sizes>[0]} */
  let files;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "edgeward-size-"));
    files = { wasm: path.join(folder, "w"), js: path.join(folder, "j"), symbols: path.join(folder, "s") };
    writeFileSync(files.js, "b".repeat(1_000));
  });
  after(() => rmSync(folder, { recursive: true }));

  /**
   * @param {number} value
   * @returns {number[]}
   */
  const leb128 = (value) => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb128(value >>> 7)]);
  /** @param {number[][]} items */
  const vector = (items) => [...leb128(items.length), ...items.flat()];
  /**
   * @param {number} id
   * @param {number[]} content
   */
  const section = (id, content) => [id, ...leb128(content.length), ...content];
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647);
  /**
   * A body without locals, of so many constants that compress badly and are dropped.
   * @param {number} constants
   */
  const body = (constants) => [0, ...Array.from({ length: constants }, () => [0x41, random() & 0x3f, 0x1a]).flat(), 0x0b];

  /**
   * Writes a module that imports one function and defines the given ones: name, length of the body in constants, callers.
   * @param {Defined[]} defined
   */
  function write(defined) {
    const codes = defined.map(([, constants]) => body(constants));
    /** @param {string} name */
    const text = (name) => vector([...Buffer.from(name)].map((byte) => [byte]));
    const module = [
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, vector([[0x60, 0, 0]])),
      ...section(2, vector([[...text("env"), ...text("f"), 0, 0]])),
      ...section(3, vector(defined.map(() => [0]))),
      ...section(10, vector(codes.map((code) => [...leb128(code.length), ...code]))),
    ];
    const names = ["js_sys::imported", ...defined.map(([name]) => name)];
    const node = `  "${names[0]}" [style="filled", fillcolor="turquoise"];\n`;
    const calls = defined.flatMap(([name, , callers = []]) => callers.map((caller) => `  "${caller}" -> "${name}"; // call\n`));
    writeFileSync(files.wasm, Uint8Array.from(module));
    writeFileSync(files.symbols, JSON.stringify(readSymbols(names.map((name, index) => `${index}:${name}\n`).join(""), [node, ...calls].join(""))));
    return codes.map(({ length }) => length);
  }
  /** @param {number} admin */
  const budgets = (admin) => BUDGETS.map((row) => (row.name === "admin" ? { ...row, budget: admin } : row));
  /**
   * @param {Sizes} sizes
   * @param {string} wanted
   */
  const weightOf = ({ rows }, wanted) => {
    const row = rows.find(({ name }) => name === wanted);
    assert.ok(row, wanted);
    return row;
  };

  test("counts each body for its capability, and the rows add up to the whole", () => {
    const [list, read, ours, shared] = write([
      ["edgeward::admin::list", 3_000],
      ["edgeward::config::read", 2_000],
      ["serde_json::for_admin", 1_000, ["edgeward::admin::list"]],
      ["serde_json::for_both", 500, ["edgeward::admin::list", "edgeward::config::read"]],
    ]);
    const size = sizes(files);
    assert.equal(weightOf(size, "admin").raw, list + ours);
    assert.equal(weightOf(size, "configuration").raw, read);
    assert.equal(weightOf(size, "JSON").raw, shared);
    assert.equal(weightOf(size, "core").raw, 0);
    assert.deepEqual(weightOf(size, "JavaScript"), { ...weightOf(size, "JavaScript"), ...size.js });
    assert.equal(size.wasm.gzip, gzipSync(readFileSync(files.wasm)).length);
    assert.equal(size.total.gzip, size.wasm.gzip + size.js.gzip);
    assert.equal(size.total.raw, size.wasm.raw + 1_000);
    const sum = size.rows.reduce((all, { gzip }) => all + gzip, 0);
    assert.ok(Math.abs(sum - size.total.gzip) <= size.rows.length, `${sum} of ${size.total.gzip}`);
  });

  test("is refused when a capability is over its budget, by name, and not at its budget", () => {
    write([
      ["edgeward::admin::list", 3_000],
      ["edgeward::config::read", 2_000],
    ]);
    const { gzip } = weightOf(sizes(files), "admin");
    assert.ok(gzip > 1_000, String(gzip));
    refuseOversize(sizes(files, budgets(gzip)));
    assert.throws(() => refuseOversize(sizes(files, budgets(gzip - 1))), { message: new RegExp(`^admin weighs ${gzip} bytes gzip, 1 over its budget`) });
  });

  test("a file beside it has the row that names it, counts in the total, and without a row is refused", () => {
    write([["edgeward::admin::list", 10]]);
    const apart = path.join(folder, "kdf.wasm");
    writeFileSync(apart, "c".repeat(2_000));
    const [without, size] = [sizes(files), sizes({ ...files, apart: [apart] })];
    assert.equal(weightOf(size, "password hash").raw, 2_000);
    assert.equal(size.total.raw, without.total.raw + 2_000);
    assert.equal(size.total.gzip, without.total.gzip + weightOf(size, "password hash").gzip);
    assert.throws(() => sizes({ ...files, apart: [files.js] }), /j ships and has no row in BUDGETS/);
  });

  test("with the symbols of another one is refused", () => {
    write([["edgeward::admin::list", 10]]);
    const other = readFileSync(files.symbols);
    write([
      ["edgeward::admin::list", 10],
      ["edgeward::admin::read", 10],
    ]);
    writeFileSync(files.symbols, other);
    assert.throws(() => sizes(files), /the symbols are of another module: they name 2 functions, and the Wasm has 3/);
  });
});

describe("what wasm-opt writes", () => {
  test("is read with quotes and arrows in names", () => {
    const closure = 'Closure(Request("x")) -> Externref';
    const graph = `digraph call {
    "A" -> "B" [style="filled, rounded", label = "Direct Call"];
    "Import" [style="filled", fillcolor="turquoise"];
  "a::b" [style="filled", fillcolor="turquoise"];
  "${closure}" [style="filled", fillcolor="white"];
  "a::b" -> "${closure}"; // call
  "${closure}" -> "c"; // call
  "c" [style="filled, rounded"];
}`;
    assert.deepEqual(readSymbols(`0:a::b\n1:${closure}\n2:c\n`, graph), { names: ["a::b", closure, "c"], imported: 1, callers: [[], [0], [1]], indirect: [2] });
  });

  test("is refused when the graph has a function that the map does not have", () => {
    assert.throws(() => readSymbols("0:a\n", '  "a" -> "b"; // call\n'), /does not have: b/);
  });
});

describe("the build in build/", () => {
  test("holds the limit and the budgets", () => refuseOversize(sizes(built)));

  test("names its functions by the indices that they have in the Wasm, and knows who calls them", () => {
    /** @type {Symbols} */
    const { names, callers, indirect } = JSON.parse(readFileSync(built.symbols, "utf8"));
    const module = new WebAssembly.Module(readFileSync(built.wasm));
    /** @type {WebAssembly.Imports} */
    const imports = { "./index_bg.js": {} };
    for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
      imports[from] ??= {};
      imports[from][name] = kind === "tag" ? WebAssembly.JSTag : () => {};
    }
    // The name of an exported function is its index.
    const { exports } = new WebAssembly.Instance(module, imports);
    for (const name of ["__wbindgen_malloc", "abandon", "memorySize"]) assert.equal(names[Number(exports[name].name)], name);
    assert.ok(callers.filter((of) => of.length > 1).length > 1_000);
    assert.ok(indirect.length > 100);
  });

  test("is counted whole: what no capability has is the frame of the sections", () => {
    const { rows, wasm } = sizes(built);
    const apart = new Set(BUDGETS.filter(({ file }) => file !== undefined).map(({ name }) => name));
    const counted = rows.filter(({ name }) => name !== "JavaScript" && !apart.has(name)).reduce((sum, { raw }) => sum + raw, 0);
    // A length of at most 3 bytes before each body, and the header of the module and of the code section.
    const functions = JSON.parse(readFileSync(built.symbols, "utf8")).names.length;
    assert.ok(counted < wasm.raw && counted > wasm.raw - 3 * functions - 32, `${counted} of ${wasm.raw}`);
  });
});
