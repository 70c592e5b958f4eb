// A credential that the isolate has not seen: each request has another one.

import { BASE } from "../lib/entrants.mjs";
import { bearerRequest, claimsOf, newIssuer } from "../lib/issuer.mjs";
import { wantedRows } from "../lib/options.mjs";
import { browserRequest } from "../lib/request.mjs";
import { measureMatrix } from "../lib/section.mjs";

/** @import { Caller, People, RoundSection, Row, Run, Scenario, User } from "../lib/types.js" */
/** @typedef {Pick<Run, "people" | "tools">} Place */
/** @typedef {{ label: string, make: (place: Place) => Scenario | Promise<Scenario> }} Sight */

const ALGORITHMS = ["HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"];
const NAMES = [BASE, "passthrough-kv", "edgeward", "edgeward-assertion", "jose"];
const [WARM_UP, MEASURED] = [500, 1500]; // requests for each Worker in a round
const TOKENS = WARM_UP + MEASURED;

/** @type {Sight[]} */
const ROWS = [
  ...ALGORITHMS.map((algorithm) => ({ label: `${algorithm}, tokens of one user`, make: (/** @type {Place} */ place) => tokensOfOne(algorithm, place) })),
  { label: "ES256, each of another user", make: (place) => tokensOfAll("ES256", place) },
  { label: "own session (HS256), of one user", make: () => sessions(true) },
  { label: "own session (HS256), each of another user", make: () => sessions(false) },
];

/** @type {RoundSection} */
const section = {
  name: "first-sight",
  about: "CPU for a credential that the isolate has not seen, of six algorithms, beside jose",
  minutes: 5,
  rounds: 3,
  async run(run) {
    /** @type {Row[]} */
    const scenarios = [];
    for (const row of wantedRows(ROWS, run.options)) scenarios.push({ label: row.label, names: NAMES, ...(await row.make(run)) });
    const amount = { rounds: run.options.rounds ?? section.rounds, amount: { count: MEASURED }, warmUp: { count: WARM_UP } };
    return measureMatrix(run, { ...amount, scenarios, first: "credential", base: "jose" });
  },
};
export default section;

/**
 * Many tokens of one person: Edgeward knows the user by then.
 * @param {string} algorithm
 * @param {Place} place
 */
async function tokensOfOne(algorithm, { people, tools }) {
  tools.progress(`signs ${TOKENS} tokens by ${algorithm}`);
  /**
   * @param {Caller[]} callers
   * @returns {User[]}
   */
  const owners = (callers) => new Array(TOKENS).fill(callers[0].user);
  return bearer(algorithm, await firstOf(people, 1), owners);
}

/**
 * A token of another person each time.
 * @param {string} algorithm
 * @param {Place} place
 */
async function tokensOfAll(algorithm, { people, tools }) {
  tools.progress(`signs ${TOKENS} tokens by ${algorithm}, each of another user`);
  return bearer(algorithm, await firstOf(people, TOKENS), (callers) => callers.map(({ user }) => user));
}

/**
 * The people as Edgeward knows them; as many are at the peers.
 * @param {People} people
 * @param {number} count
 */
async function firstOf(people, count) {
  return (await people.worldOf("build", count)).callers;
}

/**
 * @param {string} algorithm
 * @param {Caller[]} callers
 * @param {(callers: Caller[]) => User[]} ownersOf
 * @returns {Promise<Scenario>}
 */
async function bearer(algorithm, callers, ownersOf) {
  const { site, vars, peer, sign } = await newIssuer(algorithm);
  const tokens = await Promise.all(ownersOf(callers).map((user, index) => sign({ ...claimsOf(user), jti: `t${String(index).padStart(6, "0")}` })));
  return {
    callers: callers.length,
    site,
    vars,
    peer,
    files: { jose: "jose-bearer" },
    job: () => ({ kinds: [bearerRequest()], once: true }),
    credentialsFor: () => tokens,
    usersFor: ownersOf,
    assertionLength: null,
  };
}

/**
 * Edgeward's own sessions; `jose` gets its own cookies.
 * @param {boolean} alone
 * @returns {Scenario}
 */
function sessions(alone) {
  return { callers: TOKENS, alone, site: { assertion: undefined }, job: () => ({ kinds: [browserRequest()], once: true }) };
}
