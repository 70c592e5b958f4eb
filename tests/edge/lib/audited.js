// The Worker, with logs that a test tampers with: `POST /__test/audit` runs SQL in the object of a log, says whether it fails
// from now on, or has its alarm at once.
import worker, { Attempts, Audit as PlainAudit, Once, Outbox, Record } from "../../../src/edge/entry.js";

/** @import { AuditCall } from "../../../src/edge/types.js" */
/** @import { TestEnv } from "./types.js" */

export { Attempts, Once, Outbox, Record };

const settings = { fails: false, hangs: false };

export class Audit extends PlainAudit {
  /** @override */
  static LOOKED_AT = 7;
  /** @override */
  static CAUSED = 8;
  /** @override */
  static PEOPLE = 20;

  /**
   * @override
   * @param {AuditCall} call
   */
  call(call) {
    if (settings.fails) throw new Error("the log fails");
    if (settings.hangs) return /** @type {ReturnType<PlainAudit["call"]>} */ (new Promise(() => {}));
    return super.call(call);
  }

  /** @param {string[]} statements */
  tamper(statements) {
    return statements.map((sql) => this.ctx.storage.sql.exec(sql).toArray());
  }

  /** @param {number} rows */
  async fill(rows) {
    for (let row = 0; row < rows; row += 1)
      await super.call({ call: "append", rows: [{ actor: "filler", action: "signed_in", user: `usr_${row}` }], ends: Date.now() + 1e9 });
  }

  /** Ends the object, which starts again with the next call. */
  die() {
    this.ctx.abort("it dies");
  }

  /**
   * An hour goes by for a person.
   * @param {string} person
   */
  later(person) {
    const known = this.people.get(person);
    if (known) known.since = 0;
  }

  /** @param {number} size */
  async crowd(size) {
    for (let n = 0; n < size; n += 1)
      await super.call({ call: "append", rows: [{ actor: `usr_${n}`, user: `usr_${n}` }], ends: Date.now() + 1e9, person: `usr_${n}` });
    return { counted: this.people.size };
  }

  async forget() {
    this.ctx.storage.sql.exec("UPDATE head SET ends = 0");
    await this.alarm();
    return this.ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE name IN ('row', 'head')").toArray().length;
  }
}

/**
 * @param {Request} request
 * @param {TestEnv} env
 */
async function control(request, env) {
  const told =
    /** @type {{ log?: string, sql?: string[], fill?: number, forget?: boolean, die?: boolean, later?: string, crowd?: number, settings?: Partial<typeof settings> }} */ (
      await request.json()
    );
  Object.assign(settings, told.settings);
  if (told.log === undefined) return Response.json(settings);
  const logs = /** @type {DurableObjectNamespace<Audit>} */ (/** @type {unknown} */ (env.EDGEWARD_AUDIT));
  const log = logs.get(logs.idFromName(told.log));
  if (told.fill !== undefined) await log.fill(told.fill);
  if (told.die) {
    await log.die().catch(() => {});
    return Response.json({});
  }
  if (told.later !== undefined) await log.later(told.later);
  if (told.crowd !== undefined) return Response.json(await log.crowd(told.crowd));
  if (told.forget) return Response.json(await log.forget());
  return Response.json(await log.tamper(told.sql ?? []));
}

/** @satisfies {ExportedHandler<TestEnv>} */
export default {
  /**
   * @param {Request} request
   * @param {TestEnv} env
   */
  fetch(request, env) {
    return new URL(request.url).pathname === "/__test/audit" ? control(request, env) : worker.fetch(request, env);
  },
};
