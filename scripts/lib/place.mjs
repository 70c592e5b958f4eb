// Which deployment the commands call that use the admin API: the one that the environment names, a profile, or that of
// `npm run dev`. URL and token always come from the same place, so no deployment is sent the token of another one.
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { here } from "./project.mjs";
import { codeOf, messageOf, StepFailed } from "./step.mjs";

export const LOCAL_URL = "http://127.0.0.1:8787";
/** The name of the deployment of `npm run dev`, which is in no file. */
export const LOCAL = "local";

/** A command with wrong arguments: it ends with status 2. */
export class Misuse extends Error {}

/** @typedef {{ url: string, token: string, endpoints?: string }} Profile */
/** @typedef {{ default?: string, profiles: { [name: string]: Profile } }} Profiles */
/**
 * @typedef {object} Place
 * @property {string} url
 * @property {string} [endpoints] The site's setting `endpoints`, if it is not the usual one.
 * @property {string} [token]
 * @property {"environment" | "profile" | "local"} kind
 * @property {string} urlIs What names the URL, for messages; empty if nothing does.
 */

/** The profile that `--profile` names. @type {string | undefined} */
let chosen;

/**
 * Takes `--profile <name>` out of the arguments: it may be at any place, as it concerns every command.
 * @param {string[]} args
 * @returns {{ args: string[], profile?: string }}
 */
export function takeProfile(args) {
  const index = args.findIndex((word) => word === "--profile" || word.startsWith("--profile="));
  if (index < 0 || args.slice(0, index).includes("--")) return { args };
  const isApart = args[index] === "--profile";
  const profile = isApart ? args[index + 1] : args[index].slice("--profile=".length);
  if (!profile || profile.startsWith("-")) throw new StepFailed("--profile needs a name; `npm run admin -- profile list` lists them");
  chosen = profile;
  const rest = args.toSpliced(index, isApart ? 2 : 1);
  if (takeProfile(rest).profile !== undefined) throw new StepFailed("--profile is given twice");
  return { args: rest, profile };
}

/** @type {Place | undefined} */
let known;

/** The deployment to call, the same one for all calls of a command. */
export function place() {
  known ??= find();
  return known;
}

/**
 * Variables of the environment win over the default profile; together with `--profile` they are
 * an error, since one of the two is meant for another deployment.
 * @returns {Place}
 */
function find() {
  const { EDGEWARD_URL: url, EDGEWARD_API_TOKEN: token, EDGEWARD_ENDPOINTS: endpoints } = process.env;
  if (url || token) {
    const set = url ? "EDGEWARD_URL" : "EDGEWARD_API_TOKEN";
    if (chosen !== undefined) throw new Misuse(`--profile ${chosen}, but ${set} is set and names another deployment: unset it, or leave --profile out`);
    return { url: url || LOCAL_URL, token: token || undefined, endpoints, kind: "environment", urlIs: url ? "EDGEWARD_URL" : "" };
  }
  if (chosen !== LOCAL) {
    const { default: usual, profiles } = readProfiles();
    const name = chosen ?? usual;
    if (name !== undefined) {
      const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
      if (found === undefined) throw new StepFailed(`there is no profile ${name}\n  \`npm run admin -- profile list\` lists them, \`profile add\` adds one`);
      return { ...found, endpoints: endpoints || found.endpoints, kind: "profile", urlIs: `The profile ${name}` };
    }
  }
  const file = here(".edgeward/dev.json");
  const made = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).token : undefined;
  return { url: LOCAL_URL, token: made, endpoints, kind: "local", urlIs: "" };
}

/** Whether anything names a deployment with an API token. */
export const isNamed = () => place().token !== undefined;

/** The profile that `--profile` names. */
export const chosenProfile = () => chosen;

/** The file of the profiles. */
export function profilesFile() {
  const given = process.env.XDG_CONFIG_HOME;
  // A relative one is to be ignored, by the XDG Base Directory Specification.
  return path.join(given && path.isAbsolute(given) ? given : path.join(homedir(), ".config"), "edgeward", "profiles.json");
}

/**
 * The profiles; refuses a file that anybody else can read or write.
 * @returns {Profiles}
 */
export function readProfiles() {
  const file = profilesFile();
  const text = readPrivate(file);
  if (text === undefined) return { profiles: {} };
  /** @type {Partial<Profiles> | null} */
  let told;
  try {
    told = JSON.parse(text);
  } catch (error) {
    throw new StepFailed(`${file} is not JSON: ${messageOf(error)}`);
  }
  const { default: usual, profiles } = told ?? {};
  const isProfile = (/** @type {unknown} */ one) => {
    const { url, token, endpoints = "" } = /** @type {{ [member: string]: unknown }} */ (one ?? {});
    return [url, token, endpoints].every((member) => typeof member === "string");
  };
  if (!profiles || typeof profiles !== "object" || !Object.values(profiles).every(isProfile) || !["string", "undefined"].includes(typeof usual)) {
    throw new StepFailed(`${file} is not a file of profiles: it needs {"profiles": {"<name>": {"url": …, "token": …}}}`);
  }
  return { default: usual, profiles };
}

/**
 * Reads a file with secrets, and checks the very file that it reads. `undefined` if there is none.
 * @param {string} file
 */
function readPrivate(file) {
  /** @type {number} */
  let opened;
  try {
    opened = openSync(file, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new StepFailed(`${file} cannot be read: ${messageOf(error)}`);
  }
  try {
    const { mode, uid } = fstatSync(opened);
    if (process.getuid !== undefined && (mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8);
      throw new StepFailed(`${file} has API tokens, and its mode ${shown} lets others read or change it\n  Run: chmod 600 '${file.replaceAll("'", `'\\''`)}'`);
    }
    if (process.getuid !== undefined && uid !== process.getuid()) throw new StepFailed(`${file} belongs to another user`);
    return readFileSync(opened, "utf8");
  } finally {
    closeSync(opened);
  }
}

/**
 * Writes the profiles beside the old file and moves them into place, so that an interrupted write loses nothing.
 * @param {Profiles} profiles
 */
export function writeProfiles(profiles) {
  const file = profilesFile();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const beside = `${file}.${process.pid}`;
  try {
    writeFileSync(beside, `${JSON.stringify(profiles, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new StepFailed(`${file} cannot be written: ${messageOf(error)}`);
  }
}

/**
 * Calls this deployment from now on, whatever else is named: for a profile that is about to be kept.
 * @param {string} name
 * @param {Profile} profile
 */
export function tryPlace(name, profile) {
  known = { ...profile, kind: "profile", urlIs: `The profile ${name}` };
}
