"""EXAMPLE ONLY: a stand-in for the sign-in that your application already has. It asks for no password."""

from functools import wraps

from flask import g, redirect, request, session
from flask.sessions import SecureCookieSessionInterface

USERS = {
    user["username"]: user
    for user in (
        {"username": "ada", "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"},
        {"username": "zoe", "email": "zoe@example.com", "first_name": "Zoë", "last_name": "Ångström"},
    )
}


class SessionInterface(SecureCookieSessionInterface):
    """Flask's own session, with `Secure` wherever the request came by HTTPS."""

    def get_cookie_secure(self, app) -> bool:
        return request.is_secure


def load_user() -> None:
    g.user = USERS.get(session.get("username"))


def sign_in(username: str | None) -> bool:
    if username not in USERS:
        return False
    session.clear()
    session["username"] = username
    g.user = USERS[username]
    return True


def sign_out() -> None:
    session.clear()


def user_required(view):
    @wraps(view)
    def wrapped(*args, **kwargs):
        return view(*args, **kwargs) if g.user else redirect("/login", 303)

    return wrapped
