// The same job with `hono` as its documentation has it: the `jwt` middleware on the cookie, then the `proxy`
// helper. The key is imported once, so that only the verification is paid for.

import { env } from "cloudflare:workers";
import { Hono } from "hono";
import { jwt } from "hono/jwt";
import { proxy } from "hono/proxy";

const app = new Hono();
const prefix = `${env.COOKIE}=`;
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
  const headers = new Headers(request.headers);
  const others = headers
    .get("cookie")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => !pair.startsWith(prefix));
  if (others.length > 0) headers.set("cookie", others.join("; "));
  else headers.delete("cookie");
  headers.set("x-forwarded-user", claims.sub);
  headers.set("x-forwarded-email", claims.email);
  headers.set("x-forwarded-groups", claims.roles.join(","));
  headers.set("x-forwarded-preferred-username", claims.username);
  const address = headers.get("cf-connecting-ip");
  if (address === null) headers.delete("x-forwarded-for");
  else headers.set("x-forwarded-for", address);
  headers.set("x-forwarded-host", headers.get("host"));
  headers.set("x-forwarded-proto", request.url.slice(0, request.url.indexOf(":")));
  headers.delete("x-real-ip");
  const path = request.url.slice(request.url.indexOf("/", 8));
  // The helper's response can be changed as it is.
  const answer = await proxy(env.ORIGIN + path, { raw: request, headers });
  if (!answer.headers.has("cache-control")) {
    answer.headers.set("cache-control", "private");
    answer.headers.append("vary", "Cookie, Authorization");
  }
  return answer;
});

export default app;
