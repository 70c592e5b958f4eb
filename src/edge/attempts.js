// Where passwords are compared and failures counted: in one place, so that a check and its count cannot come apart. One of
// 256 objects for each part of the users. A plain class, so that a panic of the core loses no count; all state is in the
// object's storage.
//
// The order is: the ceiling of all hashes (hashing.js), the delay of this user and lane, the count, the hash. A failure is
// counted before the work and taken back if the password is right: who leaves half-way, or kills the runtime, has tried.
import { DurableObject } from "cloudflare:workers";
import { isCommon } from "./common.js";
import { busyFor, hash } from "./hashing.js";

/** @import { AttemptOutcome, Env, HashOutcome, Kdf, Lane, PasswordAttempt, StoredHash } from "./types.js" */

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;
/** From this failure on, a lane waits: 1 s, 2 s, 4 s, … */
const FREE_FAILURES = 5;
const LONGEST_DELAY = 60 * SECOND;
/** With so many failures in the last hour, a lane that the user has never used waits before its first attempt. */
const MANY_FAILURES = 50;
const NEW_LANE_DELAY = 10 * SECOND;
/** The most lanes of one user; the oldest go. */
const MOST_LANES = 1_000;
/** How often rows that are over a day old are deleted. */
const SWEEP_EVERY = 6 * HOUR;

const SHORTEST_PASSWORD = 8;
const LONGEST_PASSWORD = 1_024;
const SALT_LENGTH = 16;
const OUTPUT_LENGTH = 32;

/** @extends DurableObject<Env> */
export class Attempts extends DurableObject {
  /** The time in milliseconds since 1970, which a subclass may override. */
  static now() {
    return Date.now();
  }

  /** Whether an alarm is set; unknown until the first attempt that there is room for. */
  /** @type {boolean | undefined} */
  #isArmed;

  /**
   * Compares a password with a hash; without `output` there is none, and the same work is done for nothing.
   * @param {PasswordAttempt} attempt
   * @returns {Promise<AttemptOutcome>}
   */
  async attempt({ user, lane, trusted, password, kdf, salt, output }) {
    const bytes = bytesOf(password, kdf);
    // No password is so long, whoever the user is.
    if (bytes.length > LONGEST_PASSWORD) return { outcome: "wrong" };
    // Whoever is refused by the ceiling costs no storage.
    if (this.#isArmed === undefined && busyFor() === 0) await this.#open();
    const busy = busyFor();
    if (busy > 0) return { outcome: "busy", seconds: busy };
    const wait = this.#delay(user, lane, trusted);
    if (wait > 0) return { outcome: "wait", seconds: Math.ceil(wait / SECOND) };
    this.#count(user, lane);
    /** @type {Uint8Array} */
    let made;
    try {
      made = await hash(kdf, bytes, salt, output?.length ?? OUTPUT_LENGTH);
    } catch (error) {
      // Our failure, not the caller's.
      this.#sql("UPDATE lanes SET failures = MAX(failures - 1, 0), waits_until = 0 WHERE user = ? AND lane = ?", user, lane);
      throw error;
    }
    const isEqual = crypto.subtle.timingSafeEqual(made, output ?? new Uint8Array(made.length));
    if (output === undefined || !isEqual) return { outcome: "wrong" };
    this.#write(user, lane, { failures: 0, waits_until: 0 });
    return { outcome: "right" };
  }

  /**
   * Hashes a new password, if it is one that people may have and not the current one. A common one is told first: that says
   * nothing about the current password.
   * @param {string} password
   * @param {Kdf} kdf
   * @param {StoredHash} [current]
   * @returns {Promise<HashOutcome>}
   */
  async hash(password, kdf, current) {
    const bytes = bytesOf(password, kdf);
    if (bytes.length < SHORTEST_PASSWORD) return { outcome: "too_short" };
    if (bytes.length > LONGEST_PASSWORD) return { outcome: "too_long" };
    if (await isCommon(password)) return { outcome: "common" };
    const busy = busyFor();
    if (busy > 0) return { outcome: "busy", seconds: busy };
    const salt = crypto.getRandomValues(new Uint8Array(SALT_LENGTH));
    const output = await hash(kdf, bytes, salt, OUTPUT_LENGTH);
    if (current === undefined) return { outcome: "hashed", salt, output };
    // Compared last: whoever is refused for want of places has not been told that the guess was wrong, and would have it free.
    const full = busyFor();
    if (full > 0) return { outcome: "busy", seconds: full };
    const made = await hash(current.kdf, bytesOf(password, current.kdf), current.salt, current.output.length);
    return crypto.subtle.timingSafeEqual(made, current.output) ? { outcome: "unchanged" } : { outcome: "hashed", salt, output };
  }

  /** For parts.js. */
  health() {
    return this.#sql("SELECT 1").length;
  }

  /** Makes the table. */
  async #open() {
    this.#sql(`CREATE TABLE IF NOT EXISTS lanes (user TEXT NOT NULL, lane TEXT NOT NULL, failures INTEGER NOT NULL, last INTEGER NOT NULL,
      waits_until INTEGER NOT NULL, PRIMARY KEY (user, lane)) WITHOUT ROWID`);
    this.#sql("CREATE INDEX IF NOT EXISTS lanes_by_age ON lanes (last)");
    this.#isArmed = (await this.ctx.storage.getAlarm()) !== null;
  }

  /**
   * Deletes what is over a day old. Sets the next alarm before any work, because the platform retries a failing alarm only a
   * few times.
   * @override
   */
  async alarm() {
    try {
      await this.ctx.storage.setAlarm(Date.now() + SWEEP_EVERY);
      this.#isArmed = true;
      this.#sql("DELETE FROM lanes WHERE last <= ?", this.#now() - DAY);
      if (this.#sql("SELECT 1 FROM lanes LIMIT 1").length > 0) return;
      this.#isArmed = false;
      await this.ctx.storage.deleteAlarm();
    } catch (error) {
      const name = error instanceof Error ? error.name : typeof error;
      console.error(JSON.stringify({ event: "fault", reason: `old failures of sign-ins could not be deleted: ${name}` }));
    }
  }

  /**
   * The milliseconds that this lane must wait, otherwise 0.
   * @param {string} user
   * @param {string} lane
   * @param {boolean} trusted
   */
  #delay(user, lane, trusted) {
    const now = this.#now();
    const [known] = this.#lane(user, lane);
    if (known !== undefined) return known.waits_until - now;
    if (trusted) return 0;
    const [{ failures }] = this.#sql("SELECT COALESCE(SUM(failures), 0) AS failures FROM lanes WHERE user = ? AND last > ?", user, now - HOUR);
    if (Number(failures) < MANY_FAILURES) return 0;
    this.#write(user, lane, { failures: 0, waits_until: now + NEW_LANE_DELAY });
    return NEW_LANE_DELAY;
  }

  /**
   * Counts a failure, and delays the next attempt.
   * @param {string} user
   * @param {string} lane
   */
  #count(user, lane) {
    const failures = (this.#lane(user, lane)[0]?.failures ?? 0) + 1;
    const delay = failures < FREE_FAILURES ? 0 : Math.min(SECOND * 2 ** (failures - FREE_FAILURES), LONGEST_DELAY);
    this.#write(user, lane, { failures, waits_until: this.#now() + delay });
  }

  /**
   * What is known of a lane, unless it is too old.
   * @param {string} user
   * @param {string} lane
   */
  #lane(user, lane) {
    const rows = this.#sql("SELECT failures, waits_until FROM lanes WHERE user = ? AND lane = ? AND last > ?", user, lane, this.#now() - DAY);
    return /** @type {Lane[]} */ (/** @type {unknown[]} */ (rows));
  }

  /**
   * Writes a row. The output gate holds every answer until it is durable.
   * @param {string} user
   * @param {string} lane
   * @param {Lane} row
   */
  #write(user, lane, { failures, waits_until: waitsUntil }) {
    const isNew = this.#sql("SELECT 1 FROM lanes WHERE user = ? AND lane = ?", user, lane).length === 0;
    this.#sql("INSERT OR REPLACE INTO lanes (user, lane, failures, last, waits_until) VALUES (?, ?, ?, ?, ?)", user, lane, failures, this.#now(), waitsUntil);
    if (isNew) {
      const oldest = "SELECT lane FROM lanes WHERE user = ? ORDER BY last DESC, lane LIMIT -1 OFFSET ?";
      this.#sql(`DELETE FROM lanes WHERE user = ? AND lane IN (${oldest})`, user, user, MOST_LANES);
    }
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.ctx.waitUntil(this.ctx.storage.setAlarm(Date.now() + SWEEP_EVERY));
  }

  #now() {
    return /** @type {typeof Attempts} */ (this.constructor).now();
  }

  /**
   * @param {string} query
   * @param {...string | number} values
   */
  #sql(query, ...values) {
    return this.ctx.storage.sql.exec(query, ...values).toArray();
  }
}

/**
 * The bytes that are hashed. Keyboards and systems spell the same character differently, so passwords are normalised
 * (NFC, RFC 8265 §4.2). Django does not do that: what it hashed is compared as it was typed.
 * @param {string} password
 * @param {Kdf} kdf
 */
function bytesOf(password, kdf) {
  // Normalising makes nothing of this length short enough.
  const isHopeless = password.length > 4 * LONGEST_PASSWORD;
  return new TextEncoder().encode(isHopeless || kdf.name !== "argon2id" ? password : password.normalize("NFC"));
}
