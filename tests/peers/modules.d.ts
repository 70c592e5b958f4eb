// What tests/peers use of packages that are installed when these tests run first.

declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  export class Provider {
    constructor(issuer: string, configuration: object);
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
  }
}

declare module "standardwebhooks" {
  export class Webhook {
    constructor(secret: string);
    /** Throws unless the signature is right and the time is near. */
    verify(payload: string, headers: Record<string, string>): unknown;
  }
}
