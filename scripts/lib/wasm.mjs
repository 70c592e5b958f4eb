// What a WebAssembly module is made of: the bodies of its functions, each with its name and its callers, and the rest.
import { StepFailed } from "./step.mjs";

/**
 * What is known of the functions of a module besides its bytes, by their indices: what they are called, who calls them
 * directly, and which are called through a table, by whom nobody knows. The imported functions come first.
 * @typedef {{ names: string[], imported: number, callers: number[][], indirect: number[] }} Symbols
 */
/** @typedef {{ name: string, body: Uint8Array, callers: number[], isIndirect: boolean }} WasmFunction */

/** Of the binary format of WebAssembly: magic number and version, and the id of the section that holds the functions' bodies. */
const HEADER_LENGTH = 8;
const CODE_SECTION = 10;

/**
 * Reads what wasm-opt writes with `--symbolmap`, a line `<index>:<name>` for each function, and with `--print-call-graph`,
 * a graph in the DOT language.
 * @param {string} symbolMap
 * @param {string} callGraph
 * @returns {Symbols}
 */
export function readSymbols(symbolMap, callGraph) {
  const names = symbolMap
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.slice(line.indexOf(":") + 1));
  const indices = new Map(names.map((name, index) => [name, index]));
  /** @param {string} name */
  const indexOf = (name) => {
    const index = indices.get(name);
    if (index === undefined) throw new StepFailed(`the call graph of wasm-opt has a function that its symbol map does not have: ${name}`);
    return index;
  };
  /** @type {number[][]} */
  const callers = names.map(() => []);
  for (const [, from, to] of callGraph.matchAll(/^ {2}"(.*)" -> "(.*)"; \/\/ call$/gm)) callers[indexOf(to)].push(indexOf(from));
  /** @param {string} style */
  const drawn = (style) => [...callGraph.matchAll(new RegExp(`^ {2}"(.*)" \\[${style}\\];$`, "gm"))].map(([, name]) => indexOf(name));
  const imported = drawn('style="filled", fillcolor="turquoise"').length;
  const indirect = drawn('style="filled, rounded"');
  return { names, imported, callers, indirect };
}

/**
 * The functions that a module defines, by their indices, and all its other bytes.
 * @param {Uint8Array} module
 * @param {Symbols} symbols
 * @returns {{ functions: Map<number, WasmFunction>, rest: Uint8Array[] }}
 */
export function dissect(module, { names, imported, callers, indirect }) {
  const isIndirect = new Set(indirect);
  /** @type {Map<number, WasmFunction>} */
  const functions = new Map();
  /** @type {Uint8Array[]} */
  const rest = [];
  for (let at = HEADER_LENGTH; at < module.length; ) {
    const [length, start] = leb128(module, at + 1);
    const end = start + length;
    if (module[at] === CODE_SECTION) {
      for (const body of bodies(module, start)) {
        const index = imported + functions.size;
        functions.set(index, { name: names[index], body, callers: callers[index], isIndirect: isIndirect.has(index) });
      }
    } else {
      rest.push(module.subarray(at, end));
    }
    at = end;
  }
  const count = imported + functions.size;
  if (names.length !== count) throw new StepFailed(`the symbols are of another module: they name ${names.length} functions, and the Wasm has ${count}`);
  return { functions, rest };
}

/**
 * The bodies of a code section whose content begins at `at`.
 * @param {Uint8Array} module
 * @param {number} at
 */
function* bodies(module, at) {
  let [count, next] = leb128(module, at);
  for (; count > 0; count--) {
    const [length, start] = leb128(module, next);
    next = start + length;
    yield module.subarray(start, next);
  }
}

/**
 * An unsigned number of 32 bits in LEB128, and where it ends.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {[number, number]}
 */
function leb128(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value >>> 0, at];
  }
}
