"""Whether a site obeys a message: a pure comparison of the envelope with the site's own view.

A SuperLink can start any run; a site need not obey it.
"""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.errors import MessageRefused
from srflm_flower.messages import Envelope


@dataclass(frozen=True)
class View:
    """What a site knows: its federation, the last term in its ledger, who may serve the next.

    ``attempt`` is the highest attempt at the next term that it has seen.
    """

    federation: str
    head_term: int
    ranking: tuple[str, ...]
    attempt: int


def check_envelope(envelope: Envelope, view: View, any_term: bool = False) -> None:
    """Raise :class:`MessageRefused` unless the envelope fits ``view``.

    ``any_term`` allows other terms than the site's next one: for the messages by which a site that
    has missed terms is found and brought up to date, or a stored record is acknowledged again.
    """
    if envelope.federation != view.federation:
        raise _refused(
            "another federation's hash", "this site's federation", MessageRefused.FEDERATION
        )
    if envelope.term != view.head_term + 1:
        if any_term:
            return
        raise _refused(f"term {envelope.term}", f"term {view.head_term + 1}", MessageRefused.TERM)
    if envelope.attempt < view.attempt:
        raise _refused(
            f"attempt {envelope.attempt}", f"{view.attempt} or higher", MessageRefused.ATTEMPT
        )
    owner = view.ranking[envelope.attempt % len(view.ranking)]
    if envelope.server != owner:
        raise _refused(f"server {envelope.server!r}", f"{owner!r}", MessageRefused.SERVER)


def _refused(found: str, expected: str, code: str) -> MessageRefused:
    return MessageRefused(
        found, expected, "give every site the same federation file and let it catch up", code
    )
