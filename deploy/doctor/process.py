"""Examine a site quickly, and keep the result: ``python -P -m deploy.doctor.process SITE``.

The supervisor of a site that is up starts it every day, so that ``srflm status`` tells of a
certificate, a disk, or a clock before anything stops.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from deploy.doctor.examination import examine
from deploy.processes.private import keep_private

NICE: Final = 15
"""The programs of the site come first."""


def main() -> None:
    """Examine the site; the exit code is that of ``srflm doctor``."""
    keep_private()
    os.nice(NICE)
    found = examine(Path(sys.argv[1]), quick=True)
    print(f"{found.time:%Y-%m-%d %H:%M} {found.counted('error')}, {found.counted('warning')}")
    sys.exit(found.exit_code)


if __name__ == "__main__":
    main()
