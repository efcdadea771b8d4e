"""How far a site is: a small file that its edge shows to every member that looks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from clients.files.durable import write_durably

MOST = 2**53


@dataclass(frozen=True)
class Sign:
    """The last committed term of a site, and the number of the run order in force."""

    term: int = 0
    order: int = 0

    def is_ahead_of(self, other: Sign) -> bool:
        """Return whether it has a term or an order that the other lacks."""
        return self.term > other.term or self.order > other.order

    def show(self, file: Path) -> None:
        """Write it for whoever looks; raises :class:`strategies.errors.RunFolderError`."""
        write_durably(file, json.dumps({"term": self.term, "order": self.order}).encode())


def sign_file(run: Path) -> Path:
    """Return the file in a site's folder ``run``."""
    return run / "edge" / "sign.json"


def sign_in(answer: bytes) -> Sign:
    """Return the sign in a peer's answer; a peer may write anything there."""
    try:
        found = json.loads(answer)
        return Sign(min(int(found["term"]), MOST), min(int(found["order"]), MOST))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Sign()
