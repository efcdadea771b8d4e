"""End a family of processes once the process that started it is gone or done.

``python -m deploy.watchdog TAG FOLDER`` waits until its standard input closes, then ends the
family ``TAG`` and deletes its scratch ``FOLDER``.
"""

from __future__ import annotations

import shutil
import sys

from deploy.processes import end_family


def main() -> None:
    """Wait, end, delete."""
    sys.stdin.buffer.read()
    end_family(sys.argv[1])
    shutil.rmtree(sys.argv[2], ignore_errors=True)


if __name__ == "__main__":
    main()
