// Counts the calls between JavaScript and the core, by name. Imported before the core.

/** @import { Calls } from "./types.js" */

/** @type {Calls} */
let into;
/** @type {Calls} */
let out;
export const crossings = {
  begin() {
    into = {};
    out = {};
  },
  /** Calls of the core's functions by JavaScript, and calls of JavaScript's functions by the core, since `begin`. */
  counted: () => ({ into, out }),
};
crossings.begin();

/**
 * As it is written in Rust or JavaScript; `conversion` for what wasm-bindgen makes of a text or a number that crosses by itself.
 * @param {string} name
 */
const plain = (name) => name.replace(/^__wbg_(.+)_[0-9a-f]{16}$/, "$1").replace(/^__wbindgen_generic_\d+$/, "conversion");

/**
 * The same, with each call of a function counted.
 * @param {() => Calls} counts
 * @param {WebAssembly.Exports | WebAssembly.ModuleImports} functions
 */
const counting = (counts, functions) =>
  Object.fromEntries(
    Object.entries(functions).map(([name, one]) => {
      if (typeof one !== "function") return [name, one];
      const count = (/** @type {unknown[]} */ ...args) => {
        const by = counts();
        by[plain(name)] = (by[plain(name)] ?? 0) + 1;
        return one(...args);
      };
      return [name, count];
    }),
  );

const { Instance } = WebAssembly;
WebAssembly.Instance = class {
  /**
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Imports} imports
   */
  constructor(module, imports) {
    const counted = Object.fromEntries(Object.entries(imports).map(([from, functions]) => [from, counting(() => out, functions)]));
    this.exports = counting(() => into, new Instance(module, counted).exports);
  }
};
