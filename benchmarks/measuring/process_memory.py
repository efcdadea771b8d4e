"""Measure the memory of a simulation's processes, and the disk use of its folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

from deploy.processes.family import TAG, family

MIB = 2**20


def own_simulations() -> set[str]:
    """Return the tags of the process families that this process has started."""
    tags = set()
    for child in psutil.Process().children():
        try:
            tag = child.environ().get(TAG)
        except psutil.Error:  # it has ended meanwhile
            continue
        if tag:
            tags.add(tag)
    return tags


def simulation_memory() -> float:
    """Return the resident memory (MiB) of all simulations started by this process."""
    members = set[psutil.Process]().union(*(family(tag) for tag in own_simulations()))
    return resident(members) / MIB


def resident(processes: Iterable[psutil.Process]) -> int:
    """Return the resident bytes of the processes; ended ones count as 0."""
    total = 0
    for process in processes:
        try:
            memory = process.memory_full_info()
        except psutil.Error:  # it has ended meanwhile
            continue
        # PSS, which Linux has, counts a page shared by n processes as 1/n in each of them.
        total += getattr(memory, "pss", memory.rss)
    return total


def disk_use(folder: Path) -> float:
    """Return the size (MiB) of the files in a folder; files that vanish meanwhile count as 0."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue
    return total / MIB
