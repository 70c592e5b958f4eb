// The Worker, with the directory of users within a test's reach: `POST /__test/directory` calls it, runs a query in it, loses
// what it has, and lets its calls fail. One call looks at few users, so that common words are common with few.
import { directory } from "../../../src/edge/directories.js";
import worker, { Directory as PlainDirectory } from "../../../src/edge/entry.js";

/** @import { DirectoryCall } from "../../../src/edge/types.js" */
/** @import { TestEnv } from "./types.js" */

export { Attempts, Audit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @typedef {{ call?: DirectoryCall, sql?: string, values?: (string | number)[], lose?: boolean, fails?: "before" | "after" | null }} Order */

/** Whether a call fails, and whether it has had its effect by then. @type {"before" | "after" | null} */
let fails = null;
let calls = 0;

export class Directory extends PlainDirectory {
  /** @override */
  static FEW = 5;
  /** @override */
  static LOOKED_AT = 20;

  /**
   * @override
   * @param {DirectoryCall} call
   */
  call(call) {
    calls += 1;
    if (fails === "before") throw new Error("planted");
    const answer = super.call(call);
    if (fails === "after") throw new Error("planted");
    return answer;
  }

  /**
   * @param {string} query
   * @param {(string | number)[]} values
   */
  query(query, values) {
    return this.ctx.storage.sql.exec(query, ...values).toArray();
  }
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  async fetch(request, env) {
    if (new URL(request.url).pathname !== "/__test/directory") return worker.fetch(request, env);
    const order = /** @type {Order} */ (await request.json());
    const namespace = /** @type {DurableObjectNamespace<Directory>} */ (/** @type {unknown} */ (env.EDGEWARD_DIRECTORY));
    const object = namespace.get(namespace.idFromName("users"));
    if (order.fails !== undefined) fails = order.fails;
    if (order.lose) for (const table of ["user", "word", "round WHERE last < 0"]) await object.query(`DELETE FROM ${table}`, []);
    if (order.sql !== undefined) return Response.json({ rows: await object.query(order.sql, order.values ?? []) });
    if (order.call !== undefined) return Response.json(await directory(namespace).call(order.call));
    return Response.json({ calls });
  },
};
