// The audit log of one tenant in one month: rows that are added and never changed. Each row has the hash of the row before it,
// so that whoever changes, removes or swaps rows in the storage is found out. Plain JavaScript, as `Once` is: a panic of the core
// loses no row. The answer of a call leaves the object only when its rows are on the disk (the runtime's output gate).
import { DurableObject } from "cloudflare:workers";

/** @import { AuditCall, AuditRow, Env } from "./types.js" */

/** The hash before the first row. */
const NOTHING = "0".repeat(64);
/** The most characters of a row, and the most rows of one call. */
const MOST_TEXT = 16_384;
const MOST_ROWS = 1000;
/** How many rows one call looks at to list some, and to check the chain: a Worker may not compute for long. */
const MOST_LOOKED_AT = 20_000;
const BATCH = 1000;
/** How many rows one person may cause within an hour: whoever signs in and out all the time must not fill the log. */
const MOST_CAUSED = 300;
/** In milliseconds. */
const HOUR = 3_600_000;
/** How many people are counted at most, and how many of the last rows are counted when the object starts. */
const MOST_PEOPLE = 20_000;
const MOST_RECALLED = 2000;

const encoder = new TextEncoder();

/**
 * @param {string} before the hash of the row before
 * @param {string} line
 */
async function hashOf(before, line) {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(`${before}\n${line}`));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @extends DurableObject<Env> */
export class Audit extends DurableObject {
  /** How many rows one call looks at. */
  static LOOKED_AT = MOST_LOOKED_AT;
  /** How many rows one person may cause within an hour. */
  static CAUSED = MOST_CAUSED;
  /** How many people are counted at most. */
  static PEOPLE = MOST_PEOPLE;

  /** The last append, which the next one waits for: the hash of a row is computed between two turns. */
  #turn = Promise.resolve();
  /**
   * What people have caused since when, and how many rows were left out, in the order of their beginnings. Filled by
   * `#countFor`, from the last rows.
   * @type {Map<string, { since: number, rows: number, leftOut: number }>}
   */
  people = new Map();
  #hasRecalled = false;

  /**
   * Does what the core asks (`AuditCall` in port.rs).
   * @param {AuditCall} call
   */
  call(call) {
    switch (call.call) {
      case "append": {
        const done = this.#turn.then(() => this.#append(call));
        this.#turn = done.then(
          () => {},
          () => {},
        );
        return done;
      }
      case "list":
        return this.#list(call);
      case "verify":
        return this.#verify(call);
    }
  }

  /** For parts.js. */
  health() {
    return this.#sql("SELECT 1").length;
  }

  /** @param {AuditCall & { call: "append" }} call */
  async #append({ rows, ends, person, deadline = Infinity }) {
    if (Date.now() > deadline) throw new Error("nobody waits for this any more");
    this.#sql(
      "CREATE TABLE IF NOT EXISTS row (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT, action TEXT, user TEXT, line TEXT NOT NULL, hash TEXT NOT NULL)",
    );
    this.#sql("CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL, ends INTEGER NOT NULL)");
    const at = Date.now();
    const leftOut = person ? this.#countFor(person, at) : 0;
    if (leftOut === undefined) return { too_many: true };
    const last = this.#head();
    let { seq, hash } = last;
    /** @type {(string | number | null)[][]} */
    const made = [];
    for (const row of rows) {
      seq += 1;
      const line = JSON.stringify({ seq, time: new Date(at).toISOString(), ...row, ...(leftOut > 0 && { left_out: leftOut }) });
      if (line.length > MOST_TEXT) throw new RangeError("the row is too long");
      hash = await hashOf(hash, line);
      made.push([seq, at, row.actor ?? null, row.action ?? null, row.user ?? null, line, hash]);
    }
    if (ends !== last.ends) await this.ctx.storage.setAlarm(ends);
    this.ctx.storage.transactionSync(() => {
      for (const row of made) this.#sql("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?)", ...row);
      this.#sql("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)", seq, hash, ends);
    });
    return { seq: last.seq + 1 };
  }

  /**
   * Counts a row that `person` causes. Returns how many were left out since the last one, or nothing if this one must be, too.
   * @param {string} person
   * @param {number} at
   */
  #countFor(person, at) {
    if (!this.#hasRecalled) this.#recall(at);
    const { CAUSED, PEOPLE } = /** @type {typeof Audit} */ (this.constructor);
    const known = this.people.get(person);
    if (known === undefined || at - known.since >= HOUR) {
      this.people.delete(person);
      this.people.set(person, { since: at, rows: 1, leftOut: 0 });
      const [oldest] = this.people.keys();
      if (this.people.size > PEOPLE && oldest !== undefined) this.people.delete(oldest);
      return known?.leftOut ?? 0;
    }
    if (known.rows < CAUSED) {
      known.rows += 1;
      return 0;
    }
    known.leftOut += 1;
    return undefined;
  }

  /**
   * Counts what the last rows say that people have caused, so that a restart resets only the counts of older rows.
   * @param {number} at
   */
  #recall(at) {
    this.#hasRecalled = true;
    const found = /** @type {{ user: string, at: number }[]} */ (
      this.#sql(
        `SELECT user, at FROM (SELECT * FROM row ORDER BY seq DESC LIMIT ?1) WHERE at > ?2 AND user IS NOT NULL
         AND actor = user AND action IN ('signed_in', 'user.switched', 'signed_out') ORDER BY seq`,
        MOST_RECALLED,
        at - HOUR,
      )
    );
    for (const row of found) {
      const known = this.people.get(row.user);
      if (known) known.rows += 1;
      else this.people.set(row.user, { since: row.at, rows: 1, leftOut: 0 });
    }
  }

  /** The last row: its number and its hash. A month without rows takes no storage, also when it is read. */
  #head() {
    if (this.#has("head")) {
      const [head] = /** @type {{ seq: number, hash: string, ends: number }[]} */ (this.#sql("SELECT seq, hash, ends FROM head"));
      if (head !== undefined) return head;
    }
    return { seq: 0, hash: NOTHING, ends: 0 };
  }

  /** @param {AuditCall & { call: "list" }} call */
  #list({ newest, position, limit, user, actor, action, from, until }) {
    const { seq: last } = this.#head();
    const none = { rows: [], next: null, last };
    if (last === 0) return none;
    const most = Math.min(Math.max(limit, 1), MOST_ROWS);
    const { LOOKED_AT } = /** @type {typeof Audit} */ (this.constructor);
    const first = newest ? Math.min((position ?? last + 1) - 1, last) : (position ?? 0) + 1;
    if (first < 1 || first > last) return none;
    const [low, high] = newest ? [first - LOOKED_AT + 1, first] : [first, first + LOOKED_AT - 1];
    const found = this.#sql(
      `SELECT seq, line, hash FROM row WHERE seq BETWEEN ?1 AND ?2 AND at >= ?3 AND at < ?4 AND (?5 IS NULL OR user = ?5)
       AND (?6 IS NULL OR actor = ?6) AND (?7 IS NULL OR action = ?7) ORDER BY seq ${newest ? "DESC" : "ASC"} LIMIT ?8`,
      low,
      Math.min(high, last),
      from,
      until,
      user ?? null,
      actor ?? null,
      action ?? null,
      most + 1,
    );
    const rows = found.slice(0, most);
    const seen = found.length > most ? Number(rows.at(-1)?.seq) : newest ? low : high;
    const isEnd = found.length <= most && (newest ? low <= 1 : high >= last);
    return { rows: rows.map(shown), next: isEnd ? null : seen, last };
  }

  /**
   * Checks rows: their numbers, their hashes, and that what they are found by is what their lines say. The hash of the last
   * row can be kept elsewhere: whoever rewrites all rows cannot make the same one.
   * @param {AuditCall & { call: "verify" }} call
   */
  async #verify({ seq, hash }) {
    const head = this.#head();
    if (!this.#has("row")) return head.seq === 0 && seq === 0 ? { ok: true, seq, hash, done: true } : { ok: false, at: 1, because: "all rows are missing" };
    const { LOOKED_AT } = /** @type {typeof Audit} */ (this.constructor);
    const stop = Math.min(head.seq, seq + LOOKED_AT);
    while (seq < stop) {
      const rows = /** @type {(AuditRow & { at: number, actor: string | null, action: string | null, user: string | null })[]} */ (
        /** @type {unknown} */ (this.#sql("SELECT * FROM row WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", seq, stop, BATCH))
      );
      if (rows.length === 0) return { ok: false, at: seq + 1, because: stop === head.seq ? "the last rows are missing" : "rows are missing" };
      for (const row of rows) {
        if (row.seq !== seq + 1) return { ok: false, at: seq + 1, because: "a row is missing" };
        const made = await hashOf(hash, row.line);
        if (made !== row.hash) return { ok: false, at: row.seq, because: "a row was changed or swapped" };
        if (!isFoundByItsLine(row)) return { ok: false, at: row.seq, because: "a row is found by what it does not say" };
        [hash, seq] = [made, row.seq];
      }
    }
    if (seq < head.seq) return { ok: true, seq, hash, done: false };
    if (seq !== head.seq || hash !== head.hash) return { ok: false, at: seq, because: "the last row is not the one that was written last" };
    const [other] = this.#sql("SELECT seq FROM row WHERE seq > ? OR seq < 1 LIMIT 1", this.#head().seq);
    if (other !== undefined) return { ok: false, at: Number(other.seq), because: "a row was added that nobody wrote" };
    return { ok: true, seq, hash, done: true };
  }

  /**
   * Forgets everything: the month is over, and the time for which its rows are kept.
   * @override
   */
  async alarm() {
    const { ends } = this.#head();
    if (Date.now() < ends) return this.ctx.storage.setAlarm(ends);
    await this.ctx.storage.deleteAll();
  }

  /** @param {string} table */
  #has(table) {
    return this.#sql("SELECT 1 FROM sqlite_master WHERE name = ?", table).length > 0;
  }

  /**
   * @param {string} query
   * @param {...string | number | null} values
   */
  #sql(query, ...values) {
    return this.ctx.storage.sql.exec(query, ...values).toArray();
  }
}

/**
 * A row as the API shows it. One that somebody has broken is shown as it is.
 * @param {{ [column: string]: unknown }} row
 */
function shown({ seq, line, hash }) {
  try {
    return { ...JSON.parse(String(line)), hash };
  } catch {
    return { seq, line, hash };
  }
}

/** @param {{ seq: number, line: string, at: number, actor: string | null, action: string | null, user: string | null }} row */
function isFoundByItsLine(row) {
  try {
    const { seq, time, actor = null, action = null, user = null } = JSON.parse(row.line);
    return seq === row.seq && Date.parse(time) === row.at && actor === row.actor && action === row.action && user === row.user;
  } catch {
    return false;
  }
}
