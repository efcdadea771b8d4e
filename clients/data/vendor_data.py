"""A vendor's data: three splits of records, checked once; and records that lie in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from clients.data.examples import Examples, older_names, record_names
from clients.data.records import Batch, Records, images_at_once
from clients.tasks.settings import TaskSettings
from clients.tasks.task import Cases, Task
from strategies.errors import DataError

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Records in memory, all of one size: images and their targets.

    Images are float32 in [−1, 1], shape (n, channels, *space).  Targets are int64 (n,) for classes,
    int64 (n, *space) for masks, and float32 like the images for images.  ``spacing`` (n, dims) is
    the size of a pixel in mm, if known.
    """

    images: torch.Tensor
    targets: torch.Tensor
    records: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    older: frozenset[str] = frozenset()
    spacing: torch.Tensor | None = None
    patch: None = None  # a batch has whole images

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> torch.Tensor | None:
        """The class of each record, int64 (n,); None where targets are masks or images."""
        return self.targets if self.targets.ndim == 1 else None

    def empty(self) -> Batch:
        """Return a batch of no record: (0, …), with the shapes and types of all batches."""
        return self.images[:0], self.targets[:0]

    def on(self, device: torch.device) -> Split:
        """Return the same records on ``device``."""
        return replace(self, images=self.images.to(device), targets=self.targets.to(device))

    def batch(self, rows: torch.Tensor, seed: int) -> Batch:
        """Return the records of ``rows``, int64 (B,); nothing depends on the seed."""
        chosen = rows.to(self.images.device)
        return self.images[chosen], self.targets[chosen]

    def batches(self, asked: Iterable[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
        """Yield :meth:`batch` of each pair of rows and seed."""
        return (self.batch(rows, seed) for rows, seed in asked)

    def whole(self) -> Iterator[Cases]:
        """Yield all records in their order, some at a time."""
        at_once = images_at_once(tuple(self.images.shape[2:]))
        for each in zip(*(part.cpu().split(at_once) for part in self.cases), strict=True):
            yield Cases(*each)

    def at(self, rows: torch.Tensor) -> Split:
        """Return the records of ``rows``, int64 (k,), as records of their own."""
        return replace(
            self,
            images=self.images[rows],
            targets=self.targets[rows],
            records=tuple(self.records[row] for row in rows) if self.records else (),
            patients=tuple(self.patients[row] for row in rows) if self.patients else (),
            spacing=None if self.spacing is None else self.spacing[rows],
        )

    @property
    def cases(self) -> Cases:
        """The records as a task sees them; a pixel of unknown size counts as 1 mm."""
        space = self.images.ndim - 2
        spacing = torch.ones(len(self), space) if self.spacing is None else self.spacing
        return Cases(self.images, self.targets, spacing)


@dataclass(frozen=True)
class VendorData:
    """The three splits of one vendor, which never leave its site."""

    train: Records
    validation: Records
    test: Records

    def split(self, name: SplitName) -> Records:
        """Return the split called ``name``."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def as_split(examples: Examples, task: TaskSettings) -> Split:
    """Return raw arrays as a split: channels first, scaled to [−1, 1], targets as the task has it.

    Images are uint8 in 0…255 or floats in [0, 1], with shape (n, *space), (n, *space, c) as
    MedMNIST has it, or (n, c, *space); labels have shape (n,) or (n, 1), masks and target images
    any of the shapes of images. The channel axis is the second if it has length ``task.channels``,
    otherwise the last.
    """
    images, targets, records, patients, older, spacing = examples
    # Named before scaling: the ledger must recognise an image under other preprocessing.
    names = record_names(images) if records is None else records
    if older is None:
        older = tuple(frozenset(older_names(image)) for image in images)
    return Split(
        as_images(images, task),
        _as_targets(targets, task),
        tuple(names.tolist()),
        () if patients is None else tuple(patients.tolist()),
        frozenset().union(*older),
        None if spacing is None else torch.from_numpy(spacing.astype(np.float64)),
    )


def as_images(images: NDArray[np.generic], task: TaskSettings) -> torch.Tensor:
    """Return images as a network sees them: float32 (n, channels, *space) in [−1, 1]."""
    images = channels_first(images, task.spatial_dims, task.channels)
    return as_inputs(torch.from_numpy(np.ascontiguousarray(images)))


def as_inputs(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels, uint8 or floats in [0, 1], as float32 in [−1, 1]."""
    scale = 255.0 if pixels.dtype == torch.uint8 else 1.0
    return pixels.to(torch.float32).div(scale).mul_(2.0).sub_(1.0).contiguous()


def _as_targets(targets: NDArray[np.generic], task: TaskSettings) -> torch.Tensor:
    match task.target:
        case "class":
            return torch.from_numpy(flat_labels(targets))
        case "mask":
            masks = channels_first(targets, task.spatial_dims, 1)
            return torch.from_numpy(masks.astype(np.int64)).flatten(1, 2)
        case "image":
            return as_images(targets, task)


def channels_first(
    images: NDArray[np.generic], spatial_dims: int, channels: int
) -> NDArray[np.generic]:
    """Return images (n, *space), (n, *space, c), or (n, c, *space) as (n, channels, *space)."""
    if images.ndim == spatial_dims + 1:
        return np.expand_dims(images, 1)
    if images.ndim == spatial_dims + 2 and images.shape[1] != channels == images.shape[-1]:
        return np.moveaxis(images, -1, 1)
    return images


def flat_labels(labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return labels of shape (n,) or (n, 1), n ≥ 0, as int64 of shape (n,)."""
    return (labels if labels.ndim == 1 else labels[:, 0]).astype(np.int64)


def check_vendor_data(
    data: VendorData, vendor: str, task: Task, batch_size: int, allow_one_class: bool
) -> None:
    """Raise :class:`DataError`, with a way to mend it, if ``data`` cannot be trained on."""
    for name in SPLITS:
        split = data.split(name)
        if len(split) == 0:
            raise DataError(
                f"vendor {vendor!r} has no {name} examples",
                "at least one in every split",
                "give it data, divide a small folder by hand into train, val and test, or"
                " take it out of the roster ([[vendors]])",
                DataError.NO_EXAMPLES,
            )
        _check_shape(split, vendor, name, task.settings.channels, task.settings.spatial_dims)
        _check_same_size(split, data.train, vendor, name)
        whose = f"vendor {vendor!r} has {name}"
        found = frozenset[int]()
        for cases in split.whole():
            _check_channels(cases, task, whose)
            found |= task.check(cases, whose)
        if name == "train" and not allow_one_class:
            task.check_variety(found, whose)
    _check_patients(data, vendor)
    if len(data.train) < batch_size:
        raise DataError(
            f"vendor {vendor!r}: {len(data.train)} training examples for batches of {batch_size}",
            "a batch no larger than the smallest vendor's data",
            f"set training.batch-size to {len(data.train)} or less, or give it more data",
            DataError.BATCH_TOO_LARGE,
        )


def _check_patients(data: VendorData, vendor: str) -> None:
    # Images of a patient in training and in test would make the test result look too good.
    known: set[str] = set()
    for name in SPLITS:
        patients = set(data.split(name).patients)
        shared = patients & known
        if shared:
            raise DataError(
                f"vendor {vendor!r} has {len(shared)} patients with images in {name} and in"
                " another split",
                "each patient in one split only",
                "divide the images by patient: what is measured on those who were trained on tells"
                " nothing about others",
                DataError.SHAPE,
            )
        known |= patients


def _check_channels(cases: Cases, task: Task, whose: str) -> None:
    # Records with arrays of their own may differ from the first one, which the split's shape is of.
    channels, dims = task.settings.channels, task.settings.spatial_dims
    if cases.images.ndim != dims + 2 or cases.images.shape[1] != channels:
        raise DataError(
            f"{whose} an image of shape {tuple(cases.images.shape[1:])} (channels, space…)",
            f"{channels} channel(s) and {dims} spatial dimensions in all images",
            "convert the images that differ, or leave them out",
            DataError.SHAPE,
        )


def _check_shape(split: Records, vendor: str, name: str, channels: int, spatial_dims: int) -> None:
    shape = (len(split), *split.empty()[0].shape[1:])
    if len(shape) != spatial_dims + 2 or shape[1] != channels:
        raise DataError(
            f"vendor {vendor!r} has {name} images of shape {shape} (n, channels, space…)",
            f"{channels} channel(s) and {spatial_dims} spatial dimensions",
            "set task.channels and task.spatial-dims to what the images have",
            DataError.SHAPE,
        )
    if isinstance(split, Split) and len(split.images) != len(split.targets):
        raise DataError(
            f"vendor {vendor!r}: {len(split.images)} {name} images, {len(split.targets)} targets",
            "one target (a label, a mask, or an image) for each image",
            "write the file again",
            DataError.SHAPE,
        )


def _check_same_size(split: Records, train: Records, vendor: str, name: str) -> None:
    found, expected = (tuple(each.empty()[0].shape[2:]) for each in (split, train))
    if found != expected:
        raise DataError(
            f"vendor {vendor!r} has {name} images of size {found}, train images of size {expected}",
            "images of one size in all splits",
            "resize the images; for folders, set data.image-size",
            DataError.SHAPE,
        )
