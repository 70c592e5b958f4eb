// The types of the Workers that are compared. For the type check only: nothing of it is in a Worker.

/** The bindings of each (bench/lib/peers.mjs). */
export interface Env {
  ORIGIN: string;
  SECRET: string;
  COOKIE: string;
  ISSUER: string;
  AUDIENCE: string;
  TYP: string;
  /** The headers that `undecided` sends: names and values as JSON. */
  FIXED: string;
}

/** Of `passthrough-kv`. */
export interface KvEnv extends Env {
  KV: KVNamespace;
}

/** Of `jose-bearer`: the issuer of bearer tokens, and its key. */
export interface BearerEnv extends Env {
  ALGORITHM: string;
  TOKEN_ISSUER: string;
  TOKEN_AUDIENCE: string;
  /** A public key as PEM, or a shared secret. */
  KEY: string;
}

/** Of `jose-refuse`. */
export interface RefuseEnv extends Env {
  LOGIN: string;
}

/** What a verified session says. */
export interface Claims {
  sub: string;
  email: string;
  username: string;
  roles: string[];
  exp: number;
}
