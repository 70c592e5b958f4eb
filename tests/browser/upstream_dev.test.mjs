// "Your own application" of the README, as printed: an application that knows nothing of Edgeward, the command, the link that it
// prints, and a real Chromium.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { test } from "node:test";
import { at } from "../../scripts/lib/project.mjs";
import { launchBrowser } from "./lib/browser.mjs";
import { startDev } from "./lib/dev.mjs";

const section = /^### Your own application\n([\s\S]*?)^### /m.exec(readFileSync(at("README.md"), "utf8"))?.[1] ?? assert.fail("no section");
const [start, command, open] = [...section.matchAll(/^\d\. (.*)$/gm)].map(([, text]) => text);

test("README.md, Your own application: the link signs in, forms and redirects of the application work, signing out leads away", async (t) => {
  const server = http.createServer(async (request, response) => {
    if (request.method === "POST") {
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
      // As an application redirects that goes by the host that it sees.
      response.writeHead(303, { Location: `http://${request.headers.host}/done?${body}`, "Set-Cookie": "own=kept; Path=/" });
      response.end();
      return;
    }
    const header = (/** @type {string} */ name) => String(request.headers[name]).slice(0, 60);
    response.writeHead(200, { "Content-Type": "text/html" });
    response.end(`<h1>My application</h1>
      ${names.map((name) => `<p id="${name}">${header(name)}</p>`).join("")}
      <p id="url">${request.url}</p><p id="cookie">${header("cookie")}</p>
      <form method="post" action="/save"><button name="saved" value="yes">Save</button></form>`);
  });
  const names = [...open.matchAll(/`(x-[\w-]+|remote-user)`/g)].map(([, name]) => name);
  assert.deepEqual(names, ["x-forwarded-email", "remote-user", "x-edgeward-assertion"]);
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const own = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  const documented = /http:\/\/[\d.]+:\d+/.exec(start)?.[0] ?? assert.fail(start);
  const options = /`npm run dev -- (.+?)`/.exec(command)?.[1].replace(documented, own).split(" ") ?? assert.fail(command);
  assert.deepEqual(options, ["--upstream", own]);

  const { port, output } = await startDev(t, options);
  const link = /^ +(http:\S+\/\?token=[\w.-]+)$/m.exec(output)?.[1] ?? assert.fail(output);
  const browser = await launchBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(link);
  await page.getByRole("heading", { name: "My application" }).waitFor();
  assert.equal(page.url(), `http://127.0.0.1:${port}/`);
  const email = /`([\w.]+@example\.com)`/.exec(open)?.[1] ?? assert.fail(open);
  const text = (/** @type {string} */ id) => page.locator(`[id="${id}"]`).textContent();
  assert.deepEqual([await text(names[0]), await text(names[1])], [email, email]);
  assert.match((await text(names[2])) ?? "", /^eyJ/);

  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForURL(`http://127.0.0.1:${port}/done?saved=yes`);
  assert.deepEqual([await text("url"), await text("cookie")], ["/done?saved=yes", "own=kept"]);

  await page.goto(`http://127.0.0.1:${port}/api/sso/logout`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Signed out" }).waitFor();
  await page.goto(`http://127.0.0.1:${port}/done`);
  assert.equal(new URL(page.url()).origin, `http://localhost:${port}`, "whoever is not signed in is at the gateway");
});
