// The configuration in the documents is one that the Worker accepts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse as parseToml } from "smol-toml";
import { startWorld } from "./lib/world.mjs";

for (const file of ["README.md", "docs/integrate.md"]) {
  const examples = [...readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").matchAll(/```toml\n([\s\S]*?)```/g)].map(([, text]) => text);
  test(`every configuration in ${file} works`, async () => {
    assert.ok(examples.length > 0);
    for (const example of examples) {
      const { EDGEWARD = {}, ...tables } = parseToml(example).vars;
      const sites = Object.fromEntries(Object.entries(tables).map(([name, settings]) => [name.replace(/^EDGEWARD_SITE_/, ""), settings]));
      // Starting a world asks its health, and shows the log when that is bad.
      const world = await startWorld({ sites, edgeward: EDGEWARD, vars: { ORIGIN_KEY: "a-value-for-the-origin" } });
      await world.stop();
    }
  });
}
