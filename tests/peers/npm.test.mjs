// npm's own client at a registry behind Edgeward. It asks for scoped packages with an escaped slash (`/@team%2fgreeting`).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startFront } from "../edge/lib/front.mjs";
import { startRegistry } from "./lib/registry.mjs";
import { newEmail, startWorld } from "../edge/lib/world.mjs";
import { npm, outsideNpm } from "../browser/lib/applications.mjs";

/** @import { Front } from "../edge/lib/front.mjs" */
/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Registry } from "./lib/registry.mjs" */

const NAME = "@team/greeting";

const run = promisify(execFile);
/** @type {string} */
let folder;
/** @type {Registry} */
let registry;
/** @type {World} */
let world;
/** @type {Site} */
let site;
/** @type {Front} */
let front;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-npm-"));
  registry = await startRegistry();
  world = await startWorld({
    sites: {
      APP: {
        upstream: registry.url,
        sources: ["bearer"],
        sso_cookie: undefined,
        query: undefined,
        rules: [
          // The second glob is for servers that keep the escaped slash, as registries do; the first for those that decode it.
          { glob: ["/@team/**", "/@team*"], method: "PUT", require: { role: "publisher" } },
          { prefix: "/", require: { authenticated: true } },
        ],
      },
    },
  });
  site = world.site("APP");
  front = await startFront(site);
});
after(async () => {
  await front?.stop();
  await world?.stop();
  await registry?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * A new folder with a package in it.
 * @param {object} manifest
 */
function project(manifest) {
  const place = mkdtempSync(path.join(folder, "project-"));
  writeFileSync(path.join(place, "package.json"), JSON.stringify(manifest));
  writeFileSync(path.join(place, "index.js"), 'module.exports = "hello";\n');
  return place;
}

/**
 * npm with `args`, signed in by `token` if there is one; answers what it wrote.
 * @param {string} place
 * @param {string | undefined} token
 * @param {...string} args
 */
async function call(place, token, ...args) {
  const registryUrl = `${front.url}/`;
  const auth = token === undefined ? "" : `${registryUrl.slice("http:".length)}:_authToken=${token}\n`;
  writeFileSync(
    path.join(place, ".npmrc"),
    `registry=${registryUrl}\n${auth}fetch-retries=0\naudit=false\nfund=false\nupdate-notifier=false\ncache=${path.join(place, "cache")}\n`,
  );
  const [program, ...first] = npm();
  try {
    return (await run(program, [...first, ...args], { cwd: place, env: outsideNpm() })).stdout;
  } catch (error) {
    return String(/** @type {{ stderr?: string }} */ (error).stderr);
  }
}

/** @param {string[]} roles */
async function personWith(roles) {
  const user = await site.createUser({ email: newEmail(), roles });
  return site.issue(user.email);
}

test("P1: npm publishes a scoped package, shows it and installs it, and the registry gets the path as npm wrote it", async () => {
  const publisher = await personWith(["publisher"]);
  const place = project({ name: NAME, version: "1.0.0", main: "index.js" });
  assert.match(await call(place, publisher, "publish", "--access", "public"), /\+ @team\/greeting@1\.0\.0/);
  assert.ok(registry.requests.includes("PUT /@team%2fgreeting"), registry.requests.join("\n"));

  const reader = await personWith([]);
  const other = project({ name: "application", version: "1.0.0" });
  assert.equal(JSON.parse(await call(other, reader, "view", NAME, "--json")).version, "1.0.0");
  await call(other, reader, "install", NAME);
  assert.equal(readFileSync(path.join(other, "node_modules", NAME, "index.js"), "utf8"), 'module.exports = "hello";\n');
  assert.ok(registry.requests.includes("GET /@team%2fgreeting"), registry.requests.join("\n"));
  assert.ok(
    registry.requests.some((line) => /^GET \/@team\/greeting\/-\/.*\.tgz$/.test(line)),
    registry.requests.join("\n"),
  );
});

test("P1: the rule for a scope holds for npm's spelling of it, and nobody reaches the registry without a token", async () => {
  const before = registry.requests.length;
  const place = project({ name: NAME, version: "2.0.0", main: "index.js" });
  assert.match(await call(place, await personWith([]), "publish", "--access", "public"), /E403/);
  assert.match(await call(place, undefined, "view", NAME), /E401/);
  const reached = registry.requests.slice(before).filter((line) => line.startsWith("PUT") || line.includes("%2f"));
  // npm looks at the published versions before it sends a new one.
  assert.deepEqual(
    reached.filter((line) => line !== "GET /@team%2fgreeting"),
    [],
  );
  const versions = JSON.parse(await call(place, await personWith([]), "view", NAME, "versions", "--json"));
  assert.deepEqual([versions].flat(), ["1.0.0"]);
});
