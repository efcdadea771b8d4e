"""Sleep in Python programs under libfaketime 0.9.10: it breaks the call that ``time.sleep`` uses.

Python imports this by itself at each start, as the folder is in ``PYTHONPATH``
(:mod:`benchmarks.faults.clock`).
"""

import select
import time


def sleep(seconds: float) -> None:
    """Wait for some seconds."""
    # libfaketime fails clock_nanosleep() on the monotonic clock that it was told to leave alone.
    select.select((), (), (), seconds)


time.sleep = sleep
