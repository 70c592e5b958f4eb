// A credential that the isolate has not seen: each request has another one.

import { BASE } from "../lib/entrants.mjs";
import { bearerRequest, claimsOf, newIssuer } from "../lib/issuer.mjs";
import { wantedRows } from "../lib/options.mjs";
import { browserRequest } from "../lib/request.mjs";
import { measureMatrix } from "../lib/section.mjs";

const ALGORITHMS = ["HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"];
const NAMES = [BASE, "passthrough-kv", "edgeward", "edgeward-assertion", "jose"];
const [WARM_UP, MEASURED] = [500, 1500]; // requests for each Worker in a round
const TOKENS = WARM_UP + MEASURED;

const ROWS = [
  ...ALGORITHMS.map((algorithm) => ({ label: `${algorithm}, tokens of one user`, algorithm, make: tokensOfOne })),
  { label: "ES256, each of another user", algorithm: "ES256", make: tokensOfAll },
  { label: "own session (HS256), of one user", alone: true, make: sessions },
  { label: "own session (HS256), each of another user", alone: false, make: sessions },
];

const section = {
  name: "first-sight",
  about: "CPU for a credential that the isolate has not seen, of six algorithms, beside jose",
  minutes: 5,
  rounds: 3,
  async run(run) {
    const scenarios = [];
    for (const row of wantedRows(ROWS, run.options)) scenarios.push({ label: row.label, names: NAMES, ...(await row.make(row, run)) });
    const amount = { amount: { count: MEASURED }, warmUp: { count: WARM_UP } };
    return measureMatrix(section, run, { scenarios, first: "credential", base: "jose", ...amount });
  },
};
export default section;

/** Many tokens of one person: Edgeward knows the user by then. */
async function tokensOfOne({ algorithm }, { people, tools }) {
  tools.progress(`signs ${TOKENS} tokens by ${algorithm}`);
  const owners = (callers) => new Array(TOKENS).fill(callers[0].user);
  return bearer(algorithm, await firstOf(people, 1), owners);
}

/** A token of another person each time. */
async function tokensOfAll({ algorithm }, { people, tools }) {
  tools.progress(`signs ${TOKENS} tokens by ${algorithm}, each of another user`);
  return bearer(algorithm, await firstOf(people, TOKENS), (callers) => callers.map(({ user }) => user));
}

/** The people as Edgeward knows them; as many are at the peers. */
async function firstOf(people, count) {
  return (await people.worldOf("build", count)).callers;
}

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

/** Edgeward's own sessions; `jose` gets its own cookies. */
function sessions({ alone }) {
  return { callers: TOKENS, alone, site: { assertion: undefined }, job: () => ({ kinds: [browserRequest()], once: true }) };
}
