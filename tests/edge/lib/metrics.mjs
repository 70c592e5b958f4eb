// What the metrics of a site say, read plainly: tests/peers reads them with the parser of Prometheus' own client.

import assert from "node:assert/strict";

/** @import { Site } from "./site.mjs" */
/** @typedef {Map<string, number>} Series The value of each series, by its name and labels as they are written. */

/**
 * The metrics that a site answers.
 * @param {Site} site
 * @param {string} [token] otherwise the admin's
 * @returns {Promise<Series>}
 */
export async function scrape(site, token) {
  const answer = await site.admin("GET", "/api/sso/metrics", undefined, { token });
  assert.equal(answer.status, 200, String(answer));
  return seriesOf(answer.text);
}

/** @param {string} text */
export function seriesOf(text) {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]));
}

/**
 * What has been added from one look to another, without what has stayed as it was.
 * @param {Series} before
 * @param {Series} after
 */
export function added(before, after) {
  const found = [...after].map(([series, value]) => /** @type {const} */ ([series, value - (before.get(series) ?? 0)]));
  return new Map(found.filter(([, value]) => value !== 0));
}

/**
 * The sum of all series of a name with these labels.
 * @param {Series} series
 * @param {string} name
 * @param {Record<string, string>} [labels]
 */
export function total(series, name, labels = {}) {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const fits = [...series].filter(([one]) => one.split("{")[0] === name && wanted.every((label) => one.includes(label)));
  return fits.reduce((sum, [, value]) => sum + value, 0);
}
