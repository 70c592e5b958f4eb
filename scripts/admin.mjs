// `npm run admin -- …`: commands that call the admin API, and the native tool (src/bin/edgeward-admin/), which calls wrangler.
import { start } from "./lib/start.mjs";

/** @type {{ [name: string]: (args: string[]) => Promise<number> }} */
const COMMANDS = {
  user: async (args) => (await import("./lib/users.mjs")).runUsers(args),
  key: async (args) => (await import("./lib/keys.mjs")).runKeys(args),
  service: async (args) => (await import("./lib/services.mjs")).runServices(args),
  "import-django-sso": async (args) => (await import("./lib/import-django-sso.mjs")).runImport(args),
  try: async (args) => (await import("./lib/try.mjs")).runTry(args),
  explain: async (args) => (await import("./lib/explain.mjs")).runExplain(args),
};

await start(["rust", "npm"], async (args) => {
  // Options may precede the command, as with the native tool.
  let index = 0;
  while (args[index]?.startsWith("--")) index += args[index] === "--env" ? 2 : 1;
  const name = args[index];
  const run = Object.hasOwn(COMMANDS, name ?? "") ? COMMANDS[name] : undefined;
  process.exitCode = run ? await run([...args.slice(index + 1), ...args.slice(0, index)]) : await (await import("./lib/admin.mjs")).runAdmin(args);
});
