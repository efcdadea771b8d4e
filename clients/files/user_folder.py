"""The user's own folder for what lasts: the privacy ledger, and the key that hides patients."""

from __future__ import annotations

import os
from pathlib import Path

from strategies.errors import ConfigurationError


def user_state_folder() -> Path:
    """Return the user's folder for what lasts, by the XDG base directory specification.

    Raises :class:`ConfigurationError` for a user without a home folder.
    """
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():  # the specification has others ignored
        return named
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError:
        raise ConfigurationError(
            "a user without a home folder, where the privacy ledger would lie",
            "a place for the ledger that lasts",
            "name its file in site.toml, [privacy] ledger, or set XDG_STATE_HOME",
        ) from None
