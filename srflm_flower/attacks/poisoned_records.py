"""Records of which some, or all, are changed on their way into training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from clients.data.records import Batch, Records
from clients.tasks.task import Cases

Change = Callable[[Batch, torch.Tensor], Batch]
"""(batch, which of it are chosen, bool (B,)) → the batch that is seen."""


@dataclass(frozen=True)
class PoisonedRecords:
    """The ``true`` records; ``change`` makes the batches of them.  ``chosen`` is bool (n,)."""

    true: Records
    change: Change
    chosen: torch.Tensor

    @property
    def records(self) -> tuple[str, ...]:
        """The hash of each true record."""
        return self.true.records

    @property
    def patients(self) -> tuple[str, ...]:
        """The hash of each record's patient."""
        return self.true.patients

    @property
    def older(self) -> frozenset[str]:
        """Hashes of the true records in older versions."""
        return self.true.older

    @property
    def patch(self) -> tuple[int, ...] | None:
        """The sides of the part of a record that a batch has."""
        return self.true.patch

    @property
    def classes(self) -> torch.Tensor | None:
        """The true class of each record."""
        return self.true.classes

    def __len__(self) -> int:
        return len(self.true)

    def empty(self) -> Batch:
        """Return a batch of no record."""
        return self.true.empty()

    def on(self, device: torch.device) -> PoisonedRecords:
        """Return the same records, whose batches lie on ``device``."""
        return replace(self, true=self.true.on(device))

    def batch(self, rows: torch.Tensor, seed: int) -> Batch:
        """Return the changed records of ``rows``."""
        return self._changed(self.true.batch(rows, seed), rows)

    def batches(self, asked: Iterable[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
        """Yield :meth:`batch` of each pair of rows and seed."""
        return (self.batch(*each) for each in asked)

    def whole(self) -> Iterator[Cases]:
        """Yield all changed records in their order."""
        first = 0
        for cases in self.true.whole():
            rows = torch.arange(first, first + len(cases.images))
            images, targets = self._changed((cases.images, cases.targets), rows)
            yield cases._replace(images=images, targets=targets)
            first += len(rows)

    def at(self, rows: torch.Tensor) -> PoisonedRecords:
        """Return the records of ``rows`` as records of their own."""
        return replace(self, true=self.true.at(rows), chosen=self.chosen[rows])

    def _changed(self, batch: Batch, rows: torch.Tensor) -> Batch:
        return self.change(batch, self.chosen[rows].to(batch[0].device))
