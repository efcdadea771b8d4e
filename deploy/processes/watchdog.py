"""End a family of processes once the process that started it is gone or done.

``python -P -m deploy.processes.watchdog TAG FOLDER LOG`` waits until its standard input closes,
then ends the family ``TAG`` and deletes its scratch ``FOLDER``.
"""

from __future__ import annotations

import shutil
import sys

from deploy.processes.family import end_family
from deploy.processes.private import keep_private


def main() -> None:
    """Wait, end, delete."""
    keep_private()
    # LOG is not used: it tells a reader of the list of processes whose watchdog this is.
    sys.stdin.buffer.read()
    end_family(sys.argv[1])
    shutil.rmtree(sys.argv[2], ignore_errors=True)


if __name__ == "__main__":
    main()
