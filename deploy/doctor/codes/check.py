"""A kind of line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stops = Literal["examination", "start", "nothing"]
"""What its error keeps from starting.

``examination``: `srflm up` does not go on from its examination.  ``start``: the start that follows
finds it, too, and refuses with an error of its own.  ``nothing``: the site can run with it, or a
peer must mend it.
"""


@dataclass(frozen=True)
class Check:
    """One kind of line; ``warns`` and ``errs`` say when it is a warning and an error, or never."""

    code: str
    what: str
    warns: str
    errs: str
    mend: str
    stops: Stops = "examination"
