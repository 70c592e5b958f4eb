// What workerd supports but @cloudflare/workers-types does not declare.

/** Sent for exceptions in microtasks and by `reportError`. tests/edge/late_panic.test.mjs shows that workerd sends it. */
declare function addEventListener(type: "error", listener: (event: ErrorEvent) => void): void;

/** The files that ship beside the script. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.bin" {
  const content: ArrayBuffer;
  export default content;
}
