"""After a site was restored, its records are spent again from no budget that was spent before.

The rule: a restored site trains with differential privacy only if the operator says that its
owner's privacy ledger has stayed as it was, and that ledger knows all that the archive's did.
In every other case the site refuses to train until ``srflm privacy retire`` gives the data up.
"""

from __future__ import annotations

from clients.privacy.ledger.anchor import (
    Anchor,
    read_anchor,
    unreachable_anchor,
    write_anchor,
)
from clients.privacy.ledger.place import LedgerPlace
from deploy.operating.archive import PrivacyHead
from strategies.errors import ConfigurationError, PrivacyError


def check_ledger(place: LedgerPlace, known: PrivacyHead | None, kept: bool | None) -> Anchor | None:
    """Return what the restored site is to hold of the privacy ledger at ``place``.

    ``known`` is the head of the ledger when the archive was written; ``kept`` is the operator's
    word that the ledger has stayed as it was (missing, if nothing was ever spent), or is a copy.
    None stands for: leave the site's anchor as it is.

    Raises :class:`ConfigurationError` without a word about a ledger that is there, and
    :class:`PrivacyError` for one that cannot have stayed.
    """
    there = place.path.exists()
    if there and kept is None:
        raise ConfigurationError(
            f"a privacy ledger at {place.path}: the archive cannot tell whether it is the newest",
            "--ledger-kept or --ledger-copied",
            "say --ledger-kept if that file was never put back from a copy, so that it knows all"
            " uses; else --ledger-copied: the site then refuses to train with privacy until"
            " `srflm privacy retire` gives up its data",
        )
    if not kept:
        own = read_anchor(place.witness or place.anchor)
        # One with rows refuses every new ledger already, and knows the true one again.
        known_here = own is not None and own.rows > 0
        return None if known_here and not there else unreachable_anchor()
    books = place.open().books()  # raises for one that the site's own anchor knows to be older
    if known is not None and not any(known.head in rows for rows in books.adopted.values()):
        raise PrivacyError(
            f"{place.path} with {len(books.rows)} rows, which does not have row {known.rows} of the"
            " time of the archive: an older copy, or another ledger",
            "the newest ledger",
            "put that file back if it was only moved; else say --ledger-copied",
            PrivacyError.LEDGER_ROLLED_BACK,
        )
    return read_anchor(place.anchor) if place.witness is not None else None


def hold(place: LedgerPlace, anchor: Anchor) -> None:
    """Let the restored site hold ``anchor`` of the privacy ledger at ``place``."""
    write_anchor(place.witness or place.anchor, anchor)
