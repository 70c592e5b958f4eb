// `npm run admin -- try`: how a deployment verifies a credential, check by check, and what it understands of an issuer's keys.
// The deployment's own verification answers; nothing is verified here.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ask, Misuse, Refused, orUsage, WHERE } from "./ask.mjs";
import { messageOf, StepFailed } from "./step.mjs";

const USAGE = `Usage: npm run admin -- try --token-file <file> [options]
       npm run admin -- try --issuer <name> [--json]

Tells how the deployment verifies a credential: each check with its outcome, in order. Uses up no link, and changes nothing.
The credential is read from the file, or from standard input with "-", never from an argument: those stay in the shell's history.

  --token-file <file>  the file with the credential
  --site <name>        the site at which it is presented [default: that of EDGEWARD_URL]
  --source <source>    where: bearer, session, sso_cookie, query, header or api_key [default: bearer]
  --path <path>        the path of the request [default: the first page of the site]
  --host <host>        the host of the request, if the site has several [default: its first]
  --tenant <name>      the value of the site's tenant header
  --issuer <name>      instead of a credential: fetches discovery and keys of this issuer or provider, and shows what is taken of
                       them; the name is that of its table, in lower case
  --json               print JSON for programs

Ends with status 0 if the credential is accepted or the issuer has a usable key, with 1 if not, and with 2 on a usage error.
${WHERE("scope admin")}`;

/** More than any credential that is accepted. */
const MAX_BYTES = 16 * 1024;

/** @typedef {{ check: string, passed: boolean | null, because?: string }} CheckOutcome */
/** @typedef {{ source: string, kind: string, issuer?: string, alg?: string, typ?: string, kid?: string }} Described */
/**
 * @typedef {object} Tried
 * @property {string} site
 * @property {string} path
 * @property {string} credential
 * @property {Described} [presented]
 * @property {CheckOutcome[]} [checks]
 * @property {string | null} [user]
 * @property {boolean} [creates_user]
 * @property {boolean | null} granted
 * @property {string | null} [refusal]
 */
/** @typedef {{ kid: string | null, taken: boolean, algorithms?: string[], because?: string }} Key */
/**
 * @typedef {object} IssuerTold
 * @property {string} issuer
 * @property {string[]} iss
 * @property {string[]} audience
 * @property {string[]} algorithms
 * @property {string} keys_from
 * @property {boolean} usable
 * @property {string} [host]
 * @property {string} [error]
 * @property {number} [taken]
 * @property {number} [left_out]
 * @property {Key[]} [keys]
 */

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export function runTry(args) {
  return orUsage(USAGE, async () => {
    const { json, help, issuer, "token-file": file, ...rest } = readOptions(args);
    if (help) {
      console.log(USAGE);
      return 0;
    }
    if ((issuer === undefined) === (file === undefined)) throw new Misuse("name either --token-file or --issuer");
    if (file === undefined) {
      if (Object.keys(rest).length > 0) throw new Misuse(`--issuer takes no --${Object.keys(rest)[0]}`);
      const told = /** @type {IssuerTold} */ (await explain({ issuer }, "keys_from").catch(unknownIssuer(issuer)));
      console.log(json ? JSON.stringify(told) : issuerText(told));
      return told.usable ? 0 : 1;
    }
    const told = /** @type {Tried} */ (await explain({ ...rest, token: readCredential(file) }, "credential"));
    console.log(json ? JSON.stringify(told) : text(told));
    return told.credential === "accepted" ? 0 : 1;
  });
}

/** @param {string | undefined} issuer */
const unknownIssuer = (issuer) => (/** @type {unknown} */ error) => {
  if (!(error instanceof Refused && error.code === "not_found")) throw error;
  throw new StepFailed(`no site uses an issuer or a provider ${issuer}
  The name is that of its table, in lower case: "id" for EDGEWARD_PROVIDER_ID`);
};

/** @param {string[]} args */
function readOptions(args) {
  if (args.some((arg) => arg === "--token" || arg.startsWith("--token="))) {
    throw new Misuse('a credential on the command line stays in the shell\'s history: use --token-file, with "-" for standard input');
  }
  const text = /** @type {const} */ ({ type: "string" });
  const flag = /** @type {const} */ ({ type: "boolean" });
  const options = { "token-file": text, site: text, source: text, path: text, host: text, tenant: text, issuer: text, json: flag, help: flag };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new Misuse(messageOf(error));
  }
}

/** @param {string} file */
function readCredential(file) {
  /** @type {string} */
  let credential;
  try {
    credential = readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch (error) {
    throw new StepFailed(`--token-file: ${messageOf(error)}`);
  }
  if (credential === "") throw new StepFailed(`--token-file: ${file} is empty`);
  if (credential.length > MAX_BYTES) throw new StepFailed(`--token-file: ${file} is longer than any credential`);
  return credential;
}

/**
 * @param {object} body
 * @param {string} gives
 */
const explain = (body, gives) => ask({ method: "POST", path: "/api/sso/explain", gives, body, changes: false });

/**
 * A text of others as a terminal may show it.
 * @param {unknown} value
 */
const plain = (value) => String(value).replace(/[^\x20-\x7e]/g, "?");

/**
 * The outcome of each check as text for people; the last line has the verdict.
 * @param {Tried} told
 */
export function text({ site, credential, presented, checks = [], user, creates_user, granted, refusal, path }) {
  const lines = [];
  if (presented) {
    const { source, kind, issuer, ...header } = presented;
    const named = Object.entries(header).map(([name, value]) => `${name} ${plain(value)}`);
    lines.push(`presented at site ${site} as ${source}: ${kind.replaceAll("_", " ")}${issuer ? ` of ${issuer}` : ""}`);
    if (named.length > 0) lines.push(`  its header, unverified: ${named.join(", ")}`);
  }
  for (const { check, passed, because } of checks) {
    const outcome = passed === null ? "-" : passed ? "ok" : "FAILED";
    const reason = passed === null ? " (not made)" : because ? `: ${because}` : "";
    lines.push(`  ${outcome.padEnd(8)}${check.replaceAll("_", " ")}${reason}`);
  }
  if (credential !== "accepted") return [...lines, credential].join("\n");
  if (granted === false) lines.push(`  a request for ${plain(path)} is refused all the same: ${refusal}`);
  return [...lines, `accepted: it stands for ${creates_user ? "a new user, whom its first request creates" : user}`].join("\n");
}

/**
 * What is understood of an issuer as text for people; the last line has the verdict.
 * @param {IssuerTold} told
 */
export function issuerText({ issuer, iss, audience, algorithms, keys_from, host, error, keys, taken, left_out, usable }) {
  const lines = [`issuer ${issuer}: iss ${iss.join(", ")}; aud ${audience.join(" or ")}; algorithms ${algorithms.join(", ")}`];
  lines.push(`  keys from ${keys_from}${host ? ` at ${plain(host)}` : ""}`);
  for (const key of keys ?? []) {
    const name = key.kid === null ? "(no kid)" : plain(key.kid);
    lines.push(`  ${(key.taken ? "taken" : "left out").padEnd(10)}${name}: ${key.taken ? key.algorithms?.join(", ") : key.because}`);
  }
  if (error !== undefined) return [...lines, `no keys: ${error}`].join("\n");
  if (keys === undefined) return [...lines, "usable: the keys are in the configuration"].join("\n");
  return [...lines, `${usable ? "usable" : "no usable key"}: ${taken} taken, ${left_out} left out`].join("\n");
}
