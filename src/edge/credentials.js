// What proves to a service that an event is from here, and events that hold a credential themselves: encrypted at rest,
// because a Durable Object's storage is read by whoever gets at a backup of it. The keys are derived from the newest
// EDGEWARD_KEY_SECRET_<n>, for this one outbox, and one for each purpose.

import { LINK } from "./queue.js";

/** @import { Queue } from "./queue.js" */
/** @import { Credential, Credentials, EventRow, NewCredentials, OutboxConfig, QueuedEvent, Sealed, SealedBody } from "./types.js" */

const NONCE = 12;
/** How many tokens, or signing secrets, there may be at once. */
const MOST = 4;
/** What is encrypted with a key of its own, so that nothing opens as something else. */
const [CREDENTIALS, BODY] = ["credentials", "event"];
/** What a signing secret begins with. */
const PREFIX = "whsec_";
const SECRET = /^EDGEWARD_KEY_SECRET_([1-9][0-9]*)$/;

/** The tokens and signing secrets of one service, kept with its queue. */
export class ServiceCredentials {
  #queue;
  #env;
  #outbox;
  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();
  /**
   * In the clear, with what they were decrypted from.
   * @type {{ sealed: string, credentials: Credentials | undefined } | undefined}
   */
  #opened;

  /**
   * @param {Queue} queue
   * @param {object} env
   * @param {string} outbox the id of the Durable Object
   */
  constructor(queue, env, outbox) {
    this.#queue = queue;
    this.#env = env;
    this.#outbox = outbox;
  }

  /**
   * Adds new ones, which end the older ones of their kind. Resolves to false if the signing secret is none.
   * @param {NewCredentials | { sealed: Sealed }} call the credentials, or what a writer of records has encrypted of them
   * @param {number} now
   */
  async add(call, now) {
    const added = "sealed" in call ? await open(this.#env, this.#outbox, CREDENTIALS, call.sealed) : call;
    const { token, secret, until } = /** @type {NewCredentials} */ (added ?? {});
    if (typeof secret === "string" && !isSecret(secret)) return false;
    await this.#inTurn(async () => {
      const { tokens, secrets } = (await this.#open()) ?? { tokens: [], secrets: [] };
      const next = { tokens: withNewest(tokens, token, until, now), secrets: withNewest(secrets, secret, until, now) };
      this.#queue.set("credentials", await sealCredentials(this.#env, this.#outbox, next));
      if (typeof token === "string") this.#queue.set("token", 0);
    });
    return true;
  }

  /** Encrypts them again if there is a newer secret to do it with. */
  async reseal() {
    if (this.#sealed === undefined || this.#sealed.secret === newest(this.#env)) return;
    await this.#inTurn(async () => {
      const credentials = await this.#open();
      if (credentials !== undefined) this.#queue.set("credentials", await sealCredentials(this.#env, this.#outbox, credentials));
    });
  }

  /**
   * Those that are valid; undefined if there are none that can be read.
   * @param {number} now
   * @returns {Promise<Credentials | undefined>}
   */
  async validAt(now) {
    const credentials = await this.#open();
    const isValid = (/** @type {Credential} */ credential) => isValidAt(credential, now);
    return credentials && { tokens: credentials.tokens.filter(isValid), secrets: credentials.secrets.filter(isValid) };
  }

  /**
   * The body of an event in the clear, or why it is not sent. `isOver`: it never will be.
   * @param {EventRow} row
   * @param {OutboxConfig} config
   * @param {number} now
   * @returns {Promise<{ body: string } | { refused: string, isOver: boolean }>}
   */
  async bodyOf(row, { dialect }, now) {
    if (row.kind !== LINK) return { body: row.body };
    const { sealed, until } = /** @type {Partial<SealedBody>} */ (JSON.parse(row.body));
    if (sealed === undefined || until === undefined || now >= until) return { refused: "the link has expired", isOver: true };
    if (dialect !== "webhook") return { refused: "the service's dialect has no such event", isOver: false };
    const body = await open(this.#env, this.#outbox, BODY, sealed);
    if (body === undefined) return { refused: "it is encrypted with a key secret that is not configured", isOver: false };
    return { body: JSON.stringify(body) };
  }

  /** @returns {Promise<Credentials | undefined>} */
  async #open() {
    const sealed = this.#sealed;
    if (sealed === undefined) return undefined;
    if (this.#opened?.sealed === sealed.sealed) return this.#opened.credentials;
    const credentials = /** @type {Credentials | undefined} */ (await open(this.#env, this.#outbox, CREDENTIALS, sealed));
    this.#opened = { sealed: sealed.sealed, credentials };
    return credentials;
  }

  get #sealed() {
    return /** @type {Sealed | undefined} */ (this.#queue.setting("credentials"));
  }

  /**
   * One change of the credentials at a time.
   * @param {() => Promise<void>} work
   */
  #inTurn(work) {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

/**
 * The credentials of one kind, with a new one that ends the others.
 * @param {Credential[]} known
 * @param {string | null | undefined} text
 * @param {number} until
 * @param {number} now
 * @returns {Credential[]}
 */
function withNewest(known, text, until, now) {
  if (typeof text !== "string") return known;
  const others = known.filter((other) => other.text !== text).map((other) => ({ ...other, until: Math.min(other.until ?? until, until) }));
  return [{ text }, ...others.filter((other) => isValidAt(other, now))].slice(0, MOST);
}

/**
 * @param {Credential} credential
 * @param {number} now
 */
function isValidAt({ until }, now) {
  return until === undefined || now < until;
}

/**
 * Whether `text` is a signing secret: `whsec_` and the base64 of 24 to 64 bytes.
 * @param {string} text
 */
function isSecret(text) {
  try {
    const { length } = bytesOf(text);
    return text.startsWith(PREFIX) && length >= 24 && length <= 64;
  } catch {
    return false;
  }
}

/**
 * The bytes of a signing secret.
 * @param {string} text
 */
export function bytesOf(text) {
  return Uint8Array.fromBase64(text.slice(PREFIX.length));
}

/**
 * The number of the newest key secret.
 * @param {object} env
 */
function newest(env) {
  const numbers = Object.keys(env).flatMap((name) => SECRET.exec(name)?.[1] ?? []);
  if (numbers.length === 0) throw new Error("no EDGEWARD_KEY_SECRET is set");
  return Math.max(...numbers.map(Number));
}

/**
 * @param {object} env
 * @param {number} number
 * @param {string} outbox the id of the Durable Object: what is copied to another one does not decrypt there
 * @param {string} purpose
 */
async function keyOf(env, number, outbox, purpose) {
  const secret = /** @type {{ [name: string]: unknown }} */ (env)[`EDGEWARD_KEY_SECRET_${number}`];
  if (typeof secret !== "string") return undefined;
  const bytes = new TextEncoder();
  const from = await crypto.subtle.importKey("raw", bytes.encode(secret), "HKDF", false, ["deriveKey"]);
  const by = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: bytes.encode(`edgeward outbox ${purpose} ${outbox}`) };
  return crypto.subtle.deriveKey(by, from, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/**
 * Encrypts credentials for one outbox.
 * @param {object} env
 * @param {string} outbox
 * @param {object} credentials
 */
export function sealCredentials(env, outbox, credentials) {
  return seal(env, outbox, CREDENTIALS, credentials);
}

/**
 * An event as one outbox stores it: a body that holds a credential only encrypted.
 * @param {object} env
 * @param {string} outbox
 * @param {QueuedEvent} event
 * @returns {Promise<QueuedEvent>}
 */
export async function sealEvent(env, outbox, event) {
  const { until, body } = event;
  if (until === undefined || "sealed" in body) return event;
  return { ...event, body: { sealed: await seal(env, outbox, BODY, body), until } };
}

/**
 * @param {object} env
 * @param {string} outbox
 * @param {string} purpose
 * @param {object} value
 * @returns {Promise<Sealed>}
 */
async function seal(env, outbox, purpose, value) {
  const secret = newest(env);
  const key = await keyOf(env, secret, outbox, purpose);
  if (key === undefined) throw new Error("the newest EDGEWARD_KEY_SECRET is no text");
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
  const plain = new TextEncoder().encode(JSON.stringify(value));
  const cipher = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, plain));
  return { secret, sealed: new Uint8Array([...nonce, ...cipher]).toBase64() };
}

/**
 * What was sealed; undefined if the secret is no longer configured, or if it was sealed for another outbox.
 * @param {object} env
 * @param {string} outbox
 * @param {string} purpose
 * @param {Sealed} sealed
 * @returns {Promise<unknown>}
 */
async function open(env, outbox, purpose, { secret, sealed }) {
  const key = await keyOf(env, secret, outbox, purpose);
  if (key === undefined) return undefined;
  const bytes = Uint8Array.fromBase64(sealed);
  try {
    const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: bytes.subarray(0, NONCE) }, key, bytes.subarray(NONCE));
    return JSON.parse(new TextDecoder().decode(plain));
  } catch {
    return undefined;
  }
}
