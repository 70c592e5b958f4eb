// GitHub as far as a sign-in sees it, over real HTTP: the answers are those of its documentation.

import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { readAll } from "./http.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */

/** @typedef {{ status: number, headers?: Record<string, string>, body: unknown }} Said */

const NOT_FOUND = { message: "Not Found", documentation_url: "https://docs.github.com/rest", status: "404" };

/** The answer to too many calls. */
export const LIMITED = {
  status: 403,
  headers: { "x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000000" },
  body: { message: "API rate limit exceeded for user ID 583231.", documentation_url: "https://docs.github.com/rest/rate-limit" },
};

/** Starts it. Its login pages are below `/login/oauth`, its API below `/api/v3`, as those of GitHub Enterprise Server. */
export async function startGitHub() {
  const github = {
    url: "",
    user: { login: "octocat", id: 583231, node_id: "MDQ6VXNlcjE=", type: "User", site_admin: false, name: "monalisa octocat", email: null },
    emails: [
      { email: "octocat@example.com", primary: true, verified: true, visibility: "public" },
      { email: "other@example.com", primary: false, verified: true, visibility: null },
    ],
    /** The state of each membership. */
    /** @type {Record<string, string>} */
    memberships: {},
    /** Answers in the place of others, by path. */
    /** @type {Record<string, Said>} */
    instead: {},
    /** @type {{ path: string, agent: string | undefined, accept: string | undefined, authorization: string | undefined }[]} */
    calls: [],
    /** @type {Record<string, string>} */
    exchange: {},
    challenge: "",
    /** Where the browser goes back to from the page to which `location` leads. @param {string} location */
    respond(location) {
      const { searchParams: asked } = new URL(location);
      github.challenge = asked.get("code_challenge") ?? "";
      return `${new URL(asked.get("redirect_uri") ?? "").pathname}?${new URLSearchParams({ code: "e72e16c7e42f292c6912", state: asked.get("state") ?? "" })}`;
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
  /** @param {IncomingMessage} request @param {string} path @returns {Promise<Said>} */
  async function answer(request, path) {
    if (github.instead[path]) return github.instead[path];
    if (path === "/login/oauth/access_token") {
      const form = Object.fromEntries(new URLSearchParams((await readAll(request)).toString()));
      github.exchange = form;
      const challenge = createHash("sha256")
        .update(form.code_verifier ?? "")
        .digest("base64url");
      if (form.code !== "e72e16c7e42f292c6912" || challenge !== github.challenge) {
        return {
          status: 200,
          body: { error: "bad_verification_code", error_description: "The code passed is incorrect or expired.", error_uri: "https://docs.github.com" },
        };
      }
      return { status: 200, body: { access_token: "gho_16C7e42F292c6912E7710c838347Ae178B4a", scope: "read:user,user:email", token_type: "bearer" } };
    }
    if (request.headers.authorization !== "Bearer gho_16C7e42F292c6912E7710c838347Ae178B4a") return { status: 401, body: { message: "Bad credentials" } };
    if (!request.headers["user-agent"]) return { status: 403, body: { message: "Request forbidden by administrative rules." } };
    if (path === "/api/v3/user") return { status: 200, body: github.user };
    if (path === "/api/v3/user/emails") return { status: 200, body: github.emails };
    const organization = /^\/api\/v3\/user\/memberships\/orgs\/([^/]+)$/.exec(path)?.[1];
    const state = organization && github.memberships[organization];
    if (!state) return { status: 404, body: NOT_FOUND };
    return {
      status: 200,
      body: { state, role: "member", organization: { login: organization, id: 1 }, user: { login: github.user.login, id: github.user.id } },
    };
  }
  const server = http.createServer(async (request, /** @type {ServerResponse} */ response) => {
    const path = (request.url ?? "").split("?")[0];
    const { authorization, accept, "user-agent": agent } = request.headers;
    github.calls.push({ path, agent, accept, authorization });
    const { status, headers, body } = await answer(request, path);
    response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers }).end(JSON.stringify(body));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  github.url = `http://127.0.0.1:${/** @type {AddressInfo} */ (server.address()).port}`;
  return github;
}
