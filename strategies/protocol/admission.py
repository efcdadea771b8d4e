"""Decide whether a site obeys a message, by comparing the envelope with the site's own view.  Pure.

A SuperLink can start any run, so a site has to check every message itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from strategies.errors import MessageRefused
from strategies.protocol.messages import Envelope, EvaluateModels
from strategies.protocol.quorum import Refusal, owner


@dataclass(frozen=True)
class View:
    """A site's own view: its federation, the last term in its ledger, and the next term's ranking.

    ``federation`` is the hash of the edition that decides the next term, ``others`` are the hashes
    of the other editions that the site knows.  ``attempt`` is the highest attempt at the next term
    that the site has granted.  ``liars`` are vendors of which it has evidence.
    """

    federation: str
    head_term: int
    ranking: tuple[str, ...]
    attempt: int
    others: frozenset[str] = frozenset()
    liars: frozenset[str] = frozenset()


def check_sender(envelope: Envelope, view: View, sender: str | None = None) -> None:
    """Raise :class:`MessageRefused` for a message of another federation or in a false name.

    ``sender`` is the vendor whose SuperLink delivered the message; None in a simulation.
    """
    if envelope.federation not in {view.federation, *view.others}:
        raise _another_federation()
    # Otherwise any vendor's SuperLink could act as the elected server.
    if sender is not None and envelope.server != sender:
        raise _refused(
            f"a message of {sender!r} in the name of {envelope.server!r}",
            "the sender's own name",
            MessageRefused.SERVER,
        )


def check_envelope(
    envelope: Envelope, view: View, any_term: bool = False, sender: str | None = None
) -> None:
    """Raise :class:`MessageRefused` unless the envelope fits ``view``.

    ``any_term`` also allows terms other than the site's next one: for messages that find a site
    that has missed terms, or that ask it to acknowledge a stored record again.
    """
    check_sender(envelope, view, sender)
    is_next = envelope.term == view.head_term + 1
    # Another known edition is valid only for messages about other terms.
    if envelope.federation != view.federation and (is_next or not any_term):
        raise _another_federation()
    if not is_next:
        if any_term:
            return
        raise _refused(f"term {envelope.term}", f"term {view.head_term + 1}", MessageRefused.TERM)
    if envelope.attempt < max(view.attempt, 0):
        raise _refused(
            f"attempt {envelope.attempt}", f"{view.attempt} or higher", MessageRefused.ATTEMPT
        )
    expected = owner(envelope.attempt, view.ranking)
    if envelope.server != expected:
        raise _refused(f"server {envelope.server!r}", f"{expected!r}", MessageRefused.SERVER)
    if envelope.server in view.liars:
        raise MessageRefused(
            f"server {envelope.server!r}, of which this site has evidence that it lies",
            "a server whose signatures do not contradict each other",
            "nothing here: others serve; see `srflm status`, and change the roster",
            MessageRefused.LIAR,
        )


def _another_federation() -> MessageRefused:
    return _refused(
        "another federation's hash", "this site's federation", MessageRefused.FEDERATION
    )


def _refused(found: str, expected: str, code: str) -> MessageRefused:
    return MessageRefused(
        found, expected, "give every site the same federation file and let it catch up", code
    )


def check_names(evaluation: EvaluateModels, roster: Collection[str]) -> None:
    """Raise :class:`MessageRefused` unless the names of the models are those that a term uses.

    These are ``averaged`` and ``finetuned`` in a term; after the last one, ``global`` on the test
    data, or the vendors of ``roster`` on the validation data.
    """
    if evaluation.split == "test":
        allowed = {"global"}
    else:
        allowed = {"averaged", "finetuned"} if evaluation.select else {*roster}
    # Each name gets an answer with noise of its own: with names at will a server would get as many
    # answers about one model as it likes for one use of the budget.
    if not evaluation.models.keys() <= allowed:
        raise MessageRefused(
            f"an evaluation of {len(evaluation.models)} models under other names",
            f"at most these: {', '.join(sorted(allowed))}",
            "look into the server that sent it",
            MessageRefused.NAMES,
        )


# A promise cannot be withdrawn: without a bound, one huge attempt would block all lower ones.  But
# a site that was away must not refuse for good what the others have reached in the meantime.
ATTEMPTS_A_MESSAGE = 10**6
"""How much higher a site's promise rises with one message at most; the next one continues there."""

MAX_ORDERS_AHEAD = 1000
"""How far above the known orders' numbers a site follows one: else one order blocks all others."""


def require_near_order(number: int, known: int) -> None:
    """Raise :class:`MessageRefused` for a run order too far above the highest ``known`` number."""
    if number > known + MAX_ORDERS_AHEAD:
        raise MessageRefused(
            f"run order {number} after run order {known}",
            f"at most {MAX_ORDERS_AHEAD} more",
            "restart this site, so that it asks the others; else look into the site that ordered",
            MessageRefused.NO_ORDER,
        )


def promised(attempt: int, granted: int) -> int:
    """Return the attempt that a site promises when it is asked to obey ``attempt``."""
    return min(attempt, max(granted, 0) + ATTEMPTS_A_MESSAGE)


def require_near(attempt: int, promise: int) -> None:
    """Raise :class:`MessageRefused` for an attempt that the site's ``promise`` does not reach."""
    if attempt > promise:
        raise MessageRefused(
            f"attempt {attempt}, far above the one before",
            f"at most {promise} for now",
            "nothing: this site promises more when it is asked again",
            MessageRefused.ATTEMPT,
        )


def require_own_edition(own: str, view: View) -> None:
    """Check that the edition ``own``, with which the site runs, decides the next term."""
    if own != view.federation:
        raise MessageRefused(
            "a term of another edition than this site runs with",
            "the edition of its federation file",
            "see `srflm status`: it switches by itself once it has the new file",
            MessageRefused.FEDERATION,
        )


def require_vote(reason: Refusal | None) -> None:
    """Raise :class:`MessageRefused` if there is a ``reason`` to refuse the vote."""
    if reason == "outvoted":
        raise MessageRefused(
            "an attempt below the one that this site has granted",
            "a higher one",
            "nothing: the next vendor in the ranking serves",
            MessageRefused.ATTEMPT,
        )
    if reason == "forgetful":
        raise MessageRefused(
            "a vote asked of a site that may have forgotten some",
            "a site that has asked the others since its start, and remembers its votes",
            "nothing: `srflm status` there says what it waits for",
            MessageRefused.NO_VOTE,
        )
    if reason == "two-outcomes":
        raise MessageRefused(
            "a second record under one attempt",
            "one outcome an attempt",
            "look into the server that sent both",
            MessageRefused.NO_VOTE,
        )
