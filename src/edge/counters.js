// Counts what only JavaScript sees, and passes all counters of this isolate on to the Durable Object that adds them up: at most
// every ten seconds, beside a request that is there anyway. A batch has a number, so that one that is sent again counts once.
import { waitUntil } from "cloudflare:workers";

/** @import { Env } from "./types.js" */

/** Between two batches. In milliseconds. */
const EVERY = 10_000;
/** The first batch of an isolate waits for what comes with its first request. In milliseconds. */
const FIRST = 1_000;
/** The upper bounds of the buckets. In milliseconds. */
const BOUNDS = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, Infinity];
/** How many numbers each site has: its buckets, and the milliseconds. */
const STRIDE = BOUNDS.length + 1;
const DURATION = "edgeward_request_duration_seconds";
/** How long an outbox may take, in milliseconds. */
const PATIENCE = 3_000;
/** The most points of one batch. Analytics Engine takes 250 of an invocation, which may begin two batches: one for a look at the sums. */
const MOST_POINTS = 100;

/** @type {(forwarded: Uint32Array, panics: number) => string | undefined} */
let take;
/** Registers the core's function that takes what was counted since the last call. */
export function countWith(/** @type {typeof take} */ core) {
  take = core;
}

/** From when on a request sends, or makes sure that something will. */
let due = 0;
let sentAt = 0;
let isCounting = false;
/** By the number of the site. */
let forwarded = new Uint32Array(4);
let times = new Float64Array(4 * STRIDE);
let panics = 0;
/** Names this isolate. No random number is to be had before the first request. */
let isolate = "";
let last = 0;
/**
 * What is being sent, until it is known to have arrived.
 * @type {{ number: number, text: string } | undefined}
 */
let batch;
/**
 * What Analytics Engine is still to be told, by series.
 * @type {Map<string, number>}
 */
const untold = new Map();

/**
 * Called with each request.
 * @param {Env} env
 * @param {number} now
 */
export function tick(env, now) {
  if (now >= due) begin(env, now);
}

/**
 * @param {Env} env
 * @param {number} now
 */
function begin(env, now) {
  isCounting = env.EDGEWARD_METRICS !== undefined;
  if (!isCounting) {
    due = Infinity;
    return;
  }
  const delay = Math.max(FIRST, sentAt + EVERY - now);
  // The runtime may end this request with its timer: then a later one takes its place.
  due = now + delay + EVERY;
  waitUntil(sendLater(env, delay));
}

/**
 * @param {Env} env
 * @param {number} delay
 */
async function sendLater(env, delay) {
  await scheduler.wait(delay);
  sentAt = Date.now();
  try {
    await send(env);
  } catch (error) {
    const name = error instanceof Error ? error.name : typeof error;
    console.error(JSON.stringify({ event: "fault", reason: `counters could not be passed on, and will be: ${name}` }));
  }
  due = 0;
}

/**
 * Sends what was counted, or what was sent before and may not have arrived. Whoever else sends the same meanwhile does no
 * harm.
 * @param {Env} env
 */
async function send(env) {
  const mine = (batch ??= nextBatch(env));
  if (mine === undefined) return;
  await sum(env).add(isolate, mine.number, mine.text);
  if (batch === mine) batch = undefined;
}

/** @param {Env} env */
function nextBatch(env) {
  const taken = take(forwarded, panics);
  if (taken === undefined) return undefined;
  const end = taken.indexOf("\n");
  const text = taken.slice(end + 1) + durations(taken.slice(0, end).split(" "));
  forwarded.fill(0);
  times.fill(0);
  panics = 0;
  if (env.EDGEWARD_ANALYTICS !== undefined) tell(env.EDGEWARD_ANALYTICS, text);
  if (text === "") return undefined;
  isolate ||= crypto.randomUUID();
  last += 1;
  return { number: last, text };
}

/** @param {number} bound */
const textOf = (bound) => (bound === Infinity ? "+Inf" : String(bound / 1_000));

/**
 * A line for each bucket in which there is anything, and the milliseconds of each site.
 * @param {string[]} names
 */
function durations(names) {
  let lines = "";
  for (let at = 0; at < times.length; at++) {
    if (times[at] === 0) continue;
    const site = `{site="${names[Math.floor(at / STRIDE)]}"`;
    const bound = BOUNDS[at % STRIDE];
    lines += bound === undefined ? `${DURATION}_sum_ms${site}} ` : `${DURATION}_bucket${site},le="${textOf(bound)}"} `;
    lines += `${times[at]}\n`;
  }
  return lines;
}

/** @param {Env} env */
function sum({ EDGEWARD_METRICS: namespace }) {
  if (namespace === undefined) throw new TypeError("EDGEWARD_METRICS is not bound");
  return namespace.get(namespace.idFromName("metrics"));
}

/**
 * The sums of all isolates, this one's included, as Prometheus reads them: what may not have arrived is sent before what has
 * come since. `build` has the version, and the ids of all services.
 * @param {Env} env
 * @param {string} families
 * @param {string} build
 */
export async function sums(env, families, build) {
  if (batch !== undefined) await send(env);
  await send(env);
  const [version, ...services] = build.split(" ");
  const events = await Promise.all(services.map((service) => eventsOf(env, service)));
  const lines = [...(await sum(env).text()).split("\n"), ...events.flat(), `edgeward_build_info{version="${version}"} 1`];
  const own = (/** @type {string} */ name) => lines.filter((line) => line.startsWith(`${name}{`)).join("\n");
  return families
    .split("\n")
    .map((family) => {
      const [name, type, ...help] = family.split(" ");
      const series = type === "histogram" ? histogram(name, lines) : own(name);
      return `# HELP ${name} ${help.join(" ")}\n# TYPE ${name} ${type}\n${series}${series && "\n"}`;
    })
    .join("");
}

/**
 * The events of a service. A queue that does not answer has none.
 * @param {Env} env
 * @param {string} service
 * @returns {Promise<string[]>}
 */
async function eventsOf({ EDGEWARD_OUTBOX: outboxes }, service) {
  /** @type {Promise<object>} */
  const answered = outboxes.get(outboxes.idFromName(service)).call({ call: "status" });
  const late = scheduler.wait(PATIENCE).then(() => ({}));
  const status = /** @type {Record<string, number>} */ (await Promise.race([answered.catch(() => ({})), late]));
  return ["waiting", "dead"].flatMap((state) => (status[state] === undefined ? [] : `edgeward_events_${state}{service="${service}"} ${status[state]}`));
}

/**
 * The buckets added up.
 * @param {string} name
 * @param {string[]} lines
 */
function histogram(name, lines) {
  /** @type {Map<string, Map<string, number>>} */
  const sites = new Map();
  for (const line of lines) {
    const [, site, bound = "", value] = line.match(/^\w+_(?:bucket|sum_ms)\{(site="\w+")(?:,le="(.+)")?\} (.+)$/) ?? [];
    if (site === undefined || !line.startsWith(name)) continue;
    const numbers = sites.get(site) ?? new Map();
    sites.set(site, numbers.set(bound, Number(value)));
  }
  const found = [];
  for (const [site, numbers] of sites) {
    let count = 0;
    for (const bound of BOUNDS) {
      const le = textOf(bound);
      count += numbers.get(le) ?? 0;
      found.push(`${name}_bucket{${site},le="${le}"} ${count}`);
    }
    found.push(`${name}_sum{${site}} ${(numbers.get("") ?? 0) / 1_000}`, `${name}_count{${site}} ${count}`);
  }
  return found.join("\n");
}

/**
 * Writes a point for each series: its name and the values of its labels, and the difference. What is too much for one
 * batch waits for the next one.
 * @param {AnalyticsEngineDataset} dataset
 * @param {string} text
 */
function tell(dataset, text) {
  for (const { series, value } of readLines(text)) untold.set(series, (untold.get(series) ?? 0) + value);
  let room = MOST_POINTS;
  for (const [series, value] of untold) {
    if (room-- === 0) return;
    untold.delete(series);
    const [name] = series.split("{");
    const labels = Array.from(series.matchAll(/="([^"]*)"/g), ([, label]) => label);
    dataset.writeDataPoint({ indexes: [name], blobs: [name, ...labels], doubles: [value] });
  }
}

/**
 * The series of a text, each with its value.
 * @param {string} text
 */
export function readLines(text) {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const end = line.lastIndexOf(" ");
      return { series: line.slice(0, end), value: Number(line.slice(end)) };
    });
}

/**
 * Counts a request that its origin has answered.
 * @param {number} site
 * @param {number} begun
 */
export function countForwarded(site, begun) {
  if (!isCounting) return;
  countAnswer(site, begun);
  forwarded[site] += 1;
}

/**
 * Notes how long an answer took. Those of our own are counted by the core.
 * @param {number} site
 * @param {number} begun
 */
export function countAnswer(site, begun) {
  if (!isCounting) return;
  if (site >= forwarded.length) grow(site);
  const took = Date.now() - begun;
  let at = site * STRIDE;
  times[at + BOUNDS.length] += took;
  for (let bucket = 0; took > BOUNDS[bucket]; bucket++) at += 1;
  times[at] += 1;
}

/** @param {number} site */
function grow(site) {
  const [before, long] = [forwarded, times];
  forwarded = new Uint32Array(site + 8);
  forwarded.set(before);
  times = new Float64Array(forwarded.length * STRIDE);
  times.set(long);
}

/** Counts a failure of the core. */
export function countPanic() {
  panics += 1;
}
