"""Open an SQLite file; each statement is its own transaction unless BEGIN is called."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal


def connect(
    path: Path, busy_seconds: float, synchronous: Literal["FULL", "EXTRA"]
) -> sqlite3.Connection:
    """Open the database at ``path``, or create an empty one.

    Every statement waits up to ``busy_seconds`` for another process. Raises sqlite3.DatabaseError,
    and leaves no connection open, if the file is not a database.
    """
    # isolation_level=None: otherwise Python opens transactions by itself, at moments of its own.
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        # The first statement reads the file's header, and so notices a file of another kind.
        db.execute(f"PRAGMA synchronous = {synchronous}")
    except sqlite3.Error:
        db.close()
        raise
    return db
