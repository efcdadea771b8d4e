"""Claims on free ports among all processes of a user: no two sites choose the same ones.

A claim is an empty file for each port; it holds for ``CLAIM_SECONDS``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CLAIM_SECONDS = 300.0


def claim(ports: Sequence[int], folder: Path | None = None) -> bool:
    """Claim all these ports; return False and claim none if one is claimed already."""
    # A program takes seconds until it listens, and its port looks free until then.
    place = folder if folder is not None else _shared_folder()
    made: list[Path] = []
    for port in ports:
        path = place / str(port)
        if not _make(path):
            for each in made:
                each.unlink(missing_ok=True)
            return False
        made.append(path)
    return True


def _make(path: Path) -> bool:
    """Make an empty file in place of an old one; return False if there is a recent one."""
    try:
        if time.time() - path.stat().st_mtime > CLAIM_SECONDS:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _shared_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"srflm-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
