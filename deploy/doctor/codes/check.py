"""A kind of line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One kind of line.

    ``warns`` and ``errs`` say when it is a warning and an error; empty means never.  ``stops`` is
    whether its error keeps ``srflm up`` from starting: not what the site can run with, or what a
    peer must mend.
    """

    code: str
    what: str
    warns: str
    errs: str
    mend: str
    stops: bool = True
