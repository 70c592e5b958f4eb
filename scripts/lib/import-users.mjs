// `npm run admin -- user import`: creates the users of a file by bulk calls of the admin API. The core checks every entry
// before the first one is sent.
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { parse } from "csv-parse/sync";
import { ask, Misuse, NoAnswer, Refused } from "./ask.mjs";
import { core } from "./core.mjs";
import { codeOf, messageOf, StepFailed } from "./step.mjs";
import { progress, progressEnds } from "./table.mjs";
import { writeWhole } from "./users-file.mjs";

/** The limits of one bulk call (docs/admin-api.md). */
const MOST_USERS = 100;
const MOST_BYTES = 60_000;
/** A hundred users may also be a hundred new accounts at an application. */
const TIMEOUT_MS = 120_000;
const MOST_LINES = 20;
/** Batches under way. Each is a request of its own; more would only wait for each other at the deployment. */
const AT_ONCE = 6;
/** How often a call without an answer, or with a 502 or more, is made in all. */
const MOST_TRIES = 5;
/** How often a batch waits for the end of a limit. */
const MOST_WAITS = 20;
/** How often an entry is sent in all that the deployment failed to make. */
const MOST_ROUNDS = 3;
const BACKOFF_MS = 250;

/** @typedef {{ entry: number, email: string | null, subject?: Partial<import("./one-user.mjs").Subject>, status: string, code: string, field?: string }} Wrong */
/** @typedef {{ number: number, user: unknown }} Entry An entry of the file, counted from 1. */
/** @typedef {{ count: { created: number, exists: number, invalid: number, failed: number }, errors: Wrong[], notes: string[], rest: Entry[], stopped?: StepFailed }} Done */
/** @typedef {Omit<Wrong, "entry"> & { accounts?: import("./users.mjs").Accounts }} BulkResult */

const COLUMNS = ["email", "issuer", "subject", "username", "first_name", "last_name", "tenant"];

/**
 * Creates the users that do not exist yet; returns the exit status.
 * @param {import("./one-user.mjs").Given} given
 */
export async function importUsers({ word: file, tenant, json, rest: restFile }) {
  if (restFile !== undefined && existsSync(restFile)) throw new Misuse(`${restFile} exists already`);
  const users = readUsers(file).map((user) => (tenant === undefined || !isObject(user) ? user : { tenant, ...user }));
  const errors = /** @type {(string | null)[]} */ (await core("check-users", users));
  const wrong = errors.flatMap((error, index) => (error === null ? [] : [`entry ${index + 1}: ${error}`]));
  if (wrong.length > 0) throw new StepFailed(`${file} was not imported, and nothing was changed:\n${lines(wrong)}`);
  const done = await send(users.map((user, index) => ({ number: index + 1, user })));
  const { created, exists } = done.count;
  if (done.stopped !== undefined && done.rest.length === users.length) throw done.stopped;
  const bad = done.errors.map((wrong) => `entry ${wrong.entry} (${called(wrong)}): ${wrong.status}, ${wrong.code}${wrong.field ? ` (${wrong.field})` : ""}`);
  const left = done.rest.length - done.errors.length;
  console.log(json ? JSON.stringify({ ...done.count, errors: done.errors, not_sent: left }) : `${created} users created, ${exists} existed already.`);
  if (done.notes.length > 0) process.stderr.write(`note: no account at an application yet:\n${lines(done.notes)}\n`);
  if (done.rest.length === 0) return 0;
  if (done.stopped !== undefined) process.stderr.write(`error: ${done.stopped.message}\n`);
  process.stderr.write(`error: ${done.rest.length} of ${users.length} entries were not imported; the others were. Existing users stay as they are, so\n`);
  if (restFile === undefined) process.stderr.write("  correct what is wrong and run the command again; --rest <file.json> writes these entries to a file\n");
  else {
    writeWhole(
      restFile,
      done.rest.map(({ user }) => user),
    );
    process.stderr.write(`  correct what is wrong in ${restFile}, which has these entries, and import it\n`);
  }
  if (bad.length > 0) process.stderr.write(`${lines(bad)}\n`);
  if (left > 0) process.stderr.write(`  not answered: ${ranges(done.rest.filter(({ number }) => !done.errors.some(({ entry }) => entry === number)))}\n`);
  return 1;
}

/**
 * `entries 101 to 200, 501`, for people.
 * @param {Entry[]} entries In their order.
 */
function ranges(entries) {
  /** @type {[number, number][]} */
  const found = [];
  for (const { number } of entries) {
    const last = found.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return `entries ${found.map(([first, last]) => (first === last ? first : `${first} to ${last}`)).join(", ")}`;
}

/** @param {number} milliseconds */
const pause = (milliseconds) => (milliseconds > 0 ? wait(milliseconds) : undefined);

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
 * Sends the entries, a few batches at a time. What the deployment could not do at that moment is sent again; whatever else
 * goes wrong ends the import, and the entries that are not imported are its `rest`.
 * @param {Entry[]} entries
 * @returns {Promise<Done>}
 */
async function send(entries) {
  /** @type {Done} */
  const done = { count: { created: 0, exists: 0, invalid: 0, failed: 0 }, errors: [], notes: [], rest: [] };
  let [count, pausedUntil] = [0, 0];
  /** @type {unknown} */
  let stopped;

  /**
   * Sends a batch until it is answered. A repetition does no harm: who was created by the first call exists then.
   * @param {Entry[]} batch
   */
  const call = async (batch) => {
    for (let [tries, waits] = [1, 0]; ; ) {
      await pause(pausedUntil - Date.now());
      if (stopped !== undefined) throw stopped;
      try {
        const body = { users: batch.map(({ user }) => user), on_existing: "skip" };
        const answer = await ask({ method: "POST", path: "/api/sso/users/bulk", body, gives: "results", timeout: TIMEOUT_MS });
        return /** @type {{ results: BulkResult[] }} */ (answer).results;
      } catch (error) {
        const isLimited = error instanceof Refused && error.status === 429;
        // Where nobody is found before anything was answered, the address is probably wrong.
        const isPassing = (error instanceof NoAnswer && (error.wasThere || count > 0)) || (error instanceof Refused && error.status >= 502);
        if (isLimited && waits < MOST_WAITS) {
          waits += 1;
          // The limit is that of the API token, so it holds for all batches.
          pausedUntil = Math.max(pausedUntil, Date.now() + 1000 * (error.retryAfter ?? 1));
          progress(`${count} of ${entries.length}, waiting for ${error.retryAfter ?? 1} s as the deployment asks …`);
        } else if (isPassing && tries < MOST_TRIES) {
          tries += 1;
          await pause(BACKOFF_MS * 2 ** tries);
        } else {
          throw error;
        }
      }
    }
  };

  /**
   * Sends a batch, and returns what the deployment failed to do.
   * @param {Entry[]} batch
   * @param {boolean} isLast Whether what fails now is an error.
   */
  const settle = async (batch, isLast) => {
    const results = await call(batch);
    /** @type {Entry[]} */
    const again = [];
    results.forEach(({ accounts = {}, ...result }, index) => {
      const entry = batch[index];
      const { email, subject, status, code, field } = result;
      if (status === "failed" && !isLast) return void again.push(entry);
      if (Object.hasOwn(done.count, status)) done.count[/** @type {keyof Done["count"]} */ (status)] += 1;
      if (status === "invalid" || status === "failed") {
        done.errors.push({ entry: entry.number, email, subject, status, code, field });
        done.rest.push(entry);
      }
      for (const [site, { error }] of Object.entries(accounts)) if (error) done.notes.push(`entry ${entry.number} (${called(result)}) at ${site}: ${error}`);
    });
    count += batch.length - again.length;
    if (count < entries.length) progress(`${count} of ${entries.length} …`);
    return again;
  };

  /**
   * @param {Entry[]} round
   * @param {boolean} isLast
   */
  const sendRound = async (round, isLast) => {
    /** @type {Entry[]} */
    const again = [];
    const waiting = [...pieces(round)];
    const worker = async () => {
      for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
        try {
          again.push(...(await settle(batch, isLast)));
        } catch (error) {
          stopped ??= error;
          done.rest.push(...batch, ...waiting.splice(0).flat());
          return;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return again;
  };

  try {
    for (const part of inTurns(entries)) {
      let left = part;
      for (let round = 1; left.length > 0; round += 1) {
        if (stopped !== undefined) done.rest.push(...left);
        if (stopped !== undefined) break;
        if (round > 1) await pause(BACKOFF_MS * 2 ** round);
        left = await sendRound(left, round === MOST_ROUNDS);
      }
    }
  } finally {
    progressEnds();
  }
  for (const list of [done.errors, done.rest]) list.sort((one, other) => numberOf(one) - numberOf(other));
  if (stopped !== undefined && !(stopped instanceof StepFailed)) throw stopped;
  return { ...done, stopped };
}

/** @param {Wrong | Entry} one */
const numberOf = (one) => ("number" in one ? one.number : one.entry);

/**
 * The first entry of each user, and then the others: batches are sent at the same time, and the first of two entries counts.
 * @param {Entry[]} entries
 */
function inTurns(entries) {
  /** @type {Set<string>} */
  const seen = new Set();
  /** @type {[Entry[], Entry[]]} */
  const turns = [[], []];
  for (const entry of entries) {
    const { email, subject, tenant } = /** @type {{ email?: unknown, subject?: unknown, tenant?: unknown }} */ (entry.user);
    const key = JSON.stringify([tenant, subject ?? String(email).trim().toLowerCase()]);
    turns[seen.has(key) ? 1 : 0].push(entry);
    seen.add(key);
  }
  return turns;
}

/**
 * The entries in their order, in batches that fit into one call.
 * @param {Entry[]} entries
 */
function* pieces(entries) {
  /** @type {Entry[]} */
  let piece = [];
  let bytes = 0;
  for (const entry of entries) {
    const more = Buffer.byteLength(JSON.stringify(entry.user)) + 1;
    if (piece.length === MOST_USERS || (piece.length > 0 && bytes + more > MOST_BYTES)) {
      yield piece;
      piece = [];
      bytes = 0;
    }
    piece.push(entry);
    bytes += more;
  }
  if (piece.length > 0) yield piece;
}
