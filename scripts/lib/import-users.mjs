// `npm run admin -- user import`: creates the users of a file by bulk calls of the admin API. The core checks every entry
// before the first one is sent.
import { readFileSync } from "node:fs";
import { parse } from "csv-parse/sync";
import { ask, Misuse } from "./ask.mjs";
import { core } from "./check-config.mjs";
import { codeOf, messageOf, StepFailed } from "./step.mjs";
import { progress, progressEnds } from "./table.mjs";

/** The limits of one bulk call (docs/admin-api.md). */
const MOST_USERS = 100;
const MOST_BYTES = 60_000;
/** A hundred users may also be a hundred new accounts at an application. */
const TIMEOUT_MS = 120_000;
const MOST_LINES = 20;

/** @typedef {{ entry: number, email: string | null, subject?: Partial<import("./one-user.mjs").Subject>, status: string, code: string, field?: string }} Wrong */
/** @typedef {{ count: { created: number, exists: number, invalid: number, failed: number }, errors: Wrong[], notes: string[] }} Done */
/** @typedef {Omit<Wrong, "entry"> & { accounts?: import("./users.mjs").Accounts }} BulkResult */

const COLUMNS = ["email", "issuer", "subject", "username", "first_name", "last_name", "tenant"];

/**
 * Creates the users that do not exist yet; returns the exit status.
 * @param {import("./one-user.mjs").Given} given
 */
export async function importUsers({ word: file, tenant, json }) {
  const users = readUsers(file).map((user) => (tenant === undefined || !isObject(user) ? user : { tenant, ...user }));
  const errors = /** @type {(string | null)[]} */ (JSON.parse(await core("check-users", users)));
  const wrong = errors.flatMap((error, index) => (error === null ? [] : [`entry ${index + 1}: ${error}`]));
  if (wrong.length > 0) throw new StepFailed(`${file} was not imported, and nothing was changed:\n${lines(wrong)}`);
  const done = await send(users);
  const { created, exists } = done.count;
  const bad = done.errors.map((wrong) => `entry ${wrong.entry} (${called(wrong)}): ${wrong.status}, ${wrong.code}${wrong.field ? ` (${wrong.field})` : ""}`);
  console.log(json ? JSON.stringify({ ...done.count, errors: done.errors }) : `${created} users created, ${exists} existed already.`);
  if (done.notes.length > 0) process.stderr.write(`note: no account at an application yet:\n${lines(done.notes)}\n`);
  if (bad.length === 0) return 0;
  process.stderr.write(
    `error: ${bad.length} of ${users.length} entries were not imported; the others were. Correct these and run the command again:\n${lines(bad)}\n`,
  );
  return 1;
}

/** @param {Pick<Wrong, "email" | "subject">} entry */
const called = ({ email, subject }) => (subject ? `${subject.sub} of ${subject.issuer}` : email);

/**
 * @param {unknown} value
 * @returns {value is object}
 */
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** @param {string[]} all */
const lines = (all) =>
  [...all.slice(0, MOST_LINES), ...(all.length > MOST_LINES ? [`… and ${all.length - MOST_LINES} more`] : [])].map((line) => `  ${line}`).join("\n");

/**
 * The entries of a file, unchecked.
 * @param {string} file
 * @returns {unknown[]}
 */
function readUsers(file) {
  if (!/\.(csv|json)$/i.test(file)) throw new Misuse(`${file} is neither a .csv nor a .json file`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
    return /json$/i.test(file) ? fromJson(text) : fromCsv(text);
  } catch (error) {
    if (error instanceof Misuse) throw error;
    throw new StepFailed(`${file}: ${codeOf(error) === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "is not UTF-8" : messageOf(error)}`);
  }
}

/** @param {string} text */
function fromJson(text) {
  const users = JSON.parse(text);
  if (!Array.isArray(users)) throw new Error("is not a list");
  return users;
}

/** @param {string} text */
function fromCsv(text) {
  /** @type {{ [column: string]: string }[]} */
  const rows = parse(text, { bom: true, columns: checkedColumns, skip_empty_lines: true, trim: true });
  // An empty cell means that the user has no such field.
  return rows.map((row) => {
    const { issuer, subject: sub, ...user } = Object.fromEntries(Object.entries(row).filter(([, cell]) => cell !== ""));
    return issuer === undefined && sub === undefined ? user : { ...user, subject: { issuer, sub } };
  });
}

/** @param {string[]} header */
function checkedColumns(header) {
  const unknown = header.find((name, index) => !COLUMNS.includes(name) || header.indexOf(name) !== index);
  if (unknown !== undefined) throw new Error(`the header line has "${unknown}"; allowed are ${COLUMNS.join(", ")}, each once`);
  const hasSubject = header.includes("issuer") && header.includes("subject");
  if (!header.includes("email") && !hasSubject) throw new Error("the header line has no email, and not both issuer and subject");
  return header;
}

/**
 * Sends the users in batches, one after the other.
 * @param {unknown[]} users
 */
async function send(users) {
  /** @type {Done} */
  const done = { count: { created: 0, exists: 0, invalid: 0, failed: 0 }, errors: [], notes: [] };
  let first = 0;
  try {
    for (const piece of pieces(users)) {
      const body = { users: piece, on_existing: "skip" };
      const answer = await ask({ method: "POST", path: "/api/sso/users/bulk", body, gives: "results", timeout: TIMEOUT_MS });
      const { results, ...told } = /** @type {{ results: BulkResult[] } & Done["count"]} */ (answer);
      for (const status of /** @type {(keyof Done["count"])[]} */ (Object.keys(done.count))) done.count[status] += told[status];
      results.forEach(({ accounts = {}, ...result }, index) => {
        const { email, subject, status, code, field } = result;
        const entry = first + index + 1;
        if (status === "invalid" || status === "failed") done.errors.push({ entry, email, subject, status, code, field });
        for (const [site, { error }] of Object.entries(accounts)) if (error) done.notes.push(`entry ${entry} (${called(result)}) at ${site}: ${error}`);
      });
      first += piece.length;
      if (first < users.length) progress(`${first} of ${users.length} …`);
    }
  } catch (error) {
    if (!(error instanceof StepFailed) || first === 0) throw error;
    throw new StepFailed(
      `${error.message}\n  ${first} of ${users.length} entries were sent before that. Run the command again: existing users stay as they are`,
    );
  } finally {
    progressEnds();
  }
  return done;
}

/**
 * The users in their order, in batches that fit into one call.
 * @param {unknown[]} users
 */
function* pieces(users) {
  /** @type {unknown[]} */
  let piece = [];
  let bytes = 0;
  for (const user of users) {
    const more = Buffer.byteLength(JSON.stringify(user)) + 1;
    if (piece.length === MOST_USERS || (piece.length > 0 && bytes + more > MOST_BYTES)) {
      yield piece;
      piece = [];
      bytes = 0;
    }
    piece.push(user);
    bytes += more;
  }
  if (piece.length > 0) yield piece;
}
