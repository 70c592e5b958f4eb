// Which bindings a deployment needs, and which of them its configuration lacks.

/** @import { WranglerConfig } from "./effective-config.mjs" */

/** @typedef {{ path: string, problem: string, needs?: string, isOptional?: true }} Missing `needs`: the name of a binding; `isOptional`: the Worker does without. */

/**
 * The bindings that a configuration lacks or binds to something else, with what is missing of their migrations.
 * @param {WranglerConfig} config
 * @returns {Missing[]}
 */
export function missingBindings({ kv_namespaces = [], durable_objects: { bindings = [] } = {}, migrations = [], ratelimits = [], send_email = [], vars }) {
  /** @type {Missing[]} */
  const missing = [];
  const gateway = /** @type {{ mail_from?: unknown } | undefined} */ (vars?.EDGEWARD_GATEWAY);
  if (!kv_namespaces.some(({ binding }) => binding === "EDGEWARD_KV")) missing.push({ path: "kv_namespaces", problem: "has no binding EDGEWARD_KV" });

  const migrated = new Set(migrations.flatMap(({ new_sqlite_classes: classes }) => classes ?? []));
  for (const [binding, className, isNeeded] of /** @type {const} */ ([
    ["EDGEWARD_ONCE", "Once", true],
    ["EDGEWARD_RECORD", "Record", true],
    ["EDGEWARD_AUDIT", "Audit", true],
    ["EDGEWARD_ATTEMPTS", "Attempts", gateway !== undefined],
    ["EDGEWARD_OUTBOX", "Outbox", gateway !== undefined],
  ])) {
    const bound = bindings.find(({ name }) => name === binding);
    if (bound !== undefined || isNeeded) missing.push(...missingOf(binding, className, bound?.class_name, migrated));
  }
  for (const [binding, className, without] of /** @type {const} */ ([
    ["EDGEWARD_METRICS", "Metrics", "nothing is counted (docs/monitoring.md)"],
    ["EDGEWARD_DIRECTORY", "Directory", "users cannot be searched (docs/admin-api.md#search)"],
  ])) {
    const bound = bindings.find(({ name }) => name === binding);
    if (bound !== undefined) missing.push(...missingOf(binding, className, bound.class_name, migrated));
    else missing.push({ path: "durable_objects.bindings", problem: `has no ${binding} with the class ${className}, so ${without}`, isOptional: true });
  }

  const limits = ["EDGEWARD_LIMIT", "EDGEWARD_FAILURE_LIMIT", ...(gateway === undefined ? [] : ["EDGEWARD_SIGN_IN_LIMIT"])];
  for (const name of limits) if (!ratelimits.some((limit) => limit.name === name)) missing.push({ path: "ratelimits", problem: `has no ${name}`, needs: name });
  if (gateway?.mail_from !== undefined && !send_email.some(({ name }) => name === "EDGEWARD_EMAIL")) {
    missing.push({ path: "send_email", problem: "has no EDGEWARD_EMAIL, by which the gateway's mail_from is to send" });
  }
  return missing;
}

/**
 * @param {string} binding
 * @param {string} className
 * @param {string | undefined} bound the class that it is bound to
 * @param {Set<string>} migrated
 * @returns {Missing[]}
 */
function missingOf(binding, className, bound, migrated) {
  if (bound !== className)
    return [{ path: "durable_objects.bindings", problem: `has no ${binding} with the class ${className}`, needs: bound === undefined ? binding : undefined }];
  if (migrated.has(className)) return [];
  return [{ path: "migrations", problem: `do not create the class ${className}: add new_sqlite_classes = ["${className}"] under a new tag` }];
}
