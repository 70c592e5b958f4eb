// The least that plain JavaScript needs for what Edgeward does with a request's headers: one look-up by the whole Cookie
// header gives the caller and the Cookie header without the session, one pass over the names takes out what a client may
// not send. It signs no assertion, keeps no users and has no rules, and a value in its memory counts until the token ends.

import { pairsOf, sessionIn, verify } from "./session.js";
import { isReserved, keepPrivate, Memo } from "./shared.js";

/** @import { Env } from "./types.js" */
/** @typedef {{ exp: number, cookie: string, identity: [name: string, value: string][] }} Known */

/** @type {Memo<Known>} */
const memo = new Memo();

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env) {
    const cookie = request.headers.get("cookie");
    const known = memo.get(cookie);
    if (known !== undefined) return forward(request, env, known);
    return remembered(cookie ?? "", env).then(
      (known) => forward(request, env, known),
      () => new Response("unauthorized", { status: 401 }),
    );
  },
};

/**
 * @param {string} cookie
 * @param {Env} env
 */
async function remembered(cookie, env) {
  const pairs = pairsOf(cookie);
  const payload = await verify(sessionIn(pairs, env), env);
  /** @type {Known} */
  const known = {
    exp: payload.exp,
    cookie: pairs.filter((pair) => !pair.startsWith(`${env.COOKIE}=`)).join("; "),
    identity: [
      ["x-forwarded-user", payload.sub],
      ["x-forwarded-email", payload.email],
      ["x-forwarded-groups", payload.roles.join(",")],
      ["x-forwarded-preferred-username", payload.username],
    ],
  };
  memo.set(cookie, known);
  return known;
}

/**
 * @param {Request} request
 * @param {Env} env
 * @param {Known} known
 */
function forward(request, env, { cookie, identity }) {
  const headers = new Headers(request.headers);
  const address = headers.get("cf-connecting-ip");
  request.headers.forEach((_, name) => {
    if (isReserved(name)) headers.delete(name);
  });
  if (cookie === "") headers.delete("cookie");
  else headers.set("cookie", cookie);
  for (const [name, value] of identity) headers.set(name, value);
  if (address !== null) headers.set("x-forwarded-for", address);
  const { method, body, url } = request;
  const path = url.indexOf("/", 8);
  const scheme = url.indexOf(":");
  headers.set("x-forwarded-host", url.slice(scheme + 3, path));
  headers.set("x-forwarded-proto", url.slice(0, scheme));
  return fetch(env.ORIGIN + url.slice(path), { method, headers, body, redirect: "manual" }).then(keepPrivate);
}
