"""Which vendors' sites do not answer this one: the launcher's word, as a file for the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from pathlib import Path

from clients.files.durable import write_durably

FRESH_SECONDS = 10.0


def unreached_file(run: Path) -> Path:
    """Return the file in a site's folder ``run``."""
    return run / "unreached.json"


def write_unreached(file: Path, vendors: Collection[str]) -> None:
    """Note ``vendors``; raises :class:`strategies.errors.RunFolderError` on a full disk."""
    write_durably(file, json.dumps(sorted(vendors)).encode())


def read_unreached(file: Path, now: Callable[[], float] = time.time) -> tuple[str, ...]:
    """Return the vendors that have just not answered; none of a launcher that looks no more."""
    try:
        if abs(now() - file.stat().st_mtime) > FRESH_SECONDS:
            return ()
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()
