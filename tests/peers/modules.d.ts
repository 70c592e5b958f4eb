// What the peers are made of: as far as it is used, since it is installed when these tests run first.

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

declare module "axios" {
  interface Reply {
    status: number;
    headers: Record<string, string> & { "set-cookie"?: string[] };
    data: { token: string; expires_in: number };
  }
  const axios: {
    post(url: string, body: object, options: { headers: Record<string, string> }): Promise<Reply>;
    request(options: object): Promise<Reply>;
  };
  export default axios;
}

declare module "express" {
  import type { Server } from "node:http";

  interface Response {
    cookie(name: string, value: string, options: object): void;
    redirect(url: string): void;
  }
  interface Application {
    get(path: string, handler: (request: object, response: Response) => Promise<void>): void;
    listen(port: number, host: string, listening: () => void): Server;
  }
  export default function express(): Application;
}

declare module "koa" {
  import type { Server } from "node:http";

  export interface Context {
    state: { user?: { email: string | undefined } };
    cookies: { get(name: string): string | undefined; set(name: string, value: string, options: object): void };
    url: string;
    method: string;
    headers: Record<string, string | string[] | undefined>;
    status: number;
    body: unknown;
    set(name: string, value: string): void;
    append(name: string, value: string): void;
  }
  type Middleware = (context: Context, next: () => Promise<void>) => Promise<void>;
  export default class Koa {
    proxy: boolean;
    use(middleware: Middleware): void;
    listen(port: number, host: string, listening: () => void): Server;
  }
}

declare module "koa-mount" {
  import type { Context } from "koa";

  type Middleware = (context: Context, next: () => Promise<void>) => Promise<void>;
  export default function mount(path: string, middleware: Middleware): Middleware;
}

declare module "jsonwebtoken" {
  interface JsonWebToken {
    sign(claims: object, secret: string, options: object): string;
  }
  const jsonwebtoken: JsonWebToken;
  export default jsonwebtoken;
}

declare module "@simplewebauthn/server" {
  interface Response {
    id: string;
    rawId: string;
    type: "public-key";
    clientExtensionResults: object;
    response: Record<string, unknown>;
  }
  interface Expected {
    response: Response;
    expectedChallenge: string;
    expectedOrigin: string;
    expectedRPID: string;
    requireUserVerification: boolean;
  }
  interface Credential {
    id: string;
    publicKey: Uint8Array;
    counter: number;
  }
  export function verifyAuthenticationResponse(options: Expected & { credential: Credential }): Promise<{ verified: boolean }>;
  export function verifyRegistrationResponse(options: Expected & { supportedAlgorithmIDs: number[] }): Promise<{ verified: boolean }>;
}
