"""All that an application needs to know about Edgeward.

Ask for an SSO token, and tell whether an address belongs to the site.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

import requests

REASON_BY_STATUS = {
    401: "api_token_refused",  # missing, unknown, revoked or expired API token
    403: "not_allowed",  # the API token may not issue for this user, or the user is disabled
    422: "user_unknown",  # the site does not create users by itself
    429: "rate_limited",
}


class EdgewardError(Exception):
    """Why no SSO token came.

    `reason` is for the program, the message for the log. Neither holds a secret.
    """

    def __init__(self, reason: str, message: str, retry_after: str | None = None):
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True)
class SsoToken:
    value: str
    expires_in: int

    def __repr__(self) -> str:  # so that no traceback or log shows the value
        return f"SsoToken(expires_in={self.expires_in})"


def issue_sso_token(base: str, api_token: str, user: dict[str, str], timeout: float = 5.0) -> SsoToken:
    """Ask for an SSO token for `user`: `email`, and if known `username`, `first_name`, `last_name`."""

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {api_token}"
        return request

    try:
        response = requests.post(
            urljoin(base, "/api/sso/token"),
            json=user,
            auth=authorize,  # as a plain header, an entry in ~/.netrc would replace it
            timeout=timeout,
            allow_redirects=False,  # the API token goes to this address and to no other
        )
    except requests.Timeout as error:
        raise EdgewardError("unreachable", f"Edgeward is not reachable: no answer in {timeout} s") from error
    except requests.RequestException as error:
        raise EdgewardError("unreachable", f"Edgeward is not reachable: {type(error).__name__}") from error

    try:
        answer = response.json()
    except requests.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise EdgewardError("unexpected_answer", f"Edgeward answered {response.status_code} without JSON")

    if response.status_code != 200:
        raise EdgewardError(
            REASON_BY_STATUS.get(response.status_code, "unexpected_answer"),
            f"Edgeward answered {response.status_code}: {answer.get('error_code') or answer.get('error')}",
            response.headers.get("Retry-After"),
        )
    match answer:
        case {"token": str(value), "expires_in": int(expires_in)} if expires_in > 0:
            return SsoToken(value, expires_in)
    raise EdgewardError("unexpected_answer", "Edgeward answered 200 without a token")


def site_url(base: str, value: str) -> str | None:
    """Return the address on the site that `value` (absolute, or a path) names; None if it leads anywhere else.

    Python and browsers read odd addresses differently: in `https://evil.test\\@app.example.com/`
    Python finds the host app.example.com, a browser evil.test. So what only odd addresses have is
    refused, and the answer begins with the configured origin, whatever `value` began with.
    """
    if not re.fullmatch(r"[!-\[\]-~]+", value):  # printable ASCII, no space, no backslash
        return None
    site = urlsplit(base)
    try:
        target = urlsplit(urljoin(base, value))
        if "@" in target.netloc or _origin(target) != _origin(site):
            return None
    except ValueError:  # for example a port that is no number
        return None
    return urlunsplit((site.scheme, site.netloc, target.path or "/", target.query, target.fragment))


def with_token(url: str, parameter: str, token: SsoToken) -> str:
    """Add the token to the query of `url`. The rest of the query keeps every byte."""
    parts = urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{query}{quote(parameter, safe='')}={token.value}"))


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    default_port = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default_port
