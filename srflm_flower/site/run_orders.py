"""The run orders that a site follows: of vendors that it obeys, each with a new number."""

from __future__ import annotations

from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.ledger import TermLedger
from strategies.errors import MessageRefused
from strategies.protocol.admission import require_near_order
from strategies.protocol.records import RunOrder
from strategies.protocol.signatures import Keys, check_order

AGAIN = "give the order again: it gets the next number"


def hear_order(
    order: RunOrder,
    told: int,
    ledger: TermLedger,
    standing: Standing,
    keys: Keys,
    obeys: tuple[str, ...] | None,
) -> RunOrder:
    """Store ``order`` if it is newer than the one in force; return the one in force.

    ``told`` is the highest number that a quorum tells, ``obeys`` are the vendors whose orders the
    site follows.  Raises :class:`MessageRefused`.
    """
    edition = standing.find(order.federation)
    # By default a site follows all members of the edition that the order names.
    obeys = obeys or (edition.roster if edition is not None else ())
    if edition is None or order.vendor not in obeys:
        raise _refused(
            f"a run order of {order.vendor!r}",
            f"one of {', '.join(obeys)} for this federation",
            "ask this site to allow it (runs-from in its site.toml)",
        )
    check_order(order, keys.at(edition))
    known = ledger.order()
    require_near_order(order.number, max(told, known.number if known is not None else 0))
    held = ledger.keep_order(order)
    if held.number == order.number and held != order:
        raise _refused(
            f"a second run order with the number {order.number}",
            f"the one of {held.vendor}: of two with one number the first name's holds",
            AGAIN,
        )
    return held


def require_in_force(order: RunOrder, held: RunOrder) -> None:
    """Raise :class:`MessageRefused` if the site follows ``held``, a newer one, instead."""
    if held.number > order.number:
        raise _refused(
            f"run order {order.number} after run order {held.number} of {held.vendor}",
            "an order with a higher number",
            AGAIN,
        )


def require_open_order(ledger: TermLedger) -> None:
    """Raise :class:`MessageRefused` unless a run order asks for the next term."""
    if ledger.open_order() is None:
        raise _refused(
            "the opening of a term that no run order asks for",
            "an order of a vendor that this site obeys, not fulfilled yet",
            "order a run: `srflm run`",
        )


def _refused(found: str, expected: str, mend: str) -> MessageRefused:
    return MessageRefused(found, expected, mend, MessageRefused.NO_ORDER)
