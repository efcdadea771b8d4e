"""Laws of the scores that leave a site with noise: one patient changes their sum by one at most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clients.data.vendor_data import Split
from clients.tasks.registry import task_of
from srflm_flower.site.own_data import released_metrics as module
from srflm_flower.site.own_data.released_metrics import mean_share, released_metrics
from tests.support.learning.tasks import segmentation

SHARES = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=6)


def flat(of_patients: list[list[float]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the shares of all records, (n,), and each one's patient, (n,)."""
    shares = torch.tensor([one for each in of_patients for one in each], dtype=torch.float64)
    sizes = torch.tensor([len(each) for each in of_patients])
    return shares, torch.arange(len(of_patients)).repeat_interleave(sizes)


@given(of_patients=SHARES, more=st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_patient_with_any_number_of_images_moves_the_sum_by_one_at_most(
    of_patients: list[list[float]], more: list[float]
) -> None:
    before = mean_share(*flat(of_patients)) * len(of_patients)
    after = mean_share(*flat([*of_patients, more])) * (len(of_patients) + 1)
    assert -1e-9 <= after - before <= 1 + 1e-9


@given(of_patients=SHARES)
def test_patients_with_one_image_each_are_records(of_patients: list[list[float]]) -> None:
    single = [[each[0]] for each in of_patients]
    shares, patients = flat(single)
    assert mean_share(shares, patients) == pytest.approx(mean_share(shares, None))


@pytest.mark.parametrize(("unit", "mean", "count"), [("record", 0.25, 4.0), ("patient", 0.5, 2.0)])
def test_what_is_told_counts_what_is_protected(
    monkeypatch: pytest.MonkeyPatch, unit: str, mean: float, count: float
) -> None:
    """A patient with three images of score 0, and one with an image of score 1."""
    images = torch.zeros(4, 1, 4, 4)
    split = Split(images, images[:, 0].long(), patients=("p", "p", "p", "q"))
    given: list[float] = []

    @contextmanager
    def releasing(*_: object) -> Iterator[None]:
        yield

    def without_noise(shares: dict[str, float], examples: int, *_: Any) -> Any:
        given.append(float(examples))
        return dict(shares), float(examples)

    spender: Any = SimpleNamespace(
        settings=SimpleNamespace(metrics="noisy", metrics_noise=5.0),
        budget=SimpleNamespace(unit=unit),
        releasing=releasing,
    )
    monkeypatch.setattr(module, "noisy_shares", without_noise)
    monkeypatch.setattr(module, "_for_split", lambda spender, *_: spender)
    learner: Any = SimpleNamespace(
        spender=spender, data=SimpleNamespace(split=lambda _: split), task=task_of(segmentation())
    )
    shares = {"averaged": torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)}
    told = released_metrics(learner, {}, shares, "validation", 1)
    assert told == {"averaged": {"dice": mean, "examples": count}}
    assert given == [count]
