"""Describe the machine of a measurement in one line."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement; ``load`` is its 1-minute load average before the start."""

    cores: int
    cpu: str
    gpu: str | None
    load: float

    def __str__(self) -> str:
        gpu = f", {self.gpu}" if self.gpu else ""
        return (
            f"{self.cores} core{'s' if self.cores != 1 else ''} of {self.cpu}{gpu}; Python"
            f" {platform.python_version()}, torch {torch.__version__}, flwr {version('flwr')};"
            f" load average at the start {self.load:.1f}"
        )


def this_machine() -> Machine:
    """Return the machine that this runs on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return Machine(_cores(), _cpu_model(), gpu, load)


def _cores() -> int:
    """Return the number of cores that this process may use."""
    # In a container cpu_count() is the host's number.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model(info: Path = Path("/proc/cpuinfo")) -> str:
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine() or "an unknown CPU"
