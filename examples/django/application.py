"""A Django application on both sides of Edgeward.

It hands its people over to a site (`/open/…`), and it is an origin that checks who comes (`/me`). You need one half or
the other; they share nothing but the address of Edgeward.
"""

import base64
import functools
import logging
import os
import re
import secrets
import sys
import threading
import time
from typing import NamedTuple
from urllib.parse import urlsplit

import jwt
import requests
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse, JsonResponse
from django.urls import path

EDGEWARD_URL = os.environ["EDGEWARD_URL"].rstrip("/")
API_TOKEN = os.environ["EDGEWARD_API_TOKEN"]
AUDIENCE = os.environ["ASSERTION_AUDIENCE"]
ISSUER = os.environ.get("ASSERTION_ISSUER") or "edgeward"
COOKIE_NAME = os.environ.get("SSO_COOKIE_NAME") or "ls_auth_token"
COOKIE_DOMAIN = os.environ.get("SSO_COOKIE_DOMAIN") or None
PASSWORD = os.environ["DEMO_PASSWORD"]

# Stands for your own sign-in: the browser asks for a name and DEMO_PASSWORD. In your application it is `request.user`.
PEOPLE = {
    "ada": {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"},
    "zoe": {"email": "zoe@example.com", "first_name": "Zoë", "last_name": "Washburne"},
}

log = logging.getLogger("django.edgeward")

# --- handing a person over ---------------------------------------------------------------------

# A kept token is renewed when it has less than this left, so that nobody arrives with an expired one.
MARGIN_SECONDS = 60

REFUSALS = {
    401: (502, "The site did not accept this application."),  # the API token is wrong or revoked
    403: (403, "The site does not let you in."),  # the user is disabled, or not one of this API token's
    422: (403, "You have no account on the site."),
    429: (503, "The site is busy. Try again in a moment."),
}


class Token(NamedTuple):
    value: str
    expires: float

    def __repr__(self):  # so that no traceback or log shows the value
        return f"Token(expires={self.expires})"


class EdgewardError(Exception):
    """Why no token came: the status and the text for the browser. The log has been told."""

    def __init__(self, status, text, retry_after=None):
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


def authorize(request):  # as a plain header, an entry in ~/.netrc would replace it
    request.headers["Authorization"] = f"Token {API_TOKEN}"
    return request


def request_token(person):
    now = time.monotonic()
    try:
        url = f"{EDGEWARD_URL}/api/sso/token"
        response = requests.post(url, json=person, auth=authorize, timeout=5, allow_redirects=False)
    except requests.RequestException as error:
        log.error("no answer from Edgeward: %s", type(error).__name__)
        raise EdgewardError(504, "The site does not answer.") from None
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        answer = None
    match answer:
        case {"token": str(value), "expires_in": int(expires_in)} if response.status_code == 200:
            return Token(value, now + expires_in)
    why = (answer.get("error_code") or answer.get("error")) if isinstance(answer, dict) else None
    log.error("Edgeward answered %s %s", response.status_code, why)
    status, text = REFUSALS.get(response.status_code, (502, "The site gave an unexpected answer."))
    raise EdgewardError(status, text, response.headers.get("Retry-After"))


# The tokens that are kept for the cookie, by person: each one is asked for once in its lifetime, by each process.
kept = {}
locks = {}


def kept_token(person):
    email = person["email"]
    with locks.setdefault(email, threading.Lock()):  # requests at the same time wait for the same token
        soon = time.monotonic() + MARGIN_SECONDS
        for other in [one for one, token in list(kept.items()) if token.expires <= soon]:
            kept.pop(other, None)
        if email not in kept:
            kept[email] = request_token(person)
        return kept[email]


# --- checking who comes ------------------------------------------------------------------------

# Fetched when it is needed, kept for five minutes, and fetched again for an unknown `kid`. Cloudflare may refuse the
# usual name of Python's own HTTP client, so give another one.
keys = jwt.PyJWKClient(f"{EDGEWARD_URL}/.well-known/jwks.json", headers={"User-Agent": "my-application"}, timeout=5)


def with_verified_caller(view):
    """Gives a view the claims of the caller; 401 unless the assertion is good."""

    @functools.wraps(view)
    def checked(request, *args, **kwargs):
        assertion = request.headers.get("X-Edgeward-Assertion", "")
        try:
            if jwt.get_unverified_header(assertion).get("typ") != "assertion+jwt":
                raise jwt.InvalidTokenError("not an assertion")
            caller = jwt.decode(
                assertion,
                keys.get_signing_key_from_jwt(assertion),
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["sub", "iat", "exp"]},
            )
        except jwt.PyJWKClientConnectionError:  # no reason to let anybody in, and no fault of the caller
            log.error("the key set cannot be fetched")
            return JsonResponse({"error": "try again later"}, status=503)
        except jwt.PyJWTError as error:
            log.warning("assertion refused: %s", type(error).__name__)
            return JsonResponse({"error": "no valid assertion"}, status=401)
        return view(request, caller, *args, **kwargs)

    return checked


# --- the views ---------------------------------------------------------------------------------


@with_verified_caller
def me(request, caller):
    return JsonResponse({name: caller[name] for name in ("sub", "email", "roles")})


def signed_in(request):
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    try:
        name, _, password = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return None
    is_right = scheme.lower() == "basic" and secrets.compare_digest(password.encode(), PASSWORD.encode())
    return PEOPLE.get(name) if is_right else None


def open_site(request, way):
    person = signed_in(request)
    if person is None:
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Basic"})
    page = request.GET.get("page", "/")
    if not re.fullmatch(r"/[!-~]*", page):
        return HttpResponse("This is no page of the site.", status=400)
    try:
        response = HttpResponse(status=303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        response.headers["Location"] = SITE + WAYS[way](response, person, page)
        return response
    except EdgewardError as error:
        headers = {"Retry-After": error.retry_after} if error.retry_after else {}
        return HttpResponse(str(error), status=error.status, headers=headers, content_type="text/plain")


def by_link(response, person, page):
    token = request_token(person)  # a link works once, so each has a new token
    address, mark, fragment = page.partition("#")  # the rest of the address keeps every byte
    return f"{address}{'&' if '?' in address else '?'}token={token.value}{mark}{fragment}"


def by_cookie(response, person, page):
    token = kept_token(person)
    response.set_cookie(  # the same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them
        COOKIE_NAME,
        token.value,
        max_age=int(token.expires - time.monotonic()),
        domain=COOKIE_DOMAIN,
        path="/",
        secure=EDGEWARD_URL.startswith("https:"),
        httponly=True,
        samesite="Lax",
    )
    return page


# What follows the fixed origin begins with `/`, so it cannot change the host.
SITE = "{0.scheme}://{0.netloc}".format(urlsplit(EDGEWARD_URL))
WAYS = {"link": by_link, "cookie": by_cookie}

urlpatterns = [
    path("me", me),
    path("open/link", open_site, {"way": "link"}),
    path("open/cookie", open_site, {"way": "cookie"}),
]

if __name__ == "__main__":
    settings.configure(
        ALLOWED_HOSTS=["*"],  # the assertion says who comes, not the host; in your application name yours
        ROOT_URLCONF=__name__,
        LOGGING={
            "version": 1,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "loggers": {"django": {"handlers": ["console"], "level": "WARNING"}},
        },
    )
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", f"127.0.0.1:{os.environ.get('PORT', '3006')}"])
