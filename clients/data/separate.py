"""Records of which each has arrays of its own, in memory or in files, as large as they may be."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from clients.data.examples import Examples
from clients.data.records import BLANK, Batch, images_at_once
from clients.data.vendor_data import as_inputs, as_split, channels_first
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from clients.tasks.task import Cases

AHEAD: Final = 2
"""Batches that are read while the network trains on another."""

PLACES: Final = 1024
"""Voxels of each label that are remembered, evenly spread over it, to draw patches by."""

Corner = tuple[int, ...]
Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class SeparateRecords:
    """Records with ``images`` (channels, *space) of any sizes, uint8 or floats in [0, 1].

    ``targets`` are int64 (n,) for classes, else one array a record: (*space) for masks, and like
    the image for images.  ``spacing`` (n, dims) is the size of a voxel in mm.  With a ``patch``, a
    batch has a part of each record with these sides; the share ``foreground`` of patches of
    masks holds a voxel of a label drawn from those in the mask, the others lie anywhere.
    """

    images: Arrays
    targets: torch.Tensor | Arrays
    spacing: torch.Tensor
    records: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    older: frozenset[str] = frozenset()
    patch: tuple[int, ...] | None = None
    foreground: float = 0.0
    device: torch.device | None = None
    _places: dict[int, list[NDArray[np.int64]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> torch.Tensor | None:
        """The class of each record, int64 (n,); None where targets are masks or images."""
        return self.targets if isinstance(self.targets, torch.Tensor) else None

    def empty(self) -> Batch:
        """Return a batch of no record: (0, …), with the shapes and types of all batches."""
        if not self.images:
            return torch.zeros(0, 1, *(self.patch or (1, 1))), torch.zeros(0, dtype=torch.int64)
        channels, *sides = self.images[0].shape
        space = self.patch or tuple(sides)
        images = torch.zeros(0, channels, *space)
        if isinstance(self.targets, torch.Tensor):
            return images, self.targets[:0]
        if self._has_masks:
            return images, torch.zeros(0, *space, dtype=torch.int64)
        return images, torch.zeros(0, len(self.targets[0]), *space)

    def on(self, device: torch.device) -> SeparateRecords:
        """Return the same records, whose batches lie on ``device``."""
        return replace(self, device=device)

    def batch(self, rows: torch.Tensor, seed: int) -> Batch:
        """Return the records of ``rows``, int64 (B,), or a patch of each, drawn from ``seed``."""
        rng = np.random.default_rng(seed)
        chosen = rows.tolist()
        images, targets = self._read(chosen, [self._corner(row, rng) for row in chosen])
        return images.to(self.device), targets.to(self.device)

    def batches(self, asked: Iterable[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
        """Yield :meth:`batch` of each pair of rows and seed, a few of which are read ahead."""
        # The thread only reads: each batch follows from its rows and seed, whoever is faster.
        with ThreadPoolExecutor(1, "read-ahead") as reader:
            waiting: list[Future[Batch]] = []
            for rows, seed in asked:
                waiting.append(reader.submit(self.batch, rows, seed))
                if len(waiting) > AHEAD:
                    yield waiting.pop(0).result()
            for each in waiting:
                yield each.result()

    def whole(self) -> Iterator[Cases]:
        """Yield all records in their order, whole, some of one size at a time."""
        start = 0
        while start < len(self):
            shape, end = self.images[start].shape, start + 1
            last = min(len(self), start + images_at_once(shape[1:]))
            while end < last and self.images[end].shape == shape:
                end += 1
            rows = list(range(start, end))
            yield Cases(*self._read(rows, [None] * len(rows)), self.spacing[rows])
            start = end

    def at(self, rows: torch.Tensor) -> SeparateRecords:
        """Return the records of ``rows``, int64 (k,), as records of their own."""
        chosen = rows.tolist()
        targets = self.targets
        return replace(
            self,
            images=tuple(self.images[row] for row in chosen),
            targets=(
                targets[rows]
                if isinstance(targets, torch.Tensor)
                else tuple(targets[row] for row in chosen)
            ),
            spacing=self.spacing[rows],
            records=tuple(self.records[row] for row in chosen) if self.records else (),
            patients=tuple(self.patients[row] for row in chosen) if self.patients else (),
            _places={},
        )

    # ---- reading -------------------------------------------------------------------------------

    @property
    def _has_masks(self) -> bool:
        return self.classes is None and self.targets[0].ndim == self.images[0].ndim - 1

    def _read(self, rows: list[int], corners: Sequence[Corner | None]) -> Batch:
        """Return records of one size, or the patches of them that begin at the ``corners``."""
        places = list(zip(rows, corners, strict=True))
        images = [self._part(self.images[row], corner, is_mask=False) for row, corner in places]
        if isinstance(self.targets, torch.Tensor):
            return torch.stack(images), self.targets[rows]
        mask, arrays = self._has_masks, self.targets
        targets = [self._part(arrays[row], corner, is_mask=mask) for row, corner in places]
        return torch.stack(images), torch.stack(targets)

    def _part(self, values: NDArray[Any], corner: Corner | None, is_mask: bool) -> torch.Tensor:
        """Return an array, or the patch of it that begins at ``corner``, as a network sees it."""
        part = values
        if corner is not None:
            assert self.patch is not None
            place: tuple[Any, ...] = (..., *_slices(corner, self.patch))
            part = values[place]
        copied = torch.from_numpy(np.array(part))
        _release(values)
        inputs = copied.to(torch.int64) if is_mask else as_inputs(copied)
        if corner is None or self.patch is None:
            return inputs
        missing = [
            side - have for side, have in zip(self.patch, inputs.shape[-len(corner) :], strict=True)
        ]
        if not any(missing):
            return inputs
        around = [(gap // 2, gap - gap // 2) for gap in missing]
        flat = [number for pair in reversed(around) for number in pair]
        return functional.pad(inputs, flat, value=0 if is_mask else BLANK)

    # ---- drawing patches -----------------------------------------------------------------------

    def _corner(self, row: int, rng: np.random.Generator) -> Corner | None:
        """Return the first voxel of a patch of a record; None if batches have whole records."""
        if self.patch is None:
            return None
        sides = self.images[row].shape[1:]
        room = [max(0, side - patch) for side, patch in zip(sides, self.patch, strict=True)]
        places = self._places_of(row) if self.foreground else []
        if not places or rng.random() >= self.foreground:
            return tuple(int(rng.integers(0, most + 1)) for most in room)
        # A label first: the patches of a small structure are no rarer than those of a large one.
        of_label = places[rng.integers(len(places))]
        voxel = np.unravel_index(of_label[rng.integers(len(of_label))], sides)
        # Any patch that holds the voxel: it is in the middle no more often than at the edge.
        starts = (
            int(rng.integers(max(0, place - patch + 1), min(place, most) + 1))
            for place, patch, most in zip(map(int, voxel), self.patch, room, strict=True)
        )
        return tuple(starts)

    def _places_of(self, row: int) -> list[NDArray[np.int64]]:
        """Return for each label of a record's mask but the background where some voxels lie."""
        if isinstance(self.targets, torch.Tensor) or not self._has_masks:
            return []
        if row not in self._places:
            mask = np.array(self.targets[row]).reshape(-1)
            _release(self.targets[row])
            inside = np.flatnonzero(mask)
            labels = mask[inside]
            each = [inside[labels == label] for label in np.unique(labels)]
            # Copies: a view would keep the places of all voxels in memory.
            self._places[row] = [of[:: -(-len(of) // PLACES)].copy() for of in each]
        return self._places[row]


def as_separate(
    examples: Examples, task: TaskSettings, settings: PrepareSettings
) -> SeparateRecords:
    """Return examples in memory as records whose batches have patches of them."""
    split = as_split(examples, task)
    images = channels_first(examples.images, task.spatial_dims, task.channels)
    targets: torch.Tensor | Arrays = split.targets
    if task.target == "mask":
        targets = tuple(split.targets.numpy())
    elif task.target == "image":
        targets = tuple(channels_first(examples.targets, task.spatial_dims, task.channels))
    return SeparateRecords(
        tuple(images),
        targets,
        split.cases.spacing,
        split.records,
        split.patients,
        split.older,
        settings.patch_of(task.spatial_dims),
        settings.patch_foreground,
    )


def _slices(corner: Corner, patch: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + side) for start, side in zip(corner, patch, strict=True))


def _release(values: NDArray[Any]) -> None:
    """Give a mapped file's pages back, so that a process is as large as what it works on."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        # They stay in the system's cache of files, which is given up when memory is short.
        with suppress(AttributeError, OSError):  # not on every system
            base.madvise(mmap.MADV_DONTNEED)
