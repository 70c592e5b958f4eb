// The same job with `hono` as its documentation has it: the `jwt` middleware on the cookie, then the `proxy`
// helper. The key is imported once, so that only the verification is paid for.

import { env } from "cloudflare:workers";
import { Hono } from "hono";
import { jwt } from "hono/jwt";
import { proxy } from "hono/proxy";
import { forOnePerson, headersFor, saysWhoMayCache } from "./shared.js";

/** @import { MiddlewareHandler } from "hono" */
/** @import { Claims } from "./types.js" */

/** @type {Hono<{ Variables: { jwtPayload: Claims } }>} */
const app = new Hono();
/** @type {MiddlewareHandler | undefined} */
let authenticate;

app.use(async (context, next) => {
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
  return authenticate(context, next);
});

app.all("*", async (context) => {
  const claims = context.get("jwtPayload");
  const request = context.req.raw;
  const headers = headersFor(request, claims, env.COOKIE);
  const path = request.url.slice(request.url.indexOf("/", 8));
  // The helper's response can be changed as it is.
  const answer = await proxy(env.ORIGIN + path, { raw: request, headers });
  if (!saysWhoMayCache(answer.headers)) forOnePerson(answer.headers);
  return answer;
});

export default app;
