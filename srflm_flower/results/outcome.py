"""How a run has really ended, in one sentence: terms done of those planned, and who missed which.

It comes first in a report and on a model card, whatever the figures are.  Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from srflm_flower.federation.federation import Federation
from srflm_flower.results.spans import terms
from strategies.election import ranking_after
from strategies.protocol.records import TermRecord
from strategies.protocol.roster_change import Editions


class Outcome(NamedTuple):
    """A run's end: terms ``done`` of those ``planned``, and the terms that each vendor missed.

    ``rounds`` are those done in these terms; ``stood_in`` are the terms in which another vendor
    stood in for the elected server.
    """

    done: int
    planned: int
    rounds: int
    missed: dict[str, tuple[int, ...]]
    stood_in: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether all planned terms are done and nobody missed any."""
        return self.done >= self.planned and not self.missed

    @property
    def sentence(self) -> str:
        """The outcome in words: ``19 of 20 terms; borealis missed terms 8 and 9``."""
        noun = "term" if self.planned == 1 else "terms"
        extra = f" ({self.rounds} rounds)" if self.rounds != self.done else ""
        parts = [f"{self.done} of {self.planned} {noun}{extra}"]
        parts += [f"{vendor} missed {terms(numbers)}" for vendor, numbers in self.missed.items()]
        if self.stood_in:
            parts.append(
                f"another vendor stood in for the elected server in {terms(self.stood_in)}"
            )
        return "; ".join(parts)


def outcome_of(federation: Federation, records: Sequence[TermRecord]) -> Outcome:
    """Return the outcome of a run whose plan is ``federation.run.rounds``."""
    rounds = records[-1].round if records else 0
    ahead = max(0, federation.run.rounds - rounds)
    # Terms of a run that was resumed may be shorter than the plan: count those that are done.
    planned = len(records) + math.ceil(ahead / federation.rounds_per_term)
    missed = {vendor: terms_missed(federation, records, vendor) for vendor in federation.roster}
    elected = elected_in(federation, records)
    return Outcome(
        len(records),
        planned,
        rounds,
        {vendor: numbers for vendor, numbers in missed.items() if numbers},
        tuple(record.term for record in records if record.server != elected[record.term]),
    )


def elected_in(federation: Federation, records: Sequence[TermRecord]) -> dict[int, str]:
    """Return the vendor that was elected for each term; another may have stood in for it.

    Of a vendor that was silent as the server no record says anything but the ranking before.
    """
    first, editions = federation.first_ranking, Editions(federation.first_edition)
    elected, head = dict[int, str](), None
    for record in records:
        editions = editions.recovered_by(record)
        ranking = ranking_after(head, first, editions.at(record.term).roster)
        # Attempt 0 belongs to the elected vendor, whatever a record made by hand says before it.
        elected[record.term] = record.server if record.attempt == 0 else ranking[0]
        editions, head = editions.after(record), record
    return elected


def terms_missed(
    federation: Federation, records: Sequence[TermRecord], vendor: str
) -> tuple[int, ...]:
    """Return the terms in which a vendor was a member and has sent no usable answer."""
    editions = Editions(federation.first_edition)
    for record in records:
        editions = editions.after(record)
    return tuple(
        r.term
        for r in records
        # A vendor cannot miss a term before it joined or after it left.
        if vendor in editions.at(r.term).roster and vendor not in r.ballots
    )
