"""Rules of the verdict on memory, and of what is counted."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from benchmarks.many_vendors import AtRoundEnd, ManyVendors, small_federation
from benchmarks.measuring.process_memory import MIB, disk_use, own_simulations, resident
from benchmarks.measuring.round_times import RoundEnd


def many_vendors(memory: list[float]) -> ManyVendors:
    rounds = [
        AtRoundEnd(RoundEnd(n, 3.0 * n, 50), each, 5.0) for n, each in enumerate(memory, start=1)
    ]
    return ManyVendors(50, tuple(rounds))


def test_memory_that_fills_up_at_first_does_not_grow() -> None:
    text = many_vendors([500, 900, 1200, 1300, 1310, 1309, 1311, 1310]).as_markdown()
    assert "50 vendors: 3.00 s a round. After round 4 memory does not grow" in text
    assert "| 8 | 3.00 | 1310 | 5.00 |" in text


def test_memory_that_rises_every_round_grows() -> None:
    found = many_vendors([0, 0, 0, 0, 1000, 1005, 1010, 1016, 1020])
    assert "memory grows: slope +5" in found.verdict


def test_resident_memory_is_that_of_the_processes() -> None:
    own = psutil.Process(os.getpid())
    assert 10 * MIB < resident([own]) < 100_000 * MIB
    assert resident([]) == 0


def test_nothing_is_found_where_no_simulation_runs() -> None:
    assert own_simulations() == set()


def test_disk_use_is_the_size_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(bytes(MIB))
    (tmp_path / "two").write_bytes(bytes(MIB // 2))
    assert disk_use(tmp_path) == 1.5


def test_federation_has_as_many_vendors_as_asked() -> None:
    assert len(small_federation(50, 12).roster) == 50
