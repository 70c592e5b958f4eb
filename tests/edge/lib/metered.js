// The Worker, telling in each answer (`x-test-work`) what a request has made it do, counted in what is the same on every
// machine: calls between JavaScript and the core, reads of KV in the order in which they began and ended, copies of headers,
// Request objects, signatures. With `x-test-times` it sends itself the request so often at once, and counts for all of them.
import { crossings } from "./crossings.js";
import worker, { Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { TestEnv, Work } from "./types.js" */

export { Audit, Once, Outbox, Record };

/** @type {Work} */
let work;
function begin() {
  work = { reads: [], copies: 0, requests: 0, signatures: 0 };
  crossings.begin();
}

const [PlainHeaders, PlainRequest] = [Headers, Request];
Object.assign(globalThis, {
  Headers: class Headers extends PlainHeaders {
    /** @param {ConstructorParameters<typeof PlainHeaders>} args */
    constructor(...args) {
      super(...args);
      if (args[0] instanceof PlainHeaders) work.copies += 1;
    }
  },
  Request: class Request extends PlainRequest {
    /** @param {[input: RequestInfo | URL, init?: RequestInit<CfProperties>]} args */
    constructor(...args) {
      super(...args);
      work.requests += 1;
    }
  },
});
const { sign } = SubtleCrypto.prototype;
SubtleCrypto.prototype.sign = function (...args) {
  work.signatures += 1;
  return sign.apply(this, args);
};

/** @param {KVNamespace} kv */
const counting = (kv) =>
  new Proxy(kv, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (/** @type {[key: string, ...unknown[]]} */ ...args) => {
        const answer = value.apply(target, args);
        if (name !== "get") return answer;
        const { reads } = work;
        const [family] = args[0].split(":");
        reads.push(`${family} begins`);
        return answer.finally(() => reads.push(`${family} ends`));
      };
    },
  });

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    const own = { ...env, EDGEWARD_KV: counting(env.EDGEWARD_KV) };
    const times = Number(request.headers.get("x-test-times") ?? 1);
    const headers = new PlainHeaders(request.headers);
    headers.delete("x-test-times");
    const all = times === 1 ? [request] : Array.from({ length: times }, () => new PlainRequest(request.url, { headers }));
    begin();
    const answers = await Promise.all(all.map((one) => worker.fetch(one, own)));
    const told = new Response(answers[0].body, answers[0]);
    told.headers.set("x-test-work", JSON.stringify({ ...work, ...crossings.counted(), statuses: answers.map(({ status }) => status) }));
    return told;
  },
};
