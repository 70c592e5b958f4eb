// Calls the admin API of the deployment that place.mjs names, from a shell.
import { setTimeout as wait } from "node:timers/promises";
import { Misuse, place } from "./place.mjs";
import { StepFailed } from "./step.mjs";

export { Misuse };

const TIMEOUT_MS = 15_000;

/**
 * For the help of a command: which deployment it calls.
 * @param {string} scopes
 */
export const WHERE = (scopes) => `EDGEWARD_URL and EDGEWARD_API_TOKEN (${scopes}) name the deployment, or --profile <name> does
(\`npm run admin -- profile --help\`). Without them it is the default profile, and without one that of \`npm run dev\`.`;

/** An error response of the admin API. */
export class Refused extends StepFailed {
  /**
   * @param {string} message
   * @param {number} status
   * @param {{ code?: string, field?: string, rule?: string, retryAfter?: number }} [told] `retryAfter` is in seconds.
   */
  constructor(message, status, { code, field, rule, retryAfter } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.rule = rule;
    this.retryAfter = retryAfter;
  }
}

/**
 * Runs `work`; reports a Misuse together with the usage. Returns the exit status.
 * @param {string} usage
 * @param {() => number | Promise<number>} work
 */
export async function orUsage(usage, work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Misuse)) throw error;
    process.stderr.write(`error: ${error.message}\n\n${usage}\n`);
    return 2;
  }
}

/**
 * Refuses the options of commands that use wrangler: to ignore them could change the wrong deployment.
 * @param {{ remote?: boolean, env?: string }} options
 */
export function refusePlace({ remote, env }) {
  if (!remote && env === undefined) return;
  throw new Misuse(
    `this command calls the admin API and has no option ${remote ? "--remote" : "--env"}.\n` +
      "  Set EDGEWARD_URL to the deployment (such as https://app.example.com) and EDGEWARD_API_TOKEN to one of its API tokens,\n" +
      "  or name a profile with --profile",
  );
}

/** A call had no answer, in time or at all. It may have been carried out. */
export class NoAnswer extends StepFailed {
  /**
   * @param {string} message
   * @param {boolean} wasThere Whether the connection ended, or the time was over, rather than that nobody was found.
   */
  constructor(message, wasThere) {
    super(message);
    this.wasThere = wasThere;
  }
}

const ENDED = /^(ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT)$/;

/**
 * Makes a call and returns the JSON of its response, which must have the member `gives`; without `gives` the response must be
 * empty. Anything else is a StepFailed, because another server at that address may answer 200 to everything.
 *
 * Before the first call that changes something, it says on stderr which deployment that is.
 * @param {{ method: string, path: string, body?: object, gives?: string, timeout?: number, changes?: boolean }} call
 * @returns {Promise<unknown>}
 */
export async function ask({ gives, ...call }) {
  const { answer, shown } = await send(call);
  const told = /** @type {{ [member: string]: unknown } | undefined} */ (await answer.json().catch(() => undefined));
  if (!answer.ok) throw refusal(shown, answer, told ?? {});
  const isOurs = gives === undefined ? answer.status === 204 : told?.[gives] !== undefined;
  if (!isOurs) throw new StepFailed(`${shown}: ${answer.status}, but not from Edgeward; does EDGEWARD_URL name a site of Edgeward?`);
  return told;
}

/**
 * Makes a call that is answered with lines of JSON; `more` is the value of a header that leads on.
 * @param {string} path
 * @param {string} more
 */
export async function askLines(path, more) {
  const { answer, shown } = await send({ method: "GET", path, timeout: 60_000 });
  const text = await answer.text();
  if (!answer.ok) throw refusal(shown, answer, parsed(text));
  if (answer.headers.get("content-type") !== "application/x-ndjson")
    throw new StepFailed(`${shown}: ${answer.status}, but not from Edgeward; does EDGEWARD_URL name a site of Edgeward?`);
  return { text, more: answer.headers.get(more) };
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** @param {Omit<Parameters<typeof ask>[0], "gives">} call */
async function send({ method, path, body, timeout = TIMEOUT_MS, changes = method !== "GET" }) {
  const url = urlOf(path);
  const headers = { authorization: `Token ${apiToken()}`, ...(body ? { "content-type": "application/json" } : {}) };
  if (changes) sayDeployment();
  /** @type {RequestInit} */
  const init = { method, headers, body: body && JSON.stringify(body), redirect: "error", signal: AbortSignal.timeout(timeout) };
  const answer = await fetch(url, init).catch((error) => {
    const reason = error.cause?.message || error.cause?.code || error.message;
    const { urlIs } = place();
    const advice = urlIs ? `${urlIs} names this deployment; is it correct?` : "Start `npm run dev`, or name a deployment with EDGEWARD_URL or --profile";
    const wasThere = error.name === "TimeoutError" || ENDED.test(error.cause?.code ?? "");
    throw new NoAnswer(`${url.origin} does not answer: ${reason}\n  ${advice}`, wasThere);
  });
  return { answer, shown: `${method} ${url}` };
}

/** How often a call that only reads is made again. */
const MOST_REPETITIONS = 8;

/**
 * The same for a call that only reads, as one of many: waits where the deployment asks for it, and asks again where it did not
 * answer or could not.
 * @param {Parameters<typeof ask>[0]} call
 */
export const askPatiently = (call) => patiently(() => ask(call));

/**
 * The same as {@link askLines}, likewise.
 * @param {string} path
 * @param {string} more
 */
export const askLinesPatiently = (path, more) => patiently(() => askLines(path, more));

/**
 * @template T
 * @param {() => Promise<T>} make
 */
async function patiently(make) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await make();
    } catch (error) {
      const isPassing = (error instanceof NoAnswer && error.wasThere) || (error instanceof Refused && (error.status === 429 || error.status >= 502));
      if (!isPassing || tries === MOST_REPETITIONS) throw error;
      await wait(1000 * (error instanceof Refused && error.retryAfter ? error.retryAfter : 2 ** Math.min(tries, 4) / 4));
    }
  }
}

/** The deployment that is called. */
export const deployment = () => urlOf("/").origin;

let isSaid = false;
function sayDeployment() {
  if (isSaid) return;
  isSaid = true;
  const { kind, urlIs } = place();
  process.stderr.write(`at ${deployment()}${kind === "profile" ? ` (${urlIs[0].toLowerCase()}${urlIs.slice(1)})` : ""}\n`);
}

const ENDPOINTS = "/api/sso";

/**
 * The URL of an endpoint, whose `path` is that of a site that has a host to itself: the deployment's URL may have a path as
 * well, and the site a setting `endpoints`.
 * @param {string} path
 */
function urlOf(path) {
  const named = place();
  try {
    const url = new URL(named.url);
    const endpoints = (named.endpoints || ENDPOINTS).replace(/\/$/, "");
    const local = path.startsWith(`${ENDPOINTS}/`) ? endpoints + path.slice(ENDPOINTS.length) : path;
    return new URL(url.pathname.replace(/\/$/, "") + local, url);
  } catch {
    throw new StepFailed(`${named.urlIs} is not a URL: ${named.url}\n  It must be the URL of a site, such as https://app.example.com`);
  }
}

/**
 * What to do about an error, by status.
 * @type {{ [status: number]: string }}
 */
const ADVICE = {
  401: "The deployment does not accept this API token. `npm run admin -- token create --with-wrangler` makes one; for the deployment at Cloudflare add --remote",
  403: "This API token may not do that: it lacks the scope, or its issue_for does not cover this user",
  404: "There is no such record, or EDGEWARD_URL does not name a site of Edgeward",
  429: "Wait, then run the command again",
  500: "The deployment's configuration has errors; `npm run check-config` and the Worker's log list them",
  503: "A part of the platform failed; run the command again",
};

/**
 * @param {string} call
 * @param {Response} answer
 * @param {{ error?: string, code?: string, field?: string, rule?: string }} told
 */
function refusal(call, answer, { error = "", code, field, rule }) {
  const wait = answer.headers.get("retry-after");
  const wrongField = answer.status === 400 && field ? `The value of ${field} is not accepted; docs/admin-api.md has its rules` : undefined;
  const advice = wrongField ?? (answer.status === 429 && wait ? `Wait ${wait} seconds, then run the command again` : ADVICE[answer.status]);
  const message = `${call}: ${answer.status} ${error} (${code ?? "no code"}${field ? `, ${field}` : ""})${advice ? `\n  ${advice}` : ""}`;
  return new Refused(message, answer.status, { code, field, rule, retryAfter: Number(wait) || undefined });
}

function apiToken() {
  const { token, url, kind } = place();
  if (token !== undefined) return token;
  const first =
    kind === "environment"
      ? `set EDGEWARD_API_TOKEN to an API token of ${url}`
      : "start `npm run dev`, which makes an API token; or name a deployment with EDGEWARD_URL and EDGEWARD_API_TOKEN, or with --profile";
  throw new StepFailed(`${first}\n  \`npm run admin -- token create --name ops --scope admin\` makes a token; for the deployment at Cloudflare add --remote`);
}
