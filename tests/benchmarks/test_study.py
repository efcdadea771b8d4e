"""The study: its file, its ranks, and that it goes on where it stopped."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.study import __main__ as study
from benchmarks.study.__main__ import DEFAULT, main, run
from benchmarks.study.ranks import Ranking, cliques, critical_difference, rank_methods
from benchmarks.study.tasks import load_study
from strategies.errors import ConfigurationError
from tests.support.tiny import tiny_federation


@pytest.mark.parametrize("file", sorted(DEFAULT.parent.glob("*.toml")), ids=lambda f: f.stem)
def test_every_task_of_a_study_is_a_federation(file: Path) -> None:
    study = load_study(file)
    assert study.seeds >= 5
    for task in study.tasks:
        federation = task.load(DEFAULT.parent)
        assert task.methods(study), task.name
        assert federation.run.device == "cpu"


def test_unequal_vendors_of_the_study_have_180_and_60_training_images() -> None:
    study = load_study(DEFAULT)
    unequal = next(t for t in study.tasks if t.name == "phantom-2-unequal").load(DEFAULT.parent)
    assert [v.max_examples for v in unequal.vendors] == [None, 60]


@pytest.mark.parametrize("text", ["", "methods = 3", 'methods = ["srflm"]\ntasks = [{}]', "["])
def test_other_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"s\.toml"):
        load_study(tmp_path / "s.toml")


# ---- ranks ---------------------------------------------------------------------------------------


def test_critical_difference_is_that_of_the_paper() -> None:
    """Demšar, JMLR 2006, section 3.2.2: four classifiers on fourteen data sets have 1.25."""
    assert critical_difference(4, 14) == pytest.approx(
        2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3
    )
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@given(st.lists(st.tuples(*[st.floats(0, 1, allow_subnormal=False)] * 3), min_size=1, max_size=8))
def test_ranks_add_up_and_follow_the_metric(rows: list[tuple[float, float, float]]) -> None:
    values = {m: {str(n): row[i] for n, row in enumerate(rows)} for i, m in enumerate("abc")}
    ranking = rank_methods(values)
    assert ranking is not None
    assert sum(ranking.ranks.values()) == pytest.approx(6)
    if all(row[0] > max(row[1:]) for row in rows):
        assert ranking.ranks["a"] == 1


def test_only_tasks_that_all_have_count() -> None:
    ranking = rank_methods({"a": {"x": 1.0, "y": 0.0}, "b": {"x": 0.5}})
    assert ranking is not None and (ranking.tasks, ranking.ranks) == (1, {"a": 1.0, "b": 2.0})
    assert rank_methods({"a": {"x": 1.0}, "b": {"y": 0.5}}) is None
    assert rank_methods({}) is None


def test_groups_within_the_critical_difference() -> None:
    ranking = Ranking({"a": 1.0, "b": 1.8, "c": 2.5, "d": 4.0}, 5, 0.01, 1.0)
    assert cliques(ranking) == [["a", "b"], ["b", "c"]]
    assert cliques(Ranking({"a": 1.0, "b": 3.0}, 5, 0.01, 1.0)) == []


# ---- a run ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_study_runs_goes_on_and_leaves_out_what_has_no_data(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, ("a", "b"), run__rounds=1)
    (tmp_path / "tiny.toml").write_text(federation.to_toml())
    missing = federation.to_toml().replace("tiny.npz", "nowhere.npz")
    (tmp_path / "missing.toml").write_text(missing)
    (tmp_path / "study.toml").write_text(
        'methods = ["srflm", "fedavg", "local"]\nseeds = 2\n'
        '[[tasks]]\nname = "none"\nfederation = "missing.toml"\n'
        '[[tasks]]\nname = "one"\nfederation = "tiny.toml"\n'
        '[[tasks]]\nname = "two"\nfederation = "tiny.toml"\nseeds = 1\n'
        'changes = { "training.learning-rate" = 0.01 }\n'
    )
    words = [str(tmp_path / "study.toml"), "--out", str(tmp_path / "out"), "--cpus", "1"]
    assert main(words) == 0
    first = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [len(first["results"][name]) for name in ("one", "two")] == [6, 3]
    assert first["left-out"] == ["none"]
    text = (tmp_path / "out" / "study.md").read_text()
    assert "Average ranks, personalised" in text and "Left out" in text
    assert text.count("Honest terms in which a guard") == 2
    assert (tmp_path / "out" / "ranks-personalised.png").stat().st_size > 1000
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("result.json")}
    assert len(times) == 9
    assert main(words) == 0
    assert {p: p.stat().st_mtime_ns for p in times} == times
    assert main([*words, "--only", "nothing"]) == 2


def test_section_of_a_study_has_its_tables_below_the_heading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def instead(arguments: list[str]) -> int:
        given.extend(arguments)
        (tmp_path / "study.md").write_text("# Study\n\n## one\n\n| a |\n")
        return 0

    monkeypatch.setattr(study, "main", instead)
    assert run(True, tmp_path).as_markdown() == "### one\n\n| a |"
    assert "--quick" in given
