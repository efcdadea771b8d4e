"""Two signed votes of one vendor that no honest site gives: evidence that it lies.  Pure rules.

A site keeps its votes before it answers, so it accepts at most one record under an attempt, and a
grant names what it has accepted under the highest attempt below.  Whoever breaks one of the two
leaves two signatures that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from strategies.protocol.quorum import Accepted


@dataclass(frozen=True)
class SignedVote:
    """A vendor's vote in one term.

    ``granted`` is the attempt of a grant, and None in an acceptance; ``accepted`` is what it says
    that it has accepted, if anything.
    """

    vendor: str
    granted: int | None
    accepted: Accepted | None


def contradict(one: SignedVote, other: SignedVote) -> bool:
    """Return whether one site that remembers its votes cannot have given both in one term."""
    if one.vendor != other.vendor:
        return False
    if one.accepted and other.accepted and one.accepted.attempt == other.accepted.attempt:
        return one.accepted.record != other.accepted.record
    return _forgets(one, other.accepted) or _forgets(other, one.accepted)


def _forgets(grant: SignedVote, accepted: Accepted | None) -> bool:
    """Return whether a grant promises what forbids ``accepted``, and does not name it."""
    # After the grant the site accepts nothing below its attempt, so it had accepted that before.
    # Under the attempt itself it may accept afterwards, and grant the same attempt once more.
    if grant.granted is None or accepted is None or accepted.attempt >= grant.granted:
        return False
    return grant.accepted is None or grant.accepted.attempt < accepted.attempt


def liars(votes: Iterable[SignedVote]) -> set[str]:
    """Return the vendors of whom two votes in one term contradict each other."""
    return {one.vendor for one, other in combinations(votes, 2) if contradict(one, other)}
