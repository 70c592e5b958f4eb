// The Worker, telling in each answer which keys the runtime imported for it (`x-test-imports`), and which private keys
// ever since it began (`x-test-private`).
import worker, { Once, Record } from "../../../src/edge/entry.js";

export { Once, Record };

let imported = [];
const privateKeys = [];
const importKey = SubtleCrypto.prototype.importKey;
SubtleCrypto.prototype.importKey = function (format, bytes, algorithm, extractable, usages) {
  const hash = algorithm.hash?.name ?? algorithm.hash ?? algorithm.namedCurve ?? "";
  const told = [format, algorithm.name ?? algorithm, hash, extractable ? "extractable" : "", ...usages].filter(Boolean).join(" ");
  imported.push(told);
  if (format === "pkcs8") privateKeys.push(told);
  return importKey.call(this, format, bytes, algorithm, extractable, usages);
};

export default {
  async fetch(request, env) {
    imported = [];
    const answer = await worker.fetch(request, env);
    const told = new Response(answer.body, answer);
    told.headers.set("x-test-imports", imported.join(", "));
    told.headers.set("x-test-private", privateKeys.join(", "));
    return told;
  },
};
