"""A Flask application whose users are signed in to a site behind Edgeward."""

import secrets
from urllib.parse import urljoin, urlsplit

from flask import Flask, Response, abort, g, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

import config
from edgeward import EdgewardError, SsoToken, issue_sso_token, site_url, with_token
from login import USERS, SessionInterface, load_user, sign_in, sign_out, user_required

CONFIG = config.load()
EDGEWARD_ORIGIN = "{0.scheme}://{0.netloc}".format(urlsplit(CONFIG.edgeward_url))

app = Flask(__name__)
app.config.update(
    SECRET_KEY=CONFIG.secret_key or secrets.token_hex(32),
    SESSION_COOKIE_NAME="example_flask_session",
    SESSION_COOKIE_SAMESITE="Lax",
)
app.session_interface = SessionInterface()
# The TLS proxy in front tells the scheme. Without such a proxy leave this out: a client could say it too.
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=0, x_proto=1)


@app.get("/")
@user_required
def home():
    return render_template("home.html", user=g.user, logout_url=urljoin(CONFIG.edgeward_url, "/api/sso/logout"))


@app.get("/login")
def login():
    """The site's `login_url`: Edgeward sends browsers here with the address they wanted."""
    return_to = checked_return_to(request.args)
    if g.user and return_to:
        return hand_over(return_to, CONFIG.hand_over)
    return render_template("login.html", users=USERS.values(), return_to=return_to)


@app.post("/login")
def log_in():
    return_to = checked_return_to(request.form)
    if not sign_in(request.form.get("username")):
        abort(400, "There is no such user.")
    return hand_over(return_to, CONFIG.hand_over) if return_to else redirect("/", 303)


@app.post("/logout")
def log_out():
    sign_out()
    return redirect("/", 303)


@app.get("/open/<any(cookie, link):way>")
@user_required
def open_site(way: str):
    """`?path=/deep?x=1` opens that page of the site instead of its start page."""
    target = site_url(CONFIG.edgeward_url, request.args.get("path", "/"))
    if not target:
        abort(400, "This address is not on the site.")
    return hand_over(target, way)


@app.get("/embed")
@user_required
def embed():
    # The frame begins at this application, so no token stands in the page.
    return render_template("embed.html", source=f"/open/{CONFIG.hand_over}")


# --- handing the token over ---------------------------------------------------------------------


def hand_over(target: str, way: str) -> Response:
    token = issue_sso_token(CONFIG.edgeward_url, CONFIG.edgeward_api_token, g.user)
    # Not `redirect`: it would write the address, token and all, into the body as well.
    response = Response(status=303)
    if way == "cookie":
        set_sso_cookie(response, token)
        response.headers["Location"] = target
    else:
        response.headers["Location"] = with_token(target, CONFIG.query_parameter, token)
    return response


def set_sso_cookie(response: Response, token: SsoToken) -> None:
    cookie = CONFIG.sso_cookie
    response.set_cookie(
        cookie.name,
        token.value,
        max_age=token.expires_in,
        domain=cookie.domain,
        path=cookie.path,
        secure=cookie.secure,
        httponly=True,
        samesite=cookie.samesite,
        partitioned=cookie.partitioned,
    )


def checked_return_to(arguments) -> str | None:
    """The page to go back to; None when none was asked for. Anywhere but the site is an error."""
    value = arguments.get("return_to")
    if not value:
        return None
    url = site_url(CONFIG.edgeward_url, value)
    if not url:
        abort(400, "The address to return to is not on the site.")
    return url


# --- around every request -----------------------------------------------------------------------


@app.before_request
def refuse_cross_site_posts():
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(400, "This form was sent from another site.")


app.before_request(load_user)


@app.after_request
def security_headers(response: Response) -> Response:
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; frame-src 'self' {EDGEWARD_ORIGIN}; "
        # A browser holds redirects after a form to this list too.
        f"form-action 'self' {EDGEWARD_ORIGIN}; base-uri 'none'; frame-ancestors 'self'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


PUBLIC_ERRORS = {
    "api_token_refused": (502, "The site did not accept this application. Its operators have to renew the API token."),
    "not_allowed": (403, "The site does not let you in. Your account there may be disabled."),
    "user_unknown": (403, "You have no account on the site."),
    "rate_limited": (503, "The site is busy. Try again in a moment."),
    "unreachable": (504, "The site does not answer. Try again in a moment."),
    "unexpected_answer": (502, "The site gave an answer that this application does not understand."),
}


@app.errorhandler(EdgewardError)
def show_edgeward_error(error: EdgewardError):
    app.logger.error("%s", error)
    status, text = PUBLIC_ERRORS[error.reason]
    headers = {"Retry-After": error.retry_after} if error.retry_after else {}
    return render_template("error.html", text=text), status, headers


@app.errorhandler(HTTPException)
def show_http_error(error: HTTPException):
    return render_template("error.html", text=error.description), error.code
