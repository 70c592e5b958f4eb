// `npm run admin -- key …`: the keys that sign assertions. Only the Worker can make them, so this calls its admin API.
import { ask, Misuse, orUsage, refusePlace, WHERE } from "./ask.mjs";
import { optionsOf } from "./options.mjs";
import { table } from "./table.mjs";

/** @typedef {{ kid: string, signs_from: number, retired_at: number | null, sealed_with: number }} Key */

/** @type {{ [word: string]: { method: string, path: string } }} */
const CALLS = {
  list: { method: "GET", path: "/api/sso/keys" },
  rotate: { method: "POST", path: "/api/sso/keys/rotate" },
};

const USAGE = `Usage: npm run admin -- key <list|rotate> [--json]

  list     list the keys: since when each signs, and until when it is published
  rotate   make a key that signs in five minutes; the previous one stays published until everything it signed has expired

${WHERE("scope admin")}`;

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export function runKeys(args) {
  return orUsage(USAGE, async () => {
    const { values, positionals } = optionsOf(args);
    if (values.help) {
      console.log(USAGE);
      return 0;
    }
    refusePlace(values);
    const call = positionals.length === 1 && Object.hasOwn(CALLS, positionals[0]) ? CALLS[positionals[0]] : undefined;
    if (call === undefined) throw new Misuse("`key` takes one argument: list or rotate");
    const { keys } = /** @type {{ keys: Key[] }} */ (await ask({ ...call, gives: "keys" }));
    console.log(values.json ? JSON.stringify(keys) : shown(keys));
    return 0;
  });
}

/** @param {Key[]} keys */
function shown(keys) {
  /** @param {number | null} seconds */
  const time = (seconds) => (seconds === null ? "-" : new Date(seconds * 1000).toISOString().replace(".000", ""));
  const rows = keys.map((key) => [key.kid, time(key.signs_from), time(key.retired_at), `key secret ${key.sealed_with}`]);
  return table(["kid", "signs from", "published until", "sealed with"], rows);
}
