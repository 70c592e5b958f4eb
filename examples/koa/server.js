// A Koa application on both sides of Edgeward. It hands its people over to a site (`/open/…`), and it is an origin that
// checks who comes (`/me`). You need one half or the other; they share nothing but the address of Edgeward.

import { timingSafeEqual } from "node:crypto";
import { createReadStream } from "node:fs";
import { createRemoteJWKSet, jwtVerify } from "jose";
import Koa from "koa";

const edgeward = new URL(setting("EDGEWARD_URL"));
const apiToken = setting("EDGEWARD_API_TOKEN");
const audience = setting("ASSERTION_AUDIENCE");
const issuer = setting("ASSERTION_ISSUER", "edgeward");
const password = setting("DEMO_PASSWORD");
const cookieName = setting("SSO_COOKIE_NAME", "ls_auth_token");
const cookieDomain = process.env.SSO_COOKIE_DOMAIN;

/** Stands for your own sign-in: the browser asks for a name and `DEMO_PASSWORD`. */
const PEOPLE = new Map([
  ["ada", { email: "ada@example.com", first_name: "Ada", last_name: "Lovelace" }],
  ["zoe", { email: "zoe@example.com", first_name: "Zoë", last_name: "Washburne" }],
]);

// --- handing a person over ---------------------------------------------------------------------

const TIMEOUT_MS = 5000;
/** A kept token is renewed when it has less than this left, so that nobody arrives with an expired one. */
const MARGIN_MS = 60_000;

class EdgewardError extends Error {
  constructor(status, publicText, message, retryAfter) {
    super(message); // for the log, without a secret
    Object.assign(this, { status, publicText, retryAfter });
  }
}

const REFUSALS = {
  401: [502, "The site did not accept this application."], // the API token is wrong or revoked
  403: [403, "The site does not let you in."], //             the user is disabled, or not one of this API token's
  422: [403, "You have no account on the site."],
  429: [503, "The site is busy. Try again in a moment."],
};

async function requestToken(person) {
  const now = Date.now();
  let response;
  try {
    response = await fetch(new URL("/api/sso/token", edgeward), {
      method: "POST",
      headers: { authorization: `Token ${apiToken}`, "content-type": "application/json" },
      body: JSON.stringify(person),
      redirect: "error", // the API token goes to this address and to no other
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new EdgewardError(504, "The site does not answer.", `no answer from Edgeward: ${error.name}`);
  }
  const answer = (await response.json().catch(() => null)) ?? {};
  if (response.status !== 200 || typeof answer.token !== "string" || !(answer.expires_in > 0)) {
    const [status, text] = REFUSALS[response.status] ?? [502, "The site gave an unexpected answer."];
    const why = `Edgeward answered ${response.status} ${answer.error_code ?? answer.error ?? ""}`;
    throw new EdgewardError(status, text, why, response.headers.get("retry-after"));
  }
  return { token: answer.token, expires: now + answer.expires_in * 1000 };
}

/** The tokens that are kept for the cookie, by person: each one is asked for once in its lifetime. */
const kept = new Map();

/** A token for the cookie. Requests at the same time wait for the same one. */
async function keptToken(person) {
  for (const [email, { renewAt }] of kept) if (renewAt <= Date.now()) kept.delete(email);
  let entry = kept.get(person.email);
  if (!entry) {
    entry = { renewAt: Date.now() + TIMEOUT_MS, token: requestToken(person) };
    kept.set(person.email, entry);
    try {
      entry.renewAt = (await entry.token).expires - MARGIN_MS;
    } catch (error) {
      kept.delete(person.email);
      throw error;
    }
  }
  return entry.token;
}

/** The address of a page of the site. What follows the fixed origin begins with `/`, so it cannot change the host. */
function pageOfSite(page) {
  return /^\/[!-~]*$/.test(page) ? edgeward.origin + page : null;
}

const WAYS = {
  // A link works once, so each has a new token. The rest of the address keeps every byte.
  async link(ctx, page) {
    const { token } = await requestToken(ctx.state.person);
    const [address, fragment] = page.split(/(?=#)/, 2);
    return `${address}${address.includes("?") ? "&" : "?"}token=${token}${fragment ?? ""}`;
  },
  // The same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them.
  async cookie(ctx, page) {
    const { token, expires } = await keptToken(ctx.state.person);
    const secure = edgeward.protocol === "https:";
    const maxAge = Math.floor((expires - Date.now()) / 1000);
    const attributes = ["Path=/", "HttpOnly", "SameSite=Lax", `Max-Age=${maxAge}`];
    if (cookieDomain) attributes.push(`Domain=${cookieDomain}`);
    if (secure) attributes.push("Secure");
    ctx.append("Set-Cookie", [`${cookieName}=${token}`, ...attributes].join("; "));
    return page;
  },
};

// --- checking who comes ------------------------------------------------------------------------

/** Fetched when it is needed, kept, and fetched again for an unknown `kid`. */
const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", edgeward));

/** The claims of the caller. Throws unless the assertion is good. */
async function verifiedCaller(ctx) {
  const { payload } = await jwtVerify(ctx.get("X-Edgeward-Assertion"), keys, {
    algorithms: ["ES256"],
    audience,
    issuer,
    requiredClaims: ["sub", "iat", "exp"],
    typ: "assertion+jwt",
  });
  return payload;
}

// --- the routes --------------------------------------------------------------------------------

/** The page with the React component of ../react, which needs no build. */
const ASSETS = {
  "/": ["html", new URL("../react/page.html", import.meta.url)],
  "/open-site.js": ["js", new URL("../react/open-site.js", import.meta.url)],
  "/react.js": ["js", new URL("node_modules/react/umd/react.production.min.js", import.meta.url)],
  "/react-dom.js": ["js", new URL("node_modules/react-dom/umd/react-dom.production.min.js", import.meta.url)],
};

const app = new Koa();

app.use(async (ctx, next) => {
  ctx.set({ "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff" });
  try {
    await next();
  } catch (error) {
    if (!(error instanceof EdgewardError)) throw error;
    console.error(error.message);
    ctx.status = error.status;
    if (error.retryAfter) ctx.set("Retry-After", error.retryAfter);
    ctx.body = `${error.publicText}\n`;
  }
});

app.use(async (ctx, next) => {
  if (ctx.path !== "/me") return next();
  try {
    const { sub, email, roles } = await verifiedCaller(ctx);
    ctx.body = { sub, email, roles };
  } catch (error) {
    console.error(`assertion refused: ${error.code ?? error.name}`);
    // A key set that cannot be fetched is no reason to let anybody in, and no fault of the caller.
    const isFault =
      error.code === "ERR_JWKS_TIMEOUT" || error.code === "ERR_JOSE_GENERIC" || error instanceof TypeError;
    ctx.status = isFault ? 503 : 401;
    ctx.body = { error: isFault ? "try again later" : "no valid assertion" };
  }
});

app.use(async (ctx, next) => {
  ctx.state.person = signedIn(ctx);
  if (ctx.state.person) return next();
  ctx.set("WWW-Authenticate", 'Basic realm="demo", charset="UTF-8"');
  ctx.status = 401;
});

app.use(async (ctx) => {
  const [, way] = /^\/open\/(link|cookie)$/.exec(ctx.path) ?? [];
  if (way) {
    const page = pageOfSite(String(ctx.query.page ?? "/"));
    if (!page) ctx.throw(400, "This is no page of the site.");
    ctx.set("Location", await WAYS[way](ctx, page));
    ctx.status = 303;
    ctx.body = ""; // `ctx.redirect` would write the address, token and all, into the body as well
  } else if (ASSETS[ctx.path]) {
    const [type, file] = ASSETS[ctx.path];
    ctx.type = type;
    ctx.body = createReadStream(file);
  }
});

const port = Number(setting("PORT", "3004"));
app.listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));

function signedIn(ctx) {
  const [scheme, value = ""] = ctx.get("Authorization").split(" ", 2);
  if (scheme.toLowerCase() !== "basic") return undefined;
  const [, name, given] = /^([^:]*):([\s\S]*)$/.exec(Buffer.from(value, "base64").toString()) ?? [];
  const [one, other] = [given ?? "", password].map((text) => Buffer.from(text));
  return one.length === other.length && timingSafeEqual(one, other) ? PEOPLE.get(name) : undefined;
}

function setting(name, otherwise) {
  const value = process.env[name] || otherwise;
  if (!value) throw new Error(`${name} is not set`);
  return value;
}
