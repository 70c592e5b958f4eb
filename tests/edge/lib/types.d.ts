// The types of the Workers around the core. For the type check only.
import type { Env, Kdf, PasswordAttempt } from "../../../src/edge/types.js";

/** What the tests' Workers use by name: what the shell does, and the limits. */
export interface TestEnv extends Env {
  EDGEWARD_LIMIT: RateLimit;
  EDGEWARD_FAILURE_LIMIT: RateLimit;
  EDGEWARD_SIGN_IN_LIMIT?: RateLimit;
}

/** A namespace of Durable Objects of any class, as far as a Worker around it needs one. */
export interface Namespace {
  get(id: DurableObjectId): object;
}

/** Which call of a port is slowed, as `POST /__test/slow` says it. */
export interface SlowPlan {
  name?: string;
  nth?: number;
  ms?: number;
  mode?: "before" | "after" | "lost";
  every?: number;
  empty?: string;
  without?: string;
  refused?: number;
  lost?: number;
}

/** What a test sets in queued.js. */
export interface QueueSettings {
  /** How far the clock of outboxes is ahead, in milliseconds. */
  ahead?: number;
  /** How often it still fails while an alarm works. */
  faults?: number;
  /** Whether outboxes refuse every call. */
  deaf?: boolean;
  /** Whether no answer of a receiver comes back to its outbox. */
  stuck?: boolean;
  /** Whether there was one. */
  begun?: boolean;
}

/** Somebody of paired.js; without a session nobody is signed in. */
export interface Paired {
  session?: string;
  id: string;
  email: string;
  username: string;
  roles: string[];
  /** The place of their site in `hosts`. */
  home: number;
  bad?: boolean;
}

/** One request of paired.js. */
export interface Drawn {
  method: string;
  /** The place of its host in `hosts`. */
  host: number;
  path: string;
  person: Paired;
  headers: [name: string, value: string][];
  /** Cookies of the application. */
  own: string[];
  cookies: string[];
}

/** What a test asks of paired.js. */
export interface PairOrder {
  seed: number;
  count: number;
  hosts: string[];
  people: Paired[];
  upstream: string;
}

export type Pick = <T>(list: T[]) => T;

/** What a test asks of weighed.js. */
export interface WeighOrder {
  shape: string;
  bad?: boolean;
  from: number;
  count: number;
  times: number;
  host: string;
  secrets: { issuer: string; session: string; token: string };
  /** Whose tokens they are. */
  user?: string;
}

/** How often each function was called, by its name. */
export type Calls = Record<string, number>;

/** What metered.js has counted since a request began. */
export interface Work {
  /** `<family> begins` and `<family> ends`, in the order in which they happened. */
  reads: string[];
  copies: number;
  requests: number;
  signatures: number;
}

/** What a test asks of hashed.js; bytes are in hex. */
export interface PasswordOrder {
  /** From now on `Attempts` sees this moment; null for the real one. */
  now?: number | null;
  attempt?: Omit<PasswordAttempt, "salt" | "output"> & { salt: string; output?: string };
  hash?: { user: string; password: string; kdf: Kdf; current?: { kdf: Kdf; salt: string; output: string } };
  /** The object to look into: a query with its values, or its alarm. */
  shard?: string;
  query?: [string, ...(string | number)[]];
  alarm?: boolean;
  vector?: { kdf: Kdf; inputs: string[] };
  /** So many hashes of `kdf` in the Worker's instance. */
  many?: number;
  kdf?: Kdf;
  /** Counts from now on. */
  forget?: boolean;
}
