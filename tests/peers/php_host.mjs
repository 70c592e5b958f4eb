// One PHP file behind a small HTTP server, as `php -S <address> <file>` serves it: one request at a time. PHP runs in
// WebAssembly, since no package registry of ours has it as a program.
//
// `node php_host.mjs <port> <file> <folder> <settings as JSON>`: PHP sees `folder` as /data, and the settings as its
// environment. Prints a line when it listens.

import { readFileSync } from "node:fs";
import http from "node:http";
import { createNodeFsMountHandler, loadNodeRuntime } from "@php-wasm/node";
import { PHP, setPhpIniEntries } from "@php-wasm/universal";

const [, , port, file, folder, settings] = process.argv;

const php = new PHP(await loadNodeRuntime("8.4", { emscriptenOptions: { processId: 1, ENV: JSON.parse(settings) } }));
await php.mount("/data", createNodeFsMountHandler(folder));
php.mkdir("/data/sessions");
await setPhpIniEntries(php, { "session.save_path": "/data/sessions" });
php.mkdir("/service");
php.writeFile("/service/service.php", readFileSync(file));

/** @type {Promise<unknown>} */
let last = Promise.resolve();

const server = http.createServer(async (request, response) => {
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const before = last;
  const { promise, resolve } = /** @type {PromiseWithResolvers<void>} */ (Promise.withResolvers());
  last = promise;
  await before;
  try {
    const answer = await php.run({
      scriptPath: "/service/service.php",
      relativeUri: request.url ?? "/",
      method: request.method ?? "GET",
      headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
      body: new Uint8Array(Buffer.concat(chunks)),
      $_SERVER: { REMOTE_ADDR: "127.0.0.1" },
    });
    if (answer.errors) process.stderr.write(answer.errors);
    for (const [name, values] of Object.entries(answer.headers)) response.setHeader(name, values);
    response.writeHead(answer.httpStatusCode).end(answer.bytes);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  } finally {
    resolve();
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
