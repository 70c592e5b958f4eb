// `npm run admin -- key …`: the keys that sign assertions. Only the Worker can make one, so this calls its admin API.
import { ask } from "./ask.mjs";

const CALLS = {
  list: { method: "GET", path: "/api/sso/keys" },
  rotate: { method: "POST", path: "/api/sso/keys/rotate" },
};

const USAGE = `Usage: npm run admin -- key <list|rotate> [--json]

  list     the keys: since when each signs, and until when it is published
  rotate   make a key that signs from five minutes on; the one before it stays published until what it signed has ended

EDGEWARD_URL and EDGEWARD_API_TOKEN (scope admin) say where; without them it is the deployment of \`npm run dev\`.`;

/** Runs the command; answers its exit status. */
export async function runKeys(args) {
  const words = args.filter((word) => !word.startsWith("-"));
  const call = words.length === 1 ? CALLS[words[0]] : undefined;
  if (call === undefined || args.some((word) => word.startsWith("-") && word !== "--json")) {
    process.stderr.write(`${USAGE}\n`);
    return args.includes("--help") ? 0 : 2;
  }
  const { keys } = await ask(call);
  process.stdout.write(args.includes("--json") ? `${JSON.stringify(keys)}\n` : `${table(keys)}\n`);
  return 0;
}

function table(keys) {
  const time = (seconds) => (seconds === null ? "-" : new Date(seconds * 1000).toISOString().replace(".000", ""));
  const rows = keys.map((key) => [key.kid, time(key.signs_from), time(key.retired_at), `key secret ${key.sealed_with}`]);
  const all = [["kid", "signs from", "published until", "sealed with"], ...rows];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()).join("\n");
}
