// The Workers that are compared, by name, and how one scenario starts them: the same people, the same requests and the
// same origin for each.

import { admit, startEdgeward, wrongAssertion } from "./edgeward.mjs";
import { admitToPeers, startPeer } from "./peers.mjs";
import { ASSERTION, ASSERTION_LENGTH, NAMING, planOf, VARIETIES, whatIsWrong } from "./request.mjs";

/** @import { Build, Check, Entrant, KvHelper, OriginHelper, People, PeerWorld, Scenario, SiteSettings, Tools, Variety, World } from "./types.js" */

export const BASE = "passthrough";
const OWN = "edgeward";
const EARLIER = "before";

/** @typedef {{ build: Build, file?: undefined, fresh?: Variety, site?: SiteSettings }} Own */
/** @typedef {{ file: string, build?: undefined, fresh?: undefined, site?: undefined }} Peer */
/** @typedef {{ nobody?: boolean, told?: boolean, asksKv?: boolean, free?: string[] }} Habits */

/**
 * `build`: which built Worker it is; `site`: its own settings; `file`: whose code it is; `fresh`: what is new in each of its requests; `free`: what it sends as it likes.
 * @type {Record<string, (Own | Peer) & Habits>}
 */
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

/**
 * @param {string} name
 * @param {Build} build
 * @returns {Record<string, Own>}
 */
function variants(name, build) {
  const signing = { [`${name}-assertion`]: { build, site: { assertion: {} } }, [`${name}-unsigned`]: { build, site: { assertion: undefined } } };
  return { [name]: { build }, ...signing, ...Object.fromEntries(VARIETIES.map((fresh) => [`${name}-${fresh}`, { build, fresh }])) };
}

export const NAMES = Object.keys(WORKERS);
/** @param {string} name */
export const isEdgeward = (name) => WORKERS[name].build !== undefined;
/** @param {string} name */
export const isEarlier = (name) => WORKERS[name].build === "before";

/**
 * `names` with a row of the earlier build after each of Edgeward's, if there is one.
 * @param {string[]} names
 * @param {string | undefined} before
 */
export function withEarlier(names, before) {
  return before === undefined ? names : names.flatMap((name) => (name.startsWith(OWN) ? [name, name.replace(OWN, EARLIER)] : [name]));
}

/**
 * The people of a run, at each build and at the peers, made when a scenario asks for as many of them first.
 * `tools` are `{ build, before, workers, folder, origin, kv, core }`.
 * @param {Tools} tools
 */
export function startPeople(tools) {
  const upstream = upstreamOf(tools.origin);
  const { kv, folder } = tools;
  /** @type {Map<string, Promise<World>>} */
  const worlds = new Map();
  /** @type {Map<string, Promise<PeerWorld>>} */
  const peers = new Map();
  /**
   * @param {Build} build
   * @param {number} count
   */
  const worldOf = (build, count, alone = false) =>
    once(worlds, `${build} ${count} ${alone}`, async () =>
      admit({ name: `people-${build}`, build: folderOf(build, tools), count, alone, core: await tools.core(), kv, folder, upstream }),
    );
  /**
   * @param {number} count
   * @param {boolean} alone
   * @param {Build} [own]
   */
  const peersOf = (count, alone, own) =>
    once(peers, `${own} ${count} ${alone}`, async () => admitToPeers({ world: own ? await worldOf(own, count, alone) : undefined, count }));
  return { worldOf, peersOf };
}

/**
 * What was made first under this key.
 * @template T
 * @param {Map<string, Promise<T>>} made
 * @param {string} key
 * @param {() => Promise<T>} make
 */
function once(made, key, make) {
  const known = made.get(key) ?? make();
  made.set(key, known);
  return known;
}

/**
 * Where a build is.
 * @param {Build} build
 * @param {Pick<Tools, Build>} tools
 */
function folderOf(build, tools) {
  const folder = tools[build];
  if (folder === undefined) throw new Error("no earlier build is given");
  return folder;
}

/**
 * Starts the Workers `names` of a scenario and resolves to `{ entrants, check, stop }`. An entrant is
 * `{ name, worker, job, plan, users, … }`.
 *
 * A scenario is `{ job, callers, … }`: `job({ name, fresh, bare })` says what is sent, by the first `callers` of `admitted`
 * people, or by one person with as many sessions (`alone`). `site` and `vars` are settings of Edgeward, `stored` is how many more users KV holds, `delay` how long KV takes;
 * `files` names the code of peers by row, `peer` has more bindings for them and `modules` more modules.
 * `credentialsFor(people)` are what is sent in place of sessions, `usersFor(people)` whose they are.
 * @param {{ names: string[], scenario: Scenario, people: People, tools: Tools }} what
 */
export async function startEntrants({ names, scenario, people, tools }) {
  const { callers: count = 1, admitted = count, alone = false, site, vars, delay, stored, files = {}, peer, modules } = scenario;
  const { folder, workers, origin, kv, bare } = tools;
  const upstream = upstreamOf(origin);
  const first = names.find(isEdgeward);
  const peers = await people.peersOf(admitted, alone, first === undefined ? undefined : WORKERS[first].build);
  /** @type {Entrant[]} */
  const entrants = [];
  for (const name of names) {
    const { build, file, fresh, nobody = false, told, asksKv, free = [], site: own } = WORKERS[name];
    const world = build && (await people.worldOf(build, admitted, alone));
    const callers = (world ?? peers).callers.slice(0, count);
    const settings = { ...site, ...own };
    const worker = world
      ? await startEdgeward({ name, build: folderOf(build, tools), folder, kv, upstream, world: await filled(world, stored, kv), site: settings, vars, delay })
      : await startPeer({
          name,
          file: files[name] ?? file ?? name,
          workers,
          folder,
          upstream,
          people: peers,
          bare,
          more: peer,
          modules,
          kv: asksKv ? kv : undefined,
        });
    const job = scenario.job({ fresh, bare, name });
    const signs = build !== undefined && (!("assertion" in settings) || settings.assertion !== undefined);
    const isNamed = job.kinds.every(({ headers }) => headers.some(([header]) => header === "CF-Ray"));
    entrants.push({
      name,
      worker,
      job,
      plan: planOf(job, scenario.credentialsFor?.(callers) ?? callers.map(({ session }) => session), origin.hello.body),
      users: nobody ? null : (scenario.usersFor?.(callers) ?? callers.map(({ user }) => user)),
      translates: build === "build",
      told: told ? [[ASSERTION, "x".repeat(ASSERTION_LENGTH)]] : [],
      // Edgeward's assertion is looked at by itself; an earlier build may not translate names; and it names a request that has no Cf-Ray.
      free: [...free, ...(signs ? [ASSERTION] : []), ...(build && !isNamed ? ["x-request-id"] : []), ...(build === "before" ? NAMING : [])],
      keys: world && signs ? world.keys : null,
    });
  }
  const upstreamHost = upstream.slice("http://".length);
  /** @type {Check} */
  const check = async (entrant, received) => {
    const wrong = whatIsWrong({ ...entrant, upstreamHost }, received);
    if (wrong !== null || received === null || entrant.keys === null) return wrong;
    const subject = received.headers.find(([key]) => key === "x-forwarded-user")?.[1];
    return wrongAssertion(received, { keys: entrant.keys, audience: upstream, subject, length: scenario.assertionLength });
  };
  const stop = async () => {
    for (const { worker } of entrants) await worker.stop();
  };
  return { entrants, check, stop };
}

/**
 * A world whose KV holds so many users more.
 * @param {World} world
 * @param {number | undefined} stored
 * @param {KvHelper} kv
 */
async function filled(world, stored, kv) {
  if (stored === undefined) return world;
  const seed = `${world.seed} and ${stored}`;
  await kv.ask({ grow: seed, from: world.seed, users: stored });
  return { ...world, seed };
}

/** @param {OriginHelper} origin */
export function upstreamOf(origin) {
  return `http://127.0.0.1:${origin.hello.port}`;
}
