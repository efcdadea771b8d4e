"""Claims on free ports: who has just chosen some is not met by another before its programs listen.

Programs take seconds until they listen; whoever looks meanwhile finds their ports free.  So a
choice is written down for all processes of this user, as an empty file a port; old ones do not
count.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CLAIM_SECONDS = 300.0


def claim(ports: Sequence[int], folder: Path | None = None) -> bool:
    """Claim all these ports; return False, with none of them claimed, if somebody has one."""
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
    """Make an empty file where there is none, or only an old one."""
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
