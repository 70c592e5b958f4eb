// `jose.js` as somebody writes it who minds the cost: the claims of a verified cookie are remembered, by the cookie's value.

import { pairsOf, sessionIn, verify } from "./session.js";
import { headersFor, keepPrivate, Memo } from "./shared.js";

/** @import { Claims, Env } from "./types.js" */

/** @type {Memo<Claims>} */
const memo = new Memo();

/** @satisfies {ExportedHandler<Env>} */
export default {
  async fetch(request, env) {
    const session = sessionIn(pairsOf(request.headers.get("cookie") ?? ""), env);
    /** @type {Claims} */
    let claims;
    try {
      claims = memo.get(session) ?? (await remembered(session, env));
    } catch {
      return new Response("unauthorized", { status: 401 });
    }

    const headers = headersFor(request, claims, env.COOKIE);
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return keepPrivate(await fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }));
  },
};

/**
 * @param {string | undefined} session
 * @param {Env} env
 */
async function remembered(session, env) {
  const claims = await verify(session, env);
  memo.set(session, claims);
  return claims;
}
