"""A vendor that takes no part: nobody trains on its images, and it scores the global model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clients.data.plan import DataPlan
from clients.data.records import Records
from clients.data.sources import load_vendor_data, read_vendor_records
from clients.data.vendor_data import SplitName
from srflm_flower.comparison.compare import Series, others_of
from srflm_flower.comparison.left_out import vendors_to_leave_out, without
from srflm_flower.comparison.methods import METHODS, run_baseline, run_srflm
from srflm_flower.comparison.scoring import released_by, sites_of
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder
from strategies.errors import ConfigurationError
from tests.support.tiny import conduct, new_run, tiny_federation

NAMES = ("a", "b", "c")
DIVISIONS: dict[str, dict[str, Any]] = {
    "dirichlet": {"kind": "dirichlet", "alpha": 5},
    "equal": {"kind": "shares"},
    "shares": {"kind": "shares", "shares": [1.0, 2.0, 3.0]},
}


def divided(folder: Path, kind: str = "dirichlet", **changes: Any) -> Federation:
    changes = {"data__partition": DIVISIONS[kind], "run__rounds": 1, **changes}
    return tiny_federation(folder, NAMES, **changes)


def images(records: Sequence[Records]) -> set[bytes]:
    return {
        image.numpy().tobytes()
        for each in records
        for cases in each.whole()
        for image in cases.images
    }


@pytest.mark.parametrize("kind", DIVISIONS)
def test_images_of_the_vendor_stay_out_and_the_others_keep_theirs(
    tmp_path: Path, kind: str
) -> None:
    federation = divided(tmp_path, kind)
    remaining, left_out = without(federation, 66, "b")
    assert remaining.roster == ("a", "c")
    result, budget = run_srflm(remaining, tmp_path / "srflm", left_out)
    fedavg = run_baseline("fedavg", remaining, tmp_path / "fedavg", budget, 0.1, left_out)
    whole = with_changes(federation, seed=66).data_plan()
    for name in ("srflm", "fedavg"):
        sites = sites_of(RunFolder(tmp_path / name), remaining)
        trained_on = images([site.learner.data.train for site in sites])
        assert not trained_on & images([load_vendor_data(whole, "b").train])
        assert trained_on == images([load_vendor_data(whole, v).train for v in ("a", "c")])
    for each in (result, fedavg):
        assert each.left_out == "b" and each.held_out is not None
        assert each.personalised.keys() == {"a", "c"}


def test_held_out_metric_is_that_of_the_vendors_test_images(tmp_path: Path) -> None:
    remaining, left_out = without(divided(tmp_path), 66, "b")
    result, _ = run_srflm(remaining, tmp_path / "srflm", left_out)
    site = sites_of(RunFolder(tmp_path / "srflm"), remaining)[0]
    found = left_out.score([site], released_by(RunFolder(tmp_path / "srflm")))
    tests = len(load_vendor_data(left_out.whole.data_plan(), "b").test)
    assert found == result.held_out
    assert found is not None and abs(found * tests - round(found * tests)) < 1e-6


def test_each_leaves_out_one_after_the_other(tmp_path: Path) -> None:
    federation = divided(tmp_path)
    assert vendors_to_leave_out(federation, None) == ()
    assert vendors_to_leave_out(federation, "c") == ("c",)
    assert vendors_to_leave_out(federation, "each") == NAMES


def test_unknown_vendor_and_too_few_vendors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one of a, b, c"):
        vendors_to_leave_out(divided(tmp_path), "d")
    two = tiny_federation(tmp_path, ("a", "b"))
    with pytest.raises(ConfigurationError, match="at least 3"):
        vendors_to_leave_out(two, "a")


def test_federation_that_needs_the_vendor_is_refused_before_anything_runs(tmp_path: Path) -> None:
    federation = divided(tmp_path, election__policy="fixed", election__server="b")
    with pytest.raises(ConfigurationError, match=r"election\.server"):
        vendors_to_leave_out(federation, "each")
    assert vendors_to_leave_out(federation, "a") == ("a",)


def test_local_training_has_no_model_for_a_vendor_outside() -> None:
    assert "local" in others_of(METHODS, Series(65))
    assert set(METHODS) - set(others_of(METHODS, Series(65, "a"))) == {"srflm", "local"}


def test_folders_of_runs_have_names_of_their_own(tmp_path: Path) -> None:
    one, other = Series(65), Series(65, "a")
    assert one.folder(tmp_path, "fedavg").name == "fedavg-65"
    assert other.folder(tmp_path, "fedavg").name == "fedavg-65-without-a"


def test_advice_and_pictures_are_of_the_images_that_the_sites_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining, left_out = without(tiny_federation(tmp_path, run__rounds=1), 1, "d")
    run = new_run(remaining, tmp_path / "run")
    left_out.note_division(run)
    read: list[DataPlan] = []

    def note(plan: DataPlan, vendor: str) -> dict[SplitName, Records]:
        read.append(plan)
        return read_vendor_records(plan, vendor)

    for module in ("advice", "pictures"):
        monkeypatch.setattr(f"srflm_flower.run.{module}.read_vendor_records", note)
    conduct(run)
    assert len(read) == 2 * len(remaining.roster)
    assert all(plan == run.data_plan() for plan in read)
    assert run.data_plan() != remaining.data_plan()
