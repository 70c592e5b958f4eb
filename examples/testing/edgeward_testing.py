"""Signed assertions for an origin's own tests: any person, without an Edgeward.

The twin of testing.js. The keys are published, so nothing that is signed here proves anything.
It needs the package PyJWT[crypto].
"""

import json
import secrets
import time
from pathlib import Path

import jwt

# Edgeward's own `iss` is `edgeward`, or what `issuer` of the table EDGEWARD says. This is never one of them.
ISSUER = "edgeward-testing-only"
# The header in which Edgeward sends the assertion, unless the site sets `assertion.header`.
HEADER = "X-Edgeward-Assertion"

_KEYS = {key["alg"]: key for key in json.loads(Path(__file__).with_name("keys.json").read_text())["keys"]}
_PUBLIC_MEMBERS = ("kid", "alg", "use", "kty", "crv", "x", "y", "n", "e")

# The public keys, as Edgeward publishes its own at /.well-known/jwks.json.
KEY_SET = {
    "keys": [{name: key[name] for name in _PUBLIC_MEMBERS if name in key} for key in _KEYS.values()],
}


def assertion(email, *, audience, expires_in=300, algorithm="ES256", claims=None, **person):
    """A signed assertion with the claims that Edgeward gives one.

    `person` has `id`, `username`, `name`, `roles`, `staff`, `superuser`; whatever is left out is made
    from the address. `claims` is laid over all others; a claim that is None is left out.
    """
    now = int(time.time())
    username = person.get("username") or email.partition("@")[0]
    payload = {
        "iss": ISSUER,
        "aud": audience,
        "sub": person.get("id") or f"usr_testing_{email.encode().hex()}",
        "email": email,
        "username": username,
        "name": person.get("name") or username,
        "roles": person.get("roles", []),
        "staff": person.get("staff", False),
        "superuser": person.get("superuser", False),
        "site": "testing",
        "iat": now,
        "exp": now + expires_in,
        "sid": secrets.token_urlsafe(16),
        **(claims or {}),
    }
    key = _KEYS[algorithm]
    return jwt.encode(
        {name: value for name, value in payload.items() if value is not None},
        jwt.PyJWK(key).key,
        algorithm=algorithm,
        headers={"typ": "assertion+jwt", "kid": key["kid"]},
    )


def headers_of(email, **options):
    """The header for a request of a test: `client.get("/", headers=headers_of("ada@example.com", audience=…))`."""
    return {HEADER: assertion(email, **options)}
