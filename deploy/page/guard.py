"""What may be asked of the page, by whom, and with which headers it answers: rules on plain data.

Other users and other web pages on the machine reach loopback, too.  So a request needs the token; a
browser must ask in the name of this host (else a foreign name that was bound to 127.0.0.1 could
ask), and not for another web page.  Nothing here changes anything, so only GET and HEAD exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from deploy.page.tokens import is_cookie, is_token

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Any port is right: an operator may forward one of another machine to the page's."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
POLICY_OF_CASES = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
"""That page holds its own style and pictures, and no script: `srflm export` has written it."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
OPEN_PATHS = frozenset({"/healthz"})
"""It says that the program runs, and nothing about the site."""


@dataclass(frozen=True)
class Asked:
    """A request; names of ``headers`` are in lower case, ``cookie`` is the value of the page's."""

    method: str
    path: str
    headers: Mapping[str, str]
    cookie: str = ""


def refusal(asked: Asked) -> HTTPStatus | None:
    """Return the status with which a request is refused whoever asks, or None."""
    if asked.method not in ("GET", "HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED
    host = asked.headers.get("host", "").lower()
    if _name_in(host) not in HOSTS:
        return HTTPStatus.MISDIRECTED_REQUEST
    origin = asked.headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return HTTPStatus.FORBIDDEN
    if not _is_own(asked.headers):
        return HTTPStatus.FORBIDDEN
    return None


def is_known(asked: Asked, token: str, now: float) -> bool:
    """Return whether a request shows the token, as a bearer or by its cookie."""
    scheme, _, bearer = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(bearer.strip(), token):
        return True
    return is_cookie(asked.cookie, token, now)


def _is_own(headers: Mapping[str, str]) -> bool:
    """Return whether a browser says that no other web page is behind the request.

    Another port of this host is the same "site", so cookies go along: only the origin differs.
    """
    where = headers.get("sec-fetch-site", "none")
    if where in ("same-origin", "none"):
        return True
    # A link that somebody clicks: the answer is shown to them, and no page can read it.
    mode, target = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return mode == "navigate" and target == "document"


def _name_in(host: str) -> str:
    """Return a Host header without its port; "" for one that is none."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host
    return name if port.isascii() and port.isdigit() else ""
