// An Express application that people enter through the SSO gateway.

import express from "express";
import session from "express-session";
import { Webhook } from "standardwebhooks";
import { activeAccount, applyEvent } from "./accounts.js";
import { config } from "./config.js";
import { deauthenticate, GatewayError, getSignIn, localPath, loginUrl, makeUsed, obtain } from "./gateway.js";
import { homePage, messagePage, reportPage } from "./views.js";

// Sign-ins that a browser may have begun at the same time, in several tabs.
const MAX_PENDING = 5;

const app = express();
app.disable("x-powered-by");
app.set("trust proxy", "loopback"); // a TLS proxy on this machine tells the scheme
app.use(securityHeaders);

// --- what the gateway calls -------------------------------------------------------------------

const webhook = new Webhook(config.gateway.webhookSecret);

// Before the session: the gateway has none. The signature is over the body's bytes, so they are read as they came.
app.post("/sso/event/", express.raw({ type: "application/json", limit: "64kb" }), (req, res) => {
  let event;
  try {
    event = webhook.verify(req.body.toString("utf8"), req.headers); // compares in constant time; refuses old events
  } catch {
    return res.status(401).end();
  }
  applyEvent(event);
  res.status(204).end();
});

// --- sessions ---------------------------------------------------------------------------------

app.use(
  session({
    // Without `store` the sessions are in memory. In production use one of the stores that express-session lists.
    name: "service_session",
    secret: config.sessionSecret,
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: "lax", secure: config.baseUrl.protocol === "https:", maxAge: 8 * 3600 * 1000 },
  }),
  loadAccount,
);

function loadAccount(req, _res, next) {
  const account = activeAccount(req.session.identity);
  req.account = account?.epoch === req.session.epoch ? account : undefined;
  next();
}

function requireAccount(req, res, next) {
  if (req.account) return next();
  res.redirect(303, `/login?next=${encodeURIComponent(req.originalUrl)}`);
}

// --- sign-in ----------------------------------------------------------------------------------

app.get("/login", async (req, res) => {
  const nextUrl = localPath(config.baseUrl, req.query.next);
  if (req.account) return res.redirect(303, nextUrl);
  const token = await obtain(config.gateway, nextUrl);
  // Only the browser that begins a sign-in can finish it: nobody can be signed in as somebody else by a link.
  req.session.pending = [token, ...(req.session.pending ?? [])].slice(0, MAX_PENDING);
  res.redirect(303, loginUrl(config.gateway, token));
});

app.get("/sso/accept/", async (req, res) => {
  const code = typeof req.query.code === "string" ? req.query.code : "";
  const signIn = await finishedSignIn(req.session.pending ?? [], code);
  // The gateway has told us about the account before it sent the browser here.
  const account = activeAccount(signIn.identity);
  if (!account) throw new SignInFailed("There is no active account for you here.");
  await makeUsed(config.gateway, signIn);
  const others = req.session.pending.filter((token) => token !== signIn.token);
  await regenerate(req); // what the browser had before it signed in is worth nothing afterwards
  req.session.pending = others; // of other tabs; they end only with a code that the gateway gave this browser
  req.session.identity = account.identity;
  req.session.epoch = account.epoch;
  res.redirect(303, localPath(config.baseUrl, signIn.nextUrl));
});

/** The browser does not say which of its sign-ins the code is for. */
async function finishedSignIn(pending, code) {
  let failure;
  for (const token of pending) {
    try {
      return { token, code, ...(await getSignIn(config.gateway, { token, code })) };
    } catch (error) {
      failure = error;
    }
  }
  throw new SignInFailed("This sign-in was not finished, or it is too old.", { cause: failure });
}

const regenerate = (req) =>
  new Promise((resolve, reject) => req.session.regenerate((error) => (error ? reject(error) : resolve())));

// --- sign-out ---------------------------------------------------------------------------------

app.post("/logout", refuseCrossSitePosts, async (req, res) => {
  const { account } = req;
  await new Promise((resolve, reject) => req.session.destroy((error) => (error ? reject(error) : resolve())));
  res.clearCookie("service_session");
  // Here the session has ended already, whatever the gateway answers.
  if (account) await deauthenticate(config.gateway, account.identity);
  res.redirect(303, "/");
});

// --- the application --------------------------------------------------------------------------

app.get("/", (req, res) => res.send(homePage({ account: req.account })));

app.get("/reports/:report", requireAccount, (req, res) => {
  res.send(reportPage({ account: req.account, report: req.params.report }));
});

app.use((_req, res) => {
  res.status(404).send(messagePage({ title: "Not found", text: "There is no such page." }));
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

// --- around every request ---------------------------------------------------------------------

function securityHeaders(_req, res, next) {
  res.set({
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
  });
  next();
}

function refuseCrossSitePosts(req, res, next) {
  if ((req.get("sec-fetch-site") ?? "same-origin") === "same-origin") return next();
  res.status(403).send(messagePage({ title: "Not done", text: "This form was sent from another site." }));
}

class SignInFailed extends Error {}

function showError(error, _req, res, _next) {
  let [status, text] = [500, "Something went wrong in this application."];
  if (error instanceof SignInFailed) [status, text] = [403, error.message];
  else if (error instanceof GatewayError)
    [status, text] = [502, "The sign-in service does not answer. Try again in a moment."];
  else if (error.status >= 400 && error.status < 500) [status, text] = [error.status, "This request cannot be served."];
  const cause = error instanceof SignInFailed ? error.cause : error;
  if (cause) console.error(cause instanceof GatewayError ? cause.message : cause);
  res.status(status).send(messagePage({ title: "That did not work", text }));
}
