"""The settings that determine every vendor's data."""

# Without torch or MONAI, which take seconds to import: the launcher imports this file.

from __future__ import annotations

from dataclasses import dataclass

from clients.settings import DataSettings, SplitSettings, VendorSettings
from clients.tasks.settings import TaskSettings


@dataclass(frozen=True)
class DataPlan:
    """All settings that determine the vendors' data; equal plans give equal data."""

    data: DataSettings
    task: TaskSettings
    vendors: tuple[VendorSettings, ...]
    splits: SplitSettings
    batch_size: int
    seed: int
