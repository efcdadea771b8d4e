"""What determines every vendor's data: light, as the launcher reads it without torch or MONAI."""

from __future__ import annotations

from dataclasses import dataclass

from clients.settings import DataSettings, SplitSettings, TaskSettings, VendorSettings


@dataclass(frozen=True)
class DataPlan:
    """All that determines every vendor's data; equal plans give equal data."""

    data: DataSettings
    task: TaskSettings
    vendors: tuple[VendorSettings, ...]
    splits: SplitSettings
    batch_size: int
    seed: int
