// The configurations that the documents show.

import { parse } from "smol-toml";

/**
 * The table of a site or of an issuer, as far as a test reads it.
 * @typedef {object} Known
 * @property {string[]} [hosts]
 * @property {string} [upstream]
 * @property {string[]} [sources]
 * @property {string[]} [issuers]
 * @property {{ mode: string, secret: string }} [label_studio]
 * @property {{ groups?: Record<string, { issuers?: string[] }> }} [tenants]
 */
/** @typedef {Known & Record<string, unknown>} Table */
/** @typedef {{ vars: Record<string, Table> }} Example What is written in a wrangler.toml. */

/**
 * Reads an example; one that has no `vars` has none of ours.
 * @param {string} text
 */
export function readExample(text) {
  const { vars = {} } = parse(text);
  return /** @type {Example} */ ({ vars });
}
