// A reporter for `node --test` that writes only the counts of the whole run, and what failed, as JSON.
import path from "node:path";

const MOST_LINES = 12;

/** @param {AsyncIterable<import("node:test/reporters").TestEvent>} events */
export default async function* count(events) {
  /** @type {string[]} */
  const failures = [];
  for await (const { type, data } of events) {
    if (type === "test:fail" && !isOfAGroup(data.details.error)) failures.push(failureOf(data));
    if (type === "test:summary" && data.file === undefined) yield JSON.stringify({ ...data.counts, failures });
  }
}

/**
 * Whether a test failed only because tests in it did.
 * @param {Error & { failureType?: string }} error
 */
const isOfAGroup = ({ failureType }) => failureType === "subtestsFailed";

/**
 * The test, its file, and the beginning of what it threw.
 * @param {{ name: string, file?: string, details: { error: Error } }} data
 */
function failureOf({ name, file, details: { error } }) {
  const cause = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : String(error.cause ?? error.message);
  const lines = cause.split("\n").slice(0, MOST_LINES);
  return [`${path.basename(file ?? "")}: ${name}`, ...lines.map((line) => `    ${line}`)].join("\n");
}
