// The Worker, telling in each answer whether the request is sent again as one was before (`x-test-again`); and with a
// core that can be made to begin again, as it does after a panic (`x-test-restart`), and to die unnoticed, so that the
// next call begins again by itself (`x-test-die`).
import * as core from "../../../build/bindgen/index.js";
import worker, { Once } from "../../../src/edge/entry.js";
import { read } from "../../../src/edge/head.js";
import { asked, recognise } from "../../../src/edge/repeat.js";

export { Once };

function isSentAgain(request) {
  const head = read(request);
  const shape = recognise(head);
  return shape !== undefined && core.again(shape.id, asked(shape, head), Date.now()) !== 0;
}

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
    if (request.headers.has("x-test-restart")) core.__wbg_reset_state();
    if (request.headers.has("x-test-die")) return die(request, env);
    const again = isSentAgain(request);
    const answer = await worker.fetch(request, env);
    if (answer.status === 101) return answer;
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-again", String(again));
    return told;
  },
};
