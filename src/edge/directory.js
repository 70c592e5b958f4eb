// The directory of users: what a search finds them by. An index and nothing else: the writers of users' records keep it up
// (record.js), it can be made anew from KV, and the core shows only what the records say. Plain JavaScript, as `Once` is.
import { DurableObject } from "cloudflare:workers";

/** @import { DirectoryCall, Env, ListedUser } from "./types.js" */

/** What is kept of a user for the search. */
const MOST_CHARACTERS = 2000;
const MOST_WORDS = 32;
/** By so many characters of the address users are in order: the position of a search has to fit into its cursor. */
const MOST_PLACE = 100;
/** What a search may ask for. */
const MOST_ASKED = 8;
/** Up to so many rows, all users with a word are looked at. A word that more have is not what a search starts from. */
const FEW = 5000;
/** How many users one call looks at when all words are common. */
const MOST_LOOKED_AT = 20_000;
/** After a deletion, its mark outlives every message that may still be under way, and what KV shows for some minutes. */
const REMEMBERED = 24 * 3600 * 1000;
/** No text is behind it. */
const LAST = "\u{10ffff}";

/**
 * Folds what people do not tell apart when they search: case, accents, compatibility forms. In upper case, which has no special
 * letter at the end of a word.
 * @param {string} text
 */
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toUpperCase().slice(0, MOST_CHARACTERS).toWellFormed();

/**
 * The words that a text is found by: each of its words, and what follows any sign in it, so that an address is found by its
 * domain and by each part of its name too.
 * @param {string} text
 */
export function wordsOf(text) {
  const words = fold(text).split(/\s+/u).filter(Boolean);
  const parts = words.flatMap((word) => [...word.matchAll(/(?<=[^\p{L}\p{N}])[\p{L}\p{N}]/gu)].map(({ index }) => word.slice(index)));
  return [...new Set([...words, ...parts])].slice(0, MOST_WORDS);
}

/** @extends DurableObject<Env> */
export class Directory extends DurableObject {
  /** How many users one call looks at. */
  static LOOKED_AT = MOST_LOOKED_AT;
  static FEW = FEW;

  /**
   * @param {DurableObjectState} ctx
   * @param {Env} env
   */
  constructor(ctx, env) {
    super(ctx, env);
    for (const table of [
      // `text` is null for a user who is gone. `seen`: the last round of a rebuild in which the user was there.
      "user (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, version INTEGER NOT NULL, text TEXT, words TEXT NOT NULL, place TEXT NOT NULL, seen INTEGER NOT NULL, gone INTEGER)",
      "word (tenant TEXT NOT NULL, word TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (tenant, word, number)) WITHOUT ROWID",
      "round (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL, finished_at INTEGER)",
    ]) {
      this.#sql(`CREATE TABLE IF NOT EXISTS ${table}`);
    }
    this.#sql("CREATE INDEX IF NOT EXISTS places ON user (tenant, place, id) WHERE text IS NOT NULL");
    this.#sql("CREATE INDEX IF NOT EXISTS rounds ON user (seen) WHERE text IS NOT NULL");
    this.#sql("CREATE INDEX IF NOT EXISTS forgotten ON user (gone) WHERE gone IS NOT NULL");
    this.#sql("INSERT OR IGNORE INTO round VALUES (1, 0, NULL)");
  }

  /**
   * Does what the core or a writer asks (`DirectoryCall` in port.rs).
   * @param {DirectoryCall} call
   */
  call(call) {
    return this.ctx.storage.transactionSync(() => {
      switch (call.call) {
        case "search":
          return this.#search(call);
        case "put":
          return this.#put(call);
        case "begin":
          return this.#begin();
        case "stale":
          return this.#stale(call);
        case "finish":
          return this.#finish();
      }
    });
  }

  /** For parts.js. */
  health() {
    return this.#sql("SELECT last FROM round").length;
  }

  /**
   * Users of one tenant, each with a word that begins as each word of `text` does, in the order of their addresses.
   * @param {DirectoryCall & { call: "search" }} call
   */
  #search({ tenant, text, after, limit }) {
    const asked = [...new Set(fold(text).split(/\s+/u).filter(Boolean))];
    const { finished_at: built } = /** @type {{ finished_at: number | null }} */ (this.#sql("SELECT finished_at FROM round")[0]);
    if (asked.length === 0 || asked.length > MOST_ASKED) return {};
    const { FEW: few, LOOKED_AT } = /** @type {typeof Directory} */ (this.constructor);
    const ranges = asked.map((word) => {
      const [{ rows }] = this.#sql(
        "SELECT count(*) AS rows FROM (SELECT 1 FROM word WHERE tenant = ?1 AND word >= ?2 AND word < ?3 LIMIT ?4)",
        tenant,
        word,
        word + LAST,
        few + 1,
      );
      return { word, rows: Number(rows) };
    });
    const rarest = ranges.reduce((one, other) => (other.rows < one.rows ? other : one));
    const [place, id = ""] = (after ?? "").split("\n");
    // Words are compared as they are: no character of a search has a meaning of its own.
    const fits = asked.map(() => "AND instr(words, ' ' || ?) > 0").join(" ");
    const columns = "SELECT id, version, text, place FROM";
    const order = "ORDER BY place, id LIMIT ?";
    if (rarest.rows <= few) {
      const found = this.#sql(
        `${columns} user WHERE number IN (SELECT number FROM word WHERE tenant = ?1 AND word >= ? AND word < ?) AND tenant = ?1 AND (place, id) > (?, ?) ${fits} ${order}`,
        ...[tenant, rarest.word, rarest.word + LAST, place, id, ...asked, limit + 1],
      );
      const users = found.slice(0, limit);
      return { users: users.map(shown), next: found.length > limit ? placeOf(users.at(-1)) : null, built };
    }
    const looked = "(SELECT * FROM user WHERE tenant = ? AND text IS NOT NULL AND (place, id) > (?, ?) ORDER BY place, id LIMIT ?)";
    const found = this.#sql(`${columns} ${looked} WHERE 1 ${fits} ${order}`, ...[tenant, place, id, LOOKED_AT, ...asked, limit + 1]);
    const users = found.slice(0, limit);
    if (found.length > limit) return { users: users.map(shown), next: placeOf(users.at(-1)), built };
    const [end] = this.#sql(
      "SELECT place, id FROM user WHERE tenant = ? AND text IS NOT NULL AND (place, id) > (?, ?) ORDER BY place, id LIMIT 1 OFFSET ?",
      ...[tenant, place, id, LOOKED_AT - 1],
    );
    return { users: users.map(shown), next: end === undefined ? null : placeOf(end), built };
  }

  /**
   * Takes what writers, or a rebuild, say of users. An older version replaces no newer one.
   * @param {DirectoryCall & { call: "put" }} call
   */
  #put({ users, round, gone = [] }) {
    const [{ last }] = /** @type {{ last: number }[]} */ (this.#sql("SELECT last FROM round"));
    const now = Date.now();
    // A round that has not begun is not one of ours.
    if (round !== undefined && round !== null && round > last) return {};
    for (const user of users) this.#keep(user, round ?? last, now);
    for (const id of gone) this.#forget(id, round ?? 0);
    this.#sql("DELETE FROM user WHERE number IN (SELECT number FROM user WHERE gone < ? LIMIT 1000)", now - REMEMBERED);
    return {};
  }

  /**
   * @param {ListedUser} user
   * @param {number} round
   * @param {number} now
   */
  #keep({ id, tenant, version, text, made = false }, round, now) {
    const [known] = /** @type {{ number: number, version: number, tenant: string, text: string | null, words: string, seen: number }[]} */ (
      /** @type {unknown} */ (this.#sql("SELECT * FROM user WHERE id = ?", id))
    );
    const seen = Math.max(round, known?.seen ?? 0);
    // Of the same version, too: a rebuild may find that a record was corrected by hand. But nobody who is gone returns, unless
    // the record is made anew from a backup.
    const isNews = known === undefined || version > known.version || (known.text === null ? made : version === known.version);
    if (!isNews || (known?.text === text && known?.tenant === tenant)) {
      this.#sql("UPDATE user SET seen = ?, version = max(version, ?) WHERE number = ?", seen, isNews ? version : 0, known.number);
      return;
    }
    const words = text === null ? [] : wordsOf(text);
    const values = [
      tenant,
      version,
      text,
      words.length > 0 ? ` ${words.join(" ")}` : "",
      (words[0] ?? "").slice(0, MOST_PLACE).toWellFormed(),
      seen,
      text === null ? now : null,
    ];
    if (known !== undefined) {
      this.#unlist(known.number, known.tenant, known.words);
      this.#sql("UPDATE user SET tenant = ?, version = ?, text = ?, words = ?, place = ?, seen = ?, gone = ? WHERE number = ?", ...values, known.number);
    } else {
      this.#sql("INSERT INTO user (tenant, version, text, words, place, seen, gone, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ...values, id);
    }
    if (words.length === 0) return;
    const number = known?.number ?? Number(this.#sql("SELECT number FROM user WHERE id = ?", id)[0].number);
    for (const word of words) this.#sql("INSERT OR IGNORE INTO word VALUES (?, ?, ?)", tenant, word, number);
  }

  /** Begins a rebuild: whoever is put from now on has been seen in it. */
  #begin() {
    const [{ last: round }] = this.#sql("UPDATE round SET last = last + 1 RETURNING last");
    return { round };
  }

  /**
   * Users whom the rebuild has not come across: they may be gone, or KV does not list them yet.
   * @param {DirectoryCall & { call: "stale" }} call
   */
  #stale({ round, limit }) {
    return { ids: this.#sql("SELECT id FROM user WHERE seen < ? AND text IS NOT NULL LIMIT ?", round, limit).map(({ id }) => id) };
  }

  /**
   * Forgets a user whose writer says that there is no record, unless one was put since the rebuild began.
   * @param {string} id
   * @param {number} round
   */
  #forget(id, round) {
    const [known] = this.#sql("DELETE FROM user WHERE id = ? AND seen < ? RETURNING number, tenant, words", id, round);
    if (known !== undefined) this.#unlist(Number(known.number), String(known.tenant), String(known.words));
  }

  /**
   * @param {number} number
   * @param {string} tenant
   * @param {string} words
   */
  #unlist(number, tenant, words) {
    for (const word of words.split(" ")) this.#sql("DELETE FROM word WHERE tenant = ? AND word = ? AND number = ?", tenant, word, number);
  }

  /** Notes that a rebuild is complete. */
  #finish() {
    this.#sql("UPDATE round SET finished_at = ?", Date.now());
    return {};
  }

  /**
   * @param {string} query
   * @param {...string | number | null} values
   */
  #sql(query, ...values) {
    return this.ctx.storage.sql.exec(query, ...values).toArray();
  }
}

/** @param {{ [column: string]: unknown }} row */
const shown = ({ id, version, text }) => ({ id, version, text });

/** @param {{ [column: string]: unknown } | undefined} row */
const placeOf = (row) => `${row?.place}\n${row?.id}`;
