"""End an earlier edge, then start a new one: ``python -P -m deploy.edge.process PREFIX COMMAND …``.

nginx is one process, which ends with its parent. Elsewhere than on Linux it does not, and in older
versions it had a worker that lived on and kept the port. Both are found by their open log files
under the prefix.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from deploy.processes.family import kill_all
from deploy.processes.private import keep_private

WAIT_SECONDS = 5.0
PASSES = 5  # a master that lost its workers starts new ones, so the search is repeated


def end_edge(prefix: Path) -> None:
    """End every nginx process of ``prefix``."""
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
    """End an earlier edge, then become the command."""
    keep_private()
    end_edge(Path(sys.argv[1]))
    # exec keeps the process id, by which the supervisor knows the edge.
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
