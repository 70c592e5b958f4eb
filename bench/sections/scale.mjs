// What a request costs with more of something: headers, cookies, rules, sites, users, callers.

import { BASE } from "../lib/entrants.mjs";
import { HOST, browserRequest } from "../lib/request.mjs";
import { amountOf, measureMatrix } from "../lib/section.mjs";

/** @import { Binding, Header, Row, Scenario, SiteSettings, TimedSection } from "../lib/types.js" */
/** @typedef {NonNullable<Parameters<typeof browserRequest>[0]>} Request */

const COMPARED = [BASE, "edgeward", "jose", "jose-memo", "js-memo"];
/** What only Edgeward has. */
const OWN = [BASE, "edgeward"];
const MOST_CALLERS = 5000;
/** A variable may have 5 KB. */
const RULES_IN_A_VARIABLE = 40;

/**
 * @template T
 * @param {number} length
 * @param {(index: number) => T} make
 */
const count = (length, make) => Array.from({ length }, (_, index) => make(index));
/**
 * @param {number} index
 * @returns {Header}
 */
const header = (index) => [`X-App-${String(index).padStart(2, "0")}`, `value-${index}-of-the-application`];
/** Those of a browser's request, with Host and Cookie. */
const USUAL = browserRequest().headers.length + 1;

/**
 * A page's own calls, its pictures and its scripts.
 * @type {Request[]}
 */
const KINDS = [
  {},
  {
    path: "/static/logo.png?page=#NUMBER#",
    accept: { Accept: "image/avif,image/webp,image/*,*/*;q=0.8", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" },
  },
  { path: "/static/main.js?page=#NUMBER#", accept: { Accept: "*/*", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script" } },
];

/**
 * @param {Request} [request]
 * @returns {Scenario}
 */
const one = (request) => ({ job: () => ({ kinds: [browserRequest(request)] }) });

/** @type {Row[]} */
const ROWS = [
  { label: "2 headers", names: COMPARED, ...one({ bare: true }) },
  { label: "20 headers", names: COMPARED, ...one({ more: count(20 - USUAL, header) }) },
  { label: "60 headers", names: COMPARED, ...one({ more: count(60 - USUAL, header) }) },
  { label: "1 cookie", names: COMPARED, ...one({ cookies: [], last: [] }) },
  { label: "30 cookies", names: COMPARED, ...one({ cookies: count(28, (index) => `preference_${index}=value-${index}`) }) },
  { label: "10 rules", names: OWN, ...rules(10), ...one() },
  { label: "500 rules", names: OWN, ...rules(500), ...one() },
  { label: "1 site", names: OWN, ...one() },
  { label: "200 sites", names: OWN, vars: sites(199), ...one() },
  { label: "1 user in KV", names: OWN, ...one() },
  { label: "100,000 users in KV", names: OWN, stored: 99_999, ...one() },
  ...[100, 500, 1000, MOST_CALLERS].map((callers) => ({
    label: `${callers.toLocaleString("en")} callers in turn, three kinds of requests each`,
    names: COMPARED,
    callers,
    admitted: MOST_CALLERS,
    // Each one has been here before.
    warmUp: { count: Math.max(callers * 2, 2000) },
    job: () => ({ kinds: KINDS.map(browserRequest), order: /** @type {const} */ ("turns") }),
  })),
];

/** @type {TimedSection} */
const section = {
  name: "scale",
  about: "CPU for a request with more headers, cookies, rules, sites, users and callers",
  minutes: 13,
  rounds: 3,
  seconds: 3,
  warmUp: 1,
  run: (run) => measureMatrix(run, { ...amountOf(section, run.options), scenarios: ROWS, first: "with" }),
};
export default section;

/**
 * As many rules, of which the last decides about the request.
 * @param {number} length
 * @returns {{ site: SiteSettings, vars: Record<string, Binding> }}
 */
function rules(length) {
  const all = count(length, (index) =>
    index === length - 1 ? { prefix: "/", require: { authenticated: true } } : { prefix: `/area-${index}`, require: { role: `role-${index}` } },
  );
  const parts = count(Math.ceil(length / RULES_IN_A_VARIABLE), (part) => all.slice(part * RULES_IN_A_VARIABLE, (part + 1) * RULES_IN_A_VARIABLE));
  /** @param {number} part */
  const name = (part) => `EDGEWARD_RULES_BENCH${part === 0 ? "" : `__${part + 1}`}`;
  return { site: { unauthenticated: undefined }, vars: Object.fromEntries(parts.map((part, index) => [name(index), { json: part }])) };
}

/**
 * As many sites beside the one that is asked.
 * @param {number} length
 * @returns {Record<string, Binding>}
 */
export function sites(length) {
  /** @param {number} index */
  const site = (index) => ({
    hosts: [`site-${index}.${HOST}`],
    upstream: "http://127.0.0.1:9",
    sources: ["session"],
    unauthenticated: "deny",
    identity_headers: ["x-forwarded"],
    assertion: {},
  });
  return Object.fromEntries(count(length, (index) => [`EDGEWARD_SITE_N${index}`, { json: site(index) }]));
}
