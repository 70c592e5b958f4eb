// wrangler.toml as wrangler interprets it for an environment.
import { didYouMean } from "./did-you-mean.mjs";
import { StepFailed } from "./step.mjs";

// An environment does not inherit these from the top level.
const NOT_INHERITED = ["vars", "kv_namespaces", "durable_objects", "ratelimits", "send_email"];

/**
 * The part of wrangler.toml that the scripts use, parsed. A file may have anything, so every member is optional.
 * @typedef {object} WranglerConfig
 * @property {string} [name]
 * @property {string} [main]
 * @property {boolean} [no_bundle]
 * @property {boolean} [workers_dev]
 * @property {boolean} [preview_urls]
 * @property {Route} [route]
 * @property {Route[]} [routes]
 * @property {{ binding?: string, id?: string }[]} [kv_namespaces]
 * @property {{ bindings?: { name?: string, class_name?: string }[] }} [durable_objects]
 * @property {{ type?: string, globs?: string[] }[]} [rules]
 * @property {{ new_sqlite_classes?: string[] }[]} [migrations]
 * @property {{ name?: string }[]} [ratelimits]
 * @property {{ name?: string }[]} [send_email]
 * @property {{ logs?: { invocation_logs?: boolean } }} [observability]
 * @property {{ [name: string]: unknown }} [vars]
 * @property {{ [name: string]: WranglerConfig }} [env]
 */
/** @typedef {string | { pattern: string, zone_name?: string, custom_domain?: boolean }} Route */

/**
 * The configuration of an environment; "" is the top level.
 * @param {WranglerConfig} config
 * @param {string} [env]
 * @param {string} [file] Its name, for people.
 * @returns {WranglerConfig}
 */
export function effectiveConfig(config, env = "", file = "wrangler.toml") {
  const { env: environments = {}, ...top } = config;
  if (env === "") return top;
  const chosen = environments[env];
  if (!chosen) throw new StepFailed(`${file} has no [env.${env}]${didYouMean(env, Object.keys(environments))}`);
  const inherited = Object.fromEntries(Object.entries(top).filter(([key]) => !NOT_INHERITED.includes(key)));
  return { ...inherited, name: `${top.name}-${env}`, ...chosen };
}
