// Every snippet of docs/integrate.md, taken from the page itself and run against the Worker.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { readExample } from "../edge/lib/examples.mjs";
import { at, pinnedNode } from "../../scripts/lib/project.mjs";
import { send } from "../edge/lib/http.mjs";
import { installPython, outsideNpm } from "./lib/applications.mjs";
import { startStage } from "./lib/stage.mjs";

/** @import { Stage } from "./lib/stage.mjs" */

const run = promisify(execFile);
const SITE = "edge.ward.test";

const snippets = [...readFileSync(at("docs/integrate.md"), "utf8").matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({ language, text }));
/** @param {string} language */
const inLanguage = (language) => snippets.filter((snippet) => snippet.language === language).map(({ text }) => text);
const tomlSites = inLanguage("toml").map((text) => readExample(text).vars.EDGEWARD_SITE_APP);

describe("docs/integrate.md", () => {
  const folder = at(".tools", `guide-${process.pid}`);
  /** @type {Stage} */
  let stage;
  /** @type {Record<string, string>} */
  let environment;
  /** @type {string} */
  let python;

  before(async () => {
    stage = await startStage({
      withBrowser: false,
      siteNames: [SITE],
      applicationNames: [],
      sites: (network) => ({
        APP: { hosts: [network.host(SITE)], identity_headers: ["x-forwarded", "remote"], assertion: { audience: "https://origin.example.com" } },
        ...Object.fromEntries(tomlSites.map((site, index) => [`TOML_${index}`, site])),
      }),
    });
    environment = {
      ...outsideNpm(),
      ...stage.network.environment,
      EDGEWARD_URL: stage.network.origin(SITE),
      EDGEWARD_API_TOKEN: await stage.world.apiToken("token:issue"),
      ASSERTION_AUDIENCE: "https://origin.example.com",
      PYTHONDONTWRITEBYTECODE: "1",
    };
    python = await installPython();
    mkdirSync(folder, { recursive: true });
    // Each program begins with a comment that names its file.
    for (const text of [...inLanguage("js"), ...inLanguage("python")]) writeFileSync(path.join(folder, /\w+\.\w+/.exec(text)?.[0] ?? ""), text);
  });
  after(async () => {
    await stage?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** @param {string} script */
  const shell = async (script, more = {}) => (await run("sh", ["-euc", script], { env: { ...environment, ...more } })).stdout;
  /**
   * @param {string} interpreter
   * @param {string} name
   * @param {string} text
   */
  const program = async (interpreter, name, text) => {
    writeFileSync(path.join(folder, name), text);
    return JSON.parse((await run(interpreter, [name], { cwd: folder, env: environment })).stdout);
  };

  /**
   * The header that a request with this token brings to the origin.
   * @param {string} token
   */
  async function assertionFor(token) {
    /** @type {{ headers: [string, string][] }} */
    const { headers } = JSON.parse(await shell(`curl -sS "$EDGEWARD_URL/" -H "Authorization: Bearer $SSO_TOKEN"`, { SSO_TOKEN: token }));
    return headers.find(([name]) => name.toLowerCase() === "x-edgeward-assertion")?.[1] ?? assert.fail("no assertion");
  }

  test("every table of settings is a configuration that Edgeward accepts", async () => {
    assert.ok(tomlSites.length >= 4);
    for (const index of tomlSites.keys()) {
      const answer = await send({ port: stage.world.port(), path: "/api/sso/health", headers: [["Host", `toml_${index}.example.test`]] });
      assert.equal(answer.status, 200, String(answer));
    }
  });

  test("the curl lines get a token and use it", async () => {
    const [issue, use] = inLanguage("sh");
    const { token, expires_in: expiresIn } = JSON.parse(await shell(issue));
    assert.equal(expiresIn, 600);
    /** @type {{ url: string, headers: [string, string][] }} */
    const seen = JSON.parse(await shell(use, { SSO_TOKEN: token }));
    assert.equal(seen.url, "/some/page");
    /** @param {string} name */
    const header = (name) => seen.headers.find(([key]) => key.toLowerCase() === name)?.[1];
    assert.equal(header("x-forwarded-email"), "ada@example.com");
    assert.equal(header("remote-name"), "Ada Lovelace");
    assert.equal(header("authorization"), undefined);
  });

  test("the Node programs get a token and check the assertion", async () => {
    const { token } = await program(
      pinnedNode,
      "ask.mjs",
      `import { ssoToken } from "./token.mjs"; console.log(JSON.stringify(await ssoToken({ email: "node@example.com" })));`,
    );
    const assertion = await assertionFor(token);
    const checked = await program(
      pinnedNode,
      "check.mjs",
      `import { verifiedUser } from "./verify.mjs";
      const refusal = (value) => verifiedUser({ "x-edgeward-assertion": value }).then(() => "accepted", () => "refused");
      const good = ${JSON.stringify(assertion)};
      console.log(JSON.stringify({ user: await verifiedUser({ "x-edgeward-assertion": good }), none: await refusal(undefined), other: await refusal(${JSON.stringify(token)}), changed: await refusal(${JSON.stringify(flipped(assertion))}) }));`,
    );
    assert.equal(checked.user.email, "node@example.com");
    assert.deepEqual([checked.none, checked.other, checked.changed], ["refused", "refused", "refused"]);
  });

  test("the Python programs get a token and check the assertion", async () => {
    const { token } = await program(python, "ask.py", `import json, token_client\nprint(json.dumps(token_client.sso_token("python@example.com")))\n`);
    const assertion = await assertionFor(token);
    const checked = await program(
      python,
      "check.py",
      `import json, jwt, verify
def refusal(value):
    try:
        verify.verified_user({"X-Edgeward-Assertion": value} if value else {})
    except jwt.PyJWTError:
        return "refused"
    return "accepted"
print(json.dumps({"user": verify.verified_user({"X-Edgeward-Assertion": "${assertion}"}), "none": refusal(None), "other": refusal("${token}"), "changed": refusal("${flipped(assertion)}")}))
`,
    );
    assert.equal(checked.user.email, "python@example.com");
    assert.deepEqual([checked.none, checked.other, checked.changed], ["refused", "refused", "refused"]);
  });
});

/**
 * The same token with one claim byte changed.
 * @param {string} token
 */
function flipped(token) {
  const [header, claims, signature] = token.split(".");
  const bytes = Buffer.from(claims, "base64url");
  bytes[bytes.indexOf("@")] ^= 1;
  return [header, bytes.toString("base64url"), signature].join(".");
}
