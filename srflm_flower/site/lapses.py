"""Why a site must not vote for now: it may have forgotten votes, or another site has its name.

A site is *forgetful* if its ledger was lost or put back from a copy.  After each start it is
*unsure*, until it has asked the others whether they remember more of its votes than it does.  It is
*superseded* if they know a site of its vendor that was started later.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from srflm_flower.site.ledger_file import BOOTS, LedgerFile, fact_in, set_fact_in
from strategies.protocol.memory import Memory, lapse

FORGETFUL = "forgetful-through"
ALL_TERMS = "all"
RUN, PLACE, VOTES, STARTING = "run", "place", "votes-given", "starting"
UNSURE, SUPERSEDED, RESTORED = "unsure", "superseded-by", "restored"
PUT_BACK = "put-back"
"""The ledger was put back from a copy: the next starts are ``restored`` ones."""
RECOVERING = "recovering"
"""The term in which the site has promised the others of a recovery to vote no more."""


@dataclass(frozen=True)
class Start:
    """A start of a site: its number, a random name, and ``place``, which is another for a copy."""

    number: int
    run: str
    place: str


class LapsingLedger(LedgerFile):
    """A ledger that knows what its site may have forgotten."""

    def found_anew(self) -> None:
        """Make the file if it is gone; its site has then lost all its votes."""
        self.found({FORGETFUL: ALL_TERMS})

    def begin(self, start: Start, forgetful: bool, restored: bool) -> None:
        """Note a start of the site, which is unsure from now on.

        ``restored`` is the operator's word that it is a copy, and that no other site of the vendor
        runs.
        """
        with self.deciding(starting=True) as db:
            # An operator who copies files may not know that votes are in them.
            if forgetful or restored or not _is_same(fact_in(db, PLACE), start.place):
                set_fact_in(db, FORGETFUL, ALL_TERMS)
            set_fact_in(db, PLACE, start.place)
            # `srflm restore` has heard this word: the operator need not say it again.
            told = restored or fact_in(db, PUT_BACK) is not None
            set_fact_in(db, RESTORED, "yes" if told else None)
            set_fact_in(db, SUPERSEDED, None)
            _note_start(db, start)

    def announce(self, number: int) -> None:
        """Note that the start with this number is about to be noted beside the keys."""
        with self.deciding(starting=True) as db:
            set_fact_in(db, STARTING, str(number))

    def announced(self) -> int | None:
        """Return the number of a start that was announced and not begun."""
        number = self.fact(STARTING)
        return int(number) if number is not None else None

    def begin_again(self, start: Start, newer: Memory) -> None:
        """Note that the site takes the place of the ``newer`` one, whose votes it does not know."""
        with self.deciding(starting=True) as db:
            _forget(db, newer.votes)
            set_fact_in(db, RESTORED, None)
            set_fact_in(db, PUT_BACK, None)
            set_fact_in(db, SUPERSEDED, None)
            _note_start(db, start)

    def check(self, shown: Memory) -> None:
        """Compare the site's own memory with one that it was shown, and note what it has missed.

        ``shown`` is signed by this vendor, and checked.
        """
        with self.reading() as db:
            if lapse(memory_in(db, shown.vendor), shown) is None:
                return
        with self.deciding() as db:
            # Read again under the lock: another process may have voted in between.
            found = lapse(memory_in(db, shown.vendor), shown)
            if found == "newer-site":
                set_fact_in(db, SUPERSEDED, shown.model_dump_json())
            elif found == "votes":
                _forget(db, shown.votes)

    # ---- forgetful -----------------------------------------------------------------------------

    def is_forgetful(self) -> bool:
        """Return whether the terms in which this site may have promised are still unknown."""
        return self.fact(FORGETFUL) == ALL_TERMS

    def remember(self, through: int) -> None:
        """Note that a forgetful site votes again after term ``through``."""
        with self.deciding() as db:
            set_fact_in(db, FORGETFUL, str(through))
            set_fact_in(db, PUT_BACK, None)

    @staticmethod
    def has_forgotten_in(db: sqlite3.Connection, term: int) -> bool:
        """Return whether this site may have promised something in ``term`` and lost it."""
        through = fact_in(db, FORGETFUL)
        return through is not None and (through == ALL_TERMS or term <= int(through))

    # ---- unsure, superseded --------------------------------------------------------------------

    def is_sure(self) -> bool:
        """Return whether nothing that the others remember is unknown to this site."""
        with self.reading() as db:
            unsure = fact_in(db, UNSURE) or fact_in(db, SUPERSEDED)
            return unsure is None and fact_in(db, FORGETFUL) != ALL_TERMS

    def set_sure(self) -> None:
        """Note that a quorum remembers no votes that this site has not."""
        with self.deciding() as db:
            set_fact_in(db, UNSURE, None)
            # Not before: a start that too few answered must not use the operator's word up.
            if fact_in(db, FORGETFUL) != ALL_TERMS:
                set_fact_in(db, PUT_BACK, None)

    def newer_site(self) -> Memory | None:
        """Return the memory of a site of this vendor that was started later, if one is known."""
        found = self.fact(SUPERSEDED)
        return Memory.model_validate_json(found) if found is not None else None

    def may_take_over(self) -> bool:
        """Return whether the operator has said that no other site of this vendor runs."""
        return self.fact(RESTORED) is not None


def is_silent_in(db: sqlite3.Connection, term: int) -> bool:
    """Return whether the site must not vote in ``term``, for any of the four reasons."""
    return (
        LapsingLedger.has_forgotten_in(db, term)
        or fact_in(db, UNSURE) is not None
        or fact_in(db, SUPERSEDED) is not None
        or fact_in(db, RECOVERING) == str(term)
    )


def count_vote_in(db: sqlite3.Connection) -> None:
    """Count one more promise of the site, in the transaction that stores it."""
    set_fact_in(db, VOTES, str(int(fact_in(db, VOTES) or 0) + 1))


def memory_in(db: sqlite3.Connection, vendor: str) -> Memory:
    """Return how much this site of ``vendor`` remembers, unsigned."""
    return Memory(
        vendor=vendor,
        start=int(fact_in(db, BOOTS) or 0),
        run=fact_in(db, RUN) or "",
        votes=int(fact_in(db, VOTES) or 0),
    )


def _note_start(db: sqlite3.Connection, start: Start) -> None:
    set_fact_in(db, BOOTS, str(start.number))
    set_fact_in(db, STARTING, None)
    set_fact_in(db, RUN, start.run)
    set_fact_in(db, UNSURE, "yes")


def _is_same(known: str | None, place: str) -> bool:
    """Return whether a ledger that was at ``known`` can be the one at ``place``: number, birth."""
    if known is None:  # of an older version
        return True
    (inode, born), (inode_now, born_now) = known.split(":"), place.split(":")
    return inode == inode_now and (born == born_now or not born or not born_now)


def _forget(db: sqlite3.Connection, votes: int) -> None:
    set_fact_in(db, FORGETFUL, ALL_TERMS)
    # Otherwise the others would go on showing the votes that this site has lost.
    set_fact_in(db, VOTES, str(max(votes, int(fact_in(db, VOTES) or 0))))
