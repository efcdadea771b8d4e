"""The last problem of a site: what its programs have noted, and whether it is past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deploy.site.problems import problems_in
from strategies.protocol import messages as wire

Event = Mapping[str, Any]
ONCE_MORE: Final = ((60.0, "s", 1.0), (3600.0, "min", 60.0), (172_800.0, "h", 3600.0))


@dataclass(frozen=True)
class Problem:
    """A problem at ``time`` (seconds since 1970); ``past`` if a term was committed after it."""

    time: float
    text: str
    past: bool

    def told(self, now: float) -> str:
        """Return how long ago it was, when, and what."""
        date = f"{datetime.fromtimestamp(self.time):%Y-%m-%d %H:%M:%S}"
        return f"{ago(now - self.time)} ({date}): {self.text}"


def last_problem(events: Iterable[Event], audit: Iterable[Event]) -> Problem | None:
    """Return the latest problem in the programs' ``events`` and the log of messages.

    A problem before the last commit that this site has stored is past: the federation, this site in
    it, has gone on.
    """
    log = [each for each in audit if "time" in each]
    found = [*problems_in(events), *_of_messages(log)]
    if not found:
        return None
    time, text = max(found, key=lambda each: each[0])
    done = (each for each in log if each.get("outcome") == "done")
    committed = [float(each["time"]) for each in done if each.get("type") == wire.COMMIT]
    return Problem(time, text, past=time < max(committed, default=0.0))


def ago(seconds: float) -> str:
    """Return a time span in the largest unit that leaves a number of two digits or so."""
    for limit, unit, size in ONCE_MORE:
        if seconds < limit:
            return f"{max(0.0, seconds) // size:.0f} {unit} ago"
    return f"{seconds // 86_400:.0f} days ago"


def _of_messages(log: Iterable[Event]) -> Iterator[tuple[float, str]]:
    for each in log:
        if each.get("outcome") != "done":
            text = f"refused {each.get('type')} of {each.get('vendor')}: {each.get('outcome')}"
            yield float(each["time"]), text
