"""How long a test waits: a bound against hanging for ever, never a measurement of speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# A machine with eight times the load must be able to keep it.
PATIENCE_SECONDS: Final = 1200.0


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> bool:
    """Return whether ``condition`` becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait; fail with ``what`` when the condition does not come true."""
    assert wait_for(condition, seconds), what
