"""The file with the password for the PACS, which only its owner may be able to read."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import httpx
from pydantic import Field, ValidationError, model_validator

from strategies.errors import ConfigurationError
from strategies.settings import Settings

MOST_BYTES = 64 * 1024
_FORM = "user = '…' and password = '…', or token = '…'"


class Credentials(Settings):
    """As whom the site speaks to its PACS: HTTP Basic, or a bearer token."""

    user: str | None = Field(default=None, repr=False, description="Name of the PACS's user.")
    password: str | None = Field(default=None, repr=False, description="That user's password.")
    token: str | None = Field(
        default=None, repr=False, description="Bearer token, in place of user and password."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Credentials:
        named = self.user is not None and self.password is not None
        half = (self.user is None) != (self.password is None)
        if half or named == (self.token is not None):
            raise ValueError(f"expected {_FORM}")
        # They become a header of each request: a line break would begin another one.
        given = [each for each in (self.user, self.password, self.token) if each is not None]
        if not all(each.isprintable() for each in given):
            raise ValueError("expected printable signs, and no line breaks")
        if self.token is not None and not self.token.isascii():
            raise ValueError("expected a token of ASCII signs")
        return self

    def auth(self) -> httpx.Auth:
        """Return what httpx puts into each request."""
        if self.token is not None:
            return _Bearer(self.token)
        return httpx.BasicAuth(self.user or "", self.password or "")


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]
        request.headers["Authorization"] = self._header
        yield request


def read_credentials(path: Path) -> Credentials:
    """Read a credentials file.

    Raises :class:`ConfigurationError` for a file that is not there, is open to others, or is in
    another form; the error quotes nothing of it.
    """
    try:
        # The rights of the file that is read, not of one that took its place meanwhile.
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"{path}, named by pacs.credentials, cannot be read ({error.strerror})",
            f"a file with {_FORM}",
            "write the file, or correct the path in site.toml",
        ) from None
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 or status.st_uid != os.geteuid():
        whose = "" if status.st_uid == os.geteuid() else " and belongs to another user"
        raise ConfigurationError(
            f"{path} has the mode {mode:04o}{whose}",
            "a file of your own that nobody else can read (0600)",
            f"`chmod 600 {path}`, as its owner; change the password if others may have read it",
        )
    try:
        return Credentials.model_validate(tomllib.loads(content.decode("utf-8-sig")))
    except (ValueError, ValidationError):
        pass  # the exception quotes the file
    raise ConfigurationError(
        f"{path} does not hold credentials in the form that is read",
        f"TOML with {_FORM}, in printable signs, and nothing else",
        "correct the file; single quotes keep every sign as it is",
    )
