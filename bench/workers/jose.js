// The same job written by hand around `jose`: verify the session cookie on every request, take it out,
// tell the origin who is calling and how the request came, and mark the answer as private; with as few objects of the
// runtime as can be without remembering anything of a caller. The key is imported once, so that only the verification is paid for.

import { jwtVerify } from "jose";
import { headersFor, keepPrivate } from "./shared.js";

let key;

export default {
  async fetch(request, env) {
    const cookies = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
    const prefix = `${env.COOKIE}=`;
    const session = cookies.find((pair) => pair.startsWith(prefix))?.slice(prefix.length);
    let claims;
    try {
      key ??= await crypto.subtle.importKey(
        "raw",
        new TextEncoder().encode(env.SECRET),
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["verify"],
      );
      const verified = await jwtVerify(session, key, {
        algorithms: ["HS256"],
        issuer: env.ISSUER,
        audience: env.AUDIENCE,
        typ: env.TYP,
        requiredClaims: ["exp", "sub"],
      });
      claims = verified.payload;
    } catch {
      return new Response("unauthorized", { status: 401 });
    }

    const headers = headersFor(request, claims, env.COOKIE);
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return keepPrivate(await fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }));
  },
};
