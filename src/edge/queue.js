// The rows of an outbox, in the SQLite of its Durable Object. At most one row of a user has a time at which it is due: the
// first that waits. So what is due, and when the next is, are each found by an index, however many rows there are.

/** @import { EventRow, QueuedEvent } from "./types.js" */

const TABLES = `
  CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due INTEGER,
    state TEXT NOT NULL DEFAULT 'waiting',
    last_status INTEGER,
    last_error TEXT
  );
  CREATE INDEX IF NOT EXISTS event_due ON event (due, seq) WHERE due IS NOT NULL;
  CREATE INDEX IF NOT EXISTS event_user ON event (user, state, seq);
  CREATE INDEX IF NOT EXISTS event_state ON event (state, seq);
  CREATE TABLE IF NOT EXISTS known (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    delivered INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS known_seq ON known (seq);
  CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
`;

/** The kind of event of which a newer one replaces an older one that still waits: it tells the whole state. */
const WHOLE_STATE = "update_account";
/** The part of that state that a service has asked for besides: a newer one of either kind replaces it. */
const FURTHER = "update_fields";
/** The only kind that a replacement may overtake: it ends sessions, so it leads to the same state before and after. */
const COMMUTES = "deauthenticate";
/** After it there is no account. */
const LAST = "delete_user";
/** The kind whose body is a credential (`sealEvent` in credentials.js). A newer one makes the older ones of its user void. */
export const LINK = "password_link";

/**
 * Which account an event of the oldest dialects is about; the others have events for a new name.
 * @param {string} body
 */
const nameIn = (body) => JSON.parse(body).username;

export class Queue {
  #storage;
  #sql;
  #most;
  #known;
  /** The number of rows. To count them takes a look at each. */
  #rows;

  /**
   * @param {DurableObjectStorage} storage
   * @param {{ rows: number, known: number }} most how many rows there may be, and how many ids of delivered events are kept
   */
  constructor(storage, most) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#most = most.rows;
    this.#known = most.known;
    this.#sql.exec(TABLES);
    this.#rows = this.#number("SELECT count(*) AS n FROM event");
  }

  /**
   * @param {string} name
   * @returns {unknown} undefined if it was never set
   */
  setting(name) {
    const [row] = this.#sql.exec("SELECT value FROM setting WHERE name = ?", name);
    return row === undefined ? undefined : JSON.parse(String(row.value));
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  set(name, value) {
    this.#sql.exec("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, JSON.stringify(value));
  }

  /**
   * Adds an event, unless its id is known, and returns its row's number. A newer `update_account` takes the row of an older
   * one that waits, unless that one is the row `sending`, or an event stands between the two that must not be overtaken, such
   * as a new name for the user. A newer link deletes the older ones of its user, but for the row `sending`.
   * @param {QueuedEvent} event
   * @param {number} now
   * @param {number | undefined} sending
   * @returns {number}
   */
  add({ id, user, kind, body }, now, sending) {
    const [same] = this.#sql.exec("SELECT seq FROM event WHERE id = ?1 UNION ALL SELECT seq FROM known WHERE id = ?1", id);
    if (same !== undefined) return Number(same.seq);
    const text = JSON.stringify(body);
    if (kind === COMMUTES) {
      // Whoever signs out again and again leaves one event.
      const same = this.#sameOf(user, text, sending);
      if (same !== undefined) {
        this.#know(id, same, false);
        return same;
      }
    }
    // The row that is being sent is the first of its user.
    const [older, ...between] = this.#replaceable(user, kind, nameIn(text)).filter(({ seq }) => seq !== sending);
    if (older !== undefined) {
      const { seq } = older;
      this.#storage.transactionSync(() => {
        this.#know(older.id, seq, false);
        for (const row of between) {
          this.#know(row.id, seq, false);
          this.#sql.exec("DELETE FROM event WHERE seq = ?", row.seq);
          this.#rows -= 1;
        }
        // The time stays: to push a new event must not make anybody knock sooner at a receiver that is down.
        this.#sql.exec(
          "UPDATE event SET id = ?, kind = ?, body = ?, created_at = ?, attempts = 0, last_status = NULL, last_error = NULL WHERE seq = ?",
          id,
          kind,
          text,
          now,
          seq,
        );
      });
      return seq;
    }
    this.#makeRoom();
    return this.#storage.transactionSync(() => {
      // Here, too, the time of the next attempt stays.
      const due = kind === LINK ? (this.#deleteLinks(user, sending) ?? now) : now;
      const [row] = this.#sql.exec("INSERT INTO event (id, user, kind, body, created_at) VALUES (?, ?, ?, ?, ?) RETURNING seq", id, user, kind, text, now);
      this.#rows += 1;
      this.#settle(user, due);
      return Number(row.seq);
    });
  }

  /**
   * Deletes the links of a user that wait or are dead. Returns when one of them was due.
   * @param {string} user
   * @param {number | undefined} sending
   * @returns {number | undefined}
   */
  #deleteLinks(user, sending) {
    const gone = this.#sql.exec("DELETE FROM event WHERE user = ? AND kind = ? AND seq <> ? RETURNING seq, id, due", user, LINK, sending ?? 0).toArray();
    this.#rows -= gone.length;
    for (const { id, seq } of gone) this.#know(String(id), Number(seq), false);
    return /** @type {number | undefined} */ (gone.map(({ due }) => due).find((due) => due !== null));
  }

  /**
   * When what an event tells of ends, in milliseconds since 1970.
   * @param {EventRow} row
   * @returns {number}
   */
  endOf({ kind, body }) {
    return kind === LINK ? (JSON.parse(body).until ?? 0) : Number.POSITIVE_INFINITY;
  }

  /**
   * Deletes the body of a row.
   * @param {EventRow} row
   */
  erase({ seq }) {
    this.#sql.exec("UPDATE event SET body = '{}' WHERE seq = ?", seq);
  }

  /**
   * The row of a sign-out that waits and will end the same sessions, whatever of the account is told after it.
   * @param {string} user
   * @param {string} body
   * @param {number | undefined} sending
   */
  #sameOf(user, body, sending) {
    for (const row of this.#sql.exec("SELECT seq, kind, body FROM event WHERE user = ? AND state = 'waiting' ORDER BY seq DESC", user)) {
      if (row.kind === COMMUTES && row.body === body && row.seq !== sending) return Number(row.seq);
      if (![COMMUTES, WHOLE_STATE, FURTHER].includes(String(row.kind))) return undefined;
    }
    return undefined;
  }

  /**
   * The rows of which a new event tells all, the first one first: it takes the place of that one, and the others go.
   * @param {string} user
   * @param {string} kind of the new event
   * @param {unknown} name
   */
  #replaceable(user, kind, name) {
    /** @type {EventRow[]} */
    const found = [];
    if (kind !== WHOLE_STATE && kind !== FURTHER) return found;
    const rows = this.#sql.exec("SELECT * FROM event WHERE user = ? AND state = 'waiting' ORDER BY seq DESC", user);
    for (const row of /** @type {Iterable<EventRow>} */ (/** @type {unknown} */ (rows))) {
      if (row.kind === COMMUTES) continue;
      // In the oldest dialects a new name closes one account and opens another: neither event replaces the other.
      const isOlder = row.kind === FURTHER || (row.kind === WHOLE_STATE && kind === WHOLE_STATE && nameIn(row.body) === name);
      if (!isOlder) break;
      found.unshift(row);
      if (row.kind === WHOLE_STATE) break;
    }
    return found;
  }

  /** The oldest dead letter gives way to a new event. Throws if there is none. */
  #makeRoom() {
    if (this.#rows < this.#most) return;
    const [gone] = this.#sql.exec("DELETE FROM event WHERE seq = (SELECT min(seq) FROM event WHERE state = 'dead') RETURNING id, kind");
    if (gone === undefined) throw new RangeError("the queue is full");
    this.#rows -= 1;
    console.error(JSON.stringify({ event: "fault", reason: "a dead letter was dropped from a full queue", id: gone.id, kind: gone.kind }));
  }

  /**
   * Only the first row of a user that waits is ever due.
   * @param {string} user
   * @param {number} now
   */
  #settle(user, now) {
    const first = "(SELECT min(seq) FROM event WHERE user = ?1 AND state = 'waiting')";
    this.#sql.exec(`UPDATE event SET due = NULL WHERE user = ?1 AND state = 'waiting' AND due IS NOT NULL AND seq <> ${first}`, user);
    this.#sql.exec(`UPDATE event SET due = ?2 WHERE seq = ${first} AND due IS NULL`, user, now);
  }

  /**
   * The row that has been due for longest, of a user who is not among `busy`.
   * @param {number} now
   * @param {Map<string, unknown>} busy
   */
  next(now, busy) {
    // Each user has one row at most that is due.
    const rows = /** @type {Iterable<EventRow>} */ (
      /** @type {unknown} */ (this.#sql.exec("SELECT * FROM event WHERE due <= ? ORDER BY due, seq LIMIT ?", now, busy.size + 1))
    );
    return [...rows].find(({ user }) => !busy.has(user));
  }

  /**
   * The first row of a user that waits.
   * @param {string} user
   */
  first(user) {
    return this.#row("SELECT * FROM event WHERE user = ? AND state = 'waiting' ORDER BY seq LIMIT 1", user);
  }

  /** @param {number} seq */
  row(seq) {
    return this.#row("SELECT * FROM event WHERE seq = ?", seq);
  }

  /**
   * @param {string} query
   * @param {...(string | number)} values
   */
  #row(query, ...values) {
    const [row] = this.#sql.exec(query, ...values);
    return /** @type {EventRow | undefined} */ (/** @type {unknown} */ (row));
  }

  /** When the next row is due, or null. */
  get due() {
    const [row] = this.#sql.exec("SELECT min(due) AS due FROM event WHERE due IS NOT NULL");
    return /** @type {number | null} */ (row.due);
  }

  /**
   * Whether the last event that had this row was delivered.
   * @param {number} seq
   */
  isDelivered(seq) {
    return this.#number("SELECT count(*) AS n FROM known WHERE seq = ? AND delivered = 1", seq) > 0;
  }

  /**
   * The event was delivered: only now its row goes. Dead letters that told an earlier state of the account go with it, so that
   * nobody sends one again.
   * @param {EventRow} row
   * @param {number} now
   */
  deliver({ seq, id, user, kind, body }, now) {
    // It may have been discarded, or the service removed, meanwhile.
    if (this.#sql.exec("DELETE FROM event WHERE seq = ? RETURNING seq", seq).toArray().length === 0) return;
    this.#rows -= 1;
    this.#know(id, seq, true);
    if (kind === WHOLE_STATE) {
      const dead = this.#sql.exec("SELECT seq, body FROM event WHERE user = ? AND state = 'dead' AND kind = ? AND seq < ?", user, kind, seq).toArray();
      for (const old of dead.filter((old) => nameIn(String(old.body)) === nameIn(body))) {
        this.#sql.exec("DELETE FROM event WHERE seq = ?", old.seq);
        this.#rows -= 1;
      }
    }
    // To send any of them again would make the account anew.
    if (kind === LAST)
      this.#rows -= this.#sql.exec("DELETE FROM event WHERE user = ? AND state = 'dead' AND seq < ? RETURNING seq", user, seq).toArray().length;
    this.#settle(user, now);
  }

  /**
   * The event was not delivered.
   * @param {EventRow} row
   * @param {{ status: number | null, error: string, attempts: number, due: number | null }} outcome `due`: when it is tried again; null: never
   * @param {number} now
   */
  fail({ seq, user }, { status, error, attempts, due }, now) {
    const state = due === null ? "dead" : "waiting";
    this.#sql.exec(
      "UPDATE event SET last_status = ?, last_error = ?, attempts = ?, due = ?, state = ? WHERE seq = ?",
      status,
      error,
      attempts,
      due,
      state,
      seq,
    );
    this.#settle(user, now);
  }

  /**
   * @param {string} id
   * @param {number} seq
   * @param {boolean} delivered
   */
  #know(id, seq, delivered) {
    const [row] = this.#sql.exec("INSERT OR IGNORE INTO known (id, seq, delivered) VALUES (?, ?, ?) RETURNING n", id, seq, delivered ? 1 : 0);
    if (row !== undefined) this.#sql.exec("DELETE FROM known WHERE n <= ?", Number(row.n) - this.#known);
  }

  /**
   * Dead letters wait again, in their place among the rows of their user; `id` undefined: all of them. Returns how many.
   * @param {string | undefined} id
   * @param {number} now
   */
  resend(id, now) {
    const chosen = "state = 'dead' AND (?1 IS NULL OR id = ?1)";
    return this.#storage.transactionSync(() => {
      const users = new Set([...this.#sql.exec(`SELECT DISTINCT user FROM event WHERE ${chosen}`, id ?? null)].map(({ user }) => String(user)));
      const changed = this.#sql.exec(`UPDATE event SET state = 'waiting', attempts = 0 WHERE ${chosen} RETURNING seq`, id ?? null).toArray().length;
      for (const user of users) this.#settle(user, now);
      return changed;
    });
  }

  /**
   * Deletes dead letters, or events that wait; `id` undefined: all of them. Returns how many.
   * @param {EventRow["state"]} state
   * @param {string | undefined} id
   * @param {number} now
   */
  discard(state, id, now) {
    return this.#storage.transactionSync(() => {
      const gone = this.#sql.exec("DELETE FROM event WHERE state = ?1 AND (?2 IS NULL OR id = ?2) RETURNING user", state, id ?? null).toArray();
      this.#rows -= gone.length;
      // The row behind the one that was deleted is now the first of its user. If all were deleted, none is left.
      if (id !== undefined) for (const { user } of gone) this.#settle(String(user), now);
      return gone.length;
    });
  }

  /**
   * A page of the rows that wait, or of the dead letters.
   * @param {boolean} dead
   * @param {number} after the number of the last row of the page before
   * @param {number} limit
   */
  list(dead, after, limit) {
    const rows = this.#sql.exec("SELECT * FROM event WHERE state = ? AND seq > ? ORDER BY seq LIMIT ?", dead ? "dead" : "waiting", after, limit + 1);
    const found = /** @type {EventRow[]} */ (/** @type {unknown} */ (rows.toArray()));
    const page = found.slice(0, limit);
    const events = page.map(({ id, kind, created_at, attempts, due, last_status, last_error }) => {
      return { id, kind, created_at, attempts, next_at: due, last_status, last_error };
    });
    return { events, cursor: found.length > limit ? String(page.at(-1)?.seq) : null };
  }

  counts() {
    const count = "SELECT count(*) AS n FROM event WHERE state = ?";
    const [oldest] = this.#sql.exec("SELECT created_at FROM event WHERE state = 'waiting' ORDER BY seq LIMIT 1");
    return { waiting: this.#number(count, "waiting"), dead: this.#number(count, "dead"), oldest_at: /** @type {number | null} */ (oldest?.created_at ?? null) };
  }

  /** Deletes everything. */
  clear() {
    for (const table of ["event", "known", "setting"]) this.#sql.exec(`DELETE FROM ${table}`);
    this.#rows = 0;
  }

  /**
   * @param {string} query
   * @param {...(string | number)} values
   */
  #number(query, ...values) {
    return Number(this.#sql.exec(query, ...values).one().n);
  }
}
