"""The token that opens a site's page, and the cookie that stands for it in a browser.

Cookies do not know ports: a browser sends those of 127.0.0.1 to every program there.  So the cookie
is not the token but a proof of it that is worth nothing after ``COOKIE_SECONDS``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from clients.files.durable import write_durably
from strategies.errors import ConfigurationError

COOKIE_SECONDS = 12 * 3600
LENGTH = 43
"""Letters of ``secrets.token_urlsafe(32)``: 256 random bits."""


def keep_token(path: Path) -> str:
    """Return the token in the file ``path``; make it, with mode 0600, if there is none.

    Raises :class:`ConfigurationError` for a file that holds no token, and
    :class:`strategies.errors.RunFolderError` if it cannot be written.
    """
    if not path.exists():
        write_durably(path, f"{secrets.token_urlsafe(32)}\n".encode(), private=True)
    return read_token(path)


def read_token(path: Path) -> str:
    """Return the token in the file ``path``; raises :class:`ConfigurationError` without one."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        token = ""
    if len(token) < LENGTH or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"{path}, which holds no token of a page",
            f"{LENGTH} letters that `srflm up` or `srflm page` has drawn",
            f"delete {path.name}, then `srflm down` and `srflm up`: a new one is drawn",
        )
    return token


def is_token(given: str, token: str) -> bool:
    """Return whether ``given`` is the token; how long that takes does not tell where it is not."""
    return hmac.compare_digest(given.encode(), token.encode())


def cookie_name(vendor: str) -> str:
    """Return the name of the cookie, another one for each vendor on this machine."""
    return f"srflm-page-{hashlib.sha256(vendor.encode()).hexdigest()[:8]}"


def cookie_value(token: str, now: float) -> str:
    """Return a cookie that is valid from ``now``, in seconds since the epoch, on."""
    return f"{int(now)}.{_proof(token, int(now))}"


def is_cookie(given: str, token: str, now: float) -> bool:
    """Return whether ``given`` was made from the token less than ``COOKIE_SECONDS`` ago."""
    made, _, proof = given.partition(".")
    if not (made.isascii() and made.isdigit() and len(made) <= 12):
        return False
    fresh = 0 <= now - int(made) < COOKIE_SECONDS
    return hmac.compare_digest(proof.encode(), _proof(token, int(made)).encode()) and fresh


def _proof(token: str, made: int) -> str:
    return hmac.new(token.encode(), f"srflm page {made}".encode(), hashlib.sha256).hexdigest()
