// What it costs to turn somebody down, beside forwarding the same request unjudged, and beside `jose`.

import { BASE, isEdgeward } from "../lib/entrants.mjs";
import { NUMBER } from "../lib/plan.mjs";
import { browserRequest } from "../lib/request.mjs";
import { amountOf, measureMatrix } from "../lib/section.mjs";

/** @import { Kind, Row, TimedSection } from "../lib/types.js" */
/** @typedef {{ label: string, status: number, type?: string, request: Parameters<typeof browserRequest>[0], isForged?: boolean }} Refusal */

const LOGIN = "https://www.example.com/login";
const NAVIGATION = { Accept: "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
const NAMES = [BASE, "edgeward", "jose"];

const RULES = [
  { prefix: "/admin", require: { role: "admin" } },
  { prefix: "/hidden", require: { role: "admin" }, unauthorised: "not_found" },
  { prefix: "/account", require: { authenticated: true }, unauthenticated: "login" },
  { prefix: "/", require: { authenticated: true } },
];

/**
 * `request` is sent; `status` comes, and from Edgeward content of the type `type`. Without `credential` there is the caller's session.
 * @type {Refusal[]}
 */
const ROWS = [
  { label: "401 JSON, nobody signed in", status: 401, type: "application/json", request: { credential: null } },
  { label: "401 page, nobody signed in", status: 401, type: "text/html; charset=utf-8", request: { credential: null, accept: NAVIGATION } },
  { label: "401 JSON, a session with a wrong signature", status: 401, type: "application/json", request: {}, isForged: true },
  { label: "303 to the sign-in page", status: 303, request: { credential: null, accept: NAVIGATION, path: `/account?page=${NUMBER}` } },
  { label: "403 JSON, a role is missing", status: 403, type: "application/json", request: { path: `/admin?page=${NUMBER}` } },
  { label: "403 page, a role is missing", status: 403, type: "text/html; charset=utf-8", request: { path: `/admin?page=${NUMBER}`, accept: NAVIGATION } },
  {
    label: "403 JSON, a page of another site posts",
    status: 403,
    type: "application/json",
    request: { method: "POST", accept: { "Sec-Fetch-Site": "cross-site" }, more: [["Origin", "https://evil.example"]] },
  },
  { label: "404 JSON, a rule hides the path", status: 404, type: "application/json", request: { path: `/hidden?page=${NUMBER}` } },
  { label: "400 JSON, an ambiguous path", status: 400, type: "application/json", request: { path: `/a%00b?page=${NUMBER}` } },
];

/** @type {TimedSection} */
const section = {
  name: "refusals",
  about: "CPU for each kind of refusal",
  minutes: 7,
  rounds: 3,
  seconds: 3,
  warmUp: 1,
  run: (run) => measureMatrix(run, { ...amountOf(section, run.options), scenarios: ROWS.map(scenarioOf), first: "refusal" }),
};
export default section;

/**
 * @param {Refusal} refusal
 * @returns {Row}
 */
function scenarioOf({ label, status, type, request, isForged = false }) {
  return {
    label,
    names: NAMES,
    site: { unauthenticated: undefined, login_url: LOGIN, rules: RULES },
    files: { jose: "jose-refuse" },
    peer: { LOGIN },
    ...(isForged ? { credentialsFor: (callers) => callers.map(({ session }) => forged(session)) } : {}),
    job: ({ name }) => {
      const kind = browserRequest(request);
      if (name === BASE) return { kinds: [kind], refused: () => false };
      /** @type {Kind} */
      const refusal = { ...kind, status, answered: type && isEdgeward(name) ? { "content-type": type } : {} };
      return { kinds: [refusal], refused: () => true };
    },
  };
}

/**
 * The token with another signature of the same length.
 * @param {string} token
 */
function forged(token) {
  const [header, payload, signature] = token.split(".");
  return [header, payload, signature.split("").reverse().join("").replace(/^./, "A").replace(/.$/, "A")].join(".");
}
