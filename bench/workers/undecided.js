// What a Worker with its core in Wasm has the runtime do for a request, without the decision: reads the whole head
// and encodes it for the core, sends the same headers with fixed values, and marks the answer as private. Nobody is
// verified. The distance from here to `edgeward` is the price of the core and of the way to it and back, less what it remembers.

import { keepPrivate } from "./shared.js";

/** @import { Env } from "./types.js" */
/** @typedef {[name: string, value: string]} Header */

const encoder = new TextEncoder();
const buffer = new Uint8Array(16 * 1024);
/** @type {Header[] | undefined} */
let fixed;

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env) {
    const head = [request.method, request.url];
    request.headers.forEach((value, name) => {
      head.push(name, value);
    });
    encoder.encodeInto(head.join("\n"), buffer);

    const headers = new Headers(request.headers);
    headers.delete("x-real-ip");
    fixed ??= /** @type {Header[]} */ (JSON.parse(env.FIXED));
    for (const [name, value] of fixed) headers.set(name, value);
    const { method, body, url } = request;
    const path = url.slice(url.indexOf("/", 8));
    return fetch(env.ORIGIN + path, { method, headers, body, redirect: "manual" }).then(keepPrivate);
  },
};
