// What the runtime has and @cloudflare/workers-types does not declare, and what is only there at run time.

type PeerEnv = import("./types.js").Env;

declare namespace Cloudflare {
  /** What `import { env } from "cloudflare:workers"` gives. */
  interface Env extends PeerEnv {}
}

declare namespace WebAssembly {
  const JSTag: object;
}
