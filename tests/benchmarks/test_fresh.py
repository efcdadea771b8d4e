"""The study's models on fresh images: which vendors are worse off than alone, and who was told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.study import fresh
from benchmarks.study.fresh import Case, cases_of, fresh_records, fresh_text, models_of
from clients.data.sources import read_vendor_records
from srflm_flower.comparison.compare import compare
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.run.folder import RunFolder


def small(**changes: object) -> Federation:
    return with_changes(
        built_in_federation(),
        run__rounds=1,
        run__device="cpu",
        data__examples=40,
        data__image_size=32,
        vendors=[{"name": "a"}, {"name": "b"}],
        **changes,
    )


@pytest.mark.parametrize(
    ("on_fresh", "says_own", "right"),
    [
        (-0.011, False, False),
        (-0.009, False, True),
        (0.2, False, True),
        (0.011, True, False),
        (0.009, True, True),
        (-0.2, True, True),
    ],
)
def test_advice_is_right_unless_the_other_model_is_clearly_better(
    on_fresh: float, says_own: bool, right: bool
) -> None:
    assert Case(on_fresh, says_own).right is right


def test_fresh_images_are_of_the_same_cameras_and_of_no_run() -> None:
    federation = small(data__heterogeneity=2)
    made = fresh_records(federation, 40)
    for vendor in ("a", "b"):
        splits = read_vendor_records(federation.data_plan(), vendor)
        seen = {name for split in splits.values() for name in split.records}
        assert not seen & set(made[vendor].records)
    # The same patients; only the camera differs.
    other = fresh_records(small(data__heterogeneity=0), 40)
    assert torch.equal(made["a"].classes, other["a"].classes)  # type: ignore[arg-type]
    assert set(made["b"].records).isdisjoint(other["b"].records)


@pytest.mark.parametrize("changes", [{"data__label_alpha": 1.0}, {}])
def test_other_tasks_have_no_such_table(tmp_path: Path, changes: dict[str, float]) -> None:
    assert fresh_text(small(**changes), [], tmp_path) == ""


@pytest.mark.slow
def test_table_has_each_method_and_its_advice(tmp_path: Path) -> None:
    federation = small()
    results = compare(
        federation, ["srflm", "local", "pooled"], [65, 66], tmp_path, 1, 0.1, lambda each: None
    )
    text = fresh_text(federation, results, tmp_path, images=30)
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert [line[0].strip() for line in lines] == ["method", "-" * 6, "srflm", "local"]
    assert text.count("pooled") == 0
    assert lines[2][3].strip().endswith("of 4") and lines[2][6].strip().endswith("of 4")
    models = {(r.method, r.seed): models_of(tmp_path / f"{r.method}-{r.seed}") for r in results}
    # The model itself as the other one: no difference, and the advice stays with it.
    found = {m: {s: {"a": 0.5, "b": 0.5} for s in (65, 66)} for m in ("srflm", "local")}
    assert len(cases_of("srflm", models, found, tmp_path)) == 4  # type: ignore[arg-type]
    same = fresh._advice(RunFolder(tmp_path / "srflm-65"), models["srflm", 65], models["srflm", 65])
    assert same == {"a": False, "b": False}
