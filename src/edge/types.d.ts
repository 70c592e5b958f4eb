// The types of what goes through the shell. For the type check only: nothing of it is in the Worker.
import type { Once } from "./entry.js";
import type { Record } from "./record.js";

/** What head.js reads of a request: method and URL, then name and value of each header. */
export type Head = string[];

/** What is known of a head, see `look`. */
export interface Look {
  head: Head;
  lines: string[];
  free: number[];
  ray: number;
  common: string;
}

/** The bindings that the shell uses by name. The others are configuration, which the core reads. */
export interface Env {
  EDGEWARD_KV: KVNamespace;
  EDGEWARD_ONCE: DurableObjectNamespace<Once>;
  EDGEWARD_RECORD: DurableObjectNamespace<Record>;
}

/** A request for the origin, and how it is sent: what `forward` hands to whoever may answer in the origin's place. */
export type Through = (url: string, ask: () => Promise<Response>, way: Way) => Promise<Response>;

/** Headers that the origin always gets, by name and value in turn, and the CDN's options. */
export interface Way {
  standing: string[];
  cf: RequestInitCfProperties | undefined;
}

/** How the answer to a request goes back to the client. */
export interface Return {
  /** Whether the origin was told who is asking. */
  identified: boolean;
  /** The host to connect to, if it is not the URL's; else empty. */
  override: string;
  /** Changes of the answer's headers. */
  changes: string[] | undefined;
}

/** A request that was forwarded, see `remember` in repeat.js. */
export interface Shape {
  id: number;
  from: number;
  base: string;
  head: Head;
  isFree: boolean[];
  sent: number[];
  ray: number;
  headers: Headers;
  way: Return;
  length: number;
  changed: number[] | undefined;
}

/** A file of the cache, or one that was just put there. */
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
  /** By which a change that is sent twice is recognised. */
  id?: string;
  /** Sent by another writer, inside its own turn. */
  isNeeded?: boolean;
  /** The change that this one follows. */
  of?: string;
}

/** A change that is stored has an id. */
export type StoredChange = Change & { id: string };

/** Whether a change was made; if not, what the key holds instead. */
export interface ChangeOutcome {
  done: boolean;
  value?: string | null;
}

/** What a writer stores of its record. */
export interface RecordState {
  key: string;
  /** null: there is no record. */
  value: string | null;
  order?: number;
  /** What it returns to when the change that it needs is not made. */
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
