"""What a launcher does when the roster changes: nothing until its site has been started anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from srflm_flower.site.edition_standing import standing_of
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import Edition

SETTLE_SECONDS: Final = 3.0
"""Answers to the commit that brought the change are still on their way when it is in the ledger."""

Duty = Literal["serve", "sync", "wait", "end"]


@dataclass
class RosterWatch:
    """Tells from the ledger whether a site can go on with the edition with which it runs.

    ``first`` is the federation's first edition, ``own`` the one with which the site was started,
    ``file`` says where the file of another edition is, if the site has it.
    """

    vendor: str
    ledger: TermLedger
    first: Edition
    own: Edition
    file: Callable[[str], Path]
    _since: float | None = None

    def duty(self, now: float, is_busy: bool) -> tuple[Duty, str]:
        """Return what the launcher is to do, and the problem if somebody has to help.

        ``serve``: all as ever.  ``sync``: its ledger has not come to its edition yet.  ``end``: the
        site is to be started anew.  ``wait`` for that, or for the file of the new edition.
        """
        standing = standing_of(self.ledger, self.first, self.own)
        place, deciding = standing.place(self.vendor), standing.editions.last
        if place == "member":
            self._since = None
            return "serve", ""
        if standing.editions.find(self.own.federation) is None:
            return "sync", ""
        if place == "between" and not self.file(deciding.federation).exists():
            return "wait", (
                f"the roster changed with term {standing.editions.last_change}: give this site the"
                f" new federation file ({deciding.federation[:12]}…) by `srflm roster approve`"
            )
        if self._since is None:
            self._since = now
        settled = now - self._since >= SETTLE_SECONDS and not is_busy
        return ("end" if settled else "wait"), ""
