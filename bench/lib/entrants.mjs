// The Workers that are compared, by name, and how one scenario starts them: the same people, the same requests and the
// same origin for each.

import { admit, startEdgeward, wrongAssertion } from "./edgeward.mjs";
import { admitToPeers, startPeer } from "./peers.mjs";
import { ASSERTION, ASSERTION_LENGTH, planOf, VARIETIES, whatIsWrong } from "./request.mjs";

export const BASE = "passthrough";
const OWN = "edgeward";
const EARLIER = "before";

/** `build`: which built Worker it is; `site`: its own settings; `file`: whose code it is; `fresh`: what is new in each of its requests; `free`: what it sends as it likes. */
const WORKERS = {
  [BASE]: { file: "passthrough", nobody: true },
  "passthrough-kv": { file: "passthrough-kv", nobody: true, asksKv: true },
  undecided: { file: "undecided", told: true },
  ...variants(OWN, "build"),
  jose: { file: "jose" },
  "jose-memo": { file: "jose-memo" },
  hono: { file: "hono", free: ["accept-encoding"] },
  "hono-memo": { file: "hono-memo", free: ["accept-encoding"] },
  "js-memo": { file: "js-memo" },
  ...variants(EARLIER, "before"),
};

function variants(name, build) {
  const signing = { [`${name}-assertion`]: { build, site: { assertion: {} } } };
  return { [name]: { build }, ...signing, ...Object.fromEntries(VARIETIES.map((fresh) => [`${name}-${fresh}`, { build, fresh }])) };
}

export const NAMES = Object.keys(WORKERS);
export const isEdgeward = (name) => WORKERS[name].build !== undefined;
export const isEarlier = (name) => WORKERS[name].build === "before";

/** `names` with a row of the earlier build after each of Edgeward's, if there is one. */
export function withEarlier(names, before) {
  return before === undefined ? names : names.flatMap((name) => (name.startsWith(OWN) ? [name, name.replace(OWN, EARLIER)] : [name]));
}

/**
 * The people of a run, at each build and at the peers, made when a scenario asks for as many of them first.
 * `tools` are `{ build, before, workers, folder, origin, kv, adminTool }`.
 */
export function startPeople(tools) {
  const upstream = upstreamOf(tools.origin);
  const made = new Map();
  const once = (key, make) => made.get(key) ?? made.set(key, make()).get(key);
  const worldOf = (build, count, alone = false) =>
    once(`${build} ${count} ${alone}`, async () =>
      admit({ name: `people-${build}`, build: tools[build], count, alone, adminTool: await tools.adminTool(), kv: tools.kv, folder: tools.folder, upstream }),
    );
  const peersOf = (count, alone, own) =>
    once(`peers ${own} ${count} ${alone}`, async () => admitToPeers({ world: own ? await worldOf(own, count, alone) : undefined, count }));
  return { worldOf, peersOf };
}

/**
 * Starts the Workers `names` of a scenario and resolves to `{ entrants, check, stop }`. An entrant is
 * `{ name, worker, job, plan, users, … }`.
 *
 * A scenario is `{ job, callers, … }`: `job({ name, fresh, bare })` says what is sent, by the first `callers` of `admitted`
 * people, or by one person with as many sessions (`alone`). `site` and `vars` are settings of Edgeward, `stored` is how many more users KV holds, `delay` how long KV takes;
 * `files` names the code of peers by row, `peer` has more bindings for them and `modules` more modules.
 * `credentialsFor(people)` are what is sent in place of sessions, `usersFor(people)` whose they are.
 */
export async function startEntrants({ names, scenario, people, tools }) {
  const { callers: count = 1, admitted = count, alone = false, site, vars, delay, stored, files = {}, peer, modules } = scenario;
  const { folder, workers, origin, kv, bare } = tools;
  const upstream = upstreamOf(origin);
  const first = names.find(isEdgeward);
  const peers = await people.peersOf(admitted, alone, first && WORKERS[first].build);
  const entrants = [];
  for (const name of names) {
    const { build, file, fresh, nobody = false, told, asksKv, free = [], site: own } = WORKERS[name];
    const world = build ? await people.worldOf(build, admitted, alone) : peers;
    const callers = world.callers.slice(0, count);
    const settings = { ...site, ...own };
    const worker = build
      ? await startEdgeward({ name, build: tools[build], folder, kv, upstream, world: await filled(world, stored, kv), site: settings, vars, delay })
      : await startPeer({ name, file: files[name] ?? file, workers, folder, upstream, people: peers, bare, more: peer, modules, kv: asksKv && kv });
    const job = scenario.job({ fresh, bare, name });
    const signs = build !== undefined && (!("assertion" in settings) || settings.assertion !== undefined);
    const isNamed = job.kinds.every(({ headers }) => headers.some(([header]) => header === "CF-Ray"));
    entrants.push({
      name,
      worker,
      job,
      plan: planOf(job, scenario.credentialsFor?.(callers) ?? callers.map(({ session }) => session), origin.hello.body),
      users: nobody ? null : (scenario.usersFor?.(callers) ?? callers.map(({ user }) => user)),
      told: told ? [[ASSERTION, "x".repeat(ASSERTION_LENGTH)]] : [],
      // Edgeward's assertion is looked at by itself; and it names a request that has no Cf-Ray.
      free: [...free, ...(signs ? [ASSERTION] : []), ...(build && !isNamed ? ["x-request-id"] : [])],
      keys: signs ? world.keys : null,
    });
  }
  const upstreamHost = upstream.slice("http://".length);
  const check = async (entrant, received) => {
    const wrong = whatIsWrong({ ...entrant, upstreamHost }, received);
    if (wrong !== null || entrant.keys === null) return wrong;
    const subject = received.headers.find(([key]) => key === "x-forwarded-user")?.[1];
    return wrongAssertion(received, { keys: entrant.keys, audience: upstream, subject, length: scenario.assertionLength });
  };
  const stop = async () => {
    for (const { worker } of entrants) await worker.stop();
  };
  return { entrants, check, stop };
}

/** A world whose KV holds so many users more. */
async function filled(world, stored, kv) {
  if (stored === undefined) return world;
  const seed = `${world.seed} and ${stored}`;
  await kv.ask({ grow: seed, from: world.seed, users: stored });
  return { ...world, seed };
}

export function upstreamOf(origin) {
  return `http://127.0.0.1:${origin.hello.port}`;
}
