// The types of the shell's data. For the type check only; none of it is in the Worker.
import type { Attempts } from "./attempts.js";
import type { Once } from "./entry.js";
import type { Record } from "./record.js";

/** What head.js reads of a request: method and URL, then name and value of each header. */
export type Head = string[];

/** The bindings that the shell uses by name. All others are configuration for the core. */
export interface Env {
  EDGEWARD_KV: KVNamespace;
  EDGEWARD_ONCE: DurableObjectNamespace<Once>;
  EDGEWARD_RECORD: DurableObjectNamespace<Record>;
  /** Only where people sign in with passwords. */
  EDGEWARD_ATTEMPTS?: DurableObjectNamespace<Attempts>;
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
  keep?: boolean;
  fresh?: boolean;
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
}

/** What `Once` stores. */
export interface Claim {
  value: string;
  expires: number;
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

export interface AttemptOutcome {
  outcome: "right" | "wrong" | "wait" | "busy";
  seconds?: number;
}

export type HashOutcome =
  | { outcome: "hashed"; salt: Uint8Array; output: Uint8Array; seconds?: undefined }
  | { outcome: "too_short" | "too_long" | "common" | "busy"; seconds?: number };

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
