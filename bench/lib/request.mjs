// The request that all Workers get, and what the origin must receive of it.

import { mintedToken } from "./mint.mjs";
import { CREDENTIAL, fill, headOf, NUMBER, positionOf } from "./plan.mjs";

/** @import { Expected, Header, Job, Kind, Person, Plan, Received, RecordedRequest, User, Variety } from "./types.js" */
/** @typedef {{ page?: Header, trace?: Header, cookie?: string }} Fresh */

export const HOST = "bench.example.test";
export const COOKIE = "__Host-edgeward";
export const ASSERTION = "x-edgeward-assertion";
/** Of `undecided`, with the people below; checked against Edgeward's own. */
export const ASSERTION_LENGTH = 583;
/** @type {Person} */
export const PERSON = { email: "ada@example.com", username: "ada", roles: ["editor", "reviewer"] };
export const CLIENT_ADDRESS = "203.0.113.7";
/** What an answer must say that is for one person. */
export const PRIVATE = { "cache-control": "private", vary: "Cookie, Authorization" };

/**
 * The person with this number; the first is Ada. All have names of one length, so that what is sent does not depend on who calls.
 * @param {number} index
 * @returns {Person}
 */
export function personOf(index) {
  if (index === 0) return PERSON;
  const first = parseInt("a00", 36);
  const name = (first + index - 1 + (first + index - 1 >= parseInt(PERSON.username, 36) ? 1 : 0)).toString(36);
  return { ...PERSON, email: `${name}@example.com`, username: name };
}

/**
 * What Cloudflare adds to a request on its way to a Worker.
 * @type {Header[]}
 */
const ADDED = [
  ["CF-Connecting-IP", CLIENT_ADDRESS],
  ["CF-IPCountry", "DE"],
  ["CF-Ray", `8f0c2b7d${NUMBER}-FRA`],
  ["CF-Visitor", '{"scheme":"https"}'],
  ["X-Forwarded-Proto", "https"],
  ["X-Real-IP", CLIENT_ADDRESS],
];

/**
 * What a browser's own request carries, besides its cookies.
 * @type {Header[]}
 */
const BROWSER = [
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"],
  ["Accept", "application/json, text/plain, */*"],
  ["Accept-Language", "en-GB,en;q=0.9"],
  ["Accept-Encoding", "gzip, deflate, br, zstd"],
  // As the requests come: over http.
  ["Referer", `http://${HOST}/projects/7/data`],
  ["Sec-Fetch-Site", "same-origin"],
  ["Sec-Fetch-Mode", "cors"],
  ["Sec-Fetch-Dest", "empty"],
];

/**
 * Headers of the application, its page and whoever traces it, which decide nothing; `new…` has a value that no request before had.
 * @type {Header}
 */
const PAGE = ["X-Page", "projects"];
/** @type {Header} */
const TRACE = ["Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"];
const OWN_COOKIE = "csrftoken=x9Y8z7w6V5u4";
/** @satisfies {Record<string, Fresh>} */
export const NEW = {
  page: { page: ["X-Page", NUMBER] },
  trace: { trace: ["Traceparent", `00-4bf92f3577b34da6a3ce929d${NUMBER}-00f067aa0ba902b7-01`] },
  cookie: { cookie: `csrftoken=x9Y8${NUMBER}` },
};

/** The names of what may be new in each request. */
export const VARIETIES = /** @type {Variety[]} */ (Object.keys(NEW));

/**
 * A `fetch` of a page that is signed in. `fresh`: what is new in each request, of `VARIETIES`; `bare`: no header but Host and
 * Cookie; `more` headers; `cookies` before the session and `last` after it; `accept`: other values of headers of a browser.
 * @param {object} [request]
 * @param {string} [request.method]
 * @param {string} [request.path]
 * @param {Variety} [request.fresh]
 * @param {boolean} [request.bare]
 * @param {Header[]} [request.more]
 * @param {string[]} [request.cookies]
 * @param {string[]} [request.last]
 * @param {Record<string, string>} [request.accept]
 * @param {string | null} [request.credential]
 * @returns {Kind}
 */
export function browserRequest({
  method = "GET",
  path = `/api/projects/7/tasks?page=${NUMBER}&fields=id,title`,
  fresh,
  bare = false,
  more = [],
  cookies = ["theme=dark"],
  last,
  accept,
  credential = `${COOKIE}=${CREDENTIAL}`,
} = {}) {
  /** @type {Fresh} */
  const { page = PAGE, trace = TRACE, cookie = OWN_COOKIE } = fresh === undefined ? {} : NEW[fresh];
  /** @type {Header[]} */
  const browser = accept === undefined ? BROWSER : BROWSER.map(([name, value]) => [name, name in accept ? accept[name] : value]);
  const headers = bare ? (fresh ? [page, trace].filter((header) => header[1].includes(NUMBER)) : []) : [...browser, ...ADDED, page, trace];
  return { method, path, headers: [["Host", HOST], ...headers, ...more], cookies: [cookies, last ?? [cookie]], credential, status: 200 };
}

/**
 * A request of a recording (sections/page.mjs).
 * @param {Omit<RecordedRequest, "answerHeaders"> & { answered: Record<string, string> }} request
 * @returns {Kind}
 */
export function recordedRequest({ method, path, headers, cookies, body, status, length, answered }) {
  const own = headers.filter(([name]) => !ADDED.some(([added]) => added.toLowerCase() === name.toLowerCase()));
  return {
    method,
    path,
    headers: [["Host", HOST], ...own, ...ADDED],
    cookies: [cookies, []],
    credential: `${COOKIE}=${CREDENTIAL}`,
    body,
    status,
    length,
    answered,
  };
}

/**
 * The plan for the load: `kinds` as `browserRequest` and its kin make them. `answer`: the text that the origin answers. With `once` no credential is sent twice; `mint` says how the load makes them.
 * @param {Job} job
 * @param {string[]} callers
 * @param {string} answer
 * @returns {Plan}
 */
export function planOf({ kinds, order = "turns", once = false, mint }, callers, answer) {
  return {
    order,
    once,
    mint,
    callers,
    kinds: kinds.map((kind) => {
      const { status, length, body = 0 } = kind;
      return {
        head: headOf({ ...kind, headers: sent(kind) }),
        sends: body,
        status,
        ...(length === undefined ? (status === 200 ? { answer } : {}) : { length }),
      };
    }),
  };
}

/**
 * All headers of a request, cookies among them.
 * @param {Kind} kind
 * @returns {Header[]}
 */
function sent({ headers, cookies: [before, after], credential }) {
  const cookies = [...before, ...(credential ? [credential] : []), ...after];
  return cookies.length > 0 ? [...headers, ["Cookie", cookies.join("; ")]] : headers;
}

// A client could have made these up, so whoever tells the origin of the way a request came writes over them or takes them out.
const NOT_A_CLIENTS = ["x-forwarded-proto", "x-real-ip"];
/** In which Edgeward gives the origin its own name instead of the public one. */
export const NAMING = ["origin", "referer"];
const ON_HOST = new RegExp(`^http://${HOST.replaceAll(".", "\\.")}(?=/|$)`);
// They are of the message, and the bytes are counted.
const OF_THE_MESSAGE = ["content-length", "transfer-encoding"];

/**
 * The headers that the origin must receive of `kind`: all that were sent when `user` is null, and otherwise those without
 * the credential, and with who is calling and how the request came.
 * @param {Kind} kind
 * @param {number} n
 * @param {{ user: User | null, credential: string, upstreamHost: string, more?: Header[], translates?: boolean }} sender
 */
export function expectedHeaders(kind, n, { user, credential, upstreamHost, more = [], translates = false }) {
  /** @type {Map<string, string>} */
  const expected = new Map();
  /** @param {Header} header */
  const add = ([name, value]) => expected.set(name.toLowerCase(), fill(value, n, credential));
  if (user === null) {
    for (const header of sent(kind)) add(header);
  } else {
    for (const header of kind.headers) if (!NOT_A_CLIENTS.includes(header[0].toLowerCase())) add(header);
    const cookies = kind.cookies.flat();
    if (cookies.length > 0) add(["cookie", cookies.join("; ")]);
    expected.delete("authorization");
    const address = kind.headers.find(([name]) => name.toLowerCase() === "cf-connecting-ip")?.[1];
    for (const header of identity(user)) add(header);
    if (address) add(["x-forwarded-for", address]);
    add(["x-forwarded-host", HOST]);
    add(["x-forwarded-proto", "http"]);
    for (const header of more) add(header);
  }
  expected.set("host", upstreamHost);
  for (const name of translates ? NAMING : []) {
    const value = expected.get(name);
    if (value !== undefined) expected.set(name, value.replace(ON_HOST, `http://${upstreamHost}`));
  }
  return expected;
}

/**
 * What the origin must be told of the person.
 * @param {User} user
 * @returns {Header[]}
 */
export function identity({ id, email, username, roles }) {
  return [
    ["x-forwarded-user", id],
    ["x-forwarded-email", email],
    ["x-forwarded-groups", roles.join(",")],
    ["x-forwarded-preferred-username", username],
  ];
}

/**
 * The number of a request as the origin received it, or null.
 * @param {Pick<Received, "path" | "headers">} received
 */
export function numberOf({ path, headers }) {
  const ray = headers.find(([name]) => name === "cf-ray")?.[1] ?? "";
  const found = /^8f0c2b7d(\d{8})-FRA$/.exec(ray) ?? /[?&]page=(\d{8})/.exec(path);
  return found === null ? null : Number(found[1]);
}

/**
 * What is wrong with the request as the origin received it, or null: no header may be missing, differ or be too many.
 * @param {Expected & { upstreamHost: string }} entrant
 * @param {Received | null} received
 */
export function whatIsWrong({ job, plan, users, upstreamHost, told, translates, free = [] }, received) {
  if (received === null) return "the origin received nothing";
  const n = numberOf(received);
  if (n === null) return `the origin received ${received.method} ${received.path}, which has no number`;
  const { kind: index, caller } = positionOf(plan, n);
  const kind = job.kinds[index];
  const path = fill(kind.path, n, "");
  if (received.method !== kind.method || received.path !== path)
    return `the origin received ${received.method} ${received.path} instead of ${kind.method} ${path}`;
  const user = users === null ? null : users[caller];
  const credential = plan.mint ? mintedToken(plan.mint, n) : plan.callers[caller];
  const expected = expectedHeaders(kind, n, { user, credential, upstreamHost, more: told, translates });
  for (const name of new Set([...expected.keys(), ...received.headers.map(([key]) => key)])) {
    if (free.includes(name) || OF_THE_MESSAGE.includes(name)) continue;
    const values = received.headers.filter(([key]) => key === name).map(([, text]) => text);
    const wanted = expected.has(name) ? [expected.get(name)] : [];
    if (JSON.stringify(values) !== JSON.stringify(wanted)) return `the origin received ${name} ${JSON.stringify(values)} instead of ${JSON.stringify(wanted)}`;
  }
  return null;
}
