"""Read a file of weights on which all members have agreed; its hash is in the federation file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from strategies.errors import ConfigurationError


def agreed_bytes(file: Path, sha256: str, table: str = "model.initial-weights") -> bytes:
    """Return the content of the file that ``table`` names.

    Raises :class:`ConfigurationError` if it is another one.
    """
    try:
        # Read once: what is hashed is what is loaded.
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{table}.file = {str(file)!r}, which cannot be read ({error.strerror})",
            "the file of weights on which all members have agreed",
            "put it there: beside the federation file, or beside the model that needs it",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise ConfigurationError(
            f"{file} with the SHA-256 {digest}",
            f"the file on which all members have agreed, with {sha256}",
            "get it again from the consortium; a new agreement needs the new hash in"
            f" {table}.sha256",
        )
    return data
