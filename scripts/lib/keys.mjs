// `npm run admin -- key …`: the keys that sign assertions. Only the Worker can make one, so this calls its admin API.
import { existsSync, readFileSync } from "node:fs";
import { at } from "./project.mjs";
import { StepFailed } from "./step.mjs";

const LOCAL_URL = "http://127.0.0.1:8787";
const TIMEOUT_MS = 15_000;
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

async function ask({ method, path }) {
  const url = new URL(path, process.env.EDGEWARD_URL ?? LOCAL_URL);
  const headers = { authorization: `Token ${apiToken()}` };
  const answer = await fetch(url, { method, headers, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((error) => {
    throw new StepFailed(`${url.origin} does not answer: ${error.cause?.message ?? error.message}`);
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new StepFailed(`${method} ${url}: ${answer.status} ${body.error ?? ""} (${body.code ?? "no code"})`);
  return body;
}

function apiToken() {
  if (process.env.EDGEWARD_API_TOKEN) return process.env.EDGEWARD_API_TOKEN;
  const file = at(".edgeward/dev.json");
  if (process.env.EDGEWARD_URL === undefined && existsSync(file)) return JSON.parse(readFileSync(file, "utf8")).token;
  throw new StepFailed("set EDGEWARD_API_TOKEN to an API token with the scope admin, and EDGEWARD_URL to the site");
}

function table(keys) {
  const time = (seconds) => (seconds === null ? "-" : new Date(seconds * 1000).toISOString().replace(".000", ""));
  const rows = keys.map((key) => [key.kid, time(key.signs_from), time(key.retired_at), `key secret ${key.sealed_with}`]);
  const all = [["kid", "signs from", "published until", "sealed with"], ...rows];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()).join("\n");
}
