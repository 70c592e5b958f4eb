// `jose.js` as somebody writes it who minds the cost: the claims of a verified cookie are remembered, by the cookie's value.

import { jwtVerify } from "jose";
import { headersFor, keepPrivate, Memo } from "./shared.js";

const memo = new Memo();
let key;

export default {
  async fetch(request, env) {
    const cookies = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
    const prefix = `${env.COOKIE}=`;
    const session = cookies.find((pair) => pair.startsWith(prefix))?.slice(prefix.length);
    let claims;
    try {
      claims = memo.get(session) ?? (await verify(session, env));
    } catch {
      return new Response("unauthorized", { status: 401 });
    }

    const headers = headersFor(request, claims, env.COOKIE);
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return keepPrivate(await fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }));
  },
};

async function verify(session, env) {
  key ??= await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(env.SECRET),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  const { payload } = await jwtVerify(session, key, {
    algorithms: ["HS256"],
    issuer: env.ISSUER,
    audience: env.AUDIENCE,
    typ: env.TYP,
    requiredClaims: ["exp", "sub"],
  });
  memo.set(session, payload);
  return payload;
}
