from __future__ import annotations

from pathlib import Path

import pytest

from deploy.processes.bell import Bell


def test_bell_that_was_never_rung_is_silent(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bell")
    assert bell.last_rung() == 0.0
    assert not bell.rung_since(bell.last_rung())


def test_every_ring_is_heard_by_every_listener(tmp_path: Path) -> None:
    ringer, listener = Bell(tmp_path / "bell"), Bell(tmp_path / "bell")
    for _ in range(50):  # also rings that follow each other at once
        heard = listener.last_rung()
        ringer.ring()
        assert listener.rung_since(heard)
    assert not listener.rung_since(listener.last_rung())


def test_ring_is_heard_although_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = Bell(tmp_path / "bell")
    bell.ring()
    heard = bell.last_rung()
    monkeypatch.setattr("deploy.processes.bell.time.time_ns", lambda: int((heard - 3600) * 1e9))
    bell.ring()
    assert bell.rung_since(heard)


def test_bell_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Bell(tmp_path / "none" / "bell").ring()
