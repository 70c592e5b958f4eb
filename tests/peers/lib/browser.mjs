// What a browser does between the gateway and its services, over HTTP: it keeps cookies, follows redirects and
// `<meta http-equiv="refresh">`, and sends forms. The hosts of a test differ by their port only, so it takes each port for
// another site, as each has a hostname of its own in production.

import assert from "node:assert/strict";
import { attribute, send } from "../../edge/lib/http.mjs";

/** @import { Answer, Pair, SetCookie } from "../../edge/lib/http.mjs" */

/**
 * A form: `fields` are what it sends if nobody changes anything. Its button belongs to them.
 * @typedef {{ method: string, action: string, fields: Record<string, string> }} Form
 */
/**
 * `formAction`: where a form may lead, by the policy of its page.
 * @typedef {{ url: URL, method: string, body?: string, initiator?: URL, origin?: string, formAction?: string[] }} Navigation
 */

const MAX_HOPS = 20;

export class Browser {
  /** Every address that was in the address bar or on the way there, the oldest first. */
  visited = /** @type {string[]} */ ([]);
  /** @type {Map<string, Map<string, SetCookie>>} */
  #cookies = new Map();
  /** @type {{ url: URL, answer: Answer } | undefined} */
  #page;

  /** The page that is shown. */
  get page() {
    return this.#shown.answer;
  }

  /** Its address. */
  get url() {
    return this.#shown.url.href;
  }

  get #shown() {
    if (this.#page === undefined) throw new Error("no page is open");
    return this.#page;
  }

  /**
   * Goes to an address as if it were typed, or, with `from`, as if a link on that site led there.
   * @param {string} address
   * @param {{ from?: string }} [options]
   */
  open(address, { from } = {}) {
    return this.#navigate({ url: new URL(address, this.#page?.url), method: "GET", initiator: from === undefined ? undefined : new URL(from) });
  }

  /**
   * Goes to an address, but not on to another site; answers where that would have been.
   * @param {string} address
   */
  async lead(address) {
    const url = new URL(address);
    /** @type {URL | undefined} */
    let left;
    await this.#navigate({ url, method: "GET" }, (target) => {
      if (target.origin === url.origin) return false;
      left = target;
      return true;
    });
    if (left === undefined) throw new Error(`${address} leads to no other site: ${this.page}`);
    return left.href;
  }

  /**
   * Goes where the page's link with this text leads.
   * @param {string} text
   */
  async follow(text) {
    const link = [...this.page.text.matchAll(/<a\b([^>]*)>([^<]*)<\/a>/g)].find(([, , shown]) => shown.trim() === text);
    const href = link && attribute(link[1], "href");
    if (href === undefined) throw new Error(`no link says ${text}: ${this.page}`);
    return this.#navigate({ url: new URL(href, this.#shown.url), method: "GET", initiator: this.#shown.url });
  }

  /** The page's forms. */
  get forms() {
    return [...this.page.text.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)].map(([, head, content]) => {
      /** @type {Record<string, string>} */
      const fields = {};
      for (const [, tag] of content.matchAll(/<(?:input|button)\b([^>]*)>/g)) {
        const name = attribute(tag, "name");
        const isOff = /^(checkbox|radio)$/.test(attribute(tag, "type") ?? "") && !/\bchecked\b/.test(tag);
        if (name !== undefined && !isOff) fields[name] = attribute(tag, "value") ?? "";
      }
      return { method: (attribute(head, "method") ?? "get").toUpperCase(), action: attribute(head, "action") ?? "", fields };
    });
  }

  /**
   * The page's form that leads to a path of this end, whatever its query is.
   * @param {string | RegExp} path
   */
  form(path) {
    const found = this.forms.filter(({ action }) => {
      const { pathname } = new URL(action, this.#shown.url);
      return typeof path === "string" ? pathname === path : path.test(pathname);
    });
    assert.equal(found.length, 1, `forms that lead to ${path}, of ${this.page}`);
    return found[0];
  }

  /**
   * Sends a form of the page, with `values` in place of what is in it.
   * @param {Form} form
   * @param {Record<string, string>} [values]
   */
  submit(form, values = {}) {
    const { url, answer } = this.#shown;
    for (const name of Object.keys(values)) assert.ok(name in form.fields, `the form has no field ${name}: ${JSON.stringify(form)}`);
    const fields = new URLSearchParams({ ...form.fields, ...values }).toString();
    const target = new URL(form.action, url);
    const formAction = formActionOf(answer);
    if (form.method === "GET") {
      target.search = fields;
      return this.#navigate({ url: target, method: "GET", initiator: url, formAction });
    }
    // Fetch, "append a request `Origin` header".
    const policy = (answer.headers.get("referrer-policy") ?? "").split(",").at(-1)?.trim();
    const isHidden = policy === "no-referrer" || (policy === "same-origin" && target.origin !== url.origin);
    const origin = isHidden ? "null" : url.origin;
    return this.#navigate({ url: target, method: "POST", body: fields, initiator: url, origin, formAction });
  }

  /**
   * A host's cookies, as they are sent.
   * @param {string} address
   */
  cookies(address) {
    return [...(this.#cookies.get(new URL(address).host)?.values() ?? [])].map(({ pair }) => pair);
  }

  /**
   * Forgets a host's cookies.
   * @param {string} address
   */
  forget(address) {
    this.#cookies.delete(new URL(address).host);
  }

  /**
   * @param {Navigation} navigation
   * @param {(target: URL) => boolean} [stops]
   */
  async #navigate(navigation, stops = () => false) {
    let next = navigation;
    // Once a redirect has left the site, the request stays one from another site.
    let isCrossSite = next.initiator !== undefined && next.initiator.origin !== next.url.origin;
    for (let hop = 0; hop < MAX_HOPS; hop++) {
      const { url } = next;
      assertMayLead(next);
      this.visited.push(url.href);
      const answer = await this.#send(next, isCrossSite);
      const { location } = answer;
      if (answer.status >= 300 && answer.status < 400 && location !== undefined) {
        const target = new URL(location, url);
        if (stops(target)) {
          this.#page = { url, answer };
          return answer;
        }
        isCrossSite ||= target.origin !== url.origin;
        const keeps = answer.status >= 307;
        next = { ...next, url: target, method: keeps ? next.method : "GET", body: keeps ? next.body : undefined };
        if (next.origin !== undefined && target.origin !== url.origin) next.origin = "null";
        continue;
      }
      this.#page = { url, answer };
      const refresh = refreshOf(answer, url);
      if (refresh === undefined || stops(refresh)) return answer;
      isCrossSite = refresh.origin !== url.origin;
      next = { url: refresh, method: "GET", initiator: url };
    }
    throw new Error(`redirected without an end: ${this.visited.slice(-MAX_HOPS).join(" → ")}`);
  }

  /**
   * @param {Navigation} navigation
   * @param {boolean} isCrossSite
   */
  async #send({ url, method, body, initiator, origin }, isCrossSite) {
    /** @type {Pair[]} */
    const headers = [
      ["Host", url.host],
      ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
      ["Sec-Fetch-Site", isCrossSite ? "cross-site" : initiator === undefined ? "none" : "same-origin"],
      ["Sec-Fetch-Mode", "navigate"],
      ["Sec-Fetch-Dest", "document"],
      ["Sec-Fetch-User", "?1"],
    ];
    if (method !== "GET") headers.push(["Origin", origin ?? "null"], ["Content-Type", "application/x-www-form-urlencoded"]);
    const cookies = this.#cookiesFor(url, method, isCrossSite);
    if (cookies !== "") headers.push(["Cookie", cookies]);
    const answer = await send({ port: Number(url.port), method, path: url.pathname + url.search, headers, body });
    this.#keep(url, answer);
    return answer;
  }

  /**
   * The cookies that go to an address (RFC 6265bis, 5.8.3). `Secure` ones too: browsers count loopback as secure.
   * @param {URL} url
   * @param {string} method
   * @param {boolean} isCrossSite
   */
  #cookiesFor(url, method, isCrossSite) {
    const kept = [...(this.#cookies.get(url.host)?.values() ?? [])];
    const goes = kept.filter(({ attributes }) => {
      const { path = "/", samesite = "lax" } = attributes;
      const isBelow = typeof path === "string" && (url.pathname === path || url.pathname.startsWith(path.endsWith("/") ? path : `${path}/`));
      const isSent = !isCrossSite || String(samesite).toLowerCase() === "none" || (String(samesite).toLowerCase() === "lax" && method === "GET");
      return isBelow && isSent;
    });
    return goes.map(({ pair }) => pair).join("; ");
  }

  /**
   * @param {URL} url
   * @param {Answer} answer
   */
  #keep(url, answer) {
    const kept = this.#cookies.get(url.host) ?? new Map();
    this.#cookies.set(url.host, kept);
    for (const cookie of answer.cookies) {
      assert.ok(!("domain" in cookie.attributes), `a cookie for other hosts: ${cookie.raw}`);
      if (cookie.cleared) kept.delete(cookie.name);
      else kept.set(cookie.name, cookie);
    }
  }
}

/**
 * Where a page leads without anybody doing anything.
 * @param {Answer} answer
 * @param {URL} url
 */
function refreshOf(answer, url) {
  const tag = /<meta\b[^>]*http-equiv="refresh"[^>]*>/.exec(answer.text)?.[0];
  const content = tag && attribute(tag, "content");
  const target = content && /^\s*0\s*;\s*url='?([^']*)'?\s*$/.exec(content)?.[1];
  return target ? new URL(target, url) : undefined;
}

/**
 * The sources of a page's `form-action` (CSP level 3, 6.4.1).
 * @param {Answer} answer
 */
function formActionOf(answer) {
  const policy = answer.headers.get("content-security-policy") ?? "";
  const directive = policy.split(";").find((text) => /^\s*form-action\b/.test(text));
  return directive?.trim().split(/\s+/).slice(1);
}

/**
 * Browsers hold the redirects after a form to `form-action` too.
 * @param {Navigation} navigation
 */
function assertMayLead({ url, initiator, formAction }) {
  if (formAction === undefined) return;
  const isAllowed = formAction.some((source) => (source === "'self'" ? url.origin === initiator?.origin : source === url.origin || source === url.protocol));
  assert.ok(isAllowed, `the policy of the page with the form does not let it lead to ${url.origin}: ${formAction.join(" ")}`);
}
