"""A connection to an SQLite file in which every step is a transaction of its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal


def connect(
    path: Path, busy_seconds: float, synchronous: Literal["FULL", "EXTRA"]
) -> sqlite3.Connection:
    """Open the database, or make an empty one, and wait ``busy_seconds`` for another process.

    Raises sqlite3.DatabaseError for a file that is no database; then nothing stays open.
    """
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        db.execute(f"PRAGMA synchronous = {synchronous}")  # the first look into the file
    except sqlite3.Error:
        db.close()
        raise
    return db
