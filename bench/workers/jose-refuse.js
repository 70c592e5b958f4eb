// What somebody writes around `jose` who turns people down: nobody signed in is 401 or sent to sign in, a role opens one
// area and hides another, a page of another site may not act, and an ambiguous path is not read.

import { pairsOf, sessionIn, verify } from "./session.js";
import { headersFor, keepPrivate } from "./shared.js";

/** @import { Claims, RefuseEnv } from "./types.js" */

/** @satisfies {ExportedHandler<RefuseEnv>} */
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (/%(00|2f|5c)/i.test(url.pathname)) return new Response("bad request", { status: 400 });
    /** @type {Claims} */
    let claims;
    try {
      claims = await verify(sessionIn(pairsOf(request.headers.get("cookie") ?? ""), env), env);
    } catch {
      if (url.pathname.startsWith("/account") && request.headers.get("sec-fetch-mode") === "navigate") {
        return new Response(null, {
          status: 303,
          headers: {
            location: `${env.LOGIN}?return_to=${encodeURIComponent(request.url)}`,
            "cache-control": "no-store",
          },
        });
      }
      return new Response("unauthorized", { status: 401, headers: { "cache-control": "no-store" } });
    }
    if (request.method !== "GET" && request.headers.get("sec-fetch-site") === "cross-site")
      return new Response("forbidden", { status: 403 });
    if (url.pathname.startsWith("/admin") && !claims.roles.includes("admin"))
      return new Response("forbidden", { status: 403 });
    if (url.pathname.startsWith("/hidden") && !claims.roles.includes("admin"))
      return new Response("not found", { status: 404 });

    const headers = headersFor(request, claims, env.COOKIE);
    const { method, body } = request;
    return keepPrivate(
      await fetch(env.ORIGIN + url.pathname + url.search, { method, headers, body, redirect: "manual" }),
    );
  },
};
