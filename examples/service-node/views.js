// The pages. `html` escapes every value that is not itself made by `html`.

/** @import { Account } from "./accounts.js" */

class Html {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
}

/** @type {Record<string, string>} */
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/**
 * @param {TemplateStringsArray} strings
 * @param {...unknown} values
 */
function html(strings, ...values) {
  /** @type {(value: unknown) => string} */
  const render = (value) =>
    value instanceof Html ? value.text : String(value ?? "").replace(/[&<>"']/g, (character) => ESCAPES[character]);
  return new Html(String.raw({ raw: strings }, ...values.map(render)));
}

/**
 * @param {string} title
 * @param {Html} content
 */
function page(title, content) {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
</head>
<body>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`.text;
}

const LOGOUT = html`<form method="post" action="/logout"><button>Sign out everywhere</button></form>`;

/** @param {{ account: Account | undefined }} seen */
export const homePage = ({ account }) =>
  page(
    "Express service",
    account
      ? html`<p>Signed in as <b>${account.identity}</b>${account.isStaff ? " (staff)" : ""}${account.isSuperuser ? " (superuser)" : ""}.</p>
<p><a href="/reports/7">Report 7</a></p>
${LOGOUT}`
      : html`<p>You are not signed in.</p><p><a href="/login">Sign in</a></p>`,
  );

/** @param {{ account: Account, report: string }} seen */
export const reportPage = ({ account, report }) =>
  page(`Report ${report}`, html`<p>For <b>${account.identity}</b>.</p>${LOGOUT}`);

/** @param {{ title: string, text: string }} seen */
export const messagePage = ({ title, text }) => page(title, html`<p>${text}</p><p><a href="/">Start page</a></p>`);
