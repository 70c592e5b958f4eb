// Medians, quantiles and ratios of samples.

/** @import { Ratio } from "./types.js" */

/** @param {number[]} list */
export function median(list) {
  return quantile(list, 0.5);
}

/**
 * With linear interpolation between the two samples that are nearest.
 * @param {number[]} list
 * @param {number} q
 */
export function quantile(list, q) {
  const sorted = [...list].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

/**
 * Median, least and greatest of the round-by-round ratios to `base`, for each name of `results` (`name → [{ microseconds, rate }]`).
 * @param {Map<string, { microseconds: number, rate: number }[]>} results
 * @param {string} base
 * @returns {Ratio[]}
 */
export function ratios(results, base) {
  const reference = results.get(base);
  if (reference === undefined) throw new Error(`there is no sample of ${base}`);
  return [...results].map(([name, rounds]) => {
    const each = rounds.map(({ microseconds }, round) => microseconds / reference[round].microseconds);
    return {
      name,
      ratio: median(each),
      min: Math.min(...each),
      max: Math.max(...each),
      microseconds: median(rounds.map((round) => round.microseconds)),
      rate: median(rounds.map((round) => round.rate)),
    };
  });
}
