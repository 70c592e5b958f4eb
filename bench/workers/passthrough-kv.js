// The pass-through after two reads of KV at once, which find nothing: what they cost by themselves.

/** @import { KvEnv } from "./types.js" */

/** @satisfies {ExportedHandler<KvEnv>} */
export default {
  async fetch(request, env) {
    await Promise.all([env.KV.get("user:0"), env.KV.get("session_ended:0")]);
    const path = request.url.slice(request.url.indexOf("/", 8));
    return fetch(new Request(env.ORIGIN + path, request));
  },
};
