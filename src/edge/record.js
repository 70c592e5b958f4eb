// The single writer of a record. Workers KV has no compare-and-set, may be a minute behind, and takes one write per key and
// second. So every change goes to the Durable Object named by the key, which compares, stores, and then writes to KV until
// KV shows the value. A plain class, so that a panic of the core loses no change; all state is in the object's storage.
import { DurableObject } from "cloudflare:workers";
import { directory } from "./directories.js";
import { Notifications } from "./notifications.js";

/** @import { Change, ChangeOutcome, Env, ListedUser, RecordState, StoredChange } from "./types.js" */

/** The first retry after a failure; each further one waits twice as long, up to a minute. */
const FIRST_RETRY = 1_000;
const LAST_RETRY = 60_000;
/** How long a caller waits for KV; the change is already durable. */
const PATIENCE = 5_000;
/** How many change ids are kept to recognise a change that is sent twice. */
const KNOWN_CHANGES = 64;
/** The longest metadata that KV takes, in bytes of JSON. */
const MOST_METADATA = 1024;

const encoder = new TextEncoder();

/**
 * In storage: `now`, a RecordState; `then`, the changes to send to other writers; `notify:<number>`, see notifications.js;
 * `untold`, what the directory of users is still to be told; and `tries`, the number of alarms since the last progress.
 * @extends DurableObject<Env>
 */
export class Record extends DurableObject {
  /** A write is checked this long after it was made: KV should show it everywhere within a minute. In milliseconds. */
  static SHOWN_AFTER = 65_000;
  /** This long after a write, no location returns the previous value any more. In milliseconds. */
  static FORGOTTEN_AFTER = 180_000;
  /** The longest wait for KV or another object. In milliseconds. */
  static LONGEST = 10_000;

  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();
  /** @type {Promise<void> | undefined} */
  #writing;
  /** @type {Promise<void> | undefined} */
  #following;
  /** @type {Promise<void> | undefined} */
  #notifying;
  /** @type {Promise<void> | undefined} */
  #listing;
  #notifications = new Notifications(this.ctx.storage, this.env, (promise) => this.#limitTime(promise));

  /**
   * The newest value under `key`, or null.
   * @param {string} key
   */
  read(key) {
    return this.#inTurn(async () => {
      const now = await this.#settled();
      return now === undefined ? this.#readKv(key) : now.value;
    });
  }

  /** The value that this writer itself holds, or null. The same work, whether it holds one or not. */
  readKept() {
    return this.#inTurn(async () => (await this.#settled())?.value ?? null);
  }

  /** For parts.js. */
  health() {
    return this.ctx.storage.get("now");
  }

  /**
   * Applies `change` (`Change` in port.rs) unless the key holds another value. Durable before it answers.
   * @param {Change} change
   * @returns {Promise<ChangeOutcome>}
   */
  async change(change) {
    await this.#notifications.seal(change);
    const outcome = await this.#inTurn(() => this.#make(change));
    if (!outcome.done) return outcome;
    const carried = this.#carry();
    // Nobody waits for the directory: nothing depends on it.
    this.ctx.waitUntil(this.#list());
    // The caller is itself a writer, inside its own turn; waiting here could deadlock.
    if (change.isNeeded) this.ctx.waitUntil(carried);
    else await Promise.race([carried, scheduler.wait(PATIENCE)]);
    return outcome;
  }

  /**
   * Keeps the value until it is removed, so that KV is never believed when it shows nothing.
   * @param {string} key
   */
  keep(key) {
    return this.#inTurn(async () => {
      const now = await this.#settled();
      if (now?.keep) return;
      const value = now === undefined ? await this.#readKv(key) : now.value;
      if (value === null) return;
      const known = now ?? { key, value, applied: [], written: true, writtenAt: Date.now(), shown: true };
      await this.ctx.storage.put("now", { ...known, keep: true });
    });
  }

  /**
   * Sets the next alarm before any work, because the platform retries a failing alarm only a few times.
   * @override
   */
  async alarm() {
    const before = /** @type {number | undefined} */ (await this.ctx.storage.get("tries"));
    const tries = (before ?? 0) + 1;
    await this.ctx.storage.put("tries", tries);
    await this.ctx.storage.setAlarm(Date.now() + Math.min(FIRST_RETRY * 2 ** (tries - 1), LAST_RETRY));
    try {
      await this.#inTurn(() => this.#settled());
      await Promise.all([this.#list(), this.#carry()]);
      await this.#inTurn(() => this.#look());
    } catch (error) {
      // KV's message may contain a value.
      console.error(
        JSON.stringify({ event: "fault", reason: `a record could not be written to the store: ${error instanceof Error ? error.name : typeof error}` }),
      );
    }
  }

  /**
   * Runs one piece of work at a time, even while it waits for another object.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  #inTurn(work) {
    const turn = this.#turn.then(work);
    this.#turn = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  /**
   * @param {Change} change
   * @returns {Promise<ChangeOutcome>}
   */
  async #make(change) {
    const {
      key,
      from = null,
      to = null,
      needs,
      then = [],
      notify = [],
      keep = false,
      fresh = false,
      in_lists: inLists = false,
      entry,
      order,
      older_than: olderThan,
      id = crypto.randomUUID(),
    } = change;
    const now = await this.#settled();
    // Sent twice: the caller ended before it got the answer.
    if (now?.applied.includes(id)) return { done: true };
    const held = now !== undefined ? now.value : fresh ? null : await this.#readKv(key);
    if (held !== from || (olderThan !== undefined && now?.order !== undefined && now.order >= olderThan)) return { done: false, value: held };
    const pending = await this.#pending();
    /** @type {RecordState} */
    const next = {
      key,
      value: to,
      order,
      // Not longer than it is needed: it may be the hash of a password that was replaced.
      back: needs && { value: held, order: now?.order },
      needs: needs && { ...needs, isNeeded: true, id: crypto.randomUUID() },
      applied: [...(now?.applied ?? []), id].slice(-KNOWN_CHANGES),
      written: false,
      writtenAt: now?.writtenAt,
      shown: false,
      keep: keep || (now?.keep ?? false),
      inLists,
    };
    const followers = then.map((follower) => ({ ...follower, of: id, id: crypto.randomUUID() }));
    await this.#persist(next, [...pending, ...followers], { ...(await this.#notifications.entry(id, notify)), ...(entry && { untold: entry }) });
    if (needs === undefined) return { done: true };
    const settled = await this.#settled();
    return settled?.applied.includes(id) ? { done: true } : { done: false, value: settled?.value ?? null };
  }

  async #now() {
    return /** @type {RecordState | undefined} */ (await this.ctx.storage.get("now"));
  }

  /** The changes that follow. */
  async #pending() {
    return /** @type {StoredChange[] | undefined} */ (await this.ctx.storage.get("then")) ?? [];
  }

  /** The state, settled: a change that needs another one is completed or undone first. */
  async #settled() {
    const now = await this.#now();
    if (now?.needs === undefined) return now;
    const { done } = await this.#limitTime(this.#writer(now.needs.key).change(now.needs));
    /** @type {RecordState} */
    const certain = { ...now, needs: undefined, back: undefined };
    if (!done) {
      const id = now.applied.at(-1);
      Object.assign(certain, now.back);
      certain.applied = now.applied.slice(0, -1);
      const [then, notifications] = await Promise.all([this.#pending(), this.#notifications.keysOf(id)]);
      // Not awaited: all of it becomes durable together.
      this.ctx.storage.delete(notifications);
      this.ctx.storage.put(
        "then",
        then.filter(({ of }) => of !== id),
      );
    }
    await this.ctx.storage.put("now", certain);
    return certain;
  }

  /**
   * @param {RecordState} now
   * @param {StoredChange[]} then
   * @param {{ [key: string]: unknown }} further
   */
  async #persist(now, then, further) {
    // Not awaited: the output gate holds every answer until both writes are durable.
    this.ctx.storage.put({ now, then, tries: 0, ...further });
    await this.ctx.storage.setAlarm(Date.now() + FIRST_RETRY);
  }

  /** Does what a change leaves to do. Neither KV nor an outbox that does not answer holds up the other. */
  async #carry() {
    this.#notifying ??= this.#notifications.send(async () => (await this.#now())?.needs === undefined).finally(() => (this.#notifying = undefined));
    await Promise.all([this.#notifying, this.#carryRecords()]);
  }

  /** Writes pending values to KV, then sends the changes that follow; concurrent callers share one run. */
  async #carryRecords() {
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    await this.#writing;
    this.#following ??= this.#follow().finally(() => (this.#following = undefined));
    await this.#following;
  }

  /** One write is under way at a time, so that an older value can never arrive after a newer one. */
  async #write() {
    for (;;) {
      const now = await this.#now();
      if (now === undefined || now.needs !== undefined || now.written) return;
      const kv = this.env.EDGEWARD_KV;
      try {
        await this.#limitTime(now.value === null ? kv.delete(now.key) : kv.put(now.key, now.value, shownInLists(now)));
      } catch {
        // The alarm will retry. KV refuses a second write within a second.
        return;
      }
      const latest = await this.#now();
      if (latest === undefined) return;
      const written = latest.value === now.value && latest.needs === undefined;
      await this.ctx.storage.put("now", { ...latest, written, writtenAt: Date.now() });
    }
  }

  async #follow() {
    for (;;) {
      const [now, then] = await Promise.all([this.#now(), this.#pending()]);
      if (then.length === 0 || now?.needs !== undefined) return;
      try {
        await this.#limitTime(this.#writer(then[0].key).change(then[0]));
      } catch {
        return;
      }
      const left = await this.#pending();
      await this.ctx.storage.put(
        "then",
        left.filter(({ id }) => id !== then[0].id),
      );
    }
  }

  /** Tells the directory of users what has changed; concurrent callers share one run. */
  async #list() {
    this.#listing ??= this.#tell().finally(() => (this.#listing = undefined));
    await this.#listing;
  }

  async #tell() {
    const { kv } = this.ctx.storage;
    const untold = () => /** @type {ListedUser | undefined} */ (kv.get("untold"));
    for (let user = untold(); user !== undefined; user = untold()) {
      const namespace = this.env.EDGEWARD_DIRECTORY;
      try {
        if (namespace !== undefined) await this.#limitTime(directory(namespace).call({ call: "put", users: [user] }));
      } catch {
        // The alarm will retry.
        return;
      }
      // Not awaited in between: a newer one must not get lost.
      if (untold()?.version === user.version) kv.delete("untold");
    }
  }

  /** Checks whether KV shows the value. Once it has done so for long enough, forgets it. */
  async #look() {
    const [now, then, isTold] = await Promise.all([this.#now(), this.#pending(), this.#notifications.areSent()]);
    if (now === undefined) return this.ctx.storage.deleteAll();
    if (!now.written || now.needs !== undefined || then.length > 0 || !isTold) return;
    const isListed = this.ctx.storage.kv.get("untold") === undefined;
    const { SHOWN_AFTER, FORGOTTEN_AFTER } = this.#times;
    // `writtenAt` is set whenever `written` is.
    const writtenAt = now.writtenAt ?? 0;
    const age = Date.now() - writtenAt;
    // Checked twice, because a write that timed out may still arrive.
    const isDue = age >= (now.shown ? FORGOTTEN_AFTER : SHOWN_AFTER);
    if (isDue) {
      if ((await this.#limitTime(this.env.EDGEWARD_KV.get(now.key))) !== now.value) {
        await this.ctx.storage.put("now", { ...now, written: false, shown: false });
        return this.ctx.storage.setAlarm(Date.now() + FIRST_RETRY);
      }
      if (now.shown && !isListed) return;
      if (now.shown) return now.keep && now.value !== null ? this.ctx.storage.deleteAlarm() : this.ctx.storage.deleteAll();
      now.shown = true;
      await this.ctx.storage.put("now", now);
    }
    // The next try to tell the directory comes sooner.
    if (!isListed) return;
    await this.ctx.storage.put("tries", 0);
    return this.ctx.storage.setAlarm(writtenAt + (now.shown ? FORGOTTEN_AFTER : SHOWN_AFTER));
  }

  /**
   * What KV holds. KV is believed that a key is missing only if a listing agrees.
   * @param {string} key
   * @returns {Promise<string | null>}
   */
  async #readKv(key) {
    const kv = this.env.EDGEWARD_KV;
    const value = await this.#limitTime(kv.get(key));
    if (value !== null) return value;
    /** @type {string | null} */
    let cursor = null;
    do {
      /** @type {KVNamespaceListResult<unknown>} */
      const page = await this.#limitTime(kv.list({ prefix: key, cursor }));
      if (page.keys.some(({ name }) => name === key)) return this.#readListed(key);
      cursor = page.list_complete ? null : page.cursor;
    } while (cursor !== null);
    return null;
  }

  /** @param {string} key */
  async #readListed(key) {
    const value = await this.#limitTime(this.env.EDGEWARD_KV.get(key));
    if (value === null) throw new Error("KV lists a key and shows no value");
    return value;
  }

  /** The constants of this class, which a subclass may override. */
  get #times() {
    return /** @type {typeof Record} */ (this.constructor);
  }

  /** @param {string} key */
  #writer(key) {
    const namespace = this.env.EDGEWARD_RECORD;
    return namespace.get(namespace.idFromName(key));
  }

  /**
   * The value of `promise`; rejects if it takes too long.
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T>}
   */
  async #limitTime(promise) {
    let timer = 0;
    /** @type {Promise<never>} */
    const late = new Promise((_, reject) => {
      timer = setTimeout(reject, this.#times.LONGEST, new Error("no answer in time"));
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * What lists of KV are to tell of a value: the value itself, so that a page of a list needs no read for each key. A longer one
 * is read.
 * @param {RecordState} now
 */
function shownInLists({ value, inLists }) {
  const fits = inLists && encoder.encode(JSON.stringify(value)).length <= MOST_METADATA;
  return fits ? { metadata: value } : {};
}
