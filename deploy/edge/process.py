"""Start an edge where an earlier one may still live: ``python -P -m deploy.edge.process PREFIX …``.

When nginx's master is killed its workers live on with the port, without a name of their own and
with nobody to end them.  They are known by their logs under the prefix.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from deploy.processes.family import kill_all
from deploy.processes.private import keep_private

WAIT_SECONDS = 5.0
PASSES = 5
"""A master that loses its workers starts new ones: what is found is ended until nothing is."""


def end_edge(prefix: Path) -> None:
    """End every nginx of ``prefix``."""
    for _ in range(PASSES):
        left = [each for each in psutil.process_iter(["name"]) if _is_of(each, prefix)]
        if not left:
            return
        kill_all(left, WAIT_SECONDS)


def _is_of(process: psutil.Process, prefix: Path) -> bool:
    try:
        if process.name() != "nginx" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        start = f"{prefix.absolute()}/"
        return any(file.path.startswith(start) for file in process.open_files())
    except (psutil.Error, OSError):
        return False


def main() -> None:
    """End what is left, then become the command."""
    keep_private()
    end_edge(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
