// The parts of the bench that compute: options, orders of requests, what an origin must receive, recordings, tables.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { chosen } from "../../bench/lib/section.mjs";
import { mintedToken } from "../../bench/lib/mint.mjs";
import { Misuse, readOptions, wantedRows } from "../../bench/lib/options.mjs";
import { CREDENTIAL, fill, headOf, NUMBER, positionOf } from "../../bench/lib/plan.mjs";
import { dollarsPerMillion } from "../../bench/lib/prices.mjs";
import { readRecording, writeRecording } from "../../bench/lib/recording.mjs";
import { browserRequest, HOST, numberOf, personOf, planOf, whatIsWrong } from "../../bench/lib/request.mjs";
import { median, quantile, ratios } from "../../bench/lib/stats.mjs";
import { markdown, matrix } from "../../bench/lib/table.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { SECTIONS } from "../../bench/sections/all.mjs";

/** @import { Exchange } from "../../bench/lib/recording.mjs" */
/** @import { Header, Order } from "../../bench/lib/types.js" */

/** @param {...string} args */
const read = (...args) => {
  const read = readOptions(args, { sections: SECTIONS, defaults: { build: "/default/build", workers: "/default/workers" } });
  assert.ok(!read.help);
  return read;
};

test("without options the section hot is measured, with its own rounds and seconds", () => {
  const options = read();
  assert.deepEqual(
    options.sections.map(({ name }) => name),
    ["hot"],
  );
  assert.deepEqual([options.rounds, options.seconds, options.only, options.rows], [undefined, undefined, undefined, undefined]);
  assert.deepEqual([options.build, options.workers], ["/default/build", "/default/workers"]);
  assert.deepEqual(options.counts, [0, 100_000, 500_000, 1_000_000]);
});

test("sections are named one by one, or all", () => {
  assert.deepEqual(
    read("--section", "page,hot").sections.map(({ name }) => name),
    ["page", "hot"],
  );
  assert.deepEqual(read("--section", "all").sections, SECTIONS);
  assert.equal(new Set(SECTIONS.map(({ name }) => name)).size, SECTIONS.length);
});

test("folders may be relative", () => {
  const { build, before, workers, recording } = read("--build", "one", "--before", "./two", "--workers", "../three", "--recording", "four.json");
  for (const path of [build, before, workers, recording]) assert.match(path ?? "", /^\//);
});

for (const args of [
  ["--section", "warm"],
  ["--section", ""],
  ["--only", "josie"],
  ["--rounds", "0"],
  ["--rounds", "1.5"],
  ["--rounds", "many"],
  ["--seconds", "0"],
  ["--seconds", "-1"],
  ["--counts", "5,5"],
  ["--counts", "1,x"],
  ["--counts", "-1"],
  ["--round", "1"],
  ["hot"],
]) {
  test(`the options ${args.join(" ")} are refused`, () => {
    assert.throws(() => read(...args), Misuse);
  });
}

test("rows are chosen by a part of their label, and a text that none has is refused", () => {
  const rows = [{ label: "10 rules" }, { label: "500 rules" }, { label: "1 site" }];
  assert.deepEqual(wantedRows(rows, {}), rows);
  assert.deepEqual(
    wantedRows(rows, { rows: ["500", "site"] }).map(({ label }) => label),
    ["500 rules", "1 site"],
  );
  assert.throws(() => wantedRows(rows, { rows: ["users"] }), Misuse);
});

test("the pass-through and the Worker that all are compared with always run, an earlier build beside the newest", () => {
  const names = ["passthrough", "edgeward", "edgeward-page", "jose"];
  assert.deepEqual(chosen(names, {}), names);
  assert.deepEqual(chosen(names, { only: ["edgeward"] }), ["passthrough", "edgeward"]);
  assert.deepEqual(chosen(names, { only: ["edgeward"] }, "jose"), ["passthrough", "edgeward", "jose"]);
  assert.deepEqual(chosen(names, { before: "/x" }), ["passthrough", "edgeward", "edgeward-page", "jose", "before", "before-page"]);
});

/**
 * @param {Order} order
 * @param {number} kinds
 * @param {number} callers
 * @param {number} length
 */
const positions = (order, kinds, callers, length) =>
  Array.from({ length }, (_, n) => positionOf({ order, kinds: new Array(kinds), callers: new Array(callers) }, n)).map(
    ({ kind, caller }) => `${caller}${"abcdef"[kind]}`,
  );

test("callers in turn each send one kind before any sends the next", () => {
  assert.deepEqual(positions("turns", 2, 3, 8), ["0a", "1a", "2a", "0b", "1b", "2b", "0a", "1a"]);
});

test("in visits one caller sends all kinds, then the next one does", () => {
  assert.deepEqual(positions("visits", 3, 2, 7), ["0a", "0b", "0c", "1a", "1b", "1c", "0a"]);
});

test("callers that visit together are at different places, and each sends all kinds in order", () => {
  const all = positions("together", 6, 3, 18);
  assert.deepEqual(all.slice(0, 6), ["0a", "1c", "2e", "0b", "1d", "2f"]);
  for (const caller of ["0", "1", "2"]) {
    const kinds = all
      .filter((one) => one[0] === caller)
      .map((one) => one[1])
      .join("");
    assert.ok("abcdefabcdef".includes(kinds), kinds);
  }
});

test("a number and a credential stand where the request says so, as they are", () => {
  assert.equal(fill(`a=${NUMBER}&b=${CREDENTIAL}&c=${NUMBER}`, 42, "$&x"), "a=00000042&b=$&x&c=00000042");
});

test("a head declares the length of its body", () => {
  assert.equal(headOf({ method: "GET", path: "/", headers: [["Host", "h"]] }), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  assert.equal(headOf({ method: "POST", path: "/", headers: [["Host", "h"]] }), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  assert.equal(headOf({ method: "PUT", path: "/", headers: [], body: 7 }), "PUT / HTTP/1.1\r\nContent-Length: 7\r\n\r\n");
});

test("five thousand people have five thousand addresses, all of one length", () => {
  const addresses = Array.from({ length: 5000 }, (_, index) => personOf(index).email);
  assert.equal(new Set(addresses).size, 5000);
  assert.deepEqual([...new Set(addresses.map((address) => address.length))], ["ada@example.com".length]);
});

test("minted tokens are all different, and always the same for one number", () => {
  const order = { secret: "s".repeat(32), claims: { iss: "i" } };
  assert.equal(mintedToken(order, 1), mintedToken(order, 1));
  assert.notEqual(mintedToken(order, 1), mintedToken(order, 2));
  assert.equal(JSON.parse(Buffer.from(mintedToken(order, 7).split(".")[1], "base64url").toString()).jti, "7");
});

const USER = { ...personOf(0), id: "usr_1" };

/** A request of the second caller as an origin receives it, with `changes` to its headers. */
function received(changes = {}) {
  const job = { kinds: [browserRequest()] };
  const plan = planOf(job, ["one", "two"], "hello");
  const told = {
    "x-forwarded-user": "usr_1",
    "x-forwarded-email": USER.email,
    "x-forwarded-groups": USER.roles.join(","),
    "x-forwarded-preferred-username": USER.username,
  };
  const way = {
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-host": HOST,
    "x-forwarded-proto": "http",
    host: "origin",
    cookie: "theme=dark; csrftoken=x9Y8z7w6V5u4",
  };
  const kept = browserRequest().headers.filter(([name]) => !["X-Forwarded-Proto", "X-Real-IP", "Host"].includes(name));
  const all = { ...Object.fromEntries(kept.map(([name, value]) => [name.toLowerCase(), fill(value, 1, "")])), ...told, ...way, ...changes };
  const headers = Object.entries(all).filter(([, value]) => value !== undefined);
  return {
    entrant: { job, plan, users: [{ ...USER, id: "usr_0" }, USER], upstreamHost: "origin", told: [] },
    request: { method: "GET", path: fill(job.kinds[0].path, 1, ""), headers },
  };
}

test("the number of a request is found again, and with it who sent it", () => {
  const { entrant, request } = received();
  assert.equal(numberOf(request), 1);
  assert.equal(whatIsWrong(entrant, request), null);
});

for (const [what, changes, says] of /** @type {[string, Record<string, string | undefined>, RegExp][]} */ ([
  ["a header is missing", { "x-page": undefined }, /x-page \[\] instead of/],
  ["a header differs", { accept: "text/html" }, /accept \["text\/html"\]/],
  ["a header is too many", { "x-real-ip": "203.0.113.7" }, /x-real-ip \["203.0.113.7"\] instead of \[\]/],
  ["another caller is told", { "x-forwarded-user": "usr_0" }, /x-forwarded-user \["usr_0"\] instead of \["usr_1"\]/],
  ["the credential is handed on", { cookie: "theme=dark; __Host-edgeward=two; csrftoken=x9Y8z7w6V5u4" }, /cookie/],
  ["another number is sent", { "cf-ray": "8f0c2b7d00000003-FRA" }, /instead of GET \/api\/projects/],
])) {
  test(`what an origin received is wrong when ${what}`, () => {
    const { entrant, request } = received(changes);
    assert.match(whatIsWrong(entrant, request) ?? "nothing", says);
  });
}

test("a pass-through must hand on everything, the credential too", () => {
  const { entrant, request } = received();
  assert.match(whatIsWrong({ ...entrant, users: null }, request) ?? "nothing", /instead of/);
  /** @type {Header[]} */
  const headers = browserRequest().headers.map(([name, value]) => [name.toLowerCase(), name === "Host" ? "origin" : fill(value, 1, "")]);
  /** @type {Header[]} */
  const whole = [...headers, ["cookie", "theme=dark; __Host-edgeward=two; csrftoken=x9Y8z7w6V5u4"]];
  assert.equal(whatIsWrong({ ...entrant, users: null }, { ...request, headers: whole }), null);
});

/** @type {Exchange} */
const EXCHANGE = {
  method: "GET",
  path: "/a?b=1",
  headers: [
    ["Host", "127.0.0.1:1"],
    ["Accept", "*/*"],
    ["Referer", "http://127.0.0.1:1/x"],
    ["Cookie", "id=secret; theme=dark"],
    ["Authorization", "Basic secret"],
  ],
  body: 0,
  status: 200,
  answerHeaders: [
    ["Content-Type", "text/html"],
    ["ETag", '"secret"'],
    ["Set-Cookie", "id=secret"],
    ["Date", "today"],
  ],
  length: 12,
};

test("a recording keeps what was sent and how long answers were, and nothing personal", () => {
  const text = writeRecording({
    application: "App 1",
    recorded: "2026-01-01",
    host: "127.0.0.1:1",
    exchanges: [EXCHANGE, { ...EXCHANGE, method: "POST", path: "/c", body: 3 }],
  });
  assert.doesNotMatch(text, /secret|127\.0\.0\.1/);
  const { application, requests } = readRecording(text, "site.test");
  assert.equal(application, "App 1");
  assert.deepEqual(requests[0].headers, [
    ["Accept", "*/*"],
    ["Referer", "http://site.test/x"],
  ]);
  assert.deepEqual(requests[0].cookies, ["id=xxxxxx", "theme=xxxx"]);
  assert.deepEqual(
    requests.map(({ method, path, body, status, length }) => [method, path, body, status, length]),
    [
      ["GET", "/a?b=1", 0, 200, 12],
      ["POST", "/c", 3, 200, 12],
    ],
  );
  assert.deepEqual(
    requests[0].answerHeaders.map(([name]) => name),
    ["content-type", "etag"],
  );
});

test("of two answers for one path a recording has the first, and it leaves out what no replay sends", () => {
  const text = writeRecording({
    application: "App",
    recorded: "",
    host: "h",
    exchanges: [EXCHANGE, { ...EXCHANGE, length: 99 }, { ...EXCHANGE, method: "OPTIONS" }],
  });
  assert.deepEqual(
    readRecording(text, "h").requests.map(({ length }) => length),
    [12, 12],
  );
});

test("a recording that is not whole is refused", () => {
  const whole = JSON.parse(writeRecording({ application: "App", recorded: "", host: "h", exchanges: [EXCHANGE] }));
  for (const broken of [
    { ...whole, requests: [] },
    { ...whole, application: undefined },
    { ...whole, headers: [] },
    { ...whole, requests: [["GET", "no path", 0, 0, 0, 200, 1, 0]] },
    { ...whole, requests: [["TRACE", "/", 0, 0, 0, 200, 1, 0]] },
    { ...whole, requests: [["GET", "/", 0, 0, 0, 200, null, 0]] },
  ]) {
    assert.throws(() => readRecording(JSON.stringify(broken), "h"), /recording/);
  }
});

test("the recordings of the project can be replayed, are small, and name nobody", () => {
  const names = readdirSync(at("bench/recordings"));
  assert.ok(names.length >= 1);
  for (const name of names) {
    const text = readFileSync(at("bench/recordings", name), "utf8");
    assert.ok(text.length < 100_000, `${name} has ${text.length} bytes`);
    assert.ok(readRecording(text, HOST).requests.length > 50, name);
    assert.doesNotMatch(text, /authorization|set-cookie|127\.0\.0\.1|localhost|\/work\/|\/tmp\/|\/root\/|\/home\//i, name);
  }
});

test("quantiles lie between samples, and ratios are taken round by round", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(quantile([0, 10], 0.99), 9.9);
  /** @param {...number} list */
  const rounds = (...list) => list.map((microseconds) => ({ microseconds, rate: 1 }));
  const [, row] = ratios(
    new Map([
      ["base", rounds(100, 200, 100)],
      ["other", rounds(150, 200, 300)],
    ]),
    "base",
  );
  assert.deepEqual([row.ratio, row.min, row.max], [1.5, 1, 3]);
});

test("a million requests cost the requests and their CPU", () => {
  assert.equal(dollarsPerMillion(0), 0.3);
  assert.equal(dollarsPerMillion(1000).toFixed(4), "0.3200");
});

test("tables line up, and say where a Worker has no row", () => {
  assert.equal(markdown(["a", "long"], [["first", "1"]]), "| a     | long |\n|-------|-----:|\n| first |    1 |");
  /**
   * @param {string} name
   * @param {number} ratio
   */
  const row = (name, ratio) => ({ name, ratio, min: ratio, max: ratio, microseconds: 100 * ratio, rate: 1 });
  const text = matrix(
    [
      { label: "x", rows: [row("base", 1), row("one", 1.5)] },
      { label: "y", rows: [row("base", 1), row("two", 2)] },
    ],
    "with",
    "base",
  );
  const [head, , x, y] = text.split("\n").map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  assert.deepEqual(head, ["with", "one", "two", "µs base"]);
  assert.deepEqual(x, ["x", "1.50 (1.50–1.50)", "–", "100"]);
  assert.deepEqual(y, ["y", "–", "2.00 (2.00–2.00)", "100"]);
});
