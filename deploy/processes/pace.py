"""The wait between two requests: it grows with the time since the last activity."""

from __future__ import annotations

import time
from collections.abc import Callable

MIN_SECONDS = 0.2
MAX_SECONDS = 3.0
SHARE = 10
STEP_SECONDS = 0.05


def pause(since_activity: float, least: float = MIN_SECONDS, most: float = MAX_SECONDS) -> float:
    """Return the seconds to wait: a tenth of the time since the last message or ring.

    A ``since_activity`` below zero, after a clock was set back, counts as zero.
    """
    # While a term runs, messages follow each other closely and every tenth of a second counts;
    # between terms, asking so often would only waste CPU time.
    return min(max(since_activity / SHARE, least), most)


def rest(
    seconds: float, woken: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Sleep for ``seconds`` in small steps, or until ``woken``; return whether it was woken."""
    left = seconds
    while left > 0:
        if woken():
            return True
        sleep(min(STEP_SECONDS, left))
        left -= STEP_SECONDS
    return woken()
