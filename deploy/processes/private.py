"""Keep what a site writes from the other users of its machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIVATE = 0o077
"""The umask with which new folders are 0700 and new files 0600."""


def keep_private() -> None:
    """Let everything that this process and its children make be for its user alone."""
    os.umask(PRIVATE)


@contextmanager
def private_files() -> Iterator[None]:
    """Do the same within a block, or in a function that this decorates.

    For commands that write into a site's folder.  Files that are made for other people (a
    membership, an export, a run's report) are written outside the block, with the user's umask.
    """
    before = os.umask(PRIVATE)
    try:
        yield
    finally:
        os.umask(before)


def make_private(folder: Path) -> None:
    """Take all rights of others from ``folder`` and all in it; leave those of the owner."""
    folder = folder.resolve()  # the operator may have put a link in its place
    for path in (folder, *folder.rglob("*")):
        with suppress(OSError):  # gone by now, or another user's: it is theirs to close
            mode = path.lstat().st_mode
            # A link has no rights of its own, and its target may be no business of this site.
            if not stat.S_ISLNK(mode) and mode & PRIVATE:
                path.chmod(stat.S_IMODE(mode) & ~PRIVATE)
