"""The units of protection, records or patients, and their packing into physical batches.

A unit's views are its records, each in some augmented copies. Its gradient is the mean over the
views, clipped once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from clients.data.records import Records
from clients.privacy.settings import Unit


@dataclass(frozen=True)
class Units:
    """The units of a data set; ``members`` has the records of each unit, int64 (count,)."""

    members: Sequence[torch.Tensor]
    copies: int = 1

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def single(self) -> bool:
        """Whether every unit has a single view."""
        return self.copies == 1 and all(len(records) == 1 for records in self.members)

    def views(self, unit: int) -> torch.Tensor:
        """Return the record in each view of a unit, int64 (views,)."""
        return self.members[unit].repeat_interleave(self.copies)

    def packs(self, drawn: Sequence[int], most: int) -> Iterator[list[int]]:
        """Divide units into packs of at most ``most`` views; a larger unit has its own pack."""
        pack: list[int] = []
        size = 0
        for unit in drawn:
            views = len(self.members[unit]) * self.copies
            if pack and size + views > most:
                yield pack
                pack, size = [], 0
            pack.append(unit)
            size += views
        if pack:
            yield pack


def patients_of(split: Records) -> torch.Tensor:
    """Return a number for each record's patient, int64 (n,).

    Without patients' names, each record is a patient of its own.
    """
    if not split.patients:
        return torch.arange(len(split))
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in split.patients])


def count_units(split: Records, unit: Unit) -> int:
    """Return the number of units in a data set."""
    return len(set(split.patients)) if unit == "patient" and split.patients else len(split)


def make_units(records: int, groups: torch.Tensor | None = None, copies: int = 1) -> Units:
    """Return one unit for each record, or for each value in ``groups`` (records,) if given."""
    if groups is None:
        return Units(torch.arange(records).split(1) if records else (), copies)
    if groups.shape != (records,):
        raise ValueError(f"expected a group for each of {records} records: {tuple(groups.shape)}")
    return Units([(groups == group).nonzero().flatten() for group in groups.unique()], copies)


def patient_means(shares: torch.Tensor, patients: torch.Tensor) -> torch.Tensor:
    """Return the mean share of each patient, (patients,), of shares (n,) of ``patients`` (n,)."""
    # A patient with many images must change the sum by no more than one with a single image.
    sums = torch.zeros(int(patients.max()) + 1, dtype=shares.dtype)
    counts = torch.zeros_like(sums)
    sums.index_add_(0, patients, shares)
    counts.index_add_(0, patients, torch.ones_like(shares))
    return sums / counts


def scores_by_patient(shares: torch.Tensor, split: Records) -> tuple[float, ...]:
    """Return the mean share of each patient of ``split``, whose records have ``shares`` (n,)."""
    return tuple(patient_means(shares, patients_of(split)).tolist())
