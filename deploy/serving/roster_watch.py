"""The launcher's duty when the roster changes: start no term until its site has restarted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from srflm_flower.site.edition_standing import standing_of
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import Edition

# When a change is in the ledger, answers to its commit are still on their way.
SETTLE_SECONDS: Final = 3.0

Duty = Literal["serve", "sync", "wait", "end"]


@dataclass
class RosterWatch:
    """Tells from the ledger whether a site can continue with its current edition.

    ``first`` is the federation's first edition, ``own`` the edition of the site's last start.
    ``file`` returns the path for another edition's file, even if the site does not have it.
    """

    vendor: str
    ledger: TermLedger
    first: Edition
    own: Edition
    file: Callable[[str], Path]
    _since: float | None = None

    def duty(self, now: float, is_busy: bool) -> tuple[Duty, str]:
        """Return the launcher's duty, and a problem that a person must solve, or "".

        ``serve``: work as usual. ``sync``: the ledger has not reached the site's edition yet.
        ``end``: the site must restart. ``wait``: it must restart soon, or it lacks the file of the
        new edition.
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
