// An OpenID provider that does what a test tells it to, over real HTTP: as good ones do, or as bad ones might.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { SignJWT, UnsecuredJWT } from "jose";
import { readAll } from "./http.mjs";
import { newKey } from "./issuer.mjs";
import { now } from "./world.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @import { IssuerKey } from "./issuer.mjs" */

/** @typedef {Record<string, unknown>} Claims Members that are `undefined` are left out. */
/**
 * What a provider does otherwise than a good one.
 * @typedef {object} Ways
 * @property {Claims} [discovery] Members of the discovery document.
 * @property {Claims} [claims] Of the ID token.
 * @property {Record<string, unknown>} [header] Of the ID token.
 * @property {IssuerKey} [key] That signs.
 * @property {IssuerKey[]} [keys] That are published, in the place of the one that signs.
 * @property {boolean} [unsigned] Whether the ID token has the algorithm `none`.
 * @property {boolean} [broken] Whether the signature has a wrong byte.
 * @property {Claims} [userinfo]
 * @property {Claims} [token] Members of the answer of the token endpoint.
 * @property {Claims} [accessToken] The claims of an access token that is a JWT.
 * @property {(request: IncomingMessage, response: ServerResponse) => unknown} [instead] Answers in the place of the token endpoint.
 * @property {() => void} [beforeSigning]
 * @property {Renewal} [renewal]
 */
/**
 * What comes of a refresh token.
 * @typedef {object} Renewal
 * @property {Claims} [claims] Of the ID token.
 * @property {Claims} [token] Members of the answer.
 * @property {[error: string, status: number]} [error]
 * @property {boolean} [loses] Whether the refresh token is rotated and the answer is lost.
 * @property {boolean} [broken] Whether the signature of the ID token has a wrong byte.
 * @property {Promise<unknown>} [until] When it answers.
 */
/** @typedef {{ clientId: string, redirectUri: string, nonce: string, challenge: string, scope: string, state: string }} Asked */
/** @typedef {{ authorization: string | undefined, form: Record<string, string> }} Exchange What came to the token endpoint. */

export const SECRET = "s3cret:with/special+characters%and ümlaut";

/** Starts a server of providers: one below each path. */
export async function startProviders() {
  /** @type {Map<string, Provider>} */
  const providers = new Map();
  const server = http.createServer((request, response) => {
    const [, name, ...rest] = (request.url ?? "").split("?")[0].split("/");
    const provider = providers.get(name);
    if (provider === undefined) return response.writeHead(404).end();
    return provider.answer(rest.join("/"), request, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`;
  return {
    url,
    /**
     * @param {string} name
     * @param {Ways} [ways]
     */
    async add(name, ways = {}) {
      const provider = new Provider(`${url}/${name}`, await newKey("RS256", "first"), ways);
      providers.set(name, provider);
      return provider;
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A provider. */
export class Provider {
  /** @type {Map<string, Asked>} */
  #codes = new Map();
  /** @type {string[]} */
  requests = [];
  /** @type {Exchange[]} */
  exchanges = [];
  /** Each refresh token that came, good or bad. */
  /** @type {string[]} */
  renewals = [];
  /** The refresh tokens that count, and those that were rotated. */
  /** @type {Map<string, Asked & { claims: Claims }>} */
  #refresh = new Map();
  /** @type {Set<string>} */
  reused = new Set();
  /** @type {Set<string>} */
  #rotated = new Set();
  #answers = 0;
  isDown = false;
  /**
   * @param {string} url
   * @param {IssuerKey} key
   * @param {Ways} ways
   */
  constructor(url, key, ways) {
    this.url = url;
    this.issuer = url;
    this.key = key;
    this.ways = ways;
  }

  /**
   * What the person decides at the page to which `location` leads: a path of the site, with `overrides` over its query.
   * @param {string} location
   * @param {Record<string, string | undefined>} [overrides]
   */
  respond(location, overrides = {}) {
    const { origin, pathname, searchParams: asked } = new URL(location);
    assert.equal(`${origin}${pathname}`, `${this.url}/authorize`);
    const need = (/** @type {string} */ name) => asked.get(name) ?? assert.fail(`${name} is missing: ${location}`);
    assert.equal(need("response_type"), "code");
    assert.equal(need("code_challenge_method"), "S256");
    const code = randomBytes(16).toString("hex");
    const redirectUri = need("redirect_uri");
    this.#codes.set(code, {
      clientId: need("client_id"),
      redirectUri,
      nonce: need("nonce"),
      challenge: need("code_challenge"),
      scope: need("scope"),
      state: need("state"),
    });
    const all = { code, state: need("state"), iss: this.issuer, ...overrides };
    const pairs = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
    return `${new URL(redirectUri).pathname}?${new URLSearchParams(pairs)}`;
  }

  /**
   * @param {string} path
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async answer(path, request, response) {
    this.requests.push(path);
    if (this.isDown) return response.destroy();
    const json = (/** @type {object} */ value, status = 200) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    switch (path) {
      case ".well-known/openid-configuration":
        return json({
          issuer: this.issuer,
          authorization_endpoint: `${this.url}/authorize`,
          token_endpoint: `${this.url}/token`,
          userinfo_endpoint: `${this.url}/userinfo`,
          jwks_uri: `${this.url}/jwks`,
          authorization_response_iss_parameter_supported: true,
          ...this.ways.discovery,
        });
      case "jwks":
        return json({ keys: (this.ways.keys ?? [this.key]).map(({ jwk }) => jwk) });
      case "token":
        return this.ways.instead ? this.ways.instead(request, response) : this.#token(request, json, () => response.destroy());
      case "userinfo":
        return json({ sub: "u1", ...this.ways.userinfo });
      default:
        return response.writeHead(404).end();
    }
  }

  /**
   * @param {IncomingMessage} request
   * @param {(value: object, status?: number) => unknown} json
   * @param {() => unknown} lose
   */
  async #token(request, json, lose) {
    const form = Object.fromEntries(new URLSearchParams((await readAll(request)).toString()));
    this.exchanges.push({ authorization: request.headers.authorization, form });
    if (form.grant_type === "refresh_token") return this.#renew(form.refresh_token, json, lose);
    const asked = this.#codes.get(form.code);
    const challenge = createHash("sha256")
      .update(form.code_verifier ?? "")
      .digest("base64url");
    if (!asked || asked.redirectUri !== form.redirect_uri || asked.challenge !== challenge) return json({ error: "invalid_grant" }, 400);
    this.#codes.delete(form.code);
    this.ways.beforeSigning?.();
    const key = this.ways.key ?? this.key;
    const accessToken = this.ways.accessToken ? await this.sign(key, { ...this.#claims(asked), ...this.ways.accessToken }) : "opaque";
    const claims = JSON.parse(JSON.stringify({ ...this.#claims(asked), nonce: asked.nonce, ...this.ways.claims }));
    let idToken = this.ways.unsigned ? new UnsecuredJWT(claims).encode() : await this.sign(key, claims, this.ways.header);
    if (this.ways.broken) idToken = idToken.slice(0, -6) + (idToken.at(-6) === "A" ? "B" : "A") + idToken.slice(-5);
    const refresh_token = asked.scope.split(" ").includes("offline_access") ? this.#newRefreshToken({ ...asked, claims: this.ways.claims ?? {} }) : undefined;
    const all = { access_token: accessToken, token_type: "Bearer", expires_in: 300, id_token: idToken, refresh_token, ...this.ways.token };
    return json(JSON.parse(JSON.stringify(all)));
  }

  /** @param {Asked & { claims: Claims }} asked */
  #newRefreshToken(asked) {
    const token = `refresh-${randomBytes(16).toString("hex")}`;
    this.#refresh.set(token, asked);
    return token;
  }

  /**
   * Rotates the refresh token; one that comes again ends what came of it, as RFC 9700 §4.14.2 demands.
   * @param {string} token
   * @param {(value: object, status?: number) => unknown} json
   * @param {() => unknown} lose
   */
  async #renew(token, json, lose) {
    this.renewals.push(token);
    if (this.#rotated.has(token)) this.reused.add(token);
    const asked = this.#refresh.get(token);
    const { error, claims, broken, loses, until, token: members } = this.ways.renewal ?? {};
    await until;
    if (error) return json({ error: error[0] }, error[1]);
    if (!asked) return json({ error: "invalid_grant" }, 400);
    this.#refresh.delete(token);
    this.#rotated.add(token);
    const refresh_token = this.#newRefreshToken(asked);
    if (loses) return lose();
    const all = JSON.parse(JSON.stringify({ ...this.#claims(asked), ...asked.claims, ...claims }));
    let id_token = await this.sign(this.key, all, {});
    if (broken) id_token = id_token.slice(0, -6) + (id_token.at(-6) === "A" ? "B" : "A") + id_token.slice(-5);
    const access_token = `renewed-${++this.#answers}-${randomBytes(8).toString("hex")}`;
    return json(JSON.parse(JSON.stringify({ access_token, token_type: "bearer", expires_in: 300, id_token, refresh_token, ...members })));
  }

  /** @param {Asked} asked */
  #claims(asked) {
    return { iss: this.issuer, aud: asked.clientId, sub: "u1", email: "ada@example.com", email_verified: true, iat: now(), exp: now() + 300 };
  }

  /**
   * @param {IssuerKey} key
   * @param {Claims} claims
   * @param {Record<string, unknown>} [header]
   */
  sign(key, claims, header = {}) {
    const whole = JSON.parse(JSON.stringify({ alg: key.alg, kid: key.kid, ...header }));
    if (whole.kid === null) delete whole.kid;
    return new SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader(whole).sign(key.privateKey);
  }
}

/**
 * The table of a provider of `startProviders`.
 * @param {{ url: string }} server
 * @param {string} name
 * @param {Record<string, unknown>} [settings]
 */
export const providerTable = (server, name, settings = {}) => ({
  preset: "oidc",
  issuer: `${server.url}/${name}`,
  loopback_origin: server.url,
  client_id: "client/1",
  create_users: true,
  ...settings,
});
