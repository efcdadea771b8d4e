"""What a task is to training, evaluation, and privacy."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from numpy.typing import NDArray

from clients.tasks.settings import TaskSettings
from strategies.errors import DataError


class Cases(NamedTuple):
    """Some records as a network sees them, without names.

    ``images`` are float32 (n, channels, *space) in [−1, 1]; ``targets`` are int64 (n,) for
    classes, int64 (n, *space) for masks, float32 like the images for images; ``spacing`` (n, dims)
    is the size of a pixel in mm.
    """

    images: torch.Tensor
    targets: torch.Tensor
    spacing: torch.Tensor


class Task(Protocol):
    """All in which tasks differ: one object for each, without weights or data.

    Scores are a float64 tensor (n, columns) with a row for each record; a score that is undefined
    is NaN.  Their columns are the task's own.
    """

    @property
    def settings(self) -> TaskSettings:
        """The agreed settings."""
        ...

    def check(self, cases: Cases, whose: str) -> frozenset[int]:
        """Raise :class:`strategies.errors.DataError` for targets that this task cannot use.

        ``whose`` says in the message which split of which vendor they are.  Returns the classes
        that were found, if the task has classes.
        """
        ...

    def check_variety(self, found: frozenset[int], whose: str) -> None:
        """Raise :class:`DataError` if there is nothing to tell apart in the classes of a split."""
        ...

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one number for each record, shape (B,)."""
        ...

    def scores(self, outputs: torch.Tensor, cases: Cases, in_full: bool) -> torch.Tensor:
        """Return the scores of the network's outputs, on the CPU.

        Metrics that take long and choose no model are left out unless ``in_full``.
        """
        ...

    def summary(self, scores: torch.Tensor) -> dict[str, float]:
        """Return the metrics of many records, without those that are undefined."""
        ...

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return each record's score in ``settings.released``, (n,), its range scaled to [0, 1].

        Noise hides a record's share, so every record has one: where the metric is undefined, it
        is 1.
        """
        ...

    def confidence(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return what a membership attack compares, (B,): the larger, the surer is the network."""
        ...

    def result(self, outputs: torch.Tensor) -> NDArray[Any]:
        """Return what the outputs of one record, (1, …), mean to a user, without the batch axis."""
        ...


def share_of(score: torch.Tensor, bound: tuple[float, float]) -> torch.Tensor:
    """Return scores (n,) clipped to their ``bound`` and scaled to [0, 1]; 1 where undefined."""
    low, high = bound
    return ((score - low) / (high - low)).nan_to_num(nan=1.0).clamp(0, 1)


def means_of(names: tuple[str, ...], scores: torch.Tensor) -> dict[str, float]:
    """Return the mean of each named column over the records that have it."""
    columns = zip(names, scores.T, strict=True)
    defined = {name: column[~column.isnan()] for name, column in columns}
    return {name: float(values.mean()) for name, values in defined.items() if len(values)}


def check_labels(low: int, high: int, classes: int, whose: str, noun: str = "labels") -> None:
    """Raise :class:`DataError` unless labels from ``low`` to ``high`` are those of the classes.

    ``whose`` and ``noun`` say in the message what has them.
    """
    if low < 0 or high >= classes:
        raise DataError(
            f"{whose} {noun} from {low} to {high}",
            f"labels from 0 to {classes - 1}, for the {classes} names in task.classes",
            f"correct the {noun.split()[0]}, or list every class in task.classes",
            DataError.LABELS_OUTSIDE_CLASSES,
        )
