// A stand-in for the wrangler command: the few `kv` subcommands that the commands use, over the KV
// namespace of a test's world. Run as a program it asks the test, which listens at EDGEWARD_TEST_KV.

import { readFileSync } from "node:fs";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../scripts/lib/step.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { Kv, World } from "./world.mjs" */
/** @typedef {Awaited<ReturnType<typeof serveKv>>} KvServer */

/**
 * What the stand-in asks: `put` is what `kv bulk put` puts, `deleted` are the keys that `kv bulk delete` deletes.
 * @typedef {{ command: string, key: string, put: { key: string, value: string }[], deleted: string[] }} Command
 */

/** @type {Record<string, number>} */
const USAGE = {
  "kv key list": 0,
  "kv key get": 1,
  "kv bulk put": 1,
  "kv bulk delete": 1,
};

/**
 * Serves a world's KV to the stand-in: `{ env, asked, stop }`, where `env` is what the commands need and `asked` the
 * commands so far.
 * @param {{ kv: Promise<Pick<Kv, "get" | "put" | "delete">>, kvEntries: World["kvEntries"] }} world
 */
export async function serveKv(world) {
  /** @type {string[]} */
  const asked = [];
  const server = http.createServer(async (request, response) => {
    /** @type {Buffer[]} */
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { command, key, put, deleted } = /** @type {Command} */ (JSON.parse(Buffer.concat(chunks).toString()));
    asked.push(command);
    const kv = await world.kv;
    /** @type {Record<string, () => Promise<string | null | undefined>>} */
    const answers = {
      "kv key list": async () =>
        JSON.stringify(
          (await world.kvEntries()).map(([name]) => ({ name })),
          null,
          2,
        ),
      "kv key get": async () => kv.get(key),
      "kv bulk put": async () => void (await Promise.all(put.map(({ key, value }) => kv.put(key, value)))),
      "kv bulk delete": async () => void (await Promise.all(deleted.map((key) => kv.delete(key)))),
    };
    const found = await answers[command]();
    response.writeHead(found === null ? 404 : 200).end(found ?? "");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    env: {
      EDGEWARD_WRANGLER: JSON.stringify([process.execPath, fileURLToPath(import.meta.url)]),
      EDGEWARD_TEST_KV: `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}/`,
    },
    asked,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

/**
 * Checks the arguments as strictly as wrangler would, and does what they say.
 * @param {string[]} args
 */
async function main(args) {
  const command = args.splice(0, 3).join(" ");
  if (!(command in USAGE)) throw new Error(`unknown command: ${command}`);
  const positional = args.splice(0, USAGE[command]);
  const flags = new Map();
  while (args.length) {
    const flag = args.shift() ?? "";
    if (!["--binding", "--env", "--local", "--remote", "--text", "--force"].includes(flag)) throw new Error(`unknown argument: ${flag}`);
    flags.set(flag, ["--binding", "--env"].includes(flag) ? args.shift() : true);
  }
  if (flags.get("--binding") !== "EDGEWARD_KV") throw new Error("no such binding");
  if (flags.has("--local") === flags.has("--remote")) throw new Error("--local or --remote");
  if (command === "kv bulk delete" && !flags.has("--force")) throw new Error("wrangler would ask and wait");
  const entries = command.startsWith("kv bulk") ? JSON.parse(readFileSync(positional[0], "utf8")) : undefined;
  const [put, deleted] = command === "kv bulk put" ? [entries, undefined] : [undefined, entries];
  const body = JSON.stringify({ command, key: positional[0], put, deleted });
  const answer = await fetch(process.env.EDGEWARD_TEST_KV ?? "", { method: "POST", body });
  if (!answer.ok) throw new Error("no such key");
  process.stdout.write(await answer.text());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2)).catch((error) => {
    console.error(messageOf(error));
    process.exit(1);
  });
}
