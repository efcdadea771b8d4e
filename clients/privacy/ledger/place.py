"""Where a privacy ledger lies: one for each data owner, or one in a site's or a run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clients.files.user_folder import user_state_folder
from clients.privacy.ledger.ledger import ANCHOR_FILE, LEDGER_FILE, PrivacyLedger


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
    path = path if path is not None else user_state_folder() / "srflm" / "privacy" / LEDGER_FILE
    return LedgerPlace(path, path.with_name(f"{path.stem}{Path(ANCHOR_FILE).suffix}"), witness)
