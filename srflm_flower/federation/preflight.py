"""Check the device and every vendor's data before a run starts, reading them as the run would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clients.data.partition import random_splits
from clients.data.phantom import LESION_CLASSES
from clients.data.sources import forget_cached_data, load_vendor_data
from clients.data.vendor_data import Split, VendorData, check_vendor_data
from clients.device import choose_device
from clients.settings import PhantomData
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.network_trial import check_network, size_of
from strategies.errors import DataError


@dataclass(frozen=True)
class Counts:
    """A vendor's number of examples in each split; ``by_class`` counts the training examples."""

    train: int
    validation: int
    test: int
    by_class: tuple[int, ...]
    size: tuple[int, ...]
    """The sides of its images in pixels."""


def count_examples(federation: Federation) -> dict[str, Counts]:
    """Read every vendor's data and count the examples.

    Raises :class:`strategies.errors.DataError` for the first vendor whose data cannot be used.
    """
    counts = {}
    for vendor in federation.roster:
        data = load_vendor_data(federation.data_plan(), vendor)
        by_class = data.train.labels.bincount(minlength=len(federation.task.classes))
        counts[vendor] = Counts(
            len(data.train),
            len(data.validation),
            len(data.test),
            tuple(by_class.tolist()),
            size_of(data),
        )
        forget_cached_data()  # so that only one vendor's data is in memory at a time
    return counts


def check_before_simulation(federation: Federation) -> None:
    """Raise the errors of the device, the data and the network that would stop the run anyway."""
    choose_device(federation.run.device)
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
    task, splits = federation.task, federation.splits
    if len(task.classes) != len(LESION_CLASSES):
        raise DataError(
            f"{len(task.classes)} names in task.classes for the phantom",
            f"its {len(LESION_CLASSES)} classes: {', '.join(LESION_CLASSES)}",
            "list these in task.classes, or leave task.classes out",
            DataError.LABELS_OUTSIDE_CLASSES,
        )
    rng = np.random.default_rng(federation.seed)
    shares = random_splits(data.examples, splits.validation, splits.test, rng)
    check_vendor_data(
        VendorData(
            *(_blank_split(len(share), data.image_size, task.spatial_dims) for share in shares)
        ),
        federation.roster[0],
        len(task.classes),
        task.channels,
        task.spatial_dims,
        federation.training.batch_size,
        splits.allow_one_class,
    )


def _blank_split(count: int, size: int, spatial_dims: int) -> Split:
    """Return slices of one channel; as volumes they are one slice deep, as in the run."""
    depth = (1,) * (spatial_dims - 2)
    images = torch.zeros(()).expand(count, 1, *depth, size, size)  # all pixels share one number
    # The run draws the classes later; these labels cover as many classes as possible.
    return Split(images, torch.arange(count) % len(LESION_CLASSES))
