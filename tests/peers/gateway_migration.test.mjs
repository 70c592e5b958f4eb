// docs/migrate-from-django-sso.md, followed from its own text: an old gateway with the real package django-sso, with two people
// and a service that goes on as it is.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../../scripts/lib/processes.mjs";
import { at } from "../../scripts/lib/project.mjs";
import { outsideNpm } from "../browser/lib/applications.mjs";
import { readExample } from "../edge/lib/examples.mjs";
import { startWorld } from "../edge/lib/world.mjs";
import { Browser } from "./lib/browser.mjs";
import { startGateway } from "./lib/gateway.mjs";
import { assertReport, signedIn } from "./lib/journeys.mjs";
import { blocks, installPython } from "./lib/peers.mjs";
import { KINDS, Service } from "./lib/services.mjs";

/** @import { Gateway } from "./lib/gateway.mjs" */

const DOCUMENT = "docs/migrate-from-django-sso.md";
const PASSWORD = "an old password of bob";
const run = promisify(execFile);
const [toml] = blocks(DOCUMENT, "toml");
const scripts = blocks(DOCUMENT, "sh");

/** @type {string} */
let folder;
/** @type {Gateway} */
let gateway;
/** @type {Service} */
let service;
/** @type {string} */
let python;
/** The environment of the shell that the document speaks of. @type {NodeJS.ProcessEnv} */
let environment;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "edgeward-migration-"));
  python = await installPython("service-django", at("examples/service-django/requirements.txt"));
  copyFileSync(at("tests/peers/django_gateway.py"), path.join(folder, "manage.py"));
  const { identity, name } = readExample(toml).vars.EDGEWARD_GATEWAY;
  gateway = await startGateway({ identity, name });
  environment = { ...outsideNpm(), PYTHONDONTWRITEBYTECODE: "1", EDGEWARD_URL: gateway.url, EDGEWARD_API_TOKEN: await gateway.world.adminToken() };
});
after(async () => {
  await service?.remove();
  await gateway?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * A Python program in the old gateway's project.
 * @param {...string} args
 */
const manage = async (...args) => (await run(python, ["manage.py", ...args], { cwd: folder, env: environment })).stdout;
/**
 * Runs lines of the document: in this project, or in the old gateway's. The export is beside it.
 * @param {string} script
 */
const shell = async (script, cwd = at()) =>
  (
    await run("sh", ["-euc", script.replaceAll("gateway.json", path.join(folder, "gateway.json"))], {
      cwd,
      env: { ...environment, PATH: `${path.dirname(python)}:${environment.PATH}` },
    })
  ).stdout;

/**
 * What a service may bring and what is refused, in the words of the package: a token that is not its own, a sign-in that is
 * not finished, was used, or is of another service.
 * @param {string} token The service's.
 */
async function assertRefused(token) {
  /** @param {string} name @param {Record<string, string>} fields */
  const call = async (name, fields) => {
    const answer = await fetch(`${gateway.url}/sso/${name}/`, { method: "POST", body: new URLSearchParams(fields) });
    return /** @type {{ error?: string, token?: string, authenticated?: boolean, ok?: boolean }} */ (await answer.json());
  };
  const noService = "Application token doesn't exist";
  const noSignIn = "Authentication request token doesn't exist";
  const { token: unfinished = "" } = await call("obtain", { token, next_url: "/" });
  const other = await gateway.admin("POST", "/api/sso/services", { name: "Other", base_url: "http://127.0.0.1:9", dialect: "fields" });
  assert.match(unfinished, /./);
  for (const wrong of [`${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`, token.toLowerCase(), environment.EDGEWARD_API_TOKEN ?? "", unfinished]) {
    assert.equal((await call("obtain", { token: wrong, next_url: "/" })).error, noService);
    for (const name of ["get", "make_used"]) assert.equal((await call(name, { token: wrong, authentication_token: unfinished })).error, noService);
    assert.equal((await call("deauthenticate", { token: wrong, user_identy: "bob" })).error, noService);
  }
  for (const [by, asked] of [
    [token, unfinished],
    [token, token],
    [other.token, unfinished],
  ]) {
    for (const name of ["get", "make_used"]) assert.equal((await call(name, { token: by, authentication_token: asked })).error, noSignIn);
  }
  // One that a browser has finished works once, and for the service that asked.
  const browser = new Browser();
  await browser.open(`${gateway.url}/login/?sso=${unfinished}`);
  const form = browser.form(/login/);
  await browser.submit(form, { username: "bob", password: PASSWORD }).catch(() => undefined);
  assert.equal((await call("get", { token: other.token, authentication_token: unfinished })).error, noSignIn);
  assert.equal((await call("get", { token, authentication_token: unfinished })).authenticated, true);
  assert.equal((await call("make_used", { token, authentication_token: unfinished })).ok, true);
  for (const name of ["get", "make_used"]) assert.equal((await call(name, { token, authentication_token: unfinished })).error, noSignIn);
}

test(`${DOCUMENT}: its configuration is one that Edgeward accepts`, async () => {
  const world = await startWorld({ vars: { EDGEWARD_GATEWAY: readExample(toml).vars.EDGEWARD_GATEWAY } });
  await world.stop();
});

test(`${DOCUMENT}: people and a service move, by the commands of the document in their order`, async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await manage("migrate", "--verbosity", "0");
  const token = (
    await manage(
      "shell",
      "--no-imports",
      "-c",
      `from django.contrib.auth.models import User
from django_sso.sso_gateway.models import Service
User.objects.create_user("bob", "bob@example.com", ${JSON.stringify(PASSWORD)}, is_staff=True)
User.objects.create_user("ann", "ann@example.com")
print(Service.objects.create(name="Wiki", base_url="${url}/", enabled=True).token)`,
    )
  ).trim();
  assert.match(token, /^[A-Za-z0-9]{128}$/);

  const [exported, variables, look, move, list, events, link, remove, ...more] = scripts;
  assert.deepEqual(more, []);
  await shell(exported, folder);
  assert.match(variables, /^export EDGEWARD_URL=.*\nexport EDGEWARD_API_TOKEN=.*\n$/);
  assert.match(await shell(look), /^2 users to move, 0 of them disabled[\s\S]*1 user without a hash[\s\S]*Wiki: http:\/\/127[\s\S]*this was a dry run/m);
  assert.deepEqual((await gateway.admin("GET", "/api/sso/users")).users, []);
  assert.match(
    await shell(move),
    /users: 2 created.*\npasswords: 1 moved.*\nservices: 1 created.*\n\n1 user to send a link.*\n {2}ann@example\.com: has no password/,
  );
  assert.match(await shell(move), /^Everything was here already; nothing was changed/m);
  const listed = await shell(list);
  for (const name of ["bob@example.com", "ann@example.com", "Wiki"]) assert.ok(listed.includes(name), listed);

  // The service goes on with what it has, but for the address of the gateway.
  service = new Service("django-sso 3.0.2", KINDS["django-sso 3.0.2"], {
    gateway: gateway.url,
    url,
    port,
    folder: path.join(folder, "service"),
    environment: {},
    id: "",
    token,
    secret: "",
  });
  await service.start();
  await signedIn(gateway, service, { email: "bob", password: PASSWORD });
  const { bob, ...others } = /** @type {Record<string, { is_active: boolean, is_staff: boolean }>} */ (await (await fetch(`${service.url}/people/`)).json());
  assert.deepEqual([bob.is_active, bob.is_staff, others], [true, true, {}], "by the name that the service knows");
  assert.match(await shell(events), /No event waits for Wiki\.\n[\s\S]*No event was given up for Wiki\.\n/);

  const address = new URL((await shell(link)).trim().split("\n").at(-1) ?? "");
  const browser = new Browser();
  await browser.open(`${gateway.url}${address.pathname}${address.search}`);
  const form = browser.form(/^\/password\/?$/);
  const field = Object.keys(form.fields).find((name) => name.includes("new")) ?? "";
  await browser.submit(form, { [field]: "a first password of ann" });
  const ann = await signedIn(gateway, service, { email: "ann", password: "a first password of ann" });
  assertReport(ann, service, { email: "ann" });
  await assertRefused(token);

  assert.ok(existsSync(path.join(folder, "gateway.json")));
  await shell(remove);
  assert.ok(!existsSync(path.join(folder, "gateway.json")));
});

test(`${DOCUMENT}: each part of django-sso has a row, and each file that a row names is there`, () => {
  const text = readFileSync(at(DOCUMENT), "utf8");
  const [, table] = text.split("| django-sso | Edgeward |\n|---|---|\n");
  const rows = table.split("\n").filter((line) => line.startsWith("|") && !line.startsWith("| **"));
  assert.equal(rows.length, 38);
  for (const part of [
    "login/",
    "logout/",
    "welcome/",
    "sso/obtain/",
    "sso/get/",
    "sso/make_used/",
    "sso/deauthenticate/",
    "sso/test/",
    "sso/event/",
    "sso/accept/",
  ])
    assert.ok(
      rows.some((row) => row.startsWith(`| \`${part}\``)),
      part,
    );
  for (const [, file] of table.matchAll(/\]\(\.\.\/([^)#]+)/g)) assert.ok(existsSync(at(file)), file);
});

test(`${DOCUMENT}: every option and command that it names is one`, async () => {
  const text = [...blocks(DOCUMENT, "sh"), ...readFileSync(at(DOCUMENT), "utf8").matchAll(/`([^`\n]*--[^`\n]*)`/g)].map(String).join("\n");
  const help = await shell("npm run admin -- import-django-sso --help; npm run admin -- service change --help; npm run admin -- service events --help");
  const known = new Set(help.match(/--[a-z-]+/g));
  for (const option of text.match(/(?<= |^|`)--[a-z][a-z-]*/gm) ?? []) if (!["--indent", "--output"].includes(option)) assert.ok(known.has(option), option);
});
