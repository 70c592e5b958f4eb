// The Worker, telling in each answer how often the headers of the request were asked for (`x-test-headers`; to read them
// is once, to copy them once more) and what the CDN was told (`x-test-cf`); and with a core that can be made to begin
// again, as it does after a panic (`x-test-restart`), and to die unnoticed, so that the next call begins again by itself
// (`x-test-die`).
import * as core from "../../../build/bindgen/index.js";
import worker, { Once, Record } from "../../../src/edge/entry.js";

export { Once, Record };

let cf;
const { fetch } = globalThis;
globalThis.fetch = (what, init) => {
  cf = init?.cf;
  return fetch(what, init);
};

/** What is thrown in an import, and is no panic, ends the instance as well. */
function die(request, env) {
  try {
    core.fetch(request, null, env, Date.now(), false);
  } catch (error) {
    return new Response(String(error));
  }
  return new Response("it lives", { status: 500 });
}

export default {
  async fetch(request, env) {
    if (request.headers.has("upgrade")) return worker.fetch(request, env);
    if (request.headers.has("x-test-restart")) core.__wbg_reset_state();
    if (request.headers.has("x-test-die")) return die(request, env);
    let asked = 0;
    const watched = new Proxy(request, {
      get(target, name) {
        if (name === "headers") asked += 1;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const answer = await worker.fetch(watched, env);
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-headers", String(asked));
    told.headers.set("x-test-cf", JSON.stringify(cf) ?? "undefined");
    return told;
  },
};
