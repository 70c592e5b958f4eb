// What every Worker in JavaScript pays that reads a whole head, sends the origin as many headers as Edgeward does and
// marks the answer as private. It decides nothing: nobody is verified, and what it sends is fixed. The distance from
// here to Edgeward is Edgeward's own; the distance from the pass-through to here is the runtime's.

const encoder = new TextEncoder();
const buffer = new Uint8Array(16 * 1024);
const head = [];
let fixed;

export default {
  fetch(request, env) {
    head[0] = request.method;
    head[1] = request.url;
    let at = 2;
    request.headers.forEach((value, name) => {
      head[at++] = name;
      head[at++] = value;
    });
    head.length = at;
    encoder.encodeInto(head.join("\n"), buffer);

    const headers = new Headers(request.headers);
    headers.delete("x-real-ip");
    fixed ??= JSON.parse(env.FIXED);
    for (const [name, value] of fixed) headers.set(name, value);
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }).then(keepPrivate);
  },
};

function keepPrivate(response) {
  if (response.headers.has("cache-control")) return response;
  const answer = new Response(response.body, response);
  answer.headers.set("cache-control", "private");
  answer.headers.append("vary", "Cookie, Authorization");
  return answer;
}
