// The built Worker: its settings, the people who are signed in at it, and what its assertion must be.

import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createLocalJWKSet, jwtVerify } from "jose";
import { APART } from "../../scripts/lib/apart.mjs";
import { messageOf } from "../../scripts/lib/step.mjs";
import { ask } from "./http.mjs";
import { ASSERTION, ASSERTION_LENGTH, COOKIE, HOST, personOf } from "./request.mjs";
import { startWorker } from "./workerd.mjs";

/** @import { JWTVerifyGetKey } from "jose" */
/** @import { Core } from "../../scripts/lib/core.mjs" */
/** @import { Binding, Caller, Entry, KvHelper, Person, Received, Secrets, SiteSettings, User, World } from "./types.js" */
/** @typedef {Awaited<ReturnType<typeof startEdgeward>>} Worker */

export const ISSUER = "edgeward";
const SSO_COOKIE = "sso";
const AT_ONCE = 16;
const MODULES = ["worker.js", "edgeward.wasm"];

/**
 * The settings of the site that is measured, unless a section says otherwise.
 * @param {string} upstream
 * @returns {SiteSettings}
 */
const siteTo = (upstream) => ({
  hosts: [HOST],
  upstream,
  sources: ["session", "sso_cookie"],
  unauthenticated: "deny",
  sso_cookie: { name: SSO_COOKIE },
  identity_headers: ["x-forwarded"],
  assertion: {},
});

/**
 * The secrets of one run, so that a session that one process opened counts in the next.
 * @returns {Secrets}
 */
function newSecrets() {
  const secret = () => ({ text: randomBytes(32).toString("base64url") });
  return { EDGEWARD_SESSION_SECRET_1: secret(), EDGEWARD_TOKEN_SECRET_1: secret(), EDGEWARD_KEY_SECRET_1: secret() };
}

/**
 * The files of a build.
 * @param {string} build
 */
export function modulesOf(build) {
  const files = MODULES.map((name) => ({ name, file: join(build, name) }));
  for (const { file } of files) if (!existsSync(file)) throw new Error(`${file} is missing; run npm run build first`);
  // An earlier build has none of these.
  const apart = APART.map((name) => ({ name, file: join(build, name) })).filter(({ file }) => existsSync(file));
  return [...files, ...apart];
}

/**
 * Starts a build with what `world` has (its secrets, and what KV holds). `site` is laid over the settings of the site,
 * `vars` are further bindings, `delay` is how long KV takes in milliseconds.
 * @param {object} what
 * @param {string} what.name
 * @param {string} what.build
 * @param {string} what.folder
 * @param {KvHelper} what.kv
 * @param {string} what.upstream
 * @param {Pick<World, "seed" | "secrets">} what.world
 * @param {SiteSettings} [what.site]
 * @param {Record<string, Binding>} [what.vars]
 * @param {number} [what.delay]
 * @param {string} [what.script] another JavaScript around the same Wasm
 */
export async function startEdgeward({ name, build, folder, kv, upstream, world, site = {}, vars = {}, delay = 0, script }) {
  const modules = modulesOf(build);
  if (script !== undefined) modules[0].file = script;
  const { port } = await kv.ask({ begin: world.seed, delay });
  const settings = Object.entries({ ...siteTo(upstream), ...site }).filter(([, value]) => value !== undefined);
  const source = readFileSync(modules[0].file, "utf8");
  const worker = await startWorker({
    name,
    folder,
    modules,
    // The audit log and the counters are in SQL.
    onDisk: true,
    bindings: {
      EDGEWARD_KV: { kv: port },
      EDGEWARD_ONCE: { object: "Once" },
      // An earlier build does not know all of these classes. With Metrics it counts.
      ...Object.fromEntries(
        ["Record", "Attempts", "Audit", "Directory", "Metrics"].flatMap((object) =>
          new RegExp(`\\b${object}\\b`).test(source) ? [[`EDGEWARD_${object.toUpperCase()}`, { object }]] : [],
        ),
      ),
      EDGEWARD_LIMIT: { limit: true },
      EDGEWARD_FAILURE_LIMIT: { limit: true },
      EDGEWARD: { json: { issuer: ISSUER } },
      EDGEWARD_SITE_BENCH: { json: Object.fromEntries(settings) },
      ...world.secrets,
      ...vars,
    },
  });
  const dump = () => kv.ask({ dump: port });
  const reads = async () => (await kv.ask({ reads: port })).reads;
  const stop = async () => {
    await worker.stop();
    await kv.ask({ end: port });
  };
  return { ...worker, dump, reads, stop };
}

/**
 * A world with one API token, and what else KV holds.
 * @param {{ seed: string, core: Core, kv: KvHelper, entries?: Entry[] }} what
 */
export async function foundWorld({ seed, core, kv, entries = [] }) {
  const made = core("token-create", { name: "bench", scopes: ["admin"] });
  const { token, key, value } = /** @type {{ token: string, key: string, value: string }} */ (made);
  await kv.ask({ seed, entries: [...entries, [key, { body: value, metadata: null }]] });
  return { seed, secrets: newSecrets(), token: String(token) };
}

/**
 * Signs `count` people in at a build, each as an application and a browser would, and keeps what KV then holds: resolves
 * to `{ secrets, seed, callers: [{ user, session }], keys }`. With `alone` it is one person, who signs in as often.
 * @param {{ name: string, build: string, count: number, alone: boolean, core: Core, kv: KvHelper, folder: string, upstream: string }} what
 * @returns {Promise<World>}
 */
export async function admit({ name, build, count, alone, core, ...tools }) {
  const { token, ...world } = await foundWorld({ seed: `${name} before`, core, kv: tools.kv });
  const worker = await startEdgeward({ name, build, world, ...tools });
  /** @type {Caller[]} */
  const callers = new Array(count);
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const index = next++;
      callers[index] = await signIn(worker, token, alone ? callers[0] : { person: personOf(index) });
    }
  };
  // The first one alone: the signing keys are made once.
  callers[next++] = await signIn(worker, token, { person: personOf(0) });
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const jwks = JSON.parse((await ask(worker, { host: HOST, path: "/.well-known/jwks.json" })).body);
  const { entries } = await worker.dump();
  await worker.stop();
  const seed = `${name} ${count}${alone ? " alone" : ""}`;
  await tools.kv.ask({ seed, entries });
  return { ...world, seed, callers, keys: createLocalJWKSet(jwks) };
}

/**
 * Of a user who is there already, or of a person who becomes one.
 * @param {Worker} worker
 * @param {string} token
 * @param {{ user?: User, person?: Person }} who
 * @returns {Promise<Caller>}
 */
async function signIn(worker, token, { user: known, person }) {
  /**
   * @param {string} path
   * @param {object | undefined} body
   * @param {number} status
   */
  const call = async (path, body, status) => {
    const headers = { authorization: `Token ${token}`, "content-type": "application/json" };
    const answer = await ask(worker, { host: HOST, path, method: "POST", headers, body: JSON.stringify(body) });
    if (answer.status !== status) throw new Error(`POST ${path} answered ${answer.status}: ${answer.body}\n${worker.log()}`);
    return JSON.parse(answer.body);
  };
  const user = known ?? (await call("/api/sso/users", person, 201));
  const { token: ssoToken } = await call("/api/sso/token", { email: user.email }, 200);
  const headers = { accept: "text/html", "sec-fetch-mode": "navigate", cookie: `${SSO_COOKIE}=${ssoToken}` };
  const arrival = await ask(worker, { host: HOST, path: "/", headers });
  const setCookie = arrival.headers["set-cookie"]?.find((cookie) => cookie.startsWith(`${COOKIE}=`));
  if (!setCookie) throw new Error(`the sign-in set no session cookie: ${arrival.status} ${arrival.body}\n${worker.log()}`);
  return { user, session: setCookie.slice(COOKIE.length + 1).split(";", 1)[0] };
}

/**
 * What is wrong with the assertion that the origin received, or null. `length`: how long it has to be, if that is known.
 * @param {Received} received
 * @param {{ keys: JWTVerifyGetKey, audience: string, subject: string | undefined, length?: number | null }} wanted
 */
export async function wrongAssertion(received, { keys, audience, subject, length = ASSERTION_LENGTH }) {
  const assertions = received.headers.filter(([key]) => key === ASSERTION).map(([, text]) => text);
  if (assertions.length !== 1) return `the origin received ${assertions.length} assertions`;
  const [assertion] = assertions;
  if (length !== null && assertion.length !== length) return `the assertion has ${assertion.length} bytes; undecided sends ${length}`;
  try {
    await jwtVerify(assertion, keys, { algorithms: ["ES256"], issuer: ISSUER, audience, subject });
  } catch (error) {
    return `the origin received no good assertion (${messageOf(error)})`;
  }
  return null;
}
