// `npm run admin -- backup …`: a copy of all users, services and API tokens, by calls of the admin API.
import { appendFileSync, createReadStream, existsSync, linkSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { ask, askLinesPatiently, Misuse, NoAnswer, Refused, WHERE } from "./ask.mjs";
import { runCommand, say } from "./command-group.mjs";
import { codeOf, messageOf, StepFailed } from "./step.mjs";
import { progress, progressEnds } from "./table.mjs";

const BACKUP = "/api/sso/backup";
/** The limits of one call (docs/admin-api.md). */
const MOST_RECORDS = 50;
const MOST_BYTES = 60_000;
/** Calls under way. */
const AT_ONCE = 4;
const MOST_TRIES = 6;
const TIMEOUT_MS = 120_000;
const MOST_LINES = 20;
/** The first line of a file. */
const HEAD = "edgeward backup";
const FORMAT = 1;

/** @typedef {{ word: string, json?: boolean, only?: string }} Given */
/** @typedef {{ number: number, text: string }} Line A line of the file, counted from 1. */
/** @typedef {{ kind: string, id: string | null, status: string, code?: string, field?: string }} Result */
/** @typedef {Result & { line: number }} Left */

/** @type {{ [name: string]: import("./command-group.mjs").Command<Given> }} */
const COMMANDS = {
  create: {
    takes: "<file>",
    about: "write all users, services and API tokens to a new file",
    help: `The file is complete or not there, and only its owner can read it. Only a deployment with the same
EDGEWARD_KEY_SECRET_<n> takes it back: keep that secret apart from the file. docs/backup.md says what is not in it.`,
    run: create,
  },
  restore: {
    takes: "<file>",
    about: "create the users, services and API tokens of a file that do not exist yet",
    help: `Nothing that is there is replaced, and what was revoked stays revoked. A restore that was interrupted goes on when the
command is run again.`,
    run: restore,
  },
};

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export const runBackup = (args) => runCommand({ group: "backup", commands: COMMANDS, where: WHERE("scope admin") }, args);

/** @param {Given} given */
async function create(given) {
  const { word: file } = given;
  if (existsSync(file)) throw new Misuse(`${file} exists already`);
  const part = `${file}.${process.pid}.part`;
  /** @type {{ [kind: string]: number }} */
  const count = { user: 0, service: 0, api_token: 0 };
  /** @type {string[]} */
  const unreadable = [];
  try {
    writeFileSync(part, `${JSON.stringify({ kind: HEAD, format: FORMAT })}\n`, { mode: 0o600, flag: "wx" });
    for (let cursor = ""; ; ) {
      const { text, more } = await askLinesPatiently(`${BACKUP}${cursor && `?cursor=${cursor}`}`, "x-backup-cursor");
      for (const line of text.split("\n").filter(Boolean)) {
        const record = /** @type {{ kind: string, unreadable?: string }} */ (JSON.parse(line));
        if (record.unreadable !== undefined) unreadable.push(`${record.kind} ${record.unreadable}`);
        count[record.kind] = (count[record.kind] ?? 0) + 1;
      }
      appendFileSync(part, text);
      progress(`${count.user} users, ${count.service} services, ${count.api_token} API tokens …`);
      if (more === null) break;
      cursor = more;
    }
    // A link, not a move: it replaces no file.
    linkSync(part, file);
  } catch (error) {
    throw codeOf(error) === "EEXIST" ? new StepFailed(`${file} exists already`) : error;
  } finally {
    progressEnds();
    rmSync(part, { force: true });
  }
  say(given, { ...count, unreadable, file }, `${count.user} users, ${count.service} services and ${count.api_token} API tokens are in ${file}`);
  if (unreadable.length === 0) return 0;
  process.stderr.write(`error: ${unreadable.length} records cannot be read, and are in the file by their keys only:\n${shown(unreadable)}\n`);
  return 1;
}

/** @param {Given} given */
async function restore(given) {
  const { word: file } = given;
  /** @type {{ [status: string]: number }} */
  const count = { created: 0, unchanged: 0, differs: 0, revoked: 0, invalid: 0, failed: 0 };
  /** @type {Left[]} */
  const left = [];
  /** @type {Set<string>} */
  const services = new Set();
  let done = 0;
  const total = await check(file);
  /** @type {Set<Promise<void>>} */
  const under = new Set();
  /** @type {unknown} */
  let stopped;
  /** @param {Line[]} batch */
  const settle = async (batch) => {
    const results = await send(batch.map(({ text }) => JSON.parse(text))).catch((error) => {
      // A record that no call takes must not keep the others from being restored.
      if (!(error instanceof Refused && error.status === 413)) throw error;
      return batch.map(({ text }) => {
        const { kind, record } = JSON.parse(text);
        return /** @type {Result} */ ({ kind, id: record?.id, status: "invalid", code: "payload_too_large" });
      });
    });
    for (const [index, result] of results.entries()) {
      count[result.status] = (count[result.status] ?? 0) + 1;
      if (result.kind === "service" && result.status === "created") services.add(String(result.id));
      if (!["created", "unchanged"].includes(result.status)) left.push({ line: batch[index].number, ...result });
    }
    done += batch.length;
    progress(`${done} of ${total} …`);
  };
  try {
    for await (const batch of batches(file)) {
      if (under.size >= AT_ONCE) await Promise.race(under);
      if (stopped !== undefined) break;
      const call = settle(batch)
        .catch((error) => void (stopped ??= error))
        .finally(() => under.delete(call));
      under.add(call);
    }
    await Promise.all(under);
  } finally {
    progressEnds();
  }
  if (stopped !== undefined) {
    process.stderr.write(`${done} of ${total} records were sent. Run the command again to go on.\n`);
    throw stopped;
  }
  left.sort((one, other) => one.line - other.line);
  const { created, unchanged } = count;
  say(given, { ...count, left, services: [...services] }, `${created} records created, ${unchanged} were there already.`);
  if (services.size > 0)
    process.stderr.write(
      `note: restored services cannot receive events until they have new credentials; run for each:\n${shown([...services].flatMap((id) => ["", " --webhook-secret"].map((option) => `npm run admin -- service rotate ${id}${option}`)))}\n`,
    );
  if (left.length === 0) return 0;
  const told = left.map(
    ({ line, kind, id, status, code, field }) =>
      `line ${line}, ${JSON.stringify(kind)} ${JSON.stringify(id)}: ${WHY[status] ?? `${code}${field ? ` (${field})` : ""}`}`,
  );
  process.stderr.write(`error: ${left.length} of ${total} records were not restored; the others were:\n${shown(told)}\n`);
  return 1;
}

/** @type {{ [status: string]: string }} */
const WHY = {
  differs: "something else is there, and stays",
  revoked: "it was revoked here after the backup was made",
};

/** @param {string[]} all */
const shown = (all) =>
  [...all.slice(0, MOST_LINES), ...(all.length > MOST_LINES ? [`… and ${all.length - MOST_LINES} more`] : [])].map((line) => `  ${line}`).join("\n");

/**
 * Sends records until they are answered. A repetition does no harm: what was made by the first call is unchanged then.
 * @param {object[]} records
 */
async function send(records) {
  for (let tries = 1; ; tries += 1) {
    try {
      const answer = await ask({ method: "POST", path: `${BACKUP}/restore`, body: { records }, gives: "results", timeout: TIMEOUT_MS });
      const { results } = /** @type {{ results: Result[] }} */ (answer);
      if (tries === MOST_TRIES || !results.some(({ status }) => status === "failed")) return results;
    } catch (error) {
      const isPassing = (error instanceof NoAnswer && error.wasThere) || (error instanceof Refused && (error.status === 429 || error.status >= 502));
      if (!isPassing || tries === MOST_TRIES) throw error;
      if (error instanceof Refused && error.retryAfter) await pause(1000 * error.retryAfter);
    }
    await pause(250 * 2 ** tries);
  }
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * The records of a file, line by line.
 * @param {string} file
 * @returns {AsyncGenerator<Line>}
 */
async function* linesOf(file) {
  let number = 0;
  for await (const text of createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Infinity })) {
    number += 1;
    if (text !== "" && number > 1) yield { number, text };
  }
}

/**
 * Reads the whole file before anything is changed; returns how many records it has.
 * @param {string} file
 */
async function check(file) {
  let total = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Infinity })) {
      const { kind, format } = JSON.parse(line);
      if (kind !== HEAD) throw new Error("its first line is not that of a backup");
      if (format !== FORMAT) throw new Error(`it has the format ${format}, and this version reads ${FORMAT}`);
      break;
    }
    for await (const { number, text } of linesOf(file)) {
      const record = JSON.parse(text);
      if (record.unreadable === undefined && typeof record.code !== "string") throw new Error(`line ${number} is no record`);
      total += record.unreadable === undefined ? 1 : 0;
    }
  } catch (error) {
    throw new StepFailed(`${file} is no backup, and nothing was changed: ${messageOf(error)}`);
  }
  if (total === 0) throw new StepFailed(`${file} has no records`);
  return total;
}

/**
 * The records in their order, in batches that fit into one call.
 * @param {string} file
 */
async function* batches(file) {
  /** @type {Line[]} */
  let batch = [];
  let bytes = 0;
  for await (const line of linesOf(file)) {
    if (JSON.parse(line.text).unreadable !== undefined) continue;
    const more = Buffer.byteLength(line.text) + 1;
    if (batch.length === MOST_RECORDS || (batch.length > 0 && bytes + more > MOST_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(line);
    bytes += more;
  }
  if (batch.length > 0) yield batch;
}
