"""Rules of the checks before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from clients.data import sources
from clients.data.phantom import LESION_CLASSES
from clients.data.sources import forget_cached_data, load_vendor_data
from srflm_flower.federation import preflight
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.federation.preflight import check_before_simulation
from strategies.errors import ConfigurationError, DataError
from tests.support.tiny import tiny_federation

SMALL = {"data__image_size": 16, "run__device": "cpu"}


def never(*_: object, **__: object) -> None:
    raise AssertionError("the phantom was generated")


def small(**changes: Any) -> Federation:
    return with_changes(built_in_federation(2), **SMALL, **changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"task__classes": ("no", "yes")}, DataError.LABELS_OUTSIDE_CLASSES),
        ({"data__examples": 12, "training__batch_size": 9}, DataError.BATCH_TOO_LARGE),
        ({"data__examples": 2}, DataError.NO_EXAMPLES),
        ({"task__channels": 3}, DataError.SHAPE),
    ],
)
def test_phantom_that_cannot_be_used_is_refused_as_the_run_would_without_generating_it(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], code: str
) -> None:
    federation = small(**changes)
    forget_cached_data()
    with pytest.raises(DataError) as of_the_run:
        load_vendor_data(federation.data_plan(), federation.roster[0])
    monkeypatch.setattr(sources, "make_vendor", never)
    with pytest.raises(DataError) as caught:
        check_before_simulation(federation)
    assert caught.value.code == code
    assert str(caught.value) == str(of_the_run.value)


def test_phantom_is_checked_without_generating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "make_vendor", never)
    check_before_simulation(small(data__examples=1_000_000))


def test_batch_as_large_as_the_training_share_is_fine() -> None:
    check_before_simulation(small(data__examples=20, training__batch_size=12))
    with pytest.raises(DataError, match="12 training examples for batches of 13"):
        check_before_simulation(small(data__examples=20, training__batch_size=13))


def test_phantom_as_flat_volumes_is_fine_as_in_the_run() -> None:
    federation = small(task__spatial_dims=3, data__examples=40)
    load_vendor_data(federation.data_plan(), federation.roster[0])
    check_before_simulation(federation)


def test_default_classes_are_those_of_the_phantom() -> None:
    assert Federation().task.classes == LESION_CLASSES


def test_files_are_read_before_the_simulation(tmp_path: Any) -> None:
    federation = tiny_federation(tmp_path, run__device="cpu")
    check_before_simulation(federation)
    (tmp_path / "tiny.npz").unlink()
    with pytest.raises((DataError, ConfigurationError)):
        check_before_simulation(federation)


def test_counts_are_those_of_the_splits() -> None:
    counts = preflight.count_examples(small(data__examples=40))
    assert {(each.train, each.validation, each.test) for each in counts.values()} == {(24, 8, 8)}
    assert all(sum(each.by_class) == each.train for each in counts.values())
