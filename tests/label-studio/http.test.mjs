// What people and programs do with Label Studio, through the edge, by HTTP; in both modes, against a real one.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { labelStudioPython } from "../../scripts/lib/label-studio.mjs";
import { newEmail, NAVIGATION, SCRIPT, until } from "../edge/lib/world.mjs";
import { CHOICES, fileForm, MODES, PNG, startEdge, startStudio, TEXT_CHOICES } from "./lib/studio.mjs";

/** @import { Site } from "../edge/lib/site.mjs" */
/** @import { World } from "../edge/lib/world.mjs" */
/** @import { AddressInfo } from "node:net" */
/** @import { Studio } from "./lib/studio.mjs" */

const SESSION = "__Host-edgeward";

/** @type {Studio} */
let studio;
/** @type {World} */
let world;
before(async () => {
  studio = await startStudio();
  world = await startEdge(studio);
});
after(async () => {
  await world?.stop();
  await studio?.stop();
});

/**
 * Signs somebody in who was never there, as a browser does.
 * @param {Site} site
 */
async function arrive(site, email = newEmail("studio")) {
  const token = await site.issue(email, { first_name: "Ada", last_name: "Lovelace" });
  const answer = await site.navigate("/projects/", { cookie: `ls_auth_token=${token}` });
  assert.equal(answer.status, 200, String(answer));
  assert.match(answer.text, /<div id="root"|class="app-wrapper"|react-app/);
  return { email, token, cookie: answer.setCookie(SESSION).pair, answer };
}

/**
 * A port under which a program that knows no host names reaches a site.
 * @param {Site} site
 */
async function addressOf(site) {
  const server = http.createServer((request, response) => {
    const headers = { ...request.headers, host: site.host };
    const onward = http.request({ host: "127.0.0.1", port: site.port, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * Runs Python where Label Studio is installed.
 * @param {string} script
 * @param {...string} args
 */
async function runPython(script, ...args) {
  const child = spawn(labelStudioPython, ["-c", script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [output, errors] = await Promise.all([child.stdout, child.stderr].map(async (stream) => Buffer.concat(await stream.toArray()).toString()));
  return { output, errors };
}

/**
 * @param {Site} site
 * @param {string} path
 * @param {string} cookie
 * @param {unknown} json
 */
const post = (site, path, cookie, json, headers = {}) =>
  site.send("POST", path, {
    kind: SCRIPT,
    cookie,
    headers: { "Content-Type": "application/json", Origin: site.origin, ...headers },
    body: JSON.stringify(json),
  });

/**
 * @param {Site} site
 * @param {string} cookie
 */
async function project(site, cookie, config = CHOICES) {
  const answer = await post(site, "/api/projects", cookie, { title: "A project", label_config: config });
  assert.equal(answer.status, 201, String(answer));
  return answer.json.id;
}

for (const mode of MODES) {
  describe(`Label Studio, mode ${mode}`, () => {
    /** @type {Site} */
    let site;
    /** @type {Awaited<ReturnType<typeof arrive>>} */
    let ada;
    before(async () => {
      site = world.site(mode.toUpperCase());
      ada = await arrive(site);
    });

    test("a first visit makes the user, once, in the organization, and whoami says who it is", async () => {
      const [user, ...others] = await studio.userOf(ada.email);
      assert.deepEqual([others.length, user.active_organization, user.first_name, user.last_name], [0, 1, "Ada", "Lovelace"]);
      const whoami = await site.script("/api/current-user/whoami", { cookie: ada.cookie });
      assert.deepEqual([whoami.status, whoami.json.email, whoami.json.id], [200, ada.email, user.id]);
    });

    test("no cookie of Label Studio's reaches the browser, on pages, files, API and errors", async () => {
      for (const path of ["/", "/projects/", "/user/account", "/static/images/favicon.ico", "/api/projects", "/api/nothing", "/data/upload/none"]) {
        const answer = await site.script(path, { cookie: ada.cookie });
        assert.deepEqual(
          answer.cookies.filter(({ name }) => name !== SESSION),
          [],
          path,
        );
      }
      assert.deepEqual(ada.answer.cookies.map(({ name }) => name).sort(), [SESSION, "ls_auth_token"].sort());
    });

    test("pages, a JSON POST with Origin, CSV, PNG, media, ranges and exports work", async () => {
      const id = await project(site, ada.cookie, TEXT_CHOICES);
      const csv = fileForm("texts.csv", "text/csv", "text\nfirst\nsecond\n");
      const imported = await site.send("POST", `/api/projects/${id}/import`, {
        kind: SCRIPT,
        cookie: ada.cookie,
        headers: { Origin: site.origin, ...csv.headers },
        body: csv.body,
      });
      assert.deepEqual([imported.status, imported.json?.task_count], [201, 2], String(imported));

      const images = await project(site, ada.cookie);
      const png = fileForm("dot.png", "image/png", PNG);
      const uploaded = await site.send("POST", `/api/projects/${images}/import`, {
        kind: SCRIPT,
        cookie: ada.cookie,
        headers: { Origin: site.origin, ...png.headers },
        body: png.body,
      });
      assert.equal(uploaded.status, 201, String(uploaded));
      const tasks = await site.script(`/api/tasks?project=${images}`, { cookie: ada.cookie });
      const media = tasks.json.tasks[0].data.image;
      assert.match(media, /^\/data\/upload\//, "the address of media has no host in it");
      const whole = await site.script(media, { cookie: ada.cookie });
      assert.deepEqual([whole.status, whole.type, Buffer.compare(whole.body, PNG)], [200, "image/png", 0]);
      assert.match(whole.headers.get("cache-control") ?? "", /private|no-store/);
      const part = await site.script(media, { cookie: ada.cookie, headers: { Range: "bytes=1-3" } });
      assert.deepEqual([part.status, part.text], [206, "PNG"]);
      assert.equal((await site.script(media)).status, 401);

      const annotated = await post(site, `/api/tasks/${tasks.json.tasks[0].id}/annotations/`, ada.cookie, {
        result: [{ from_name: "choice", to_name: "image", type: "choices", value: { choices: ["Cat"] } }],
      });
      assert.equal(annotated.status, 201, String(annotated));
      const exported = await site.script(`/api/projects/${images}/export?exportType=JSON`, { cookie: ada.cookie });
      assert.equal(exported.status, 200, String(exported));
      assert.equal(exported.json[0].annotations[0].completed_by, (await studio.userOf(ada.email))[0].id);
      for (const page of ["/", `/projects/${images}/data`, "/user/account"]) {
        const answer = await site.navigate(page, { cookie: ada.cookie });
        assert.deepEqual([page, answer.status, answer.type], [page, 200, "text/html"]);
      }
    });

    test("an upload of 60 MB arrives whole", async () => {
      const id = await project(site, ada.cookie);
      const bytes = Buffer.concat([PNG, Buffer.alloc(60 * 1024 * 1024, 7)]);
      const form = fileForm("large.png", "image/png", bytes);
      const answer = await site.send("POST", `/api/projects/${id}/import`, {
        kind: SCRIPT,
        cookie: ada.cookie,
        headers: { Origin: site.origin, ...form.headers },
        body: form.body,
      });
      assert.equal(answer.status, 201, String(answer));
      const tasks = await site.script(`/api/tasks?project=${id}`, { cookie: ada.cookie });
      const back = await site.script(tasks.json.tasks[0].data.image, { cookie: ada.cookie });
      /** @param {Buffer} data */
      const hash = (data) => createHash("sha256").update(data).digest("hex");
      assert.equal(hash(back.body), hash(bytes));
    });

    test("SEC-74: a client's own credentials for Label Studio change nothing", async () => {
      const legacy = (await studio.call("GET", "/api/current-user/token")).json.token;
      const admin = studio.token(studio.admin.id);
      for (const headers of [
        { Authorization: `Token ${legacy}` },
        { "X-Api-Key": legacy },
        { x_api_key: legacy },
        { "X-Api-Key": admin },
        { "Remote-User": studio.admin.email, "X-Forwarded-User": studio.admin.email },
        { Cookie: `${ada.cookie}; sessionid=forged; csrftoken=x` },
      ]) {
        const answer = await site.client("/api/current-user/whoami", { ...(headers.Cookie ? {} : { cookie: ada.cookie }), headers });
        assert.deepEqual([answer.status, answer.json?.email], [200, ada.email], JSON.stringify(headers));
        const { Cookie, ...alone } = headers;
        if (!Cookie) assert.equal((await site.client("/api/current-user/whoami", { headers: alone })).status, 401, JSON.stringify(alone));
      }
      // A bearer token must be Edgeward's.
      const bearer = await site.client("/api/current-user/whoami", { bearer: admin });
      assert.equal(bearer.status, 401);
      const elsewhere = await post(site, "/api/projects", ada.cookie, { title: "x" }, { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" });
      assert.deepEqual([elsewhere.status, elsewhere.json.code], [403, "cross_origin"]);
    });

    test("SEC-73: members do not do what Label Studio would let them do; admins do", async () => {
      const [own] = await studio.userOf(ada.email);
      const boss = await arrive(site);
      const made = (await site.admin("GET", `/api/sso/users?email=${boss.email}`)).json.users[0];
      await site.admin("PATCH", `/api/sso/users/${made.id}`, { superuser: true });
      /**
       * @param {string} method
       * @param {string} path
       * @param {string} cookie
       * @param {unknown} [json]
       */
      const send = (method, path, cookie, json) =>
        site.send(method, path, {
          kind: SCRIPT,
          cookie,
          headers: { Origin: site.origin, "Content-Type": "application/json" },
          body: json === undefined ? undefined : JSON.stringify(json),
        });
      const before = JSON.stringify((await studio.users()).map(({ id, email, first_name }) => [id, email, first_name]));
      for (const [method, path, body] of /** @type {[method: string, path: string, body?: object][]} */ ([
        ["POST", "/api/jwt/settings", { api_tokens_enabled: false }],
        ["POST", "/api/jwt/settings/", { api_tokens_enabled: false }],
        ["GET", "/api/invite"],
        ["POST", "/api/invite/reset-token", {}],
        ["POST", "/api/users/", { email: newEmail(), username: "x" }],
        ["POST", "/api/users.json", { email: newEmail(), username: "x" }],
        ["PATCH", "/api/users/1/", { first_name: "Changed" }],
        ["PATCH", "/api/users/1.json", { first_name: "Changed" }],
        ["PATCH", "/api/users/%EF%BC%91/", { first_name: "Changed" }],
        ["DELETE", `/api/users/${own.id}/`],
        ["DELETE", `/api/organizations/1/memberships/${own.id}/`],
        ["PATCH", "/api/organizations/1", { title: "Changed" }],
        ["PATCH", "/api/session-policy/", { max_session_age: 1 }],
        ["GET", "/admin/"],
      ])) {
        const answer = await send(method, path, ada.cookie, body);
        assert.deepEqual([answer.status, answer.json?.code], [403, "admin_only"], `${method} ${path}: ${answer}`);
      }
      assert.equal(JSON.stringify((await studio.users()).map(({ id, email, first_name }) => [id, email, first_name])), before);
      const renamed = await send("PATCH", `/api/users/${own.id}/`, ada.cookie, { first_name: "Augusta" });
      assert.deepEqual([renamed.status, renamed.json.first_name], [200, "Augusta"]);
      const settings = await until(async () => {
        const answer = await send("GET", "/api/invite", boss.cookie);
        return answer.status === 200 && answer;
      });
      assert.match(settings.json.invite_url, /^\/user\/signup\//);
    });

    test("Label Studio's own forms are taken over", async () => {
      for (const path of ["/user/login/", "/user/login/?next=/projects/", "/user/signup/", "/user/signup/?token=abc", "/admin/login/", "/api-auth/login/"]) {
        const nobody = await site.navigate(path);
        assert.equal(nobody.status, 401, path);
        const somebody = await site.navigate(path, { cookie: ada.cookie });
        assert.equal(somebody.status, 303, path);
        assert.equal(somebody.target.replace(site.origin, ""), path.includes("next") ? "/projects/" : "/");
      }
      const form = await site.form("/user/login/", { email: studio.admin.email, password: "x" }, { cookie: ada.cookie });
      assert.equal(form.status, 303);
    });

    test("another user in the same browser is another user there, at once", async () => {
      const bob = await arrive(site);
      const token = await site.issue(bob.email);
      const asked = await site.navigate(`/?token=${token}`, { cookie: ada.cookie });
      assert.match(asked.text, /Switch user/);
      const switched = await site.form("/api/sso/switch", { token, return_to: "/projects/" }, { cookie: ada.cookie });
      const cookie = switched.setCookie(SESSION).pair;
      assert.equal((await site.script("/api/current-user/whoami", { cookie })).json.email, bob.email);
    });

    test("signing out ends the session at once, and a copy of its cookie is no session", async () => {
      const gone = await arrive(site);
      const link = [...NAVIGATION.filter(([name]) => name !== "Sec-Fetch-Site"), ["Sec-Fetch-Site", "same-origin"]];
      const out = await site.navigate("/logout", { cookie: gone.cookie, kind: link });
      assert.ok(out.setCookie(SESSION).cleared, String(out));
      assert.equal((await site.script("/api/current-user/whoami", { cookie: gone.cookie })).status, 401);
    });

    test("a disabled and a deleted user are refused at once", async () => {
      for (const [method, status] of /** @type {[string, number][]} */ ([
        ["PATCH", 403],
        ["DELETE", 401],
      ])) {
        const gone = await arrive(site);
        const { id } = (await site.admin("GET", `/api/sso/users?email=${gone.email}`)).json.users[0];
        await site.admin(method, `/api/sso/users/${id}`, method === "PATCH" ? { active: false } : undefined);
        const answer = await site.script("/api/current-user/whoami", { cookie: gone.cookie });
        assert.equal(answer.status, status, String(answer));
        assert.equal((await studio.userOf(gone.email)).length, 1, "the work at the origin stays");
      }
    });

    test("a user that Label Studio deactivated, and one that it removed from the organization, are told so", async () => {
      for (const shutOut of [
        (/** @type {number} */ id) => studio.setActive(id, false),
        (/** @type {number} */ id) => studio.call("DELETE", `/api/organizations/1/memberships/${id}/`),
      ]) {
        const gone = await arrive(site);
        const [{ id }] = await studio.userOf(gone.email);
        await shutOut(id);
        const answer = await until(async () => {
          const seen = await site.script("/api/current-user/whoami", { cookie: gone.cookie });
          return seen.status === 403 && seen;
        }, 15);
        assert.equal(answer.json.code, "account_refused");
        assert.equal((await site.navigate("/user/login/?next=/projects/", { cookie: gone.cookie })).status, 403);
      }
    });

    test("a user that Label Studio deleted, or who has no organization there, is mended", async () => {
      const lost = await arrive(site);
      const [{ id }] = await studio.userOf(lost.email);
      assert.equal((await studio.call("DELETE", `/api/users/${id}/`)).status, 204);
      await until(async () => (await site.script("/api/current-user/whoami", { cookie: lost.cookie })).json?.email === lost.email, 15);
      const [again] = await studio.userOf(lost.email);
      assert.notEqual(again.id, id);

      const bare = newEmail("bare");
      const made = await studio.call("POST", "/api/users/", { email: bare, username: bare });
      assert.deepEqual([made.status, made.json.active_organization], [201, null]);
      await arrive(site, bare);
      assert.equal((await studio.userOf(bare))[0].active_organization, 1);
    });

    test("many first requests at once make one user", async () => {
      const email = newEmail("many");
      const token = await site.issue(email);
      const answers = await Promise.all(Array.from({ length: 6 }, () => site.client("/api/current-user/whoami", { bearer: token })));
      assert.deepEqual(
        answers.map(({ status, json }) => [status, json?.email]),
        Array(6).fill([200, email]),
        JSON.stringify([world.events("fault"), answers.filter(({ status }) => status !== 200).map(({ text }) => text.slice(0, 500))]),
      );
      assert.equal((await studio.userOf(email)).length, 1);
    });

    test("the admin API and bulk sync make users before they come", async () => {
      const one = await site.createUser();
      const shown = one.accounts?.[mode];
      assert.equal((await studio.userOf(one.email))[0].id, shown?.id);
      const users = Array.from({ length: 20 }, () => ({ email: newEmail("bulk") }));
      const bulk = await site.admin("POST", "/api/sso/users/bulk", { users });
      assert.deepEqual([bulk.status, bulk.json.created], [200, 20], String(bulk));
      const there = new Set((await studio.users()).map(({ email }) => email));
      assert.ok(users.every(({ email }) => there.has(email)));
    });

    test("programs reach the API with an SSO token as bearer", async () => {
      const token = await site.issue(ada.email);
      const answer = await site.client("/api/current-user/whoami", { bearer: token });
      assert.deepEqual([answer.status, answer.json.email], [200, ada.email]);
    });

    test("Label Studio's own SDK works with an SSO token, and with an API token that acts as its user", async () => {
      const script = `
import sys
from label_studio_sdk import LabelStudio
client = LabelStudio(base_url=sys.argv[1], api_key=sys.argv[2])
print(client.users.whoami().email)
project = client.projects.create(title="By the SDK", label_config=${JSON.stringify(TEXT_CHOICES)})
client.projects.import_tasks(id=project.id, request=[{"text": "one"}, {"text": "two"}])
print(sum(1 for _ in client.tasks.list(project=project.id)))
`;
      const address = await addressOf(site);
      try {
        const { id } = (await site.admin("GET", `/api/sso/users?email=${ada.email}`)).json.users[0];
        const acting = await site.admin("POST", "/api/sso/tokens", { name: "sdk", scopes: [], acts_as: id });
        assert.equal(acting.status, 201, String(acting));
        for (const key of [await site.issue(ada.email), acting.json.token]) {
          const { output, errors } = await runPython(script, address.url, key);
          assert.deepEqual(output.trim().split("\n"), [ada.email, "2"], errors);
        }
        // An API token acts as nobody unless it says so, whatever its scopes.
        const admin = await site.client("/api/projects", { headers: { Authorization: `Token ${await world.adminToken()}` } });
        assert.equal(admin.status, 401);
        const refused = await site.send("POST", "/api/token/refresh/", {
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ refresh: studio.token(1, { token_type: "refresh" }) }),
        });
        assert.equal(refused.status, 401, "a token of Label Studio's own is exchanged for nothing");
      } finally {
        address.close();
      }
    });

    test("files are compressed, kept by browser and edge, and come without cookies", async () => {
      const page = (await site.navigate("/projects/", { cookie: ada.cookie })).text;
      const main =
        page.match(/\/react-app\/main\.[^"' ]*js[^"' ]*/)?.[0] ??
        page.match(/\/react-app\/[^"' ]*main[^"' ]*\.js[^"' ]*/)?.[0] ??
        assert.fail("the page has no script");
      const plain = await site.script(main, { cookie: ada.cookie });
      const file = await site.script(main, { cookie: ada.cookie, headers: { "Accept-Encoding": "gzip, br" } });
      assert.deepEqual(
        [file.status, file.headers.get("content-encoding"), file.headers.get("vary")],
        [200, "gzip", "Accept-Encoding"],
        String(file).slice(0, 900),
      );
      assert.equal(plain.headers.get("content-encoding"), undefined);
      assert.ok(file.body.length < plain.body.length / 2);
      assert.equal(Buffer.compare(gunzipSync(file.body), plain.body), 0);
      const kept = await site.script(main, { cookie: ada.cookie, headers: { "Accept-Encoding": "gzip" } });
      assert.deepEqual([kept.headers.get("content-encoding"), Buffer.compare(gunzipSync(kept.body), plain.body)], ["gzip", 0], "from the cache");
      assert.match(file.headers.need("cache-control"), /^public, max-age=86400$/);
      assert.notEqual(file.headers.get("etag"), plain.headers.get("etag"));
      const again = await site.script(main, { cookie: ada.cookie, headers: { "Accept-Encoding": "gzip", "If-None-Match": file.headers.get("etag") } });
      assert.deepEqual([again.status, again.body.length, again.headers.get("etag")], [304, 0, file.headers.get("etag")]);
      const head = await site.send("HEAD", main, { cookie: ada.cookie, headers: { "Accept-Encoding": "gzip" } });
      assert.deepEqual([head.status, head.body.length, head.headers.get("etag")], [200, 0, file.headers.get("etag")]);
      const part = await site.script(main, { cookie: ada.cookie, headers: { Range: "bytes=0-9", "Accept-Encoding": "gzip" } });
      assert.ok([200, 206].includes(part.status) && part.headers.get("content-encoding") === undefined);
      assert.equal((await site.script(main)).status, 401, "who is not signed in gets no file either");
      assert.deepEqual([...file.cookies, ...again.cookies, ...part.cookies], []);
    });
  });
}

test("pat: a personal access token that was revoked is replaced once, and one that the user made gives way", async () => {
  const site = world.site("PAT");
  const ada = await arrive(site);
  const [{ id }] = await studio.userOf(ada.email);
  const listed = () => studio.call("GET", "/api/token/", undefined, { as: id });
  const revoke = async () => {
    for (const { token } of (await listed()).json)
      assert.equal((await studio.call("POST", "/api/token/blacklist/", { refresh: token }, { as: id })).status, 204);
  };
  const kept = async () =>
    (await world.kvEntries())
      .filter(([key]) => key.startsWith("origin_account:"))
      .map(([, value]) => JSON.parse(value))
      .find(({ email }) => email === ada.email);
  const first = await kept();
  assert.ok(first.credential.sealed);
  // The access token at hand works until it ends; a cold isolate asks for another one at once.
  await revoke();
  await world.restart();
  studio.output = "";

  assert.equal((await site.script("/api/current-user/whoami", { cookie: ada.cookie })).json.email, ada.email);
  // Each line of its log stands there twice.
  assert.equal(new Set(studio.output.match(/^.*POST \/admin\/users\/user\/\d+\/password\/.*$/gm)).size, 1);
  assert.notEqual((await kept()).credential.sealed, first.credential.sealed);
  // Now one that the user makes in the account page.
  await revoke();
  const own = await studio.call("POST", "/api/token/", {}, { as: id });
  assert.equal(own.status, 201);
  await world.restart();
  assert.equal((await site.script("/api/current-user/whoami", { cookie: ada.cookie })).json.email, ada.email);
  assert.equal((await listed()).json.length, 1);
  const everything = JSON.stringify(await world.kvEntries());
  assert.doesNotMatch(everything, /eyJ/, "no token of Label Studio's is in KV in the clear");
});

test("Label Studio itself takes an access token that does not say when it was made, until its end and no longer", async () => {
  // The token is this test's own, and goes straight to Label Studio: what it accepts is what the clocks of both may
  // differ by. Five seconds are left of one of ours that is sent as late as can be, to a clock that is 40 seconds ahead.
  const site = world.site("MINT");
  const ada = await arrive(site);
  const [{ id }] = await studio.userOf(ada.email);
  for (const [exp, status] of [
    [60 - 15 - 40, 200],
    [60 + 40, 200],
    [-3, 401],
  ]) {
    const token = studio.token(id, { exp: Math.floor(Date.now() / 1000) + exp });
    const answer = await fetch(`${studio.url}/api/current-user/whoami`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, status, `${exp} seconds are left`);
  }
});
