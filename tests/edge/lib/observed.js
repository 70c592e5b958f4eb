// The Worker, telling in each answer whether the request is sent again as one was before (`x-test-again`); and with a
// core that can be made to begin again, as it does after a panic (`x-test-restart`).
import * as core from "../../../build/bindgen/index.js";
import worker, { Once } from "../../../src/edge/entry.js";
import { read } from "../../../src/edge/head.js";
import { rayOf, recognise } from "../../../src/edge/repeat.js";

export { Once };

function isSentAgain(request) {
  const head = read(request);
  const shape = recognise(head);
  return shape !== undefined && core.again(shape.id, request.url, rayOf(shape, head), Date.now()) !== 0;
}

export default {
  async fetch(request, env) {
    if (request.headers.has("x-test-restart")) core.__wbg_reset_state();
    const again = isSentAgain(request);
    const answer = await worker.fetch(request, env);
    if (answer.status === 101) return answer;
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-again", String(again));
    return told;
  },
};
