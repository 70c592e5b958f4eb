// `npm run admin -- profile …`: deployments with an API token each, in a file that only its owner can read.
import { ask, Misuse, Refused } from "./ask.mjs";
import { runCommand, say } from "./command-group.mjs";
import { LOCAL, LOCAL_URL, profilesFile, readProfiles, tryPlace, writeProfiles } from "./place.mjs";
import { askSecret } from "./prompt.mjs";
import { StepFailed } from "./step.mjs";
import { table } from "./table.mjs";

/** @typedef {{ word: string, json?: boolean, url?: string, endpoints?: string, default?: boolean, replace?: boolean, unchecked?: boolean }} Given */

const TEXT = /** @type {const} */ ({ type: "string" });
const FLAG = /** @type {const} */ ({ type: "boolean" });

/** @type {{ [name: string]: import("./command-group.mjs").Command<Given> }} */
const COMMANDS = {
  add: {
    takes: "<name>",
    about: "keep the URL and an API token of a deployment",
    options: { url: TEXT, endpoints: TEXT, default: FLAG, replace: FLAG, unchecked: FLAG },
    help: `  --url <url>          a site of the deployment, such as https://app.example.com
  --endpoints <path>   the site's setting \`endpoints\`, if it has one
  --default            make it the default profile; the first profile always is
  --replace            replace the profile of this name, for example with another token
  --unchecked          do not ask the deployment whether it accepts the token

The command asks for the token. Without a terminal it reads the token from standard input. It is never an argument, which
other users of this machine could read.`,
    run: add,
  },
  list: { about: "list the profiles; * is the default one", run: list },
  use: { takes: "<name>", about: `make a profile the default one; ${LOCAL} is that of \`npm run dev\``, run: use },
  remove: { takes: "<name>", about: "forget a profile; its token stays valid until you revoke it", run: remove },
};

const WHERE_PROFILES = `The profiles are in profiles.json in $XDG_CONFIG_HOME/edgeward, or in ~/.config/edgeward. \`--profile <name>\` uses one for any
command that calls the admin API. EDGEWARD_URL and EDGEWARD_API_TOKEN win over the default profile.`;

/**
 * Runs the command; returns its exit status.
 * @param {string[]} args
 */
export const runProfiles = (args) => runCommand({ group: "profile", commands: COMMANDS, where: WHERE_PROFILES }, args);

/** @param {Given} given */
async function add({ word: name, url: text, endpoints, default: isDefault, replace, unchecked, json }) {
  if (!/^[a-z0-9][\w.-]{0,63}$/i.test(name)) throw new Misuse(`${name} is not a name of a profile: letters, digits, dots, dashes and underscores`);
  if (name === LOCAL) throw new Misuse(`${LOCAL} is the deployment of \`npm run dev\` and cannot be added`);
  const url = checkedUrl(text);
  if (Object.hasOwn(readProfiles().profiles, name) && !replace) throw new StepFailed(`there is a profile ${name} already; --replace replaces it`);
  const token = (await askSecret(`API token of ${url}`)).trim();
  if (!/^ewt_[\w-]+$/.test(token)) throw new StepFailed("this is not an API token, which begins with ewt_; nothing was changed");
  const profile = { url, token, ...(endpoints === undefined ? {} : { endpoints }) };
  if (!unchecked) await check(name, profile);
  // Read once more: another command may have written the file while a person was typing.
  const { default: usual, profiles } = readProfiles();
  const chosen = isDefault ? name : (usual ?? (Object.keys(profiles).length === 0 ? name : undefined));
  writeProfiles({ default: chosen, profiles: { ...profiles, [name]: profile } });
  const told = chosen === name ? ` It is the default one; \`profile use ${LOCAL}\` goes back to \`npm run dev\`.` : ` Use it with --profile ${name}.`;
  say({ json }, { name, url, default: chosen === name }, `The profile ${name} of ${url} is in ${profilesFile()}.${told}`);
}

/** @param {string | undefined} text */
function checkedUrl(text) {
  if (text === undefined) throw new Misuse("--url is missing");
  const url = URL.parse(text);
  if (url === null || !["https:", "http:"].includes(url.protocol) || url.username || url.search || url.hash) {
    throw new Misuse(`${text} is not the URL of a site, such as https://app.example.com`);
  }
  const isHere = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  if (url.protocol === "http:" && !isHere) throw new Misuse(`${text} has no https: everybody on the way could read the API token`);
  return url.href.replace(/\/$/, "");
}

/**
 * Asks the deployment whether it accepts the token. A token that lacks the scope of this call is accepted, too.
 * @param {string} name
 * @param {import("./place.mjs").Profile} profile
 */
async function check(name, profile) {
  tryPlace(name, profile);
  try {
    await ask({ method: "GET", path: "/api/sso/users?limit=1", gives: "users" });
  } catch (error) {
    if (error instanceof Refused && error.code === "insufficient_scope") return;
    if (error instanceof StepFailed) error.message += "\n  Nothing was changed; --unchecked keeps the profile without asking";
    throw error;
  }
}

/** @param {Given} given */
async function list({ json }) {
  const { default: usual, profiles } = readProfiles();
  const all = [
    ...Object.entries(profiles).map(([name, { url, endpoints }]) => ({ name, url, endpoints })),
    { name: LOCAL, url: LOCAL_URL, endpoints: undefined },
  ];
  const shown = all.map((one) => ({ ...one, default: one.name === (usual ?? LOCAL) }));
  const rows = shown.map((one) => [one.default ? "*" : "", one.name, one.url]);
  say({ json }, shown, table(["", "name", "url"], rows));
}

/** @param {Given} given */
async function use({ word: name, json }) {
  const { profiles } = readProfiles();
  if (name !== LOCAL && !Object.hasOwn(profiles, name)) throw new StepFailed(`there is no profile ${name}; \`profile list\` lists them`);
  writeProfiles({ default: name, profiles });
  say({ json }, { name }, `The default is ${name === LOCAL ? "the deployment of `npm run dev`" : `${name}, ${profiles[name].url}`}.`);
}

/** @param {Given} given */
async function remove({ word: name, json }) {
  const { default: usual, profiles } = readProfiles();
  if (!Object.hasOwn(profiles, name)) throw new StepFailed(`there is no profile ${name}; \`profile list\` lists them`);
  const { [name]: gone, ...rest } = profiles;
  // No other profile takes its place by itself: a command must not act on another deployment than before.
  writeProfiles({ default: usual === name ? LOCAL : usual, profiles: rest });
  const now = usual === name ? " The default is now the deployment of `npm run dev`." : "";
  say({ json }, { name, url: gone.url }, `The profile ${name} is forgotten. Its API token stays valid at ${gone.url} until you revoke it.${now}`);
}
