// `npm run admin -- audit …`: the audit log, by calls of the admin API.
import { appendFileSync, existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { ask, askLines, askPatiently, Misuse, WHERE } from "./ask.mjs";
import { runCommand, say } from "./command-group.mjs";
import { StepFailed } from "./step.mjs";
import { progress, progressEnds, table } from "./table.mjs";

const AUDIT = "/api/sso/audit";
const PAGE = 100;
/** The time between two looks at the log with --follow. In milliseconds. */
const EVERY = 2_000;

/**
 * A row as the admin API shows one.
 * @typedef {object} Row
 * @property {number} seq
 * @property {string} time
 * @property {string} action
 * @property {string} [actor]
 * @property {string} [user]
 * @property {string} [object]
 * @property {string} [site]
 * @property {string} [address]
 * @property {string} [result]
 * @property {object} [before]
 * @property {object} [after]
 * @property {number} [left_out]
 */

/**
 * @typedef {object} Given
 * @property {string} word
 * @property {boolean} [json]
 * @property {string} [user]
 * @property {string} [actor]
 * @property {string} [action]
 * @property {string} [tenant]
 * @property {string} [from]
 * @property {string} [until]
 * @property {string} [limit]
 * @property {boolean} [follow]
 */

const TEXT = /** @type {const} */ ({ type: "string" });
const FILTERS = { user: TEXT, actor: TEXT, action: TEXT, tenant: TEXT, from: TEXT, until: TEXT };
const FILTERS_HELP = `  --user <id>             rows about this user
  --actor <id>            rows of what this API token, user, service or provider has done
  --action <action>       rows of this kind, such as user.changed (docs/audit.md has them all)
  --from <time>           rows from this time on: a date such as 2026-11-28 or 2026-11-28T10:00Z, or seconds since 1970
  --until <time>          rows before this time
  --tenant <name>         the log of this tenant, rather than that of the deployment`;

/** @type {{ [name: string]: import("./command-group.mjs").Command<Given> }} */
const COMMANDS = {
  list: {
    about: "list rows of the audit log, the newest last",
    options: { ...FILTERS, limit: TEXT, follow: { type: "boolean" } },
    help: `${FILTERS_HELP}
  --limit <number>        how many of the newest rows [default: 50]
  --follow                print new rows as they come, until Ctrl-C`,
    run: list,
  },
  export: {
    takes: "<file.ndjson>",
    about: "write rows to a new file, a line of JSON each",
    options: FILTERS,
    help: `${FILTERS_HELP}

The file is complete or not there. The export is a row of the log itself.`,
    run: exportRows,
  },
  verify: {
    about: "check that no row was changed, removed, swapped or added",
    options: { tenant: TEXT },
    help: `  --tenant <name>         the log of this tenant, rather than that of the deployment

Keep the last hash of each month elsewhere, and compare: whoever can rewrite the whole log can make a new chain. The exit
status is 1 if the log was tampered with.`,
    run: verify,
  },
};

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export const runAudit = (args) => runCommand({ group: "audit", commands: COMMANDS, where: WHERE("scope audit:read or admin") }, args);

/**
 * @param {string} name
 * @param {string | undefined} text
 */
function secondsOf(name, text) {
  if (text === undefined) return undefined;
  const seconds = /^\d{1,12}$/.test(text) ? Number(text) : Math.floor(Date.parse(text) / 1000);
  if (!Number.isFinite(seconds) || seconds < 0) throw new Misuse(`--${name} takes a date, such as 2026-11-28, or seconds since 1970`);
  return seconds;
}

/** @param {Given} given */
function filterOf({ user, actor, action, tenant, from, until }) {
  const filter = { user, actor, action, tenant, from: secondsOf("from", from), until: secondsOf("until", until) };
  const given = Object.entries(filter).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}

/** @param {Given} given */
async function list(given) {
  const most = given.limit === undefined ? 50 : Number(given.limit);
  if (!Number.isInteger(most) || most < 0 || most > 100_000) throw new Misuse("--limit takes a number up to 100000");
  const filter = filterOf(given);
  const begun = Math.floor(Date.now() / 1000);
  /** @type {Row[]} */
  const rows = [];
  /** @type {string | null} */
  let cursor = "";
  while (rows.length < most && cursor !== null) {
    const page = await pageOf(filter, { limit: String(Math.min(PAGE, most - rows.length)), ...(cursor && { cursor }) });
    rows.push(...page.rows);
    ({ cursor } = page);
  }
  rows.reverse();
  if (!given.follow) return say(given, rows, rows.length === 0 ? "no rows" : table(HEAD, rows.map(cells)));
  for (const row of rows) say(given, row, cells(row).join("  "));
  await follow(given, filter, begun, new Set(rows.map(nameOf)));
}

/**
 * Prints rows as they come, until the command is interrupted.
 * @param {Given} given
 * @param {URLSearchParams} filter
 * @param {number} begun
 * @param {Set<string>} printed
 */
async function follow(given, filter, begun, printed) {
  const stop = new AbortController();
  const end = () => stop.abort();
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
  try {
    const news = new URLSearchParams(filter);
    if (!news.has("from")) news.set("from", String(begun));
    let cursor = "";
    while (!stop.signal.aborted) {
      const page = await pageOf(news, { order: "oldest", limit: String(PAGE), ...(cursor && { cursor }) });
      for (const row of page.rows) if (!printed.has(nameOf(row))) say(given, row, cells(row).join("  "));
      const isEnd = page.cursor === cursor || page.cursor === null;
      cursor = page.cursor ?? cursor;
      if (isEnd) await wait(EVERY, undefined, { signal: stop.signal }).catch(() => {});
    }
  } finally {
    process.off("SIGINT", end);
    process.off("SIGTERM", end);
  }
}

/**
 * @param {URLSearchParams} filter
 * @param {{ [name: string]: string }} more
 */
async function pageOf(filter, more) {
  const query = new URLSearchParams([...filter, ...Object.entries(more)]);
  return /** @type {{ rows: Row[], cursor: string | null }} */ (await askPatiently({ method: "GET", path: `${AUDIT}?${query}`, gives: "rows" }));
}

/** @param {Row} row */
const nameOf = ({ time, seq }) => `${time.slice(0, 7)}.${seq}`;

const HEAD = ["time", "action", "actor", "user or object", "result", "site", "address", "change"];
/** @param {Row} row */
function cells({ time, action, actor, user, object, result, site, address, before, after, left_out }) {
  const change = [before && JSON.stringify(before), after && JSON.stringify(after)].filter(Boolean).join(" -> ");
  return [time ?? "-", action ?? "-", actor ?? "-", user ?? object ?? "-", result ?? "-", site ?? "-", address ?? "-", left_out ? `${left_out} more` : change];
}

/** @param {Given} given */
async function exportRows(given) {
  const { word: file } = given;
  if (existsSync(file)) throw new StepFailed(`${file} is there already`);
  const part = `${file}.part`;
  const filter = filterOf(given);
  let rows = 0;
  try {
    writeFileSync(part, "", { mode: 0o600 });
    for (let cursor = ""; ; ) {
      const { text, more } = await askLines(`${AUDIT}/export?${new URLSearchParams([...filter, ...(cursor ? [["cursor", cursor]] : [])])}`, "x-audit-cursor");
      appendFileSync(part, text);
      rows += text.split("\n").length - 1;
      progress(`${rows} rows`);
      if (more === null) break;
      cursor = more;
    }
    renameSync(part, file);
  } finally {
    progressEnds();
    rmSync(part, { force: true });
  }
  say(given, { rows, file }, `wrote ${rows} rows to ${file}`);
}

/** @typedef {{ month: string, ok: boolean, rows?: number, head?: string, at?: number, because?: string }} Month */

/** @param {Given} given */
async function verify(given) {
  /** @type {Month[]} */
  const months = [];
  let isGood = true;
  /** @type {string | null} */
  let cursor = "";
  while (cursor !== null) {
    const query = new URLSearchParams([...(given.tenant ? [["tenant", given.tenant]] : []), ...(cursor ? [["cursor", cursor]] : [])]);
    const told = await ask({ method: "GET", path: `${AUDIT}/verify?${query}`, gives: "months", timeout: 60_000 });
    const verdict = /** @type {{ ok: boolean, months: Month[], cursor: string | null }} */ (told);
    months.push(...verdict.months);
    isGood &&= verdict.ok;
    ({ cursor } = verdict);
  }
  const shown = months.map(({ month, ok, rows, head, at, because }) => [
    month,
    ok ? "ok" : "TAMPERED",
    ok ? String(rows) : `at ${at}`,
    (ok ? head : because) ?? "-",
  ]);
  say(given, { ok: isGood, months }, months.length === 0 ? "no rows" : table(["month", "state", "rows", "last hash"], shown));
  return isGood ? 0 : 1;
}
