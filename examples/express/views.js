// The pages. `html` escapes every value that is not itself made by `html`.

/** @typedef {{ email: string, username: string, firstName: string, lastName: string }} User */

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
    Array.isArray(value)
      ? value.map(render).join("")
      : value instanceof Html
        ? value.text
        : String(value ?? "").replace(/[&<>"']/g, (character) => ESCAPES[character]);
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
<link rel="stylesheet" href="/style.css">
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

export const STYLE = `
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; padding: 1rem; }
main { max-width: 60rem; margin: auto; }
iframe { width: 100%; height: 36rem; border: 1px solid GrayText; }
button { font: inherit; padding: .4rem 1rem; }
`;

/** @param {{ user: User, logoutUrl: URL }} seen */
export const homePage = ({ user, logoutUrl }) =>
  page(
    "Express example",
    html`
<p>Signed in as ${user.firstName} ${user.lastName} (${user.email}).</p>
<ul>
<li><a href="/open/cookie">Open the site, token in the cookie</a></li>
<li><a href="/open/link">Open the site, token in the link</a></li>
<li><a href="/embed">Show the site in a frame</a></li>
<li><a href="${logoutUrl}">Log out of the site</a></li>
</ul>
<form method="post" action="/logout"><button>Log out of this application</button></form>`,
  );

/** @param {{ users: User[], returnTo: string }} seen */
export const loginPage = ({ users, returnTo }) =>
  page(
    "Sign in",
    html`
<p>Example only: choose who you are.</p>
<form method="post" action="/login">
<input type="hidden" name="return_to" value="${returnTo}">
${users.map(
  (user) => html`
<p><button name="username" value="${user.username}">${user.firstName} ${user.lastName}</button></p>`,
)}
</form>`,
  );

/** @param {{ source: string }} seen */
export const embedPage = ({ source }) =>
  page(
    "The site in a frame",
    html`
<p><a href="/">Back</a></p>
<iframe src="${source}" title="The site behind Edgeward"></iframe>`,
  );

/** @param {{ title: string, text: string }} seen */
export const errorPage = ({ title, text }) => page(title, html`<p>${text}</p><p><a href="/">Back</a></p>`);
