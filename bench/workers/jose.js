// The same job written by hand around `jose`: verify the session cookie on every request, take it out,
// tell the origin who is calling and how the request came, and mark the answer as private; with as few objects of the
// runtime as can be without remembering anything of a caller. The key is imported once, so that only the verification is paid for.

import { pairsOf, sessionIn, verify } from "./session.js";
import { headersFor, keepPrivate } from "./shared.js";

/** @import { Claims, Env } from "./types.js" */

/** @satisfies {ExportedHandler<Env>} */
export default {
  async fetch(request, env) {
    /** @type {Claims} */
    let claims;
    try {
      claims = await verify(sessionIn(pairsOf(request.headers.get("cookie") ?? ""), env), env);
    } catch {
      return new Response("unauthorized", { status: 401 });
    }

    const headers = headersFor(request, claims, env.COOKIE);
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return keepPrivate(await fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }));
  },
};
