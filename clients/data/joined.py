"""The records of several vendors as one set, for training as if all data lay in one place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain

import torch

from clients.data.records import Batch, Records
from clients.data.vendor_data import Split
from clients.seeds import derive_seed
from clients.tasks.task import Cases


def join(parts: Sequence[Records]) -> Records:
    """Return the records of all parts, in their order and without names."""
    in_memory = [part for part in parts if isinstance(part, Split)]
    sizes = {part.images.shape[1:] for part in in_memory}
    if len(in_memory) < len(parts) or len(sizes) > 1:
        return JoinedRecords(tuple(parts))
    each = zip(*(part.cases for part in in_memory), strict=True)
    images, targets, spacing = (torch.cat(part) for part in each)
    return Split(images, targets, spacing=spacing)


@dataclass(frozen=True)
class JoinedRecords:
    """Records of several parts, whose batches have one shape; ``chosen`` are some of them."""

    parts: tuple[Records, ...]
    chosen: torch.Tensor | None = None
    records: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    older: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return sum(map(len, self.parts)) if self.chosen is None else len(self.chosen)

    @property
    def patch(self) -> tuple[int, ...] | None:
        """The sides of the part of a record that a batch has; None if it has whole records."""
        return self.parts[0].patch

    @property
    def classes(self) -> torch.Tensor | None:
        """The class of each record, int64 (n,); None where targets are masks or images."""
        found = [part.classes for part in self.parts]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        every = torch.cat(known)
        return every if self.chosen is None else every[self.chosen]

    def empty(self) -> Batch:
        """Return a batch of no record: (0, …), with the shapes and types of all batches."""
        return self.parts[0].empty()

    def on(self, device: torch.device) -> JoinedRecords:
        """Return the same records, whose batches lie on ``device``."""
        return replace(self, parts=tuple(part.on(device) for part in self.parts))

    def batch(self, rows: torch.Tensor, seed: int) -> Batch:
        """Return the records of ``rows``, int64 (B,), in this order."""
        every = rows if self.chosen is None else self.chosen[rows]
        places, found = [], []
        for part, begin, end in self._bounds():
            inside = ((every >= begin) & (every < end)).nonzero().flatten()
            if len(inside):
                places.append(inside)
                found.append(part.batch(every[inside] - begin, derive_seed(seed, begin)))
        order = torch.cat(places).argsort().to(found[0][0].device)
        images, targets = (torch.cat(each)[order] for each in zip(*found, strict=True))
        return images, targets

    def batches(self, asked: Iterable[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
        """Yield :meth:`batch` of each pair of rows and seed."""
        return (self.batch(rows, seed) for rows, seed in asked)

    def whole(self) -> Iterator[Cases]:
        """Yield all records in their order, whole, some of one size at a time."""
        if self.chosen is None:
            return chain.from_iterable(part.whole() for part in self.parts)
        return chain.from_iterable(self._one(int(row)).whole() for row in self.chosen)

    def at(self, rows: torch.Tensor) -> JoinedRecords:
        """Return the records of ``rows``, int64 (k,), as records of their own."""
        return replace(self, chosen=rows if self.chosen is None else self.chosen[rows])

    def _bounds(self) -> Iterator[tuple[Records, int, int]]:
        ends = list(accumulate(map(len, self.parts)))
        return zip(self.parts, [0, *ends], ends, strict=False)

    def _one(self, row: int) -> Records:
        part, begin = next((part, begin) for part, begin, end in self._bounds() if row < end)
        return part.at(torch.tensor([row - begin]))
