// What the example applications say and log when Edgeward refuses, is broken or is gone. A stub
// answers in place of Edgeward, so that each answer of its documented list can be had.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { startExpress, startFlask } from "./lib/applications.mjs";

/** @import { AddressInfo } from "node:net" */
/** @import { IncomingMessage } from "node:http" */
/** @import { Application } from "./lib/applications.mjs" */

/** @typedef {{ method?: string, url?: string, authorization?: string, body: string }} Asked */
/** @typedef {{ act?: (request: IncomingMessage) => unknown, status?: number, headers?: Record<string, string>, body?: object, text?: string }} StubAnswer */
/** @typedef {Awaited<ReturnType<typeof startStub>>} Stub */

const API_TOKEN = "ewt_example-api-token";
const SSO_TOKEN = "aaaa.bbbb.cccc";

/** @typedef {[status: number, text: RegExp, retryAfter?: string]} Expected */

/** With `flask` where that application says something else. @type {(StubAnswer & { name: string, expect: Expected, flask?: Expected })[]} */
const ANSWERS = [
  { name: "an unknown API token", status: 401, body: { error: "Invalid API token" }, expect: [502, /renew the API token/] },
  { name: "an API token without the right", status: 403, body: { error: "Admin privileges required" }, expect: [403, /does not let you in/] },
  {
    name: "an unknown user",
    status: 422,
    body: { success: false, error: "User not found: ada@example.com", error_code: "USER_NOT_FOUND", email: "ada@example.com" },
    expect: [403, /no account/],
  },
  { name: "too many calls", status: 429, headers: { "Retry-After": "17" }, body: { error: "x", code: "rate_limited" }, expect: [503, /busy/, "17"] },
  { name: "a fault", status: 503, body: { error: "x", code: "temporarily_unavailable" }, expect: [502, /does not understand/] },
  { name: "a page instead of JSON", status: 502, text: "<h1>Bad gateway</h1>", expect: [502, /does not understand/] },
  { name: "an answer without a token", status: 200, body: { token: 5 }, expect: [502, /does not understand/] },
  {
    name: "a redirect",
    status: 302,
    headers: { Location: "http://127.0.0.1:9/" },
    text: "",
    // `fetch` fails at a redirect, `requests` returns it.
    expect: [504, /does not answer/],
    flask: [502, /does not understand/],
  },
  { name: "a broken connection", act: (request) => request.socket.destroy(), expect: [504, /does not answer/] },
  { name: "silence", act: () => {}, expect: [504, /does not answer/] },
];

/** @param {string} origin */
const FOREIGN_ADDRESSES = (origin) => [
  "https://evil.test/",
  "//evil.test/",
  `${origin}.evil.test/`,
  `${origin}@evil.test/`,
  `http://evil.test\\@${origin.slice("http://".length)}/`,
  `blob:${origin}/x`,
  origin.replace("http:", "https:"),
  `${origin}0/`,
  "/\\evil.test",
  "javascript:alert(1)",
  `${origin}\n.evil.test/`,
  "http://[",
];

for (const [name, start] of Object.entries({ express: startExpress, flask: startFlask })) {
  describe(name, () => {
    /** @type {Stub} */
    let stub;
    /** @type {Application} */
    let application;
    /** @type {string} */
    let cookie;
    before(async () => {
      stub = await startStub();
      application = await start({
        EDGEWARD_URL: stub.origin,
        EDGEWARD_API_TOKEN: API_TOKEN,
        SSO_COOKIE_NAME: "sso_token",
        SSO_COOKIE_DOMAIN: "ward.test",
        SSO_COOKIE_SAME_SITE: "none",
        SSO_COOKIE_SECURE: "true",
        SSO_COOKIE_PARTITIONED: "true",
      });
      const answer = await send("/login", { body: new URLSearchParams({ username: "ada" }) });
      assert.equal(answer.status, 303);
      cookie = answer.headers.getSetCookie()[0].split(";")[0];
    });
    after(async () => {
      await application?.stop();
      await stub?.stop();
    });

    /** @param {string} path */
    const send = (path, /** @type {{ body?: URLSearchParams, headers?: Record<string, string> }} */ { body, headers } = {}) =>
      fetch(`http://127.0.0.1:${application.port}${path}`, {
        method: body ? "POST" : "GET",
        body,
        redirect: "manual",
        headers: { ...(cookie ? { cookie } : {}), ...headers },
      });

    for (const answer of ANSWERS) {
      test(`${answer.name} becomes a page that says what to do`, async () => {
        stub.answer = answer;
        const [status, text, retryAfter] = (name === "flask" && answer.flask) || answer.expect;
        const shown = await send("/open/link");
        assert.equal(shown.status, status);
        assert.match(await shown.text(), text);
        assert.equal(shown.headers.get("retry-after") ?? undefined, retryAfter);
      });
    }

    test("a token in the link leaves the rest of the query as it is", async () => {
      stub.answer = { status: 200, body: { token: SSO_TOKEN, expires_in: 600 } };
      const target = `${stub.origin}/deep?a=%2f+%41&b=%zz&&c`;
      const answer = await send(`/login?return_to=${encodeURIComponent(target)}`);
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.get("location"), `${target}&token=${SSO_TOKEN}`);
      assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(await answer.text(), "");
    });

    test("a token in the cookie has the site's attributes and the lifetime of the token", async () => {
      stub.answer = { status: 200, body: { token: SSO_TOKEN, expires_in: 600 } };
      const answer = await send("/open/cookie?path=%2Fdeep%3Fa%3D1");
      assert.equal(answer.headers.get("location"), `${stub.origin}/deep?a=1`);
      const set = answer.headers.getSetCookie().find((line) => line.startsWith("sso_token="));
      const attributes = (set ?? "")
        .toLowerCase()
        .split("; ")
        .filter((part) => !part.startsWith("expires="));
      assert.deepEqual(attributes.toSorted(), [
        "domain=ward.test",
        "httponly",
        "max-age=600",
        "partitioned",
        "path=/",
        "samesite=none",
        "secure",
        `sso_token=${SSO_TOKEN}`,
      ]);
    });

    test("Edgeward is asked with the API token and the user's names", async () => {
      stub.answer = { status: 200, body: { token: SSO_TOKEN, expires_in: 600 } };
      await send("/open/link");
      const { method, url, authorization, body } = stub.requests[stub.requests.length - 1];
      assert.deepEqual([method, url, authorization], ["POST", "/api/sso/token", `Token ${API_TOKEN}`]);
      assert.deepEqual(JSON.parse(body), { email: "ada@example.com", username: "ada", first_name: "Ada", last_name: "Lovelace" });
    });

    test("an address that is not on the site gets no token", async () => {
      const asked = stub.requests.length;
      for (const address of FOREIGN_ADDRESSES(stub.origin)) {
        for (const path of ["/login?return_to=", "/open/link?path="]) {
          const answer = await send(path + encodeURIComponent(address));
          assert.equal(answer.status, 400, `${path}${address}`);
          assert.equal(answer.headers.get("location"), null);
        }
      }
      assert.equal(stub.requests.length, asked);
    });

    test("a form of another site signs nobody in", async () => {
      const answer = await send("/login", { body: new URLSearchParams({ username: "zoe" }), headers: { "sec-fetch-site": "cross-site" } });
      assert.equal(answer.status, 400);
    });

    test("no token and no address of a person was logged", () => {
      for (const secret of [API_TOKEN, SSO_TOKEN, "ada@example.com"]) assert.ok(!application.output.includes(secret), application.output);
    });
  });
}

async function startStub() {
  /** @type {{ requests: Asked[], answer: StubAnswer | undefined }} */
  const stub = { requests: [], answer: undefined };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url, headers } = request;
    stub.requests.push({ method, url, authorization: headers.authorization, body: Buffer.concat(chunks).toString() });
    const { act, status, headers: own, body, text } = stub.answer ?? {};
    if (act) return act(request);
    response.writeHead(status ?? 500, { "Content-Type": body ? "application/json" : "text/html", ...own });
    response.end(body ? JSON.stringify(body) : text);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const origin = `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`;
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return Object.assign(stub, { origin, stop });
}
