// An Express application whose users are signed in to a site behind Edgeward.

import express from "express";
import { config } from "./config.js";
import { EdgewardError, issueSsoToken, siteUrl, withToken } from "./edgeward.js";
import { loadUser, signIn, signOut, USERS } from "./login.js";
import { embedPage, errorPage, homePage, loginPage, STYLE } from "./views.js";

const app = express();
app.disable("x-powered-by");
app.set("trust proxy", "loopback"); // a TLS proxy on this machine tells the scheme
app.use(securityHeaders, refuseCrossSitePosts, express.urlencoded({ extended: false }), loadUser);

app.get("/", requireUser, (req, res) => {
  res.send(homePage({ user: req.user, logoutUrl: new URL("/api/sso/logout", config.edgeward.url) }));
});

// The site's `login_url`: Edgeward sends browsers here with the address they wanted.
app.get("/login", async (req, res) => {
  const returnTo = checkedReturnTo(req.query.return_to);
  if (req.user && returnTo) return handOver(req, res, returnTo);
  res.send(loginPage({ users: USERS, returnTo }));
});

app.post("/login", async (req, res) => {
  const returnTo = checkedReturnTo(req.body?.return_to);
  if (!signIn(req, res, req.body?.username)) throw new BadRequest("There is no such user.");
  if (returnTo) return handOver(req, res, returnTo);
  res.redirect(303, "/");
});

app.post("/logout", (req, res) => {
  signOut(req, res);
  res.redirect(303, "/");
});

// `?path=/deep?x=1` opens that page of the site instead of its start page.
app.get("/open/:way", requireUser, async (req, res, next) => {
  if (!Object.hasOwn(HAND_OVERS, req.params.way)) return next();
  const target = siteUrl(config.edgeward.url, req.query.path ?? "/");
  if (!target) throw new BadRequest("This address is not on the site.");
  await handOver(req, res, target, req.params.way);
});

// The frame begins at this application, so no token stands in the page.
app.get("/embed", requireUser, (_req, res) => {
  res.send(embedPage({ source: `/open/${config.handOver}` }));
});

app.get("/style.css", (_req, res) => res.type("css").send(STYLE));

app.use((_req, res) => {
  res.status(404).send(errorPage({ title: "Not found", text: "There is no such page." }));
});
app.use(showError);

const server = app.listen(config.port, config.host, (error) => {
  if (error) throw error;
  console.log(`listening on http://${config.host}:${server.address().port}`);
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}

// --- handing the token over -------------------------------------------------------------------

const HAND_OVERS = {
  cookie(res, target, { token, expiresIn }) {
    const { name, attributes } = config.ssoCookie;
    res.cookie(name, token, { ...attributes, maxAge: expiresIn * 1000 });
    return target;
  },
  link: (_res, target, { token }) => withToken(target, config.queryParameter, token),
};

async function handOver(req, res, target, way = config.handOver) {
  const issued = await issueSsoToken(config.edgeward, req.user);
  const location = HAND_OVERS[way](res, target, issued);
  // Not `res.redirect`: it would write the address, token and all, into the body as well.
  res.status(303).set("Location", location.href).end();
}

/** The page to go back to; nothing when none was asked for. Anywhere but the site is an error. */
function checkedReturnTo(value) {
  if (value === undefined || value === "") return null;
  const url = siteUrl(config.edgeward.url, value);
  if (!url) throw new BadRequest("The address to return to is not on the site.");
  return url;
}

// --- around every request ---------------------------------------------------------------------

function securityHeaders(_req, res, next) {
  res.set({
    "Cache-Control": "no-store",
    "Content-Security-Policy":
      `default-src 'none'; style-src 'self'; frame-src 'self' ${config.edgeward.url.origin}; ` +
      // A browser holds redirects after a form to this list too.
      `form-action 'self' ${config.edgeward.url.origin}; base-uri 'none'; frame-ancestors 'self'`,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
  });
  next();
}

function refuseCrossSitePosts(req, _res, next) {
  if (req.method === "POST" && (req.get("sec-fetch-site") ?? "same-origin") !== "same-origin") {
    throw new BadRequest("This form was sent from another site.");
  }
  next();
}

function requireUser(req, res, next) {
  if (req.user) return next();
  res.redirect(303, "/login");
}

class BadRequest extends Error {}

const PUBLIC_ERRORS = {
  api_token_refused: [502, "The site did not accept this application. Its operators have to renew the API token."],
  not_allowed: [403, "The site does not let you in. Your account there may be disabled."],
  user_unknown: [403, "You have no account on the site."],
  rate_limited: [503, "The site is busy. Try again in a moment."],
  unreachable: [504, "The site does not answer. Try again in a moment."],
  unexpected_answer: [502, "The site gave an answer that this application does not understand."],
};

function showError(error, _req, res, _next) {
  let status = 500;
  let text = "Something went wrong in this application.";
  if (error instanceof EdgewardError) {
    [status, text] = PUBLIC_ERRORS[error.reason];
    if (error.retryAfter) res.set("Retry-After", error.retryAfter);
    console.error(error.message);
  } else if (error instanceof BadRequest) {
    status = 400;
    text = error.message;
  } else if (error.status >= 400 && error.status < 500) {
    status = error.status; // from Express itself, for example a body that is too large
    text = "This request cannot be served.";
  } else {
    console.error(error);
  }
  res.status(status).send(errorPage({ title: "That did not work", text }));
}
