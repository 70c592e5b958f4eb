// Where what is built lies.
import path from "node:path";
import { at, project } from "./project.mjs";

/** The built Worker, as `main` of the operator's wrangler.toml names it. */
export const MAIN = path.relative(project, at("build/worker.js")).replaceAll(path.sep, "/");

/** What wasm-bindgen makes of shell/, below Edgeward's own folder. */
export const SHELL = "build/shell/edgeward_shell.js";
