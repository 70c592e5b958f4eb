// The types of the shell's data. For the type check only; none of it is in the Worker.
import type { Attempts } from "./attempts.js";
import type { Audit } from "./audit.js";
import type { Directory } from "./directory.js";
import type { Once } from "./entry.js";
import type { Metrics } from "./metrics.js";
import type { Outbox } from "./outbox.js";
import type { Record } from "./record.js";

/** What head.js reads of a request: method and URL, then name and value of each header. */
export type Head = string[];

/** The bindings that the shell uses by name. All others are configuration for the core. */
export interface Env {
  EDGEWARD_KV: KVNamespace;
  EDGEWARD_ONCE: DurableObjectNamespace<Once>;
  EDGEWARD_RECORD: DurableObjectNamespace<Record>;
  EDGEWARD_OUTBOX: DurableObjectNamespace<Outbox>;
  EDGEWARD_AUDIT: DurableObjectNamespace<Audit>;
  /** Only where mail is sent. */
  EDGEWARD_EMAIL?: SendEmail;
  /** The gateway's settings, as a table or as JSON. */
  EDGEWARD_GATEWAY?: unknown;
  /** Only where people sign in with passwords. */
  EDGEWARD_ATTEMPTS?: DurableObjectNamespace<Attempts>;
  /** Only where users are searched. */
  EDGEWARD_DIRECTORY?: DurableObjectNamespace<Directory>;
  /** Only where counters are added up. */
  EDGEWARD_METRICS?: DurableObjectNamespace<Metrics>;
  EDGEWARD_ANALYTICS?: AnalyticsEngineDataset;
}

/** May answer in place of the origin: gets the URL, the function that asks the origin, and how to ask it. */
export type Through = (url: string, ask: () => Promise<Response>, way: Way) => Promise<Response>;

/** How to ask the origin: the headers that it always gets, names and values in turn, and the CDN's options. */
export interface Way {
  set: string[];
  cf: RequestInitCfProperties | undefined;
}

/** Header changes that many requests share (`rendering` in glue.js). */
export interface Rendering {
  /** The origin's base URL. */
  base: string;
  /** The host to connect to if it is not the URL's, otherwise empty. */
  override: string;
  removed: string[];
  /** Names and values in turn. */
  set: string[];
  /** Names in turn: the header to set, and the header whose value it gets. */
  copied: string[];
  /** In turn: a header, how many characters at the beginning of its value are replaced, and by what. */
  rebased: (string | number)[];
  /** Changes to the response's headers. */
  changes: string[] | undefined;
}

/** A file that is in the cache. */
export interface CachedFile {
  headers: Headers;
  body: ReadableStream | ArrayBuffer | null;
}

/** A change of a record, as the core sends it (`Change` in port.rs). */
export interface Change {
  key: string;
  from?: string | null;
  to?: string | null;
  needs?: Change;
  then?: Change[];
  notify?: Notification[];
  keep?: boolean;
  fresh?: boolean;
  in_lists?: boolean;
  entry?: ListedUser;
  order?: number;
  older_than?: number;
  /** Identifies the change, so that it is applied once even if it is sent twice. */
  id?: string;
  /** Whether another writer sends it inside its own turn. */
  isNeeded?: boolean;
  /** The id of the change that this one follows. */
  of?: string;
}

/** Stored changes have an id. */
export type StoredChange = Change & { id: string };

/** Whether a change was applied; if not, the value that the key holds. */
export interface ChangeOutcome {
  done: boolean;
  value?: string | null;
}

/** What a writer stores for its record. */
export interface RecordState {
  key: string;
  /** null: there is no record. */
  value: string | null;
  order?: number;
  /** The state to return to if the change that this one needs is not applied. */
  back?: { value: string | null; order?: number };
  needs?: StoredChange;
  applied: string[];
  written: boolean;
  writtenAt?: number;
  shown: boolean;
  keep?: boolean;
  /** Whether lists of KV show the value. */
  inLists?: boolean;
}

/** A user in the directory (`Listed` in port.rs). */
export interface ListedUser {
  id: string;
  /** Empty without a tenant. */
  tenant: string;
  version: number;
  /** What a search finds the user by; null: the user is gone. */
  text: string | null;
  /** The record was made just now, maybe with the id of somebody who was deleted. */
  made?: boolean;
}

/** A call of the directory of users, as the core sends it (`DirectoryCall` in port.rs). */
export type DirectoryCall =
  | { call: "search"; tenant: string; text: string; after: string | null; limit: number }
  | { call: "put"; users: ListedUser[]; round?: number; gone?: string[] }
  | { call: "begin" }
  | { call: "stale"; round: number; limit: number }
  | { call: "finish" };

/** What `Once` stores. */
export interface Lease {
  value: string;
  expires: number;
}

/** A call of a service's outbox that follows a change. */
export interface Notification {
  service: string;
  call: OutboxCall;
}

/** What a writer stores of the notifications of one change, until every one was taken. */
export interface Notifying {
  /** The id of the change. */
  of: string;
  notify: Notification[];
}

/** A token, or a signing secret, and when it ends to be valid, in milliseconds since 1970. */
export interface Credential {
  text: string;
  until?: number;
}

/** Newest first. */
export interface Credentials {
  tokens: Credential[];
  secrets: Credential[];
}

/** New credentials of a service. Older ones of the same kind are valid until `until`, in milliseconds since 1970. */
export interface NewCredentials {
  token?: string | null;
  secret?: string | null;
  until: number;
}

/** What was encrypted with the EDGEWARD_KEY_SECRET of this number: nonce and ciphertext, in base64. */
export interface Sealed {
  secret: number;
  sealed: string;
}

/** Where the events of a service go, and how they look. */
export interface OutboxConfig {
  /** The whole URL. */
  url: string;
  enabled: boolean;
  dialect: "push" | "flat" | "fields" | "webhook";
}

/** An event, as the core makes it (`QueuedEvent` in port.rs). */
export interface QueuedEvent {
  id: string;
  /** The user's hash. */
  user: string;
  kind: string;
  body: object | SealedBody;
  /** When the credential in the body ends, in milliseconds since 1970: the body is stored only encrypted. */
  until?: number;
}

/** What is stored of a body that holds a credential. */
export interface SealedBody {
  sealed: Sealed;
  /** Milliseconds since 1970. */
  until: number;
}

/** A mail, as the core makes it (`Letter` in platform/mail.rs). */
export interface Letter {
  from: string;
  sender: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}

/** A call of an outbox, as the core sends it (`OutboxCall` in port.rs), or as record.js has sealed it. */
export type OutboxCall =
  | ({ call: "configure"; version: number } & OutboxConfig)
  | ({ call: "credentials" } & (NewCredentials | { sealed: Sealed }))
  | { call: "push"; events: QueuedEvent[] }
  | { call: "deliver"; event: QueuedEvent; patience: number }
  | { call: "list"; dead: boolean; cursor?: string | null; limit: number }
  | { call: "status" }
  | { call: "resend"; id?: string | null }
  | { call: "discard"; waiting?: boolean; id?: string | null }
  | { call: "remove" };

/** A row of an outbox. */
export interface EventRow {
  seq: number;
  id: string;
  user: string;
  kind: string;
  body: string;
  created_at: number;
  attempts: number;
  /** null: it is dead, or it waits for an earlier row of its user. */
  due: number | null;
  state: "waiting" | "dead";
  last_status: number | null;
  last_error: string | null;
}

/** What an attempt to deliver an event has come to. */
export interface Posted {
  ok: boolean;
  /** null: there was no answer. */
  status: number | null;
  /** The beginning of the answer, or what went wrong. */
  error: string;
  /** The wait that the receiver asks for, in milliseconds. */
  retryAfter?: number;
  /** The place of the token that was sent last. */
  token?: number;
}

/** How a password is hashed (`Kdf` in platform/passwords.rs). */
export type Kdf =
  | { name: "argon2id"; memory_kib: number; passes: number; lanes: number }
  | { name: "pbkdf2_sha256"; iterations: number }
  | { name: "bcrypt_sha256"; cost: number }
  | { name: "scrypt"; log_n: number; r: number; p: number };

/** An attempt to sign in (`Attempt` in platform/passwords.rs). */
export interface PasswordAttempt {
  user: string;
  lane: string;
  trusted: boolean;
  password: string;
  kdf: Kdf;
  salt: Uint8Array;
  /** Missing if the user is unknown or has no password. */
  output?: Uint8Array;
}

/** A new password (`NewHead` in edge/passwords.rs). */
export interface NewPassword {
  user: string;
  password: string;
  kdf: Kdf;
  /** How the current password is hashed; null if there is none. */
  current: Kdf | null;
}

/** The hash of a password. */
export interface StoredHash {
  kdf: Kdf;
  salt: Uint8Array;
  output: Uint8Array;
}

export interface AttemptOutcome {
  outcome: "right" | "wrong" | "wait" | "busy";
  seconds?: number;
}

export type HashOutcome =
  | { outcome: "hashed"; salt: Uint8Array; output: Uint8Array; seconds?: undefined }
  | { outcome: "too_short" | "too_long" | "common" | "unchanged" | "busy"; seconds?: number };

/** What is stored of a user and lane, besides the moment of the last attempt. */
export interface Lane {
  failures: number;
  /** Milliseconds since 1970. */
  waits_until: number;
}

/** What waits for its turn to be hashed. */
export interface Place {
  work: number;
  /** When it last looked whether it is its turn. */
  seenAt: number;
}

/** The exports of kdf.wasm and kdf-import.wasm; each has its own functions (kdf/src/). */
export interface HashInstance {
  memory: WebAssembly.Memory;
  kdf_buffer(): number;
  kdf_capacity(): number;
  kdf_argon2id(password: number, salt: number, secret: number, data: number, length: number, memoryKib: number, passes: number, lanes: number): number;
  kdf_pbkdf2_sha256(password: number, salt: number, length: number, iterations: number): number;
  kdf_bcrypt_sha256(password: number, salt: number, length: number, cost: number): number;
  kdf_scrypt(password: number, salt: number, length: number, logN: number, r: number, p: number): number;
}

/** What a row of the audit log says, before it has its number and time (`Row` in model/audit.rs). */
export interface AuditEntry {
  actor?: string;
  action?: string;
  user?: string;
  [name: string]: unknown;
}

/** A call of an audit log, as the core sends it (`AuditCall` in port.rs). */
export type AuditCall =
  | { call: "append"; rows: AuditEntry[]; ends: number; person?: string | null; deadline?: number }
  | {
      call: "list";
      newest: boolean;
      position?: number | null;
      limit: number;
      user?: string | null;
      actor?: string | null;
      action?: string | null;
      from: number;
      until: number;
    }
  | { call: "verify"; seq: number; hash: string };

/** A row of an audit log. */
export interface AuditRow {
  seq: number;
  line: string;
  hash: string;
}
