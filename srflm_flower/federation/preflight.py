"""Check the device and every vendor's data before a run starts, reading them as the run would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clients.data.partition import random_splits
from clients.data.phantom import LESION_CLASSES
from clients.data.phantom.targets import check_phantom_classes
from clients.data.records import Records
from clients.data.sources import forget_cached_data, load_vendor_data
from clients.data.vendor_data import Split, VendorData, check_vendor_data
from clients.device import choose_device
from clients.settings import FileData, PhantomData
from clients.tasks.registry import task_of
from clients.tasks.settings import TaskSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.network_trial import check_network, size_of
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class Counts:
    """A vendor's number of examples in each split.

    ``by_class`` counts the training examples of each class, or those with a pixel of it; it is
    empty where there are no classes.
    """

    train: int
    validation: int
    test: int
    by_class: tuple[int, ...]
    size: tuple[int, ...]
    """The sides of its images in pixels."""


def count_examples(federation: Federation) -> dict[str, Counts]:
    """Read the data of every vendor that has a path, and count the examples.

    Raises :class:`strategies.errors.DataError` for the first vendor whose data cannot be used.
    """
    counts, unknown = {}, without_path(federation)
    for vendor in (each for each in federation.roster if each not in unknown):
        data = load_vendor_data(federation.data_plan(), vendor)
        sizes = len(data.train), len(data.validation), len(data.test)
        by_class = count_by_class(data.train, federation.task)
        counts[vendor] = Counts(*sizes, by_class, size_of(data))
        forget_cached_data()  # so that only one vendor's data is in memory at a time
    return counts


def count_by_class(train: Records, task: TaskSettings) -> tuple[int, ...]:
    """Return the records of each class, or those with a pixel of it; nothing without classes."""
    if train.classes is not None and task.target == "class":
        return tuple(train.classes.bincount(minlength=len(task.classes)).tolist())
    if task.target == "mask":
        masks = (cases.targets for cases in train.whole())
        labels = range(len(task.classes))
        each = [[int((of == label).flatten(1).any(1).sum()) for label in labels] for of in masks]
        return tuple(map(sum, zip(*each, strict=True)))
    return ()


def without_path(federation: Federation) -> tuple[str, ...]:
    """Return the vendors whose data nothing in the file names: their sites name it themselves."""
    data = federation.data
    if not isinstance(data, FileData) or data.partition is not None:
        return ()
    return tuple(vendor.name for vendor in federation.vendors if vendor.path is None)


def require_paths(federation: Federation) -> None:
    """Raise :class:`ConfigurationError` unless the file names every vendor's data."""
    missing = without_path(federation)
    if missing:
        raise ConfigurationError(
            f"{len(missing)} problem(s) in the federation file:\n"
            + "\n".join(f"  - vendors.{name}.path: found nothing" for name in missing),
            "every vendor's file or folder, as one machine plays all vendors here",
            'add path = "…" to each of their [[vendors]] tables; at a deployed site, `data` in'
            " site.toml names that site's",
        )


def check_before_simulation(federation: Federation) -> None:
    """Raise the errors of the device, the data and the network that would stop the run anyway."""
    choose_device(federation.run.device)
    require_paths(federation)
    if isinstance(federation.data, PhantomData):  # generating the images would take too long
        _check_phantom(federation, federation.data)
        check_network(federation)
        return
    for size in sorted({count.size for count in count_examples(federation).values()}):
        check_network(federation, size)


def _check_phantom(federation: Federation, data: PhantomData) -> None:
    """Check blank images of the number and shape that the first vendor's data will have.

    The other vendors have as many images.
    """
    splits = federation.splits
    check_phantom_classes(federation.task)
    rng = np.random.default_rng(federation.seed)
    shares = random_splits(data.examples, splits.validation, splits.test, rng)
    blank = (_blank_split(len(share), data.image_size, federation.task) for share in shares)
    check_vendor_data(
        VendorData(*blank),
        federation.roster[0],
        task_of(federation.task),
        federation.training.batch_size,
        splits.allow_one_class,
    )


def _blank_split(count: int, size: int, task: TaskSettings) -> Split:
    """Return slices of one channel; as volumes they are one slice deep, as in the run."""
    depth = (1,) * (task.spatial_dims - 2)
    images = torch.zeros(()).expand(count, 1, *depth, size, size)  # all pixels share one number
    # The run draws the targets later; these labels cover as many classes as possible.
    labels = torch.arange(count)
    match task.target:
        case "class":
            return Split(images, labels % len(LESION_CLASSES))
        case "mask":
            labels = 1 + labels % (task.outputs - 1)
            shape = (count, *[1] * task.spatial_dims)
            return Split(images, labels.view(shape).expand(count, *depth, size, size))
        case "image":
            return Split(images, images)
