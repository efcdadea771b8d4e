"""What a site checks before it trains: the work is the agreed plan's, whatever the server asks.

Any member becomes the server, so a site must not train in rounds or from models of the server's
choice: each training costs time, and privacy budget that never comes back.  Pure.
"""

from __future__ import annotations

from strategies.errors import MessageRefused
from strategies.protocol.messages import Train
from strategies.protocol.records import TermRecord
from strategies.secure_aggregation.messages import SecureRequest
from strategies.term.plan import TermPlan


def rounds_of_next_term(head: TermRecord | None, plan: TermPlan) -> range:
    """Return the SRFLM rounds (counted from 1) of the term that follows ``head``."""
    first = (head.round if head is not None else 0) + 1
    return range(first, first + plan.rounds_per_term)


def check_round(work: Train, head: TermRecord | None, plan: TermPlan) -> None:
    """Check that work belongs to a round of the term that follows ``head``.

    Raises :class:`MessageRefused`.
    """
    rounds = rounds_of_next_term(head, plan)
    if work.round not in rounds:
        raise _refused(f"work in round {work.round}", f"a round of {rounds[0]} to {rounds[-1]}")


def check_start(work: Train, head: TermRecord | None, genesis: str, plan: TermPlan) -> None:
    """Check that a client starts the term's first round from the model of ``head``.

    ``genesis`` is the hash of the initial model.  Raises :class:`MessageRefused`.
    """
    start = head.model if head is not None else genesis
    # Later rounds start from a model that only the term's server knows.
    if work.round == rounds_of_next_term(head, plan)[0] and work.model != start:
        raise _refused(f"training from the model {work.model[:12]}…", f"the head's, {start[:12]}…")


def check_counted_in(work: Train, in_steps: bool) -> None:
    """Check that only a plan which counts work ``in_steps`` is given a number of steps.

    Raises :class:`MessageRefused`.
    """
    if work.steps is not None and not in_steps:
        raise _refused(f"work of {work.steps} gradient steps", "the epochs of the agreed plan")


def check_summed(secure: bool) -> None:
    """Check that the plan sums updates securely; raises :class:`MessageRefused`."""
    if not secure:
        raise _refused("a secure sum", "updates one by one, as in the agreed plan")


def not_trained(asked: SecureRequest) -> MessageRefused:
    """Return the error for a sum of an update that the site does not have."""
    return _refused(
        f"a secure sum of updates of round {asked.round} from the model {asked.model[:12]}…",
        "one of an update that this site has made",
    )


def second_training() -> MessageRefused:
    """Return the error for a server that asks for another training in one round."""
    return _refused("a second training in one round, from another model", "one a round and server")


def _refused(found: str, expected: str) -> MessageRefused:
    return MessageRefused(
        found,
        expected,
        "give every site the same federation file and version; otherwise look into the server",
        MessageRefused.PLAN,
    )
