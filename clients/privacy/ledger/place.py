"""Where a privacy ledger lies: one for each data owner, or one in a site's or a run's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clients.privacy.ledger.ledger import ANCHOR_FILE, LEDGER_FILE, PrivacyLedger
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class LedgerPlace:
    """The paths of a ledger, of its anchor, and of a site's own copy of the anchor, if any."""

    path: Path
    anchor: Path
    witness: Path | None = None

    def open(self) -> PrivacyLedger:
        """Return the ledger."""
        return PrivacyLedger(self.path, self.anchor, witness=self.witness)


def owners_ledger(path: Path | None = None, witness: Path | None = None) -> LedgerPlace:
    """Return the place of a data owner's ledger: the file ``path``, or the user's own.

    Raises :class:`ConfigurationError` for a user without a home folder.
    """
    path = path if path is not None else _state_folder() / "srflm" / "privacy" / LEDGER_FILE
    return LedgerPlace(path, path.with_name(f"{path.stem}{Path(ANCHOR_FILE).suffix}"), witness)


def _state_folder() -> Path:
    """Return the user's folder for what lasts, by the XDG base directory specification."""
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
