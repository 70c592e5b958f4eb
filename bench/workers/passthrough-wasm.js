// The pass-through, with Edgeward's Wasm beside it: compiled and instantiated as an isolate starts, and never called.

import core from "./edgeward.wasm";

const imports = {};
for (const { module, name, kind } of WebAssembly.Module.imports(core)) {
  if (kind !== "function") throw new Error(`the core imports a ${kind}`);
  (imports[module] ??= {})[name] = () => {};
}
new WebAssembly.Instance(core, imports);

export { default } from "./passthrough.js";
