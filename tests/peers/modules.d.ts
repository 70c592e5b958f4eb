// What the provider and the PHP of tests/peers are made of: as far as they are used, since they are installed when these
// tests run first.

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

declare module "@php-wasm/node" {
  import type { Mount } from "@php-wasm/universal";

  /** The number of a PHP in WebAssembly; two that share files need different ids. */
  export function loadNodeRuntime(version: string, options: { emscriptenOptions: { processId: number; ENV: Record<string, string> } }): Promise<number>;
  export function createNodeFsMountHandler(folder: string): Mount;
}

declare module "@php-wasm/universal" {
  export interface Mount {
    readonly kind: unique symbol;
  }

  export interface PhpRequest {
    scriptPath: string;
    relativeUri: string;
    method: string;
    headers: Record<string, string>;
    body: Uint8Array;
    $_SERVER: Record<string, string>;
  }

  export class PHP {
    constructor(runtime: number);
    mount(folder: string, mount: Mount): Promise<unknown>;
    mkdir(folder: string): void;
    writeFile(file: string, content: Uint8Array): void;
    run(request: PhpRequest): Promise<{ httpStatusCode: number; headers: Record<string, string[]>; bytes: Uint8Array; errors: string }>;
  }

  export function setPhpIniEntries(php: PHP, entries: Record<string, string>): Promise<void>;
}
