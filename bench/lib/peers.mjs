// The other Workers, and the cookies of theirs: each says who the person is, since they keep no users, and is as long as Edgeward's.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";
import { SignJWT } from "jose";
import { ISSUER } from "./edgeward.mjs";
import { ASSERTION, ASSERTION_LENGTH, CLIENT_ADDRESS, COOKIE, HOST, identity, personOf } from "./request.mjs";
import { startWorker } from "./workerd.mjs";

/** @import { Binding, Caller, KvHelper, Module, PeerWorld, User, World } from "./types.js" */

const TYP = "session+jwt";
const LENGTH = 330; // of a session, in a run without Edgeward

/**
 * The people at the peers: `{ secret, callers: [{ user, session }] }`, as many and as long as those of `world`, or `count` of them.
 * @param {{ world: World | undefined, count: number }} who
 * @returns {Promise<PeerWorld>}
 */
export async function admitToPeers({ world, count }) {
  const secret = randomBytes(32).toString("base64url");
  const key = new TextEncoder().encode(secret);
  /** @type {Caller[]} */
  const callers = [];
  for (let index = 0; index < count; index += 1) {
    const known = world?.callers[index];
    const user = known?.user ?? { ...personOf(index), id: idOf(index) };
    callers.push({ user, session: await sessionOf(user, key, known?.session.length ?? LENGTH) });
  }
  return { secret, callers };
}

/**
 * Stands for Edgeward's, in a run without it.
 * @param {number} index
 */
function idOf(index) {
  return `usr_${index === 0 ? "0123456789abcdefghijkl" : String(index).padStart(22, "0")}`;
}

/**
 * @param {User} user
 * @param {Uint8Array} key
 * @param {number} length
 */
async function sessionOf({ id, email, username, roles }, key, length) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, aud: HOST, sub: id, iat: now, exp: now + 6 * 3600, email, username, roles };
  /** @param {string} jti */
  const sign = (jti) => new SignJWT({ ...claims, jti }).setProtectedHeader({ alg: "HS256", kid: "1", typ: TYP }).sign(key);
  let token = await sign("");
  for (let pad = Math.max(1, Math.floor((length - token.length) * 0.75) - 2); token.length < length; pad += 1) token = await sign("x".repeat(pad));
  return token;
}

/** @type {Map<string, string>} */
const bundles = new Map();

/**
 * One file with everything in it, made once for a run.
 * @param {string} file
 * @param {string} folder
 * @returns {Promise<string>}
 */
async function bundled(file, folder) {
  if (!existsSync(file)) throw new Error(`${file} is missing`);
  const made = bundles.get(file);
  if (made !== undefined) return made;
  const outfile = join(folder, `bundle-${bundles.size}.js`);
  bundles.set(file, outfile);
  await bundle({
    entryPoints: [file],
    outfile,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    nodePaths: [fileURLToPath(new URL("../../node_modules", import.meta.url))], // for Workers in another folder
    external: ["cloudflare:*", "*.wasm"],
    logLevel: "error",
  });
  return outfile;
}

/**
 * Starts `<workers>/<file>.js`; `more` are further text bindings, `modules` further modules, `kv` gives it an empty namespace.
 * @param {object} what
 * @param {string} what.name
 * @param {string} what.file
 * @param {string} what.workers
 * @param {string} what.folder
 * @param {string} what.upstream
 * @param {PeerWorld} what.people
 * @param {boolean} [what.bare]
 * @param {Record<string, string>} [what.more]
 * @param {Module[]} [what.modules]
 * @param {KvHelper} [what.kv]
 */
export async function startPeer({ name, file, workers, folder, upstream, people, bare = false, more = {}, modules = [], kv }) {
  const [{ user }] = people.callers;
  const fixed = [
    ["cookie", "theme=dark; csrftoken=x9Y8z7w6V5u4"],
    ...identity(user),
    ...(bare ? [] : [["x-forwarded-for", CLIENT_ADDRESS]]),
    ["x-forwarded-host", HOST],
    ["x-forwarded-proto", "http"],
    [ASSERTION, "x".repeat(ASSERTION_LENGTH)],
  ];
  const texts = { ORIGIN: upstream, SECRET: people.secret, COOKIE, ISSUER, AUDIENCE: HOST, TYP, FIXED: JSON.stringify(fixed), ...more };
  /** @type {Record<string, Binding>} */
  const bindings = Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, { text }]));
  if (kv) bindings.KV = { kv: (await kv.ask({ begin: "nothing" })).port };
  return startWorker({ name, folder, modules: [{ name: "worker.js", file: await bundled(join(workers, `${file}.js`), folder) }, ...modules], bindings });
}
