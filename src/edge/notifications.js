// What a writer of records has still to tell the outboxes: stored with the change that it follows, and gone only when the
// outbox has taken it. Each change has a key of its own, so that a service whose outbox is full for days cannot fill a value.

import { sealCredentials, sealEvent } from "./credentials.js";

/** @import { Change, Env, Notification, Notifying } from "./types.js" */

/** A number of as many digits follows, so that the order of the keys is that of the changes. */
const PREFIX = "notify:";
const DIGITS = 15;

export class Notifications {
  #storage;
  #env;
  #limitTime;

  /**
   * @param {DurableObjectStorage} storage
   * @param {Env} env
   * @param {<T>(promise: Promise<T>) => Promise<T>} limitTime
   */
  constructor(storage, env, limitTime) {
    this.#storage = storage;
    this.#env = env;
    this.#limitTime = limitTime;
  }

  /**
   * What to store with the change `of`, by its key: nothing if nobody is told of it.
   * @param {string} of
   * @param {Notification[]} notify
   * @returns {Promise<{ [key: string]: Notifying }>}
   */
  async entry(of, notify) {
    if (notify.length === 0) return {};
    const [last] = (await this.#storage.list({ prefix: PREFIX, reverse: true, limit: 1 })).keys();
    const number = last === undefined ? 0 : Number(last.slice(PREFIX.length)) + 1;
    return { [`${PREFIX}${String(number).padStart(DIGITS, "0")}`]: { of, notify } };
  }

  /**
   * The keys of what follows the change `id`.
   * @param {string | undefined} id
   */
  async keysOf(id) {
    return [...(await this.#all())].filter(([, { of }]) => of === id).map(([key]) => key);
  }

  async areSent() {
    return (await this.#storage.list({ prefix: PREFIX, limit: 1 })).size === 0;
  }

  /** @returns {Promise<Map<string, Notifying>>} */
  #all() {
    return this.#storage.list({ prefix: PREFIX });
  }

  /**
   * Tells the outboxes, each in the order of the changes, until all is told. One that fails is told nothing more, and holds up
   * no other. Stops while `isCertain` is false: the last change may yet be undone.
   * @param {() => Promise<boolean>} isCertain
   */
  async send(isCertain) {
    /** @type {Set<string>} */
    const failed = new Set();
    for (;;) {
      const all = await this.#all();
      if (!(await isCertain())) return;
      /** @type {Map<string, string>} the key of what each service is to be told first */
      const first = new Map();
      for (const [key, { notify }] of all) {
        for (const { service } of notify) if (!failed.has(service) && !first.has(service)) first.set(service, key);
      }
      if (first.size === 0) return;
      const turns = [...first].map(async ([service, key]) => {
        const calls = all.get(key)?.notify.filter((notification) => notification.service === service) ?? [];
        if (!(await this.#tell(calls))) return failed.add(service);
        return this.#forget(key, service);
      });
      await Promise.all(turns);
    }
  }

  /**
   * Whether the outbox has taken them.
   * @param {Notification[]} notifications
   */
  async #tell(notifications) {
    const namespace = this.#env.EDGEWARD_OUTBOX;
    try {
      for (const { service, call } of notifications) await this.#limitTime(namespace.get(namespace.idFromName(service)).call(call));
      return true;
    } catch {
      return false;
    }
  }

  /**
   * @param {string} key
   * @param {string} service
   */
  async #forget(key, service) {
    // Another service may have been told meanwhile, so what is left is read again.
    await this.#storage.transaction(async (stored) => {
      const told = /** @type {Notifying | undefined} */ (await stored.get(key));
      const left = told?.notify.filter((other) => other.service !== service) ?? [];
      if (told === undefined || left.length === 0) await stored.delete(key);
      else await stored.put(key, { ...told, notify: left });
    });
  }

  /**
   * Encrypts the credentials in a change for their outboxes, those in events too: they are stored in no other form.
   * @param {Change} change
   */
  async seal({ needs, then = [], notify = [] }) {
    for (const other of needs === undefined ? then : [needs, ...then]) await this.seal(other);
    for (const notification of notify) {
      const { service, call } = notification;
      const outbox = this.#env.EDGEWARD_OUTBOX.idFromName(service).toString();
      if (call.call === "credentials" && !("sealed" in call)) {
        notification.call = { call: "credentials", sealed: await sealCredentials(this.#env, outbox, call) };
      } else if (call.call === "push") {
        notification.call = { call: "push", events: await Promise.all(call.events.map((event) => sealEvent(this.#env, outbox, event))) };
      }
    }
  }
}
