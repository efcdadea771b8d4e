"""Become a program that ends when the process that started it has ended.

``python -P -m deploy.processes.mortal PARENT COMMAND …``, with the process id of the parent.  The
kernel sees to the end, so it comes even when supervisor and watchdog were killed at once
(PR_SET_PDEATHSIG, on Linux; elsewhere the watchdog alone does it).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from deploy.processes.private import keep_private

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Let the kernel ask this process to end when ``parent`` ends; it may have ended already.

    The wish outlasts an exec, but no fork.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Tie this process to its parent, then become the command; the process id stays."""
    keep_private()
    if not sys.argv[1].isdigit():
        sys.exit(f"found {sys.argv[1]!r}; expected the process id of the parent")
    die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
