"""Keep what pydicom and nibabel say to themselves: their warnings and logs quote the file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGS = ("pydicom", "highdicom", "nibabel")
"""The parents of all loggers of these packages."""


@contextmanager
def quiet(*others: str) -> Iterator[None]:
    """Let no warning, and no log record of pydicom, highdicom, or nibabel, out of the block.

    Nor of the ``others``, names of loggers.  Filters of warnings belong to the whole process, so a
    block in which several threads read files is itself within one of the main thread.
    """
    # An invalid birth date, for example, is quoted in full: "Invalid value for VR DA: '…'".
    logs = [logging.getLogger(name) for name in (*_LOGS, *others)]
    before = [log.propagate for log in logs]
    # nibabel prints on its own; and without any handler, logging prints in an emergency.
    printing = logging.getLogger("nibabel.global")
    was_disabled, printing.disabled = printing.disabled, True
    nothing = logging.NullHandler()
    for log in logs:
        log.propagate = False
        log.addHandler(nothing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        printing.disabled = was_disabled
        for log, propagate in zip(logs, before, strict=True):
            log.propagate = propagate
            log.removeHandler(nothing)
