"""The user's own folders: for what lasts, as the privacy ledger, and for what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from strategies.errors import ConfigurationError


def user_state_folder() -> Path:
    """Return the user's folder for what lasts, by the XDG base directory specification.

    Raises :class:`ConfigurationError` for a user without a home folder.
    """
    return (
        _named("XDG_STATE_HOME")
        or _home(
            "where the privacy ledger would lie",
            "a place for the ledger that lasts",
            "name its file in site.toml, [privacy] ledger, or set XDG_STATE_HOME",
        )
        / ".local"
        / "state"
    )


def user_cache_folder() -> Path:
    """Return the user's folder for what can be made again, by the same specification.

    Raises :class:`ConfigurationError` for a user without a home folder.
    """
    return (
        _named("XDG_CACHE_HOME")
        or _home("where prepared images would be kept", "a place for a cache", "set XDG_CACHE_HOME")
        / ".cache"
    )


def _named(variable: str) -> Path | None:
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else None  # the specification has others ignored


def _home(lies: str, expected: str, mend: str) -> Path:
    try:
        return Path.home()
    except RuntimeError:
        found = f"a user without a home folder, {lies}"
        raise ConfigurationError(found, expected, mend) from None
