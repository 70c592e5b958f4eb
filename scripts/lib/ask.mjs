// Calls of the admin API from a shell: of the deployment that EDGEWARD_URL names, or of the one of `npm run dev`.
import { existsSync, readFileSync } from "node:fs";
import { at } from "./project.mjs";
import { StepFailed } from "./step.mjs";

const LOCAL_URL = "http://127.0.0.1:8787";
const TIMEOUT_MS = 15_000;

/** The JSON that a call is answered with; anything but success is a StepFailed. */
export async function ask({ method, path, body }) {
  const url = new URL(path, process.env.EDGEWARD_URL ?? LOCAL_URL);
  const headers = { authorization: `Token ${apiToken()}`, ...(body ? { "content-type": "application/json" } : {}) };
  const init = { method, headers, body: body && JSON.stringify(body), redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) };
  const answer = await fetch(url, init).catch((error) => {
    throw new StepFailed(`${url.origin} does not answer: ${error.cause?.message ?? error.message}`);
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new StepFailed(`${method} ${url}: ${answer.status} ${told.error ?? ""} (${told.code ?? "no code"}${told.field ? `, ${told.field}` : ""})`);
  return told;
}

function apiToken() {
  if (process.env.EDGEWARD_API_TOKEN) return process.env.EDGEWARD_API_TOKEN;
  const file = at(".edgeward/dev.json");
  if (process.env.EDGEWARD_URL === undefined && existsSync(file)) return JSON.parse(readFileSync(file, "utf8")).token;
  throw new StepFailed("set EDGEWARD_API_TOKEN to an API token with the scope admin, and EDGEWARD_URL to the site");
}
