// The same job written by hand around `jose`: verify the session cookie on every request, take it out,
// tell the origin who is calling and how the request came. The key is imported once, so that only the verification
// is paid for.

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

    const path = request.url.slice(request.url.indexOf("/", 8));
    const forward = new Request(env.ORIGIN + path, request);
    const others = cookies.filter((pair) => !pair.startsWith(prefix));
    if (others.length > 0) forward.headers.set("cookie", others.join("; "));
    else forward.headers.delete("cookie");
    forward.headers.set("x-forwarded-user", claims.sub);
    forward.headers.set("x-forwarded-email", claims.email);
    forward.headers.set("x-forwarded-groups", claims.roles.join(","));
    forward.headers.set("x-forwarded-preferred-username", claims.username);
    const address = request.headers.get("cf-connecting-ip");
    if (address !== null) forward.headers.set("x-forwarded-for", address);
    forward.headers.set("x-forwarded-host", request.headers.get("host"));
    forward.headers.set("x-forwarded-proto", request.url.slice(0, request.url.indexOf(":")));
    forward.headers.delete("x-real-ip");
    return fetch(forward);
  },
};
