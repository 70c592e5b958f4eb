// The Worker, telling in each answer which keys the runtime imported for it (`x-test-imports`), and which private keys
// ever since it began (`x-test-private`).
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { TestEnv } from "./types.js" */

export { Audit, Once, Outbox, Record };

/** @type {string[]} */
let imported = [];
/** @type {string[]} */
const privateKeys = [];
const importKey = SubtleCrypto.prototype.importKey;
SubtleCrypto.prototype.importKey = function (format, bytes, algorithm, extractable, usages) {
  const { name, hash: by, namedCurve } = typeof algorithm === "string" ? { name: algorithm } : algorithm;
  const hash = (typeof by === "string" ? by : by?.name) ?? namedCurve ?? "";
  const told = [format, name, hash, extractable ? "extractable" : "", ...usages].filter(Boolean).join(" ");
  imported.push(told);
  if (format === "pkcs8") privateKeys.push(told);
  return importKey.call(this, format, bytes, algorithm, extractable, usages);
};

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    imported = [];
    const answer = await worker.fetch(request, env);
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-imports", imported.join(", "));
    told.headers.set("x-test-private", privateKeys.join(", "));
    return told;
  },
};
