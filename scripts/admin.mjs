// `npm run admin -- …`: commands that call the admin API, and the native tool (src/bin/edgeward-admin/), which calls wrangler.
import { takeProfile } from "./lib/place.mjs";
import { start } from "./lib/start.mjs";

/** @type {{ [name: string]: (args: string[]) => Promise<number> }} */
const COMMANDS = {
  profile: async (args) => (await import("./lib/profiles.mjs")).runProfiles(args),
  token: async (args) => (await import("./lib/tokens.mjs")).runTokens(args),
  user: async (args) => (await import("./lib/users.mjs")).runUsers(args),
  key: async (args) => (await import("./lib/keys.mjs")).runKeys(args),
  audit: async (args) => (await import("./lib/audit.mjs")).runAudit(args),
  backup: async (args) => (await import("./lib/backup.mjs")).runBackup(args),
  service: async (args) => (await import("./lib/services.mjs")).runServices(args),
  "import-django-sso": async (args) => (await import("./lib/import-django-sso.mjs")).runImport(args),
  try: async (args) => (await import("./lib/try.mjs")).runTry(args),
  explain: async (args) => (await import("./lib/explain.mjs")).runExplain(args),
};

/** The commands of the native tool; those that begin with `check` and `facts` are for scripts. */
const NATIVE = /^(secret|schema|facts|check-.+|help|-.*)$/;

await start(["rust", "npm"], async (given) => {
  const { args, profile } = takeProfile(given);
  // Options may precede the command, as with the native tool.
  let index = 0;
  while (args[index]?.startsWith("--")) index += args[index] === "--env" ? 2 : 1;
  const name = args[index];
  const run = Object.hasOwn(COMMANDS, name ?? "") ? COMMANDS[name] : undefined;
  if (run) {
    process.exitCode = await run([...args.slice(index + 1), ...args.slice(0, index)]);
    return;
  }
  if (name !== undefined && !NATIVE.test(name)) {
    const { didYouMean } = await import("./lib/did-you-mean.mjs");
    const meant = didYouMean(name, [...Object.keys(COMMANDS), "secret", "schema"]);
    process.stderr.write(`error: there is no command ${name}${meant}\n\n\`npm run admin -- --help\` lists the commands.\n`);
    process.exitCode = 2;
    return;
  }
  const { runAdmin, refuseProfile } = await import("./lib/native.mjs");
  refuseProfile(profile);
  process.exitCode = await runAdmin(args);
});
