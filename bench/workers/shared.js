// What both peers do once the session is verified, and how an answer is marked as private.

/** The request's headers for the origin: without the session cookie, with who is calling and how the request came. */
export function headersFor(request, claims, cookieName) {
  const headers = new Headers(request.headers);
  const others = headers
    .get("cookie")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => !pair.startsWith(`${cookieName}=`));
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
  return headers;
}

/** One person's answer, unless the origin says otherwise. The headers of a fetched response cannot be changed. */
export function keepPrivate(response) {
  if (response.headers.has("cache-control")) return response;
  const answer = new Response(response.body, response);
  forOnePerson(answer.headers);
  return answer;
}

export function forOnePerson(headers) {
  headers.set("cache-control", "private");
  headers.append("vary", "Cookie, Authorization");
}
