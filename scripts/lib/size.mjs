// What the Worker weighs under gzip, capability by capability, and what each of them may weigh.
import { readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { StepFailed } from "./step.mjs";
import { dissect } from "./wasm.mjs";

/** What the Worker may weigh, gzip of all its files together. */
export const SIZE_LIMIT = 850 * 1024;

/**
 * A row of the table: what it is called, how many bytes of gzip it may weigh, and the paths of what belongs to it. Of two
 * paths that fit a function, the longer one decides. A row that `isShared` keeps only what more than one other row calls. A
 * row with a `file` is that file, which ships beside the core.
 * @typedef {{ name: string, budget: number, paths: string[], isShared?: boolean, file?: string }} Budget
 */

/**
 * The budgets, together at most `SIZE_LIMIT`. Each is about a hundredth above what its capability weighs. What all of them
 * leave is for capabilities to come.
 * @type {readonly Budget[]}
 */
export const BUDGETS = [
  {
    name: "core",
    budget: 258_600,
    paths: [
      "edgeward::access",
      "edgeward::answer",
      "edgeward::ask",
      "edgeward::authn",
      "edgeward::credential",
      "edgeward::http",
      "edgeward::jose",
      "edgeward::judge",
      "edgeward::memory",
      "edgeward::model",
      "edgeward::origin",
      "edgeward::people",
      "edgeward::pipeline",
      "edgeward::platform",
      "edgeward::profile",
      "edgeward::rules",
      "edgeward::sign_in",
      "edgeward::site",
      "edgeward::store",
    ],
  },
  { name: "configuration", budget: 71_400, paths: ["edgeward::config"] },
  { name: "admin", budget: 84_600, paths: ["edgeward::admin"] },
  {
    name: "label_studio",
    budget: 21_900,
    paths: [
      "edgeward::config::label_studio",
      "edgeward::credential::origin_account",
      "edgeward::profile::label_studio",
      "edgeward::site::label_studio",
      "edgeward::store::origin_accounts",
    ],
  },
  {
    name: "gateway",
    budget: 84_600,
    paths: [
      "edgeward::admin::services",
      "edgeward::admin::sign_in",
      "edgeward::answer::gateway_page",
      "edgeward::answer::mail",
      "edgeward::config::gateway",
      "edgeward::credential::browser",
      "edgeward::edge::passwords",
      "edgeward::gateway",
      "edgeward::http::outside",
      "edgeward::memory::services",
      "edgeward::model::password",
      "edgeward::model::service",
      "edgeward::model::service_event",
      "edgeward::people::services",
      "edgeward::platform::mail",
      "edgeward::sign_in::by_gateway",
      "edgeward::sign_in::opened",
      "edgeward::site::gateway",
      "edgeward::store::passwords",
      "edgeward::store::services",
      "edgeward::people::sessions",
      "edgeward::store::sessions",
      "edgeward::store::tickets",
    ],
  },
  {
    name: "sign-in",
    budget: 32_000,
    paths: [
      "edgeward::authn::client_assertion",
      "edgeward::authn::github",
      "edgeward::authn::provider",
      "edgeward::authn::provider_calls",
      "edgeward::authn::renewal",
      "edgeward::config::provider",
      "edgeward::credential::attempt",
      "edgeward::memory::provider",
      "edgeward::sign_in::back_channel",
      "edgeward::sign_in::by_provider",
      "edgeward::sign_in::provider_sign_out",
      "edgeward::site::provider",
      "edgeward::store::provider_tokens",
    ],
  },
  { name: "passkeys", budget: 10_400, paths: ["edgeward::gateway::passkey", "edgeward::passkey", "edgeward::store::passkeys"] },
  { name: "shell", budget: 18_200, paths: ["edgeward::edge"] },
  { name: "JSON", isShared: true, budget: 18_100, paths: ["itoa", "ryu", "serde", "serde_core", "serde_json", "zmij"] },
  {
    name: "standard library",
    isShared: true,
    budget: 64_700,
    paths: ["__rustc", "alloc", "compiler_builtins", "core", "dlmalloc", "hashbrown", "foldhash", "std"],
  },
  {
    name: "bindings",
    isShared: true,
    budget: 13_990,
    paths: ["console_error_panic_hook", "js_sys", "serde_wasm_bindgen", "wasm_bindgen", "wasm_bindgen_futures", "web_sys", "worker", "worker_sys"],
  },
  { name: "other crates", isShared: true, budget: 18_480, paths: [] },
  { name: "data", budget: 87_800, paths: [] },
  { name: "JavaScript", budget: 31_950, paths: [] },
  // Its own limit: what the first sign-in of an isolate has to compile.
  { name: "password hash", budget: 15_980, paths: [], file: "kdf.wasm" },
  { name: "imported hashes", budget: 18_070, paths: [], file: "kdf-import.wasm" },
  { name: "common passwords", budget: 19_270, paths: [], file: "common-passwords.bin" },
];

/** Where functions of crates go that no row names, those whose name has no path, the sections without code, and worker.js. */
const [OTHER_CRATES, NO_PATH, DATA, JAVASCRIPT] = ["other crates", "bindings", "data", "JavaScript"];

/** @typedef {{ raw: number, gzip: number }} Weight */
/** @typedef {Weight & { name: string, budget: number }} Row */
/** @typedef {{ rows: Row[], wasm: Weight, js: Weight, total: Weight }} Sizes */

/**
 * What ships, and what each capability weighs of it. `symbols` names the functions of `wasm`, `apart` are the files beside it.
 * @param {{ wasm: string, js: string, symbols: string, apart?: string[] }} files
 * @param {readonly Budget[]} [budgets]
 * @returns {Sizes}
 */
export function sizes(files, budgets = BUDGETS) {
  const [module, script] = [readFileSync(files.wasm), readFileSync(files.js)];
  const [wasm, js] = [weigh(module), weigh(script)];
  const weights = capabilities(module, JSON.parse(readFileSync(files.symbols, "utf8")), budgets).set(JAVASCRIPT, js);
  const apart = (files.apart ?? []).map((file) => {
    const weight = weigh(readFileSync(file));
    const row = budgets.find((budget) => budget.file === path.basename(file));
    if (row === undefined) throw new StepFailed(`${path.basename(file)} ships and has no row in BUDGETS of scripts/lib/size.mjs`);
    weights.set(row.name, weight);
    return weight;
  });
  const rows = budgets.map(({ name, budget }) => ({ name, budget, ...(weights.get(name) ?? { raw: 0, gzip: 0 }) }));
  /** @param {"raw" | "gzip"} key */
  const sum = (key) => [wasm, js, ...apart].reduce((all, weight) => all + weight[key], 0);
  return { rows, wasm, js, total: { raw: sum("raw"), gzip: sum("gzip") } };
}

/**
 * @param {Uint8Array} content
 * @returns {Weight}
 */
const weigh = (content) => ({ raw: content.length, gzip: gzipSync(content).length });

/**
 * What each capability weighs in a module. The bytes of each are compressed by themselves, and the results scaled so that
 * they add up to what the whole module comes to under gzip.
 * @param {Uint8Array} module
 * @param {import("./wasm.mjs").Symbols} symbols
 * @param {readonly Budget[]} budgets
 * @returns {Map<string, Weight>}
 */
function capabilities(module, symbols, budgets) {
  const { functions, rest } = dissect(module, symbols);
  const owners = attribute(functions, budgets);
  const bytes = Map.groupBy(functions, ([index]) => owners.get(index));
  const alone = new Map([...bytes].map(([name, all]) => [name ?? "", weigh(Buffer.concat(all.map(([, { body }]) => body)))]));
  alone.set(DATA, weigh(Buffer.concat(rest)));
  const scale = weigh(module).gzip / [...alone.values()].reduce((sum, { gzip }) => sum + gzip, 0);
  return new Map([...alone].map(([name, { raw, gzip }]) => [name, { raw, gzip: Math.round(gzip * scale) }]));
}

/**
 * The capability of each function, by its index: the one that its name tells. What a library has made for one capability
 * alone counts for that: a function of a shared row that is called by functions of one other row, and by nobody else.
 * @param {Map<number, Pick<import("./wasm.mjs").WasmFunction, "name" | "callers" | "isIndirect">>} functions
 * @param {readonly Budget[]} [budgets]
 */
export function attribute(functions, budgets = BUDGETS) {
  const shared = new Set(budgets.filter(({ isShared }) => isShared).map(({ name }) => name));
  const owners = new Map([...functions].map(([index, { name }]) => [index, capabilityOf(name, budgets)]));
  // Nobody knows who calls what is called through a table, or from JavaScript.
  let open = [...functions].filter(([index, { callers, isIndirect }]) => shared.has(owners.get(index) ?? "") && !isIndirect && callers.length > 0);
  for (let before = Infinity; open.length < before; ) {
    before = open.length;
    open = open.filter(([index, { callers }]) => {
      const [owner, ...others] = new Set(callers.filter((caller) => caller !== index).map((caller) => owners.get(caller)));
      if (owner === undefined || others.length > 0 || shared.has(owner)) return true;
      owners.set(index, owner);
      return false;
    });
  }
  return owners;
}

/**
 * Which capability a function counts for. A room that its name speaks of decides before a crate: what a library makes for
 * one of our types is there because of that type.
 * @param {string} name demangled, as `edgeward::admin::users::list` or `<serde_json::Error as core::fmt::Display>::fmt`
 * @param {readonly Budget[]} [budgets]
 */
export function capabilityOf(name, budgets = BUDGETS) {
  // In the newer mangling of Rust, the name of a crate is followed by a hash in brackets.
  const plain = name.replaceAll(/(?<=\w)\[[0-9a-f]{8,}\](?=::)/g, "");
  const [ours] = plain.replace(/\bedgeward_base::/, "edgeward::").match(/\bedgeward(::\w+)+/) ?? [];
  if (ours) {
    const row = rowOf(ours, budgets);
    if (row) return row;
    throw new StepFailed(`${ours} counts for no capability: give its room a row, and a budget, in BUDGETS of scripts/lib/size.mjs`);
  }
  const [, crate] = plain.match(/(\w+)::/) ?? [];
  return crate === undefined ? NO_PATH : (rowOf(crate, budgets) ?? OTHER_CRATES);
}

/**
 * The capability with the longest path that `path` begins with.
 * @param {string} path
 * @param {readonly Budget[]} budgets
 */
function rowOf(path, budgets) {
  const fits = budgets.flatMap(({ name, paths }) => paths.filter((prefix) => `${path}::`.startsWith(`${prefix}::`)).map((prefix) => ({ name, prefix })));
  return fits.sort((a, b) => b.prefix.length - a.prefix.length)[0]?.name;
}

/**
 * The table that every build ends with.
 * @param {Sizes} sizes
 * @param {number} [limit]
 */
export function sizeTable({ rows, wasm, js, total }, limit = SIZE_LIMIT) {
  /** @param {number | undefined} bytes */
  const cell = (bytes) => (bytes === undefined ? "" : `${bytes.toLocaleString("en")} B`).padStart(13);
  /** @type {(name: string, weight: Partial<Weight>, budget?: number) => string} */
  const row = (name, { raw, gzip }, budget) => {
    const used = gzip === undefined || budget === undefined ? "" : `   ${((100 * gzip) / budget).toFixed(1)} % used`;
    return `${name.padEnd(18)}${cell(raw)}${cell(gzip)}${cell(budget)}${used}`.trimEnd();
  };
  const given = rows.reduce((sum, { budget }) => sum + budget, 0);
  return [
    `${"Worker".padEnd(18)}${["raw", "gzip", "budget"].map((head) => head.padStart(13)).join("")}`,
    ...rows.map(({ name, budget, ...weight }) => row(name, weight, budget)),
    row("not given out", {}, limit - given),
    row("total", total, limit),
    row("of it the core", wasm),
    row("of it JS", js),
  ].join("\n");
}

/**
 * Throws when the Worker is over its limit, or a capability over its budget.
 * @param {Pick<Sizes, "rows" | "total">} sizes
 * @param {number} [limit]
 */
export function refuseOversize({ rows, total }, limit = SIZE_LIMIT) {
  const given = rows.reduce((sum, { budget }) => sum + budget, 0);
  if (given > limit) throw new StepFailed(`the budgets of scripts/lib/size.mjs come to ${given} bytes, ${given - limit} over the limit of ${limit}`);
  if (total.gzip > limit) {
    throw new StepFailed(`the Worker weighs ${total.gzip} bytes gzip, ${total.gzip - limit} over the limit of ${limit}`);
  }
  const over = rows.filter(({ gzip, budget }) => gzip > budget);
  if (over.length === 0) return;
  const told = over.map(({ name, gzip, budget }) => `${name} weighs ${gzip} bytes gzip, ${gzip - budget} over its budget of ${budget}`);
  throw new StepFailed(`${told.join("; ")}. Make it smaller, or raise its budget in scripts/lib/size.mjs and say in the commit what the bytes are for`);
}
