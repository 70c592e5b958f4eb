// The measure of everything else: a Worker in front of an origin that only forwards.

/** @import { Env } from "./types.js" */

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env) {
    const path = request.url.slice(request.url.indexOf("/", 8));
    return fetch(new Request(env.ORIGIN + path, request));
  },
};
