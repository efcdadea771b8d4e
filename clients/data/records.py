"""Records of a split by index: all that training and evaluation know of a vendor's data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol, Self

import torch

from clients.tasks.task import Cases

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images, float32 (B, channels, *space) in [−1, 1], and their targets, as a task has them."""

BLANK = -1.0
"""The lowest value of an input, which stands where a patch is larger than its record."""

MOST_IMAGES = 256  # in one forward pass
MOST_PIXELS = 2**20  # in one forward pass: a layer of 16 channels then takes 64 MiB


class Records(Protocol):
    """The records of one split; memory is one kind of place for them, files are another.

    ``records`` has one hash per record, ``patients`` one per record, of its patient.  ``older`` are
    the hashes by which an older version may have known them.  All may be empty.
    """

    @property
    def records(self) -> tuple[str, ...]:
        """The hash of each record, or nothing."""
        ...

    @property
    def patients(self) -> tuple[str, ...]:
        """The hash of each record's patient, or nothing."""
        ...

    @property
    def older(self) -> frozenset[str]:
        """Hashes of these records in older versions."""
        ...

    @property
    def patch(self) -> tuple[int, ...] | None:
        """The sides of the part of a record that a batch has; None if it has whole records."""
        ...

    @property
    def classes(self) -> torch.Tensor | None:
        """The class of each record, int64 (n,); None where targets are masks or images."""
        ...

    def __len__(self) -> int: ...

    def empty(self) -> Batch:
        """Return a batch of no record: (0, …), with the shapes and types of all batches."""
        ...

    def on(self, device: torch.device) -> Self:
        """Return the same records, whose batches lie on ``device``."""
        ...

    def batch(self, rows: torch.Tensor, seed: int) -> Batch:
        """Return the records of ``rows``, int64 (B,), in this order.

        Where a batch has patches, their places follow from ``seed`` alone.
        """
        ...

    def batches(self, asked: Iterable[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
        """Yield :meth:`batch` of each pair of rows and seed."""
        ...

    def whole(self) -> Iterator[Cases]:
        """Yield all records in their order, whole and on the CPU, some of one size at a time."""
        ...

    def at(self, rows: torch.Tensor) -> Records:
        """Return the records of ``rows``, int64 (k,), as records of their own."""
        ...


def images_at_once(space: tuple[int, ...]) -> int:
    """Return how many images with sides ``space`` go through a network in one pass."""
    return max(1, min(MOST_IMAGES, MOST_PIXELS // max(1, math.prod(space))))
