// The events of one service that are still to be delivered. A plain class, so that a panic of the core loses none; all state
// is in the object's storage. An event is stored before the call that brought it is answered, and deleted only after the
// receiver has taken it, so each arrives at least once; those of one user arrive in order.
import { DurableObject } from "cloudflare:workers";
import { ServiceCredentials, sealEvent } from "./credentials.js";
import { post } from "./post.js";
import { Queue } from "./queue.js";

/** @import { Env, EventRow, OutboxCall, OutboxConfig, Posted, QueuedEvent } from "./types.js" */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** How far a wait is from what it should be, at most, so that many events do not come back in one moment. */
const JITTER = 0.25;
/** The longest time that a caller waits for a delivery. */
const LONGEST_PATIENCE = 25 * SECOND;
const LONGEST_PAGE = 100;

/** A call that would fail however often it is repeated. */
class Malformed extends Error {}

/** @extends DurableObject<Env> */
export class Outbox extends DurableObject {
  /** The wait after the first failed attempt, after the second, and so on: about a day in all. In milliseconds. */
  static WAITS = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR];
  /** The longest attempt. In milliseconds. */
  static ATTEMPT = 10 * SECOND;
  /** How long an alarm begins new attempts, so that it ends within a minute. In milliseconds. */
  static WORKS = 50 * SECOND;
  /** The alarm that stands while another one works, in case that this one dies; twice as late after each that failed. */
  static AGAIN = 5 * SECOND;
  /** As many connections as one invocation may have. */
  static AT_ONCE = 6;
  static MOST_ROWS = 100_000;
  static LONGEST_BODY = 64 * 1024;
  /** How many ids of delivered events are kept, to recognise one that is pushed again. */
  static KNOWN = 10_000;

  /** Milliseconds since 1970. */
  static clock() {
    return Date.now();
  }

  #queue;
  /**
   * The attempts that are under way, by user.
   * @type {Map<string, { seq: number, done: Promise<void> }>}
   */
  #sending = new Map();
  /** Whether the alarm is at work. */
  #isWorking = false;
  /** Alarms that have failed one after the other. */
  #failures = 0;
  #woken = /** @type {PromiseWithResolvers<void>} */ (Promise.withResolvers());
  #credentials;

  /**
   * @param {DurableObjectState} ctx
   * @param {Env} env
   */
  constructor(ctx, env) {
    super(ctx, env);
    const { MOST_ROWS, KNOWN } = this.#own;
    this.#queue = new Queue(ctx.storage, { rows: MOST_ROWS, known: KNOWN });
    this.#credentials = new ServiceCredentials(this.#queue, env, ctx.id.toString());
    ctx.blockConcurrencyWhile(() => this.#arm().catch(report));
  }

  /**
   * Does what the core asks (`OutboxCall` in port.rs). Rejects if it may succeed later.
   * @param {OutboxCall} call
   * @returns {Promise<object>}
   */
  async call(call) {
    if (this.#queue.setting("removed") === true) return afterRemoval(call);
    await this.#credentials.reseal();
    try {
      return await this.#do(call);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      // Nobody may try this again and again, and hold up what comes after it.
      console.error(JSON.stringify({ event: "fault", reason: `a call of an outbox is malformed: ${error.message}` }));
      return { error: error.message };
    } finally {
      // A call that fails may have stored a part of what it brought.
      await this.#arm();
    }
  }

  /** For parts.js. */
  health() {
    return this.#queue.counts();
  }

  /**
   * Sets the next alarm before any work, and never throws: the platform gives an alarm up that fails for two minutes.
   * @override
   */
  async alarm() {
    const { AGAIN, WORKS } = this.#own;
    this.#isWorking = true;
    try {
      await this.ctx.storage.setAlarm(Date.now() + Math.min(AGAIN * 2 ** this.#failures, MINUTE));
      await this.#work(Date.now() + WORKS);
      this.#isWorking = false;
      await this.#arm();
      this.#failures = 0;
    } catch (error) {
      this.#isWorking = false;
      this.#failures += 1;
      report(error);
    }
  }

  /** @param {OutboxCall} call */
  async #do(call) {
    const now = this.#own.clock();
    switch (call.call) {
      case "configure":
        return this.#configure(call);
      case "credentials":
        if (!(await this.#credentials.add(call, now))) throw new Malformed("a signing secret is malformed");
        return {};
      case "push":
        return this.#push(call.events);
      case "deliver":
        return this.#deliver(call.event, call.patience);
      case "list":
        return this.#queue.list(call.dead, Number(call.cursor ?? 0) || 0, Math.min(Math.max(call.limit, 1), LONGEST_PAGE));
      case "status":
        return {
          ...this.#queue.counts(),
          last_success_at: this.#queue.setting("last_success_at") ?? null,
          disabled_by_receiver: this.#isRefused,
          blocked: await this.#blocked(),
        };
      case "resend":
        this.#queue.set("refused", false);
        return { count: this.#queue.resend(call.id ?? undefined, now) };
      case "discard":
        return { count: this.#queue.discard(call.waiting ? "waiting" : "dead", call.id ?? undefined, now) };
      case "remove":
        this.ctx.storage.transactionSync(() => {
          this.#queue.clear();
          this.#queue.set("removed", true);
        });
        return {};
      default:
        throw new Malformed("its name is unknown");
    }
  }

  /** @param {OutboxConfig & { version: number }} call */
  #configure({ version, url, enabled, dialect }) {
    const before = this.#config;
    if (before !== undefined && before.version >= version) return {};
    this.#queue.set("config", { version, url, enabled, dialect });
    this.#queue.set("refused", false);
    return {};
  }

  /** @param {QueuedEvent[]} events */
  async #push(events) {
    const { LONGEST_BODY } = this.#own;
    const fitting = events.filter(({ body }) => sizeOf(body) <= LONGEST_BODY);
    for (const event of fitting) await this.#add(event);
    if (fitting.length < events.length) throw new Malformed("an event is too long");
    return { queued: events.length };
  }

  /**
   * @param {QueuedEvent} event
   * @returns {Promise<number>} the number of its row
   */
  async #add(event) {
    const stored = await sealEvent(this.env, this.ctx.id.toString(), event);
    const seq = this.#queue.add(stored, this.#own.clock(), this.#sending.get(event.user)?.seq);
    this.#woken.resolve();
    return seq;
  }

  /**
   * Stores an event, and tries to deliver it while the caller waits.
   * @param {QueuedEvent} event
   * @param {number} patience
   */
  async #deliver(event, patience) {
    if (sizeOf(event.body) > this.#own.LONGEST_BODY) throw new Malformed("an event is too long");
    const seq = await this.#add(event);
    // Before the attempt: should it die with it, nobody else would wake the object.
    await this.#arm();
    const blocked = await this.#blocked();
    if (blocked !== null) return { delivered: false, refused: blocked };
    const late = scheduler.wait(Math.min(patience, LONGEST_PATIENCE)).then(() => ({ delivered: false }));
    return Promise.race([this.#sendUntil(seq, event.user), late]);
  }

  /**
   * Sends what waits of a user, in order, up to this row. An attempt before its time does not count as one: whoever signs in
   * again and again must not use up those of an event.
   * @param {number} seq
   * @param {string} user
   * @returns {Promise<{ delivered: boolean, refused?: string }>}
   */
  async #sendUntil(seq, user) {
    for (;;) {
      const busy = this.#sending.get(user);
      if (busy !== undefined) {
        await busy.done;
        // Another attempt at an earlier row has ended, whatever it came to: now it is this caller's turn.
        if (busy.seq !== seq) continue;
      }
      const first = busy === undefined ? this.#queue.first(user) : this.#queue.row(seq);
      if (first === undefined || first.seq > seq) break;
      if (busy === undefined) await this.#send(first).done;
      const failed = this.#queue.row(first.seq);
      if (failed !== undefined) return { delivered: false, refused: failed.last_error ?? "" };
    }
    if (this.#queue.isDelivered(seq)) return { delivered: true };
    return { delivered: false, refused: this.#queue.row(seq)?.last_error ?? "it was discarded" };
  }

  /**
   * Delivers what is due, and what becomes due meanwhile, until nothing is.
   * @param {number} until
   */
  async #work(until) {
    while (Date.now() < until && (await this.#blocked()) === null) {
      this.#woken = /** @type {PromiseWithResolvers<void>} */ (Promise.withResolvers());
      while (this.#sending.size < this.#own.AT_ONCE) {
        const row = this.#queue.next(this.#own.clock(), this.#sending);
        if (row === undefined) break;
        this.#send(row);
      }
      if (this.#sending.size === 0) return;
      await Promise.race([...[...this.#sending.values()].map(({ done }) => done), this.#woken.promise]);
    }
    await Promise.all([...this.#sending.values()].map(({ done }) => done));
  }

  /**
   * Begins an attempt. Nothing else of this user is sent before it has ended.
   * @param {EventRow} row
   */
  #send(row) {
    const done = this.#attempt(row).finally(() => this.#sending.delete(row.user));
    const sent = { seq: row.seq, done };
    this.#sending.set(row.user, sent);
    // Whoever waits for it gets the error, too.
    done.catch(() => {});
    return sent;
  }

  /** @param {EventRow} row */
  async #attempt(row) {
    const { clock, ATTEMPT } = this.#own;
    const config = this.#config;
    const credentials = await this.#credentials.validAt(this.#own.clock());
    if (config === undefined || credentials === undefined) return;
    const opened = await this.#credentials.bodyOf(row, config, clock());
    if ("refused" in opened) return this.#bury(row, opened);
    const start = Number(this.#queue.setting("token") ?? 0);
    const limits = { now: clock(), patience: ATTEMPT, insecure: isDevelopment(this.env) };
    const posted = await post(config, { ...row, body: opened.body }, { ...credentials, start }, limits);
    this.ctx.storage.transactionSync(() => this.#note(row, posted));
  }

  /**
   * An event that is not sent becomes a dead letter. Of one that is over nothing stays that could be sent again.
   * @param {EventRow} row
   * @param {{ refused: string, isOver: boolean }} why
   */
  #bury(row, { refused, isOver }) {
    this.ctx.storage.transactionSync(() => {
      this.#queue.fail(row, { status: null, error: refused, attempts: row.attempts, due: null }, this.#own.clock());
      if (isOver) this.#queue.erase(row);
    });
    reportDead(row, null);
  }

  /**
   * What an attempt has come to.
   * @param {EventRow} row
   * @param {Posted} posted
   */
  #note(row, { ok, status, error, retryAfter = 0, token }) {
    const { clock, WAITS } = this.#own;
    const now = clock();
    // The service was removed meanwhile, or the event discarded.
    if (this.#queue.row(row.seq) === undefined) return;
    if (ok) {
      this.#queue.deliver(row, now);
      this.#queue.set("last_success_at", now);
      if (token !== undefined && token !== Number(this.#queue.setting("token") ?? 0)) this.#queue.set("token", token);
      return;
    }
    if (status === 410) {
      this.#queue.set("refused", true);
      return this.#queue.fail(row, { status, error, attempts: row.attempts, due: now }, now);
    }
    // A row that nobody has waited for is not due before its time, and keeps it.
    const due = row.due ?? now;
    if (due > now) return this.#queue.fail(row, { status, error, attempts: row.attempts, due }, now);
    const wait = WAITS[row.attempts];
    const jittered = wait === undefined ? undefined : wait * (1 + JITTER * (2 * Math.random() - 1));
    this.#queue.fail(
      row,
      // No later than the end of the credential in its body.
      {
        status,
        error,
        attempts: row.attempts + 1,
        due: jittered === undefined ? null : Math.min(Math.round(now + Math.max(jittered, retryAfter)), this.#queue.endOf(row)),
      },
      now,
    );
    if (jittered === undefined) reportDead(row, status);
  }

  /** Sets the alarm to when the next row is due. */
  async #arm() {
    const blocked = await this.#blocked();
    // The alarm looks for itself what is due before it ends, and another one stands meanwhile.
    if (this.#isWorking) return;
    // From here to the end nothing can come in between, so the time is right whoever else sets it.
    const due = blocked === null ? this.#queue.due : null;
    if (due === null) return this.ctx.storage.deleteAlarm();
    return this.ctx.storage.setAlarm(Date.now() + Math.max(0, due - this.#own.clock()));
  }

  /** Why nothing can be delivered now, or null. */
  async #blocked() {
    const config = this.#config;
    if (config === undefined) return "the service is not configured";
    if (!config.enabled) return "the service is disabled";
    if (this.#isRefused) return "the receiver has asked to be sent no more events (410)";
    const credentials = await this.#credentials.validAt(this.#own.clock());
    if (credentials === undefined) return "the credentials are missing, or encrypted with a key secret that is not configured";
    const needed = config.dialect === "webhook" ? credentials.secrets : credentials.tokens;
    return needed.length === 0 ? "no credential is valid" : null;
  }

  get #config() {
    return /** @type {(OutboxConfig & { version: number }) | undefined} */ (this.#queue.setting("config"));
  }

  /** Whether the receiver has asked for no more events. */
  get #isRefused() {
    return this.#queue.setting("refused") === true;
  }

  /** The constants of this class, which a subclass may override. */
  get #own() {
    return /** @type {typeof Outbox} */ (this.constructor);
  }
}

/**
 * What is answered for a service that is gone.
 * @param {OutboxCall} call
 */
function afterRemoval({ call }) {
  switch (call) {
    case "push":
      return { queued: 0 };
    case "deliver":
      return { delivered: false, refused: "the service was removed" };
    case "list":
      return { events: [], cursor: null };
    case "status":
      return { waiting: 0, dead: 0, oldest_at: null, last_success_at: null, disabled_by_receiver: false, blocked: "the service was removed" };
    case "resend":
    case "discard":
      return { count: 0 };
    default:
      return {};
  }
}

/**
 * Whether the gateway allows services on `http` and on private hosts now: by the setting of the deployment that sends, not of
 * the one that has configured the service. The core has checked the setting.
 * @param {Env} env
 */
function isDevelopment({ EDGEWARD_GATEWAY: settings }) {
  try {
    const table = typeof settings === "string" ? JSON.parse(settings) : settings;
    return table?.development === true;
  } catch {
    return false;
  }
}

/**
 * In bytes.
 * @param {object} body
 */
function sizeOf(body) {
  return new TextEncoder().encode(JSON.stringify(body)).length;
}

/**
 * @param {EventRow} row
 * @param {number | null} status
 */
function reportDead({ id, kind }, status) {
  console.error(JSON.stringify({ event: "fault", reason: "an event is a dead letter", id, kind, status }));
}

/** @param {unknown} error */
function report(error) {
  // The message may contain an event.
  console.error(JSON.stringify({ event: "fault", reason: `an outbox failed: ${error instanceof Error ? error.name : typeof error}` }));
}
