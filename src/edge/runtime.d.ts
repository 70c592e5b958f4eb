// What workerd does and @cloudflare/workers-types does not declare.

/** Exceptions in microtasks, and what `reportError` is given. tests/edge/late_panic.test.mjs shows that workerd sends it. */
declare function addEventListener(type: "error", listener: (event: ErrorEvent) => void): void;
