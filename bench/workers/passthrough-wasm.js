// The pass-through, with Edgeward's Wasm beside it: compiled and instantiated as an isolate starts, and never called.

import core from "./edgeward.wasm";

/**
 * Stands for what the core's own JavaScript would give it.
 * @type {Record<string, () => unknown>}
 */
const STAND_INS = { function: () => () => {}, tag: () => WebAssembly.JSTag };

/** @type {Record<string, Record<string, unknown>>} */
const imports = {};
for (const { module, name, kind } of WebAssembly.Module.imports(core))
  (imports[module] ??= {})[name] = STAND_INS[kind]();
new WebAssembly.Instance(core, /** @type {WebAssembly.Imports} */ (imports));

export { default } from "./passthrough.js";
