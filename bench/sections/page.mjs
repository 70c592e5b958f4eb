// A recorded page load of a real application, replayed by one caller and by many.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BASE } from "../lib/entrants.mjs";
import { readRecording } from "../lib/recording.mjs";
import { HOST, PRIVATE, recordedRequest } from "../lib/request.mjs";
import { amountOf, measureMatrix } from "../lib/section.mjs";

/** @import { Order, OriginAnswers, RecordedRequest, Row, TimedSection } from "../lib/types.js" */

const RECORDINGS = fileURLToPath(new URL("../recordings", import.meta.url));
/** @type {{ label: string, callers: number, order: Order }[]} */
const ROWS = [
  { label: "one caller", callers: 1, order: "visits" },
  { label: "another caller at each visit", callers: 200, order: "visits" },
  { label: "20 callers at once", callers: 20, order: "together" },
  { label: "200 callers at once", callers: 200, order: "together" },
];

/** @type {TimedSection & { names: string[] }} */
const section = {
  name: "page",
  about: "recorded page loads of real applications, by one caller and by many",
  minutes: 11,
  rounds: 3,
  seconds: 3,
  warmUp: 2,
  names: [BASE, "edgeward", "jose", "jose-memo", "js-memo"],
  run(run) {
    const files = run.options.recording
      ? [run.options.recording]
      : readdirSync(RECORDINGS)
          .sort()
          .map((name) => join(RECORDINGS, name));
    const scenarios = files.flatMap((file) => scenariosOf(readRecording(readFileSync(file, "utf8"), HOST)));
    return measureMatrix(run, { ...amountOf(section, run.options), scenarios, first: "page load" });
  },
};
export default section;

/**
 * @param {{ application: string, requests: RecordedRequest[] }} recording
 * @returns {Row[]}
 */
function scenariosOf({ application, requests }) {
  const kinds = requests.map((request) => recordedRequest({ ...request, answered: answeredOf(request) }));
  /** @type {OriginAnswers} */
  const answers = requests.map(({ method, path, status, length, answerHeaders }) => [
    `${method} ${path}`,
    { status, length, headers: Object.fromEntries(answerHeaders) },
  ]);
  return ROWS.map(({ label, callers, order }) => ({
    label: `${application} (${requests.length} requests), ${label}`,
    names: section.names,
    callers,
    answers,
    job: () => ({ kinds, order }),
  }));
}

/**
 * What the answer must say of caching: what the origin says, and that it is for one person if the origin does not say who may cache it.
 * @param {RecordedRequest} request
 */
function answeredOf({ answerHeaders }) {
  const said = answerHeaders.find(([name]) => name === "cache-control")?.[1];
  if (said === undefined) return { "cache-control": PRIVATE["cache-control"] };
  return { "cache-control": /\b(public|private|no-store|s-maxage)\b/i.test(said) ? said : `${PRIVATE["cache-control"]}, ${said}` };
}
