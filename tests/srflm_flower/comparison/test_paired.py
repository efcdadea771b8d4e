"""For one seed, all methods have the same data, division, and initial weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from srflm_flower.comparison.methods import METHODS, run_baseline, run_srflm
from srflm_flower.comparison.private_plans import at_seed
from srflm_flower.comparison.scoring import sites_of
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.run.folder import RunFolder
from tests.support.tiny import tiny_federation

NAMES = ("a", "b", "c")


def beginning(folder: Path) -> tuple[str, list[list[bytes]]]:
    """Return the initial model's hash, and all images of all vendors in their order."""
    run = RunFolder(folder)
    sites = sites_of(run, run.federation())
    data = [site.learner.data for site in sites]
    splits = [each for d in data for each in (d.train, d.validation, d.test)]
    images = [
        [image.numpy().tobytes() for cases in split.whole() for image in cases.images]
        for split in splits
    ]
    (initial,) = {site.initial.hash for site in sites}
    return initial, images


@pytest.fixture(scope="module")
def srflm(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Federation, StepBudget]:
    folder = tmp_path_factory.mktemp("paired")
    federation = at_seed(tiny_federation(folder, NAMES, run__rounds=1), 66)
    return folder, federation, run_srflm(federation, folder / "srflm")[1]


@pytest.mark.parametrize("method", METHODS[1:])
def test_methods_of_one_seed_begin_alike(
    srflm: tuple[Path, Federation, StepBudget], method: Any
) -> None:
    folder, federation, budget = srflm
    run_baseline(method, federation, folder / method, budget, 0.1)
    assert beginning(folder / method) == beginning(folder / "srflm")


def test_another_seed_begins_otherwise(srflm: tuple[Path, Federation, StepBudget]) -> None:
    folder, federation, _ = srflm
    run_srflm(at_seed(federation, 67), folder / "other")
    one, other = beginning(folder / "srflm"), beginning(folder / "other")
    assert one[0] != other[0] and one[1] != other[1]
