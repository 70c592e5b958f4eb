// `hono.js` as somebody writes it who minds the cost: the claims of a verified cookie are remembered, by the cookie's
// value, in a middleware before `jwt`.

import { env } from "cloudflare:workers";
import { Hono } from "hono";
import { getCookie } from "hono/cookie";
import { jwt } from "hono/jwt";
import { proxy } from "hono/proxy";
import { forOnePerson, headersFor, Memo, saysWhoMayCache } from "./shared.js";

/** @import { MiddlewareHandler } from "hono" */
/** @import { Claims } from "./types.js" */

/** @type {Hono<{ Variables: { jwtPayload: Claims } }>} */
const app = new Hono();
/** @type {Memo<Claims>} */
const memo = new Memo();
/** @type {MiddlewareHandler | undefined} */
let authenticate;

app.use(async (context, next) => {
  const session = getCookie(context, env.COOKIE);
  const claims = memo.get(session);
  if (claims !== undefined) {
    context.set("jwtPayload", claims);
    return next();
  }
  authenticate ??= jwt({
    secret: await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(env.SECRET),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["verify"],
    ),
    alg: "HS256",
    cookie: env.COOKIE,
    verification: { iss: env.ISSUER, aud: env.AUDIENCE, exp: true, typ: env.TYP },
  });
  return authenticate(context, () => {
    memo.set(session, context.get("jwtPayload"));
    return next();
  });
});

app.all("*", async (context) => {
  const claims = context.get("jwtPayload");
  const request = context.req.raw;
  const headers = headersFor(request, claims, env.COOKIE);
  const path = request.url.slice(request.url.indexOf("/", 8));
  const answer = await proxy(env.ORIGIN + path, { raw: request, headers });
  if (!saysWhoMayCache(answer.headers)) forOnePerson(answer.headers);
  return answer;
});

export default app;
