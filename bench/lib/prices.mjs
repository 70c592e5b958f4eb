// What Cloudflare's list says of the plan Workers Paid, in dollars, beyond what the monthly fee includes
// (https://developers.cloudflare.com/workers/platform/pricing/, docs/performance.md says as of when).

export const PER_MILLION_REQUESTS = 0.3;
export const PER_MILLION_CPU_MILLISECONDS = 0.02;

/**
 * What a million requests cost that take so many microseconds of CPU each.
 * @param {number} microseconds
 */
export function dollarsPerMillion(microseconds) {
  return PER_MILLION_REQUESTS + (microseconds / 1000) * PER_MILLION_CPU_MILLISECONDS;
}
