// The Workers that are compared, and the same job for each: one person, one session cookie of one size, one
// request, one origin.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build as bundle } from "esbuild";
import { createLocalJWKSet, jwtVerify, SignJWT } from "jose";
import { ask } from "./http.mjs";
import { NUMBER } from "./number.mjs";
import { startWorker } from "./workerd.mjs";

const HOST = "bench.example.test";
const PATH = `/api/projects/7/tasks?page=${NUMBER}&fields=id,title`;
const COOKIE = "__Host-edgeward";
const SSO_COOKIE = "sso";
const ISSUER = "edgeward";
const TYP = "session+jwt";
const ASSERTION = "x-edgeward-assertion";
const ASSERTION_LENGTH = 583; // with the person and the site below; checked against Edgeward's own
const REQUEST_ID = "x-request-id";
const PERSON = { email: "ada@example.com", username: "ada", roles: ["editor", "reviewer"] };

const CLIENT_ADDRESS = "203.0.113.7";

/** What a browser's own request carries by the time it reaches a Worker, besides its cookies. */
const CLIENT_HEADERS = [
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"],
  ["Accept", "application/json, text/plain, */*"],
  ["Accept-Language", "en-GB,en;q=0.9"],
  ["Accept-Encoding", "gzip, deflate, br, zstd"],
  ["Referer", `https://${HOST}/projects/7/data`],
  ["Sec-Fetch-Site", "same-origin"],
  ["Sec-Fetch-Mode", "cors"],
  ["Sec-Fetch-Dest", "empty"],
  ["CF-Connecting-IP", CLIENT_ADDRESS],
  ["CF-IPCountry", "DE"],
  ["CF-Ray", `8f0c2b7d${NUMBER}-FRA`],
  ["CF-Visitor", '{"scheme":"https"}'],
  ["X-Forwarded-Proto", "https"],
  ["X-Real-IP", CLIENT_ADDRESS],
];
// A client could have made these up, so whoever tells the origin of the way a request came writes over them or takes them out.
const NOT_A_CLIENTS = ["x-forwarded-proto", "x-real-ip"];
// What an answer must say that is for one person.
const PRIVATE = { "cache-control": "private", vary: "Cookie, Authorization" };
const OTHER_COOKIES = ["theme=dark", "csrftoken=x9Y8z7w6V5u4"];

// A header that Edgeward knows nothing of. The rest of a caller's requests is the same, as a page's own are.
const OTHER_HEADER = "X-Page";

export const BASE = "passthrough";
const OWN = "edgeward";
// The same with a value in OTHER_HEADER that no request before had, so that none is recognised.
const UNRECOGNISED = "unrecognised";
const UNDECIDED = "undecided";
export const NAMES = [BASE, UNDECIDED, OWN, UNRECOGNISED, "jose", "hono"];
/** An earlier build of Edgeward, for a comparison in one run; recognised and not. */
export const EARLIER = ["before", "before-unrecognised"];
export const IS_EDGEWARD = [OWN, UNRECOGNISED, ...EARLIER];
// For a run without the built Worker.
const STAND_IN = { user: { ...PERSON, id: "usr_0123456789abcdefghijkl" }, session: "x".repeat(330) };

/**
 * Starts the Workers `names` in front of `origin`; `build`, `before` and `workers` are the folders of Edgeward's,
 * an earlier Edgeward's and the others' code. `adminTool` is the program that makes the first API token. With `bare` the request has no header but Host and
 * Cookie.
 */
export async function startEntrants({ names, origin, folder, build, before, workers, adminTool, bare }) {
  const upstream = `http://127.0.0.1:${origin.hello.port}`;
  const own = new Map();
  for (const name of names.filter((name) => IS_EDGEWARD.includes(name))) {
    own.set(name, await startEdgeward({ name, upstream, folder, build: EARLIER.includes(name) ? before : build, adminTool }));
  }
  const [{ user, session } = STAND_IN] = own.values();
  const secret = randomBytes(32).toString("base64url");
  const peerCookie = await peerSession(user, secret, session.length);
  const tell = (user) => [...identity(user), ...wayOf(bare)];
  const assertion = [ASSERTION, "x".repeat(ASSERTION_LENGTH)];
  const fixed = [["cookie", OTHER_COOKIES.join("; ")], ...tell(user), assertion];
  const bindings = { ORIGIN: upstream, SECRET: secret, COOKIE, ISSUER, AUDIENCE: HOST, TYP, FIXED: JSON.stringify(fixed) };
  const entrants = [];
  for (const name of names) {
    const edgeward = own.get(name);
    const worker = edgeward?.worker ?? (await startPeer({ name, workers, bindings, folder }));
    const cookies = [OTHER_COOKIES[0], `${COOKIE}=${edgeward?.session ?? peerCookie}`, OTHER_COOKIES[1]].join("; ");
    const other = [OTHER_HEADER, name.endsWith(UNRECOGNISED) ? NUMBER : "projects"];
    const headers = [["Host", HOST], ...(bare ? [] : CLIENT_HEADERS), other, ["Cookie", cookies]];
    const told = tell(edgeward?.user ?? user);
    const request = `GET ${PATH} HTTP/1.1\r\n${headers.map((header) => `${header.join(": ")}\r\n`).join("")}\r\n`;
    const kept = name === BASE ? headers : [...headers.filter(([header]) => !NOT_A_CLIENTS.includes(header.toLowerCase())), ...told];
    const expected = lowerCase(name === UNDECIDED ? [...kept, assertion] : kept);
    expected.host = upstream.slice("http://".length);
    if (name !== BASE) expected.cookie = OTHER_COOKIES.join("; ");
    // Hono's proxy chooses the encodings itself. Edgeward's assertion is looked at by itself; and it names a request
    // that has no Cf-Ray.
    const free = name === "hono" ? ["accept-encoding"] : edgeward ? [ASSERTION, ...(bare ? [REQUEST_ID] : [])] : [];
    entrants.push({ name, worker, request, expected, free, edgeward, answer: name === BASE ? {} : PRIVATE });
  }
  const check = (entrant, received) => whatIsWrong(entrant, received, upstream);
  const stop = () => Promise.all(entrants.map(({ worker }) => worker.stop()));
  return { entrants, check, stop, cookieSize: session.length };
}

/** What the origin must be told of the person. */
function identity({ id, email, username, roles }) {
  return [
    ["x-forwarded-user", id],
    ["x-forwarded-email", email],
    ["x-forwarded-groups", roles.join(",")],
    ["x-forwarded-preferred-username", username],
  ];
}

/** What the origin must be told of the way that the request came. */
function wayOf(bare) {
  return [["x-forwarded-host", HOST], ["x-forwarded-proto", "http"], ...(bare ? [] : [["x-forwarded-for", CLIENT_ADDRESS]])];
}

function lowerCase(headers) {
  return Object.fromEntries(headers.map(([header, value]) => [header.toLowerCase(), value]));
}

/** What is wrong with the request as the origin received it, or null: no header may be missing, differ or be too many. */
async function whatIsWrong({ expected, free, edgeward }, received, upstream) {
  if (received === null) return "the origin received nothing";
  const number = /page=(\d+)/.exec(received.path)?.[1] ?? "";
  const isOne = number.length === NUMBER.length && received.path === PATH.replace(NUMBER, number);
  if (received.method !== "GET" || !isOne) return `the origin received ${received.method} ${received.path}`;
  for (const header of new Set([...Object.keys(expected), ...received.headers.map(([key]) => key)])) {
    if (free.includes(header)) continue;
    const values = received.headers.filter(([key]) => key === header).map(([, text]) => text);
    const wanted = Object.hasOwn(expected, header) ? [expected[header].replace(NUMBER, number)] : [];
    if (JSON.stringify(values) !== JSON.stringify(wanted)) {
      return `the origin received ${header} ${JSON.stringify(values)} instead of ${JSON.stringify(wanted)}`;
    }
  }
  if (edgeward === undefined) return null;
  const assertions = received.headers.filter(([key]) => key === ASSERTION).map(([, text]) => text);
  if (assertions.length !== 1) return `the origin received ${assertions.length} assertions`;
  const [assertion] = assertions;
  if (assertion.length !== ASSERTION_LENGTH) return `the assertion has ${assertion.length} bytes; ${UNDECIDED} sends ${ASSERTION_LENGTH}`;
  try {
    const { keys, user } = edgeward;
    await jwtVerify(assertion, keys, { algorithms: ["ES256"], issuer: ISSUER, audience: upstream, subject: user.id });
  } catch (error) {
    return `the origin received no good assertion (${error.message})`;
  }
  return null;
}

/** Starts the built Worker, and signs the person in as an application and a browser would. */
async function startEdgeward({ name, upstream, folder, build, adminTool }) {
  const files = ["worker.js", "edgeward.wasm"].map((name) => ({ name, file: join(build, name) }));
  for (const { file } of files) if (!existsSync(file)) throw new Error(`${file} is missing; run npm run build first`);
  const printed = execFileSync(adminTool, ["token", "create", "--name", "bench", "--scope", "admin", "--print-record"], {
    encoding: "utf8",
    env: { ...process.env, EDGEWARD_WRANGLER: "[]" }, // it stores nothing
  });
  const { token, key, value } = JSON.parse(printed);
  const site = {
    hosts: [HOST],
    upstream,
    sources: ["session", "sso_cookie"],
    unauthenticated: "deny",
    sso_cookie: { name: SSO_COOKIE },
    identity_headers: ["x-forwarded"],
    assertion: {},
  };
  const secret = () => ({ text: randomBytes(32).toString("base64url") });
  const worker = await startWorker({
    name,
    folder,
    modules: files,
    bindings: {
      EDGEWARD_KV: { kv: { [key]: value } },
      EDGEWARD_ONCE: { object: "Once" },
      // An earlier build knows no such class.
      ...(/\bRecord\b/.test(readFileSync(files[0].file, "utf8")) ? { EDGEWARD_RECORD: { object: "Record" } } : {}),
      EDGEWARD_LIMIT: { limit: true },
      EDGEWARD_FAILURE_LIMIT: { limit: true },
      EDGEWARD: { json: { issuer: ISSUER } },
      EDGEWARD_SITE_BENCH: { json: site },
      EDGEWARD_SESSION_SECRET_1: secret(),
      EDGEWARD_TOKEN_SECRET_1: secret(),
      EDGEWARD_KEY_SECRET_1: secret(),
    },
  });
  const call = async (path, body, status) => {
    const headers = { authorization: `Token ${token}`, "content-type": "application/json" };
    const answer = await ask(worker, { host: HOST, path, method: "POST", headers, body: JSON.stringify(body) });
    if (answer.status !== status) throw new Error(`POST ${path} answered ${answer.status}: ${answer.body}\n${worker.log()}`);
    return JSON.parse(answer.body);
  };
  const user = await call("/api/sso/users", PERSON, 201);
  const { token: ssoToken } = await call("/api/sso/token", { email: PERSON.email }, 200);
  const headers = { accept: "text/html", "sec-fetch-mode": "navigate", cookie: `${SSO_COOKIE}=${ssoToken}` };
  const arrival = await ask(worker, { host: HOST, path: "/", headers });
  const setCookie = arrival.headers["set-cookie"]?.find((cookie) => cookie.startsWith(`${COOKIE}=`));
  if (!setCookie) throw new Error(`the sign-in set no session cookie: ${arrival.status} ${arrival.body}\n${worker.log()}`);
  const session = setCookie.slice(COOKIE.length + 1).split(";", 1)[0];
  const jwks = JSON.parse((await ask(worker, { host: HOST, path: "/.well-known/jwks.json" })).body);
  return { worker, user, session, keys: createLocalJWKSet(jwks) };
}

async function startPeer({ name, workers, bindings, folder }) {
  const file = join(folder, `${name}.js`);
  await bundle({
    entryPoints: [join(workers, `${name}.js`)],
    outfile: file,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    logLevel: "error",
  });
  const text = Object.entries(bindings).map(([key, value]) => [key, { text: value }]);
  return startWorker({ name, folder, modules: [{ name: "worker.js", file }], bindings: Object.fromEntries(text) });
}

/** The peers' cookie: it says who the person is, since they keep no users, and is as long as Edgeward's. */
async function peerSession(user, secret, length) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, aud: HOST, sub: user.id, iat: now, exp: now + 3600, ...PERSON };
  const key = new TextEncoder().encode(secret);
  const sign = (jti) => new SignJWT({ ...claims, jti }).setProtectedHeader({ alg: "HS256", kid: "1", typ: TYP }).sign(key);
  let token = await sign("");
  for (let pad = 1; token.length < length; pad += 1) token = await sign("x".repeat(pad));
  return token;
}
