// Adds up the counters of all isolates, in one object. A plain class, so that a panic of the core loses no sum; all state is in
// the object's storage.
import { DurableObject } from "cloudflare:workers";
import { readLines } from "./counters.js";

/** @import { Env } from "./types.js" */

const HOUR = 3_600_000;
/** An isolate that has sent nothing for so long sends no batch again that has arrived. In milliseconds. */
const FORGOTTEN_AFTER = 7 * 24 * HOUR;

/** @extends DurableObject<Env> */
export class Metrics extends DurableObject {
  #sweptAt = 0;

  /**
   * @param {DurableObjectState} ctx
   * @param {Env} env
   */
  constructor(ctx, env) {
    super(ctx, env);
    this.#sql("CREATE TABLE IF NOT EXISTS sums (series TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID");
    this.#sql("CREATE TABLE IF NOT EXISTS isolates (id TEXT PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID");
  }

  /**
   * Adds the batch of this number, unless it was added before. An isolate sends its batches one after the other.
   * @param {string} isolate
   * @param {number} number
   * @param {string} text
   */
  add(isolate, number, text) {
    this.ctx.storage.transactionSync(() => {
      const [known] = this.#sql("SELECT last FROM isolates WHERE id = ?", isolate);
      if (known !== undefined && number <= Number(known.last)) return;
      this.#sql("INSERT OR REPLACE INTO isolates (id, last, at) VALUES (?, ?, ?)", isolate, number, Date.now());
      for (const { series, value } of readLines(text)) {
        this.#sql("INSERT INTO sums (series, value) VALUES (?, ?) ON CONFLICT (series) DO UPDATE SET value = value + excluded.value", series, value);
      }
    });
    this.#sweep();
  }

  /** A line for each series, in order, with its value. */
  text() {
    const rows = this.#sql("SELECT series, value FROM sums ORDER BY series");
    return rows.map(({ series, value }) => `${series} ${value}\n`).join("");
  }

  /** For parts.js. */
  health() {
    return this.#sql("SELECT 1").length;
  }

  #sweep() {
    const now = Date.now();
    if (now < this.#sweptAt + HOUR) return;
    this.#sweptAt = now;
    this.#sql("DELETE FROM isolates WHERE at < ?", now - FORGOTTEN_AFTER);
  }

  /**
   * @param {string} query
   * @param {...string | number} values
   */
  #sql(query, ...values) {
    return this.ctx.storage.sql.exec(query, ...values).toArray();
  }
}
