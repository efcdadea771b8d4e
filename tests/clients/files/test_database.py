"""Rules of the connection to an SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psutil
import pytest

from clients.files.database import connect


def test_missing_file_is_made_and_every_step_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    db, other = connect(path, 1.0, "FULL"), connect(path, 1.0, "FULL")
    db.execute("CREATE TABLE rows (number)")
    assert other.execute("SELECT count(*) FROM rows").fetchone() == (0,)
    db.close()
    other.close()


@pytest.mark.parametrize(("name", "number"), [("FULL", 2), ("EXTRA", 3)])
def test_writes_reach_the_disk_as_wanted(tmp_path: Path, name: str, number: int) -> None:
    db = connect(tmp_path / "file.sqlite", 1.0, name)  # type: ignore[arg-type]
    assert db.execute("PRAGMA synchronous").fetchone() == (number,)
    db.close()


def test_file_that_is_no_database_is_refused_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as refusal:
        connect(path, 1.0, "FULL")
    opened = {file.path for file in psutil.Process().open_files()}
    assert str(path) not in opened, refusal
