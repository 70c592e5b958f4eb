// A real Label Studio and the Worker in front of it, once for each mode.

import { createHmac, randomBytes } from "node:crypto";
import { installLabelStudio, startLabelStudio } from "../../../scripts/lib/label-studio.mjs";
import { now, startWorld } from "../../edge/lib/world.mjs";

/** @import { SiteSettings, WorldOptions } from "../../edge/lib/world.mjs" */

/** @typedef {Awaited<ReturnType<typeof startStudio>>} Studio */
/** @typedef {{ id: number, email: string, first_name: string, last_name: string, active_organization: number | null }} StudioUser */

/** The two ways in which Edgeward tells Label Studio who is asking. */
export const MODES = ["mint", "pat"];

/** @param {string} text */
const b64 = (text) => Buffer.from(text).toString("base64url");

/**
 * Label Studio with what a test asks of it past the edge.
 * @param {{ host?: string }} [options] See `startLabelStudio`.
 */
export async function startStudio(options) {
  await installLabelStudio();
  const studio = await startLabelStudio(options);
  /**
   * An access token of Label Studio's own for one of its users; `claims` are laid over.
   * @param {number} id
   * @param {Record<string, unknown>} [claims]
   */
  const token = (id, claims = {}) => {
    const input = `${b64('{"alg":"HS256","typ":"JWT"}')}.${b64(JSON.stringify({ token_type: "access", exp: now() + 60, jti: randomBytes(16).toString("hex"), user_id: String(id), ...claims }))}`;
    return `${input}.${createHmac("sha256", studio.secretKey).update(input).digest("base64url")}`;
  };
  /**
   * A call straight to it, as its admin unless `as` says otherwise.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {{ as?: number, headers?: Record<string, string> }} [options]
   */
  const call = async (method, path, body, { as = studio.admin.id, headers = {} } = {}) => {
    const answer = await fetch(studio.url + path, {
      method,
      redirect: "manual",
      headers: { authorization: `Bearer ${token(as)}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, text, json: /json/.test(answer.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined };
  };
  /**
   * All users, as the admin sees them.
   * @returns {Promise<StudioUser[]>}
   */
  const users = async () => (await call("GET", "/api/users/")).json;
  /** @param {string} email */
  const userOf = async (email) => (await users()).filter((user) => user.email === email);
  /**
   * Switches a user off or on in its own administration, as a person would.
   * @param {number} id
   * @param {boolean} active
   */
  const setActive = async (id, active) => {
    const url = `${studio.url}/admin/users/user/${id}/change/`;
    const authorization = `Bearer ${token(studio.admin.id)}`;
    const page = await (await fetch(url, { headers: { authorization } })).text();
    const form = new URLSearchParams();
    for (const [tag] of page.matchAll(/<input[^>]*>/g)) {
      /** @param {string} name */
      const attribute = (name) => tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1];
      const [type, name] = [attribute("type"), attribute("name")];
      if (!name || name === "is_active" || type === "submit" || (type === "checkbox" && !/\bchecked\b/.test(tag))) continue;
      form.append(name, (attribute("value") ?? (type === "checkbox" ? "on" : "")).replaceAll("&quot;", '"').replaceAll("&#x27;", "'").replaceAll("&amp;", "&"));
    }
    for (const [, name, body] of page.matchAll(/<textarea[^>]*name="([^"]*)"[^>]*>\s*([\s\S]*?)<\/textarea>/g))
      form.append(name, body.replaceAll("&quot;", '"'));
    for (const [, name, body] of page.matchAll(/<select[^>]*name="([^"]*)"[^>]*>([\s\S]*?)<\/select>/g)) {
      for (const [, value] of body.matchAll(/<option value="([^"]*)"[^>]*selected/g)) form.append(name, value);
    }
    if (active) form.append("is_active", "on");
    form.append("_save", "Save");
    const answer = await fetch(url, { method: "POST", redirect: "manual", headers: { authorization }, body: form });
    if (answer.status !== 302) throw new Error(`the change was not taken: ${(await answer.text()).match(/errorlist[^>]*>[\s\S]{0,300}/)?.[0]}`);
  };
  return Object.assign(studio, { token, call, users, userOf, setActive });
}

/**
 * The settings of a site in front of it; `settings` are laid over.
 * @param {Studio} studio
 * @param {string} mode
 * @param {SiteSettings} [settings]
 */
export function siteOf(studio, mode, settings = {}) {
  return {
    upstream: studio.url,
    identity_headers: [],
    sources: ["session", "sso_cookie", "query", "bearer", "api_key"],
    query: { single_use: true, user_switch: "confirm" },
    label_studio:
      mode === "mint"
        ? { mode, secret: "STUDIO_SECRET_KEY", admin_user: studio.admin.id, admins: ["superuser"] }
        : { mode, secret: "STUDIO_ADMIN_PAT", admins: ["superuser"] },
    ...settings,
  };
}

/**
 * The secrets that those settings name.
 * @param {Studio} studio
 */
export async function secretsOf(studio) {
  const made = await studio.call("POST", "/api/token/", {});
  if (made.status !== 201) throw new Error(`no personal access token for the admin: ${made.status} ${made.text}`);
  return { STUDIO_SECRET_KEY: studio.secretKey, STUDIO_ADMIN_PAT: made.json.token };
}

/**
 * A world with a site for each mode: `mint.example.test` and `pat.example.test`.
 * @param {Studio} studio
 * @param {WorldOptions} [options]
 */
export async function startEdge(studio, options = {}) {
  const sites = { MINT: siteOf(studio, "mint"), PAT: siteOf(studio, "pat") };
  return startWorld({ sites, vars: await secretsOf(studio), edgeward: { user_cache: 1 }, ...options });
}

/**
 * A `multipart/form-data` body with one file: `{ body, headers }`.
 * @param {string} name
 * @param {string} type
 * @param {string | Uint8Array} bytes
 */
export function fileForm(name, type, bytes) {
  const boundary = `----${randomBytes(12).toString("hex")}`;
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n`;
  return {
    body: Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(`\r\n--${boundary}--\r\n`)]),
    headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
  };
}

/** A PNG of one colour. */
export const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

/** How an image is classified, as a project's settings. */
export const CHOICES =
  '<View><Image name="image" value="$image"/><Choices name="choice" toName="image"><Choice value="Cat"/><Choice value="Dog"/></Choices></View>';
/** The same for a text. */
export const TEXT_CHOICES =
  '<View><Text name="text" value="$text"/><Choices name="choice" toName="text"><Choice value="Good"/><Choice value="Bad"/></Choices></View>';
