// The parser of Prometheus' own client for Python reads our metrics, whatever has happened before.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newPerson, newService, withGateway } from "../edge/lib/gateway.mjs";
import { startReceiver } from "../edge/lib/receiver.mjs";
import { newPath, startWorld, until } from "../edge/lib/world.mjs";
import { startPython } from "./lib/peers.mjs";

/** @import { World } from "../edge/lib/world.mjs" */
/** @import { Receiver } from "../edge/lib/receiver.mjs" */
/** @import { Python } from "./lib/peers.mjs" */
/** @typedef {{ name: string, type: string, help: string, samples: [name: string, labels: Record<string, string>, value: number][] }} Family */

/** @type {Python} */
let python;
/** @type {World} */
let world;
/** @type {Receiver} */
let receiver;
before(async () => {
  python = await startPython();
  receiver = await startReceiver();
  world = await startWorld(withGateway({ metrics: true, sites: { APP: {}, OPEN: { unauthenticated: "pass" } } }));
});
after(async () => {
  await world?.stop();
  await receiver?.stop();
  await python?.stop();
});

/** @returns {Promise<Map<string, Family>>} */
async function scraped() {
  const answer = await world.site("APP").admin("GET", "/api/sso/metrics");
  assert.equal(answer.status, 200, String(answer));
  assert.ok(answer.text.endsWith("\n"));
  /** @type {Family[]} */
  const families = await python.call("scraped", { text: answer.text });
  const names = families.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, "each metric stands in one place");
  return new Map(families.map((family) => [family.name, family]));
}

test("Prometheus reads every metric with its type, before anything has happened and after", async () => {
  const types = {
    requests: "counter",
    denials: "counter",
    signins: "counter",
    faults: "counter",
    key_fetches: "counter",
    request_duration_seconds: "histogram",
  };
  const gauges = { events_waiting: "gauge", events_dead: "gauge", build_info: "gauge" };
  for (const family of [await scraped(), await scraped()]) {
    const found = Object.fromEntries([...family.values()].map(({ name, type }) => [name.replace(/^edgeward_/, ""), type]));
    assert.deepEqual(found, { ...types, ...gauges });
    for (const { help } of family.values()) assert.ok(help.length > 10);
  }
});

test("Prometheus reads counts, and histograms whose buckets grow to their count", async () => {
  const open = world.site("OPEN");
  const slow = newPath();
  world.origin.on(slow, (_, response) => setTimeout(() => response.writeHead(200).end(), 300));
  for (let n = 0; n < 20; n++) await open.client(newPath());
  await open.client(slow);
  await world.site("APP").client(newPath());
  const families = await scraped();
  const requests = families.get("edgeward_requests")?.samples ?? [];
  assert.deepEqual(
    requests.find(([, { site, outcome }]) => site === "open" && outcome === "forwarded"),
    ["edgeward_requests_total", { site: "open", outcome: "forwarded" }, 21],
  );
  const times = (families.get("edgeward_request_duration_seconds")?.samples ?? []).filter(([, { site }]) => site === "open");
  const buckets = times.filter(([name]) => name.endsWith("_bucket"));
  assert.deepEqual(
    buckets.map(([, { le }]) => le),
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"],
  );
  const values = buckets.map(([, , value]) => value);
  assert.deepEqual(
    values,
    values.toSorted((a, b) => a - b),
  );
  const count = times.find(([name]) => name.endsWith("_count"))?.[2];
  assert.deepEqual([values.at(-1), count], [21, 21]);
  assert.ok(values[5] <= 20 && values[7] === 21, `300 ms are over 0.25 s: ${values}`);
  const sum = Number(times.find(([name]) => name.endsWith("_sum"))?.[2]);
  assert.ok(sum >= 0.29 && sum < 10, String(sum));
});

test("Prometheus reads what services are still to be told", async () => {
  const gateway = world.site("GATEWAY");
  const person = await newPerson(gateway);
  const { id, path } = await newService(gateway, "http://127.0.0.1:9");
  assert.ok(path);
  assert.equal((await gateway.admin("PATCH", `/api/sso/users/${person.id}`, { active: false })).status, 200);
  const waiting = await until(async () => {
    const [sample] = ((await scraped()).get("edgeward_events_waiting")?.samples ?? []).filter(([, { service }]) => service === id);
    return sample?.[2];
  });
  assert.ok(waiting >= 1);
  const [dead] = ((await scraped()).get("edgeward_events_dead")?.samples ?? []).filter(([, { service }]) => service === id);
  assert.deepEqual(dead, ["edgeward_events_dead", { service: id }, 0]);
});
