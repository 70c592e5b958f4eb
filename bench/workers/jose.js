// The same job written by hand around `jose`: verify the session cookie on every request, take it out,
// tell the origin who is calling and how the request came, and mark the answer as private; with as few objects of the
// runtime as Edgeward makes. The key is imported once, so that only the verification is paid for.

import { jwtVerify } from "jose";

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

    const headers = new Headers(request.headers);
    const others = cookies.filter((pair) => !pair.startsWith(prefix));
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
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    // One person's answer, unless the origin says otherwise.
    const response = await fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" });
    if (response.headers.has("cache-control")) return response;
    const answer = new Response(response.body, response);
    answer.headers.set("cache-control", "private");
    answer.headers.append("vary", "Cookie, Authorization");
    return answer;
  },
};
