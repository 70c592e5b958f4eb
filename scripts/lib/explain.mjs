// `npm run admin -- explain`: what the rules of a site say of a request, and why. With a token the deployment is asked,
// which alone can verify it; without one the core answers here, by wrangler.toml as it is now.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ask } from "./ask.mjs";
import { configuration, core, readToml } from "./check-config.mjs";
import { effectiveConfig } from "./effective-config.mjs";
import { messageOf, StepFailed } from "./step.mjs";

const USAGE = `Usage: npm run admin -- explain --path <path> [options]

  --site <name>      which site; may be left out when there is one
  --path <path>      the path that is asked for
  --method <method>  the method [default: GET]
  --host <host>      which of the site's hosts [default: the first]
  --preflight        a CORS preflight for that method
  --address <ip>     where the client is
  --country <code>   its country
  --json             print JSON for programs

Who is asking; without any of these, nobody:
  --token <token>    whoever this credential stands for. Asks the deployment: EDGEWARD_URL and EDGEWARD_API_TOKEN
                     (scope admin) say which; without them it is the one of \`npm run dev\`
  --source <source>  where it is presented: bearer, session, sso_cookie or query [default: bearer]
  --caller <json>    somebody imagined: {"email", "roles", "scopes", "claims", "tenant", "workspace"}, all optional

Without --token the rules are those of wrangler.toml as it is now, deployed or not:
  --remote           those of its top level [default: of the environment local]
  --env <name>       those of another environment
  --file <file>      those of another file
  --cases <file>     many questions at once: a JSON list of objects with the names above, without dashes; where one has
                     "granted", the answer must be that. Ends with status 1 when one is not`;

/** @typedef {{ requirement: string, held: boolean | null, because: string, within?: Check[] }} Check */
/**
 * What the core says of a question.
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
 */
/**
 * @typedef {{ site?: string, path?: string, method?: string, host?: string, preflight?: boolean, address?: string, country?: string }} Question
 * @typedef {{ token?: string, source?: string, caller?: string, env?: string, file?: string, cases?: string, json?: boolean, remote?: boolean, help?: boolean }} Rest
 * @typedef {Question & Rest} Options
 */

const OPTIONS = {
  ...Object.fromEntries(
    ["site", "path", "method", "host", "address", "country", "token", "source", "caller", "env", "file", "cases"].map((name) => [
      name,
      /** @type {const} */ ({ type: "string" }),
    ]),
  ),
  ...Object.fromEntries(["preflight", "json", "remote", "help"].map((name) => [name, /** @type {const} */ ({ type: "boolean" })])),
};
const OF_THE_QUESTION = /** @type {const} */ (["site", "path", "method", "host", "preflight", "address", "country"]);

/**
 * Runs the command; answers its exit status.
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
  if (caller !== undefined) throw new StepFailed("--token and --caller are two answers to one question");
  const body = { ...question, token, ...(source ? { source } : {}) };
  return /** @type {Told} */ (await ask({ method: "POST", path: "/api/sso/explain", gives: "granted", body }));
}

/**
 * @param {Options} values
 * @param {Question} question
 */
async function offline(values, question) {
  if (values.source !== undefined) throw new StepFailed("--source says where --token is presented");
  const caller = values.caller === undefined ? undefined : json("--caller", values.caller);
  const [told] = await answers(values, [{ ...question, ...(caller === undefined ? {} : { caller }) }]);
  return told;
}

/**
 * @param {Options} options
 * @param {object[]} questions
 * @returns {Promise<Told[]>}
 */
async function answers({ file, env, remote }, questions) {
  const name = env ?? (remote ? "" : "local");
  const given = configuration(effectiveConfig(readToml(file), name), name);
  return JSON.parse(await core("explain", { ...given, questions }));
}

/** @param {Options & { cases: string }} values */
async function runCases(values) {
  const questions = json(values.cases, readFileSync(values.cases, "utf8"));
  if (!Array.isArray(questions)) throw new StepFailed(`${values.cases} is no list`);
  const told = await answers(
    values,
    questions.map(({ granted, ...question }) => question),
  );
  if (values.json) console.log(JSON.stringify(told));
  const wrong = told.filter((one, index) => (questions[index].granted ?? one.granted) !== one.granted);
  for (const one of wrong) console.error(`${text(one)}\n  but this was to be ${one.granted ? "refused" : "granted"}\n`);
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
    throw new StepFailed(`${name} is no JSON: ${messageOf(error)}`);
  }
}

/**
 * An answer for people.
 * @param {Told} told
 */
export function text(told) {
  const lines = [`${told.method} ${told.host}${told.path ?? ""} at site ${told.site}, credential: ${told.credential}`];
  for (const { rule, name, because } of told.passed_over ?? []) lines.push(`  rule ${named(rule, name)} is passed over: ${because}`);
  if (told.demands !== undefined) lines.push(told.rule === null ? `  ${told.demands}` : `  rule ${named(told.rule, told.name)} decides. ${told.demands}`);
  if (told.requirements) lines.push(...check(told.requirements, "    "));
  lines.push(told.granted ? `granted, as ${told.as === "principal" ? "whoever is signed in" : "nobody"}` : `refused: ${told.refusal}`);
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
