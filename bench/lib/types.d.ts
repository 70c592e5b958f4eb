// The types of what the parts of the bench hand to each other. For the type check only.
import type { JWTPayload, JWTVerifyGetKey } from "jose";
import type { startPeople } from "./entrants.mjs";
import type { ORDERS } from "./plan.mjs";
import type { NEW } from "./request.mjs";
import type { startWorker } from "./workerd.mjs";

// people --------------------------------------------------------------------------------------------------------

/** What a person is signed up with. */
export interface Person {
  email: string;
  username: string;
  roles: string[];
}

export interface User extends Person {
  id: string;
}

/** Somebody who is signed in: `session` is the value of the session cookie. */
export interface Caller {
  user: User;
  session: string;
}

/** A binding with a text, as `startWorker` takes it. */
export interface TextBinding {
  text: string;
}

export type Binding = TextBinding | { json: object } | { kv: number } | { object: string } | { limit: true };

/** Secrets by the names of their bindings. */
export type Secrets = Record<string, TextBinding>;

/** Where people are signed in: at a build, with what KV then holds (`seed`) and the key set of its assertions. */
export interface World {
  seed: string;
  secrets: Secrets;
  callers: Caller[];
  keys: JWTVerifyGetKey;
}

/** The same people at the peers. */
export interface PeerWorld {
  secret: string;
  callers: Caller[];
}

export type People = ReturnType<typeof startPeople>;

// requests ------------------------------------------------------------------------------------------------------

/** Name and value. */
export type Header = [name: string, value: string];

/** What may be new in each request. */
export type Variety = keyof typeof NEW;

/** One kind of request of a job, and what must be answered to it. */
export interface Kind {
  method: string;
  /** With the marks of `plan.mjs` in it, as `headers` and `credential`. */
  path: string;
  headers: Header[];
  /** Those before the credential, and those after it. */
  cookies: [before: string[], after: string[]];
  /** The cookie that says who the caller is; null where no cookie does. */
  credential: string | null;
  /** How many bytes are sent after the head. */
  body?: number;
  status: number;
  /** How many bytes are answered; without it the text of the plan is. */
  length?: number;
  /** Headers that the answer must have. */
  answered?: Record<string, string>;
}

export type Order = keyof typeof ORDERS;

/** How tokens are made while the load runs. */
export interface Mint {
  secret: string;
  claims: JWTPayload;
}

/** What one Worker is sent. */
export interface Job {
  kinds: Kind[];
  order?: Order;
  /** No credential is sent twice. */
  once?: boolean;
  mint?: Mint;
  /** Whether the Worker of this name has to refuse it all, so that nothing reaches the origin. */
  refused?: (name: string) => boolean;
}

/** A kind of request as the load sends it. */
export interface PlannedKind {
  /** The head, with the marks of `plan.mjs` in it. */
  head: string;
  /** How many bytes follow it. */
  sends: number;
  status: number;
  /** The text that must be answered. */
  answer?: string;
  /** How many bytes must be answered. */
  length?: number;
}

export interface Plan {
  kinds: PlannedKind[];
  /** Their credentials. */
  callers: string[];
  order: Order;
  once: boolean;
  mint?: Mint;
}

/** A request as the origin received it; names of headers are in lower case. */
export interface Received {
  method: string;
  path: string;
  headers: Header[];
}

/** A request of a recording (recording.mjs). */
export interface RecordedRequest {
  method: string;
  path: string;
  body: number;
  headers: Header[];
  cookies: string[];
  status: number;
  length: number;
  answerHeaders: Header[];
}

// processes beside the Workers -----------------------------------------------------------------------------------

/** A process of `startHelper`: `hello` is what it said when it was ready. */
export interface Helper<Hello, Ask> {
  hello: Hello;
  ask: Ask;
  stop(): Promise<void>;
}

/** How the origin answers one `METHOD path`. */
export interface OriginAnswer {
  status: number;
  headers: Record<string, string>;
  length: number;
}

export type OriginAnswers = [request: string, answer: OriginAnswer][];

/** What the origin received since it was asked last: how many requests and bytes, and the last request. */
export interface OriginReport {
  requests: number;
  bytes: number;
  received: Received | null;
}

export type OriginHelper = Helper<{ port: number; body: string }, (order?: { answers?: OriginAnswers }) => Promise<OriginReport>>;

/** How much load a Worker gets: by time or by the number of requests. */
export type Amount = { seconds: number; count?: undefined } | { count: number; seconds?: undefined };

/** One run of a plan that the load keeps. */
export interface LoadRun {
  /** The name under which the plan was kept. */
  plan: string;
  port: number;
  connections: number;
  seconds?: number;
  count?: number;
  latencies?: boolean;
}

export interface LoadReport {
  /** How many answers were as the plan wants them. */
  requests: number;
  /** The first answer that was not. */
  wrong: string | null;
  /** The number and the head of the last answer. */
  last: { n: number; head: string } | null;
  /** How many bytes of bodies were sent. */
  sent: number;
  /** How long each answer took, if that was asked for. */
  milliseconds: number[];
  seconds: number;
}

export type LoadOrder = { keep: Plan & { name: string } } | { forget: string } | LoadRun;

export interface AskLoad {
  (order: LoadRun): Promise<LoadReport>;
  (order: { keep: Plan & { name: string } } | { forget: string }): Promise<object>;
}

export type LoadHelper = Helper<{ ready: true }, AskLoad>;

/** What KV holds under a key. */
export type Entry = [key: string, stored: { body: string; metadata: string | null }];

/** What KV can be told, see `obey` in kv.mjs. A namespace is named by its port. */
export type KvOrder =
  | { seed: string; entries: Entry[] }
  | { grow: string; from: string; users: number }
  | { begin: string; delay?: number }
  | { dump: number }
  | { reads: number }
  | { end: number };

export interface AskKv {
  (order: { begin: string; delay?: number }): Promise<{ port: number }>;
  (order: { dump: number }): Promise<{ entries: Entry[] }>;
  (order: { reads: number }): Promise<{ reads: number }>;
  (order: KvOrder): Promise<object>;
}

export type KvHelper = Helper<{ ready: true }, AskKv>;

/** The processes by the files that `startHelper` starts. */
export interface Helpers {
  "./origin.mjs": OriginHelper;
  "./load.mjs": LoadHelper;
  "./kv.mjs": KvHelper;
}

// Workers -------------------------------------------------------------------------------------------------------

/** A module of a Worker, and the file that holds it. */
export interface Module {
  name: string;
  file: string;
}

/** Which of two builds. */
export type Build = "build" | "before";

/** Settings of a site, over those of `siteTo`; `undefined` leaves one out. */
export type SiteSettings = Record<string, unknown>;

/** What all that starts Workers needs. */
export interface Tools {
  build: string;
  before?: string;
  workers: string;
  folder: string;
  /** Requests have no header but Host and Cookie. */
  bare: boolean;
  origin: OriginHelper;
  load: LoadHelper;
  kv: KvHelper;
  /** The core of the commands, built when it is needed first. */
  core: () => Promise<import("../../scripts/lib/core.mjs").Core>;
  progress: (line: string) => void;
}

/** What is started, and for whom; see `startEntrants`. */
export interface Scenario {
  job: (entrant: { name: string; fresh: Variety | undefined; bare: boolean }) => Job;
  callers?: number;
  admitted?: number;
  alone?: boolean;
  site?: SiteSettings;
  vars?: Record<string, Binding>;
  /** Milliseconds that KV takes. */
  delay?: number;
  /** How many more users KV holds. */
  stored?: number;
  files?: Record<string, string>;
  peer?: Record<string, string>;
  modules?: Module[];
  credentialsFor?: (people: Caller[]) => string[];
  usersFor?: (people: Caller[]) => User[];
  /** How long the assertion has to be: null if it may be as long as it is. */
  assertionLength?: number | null;
}

/** A scenario that is measured in rounds, see `measure`. */
export interface MeasuredScenario extends Scenario {
  names: string[];
  label?: string;
  answers?: OriginAnswers;
  warmUp?: Amount;
}

/** A row of a section whose rows are scenarios. */
export interface Row extends MeasuredScenario {
  label: string;
}

/** A Worker that runs; `reads` tells how often it read KV. */
export type RunningWorker = Awaited<ReturnType<typeof startWorker>> & { reads?: () => Promise<number> };

/** What the origin must receive of the requests of one Worker. */
export interface Expected {
  job: Pick<Job, "kinds">;
  plan: Pick<Plan, "order" | "callers" | "mint"> & { kinds: unknown[] };
  /** Who the callers are; null where nobody is told. */
  users: User[] | null;
  /** Headers besides, by name and value. */
  told: Header[];
  /** Whether the origin gets its own name in `Origin` and `Referer`, instead of the public one. */
  translates?: boolean;
  /** Names of headers that may be as they are. */
  free?: string[];
}

/** One Worker of a scenario. */
export interface Entrant extends Expected {
  name: string;
  worker: RunningWorker;
  job: Job;
  plan: Plan;
  /** Of its assertions; null where it signs none. */
  keys: JWTVerifyGetKey | null;
}

/** What is wrong with what the origin received of an entrant, or null. */
export type Check = (entrant: Entrant, received: Received | null) => string | null | Promise<string | null>;

// sections ------------------------------------------------------------------------------------------------------

/** What `npm run bench` was asked to do. */
export interface Options {
  sections: Section[];
  only?: string[];
  rows?: string[];
  counts: number[];
  users: number;
  rounds?: number;
  seconds?: number;
  bare: boolean;
  build: string;
  before?: string;
  workers: string;
  recording?: string;
  json?: string;
}

/** What a section is run with. */
export interface Run {
  options: Options;
  people: People;
  tools: Tools;
}

/** A table as text, and what is written as JSON. */
export interface Report {
  text: string;
  [member: string]: unknown;
}

/** What is measured under one name, and how long it takes. */
export interface Section {
  name: string;
  about: string;
  minutes: number;
  rounds?: number;
  seconds?: number;
  run(run: Run): Promise<Report>;
}

/** A section that works in rounds. */
export interface RoundSection extends Section {
  rounds: number;
}

/** A section that works by time: seconds of load for each Worker in a round. */
export interface TimedSection extends RoundSection {
  seconds: number;
  warmUp: number;
}

/** What one Worker needed in one round, for each request. */
export interface Sample {
  microseconds: number;
  rate: number;
  reads: number;
}

/** Samples by the names of the Workers. */
export type Samples = Map<string, Sample[]>;

/** One Worker in a table of ratios. */
export interface Ratio {
  name: string;
  ratio: number;
  min: number;
  max: number;
  microseconds: number;
  rate: number;
}
