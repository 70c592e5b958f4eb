// What docs/openapi.json says of the admin API, held against each call that a test makes and its answer.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { at } from "../../../scripts/lib/project.mjs";

/** @import { Answer } from "./http.mjs" */
/** @typedef {{ content?: { [type: string]: { schema: { $ref?: string } } } }} Content */
/** @typedef {{ operationId: string, parameters: { name: string, required: boolean }[], requestBody?: Content & { required: boolean }, responses: { [status: string]: Content } }} Operation */

/** @type {{ paths: { [path: string]: { [method: string]: Operation } }, components: { schemas: { [name: string]: object }, responses: { [name: string]: Content } } }} */
export const OPENAPI = JSON.parse(readFileSync(at("docs/openapi.json"), "utf8"));
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(OPENAPI, "openapi");

/** All paths, those without an id first, so that a fixed word is not read as an id. */
const PATHS = Object.keys(OPENAPI.paths)
  .map((path) => ({ path, pattern: new RegExp(`^${path.replace("{id}", "([^/]+)").replaceAll("/", "\\/")}$`) }))
  .toSorted((one, other) => Number(one.path.includes("{")) - Number(other.path.includes("{")));

/**
 * @param {string} schema its reference
 * @param {unknown} value
 * @param {string} what
 */
function conforms(schema, value, what) {
  const validate = ajv.getSchema(`openapi${schema}`) ?? assert.fail(`${schema} is missing`);
  assert.ok(validate(value), `${what} is not as docs/openapi.json says (${schema}): ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`);
}

/** @param {Content & { $ref?: string }} response */
const resolved = ({ $ref, ...response }) => ($ref === undefined ? response : OPENAPI.components.responses[$ref.split("/").at(-1) ?? ""]);

/** The methods of a path, as `Allow` lists them: in any order, and `HEAD` is a `GET`. */
export const methodsOf = (/** @type {string} */ path) =>
  Object.keys(OPENAPI.paths[path])
    .filter((name) => name !== "parameters")
    .map((name) => name.toUpperCase())
    .toSorted();

/** The operation at a path; the path may be that of a site below another one. */
export function operationAt(/** @type {string} */ method, /** @type {string} */ target) {
  const [whole, query = ""] = target.split("?");
  const [, within] = /(\/api\/sso\/.*)$/.exec(whole) ?? [];
  const found = within === undefined ? undefined : PATHS.find(({ pattern }) => pattern.test(within));
  if (found === undefined || (found.path === "/api/sso/health" && !/^deep(=|&|$)/.test(query))) return undefined;
  return { path: found.path, query, operation: /** @type {Operation | undefined} */ (OPENAPI.paths[found.path][method.toLowerCase()]) };
}

/**
 * Holds a call of the admin API and its answer against the document.
 * @param {string} method
 * @param {string} target
 * @param {unknown} body
 * @param {Answer} answer
 */
export function holdsTo(method, target, body, answer) {
  const found = operationAt(method, target);
  const what = `${method} ${target}: ${answer.status}`;
  if (found === undefined || method === "HEAD") return;
  const { path, query, operation } = found;
  if (answer.status === 405) {
    const allowed = (answer.headers.get("allow") ?? "").split(", ").filter((name) => name !== "HEAD");
    assert.deepEqual(allowed.toSorted(), methodsOf(path), what);
    return;
  }
  if (operation === undefined) return assert.ok(answer.status >= 400, `${what}, and docs/openapi.json has no such call`);
  const documented = operation.responses[answer.status] ?? resolved(operation.responses.default);
  const [type, content] = Object.entries(documented.content ?? {})[0] ?? [];
  if (type === undefined) assert.equal(answer.text, "", what);
  else assert.equal(answer.type?.split(";")[0], type, what);
  if (content?.schema.$ref) conforms(content.schema.$ref, answer.json, what);
  if (answer.status >= 300) return;
  for (const name of new URLSearchParams(query).keys())
    assert.ok(
      operation.parameters.some((known) => known.name === name),
      `${what}: ${name} is undocumented`,
    );
  for (const { name, required } of operation.parameters) assert.ok(!required || new URLSearchParams(query).has(name), `${what}: ${name} is not required`);
  const wanted = operation.requestBody?.content?.["application/json"].schema.$ref;
  if (wanted && (body !== undefined || operation.requestBody?.required)) conforms(wanted, body, `the body of ${what}`);
}
