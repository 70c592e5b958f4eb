"""The settings of this example, all from the environment. A wrong setting stops the start."""

import os
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class SsoCookie:
    """The same attributes as in the site's `sso_cookie`: Edgeward clears the cookie with them."""

    name: str
    domain: str | None
    path: str
    secure: bool
    samesite: str
    partitioned: bool


@dataclass(frozen=True)
class Config:
    edgeward_url: str
    edgeward_api_token: str
    hand_over: str
    """How /login and /embed pass the token on: `link` or `cookie`."""
    query_parameter: str
    """The name of the site's `query.parameter`."""
    sso_cookie: SsoCookie
    secret_key: str | None
    """Signs this application's own session."""


def load() -> Config:
    errors: list[str] = []

    def text(name: str, default: str | None = None) -> str:
        value = os.environ.get(name) or default
        if value is None:
            errors.append(f"{name} is not set")
        return value or ""

    def http_url(name: str) -> str:
        value = text(name)
        if value and not (urlsplit(value).scheme in ("http", "https") and urlsplit(value).hostname):
            errors.append(f"{name} is not an http(s) URL")
        return value

    def one_of(name: str, default: str, choices: tuple[str, ...]) -> str:
        value = text(name, default)
        if value not in choices:
            errors.append(f"{name} must be one of {', '.join(choices)}")
        return value

    edgeward_url = http_url("EDGEWARD_URL")
    https = "true" if urlsplit(edgeward_url).scheme == "https" else "false"
    config = Config(
        edgeward_url=edgeward_url,
        edgeward_api_token=text("EDGEWARD_API_TOKEN"),
        hand_over=one_of("EDGEWARD_HAND_OVER", "link", ("link", "cookie")),
        query_parameter=text("EDGEWARD_QUERY_PARAMETER", "token"),
        sso_cookie=SsoCookie(
            name=text("SSO_COOKIE_NAME", "ls_auth_token"),
            domain=os.environ.get("SSO_COOKIE_DOMAIN") or None,
            path=text("SSO_COOKIE_PATH", "/"),
            secure=one_of("SSO_COOKIE_SECURE", https, ("true", "false")) == "true",
            samesite=one_of("SSO_COOKIE_SAME_SITE", "lax", ("lax", "strict", "none")).capitalize(),
            partitioned=one_of("SSO_COOKIE_PARTITIONED", "false", ("true", "false")) == "true",
        ),
        secret_key=os.environ.get("SECRET_KEY"),
    )
    if errors:
        sys.exit("\n".join(errors))
    return config
