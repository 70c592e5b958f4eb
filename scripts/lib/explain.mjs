// `npm run admin -- explain`: what the rules of a site decide about a request, and why. With a token it asks the deployment,
// since only that can verify the token; otherwise the core answers here, from the current wrangler.toml.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ask } from "./ask.mjs";
import { configuration, readWhole } from "./check-config.mjs";
import { core } from "./core.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { messageOf, StepFailed } from "./step.mjs";

const USAGE = `Usage: npm run admin -- explain --path <path> [options]

  --site <name>      the site; may be omitted if there is only one
  --path <path>      the path of the request
  --method <method>  its method [default: GET]
  --host <host>      one of the site's hosts [default: the first]
  --preflight        a CORS preflight for that method
  --address <ip>     the client's address
  --country <code>   the client's country
  --json             print JSON for programs

The caller; anonymous without any of these:
  --token <token>    the one that this credential stands for. Asks the deployment that EDGEWARD_URL and
                     EDGEWARD_API_TOKEN (scope admin) name; the default is that of \`npm run dev\`
  --source <source>  where the token is presented: bearer, session, sso_cookie, query, header or api_key [default: bearer]
  --caller <json>    a made-up one: {"email", "roles", "scopes", "claims", "tenant", "workspace",
                     "issuer", "amr", "age"}, all optional

Without --token the rules are those of the current wrangler.toml, deployed or not:
  --remote           those of its top level [default: those of the environment local, with what wrangler.local.toml sets]
  --env <name>       those of another environment
  --config <file>    those of another file
  --cases <file>     many requests at once: a JSON list of objects with the names above, without dashes. If one has
                     "granted", that is the expected result; the command ends with status 1 if any result differs`;

/** @typedef {{ requirement: string, held: boolean | null, because: string, within?: Check[] }} Check */
/**
 * The core's answer to a question.
 * @typedef {object} Told
 * @property {string} method
 * @property {string} host
 * @property {string} [path]
 * @property {string} site
 * @property {string} credential
 * @property {{ rule: number, name?: string, because: string }[]} [passed_over]
 * @property {string} [demands]
 * @property {number | null} rule
 * @property {string} [name]
 * @property {Check} [requirements]
 * @property {boolean} granted
 * @property {string} [as]
 * @property {string} [refusal]
 * @property {{ path: string, leads_to: string }[]} [readings]
 */
/**
 * @typedef {{ site?: string, path?: string, method?: string, host?: string, preflight?: boolean, address?: string, country?: string }} Question
 * @typedef {{ token?: string, source?: string, caller?: string, env?: string, config?: string, cases?: string, json?: boolean, remote?: boolean, help?: boolean }} Rest
 * @typedef {Question & Rest} Options
 */

const OPTIONS = {
  ...Object.fromEntries(
    ["site", "path", "method", "host", "address", "country", "token", "source", "caller", "env", "config", "cases"].map((name) => [
      name,
      /** @type {const} */ ({ type: "string" }),
    ]),
  ),
  ...Object.fromEntries(["preflight", "json", "remote", "help"].map((name) => [name, /** @type {const} */ ({ type: "boolean" })])),
};
const OF_THE_QUESTION = /** @type {const} */ (["site", "path", "method", "host", "preflight", "address", "country"]);

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export async function runExplain(args) {
  const values = readOptions(args);
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (values.cases !== undefined) return runCases({ ...values, cases: values.cases });
  if (values.path === undefined) throw new StepFailed(`--path is missing\n${USAGE}`);
  const question = Object.fromEntries(OF_THE_QUESTION.filter((name) => values[name] !== undefined).map((name) => [name, values[name]]));
  const told = values.token === undefined ? await offline(values, question) : await online(values, question);
  console.log(values.json ? JSON.stringify(told) : text(told));
  return 0;
}

/**
 * @param {string[]} args
 * @returns {Options}
 */
function readOptions(args) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    throw new StepFailed(`${messageOf(error)}\n${USAGE}`);
  }
}

/**
 * @param {Options} options
 * @param {Question} question
 */
async function online({ token, source, caller }, question) {
  if (caller !== undefined) throw new StepFailed("--token and --caller exclude each other: each names the caller");
  const body = { ...question, token, ...(source ? { source } : {}) };
  return /** @type {Told} */ (await ask({ method: "POST", path: "/api/sso/explain", gives: "granted", body, changes: false }));
}

/**
 * @param {Options} values
 * @param {Question} question
 */
async function offline(values, question) {
  if (values.source !== undefined) throw new StepFailed("--source needs --token: it says where the token is presented");
  const caller = values.caller === undefined ? undefined : json("--caller", values.caller);
  const [told] = await answers(values, [{ ...question, ...(caller === undefined ? {} : { caller }) }]);
  return told;
}

/**
 * @param {Options} options
 * @param {object[]} questions
 * @returns {Promise<Told[]>}
 */
async function answers({ config, env, remote }, questions) {
  const name = env ?? (remote ? "" : "local");
  // Rules do not depend on secrets, so those that are missing are made up.
  const given = { ...configuration(effectiveConfig(readWhole(config, name), name), name), complete: false };
  return /** @type {Told[]} */ (await core("explain", { ...given, questions }));
}

/** @param {Options & { cases: string }} values */
async function runCases(values) {
  const questions = json(values.cases, readFileSync(values.cases, "utf8"));
  if (!Array.isArray(questions)) throw new StepFailed(`${values.cases} is not a list`);
  const told = await answers(
    values,
    questions.map(({ granted, ...question }) => question),
  );
  if (values.json) console.log(JSON.stringify(told));
  const wrong = told.filter((one, index) => (questions[index].granted ?? one.granted) !== one.granted);
  for (const one of wrong) console.error(`${text(one)}\n  expected: ${one.granted ? "refused" : "granted"}\n`);
  if (!values.json) console.log(`${told.length - wrong.length} of ${told.length} as expected`);
  return wrong.length > 0 ? 1 : 0;
}

/**
 * @param {string} name
 * @param {string} source
 */
function json(name, source) {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new StepFailed(`${name} is not JSON: ${messageOf(error)}`);
  }
}

/**
 * The answer as text for people.
 * @param {Told} told
 */
export function text(told) {
  const lines = [`${told.method} ${told.host}${told.path ?? ""} at site ${told.site}, credential: ${told.credential}`];
  for (const { rule, name, because } of told.passed_over ?? []) lines.push(`  rule ${named(rule, name)} does not match: ${because}`);
  if (told.demands !== undefined) lines.push(told.rule === null ? `  ${told.demands}` : `  rule ${named(told.rule, told.name)} decides. ${told.demands}`);
  const { readings = [] } = told;
  if (readings.length > 1) for (const { path, leads_to } of readings) lines.push(`  reading ${path} leads to ${leads_to}`);
  if (told.requirements) lines.push(...check(told.requirements, "    "));
  lines.push(told.granted ? `granted, as ${told.as === "principal" ? "the signed-in caller" : "anonymous"}` : `refused: ${told.refusal}`);
  return lines.join("\n");
}

/** @type {(number: number, name?: string) => string} */
const named = (number, name) => (name ? `${number} (${name})` : `${number}`);

/**
 * @param {Check} made
 * @param {string} indent
 * @returns {string[]}
 */
function check({ requirement, held, because, within = [] }, indent) {
  const answer = held === null ? "?" : held ? "yes" : "no";
  return [`${indent}${answer.padEnd(4)}${requirement}: ${because}`, ...within.flatMap((one) => check(one, `${indent}    `))];
}
