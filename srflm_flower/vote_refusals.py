"""Why a site does not vote, as the errors that it logs and whose codes it answers."""

from __future__ import annotations

from srflm_flower.errors import MessageRefused
from srflm_flower.quorum import Refusal

MOST_ATTEMPTS_AHEAD = 1000


def require_near(attempt: int, granted: int) -> None:
    """Raise :class:`MessageRefused` for an attempt that no succession of servers leads to."""
    if attempt > max(granted, 0) + MOST_ATTEMPTS_AHEAD:
        raise MessageRefused(
            f"attempt {attempt} after attempt {granted}",
            f"at most {MOST_ATTEMPTS_AHEAD} more",
            "look into the site that sent it",
            MessageRefused.ATTEMPT,
        )


def require_vote(reason: Refusal | None) -> None:
    """Raise :class:`MessageRefused` for a vote that must not be given."""
    if reason == "outvoted":
        raise MessageRefused(
            "an attempt below the one that this site has granted",
            "a higher one",
            "nothing: the next vendor in the ranking serves",
            MessageRefused.ATTEMPT,
        )
    if reason == "forgetful":
        raise MessageRefused(
            "a vote asked of a site that has lost its state",
            "a site that remembers its promises",
            "nothing: it votes again after the next committed term",
            MessageRefused.NO_VOTE,
        )
    if reason == "two-outcomes":
        raise MessageRefused(
            "a second record under one attempt",
            "one outcome an attempt",
            "look into the server that sent both",
            MessageRefused.NO_VOTE,
        )
