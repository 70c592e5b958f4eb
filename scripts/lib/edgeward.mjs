// What `npx edgeward` does: each command is that of the repository, over the Worker that the package brings along.
import { didYouMean } from "./did-you-mean.mjs";
import { versions } from "./version.mjs";

/** @type {{ [name: string]: { about: string, run: (args: string[]) => Promise<number> } }} */
const COMMANDS = {
  init: { about: "write wrangler.toml and secrets for this machine into this folder", run: async (args) => (await import("./init.mjs")).init(args) },
  dev: { about: "run Edgeward on this machine, in front of your application: --upstream <url>", run: async (args) => (await import("./dev.mjs")).dev(args) },
  "check-config": {
    about: "report every error of the settings in wrangler.toml",
    run: async (args) => (await import("./check-config.mjs")).runCheckConfig(args),
  },
  deploy: { about: "deploy to Cloudflare; with --dry-run, say what is missing", run: async (args) => (await import("./deploy.mjs")).deploy(args) },
  admin: { about: "users, API tokens, secrets, services, the audit log: admin --help", run: admin },
  explain: { about: "what the rules decide about a request, and why", run: (args) => admin(["explain", ...args]) },
  try: { about: "how a deployment verifies a credential, check by check", run: (args) => admin(["try", ...args]) },
  wrangler: {
    about: "Cloudflare's own command, on a Node that it accepts: wrangler login",
    run: async (args) => (await import("./wrangler.mjs")).runWrangler(args),
  },
  "upgrade-config": {
    about: "say what this version asks of wrangler.toml; with --write, add it",
    run: async (args) => (await import("./upgrade-config.mjs")).upgradeConfig(args),
  },
};

/** @param {string[]} args */
async function admin(args) {
  return (await import("./commands.mjs")).runAdmin(args);
}

const HELP = `Usage: npx edgeward <command> [options]

${Object.entries(COMMANDS)
  .map(([name, { about }]) => `  ${name.padEnd(16)}${about}`)
  .join("\n")}

  --version       print the version, and which build of the Worker it deploys
  --help          with a command: show its options

The commands work in the folder in which they run: it has your wrangler.toml.`;

/**
 * Runs a command; returns its exit status.
 * @param {string[]} args
 */
export async function edgeward([name, ...rest]) {
  if (name === "--version" || name === "--help") {
    console.log(name === "--version" ? versions() : HELP);
    return 0;
  }
  if (name !== undefined && Object.hasOwn(COMMANDS, name)) {
    // As after `npm run`, where it keeps npm from taking the options; `--` alone ends none of ours.
    const [first] = rest;
    return COMMANDS[name].run(first === "--" ? rest.slice(1) : rest);
  }
  const why = name === undefined ? "the command is missing" : `there is no command ${name}${didYouMean(name, Object.keys(COMMANDS))}`;
  process.stderr.write(`error: ${why}\n\n${HELP}\n`);
  return 2;
}
