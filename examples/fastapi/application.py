"""A FastAPI application on both sides of Edgeward.

It hands its people over to a site (`/open/…`), and it is an origin that checks who comes (`/me`). You need one half or
the other; they share nothing but the address of Edgeward.
"""

import asyncio
import logging
import os
import re
import secrets
import time
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials

EDGEWARD_URL = os.environ["EDGEWARD_URL"].rstrip("/")
API_TOKEN = os.environ["EDGEWARD_API_TOKEN"]
AUDIENCE = os.environ["ASSERTION_AUDIENCE"]
ISSUER = os.environ.get("ASSERTION_ISSUER") or "edgeward"
COOKIE_NAME = os.environ.get("SSO_COOKIE_NAME") or "ls_auth_token"
COOKIE_DOMAIN = os.environ.get("SSO_COOKIE_DOMAIN") or None
PASSWORD = os.environ["DEMO_PASSWORD"]

# Stands for your own sign-in: the browser asks for a name and DEMO_PASSWORD.
PEOPLE = {
    "ada": {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"},
    "zoe": {"email": "zoe@example.com", "first_name": "Zoë", "last_name": "Washburne"},
}

log = logging.getLogger("uvicorn.error")

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

    def __repr__(self) -> str:  # so that no traceback or log shows the value
        return f"Token(expires={self.expires})"


# The API token goes to this address and to no other, so redirects are not followed.
client = httpx.AsyncClient(base_url=EDGEWARD_URL, timeout=5, follow_redirects=False)


async def request_token(person: dict[str, str]) -> Token:
    now = time.monotonic()
    try:
        headers = {"Authorization": f"Token {API_TOKEN}"}
        response = await client.post("/api/sso/token", json=person, headers=headers)
    except httpx.HTTPError as error:
        log.error("no answer from Edgeward: %s", type(error).__name__)
        raise HTTPException(504, "The site does not answer.") from None
    try:
        answer = response.json()
    except ValueError:
        answer = None
    match answer:
        case {"token": str(value), "expires_in": int(expires_in)} if response.status_code == 200:
            return Token(value, now + expires_in)
    why = (answer.get("error_code") or answer.get("error")) if isinstance(answer, dict) else None
    log.error("Edgeward answered %s %s", response.status_code, why)
    status, text = REFUSALS.get(response.status_code, (502, "The site gave an unexpected answer."))
    retry_after = response.headers.get("Retry-After")
    raise HTTPException(status, text, {"Retry-After": retry_after} if retry_after else None)


# The tokens that are kept for the cookie, by person: each one is asked for once in its lifetime.
kept: dict[str, Token] = {}
locks: dict[str, asyncio.Lock] = {}


async def kept_token(person: dict[str, str]) -> Token:
    email = person["email"]
    async with locks.setdefault(email, asyncio.Lock()):  # requests at the same time wait for the same token
        soon = time.monotonic() + MARGIN_SECONDS
        for other in [one for one, token in kept.items() if token.expires <= soon]:
            del kept[other]
        if email not in kept:
            kept[email] = await request_token(person)
        return kept[email]


# --- checking who comes ------------------------------------------------------------------------

# Fetched when it is needed, kept for five minutes, and fetched again for an unknown `kid`. Cloudflare may refuse the
# usual name of Python's own HTTP client, so give another one.
keys = jwt.PyJWKClient(f"{EDGEWARD_URL}/.well-known/jwks.json", headers={"User-Agent": "my-application"}, timeout=5)


# Not `async`: the key set is fetched by a call that blocks, and FastAPI runs this in a thread.
def verified_caller(x_edgeward_assertion: Annotated[str, Header()] = "") -> dict[str, Any]:
    """The claims of the caller; 401 unless the assertion is good."""
    try:
        if jwt.get_unverified_header(x_edgeward_assertion).get("typ") != "assertion+jwt":
            raise jwt.InvalidTokenError("not an assertion")
        return jwt.decode(
            x_edgeward_assertion,
            keys.get_signing_key_from_jwt(x_edgeward_assertion),
            algorithms=["ES256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["sub", "iat", "exp"]},
        )
    except jwt.PyJWKClientConnectionError:  # no reason to let anybody in, and no fault of the caller
        log.error("the key set cannot be fetched")
        raise HTTPException(503, "Try again later.") from None
    except jwt.PyJWTError as error:
        log.warning("assertion refused: %s", type(error).__name__)
        raise HTTPException(401, "No valid assertion.") from None


# --- the routes --------------------------------------------------------------------------------

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/me")
def me(caller: Annotated[dict[str, Any], Depends(verified_caller)]) -> dict[str, Any]:
    return {name: caller[name] for name in ("sub", "email", "roles")}


def signed_in(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> dict[str, str]:
    person = PEOPLE.get(credentials.username)
    is_right = secrets.compare_digest(credentials.password.encode(), PASSWORD.encode())
    if person is None or not is_right:
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})
    return person


Person = Annotated[dict[str, str], Depends(signed_in)]


def page_of_site(page: str = "/") -> str:
    """The address of a page of the site.

    What follows the fixed origin begins with `/`, so it cannot change the host.
    """
    if not re.fullmatch(r"/[!-~]*", page):
        raise HTTPException(400, "This is no page of the site.")
    site = urlsplit(EDGEWARD_URL)
    return f"{site.scheme}://{site.netloc}{page}"


Page = Annotated[str, Depends(page_of_site)]
NOT_KEPT = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@app.get("/open/link")
async def open_by_link(person: Person, page: Page) -> Response:
    token = await request_token(person)  # a link works once, so each has a new token
    address, mark, fragment = page.partition("#")  # the rest of the address keeps every byte
    location = f"{address}{'&' if '?' in address else '?'}token={token.value}{mark}{fragment}"
    return Response(status_code=303, headers={"Location": location, **NOT_KEPT})


@app.get("/open/cookie")
async def open_by_cookie(person: Person, page: Page) -> Response:
    token = await kept_token(person)
    response = Response(status_code=303, headers={"Location": page, **NOT_KEPT})
    response.set_cookie(  # the same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them
        COOKIE_NAME,
        token.value,
        max_age=int(token.expires - time.monotonic()),
        domain=COOKIE_DOMAIN,
        path="/",
        secure=EDGEWARD_URL.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return response
