// The Worker with a core that can be made to begin again, as it does after a panic.
import * as core from "../../../build/bindgen/index.js";
import worker, { Once } from "../../../src/edge/entry.js";

export { Once };

export default {
  fetch(request, env) {
    if (request.headers.has("x-test-restart")) core.__wbg_reset_state();
    return worker.fetch(request, env);
  },
};
