// The Worker, sending itself random pairs of requests that a test asks for (`x-test-pairs`): one, another that differs from
// it, and the first again. Each is compared with what the origin must get, worked out here by the letter from what the
// request is made of, and from nothing that was sent before. A test that sent them all by HTTP would take an hour.
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { Drawn, PairOrder, Paired, Pick, TestEnv } from "./types.js" */

export { Audit, Once, Outbox, Record };

const network = globalThis.fetch;
/** @type {{ url: string, headers: { [name: string]: string } } | undefined} */
let sent;
/** What the origin got of the last request. */
const arrived = () => sent;
/** The origin. */
const origin = async (/** @type {RequestInfo | URL} */ url, /** @type {RequestInit} */ { headers } = {}) => {
  sent = { url: String(url), headers: Object.fromEntries(/** @type {Headers} */ (headers)) };
  return new Response("ok");
};

/**
 * A generator of numbers that a seed determines (mulberry32).
 * @param {number} seed
 */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Headers by what becomes of them: kept, taken off everywhere, and taken off where a site sets them. */
const KEPT = ["x-page", "traceparent", "user-agent", "x-only-two", "accept-language", "if-none-match", "x-userx", "referer"];
const REMOVED = [
  "x-real-ip",
  "x-forwarded-user",
  "x_forwarded_user",
  "x.forwarded.email",
  "remote-user",
  "x-edgeward-assertion",
  "script_name",
  "cf_connecting_ip",
  "forwarded",
];
const SPELLED = { "x-team": ["x-team", "x_team", "X.Team"] };

/**
 * A request at random: who sends it, where to, and with which headers.
 * @param {Pick} pick
 * @param {Paired[]} people
 * @returns {Drawn}
 */
function draw(pick, people) {
  const person = pick(people);
  /** @type {[name: string, value: string][]} */
  const headers = [];
  for (let n = pick([0, 1, 2, 3]); n > 0; n -= 1)
    headers.push([pick(KEPT), pick(["a", "b", `v${pick([1, 2, 3])}`, "x".repeat(70), `https://a.test/?q=${"y".repeat(60)}`])]);
  if (pick([0, 1]) === 1) headers.push([pick(REMOVED), pick(["root", people[0].id, people[1].email])]);
  if (pick([0, 0, 1]) === 1) headers.push([pick(SPELLED["x-team"]), "root"]);
  // Somebody's credential strays into a header that is sent on otherwise.
  if (pick([0, 0, 0, 1]) === 1) headers.push([pick(["x-stray", "x-page", "user-agent"]), pick(people.flatMap(({ session }) => session ?? []))]);
  if (pick([0, 1]) === 1) headers.push(["cf-ray", pick(["0123456789abcdef-TST", "fedcba9876543210-TST"])]);
  if (pick([0, 1]) === 1) headers.push(["cf-connecting-ip", pick(["203.0.113.1", "203.0.113.2"])]);
  const own = [`a=${pick([1, 2])}`, `_ga=GA1.${pick([1, 2, 3])}`].slice(0, pick([0, 1, 2]));
  const cookies = [...own];
  if (person.session !== undefined) cookies.splice(pick([0, 1, 2]), 0, `__Host-edgeward=${person.session}`);
  return {
    method: pick(["GET", "GET", "POST", "HEAD"]),
    host: pick([0, 1]),
    path: pick(["/", "/a", "/a/b.js", "/a?x=1", "/admin/x", "/public/x"]),
    person,
    headers,
    own,
    cookies,
  };
}

/**
 * Another that differs in one thing.
 * @param {Drawn} one
 * @param {Pick} pick
 * @param {Paired[]} people
 */
function vary(one, pick, people) {
  const other = draw(pick, people);
  const what = pick(["person", "headers", "host", "path", "method", "own", "all"]);
  if (what === "all") return other;
  const varied = { ...one, [what]: other[/** @type {keyof Drawn} */ (what)] };
  if (what === "person" || what === "own") {
    const { person, own } = varied;
    varied.cookies = person.session === undefined ? own : [...own, `__Host-edgeward=${person.session}`];
  }
  return varied;
}

/**
 * Names that are another spelling of `name`, for a server that folds what is no letter or digit.
 * @param {string} name
 */
const folded = (name) => name.toLowerCase().replace(/[^a-z0-9]/g, "-");

/**
 * What has to become of a request: a status, or what the origin gets.
 * @param {Drawn} drawn
 * @param {PairOrder} order
 */
function expected({ host, path, person, headers, own, cookies }, { hosts, upstream }) {
  const isPublic = path.startsWith("/public");
  const caller = isPublic || person.session === undefined ? undefined : person;
  // A session of one site is nothing at the other.
  if (!isPublic && (caller === undefined || person.bad || person.home !== host)) return { status: 401 };
  if (path.startsWith("/admin") && !caller?.roles.includes("admin")) return { status: 403 };
  /** @type {Map<string, string>} */
  const told = new Map();
  /** @type {Map<string, string>} */
  const joined = new Map();
  for (const [name, value] of headers) joined.set(name.toLowerCase(), joined.has(name.toLowerCase()) ? `${joined.get(name.toLowerCase())}, ${value}` : value);
  for (const [name, value] of joined) {
    if (REMOVED.includes(name) || folded(name) === "x-team" || value.includes("eyJ")) continue;
    told.set(name, value);
  }
  if (own.length > 0) told.set("cookie", own.join("; "));
  const address = joined.get("cf-connecting-ip");
  if (address !== undefined) told.set("x-forwarded-for", address);
  told.set("x-forwarded-host", hosts[host]);
  told.set("x-forwarded-proto", "http");
  if (caller !== undefined) {
    const { id, email, username, roles } = caller;
    for (const [name, value] of [
      ["x-forwarded-user", id],
      ["x-forwarded-email", email],
      ["x-forwarded-preferred-username", username],
      ["x-forwarded-groups", roles.join(",")],
      ["remote-user", email],
      ["remote-email", email],
      ["remote-name", username],
      ["remote-groups", roles.join(",")],
    ]) {
      if (value !== "") told.set(name, value);
    }
    if (host === 1) told.set("x-team", username);
  }
  return { status: 200, url: `${upstream}${path}`, named: !joined.has("cf-ray"), headers: Object.fromEntries([...told].sort()) };
}

/**
 * @param {PairOrder} order
 * @param {Drawn} one
 * @param {TestEnv} env
 */
async function check(order, one, env) {
  sent = undefined;
  const headers = new Headers(one.headers);
  headers.set("accept", "application/json");
  if (one.cookies.length > 0) headers.set("cookie", one.cookies.join("; "));
  const answer = await worker.fetch(new Request(`http://${order.hosts[one.host]}${one.path}`, { method: one.method, headers }), env);
  const wanted = expected(one, order);
  const there = arrived();
  if (wanted.status !== 200) return answer.status === wanted.status && there === undefined ? undefined : { one, wanted, got: there ?? answer.status };
  if (answer.status !== 200 || there === undefined) return { one, wanted, got: answer.status };
  const { accept, "x-request-id": id, "x-edgeward-assertion": assertion, ...rest } = there.headers;
  const got = { status: 200, url: there.url, named: id !== undefined, headers: Object.fromEntries(Object.entries(rest).sort()) };
  const isTheirs = one.path.startsWith("/public")
    ? assertion === undefined
    : JSON.parse(atob(assertion.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub === one.person.id;
  return isTheirs && JSON.stringify(got) === JSON.stringify(wanted) ? undefined : { one, wanted, got, isTheirs };
}

/**
 * @param {PairOrder} order
 * @param {TestEnv} env
 */
async function pairs(order, env) {
  const next = random(order.seed);
  /** @type {Pick} */
  const pick = (list) => list[Math.floor(next() * list.length)];
  const wrong = [];
  let forwarded = 0;
  for (let n = 0; n < order.count && wrong.length < 3; n += 1) {
    const first = draw(pick, order.people);
    for (const one of [first, vary(first, pick, order.people), first]) {
      const problem = await check(order, one, env);
      if (problem !== undefined) wrong.push(problem);
      if (sent !== undefined) forwarded += 1;
    }
  }
  return { wrong, forwarded };
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    if (!request.headers.has("x-test-pairs")) {
      globalThis.fetch = network;
      return worker.fetch(request, env);
    }
    const order = await request.json();
    globalThis.fetch = origin;
    try {
      return Response.json(await pairs(order, env));
    } finally {
      globalThis.fetch = network;
    }
  },
};
