"""Read the file of weights on which all members have agreed; its hash is in the federation file."""

from __future__ import annotations

import hashlib

from clients.settings import InitialWeights
from strategies.errors import ConfigurationError


def agreed_bytes(given: InitialWeights) -> bytes:
    """Return the content of the file; raises :class:`ConfigurationError` if it is another one."""
    try:
        # Read once: what is hashed is what is loaded.
        data = given.file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"model.initial-weights.file = {str(given.file)!r}, which cannot be read"
            f" ({error.strerror})",
            "the file of weights on which all members have agreed",
            "put it beside the federation file, under this name",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != given.sha256:
        raise ConfigurationError(
            f"{given.file} with the SHA-256 {digest}",
            f"the file on which all members have agreed, with {given.sha256}",
            "get it again from the consortium; a new agreement needs the new hash in"
            " model.initial-weights.sha256",
        )
    return data
