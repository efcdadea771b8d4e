"""Slow links: the sites have a loopback device of their own, and Linux delays what passes it.

Only a privileged user may have one.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
# The wanted one, and one for kernels without netem.
QUEUES = {
    "links slow and lossy": "netem delay 40ms 20ms loss 2%",
    "links slow": "tbf rate 4mbit burst 128kb latency 400ms",
}


@contextmanager
def own_loopback() -> Iterator[bool]:
    """Give this thread's new processes a loopback device alone; yield whether that is possible."""
    # Of this thread only: the other ones, and other users' programs, keep their network.
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(NEW_NETWORK) != 0:
            yield False
            return
        try:
            yield _ran("ip link set lo up")
        finally:
            libc.setns(before, NEW_NETWORK)
    finally:
        os.close(before)


def slow_down(seconds: float) -> str | None:
    """Make all links slow for some seconds; return how, or None where the kernel cannot do it.

    The caller is within :func:`own_loopback`.
    """
    for name, queue in QUEUES.items():
        if _ran(f"tc qdisc replace dev lo root {queue}"):
            try:
                time.sleep(seconds)
            finally:
                _ran("tc qdisc del dev lo root")
            return name
    return None


def _ran(command: str) -> bool:
    try:
        return subprocess.run(command.split(), capture_output=True, check=False).returncode == 0
    except OSError:
        return False
