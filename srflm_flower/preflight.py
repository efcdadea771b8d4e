"""Check before anything starts: every vendor's data, as the run would read it."""

from __future__ import annotations

from dataclasses import dataclass

from clients.data.sources import forget_cached_data, load_vendor_data
from clients.device import choose_device
from clients.settings import PhantomData
from srflm_flower.federation import Federation


@dataclass(frozen=True)
class Counts:
    """How many examples a vendor has; ``by_class`` are those for training."""

    train: int
    validation: int
    test: int
    by_class: tuple[int, ...]


def count_examples(federation: Federation) -> dict[str, Counts]:
    """Read every vendor's data and count it.

    Raises :class:`srflm_flower.errors.DataError` for the first vendor whose data cannot be used.
    """
    counts = {}
    for vendor in federation.roster:
        data = load_vendor_data(federation.data_plan(), vendor)
        by_class = data.train.labels.bincount(minlength=len(federation.task.classes))
        counts[vendor] = Counts(
            len(data.train), len(data.validation), len(data.test), tuple(by_class.tolist())
        )
        forget_cached_data()
    return counts


def check_before_simulation(federation: Federation) -> None:
    """Raise what would stop the run anyway; generated data is not generated for it."""
    choose_device(federation.run.device)
    if not isinstance(federation.data, PhantomData):
        count_examples(federation)
