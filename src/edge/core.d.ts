// What the core exports, as `#[wasm_bindgen]` in edge/mod.rs has it. The module itself exists only after a build;
// tests/tooling/check.test.mjs holds these names against it.
import type { Head } from "./types.js";

/** A response; the promise of the origin's; or, when the core waits, the promise of a list of one of these and its number. */
export type Result = Response | Promise<Response> | [Promise<[Response | Promise<Response>]>, number];

export function fetch(request: Request, head: Head, env: object, now: number, admitted: boolean): Result;
export function abandon(id: number): void;
export function memorySize(): number;

/** Written by wasm-bindgen: begins a new instance. */
export function __wbg_reset_state(): void;
