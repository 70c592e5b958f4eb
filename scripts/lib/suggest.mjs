// What was probably meant by a setting, or by one of its values, that Edgeward does not know.
import { readFileSync } from "node:fs";
import { didYouMean } from "./did-you-mean.mjs";
import { at } from "./project.mjs";

const PREFIX = "EDGEWARD";

/**
 * The part of a JSON schema that describes a value.
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {Record<string, Schema>} [properties]
 * @property {Record<string, Schema>} [patternProperties]
 * @property {Schema | boolean} [additionalProperties]
 * @property {Schema} [items]
 * @property {Schema[]} [allOf]
 * @property {Schema[]} [anyOf]
 * @property {Schema[]} [oneOf]
 * @property {Record<string, Schema>} [definitions]
 */

/** @type {Schema | undefined} */
let kept;

/** The settings' own schema. */
function settings() {
  kept ??= /** @type {Schema} */ (JSON.parse(readFileSync(at("wrangler.schema.json"), "utf8")));
  return kept;
}

/**
 * An error with a suggestion behind it, if a setting or a value has a name that is near.
 * @template {{ path: string, error: string }} T
 * @param {T} told
 * @returns {T}
 */
export function suggest(told) {
  const { path, error } = told;
  if (error === "no such setting") {
    const steps = path.split(".");
    return { ...told, error: error + didYouMean(steps.at(-1) ?? "", knownAt(steps.slice(0, -1))) };
  }
  const variant = error.match(/^unknown variant `([^`]*)`, expected (?:one of )?(.*)$/);
  if (variant === null) return told;
  const known = [...variant[2].matchAll(/`([^`]*)`/g)].map(([, name]) => name);
  return { ...told, error: error + didYouMean(variant[1], known) };
}

/**
 * A note about each variable whose name was probably meant to begin as ours do. Edgeward does not read it.
 * @param {object} vars
 */
export function misspelt(vars) {
  return Object.keys(vars).flatMap((name) => {
    const [first, ...rest] = name.split("_");
    const meant = first === PREFIX || didYouMean(first, [PREFIX]) === "" ? undefined : [PREFIX, ...rest].join("_");
    return meant === undefined ? [] : [{ path: name, error: `Edgeward does not read this variable; did you mean ${meant}?` }];
  });
}

/**
 * The names of the settings in the table at a path.
 * @param {string[]} steps
 */
function knownAt(steps) {
  let places = branches({ $ref: "#/definitions/vars" });
  for (const step of steps) places = places.flatMap((place) => below(place, step)).flatMap(branches);
  return places.flatMap(({ properties = {} }) => Object.keys(properties));
}

/**
 * Everything that a schema allows, without references.
 * @param {Schema} schema
 * @returns {Schema[]}
 */
function branches(schema) {
  const { $ref, allOf = [], anyOf = [], oneOf = [] } = schema;
  const referred = $ref === undefined ? undefined : settings().definitions?.[$ref.replace("#/definitions/", "")];
  return [schema, ...(referred ? branches(referred) : []), ...[...allOf, ...anyOf, ...oneOf].flatMap(branches)];
}

/**
 * @param {Schema} schema
 * @param {string} step the name of a setting, or the number of an element, from 1
 * @returns {Schema[]}
 */
function below({ properties = {}, patternProperties = {}, additionalProperties, items }, step) {
  if (properties[step]) return [properties[step]];
  if (items && /^\d+$/.test(step)) return [items];
  const fitting = Object.entries(patternProperties).filter(([pattern]) => new RegExp(pattern).test(step));
  if (fitting.length > 0) return fitting.map(([, schema]) => schema);
  return typeof additionalProperties === "object" ? [additionalProperties] : [];
}
