// wrangler.toml as wrangler reads it for an environment.
import { StepFailed } from "./step.mjs";

// wrangler does not hand these down from the top level to an environment.
const NOT_INHERITED = ["vars", "kv_namespaces", "durable_objects", "ratelimits"];

/** What wrangler makes of the file for an environment ("" is the top level). */
export function effectiveConfig(config, env = "") {
  const { env: environments = {}, ...top } = config;
  if (env === "") return top;
  const chosen = environments[env];
  if (!chosen) throw new StepFailed(`wrangler.toml has no [env.${env}]`);
  const inherited = Object.fromEntries(Object.entries(top).filter(([key]) => !NOT_INHERITED.includes(key)));
  return { ...inherited, name: `${top.name}-${env}`, ...chosen };
}
