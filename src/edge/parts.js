// Looks whether what requests depend on answers: the store, an object of each class, and the origins.

import { outgoing } from "./outgoing.js";

/** @import { Env } from "./types.js" */

/** How long a part may take, in milliseconds. */
const LONGEST = 3_000;
const NAME = "health";
const LATE = " no answer in time";

/** Every class that an object is asked of, by its binding; whether the Worker does without. */
const OBJECTS = /** @type {const} */ ([
  ["ONCE", "required"],
  ["RECORD", "required"],
  ["AUDIT", "required"],
  ["ATTEMPTS", "of the gateway"],
  ["OUTBOX", "of the gateway"],
  ["DIRECTORY", "optional"],
  ["METRICS", "optional"],
]);

/**
 * Promises a line for each part that is bound or should be, and for each of `origins` (lines of a name and a URL): its name, and
 * after a space what is wrong with it, if anything.
 * @param {Env} env
 * @param {string} origins
 */
export async function parts(env, origins) {
  // There is one object that requests use at this moment, and otherwise one for each user, service or record.
  /** @type {Record<string, string>} */
  const inUse = { audit: new Date().toISOString().slice(0, 7), directory: "users", metrics: "metrics" };
  const objects = OBJECTS.map(([binding, need]) => {
    const namespace = env[`EDGEWARD_${binding}`];
    const name = binding.toLowerCase();
    if (namespace !== undefined) return line(name, () => namespace.get(namespace.idFromName(inUse[name] ?? NAME)).health());
    const isNeeded = need === "required" || (need === "of the gateway" && "EDGEWARD_GATEWAY" in env);
    return isNeeded ? `${name} not bound\n` : "";
  });
  /** @type {Map<string, Promise<string>>} */
  const asked = new Map();
  const sites = origins.split("\n").slice(0, -1);
  const answers = sites.map(async (site) => {
    const [name, url] = site.split(" ");
    if (!asked.has(url)) asked.set(url, ask(url));
    return `upstream:${name}${await asked.get(url)}\n`;
  });
  const lines = await Promise.all([line("kv", () => env.EDGEWARD_KV.get(NAME)), ...objects, ...answers]);
  return lines.join("");
}

/**
 * @param {string} name
 * @param {() => unknown} begin
 */
async function line(name, begin) {
  const answered = async () => {
    await begin();
    return "";
  };
  // The message of an error may be the platform's.
  const failed = answered().catch(() => " failed");
  return `${name}${await Promise.race([failed, scheduler.wait(LONGEST).then(() => LATE)])}\n`;
}

/**
 * What is wrong with an origin. Whatever it says of the path, it is there, unless it, or what stands before it, has failed.
 * @param {string} url
 */
async function ask(url) {
  try {
    const answer = await outgoing("HEAD", `${url}/`, "", undefined, 1024, LONGEST);
    if (!Array.isArray(answer)) return LATE;
    const status = Number(answer[0]);
    return status >= 500 && status !== 501 ? ` status ${status}` : "";
  } catch {
    return " the connection failed";
  }
}
