// A stand-in for the wrangler command: the few `kv` subcommands that edgeward-admin uses, over the KV
// namespace of a test's world. Run as a program it asks the test, which listens at EDGEWARD_TEST_KV.

import { readFileSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";

const USAGE = {
  "kv key list": 0,
  "kv key get": 1,
  "kv bulk put": 1,
  "kv bulk delete": 1,
};

/**
 * Serves a world's KV to the stand-in: `{ env, asked, stop }`, where `env` is what edgeward-admin needs and `asked` the
 * commands so far.
 */
export async function serveKv(world) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { command, key, entries } = JSON.parse(Buffer.concat(chunks));
    asked.push(command);
    const kv = await world.kv;
    const answers = {
      "kv key list": async () =>
        JSON.stringify(
          (await world.kvEntries()).map(([name]) => ({ name })),
          null,
          2,
        ),
      "kv key get": async () => kv.get(key),
      "kv bulk put": async () => void (await Promise.all(entries.map(({ key, value }) => kv.put(key, value)))),
      "kv bulk delete": async () => void (await Promise.all(entries.map((key) => kv.delete(key)))),
    };
    const found = await answers[command]();
    response.writeHead(found === null ? 404 : 200).end(found ?? "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    env: {
      EDGEWARD_WRANGLER: JSON.stringify([process.execPath, fileURLToPath(import.meta.url)]),
      EDGEWARD_TEST_KV: `http://127.0.0.1:${server.address().port}/`,
    },
    asked,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** Checks the arguments as strictly as wrangler would, and does what they say. */
async function main(args) {
  const command = args.splice(0, 3).join(" ");
  if (!(command in USAGE)) throw new Error(`unknown command: ${command}`);
  const positional = args.splice(0, USAGE[command]);
  const flags = new Map();
  while (args.length) {
    const flag = args.shift();
    if (!["--binding", "--env", "--local", "--remote", "--text", "--force"].includes(flag)) throw new Error(`unknown argument: ${flag}`);
    flags.set(flag, ["--binding", "--env"].includes(flag) ? args.shift() : true);
  }
  if (flags.get("--binding") !== "EDGEWARD_KV") throw new Error("no such binding");
  if (flags.has("--local") === flags.has("--remote")) throw new Error("--local or --remote");
  if (command === "kv bulk delete" && !flags.has("--force")) throw new Error("wrangler would ask and wait");
  const entries = command.startsWith("kv bulk") ? JSON.parse(readFileSync(positional[0], "utf8")) : undefined;
  const answer = await fetch(process.env.EDGEWARD_TEST_KV, { method: "POST", body: JSON.stringify({ command, key: positional[0], entries }) });
  if (!answer.ok) throw new Error("no such key");
  process.stdout.write(await answer.text());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
}
