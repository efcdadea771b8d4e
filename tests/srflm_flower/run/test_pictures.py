"""Pictures of a run: apart from its report if its data is somebody's own, and none without data."""

from __future__ import annotations

import stat
from pathlib import Path

from srflm_flower.run.pictures import pictures_of_run
from strategies.weights import Model
from tests.support.tiny import conduct, new_run, tiny_federation


def test_own_data_is_shown_on_a_page_apart(tmp_path: Path) -> None:
    folder = new_run(tiny_federation(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(folder)
    report = folder.report.read_text(encoding="utf-8")
    assert "image/png" not in report and "cases.html" in report
    page = folder.cases.read_text(encoding="utf-8")
    assert all(f"Validation cases of {vendor}<" in page for vendor in "abcd")
    assert stat.S_IMODE(folder.cases.stat().st_mode) == 0o600


def test_data_that_is_gone_costs_the_pictures_only(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    (tmp_path / "tiny.npz").unlink()
    model = Model.of({})
    assert (
        pictures_of_run(
            federation, federation.data_plan(), model, dict.fromkeys("abcd", model)
        ).cases
        == {}
    )
    assert pictures_of_run(federation, federation.data_plan(), None, {}).cases == {}
