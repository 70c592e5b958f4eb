// What the origin is told: no credential, no forged identity, and the site's own headers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchangeRaw } from "./lib/http.mjs";
import { expiredSsoToken, ssoToken, tampered, cookieValue } from "./lib/tokens.mjs";
import { newPath, SCRIPT, startWorld } from "./lib/world.mjs";

/** @import { Answer, Seen } from "./lib/http.mjs" */
/** @import { Sending, Site } from "./lib/site.mjs" */
/** @import { World } from "./lib/world.mjs" */

const SSO = "ls_auth_token";
const SESSION = "__Host-edgeward";

/** @type {World} */
let world;
/** @type {Site} */
let app;
before(async () => {
  world = await startWorld({
    vars: { UPSTREAM_PASSWORD: "Token upstream-credential-0123456789" },
    sites: {
      APP: { assertion: {} },
      PASS: { unauthenticated: "pass", assertion: { header: "X-Signed-Identity" }, custom_headers: { "X-Who": "email" } },
      PLAIN: { identity_headers: undefined },
      RESERVING: { unauthenticated: "pass", reserved_headers: ["X-Vault-User", "Shib-*", "Referer"] },
      REMOTE: { identity_headers: ["remote"] },
      CUSTOM: {
        identity_headers: [],
        custom_headers: {
          "X-Id": "id",
          "X-Mail": "email",
          "X-Login": "username",
          "X-First": "first_name",
          "X-Last": "last_name",
          "X-Name": "name",
          "X-Roles": "roles",
          "X-Staff": "staff",
          "X-Super": "superuser",
        },
      },
      SECRET: { unauthenticated: "pass", upstream_credential: { header: "Authorization", secret: "UPSTREAM_PASSWORD" } },
      SECRETX: { upstream_credential: { header: "X-Upstream-Key", secret: "UPSTREAM_PASSWORD" } },
    },
  });
  app = world.site("APP");
});
after(() => world?.stop());

/** @param {Seen} seen */
const everything = (seen) => JSON.stringify([seen.url, seen.headers.list]);

test("SEC-28: headers that a site reserves never come from a client, in any spelling, for anybody", async () => {
  const site = world.site("RESERVING");
  const { cookie } = await site.signIn();
  const headers = {
    "X-Vault-User": "root",
    x_vault_user: "root",
    "Shib-Uid": "root",
    SHIB_UID: "root",
    Shibboleth: "kept",
    "X-Vault-Users": "kept",
    Referer: "http://root",
  };
  for (const options of [{}, { cookie }, { cookie }, { cookie }, { cookie }]) {
    const { seen } = await site.script("/a", { ...options, headers });
    assert.ok(!JSON.stringify(seen.headers.list).includes("root"), JSON.stringify(seen.headers.list));
    assert.deepEqual([seen.header("shibboleth"), seen.header("x-vault-users")], ["kept", "kept"]);
  }
  const { seen } = await app.script("/a", { cookie: (await app.signIn()).cookie, headers: { "X-Vault-User": "theirs" } });
  assert.equal(seen.header("x-vault-user"), "theirs", "another site's headers are its own");
});

test("SEC-40: the credential never reaches the origin, by whatever source it came", async () => {
  const { user, cookie, token } = await app.signIn();
  const expired = expiredSsoToken(app, user);
  // What was a link counts nowhere else, and the other way round.
  const link = ssoToken(app, user);
  /** @type {[Sending, string][]} */
  const cases = [
    [{ cookie }, "/"],
    [{ cookie: `${SSO}=${token}` }, "/"],
    [{}, `/?token=${link}`],
    [{ bearer: token }, "/"],
    [{ cookie: `${SSO}=${token}; ${cookie}`, bearer: token }, `/?token=${link}`],
    [{ cookie: `${cookie}; ${SSO}=${expired}` }, "/"],
    [{ cookie: `${SSO}=${token}` }, `/?token=${expired}`],
    [{ cookie, bearer: tampered(token) }, "/"],
    [{ cookie: `${cookie}; ${cookie}; ${SSO}=${token}; ${SSO}=${token}` }, `/?token=${link}&token=${link}`],
  ];
  for (const [options, path] of cases) {
    const answer = await app.script(path, options);
    assert.equal(answer.status, 200, `${JSON.stringify(options).slice(0, 60)}: ${answer}`);
    const text = everything(answer.seen).replace(answer.seen.headers.need("x-edgeward-assertion"), "");
    for (const secret of [cookieValue(cookie), token, link, expired, tampered(token)]) assert.ok(!text.includes(secret), text);
    assert.doesNotMatch(text, /eyJ/);
    assert.ok(!answer.seen.headers.names.includes("authorization"));
    assert.ok(!answer.seen.headers.names.includes("cookie"));
  }
});

test("SEC-40: an API token that strays to the application's paths does not reach the origin", async () => {
  const token = await world.adminToken();
  const { cookie } = await app.signIn();
  for (const scheme of ["Token", "Bearer", "token"]) {
    const answer = await app.client("/", { cookie, headers: { Authorization: `${scheme} ${token}` } });
    assert.equal(answer.status, 200, String(answer));
    assert.ok(!everything(answer.seen).includes(token));
  }
});

test("SEC-40: a credential in an odd wrapping does not reach the origin either", async () => {
  const pass = world.site("PASS");
  const { user, cookie, token } = await pass.signIn();
  const value = cookieValue(cookie);
  const wrappings = [
    [
      ["Cookie", "a=1"],
      ["Cookie", cookie],
    ],
    [["Cookie", `a=1, ${cookie}`]],
    [["Cookie", `${SESSION} = ${value}`]],
    [["Cookie", `${SESSION}="${value}"`]],
    [["Cookie", `a=1;${SSO}=${token}`]],
    [["Authorization", `Bearer  ${token}`]],
    [["Authorization", `Bearer\t${token}`]],
    [["Authorization", `bearer ${token} `]],
    [["Authorization", `Token ${token}`]],
    [["Authorization", token]],
    [["Authorization", `Basic x, Bearer ${token}`]],
    [
      ["Authorization", "Basic x"],
      ["Authorization", `Bearer ${token}`],
    ],
  ];
  const leaks = [];
  const statuses = [];
  for (const headers of wrappings) {
    const answer = await pass.client("/", { headers });
    statuses.push(answer.status);
    if (answer.status === 200 && [value, token].some((credential) => everything(answer.seen).includes(credential)))
      leaks.push(JSON.stringify(headers).replaceAll(value, "SESSION").replaceAll(token, "TOKEN"));
  }
  assert.deepEqual(leaks, []);
  assert.deepEqual(statuses, [200, 200, 200, 401, 200, 200, 200, 200, 200, 200, 200, 200]);
  // A token that was used elsewhere is no link, so each has one of its own.
  const asked = [];
  for (const query of ["token=TOKEN&token=x", "%74oken=TOKEN", "token=%20TOKEN", "a&token=ESCAPED"]) {
    const link = await pass.issue(user.email);
    const answer = await pass.client(`/?${query.replace("TOKEN", link).replace("ESCAPED", link.replaceAll(".", "%2E"))}`);
    asked.push(answer.status);
    if (answer.status === 200) assert.ok(!everything(answer.seen).includes(link.split(".")[2]), query);
  }
  assert.deepEqual(asked, [401, 200, 401, 200]);
});

// Other cookies, as they stand in the header; one character here is one byte there. Bytes that are no UTF-8
// are not among them: workerd itself turns them into U+FFFD in every header that a Worker takes apart.
const COOKIES = [
  ["a=1"],
  ["a=1", "b=2", "c=3"],
  ["a=1", "a=2", "a=1"],
  ["empty=", "e2=", "x=y"],
  ["noequals", "a=1"],
  ["=novalue", "a=1"],
  ['quoted="a b; not', "c=d"],
  ['q="x"', 'r=""'],
  ["a==b=c==", "d=%3B%20%25"],
  ["csrftoken=aB3.-_~!#$&'()*+/:<>?@[]^`{|}", "sessionid=x"],
  ["utf8=caf\xc3\xa9", "astral=\xf0\x9f\x98\x80", "two=\xc2\x80"],
  ["comma=1,2,3", 'json={"a":1}'],
  ["__Host-edgeward-x=1", "x__Host-edgeward=2", "__host-edgeward=3", "__Secure-x=4"],
  ["ls_auth_token2=1", "xls_auth_token=2", "LS_AUTH_TOKEN=3"],
  ["tab=\ta\tb", "sp=a  b"],
  ["theme=dark", "__utma=1.2.3", "_ga=GA1.2.3"],
];

for (const cookies of COOKIES) {
  test(`SEC-40: the other cookies arrive byte for byte and in order: ${JSON.stringify(cookies).slice(0, 70)}`, async () => {
    const { cookie, token } = await app.signIn();
    const expected = cookies.join("; ");
    for (let at = 0; at <= cookies.length; at++) {
      for (const own of [[cookie], [`${SSO}=${token}`], [cookie, `${SSO}=${token}`]]) {
        const list = cookies.toSpliced(at, 0, ...own);
        const answer = await app.client("/", { cookie: list.join("; ") });
        assert.equal(answer.status, 200, `${list.join("; ")}: ${answer}`);
        assert.equal(answer.seen.header("cookie"), expected);
      }
    }
  });
}

test("a Cookie header without our cookies is not touched at all, odd separators included", async () => {
  const pass = world.site("PASS");
  for (const header of ["a=1;b=2", "a=1;  b=2;", ";;a=1;;", "a=1 ; b=2", "a", ";", "  a=1", 'a="1;2"', "latin=caf\xe9; bytes=\x80\xff"]) {
    const answer = await pass.client("/", { headers: { Cookie: header } });
    assert.equal(answer.status, 200, String(answer));
    assert.equal(answer.seen.header("cookie"), header.trim());
  }
});

test("odd separators around our cookie stay between the others", async () => {
  const { cookie } = await app.signIn();
  for (const [header, others] of /** @type {[string, RegExp][]} */ ([
    [`a=1;${cookie};b=2`, /^a=1; ?b=2$/],
    [`a=1;b=2;${cookie}`, /^a=1;b=2$/],
    [`${cookie};a=1;b=2`, /^a=1;b=2$/],
    [`a=1;  ${cookie} ;  b=2`, /^a=1; *b=2$/],
  ])) {
    const answer = await app.client("/", { headers: { Cookie: header } });
    assert.equal(answer.status, 200, `${header}: ${answer}`);
    assert.match(answer.seen.headers.need("cookie"), others, header);
  }
});

test("the identity headers of the x-forwarded family: user is the id, email, groups, preferred-username", async () => {
  const user = await app.createUser({ username: "ada", roles: ["reader", "writer"] });
  const { cookie } = await app.signIn(user);
  const { seen } = await app.client("/", { cookie });
  assert.equal(seen.header("x-forwarded-user"), user.id);
  assert.equal(seen.header("x-forwarded-email"), user.email);
  assert.equal(seen.header("x-forwarded-groups"), "reader,writer");
  assert.equal(seen.header("x-forwarded-preferred-username"), "ada");
});

test("the identity headers of the remote family: user is the address, which no two users share; email, name, groups", async () => {
  const user = await app.createUser({ username: "ada", first_name: "Ada", last_name: "Lovelace", roles: ["reader", "writer"] });
  const { cookie } = await world.site("REMOTE").signIn(user);
  const { seen } = await world.site("REMOTE").client("/", { cookie });
  assert.equal(seen.header("remote-user"), user.email);
  assert.equal(seen.header("remote-email"), user.email);
  assert.equal(seen.header("remote-name"), "Ada Lovelace");
  assert.equal(seen.header("remote-groups"), "reader,writer");
  assert.equal(seen.header("x-forwarded-user"), undefined, "only the configured family");
});

test("names of identity headers are freely configurable", async () => {
  const custom = world.site("CUSTOM");
  const user = await app.createUser({ username: "ada", first_name: "Ada", last_name: "L", roles: ["r"], staff: true });
  const { cookie } = await custom.signIn(user);
  const { seen } = await custom.client("/", { cookie });
  const expected = {
    "x-id": user.id,
    "x-mail": user.email,
    "x-login": "ada",
    "x-first": "Ada",
    "x-last": "L",
    "x-name": "Ada L",
    "x-roles": "r",
    "x-staff": "true",
    "x-super": "false",
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(seen.header(name), value, name);
});

test("a site without identity headers sends none", async () => {
  const plain = world.site("PLAIN");
  const { cookie } = await plain.signIn();
  const { seen } = await plain.client("/", { cookie });
  const known = /^(x-forwarded-(host|proto|for)|x-request-id)$/;
  assert.deepEqual(
    seen.headers.names.filter((name) => /^(x-|remote)/.test(name) && !known.test(name)),
    [],
  );
});

// Every name that must never come from a client, and the spellings that some server folds to it.
const RESERVED = [
  "x-forwarded-user",
  "x-forwarded-email",
  "x-forwarded-groups",
  "x-forwarded-preferred-username",
  "remote-user",
  "remote-email",
  "remote-name",
  "remote-groups",
  "x-edgeward-assertion",
  "x-signed-identity",
  "x-who",
  "x-id",
  "x-roles",
  "x-upstream-key",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-for",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-uri",
  "x-forwarded-server",
  "x-forwarded-method",
  "x-forwarded-anything",
];
/** @param {string} name */
const capital = (name) => name.replace(/(^|[-_.])[a-z]/g, (letter) => letter.toUpperCase());
const SPELLINGS = [
  (/** @type {string} */ name) => name,
  (/** @type {string} */ name) => name.toUpperCase(),
  capital,
  (/** @type {string} */ name) => name.replaceAll("-", "_"),
  (/** @type {string} */ name) => capital(name).replaceAll("-", "_"),
  (/** @type {string} */ name) => name.replace("-", "_"),
  (/** @type {string} */ name) => name.replace(/-([^-]*)$/, "_$1"),
  (/** @type {string} */ name) => name.replaceAll("-", "."),
  (/** @type {string} */ name) => name.replace(/-([^-]*)$/, ".$1"),
  (/** @type {string} */ name) => name.toUpperCase().replaceAll("-", "_"),
];

for (const [who, visit] of /** @type {[string, (headers: string[][]) => Promise<Answer>][]} */ ([
  ["anonymous, on a site that lets everybody pass", async (headers) => world.site("PASS").client("/", { headers })],
  ["anonymous browser, on such a site", async (headers) => world.site("PASS").navigate("/", { headers })],
  ["signed in, on the same site", async (headers) => world.site("PASS").client("/", { headers, cookie: (await world.site("PASS").signIn()).cookie })],
  ["signed in", async (headers) => app.client("/", { headers, cookie: (await app.signIn()).cookie })],
  [
    "signed in, on a site with no identity headers of its own",
    async (headers) => world.site("PLAIN").client("/", { headers, cookie: (await world.site("PLAIN").signIn()).cookie }),
  ],
  ["signed in by a bearer token", async (headers) => app.client("/", { headers, bearer: (await app.signIn()).token })],
  [
    "a POST",
    async (headers) => app.send("POST", "/", { kind: SCRIPT, headers: [...headers, ["Origin", app.origin]], cookie: (await app.signIn()).cookie, body: "x" }),
  ],
])) {
  test(`SEC-28: no reserved header of a client reaches the origin, in any spelling: ${who}`, async () => {
    const forged = RESERVED.flatMap((name) => SPELLINGS.map((spell, i) => [spell(name), `forged-${i}`]));
    const answer = await visit(forged);
    assert.equal(answer.status, 200, String(answer));
    for (const [name, value] of answer.seen.headers.list) assert.ok(!value.includes("forged"), `${name}: ${value}`);
  });
}

test("SEC-28: headers that only look similar are the application's", async () => {
  const { cookie } = await app.signIn();
  const kept = { "X-Forwarded": "1", Remote: "3", "X-Requested-With": "XMLHttpRequest", "X-CSRFToken": "4", X_Custom: "5", "X.Custom": "6" };
  const { seen } = await app.client("/", { cookie, headers: kept });
  for (const [name, value] of Object.entries(kept)) if (name !== "X-Forwarded") assert.equal(seen.header(name), value, name);
});

test("SEC-29: what is not known of a user is absent or empty, and never what the client sent", async () => {
  const user = await app.createUser();
  const { cookie } = await app.signIn(user);
  const names = ["x-forwarded-groups", "remote-groups", "remote-name", "X_Forwarded_Groups"];
  const { seen } = await app.client("/", { cookie, headers: names.map((name) => [name, "admins"]) });
  for (const name of names) assert.ok(!(seen.header(name) ?? "").includes("admins"), name);
  assert.ok(!seen.header("x-forwarded-groups"));
});

test("SEC-30: `Connection` cannot take our headers away from the origin", async () => {
  const user = await app.createUser({ roles: ["r"] });
  const { cookie } = await app.signIn(user);
  for (const connection of [
    "X-Forwarded-User, X-Forwarded-Groups",
    "close, X-Forwarded-User",
    "x-forwarded-user",
    "keep-alive, X-Edgeward-Assertion, X-Forwarded-For, Cookie",
  ]) {
    const answer = await exchangeRaw({
      port: app.port,
      text: `GET / HTTP/1.1\r\nHost: ${app.host}\r\nCookie: ${cookie}; a=1\r\nConnection: ${connection}\r\nConnection: close\r\n\r\n`,
    });
    assert.equal(answer.status, 200, `${connection}: ${answer}`);
    assert.equal(answer.seen.header("x-forwarded-user"), user.id);
    assert.equal(answer.seen.header("x-forwarded-groups"), "r");
    assert.ok(answer.seen.header("x-edgeward-assertion"));
    assert.equal(answer.seen.header("cookie"), "a=1");
    assert.doesNotMatch(answer.seen.header("connection") ?? "", /x-/i);
  }
});

test("SEC-31: values beyond printable ASCII are percent-encoded, and so is %", async () => {
  const user = await app.createUser({ first_name: "Zoë", last_name: "Łukasz 100%", username: "ünï" });
  const { cookie } = await app.signIn(user);
  const { seen } = await app.client("/", { cookie });
  assert.equal(seen.header("x-forwarded-preferred-username"), "%C3%BCn%C3%AF");
  assert.equal(seen.header("remote-name"), "Zo%C3%AB %C5%81ukasz 100%25");
});

test("SEC-31: no value starts a new header or a new group", async () => {
  for (const bad of ["a\r\nX-Forwarded-User: admin", "a\nb", "a\u0000b", "a\u007fb", "a\u2028b"]) {
    const answer = await app.admin("POST", "/api/sso/users", { email: `${newPath().slice(1)}@example.test`, first_name: bad, username: bad });
    assert.deepEqual([answer.status, answer.json.code], [400, "invalid_request"], JSON.stringify(bad));
  }
  for (const role of ["", "a\nadmin"]) {
    const answer = await app.admin("POST", "/api/sso/users", { email: `${newPath().slice(1)}@example.test`, roles: [role] });
    assert.deepEqual([answer.status, answer.json.code, answer.json.field], [400, "invalid_request", "roles"], role);
  }
  const user = await app.createUser({ roles: ["a,admin", "b, admin"] });
  const { seen } = await app.navigate(newPath(), { cookie: `ls_auth_token=${await app.issue(user.email)}` });
  assert.equal(seen.header("x-forwarded-groups"), "a%2Cadmin,b%2C admin");
});

test("SEC-47: x-forwarded-host, -proto and -for are set by us; the client's address is only Cloudflare's", async () => {
  const { cookie } = await app.signIn();
  const headers = { "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "gopher", "X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.2" };
  const known = (await app.client("/", { cookie, headers: { ...headers, "CF-Connecting-IP": "203.0.113.7" } })).seen;
  assert.equal(known.header("x-forwarded-host"), app.host);
  assert.equal(known.header("x-forwarded-proto"), "http");
  assert.equal(known.header("x-forwarded-for"), "203.0.113.7");
  const unknown = (await app.client("/", { cookie, headers })).seen;
  assert.equal(unknown.header("x-forwarded-for"), undefined);
});

test("every request to the origin has a request id: its own, or the client's", async () => {
  const { cookie } = await app.signIn();
  const ids = [];
  const chosen = await app.client("/", { cookie, headers: { "X-Request-Id": "chosen by the client" } });
  assert.equal(chosen.seen.header("x-request-id"), "chosen by the client");
  for (let i = 0; i < 3; i++) ids.push((await app.client("/", { cookie })).seen.headers.need("x-request-id"));
  assert.equal(new Set(ids).size, 3);
  for (const id of ids) assert.match(id, /^[\w-]{8,}$/);
});

test("the host is rewritten to the origin's", async () => {
  const { cookie } = await app.signIn();
  assert.equal((await app.client("/", { cookie })).seen.header("host"), `127.0.0.1:${world.origin.port}`);
});

// On Cloudflare a preserved host is a fetch of the public name with another place to connect to, which a
// local workerd cannot do; so that what leaves the Worker is looked at here before any name is resolved.
test("the host is preserved where the site says so", async () => {
  /** @type {{ url: URL, headers: { get(name: string): string | null } }[]} */
  const sent = [];
  const kept = await startWorld({
    sites: { KEPT: { host_header: "preserve", upstream: "https://origin.internal.example.test" } },
    outbound: (request) => {
      sent.push({ url: new URL(request.url), headers: request.headers });
      return ["kept"];
    },
  });
  try {
    const site = kept.site("KEPT");
    const user = await site.createUser();
    const answer = await site.client("/a?b=c", { bearer: await site.issue(user.email) });
    assert.equal(answer.text, "kept");
    assert.equal(sent.length, 1);
    assert.equal(sent[0].url.host, site.host);
    assert.equal(sent[0].url.pathname + sent[0].url.search, "/a?b=c");
    assert.equal(sent[0].headers.get("x-forwarded-host"), site.host);
    assert.equal(sent[0].headers.get("x-forwarded-user"), user.id);
  } finally {
    await kept.stop();
  }
});

test("a static upstream credential is sent, and the client's header of that name is not", async () => {
  const secret = world.site("SECRET");
  const anonymous = await secret.client("/", { headers: { Authorization: "Basic dXNlcjpwYXNz" } });
  assert.deepEqual(anonymous.seen.headers.all("authorization"), ["Token upstream-credential-0123456789"]);
  const { cookie } = await secret.signIn();
  assert.deepEqual((await secret.client("/", { cookie, headers: { Authorization: "Token mine" } })).seen.headers.all("authorization"), [
    "Token upstream-credential-0123456789",
  ]);
  const named = world.site("SECRETX");
  const there = await named.signIn();
  const { seen } = await named.client("/", { cookie: there.cookie, headers: { "X-Upstream-Key": "forged", X_Upstream_Key: "forged" } });
  assert.equal(seen.header("x-upstream-key"), "Token upstream-credential-0123456789");
  assert.equal(seen.header("x_upstream_key"), undefined);
});

test("SEC-63: the static upstream credential goes to no client and to no other origin's site", async () => {
  const { cookie } = await app.signIn();
  assert.ok(!everything((await app.client("/", { cookie })).seen).includes("upstream-credential"));
  for (const path of ["/api/sso/me", "/api/sso/health", "/api/sso/nothing"])
    assert.ok(!String(await world.site("SECRET").client(path)).includes("upstream-credential"));
});

test("method, path, query, body and the application's headers arrive as they were sent", async () => {
  const { cookie } = await app.signIn();
  const body = Buffer.from([0, 1, 2, 255, 254, 13, 10]);
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    const answer = await app.send(method, "/a/b%20c/?q=%zz&&x=+", {
      cookie,
      body,
      headers: { Origin: app.origin, "Content-Type": "application/x-odd", "If-None-Match": '"x"', "Accept-Language": "de", Range: "bytes=0-" },
    });
    assert.equal(answer.status, 200, String(answer));
    const { seen } = answer;
    assert.equal(seen.method, method);
    assert.equal(seen.url, "/a/b%20c/?q=%zz&&x=+");
    assert.equal(seen.body?.size, body.length);
    assert.equal(seen.body?.sha256, (await import("node:crypto")).createHash("sha256").update(body).digest("hex"));
    assert.equal(seen.header("content-type"), "application/x-odd");
    assert.equal(seen.header("if-none-match"), '"x"');
    assert.equal(seen.header("accept-language"), "de");
    assert.equal(seen.header("range"), "bytes=0-");
  }
});

test("SEC-39: the method that we judged is the method that the origin gets", async () => {
  const { cookie } = await app.signIn();
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "PURGE", "LOCK", "SEARCH", "QUERY"]) {
    const answer = await exchangeRaw({
      port: app.port,
      text: `${method} /m HTTP/1.1\r\nHost: ${app.host}\r\nOrigin: ${app.origin}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`,
    });
    assert.ok(answer, method);
    assert.equal(answer.status, 200, `${method}: ${answer}`);
    assert.equal(answer.seen.method, method);
  }
  const head = newPath();
  assert.equal((await app.send("HEAD", head, { cookie })).status, 200);
  assert.deepEqual(
    world.origin.about(head).map(({ method }) => method),
    ["HEAD"],
  );
});

test("SEC-39: TRACE, which makes an origin repeat what it was told, is refused", async () => {
  const { cookie } = await app.signIn();
  const path = newPath();
  const answer = await exchangeRaw({ port: app.port, text: `TRACE ${path} HTTP/1.1\r\nHost: ${app.host}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n` });
  assert.equal(answer.status, 405, String(answer));
  assert.deepEqual(world.origin.about(path), []);
});

test("SEC-39: a header that overrides the method does not reach the origin", async () => {
  const { cookie } = await app.signIn();
  for (const name of ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override", "x-http_method.override"]) {
    const answer = await app.client("/", { cookie, headers: { [name]: "DELETE" } });
    assert.equal(answer.status, 200, String(answer));
    assert.ok(!answer.seen.headers.list.some(([, value]) => value === "DELETE"), name);
  }
});

test("SEC-39: at a site without rules OPTIONS needs a credential, as a preflight too", async () => {
  const path = newPath();
  const preflight = { Origin: "https://x.test", "Access-Control-Request-Method": "POST" };
  for (const headers of [{}, { Origin: "https://x.test" }, { "Access-Control-Request-Method": "POST" }, preflight]) {
    const answer = await app.send("OPTIONS", path, { kind: SCRIPT, headers });
    assert.deepEqual([answer.status, answer.json.code], [401, "token_missing"], JSON.stringify(headers));
  }
  assert.deepEqual(world.origin.about(path), []);
});

test("a token made for the origin is not made from what the client sent", async () => {
  const { user, cookie } = await app.signIn();
  const { seen } = await app.client("/", { cookie, headers: { "X-Edgeward-Assertion": ssoToken(app, user) } });
  assert.equal(seen.headers.all("x-edgeward-assertion").length, 1);
  assert.notEqual(seen.header("x-edgeward-assertion"), ssoToken(app, user));
});
