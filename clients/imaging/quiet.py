"""Keep what pydicom says to itself: its warnings and its log quote values of the file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Let no warning and no log record of pydicom out of the block."""
    # An invalid birth date, for example, is quoted in full: "Invalid value for VR DA: '…'".
    log = logging.getLogger("pydicom")  # the parent of all its loggers
    before = log.propagate
    log.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.propagate = before
