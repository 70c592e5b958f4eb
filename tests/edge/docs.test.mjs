// The configuration in the documents is one that the Worker accepts, and the calls are ones that it answers.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { readExample } from "./lib/examples.mjs";
import { startFront } from "./lib/front.mjs";
import { newSecret, startWorld } from "./lib/world.mjs";

/**
 * An issuer that an example names and another example describes.
 * @param {string} name
 */
const OTHER = (name) => ({ issuer: `https://${name}.example.com`, audience: "app", algorithms: ["ES256"], jwks_url: "https://id.example.com/jwks" });

/** What a site has that an example does not show. */
const PLAIN = { sources: ["bearer"], sso_cookie: undefined, query: undefined };

for (const file of ["docs/configuration.md", "docs/integrate.md", "docs/issuers.md"]) {
  const examples = [...readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").matchAll(/```toml\n([\s\S]*?)```/g)].map(([, text]) => text);
  test(`every configuration in ${file} works`, async () => {
    assert.ok(examples.length > 0);
    for (const example of examples) {
      const { EDGEWARD = {}, ...tables } = readExample(example).vars;
      /** @param {string} prefix */
      const of = (prefix) => Object.entries(tables).filter(([name]) => name.startsWith(prefix));
      const sites = Object.fromEntries(
        of("EDGEWARD_SITE_").map(([name, settings]) => [name.slice(14), { ...(file === "docs/issuers.md" ? PLAIN : {}), ...settings }]),
      );
      const issuers = Object.fromEntries(of("EDGEWARD_ISSUER_"));
      if (of("EDGEWARD_SITE_").length === 0) sites.APP = { issuers: Object.keys(issuers).map((name) => name.slice(16).toLowerCase()) };
      for (const { issuers: named = [], tenants } of Object.values(sites)) {
        for (const name of [...named, ...Object.values(tenants?.groups ?? {}).flatMap((group) => group.issuers ?? [])])
          issuers[`EDGEWARD_ISSUER_${name.toUpperCase()}`] ??= OTHER(name);
      }
      // Starting a world asks its health, and shows the log when that is bad.
      const world = await startWorld({ sites, edgeward: EDGEWARD, vars: { ...issuers, ORIGIN_KEY: "a-value-for-the-origin", PORTAL_SECRET: newSecret() } });
      await world.stop();
    }
  });
}

test("the shell lines in docs/admin-api.md run as they are, one after the other, and each call succeeds", async () => {
  const blocks = [...readFileSync(new URL("../../docs/admin-api.md", import.meta.url), "utf8").matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text);
  assert.ok(blocks.length > 20);
  assert.match(blocks[0], /^export EDGEWARD_URL=.*\nexport EDGEWARD_API_TOKEN=.*\n$/);
  const world = await startWorld({
    sites: { APP: { assertion: {} } },
    metrics: true,
    directory: true,
    vars: { EDGEWARD_GATEWAY: { hosts: ["gateway.example.test"] } },
    edgeward: { user_cache: 1 },
  });
  const front = await startFront(world.site());
  try {
    const env = { ...process.env, EDGEWARD_URL: front.url, EDGEWARD_API_TOKEN: await world.adminToken() };
    // With -e, a call that is refused ends the shell.
    // A token of the very second in which its user was signed out everywhere does not count.
    const lines = blocks.slice(1).map((block) => (block.includes("/api/sso/me") ? `sleep 2\n${block}` : block));
    const script = `curl() { command curl --fail-with-body "$@"; }\n${lines.join("\n")}`;
    await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], { env });
  } finally {
    await front.stop();
    await world.stop();
  }
});
