"""Judge disk, memory, GPU and processors by what the agreed network needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deploy.doctor.facts import MachineFacts
from deploy.doctor.lines import error, ok, warning
from deploy.site.diagnosis import Line

MODELS_KEPT: Final = 12
"""Models on the disk at a time: two last terms, open and released one, own, best, updates, and the
temporary files while they are written."""
ROOM: Final = 256 * 2**20
"""Bytes for ledger, message log, and the logs of a run."""
FEW_FILES: Final = 1000
PROGRAMS: Final = 950 * 2**20
"""Bytes of memory that a site's programs take in a run of a small model, however many members."""
ON_DEMAND: Final = 650 * 2**20
"""The part of these, worker and SuperNodes, that a site without a run gives back."""


def machine_lines(facts: MachineFacts) -> Iterator[Line]:
    """Yield the lines about the machine."""
    yield _disk(facts)
    yield _memory(facts)
    yield from _device(facts)
    if facts.threads is not None and facts.threads > facts.cores:
        yield warning("cpu.threads", f"threads = {facts.threads}, on {facts.cores} cores")
    else:
        chosen = "all" if facts.threads is None else str(facts.threads)
        yield ok("cpu.threads", f"{chosen} of {facts.cores} cores")


def _disk(facts: MachineFacts) -> Line:
    needed = MODELS_KEPT * facts.model + ROOM
    found = f"{size(facts.free_disk)} free; a run writes about {size(needed)}"
    if facts.free_disk < needed:
        return error("disk.space", found)
    if facts.free_files is not None and facts.free_files < FEW_FILES:
        return error("disk.space", f"only {facts.free_files} more files fit on the disk")
    return (ok if facts.free_disk >= 3 * needed else warning)("disk.space", found)


def _memory(facts: MachineFacts) -> Line:
    # A site that is up has its programs in memory already, all but those that a run takes again.
    idle = ON_DEMAND if facts.up else PROGRAMS
    on_cpu = facts.needs if facts.device == "cpu" else None
    least = PROGRAMS + (on_cpu.least if on_cpu else 0)
    likely = idle + (on_cpu.likely if on_cpu else 0)
    about = "programs and a training step take" if on_cpu else "the programs take"
    found = (
        f"{size(facts.free_memory)} of {size(facts.memory)} free; {about} about"
        f" {size(max(least, likely))}"
    )
    if facts.memory < least:
        return error("memory.free", found)
    return (ok if facts.free_memory >= likely else warning)("memory.free", found)


def _device(facts: MachineFacts) -> Iterator[Line]:
    if facts.device is None:
        yield error("gpu.present", f'device = "{facts.named}", which this machine does not have')
        return
    yield ok("gpu.present", f'device = "{facts.named}": training takes {facts.device}')
    if facts.gpu is None:
        return
    free, whole = facts.gpu
    if facts.needs is None:
        yield ok("gpu.memory", f"{size(free)} of {size(whole)} free")
        return
    found = (
        f"{size(free)} of {size(whole)} free; a training step takes about"
        f" {size(facts.needs.likely)}, {size(facts.needs.least)} at the least"
    )
    if whole < facts.needs.least:
        yield error("gpu.memory", found)
    else:
        yield (ok if free >= facts.needs.likely else warning)("gpu.memory", found)


def size(count: float) -> str:
    """Return bytes as people read them."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB"
