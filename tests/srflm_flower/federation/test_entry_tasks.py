"""A task of another distribution is learnt as the built-in ones are, and decides no less safely."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import srflm_flower
from clients.bundles.record import RunRecord
from clients.bundles.writing import write_bundle
from clients.tasks.registry import task_of
from clients.tasks.task import Cases
from srflm_flower.federation.entries import check_entries
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from strategies.errors import ConfigurationError
from tests.srflm_flower.federation.extension_files import by_hand, shown, tables
from tests.support.tiny import conduct, new_run, records_of, tiny_federation


def graded(folder: Path, entry: dict[str, Any], **changes: Any) -> Federation:
    """Return a federation with the task of the documents, of three grades."""
    scores = [{"name": "closeness"}, {"name": "exact"}]
    task = {"kind": "entry", "target": "class", "classes": ["none", "mild", "severe"]}
    task |= {"outputs": 2, "metric": "closeness", "scores": scores, "entry": entry}
    return tiny_federation(folder, ("a", "b", "c"), task={**task, **changes})


def test_documented_task_is_learnt_by_a_whole_federation(extension: Path, tmp_path: Path) -> None:
    federation = graded(tmp_path, {**tables("task"), "options": {"grades": 3}})
    check_entries(federation)
    path = tmp_path / "federation.toml"
    path.write_text(federation.to_toml(), encoding="utf-8")
    assert load_federation(path).hash == federation.hash
    folder = new_run(federation, tmp_path / "run")
    assert conduct(folder).what_happened == "3 of 3 terms"
    told = records_of(folder)[-1].metrics["a"].finetuned
    assert set(told) == {"loss", "closeness", "exact", "examples"}
    assert told["exact"] <= told["closeness"] <= 1
    model = srflm_flower.Run(folder.path).model()
    assert model.task.kind == "entry" and model.network(torch.zeros(1, 1, 8, 8)).shape == (1, 2)
    chances = task_of(model.task).result(torch.tensor([[2.0, 1.0]]))
    assert chances.sum() == pytest.approx(1) and (chances >= 0).all()
    assert "Closeness" in folder.report.read_text(encoding="utf-8")


def test_documented_table_of_a_task_is_one(extension: Path, tmp_path: Path) -> None:
    table = tomllib.loads(shown("toml", 'metric = "closeness"'))["task"]
    table["entry"] |= tables("task")
    federation = tiny_federation(tmp_path, task=table)
    check_entries(federation)
    assert federation.task.metrics["closeness"].bound == (0, 1)


def test_private_federation_learns_a_task_of_an_extension(extension: Path, tmp_path: Path) -> None:
    federation = with_changes(
        graded(tmp_path, {**tables("task"), "options": {"grades": 3}}),
        privacy={"epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
        run__rounds=1,
    )
    assert conduct(new_run(federation, tmp_path / "run")).what_happened == "1 of 1 term"


LOSS = "def loss(s, o, t): return o.sum(1)"
BOTH = "return dict.fromkeys(['closeness', 'exact'], t)"
TASKS = {
    (LOSS, ""): "without scores",
    ("def loss(s, o, t): return o.mean()", BOTH): "loss of shape",
    (LOSS, "return {'no': t}"): "not closeness",
    (LOSS, "return dict.fromkeys(['closeness', 'exact'], 1)"): "of shape int",
    ("def loss(s, o, t): return (o - o.mean(0)).sum(1)", BOTH): "see each other",
    ("def loss(s, o, t): return t.float()", BOTH): "RuntimeError for made-up records",
}


@pytest.mark.parametrize("parts", TASKS)
def test_task_that_is_none_is_found_before_a_run(
    place: Path, tmp_path: Path, parts: tuple[str, str]
) -> None:
    loss, scores = parts
    code = f"class it:\n  {loss}\n" + (scores and f"  def scores(s, o, t): {scores}\n")
    found = by_hand(place, code, "[srflm.tasks]\nit = strange:it\n")
    with pytest.raises(ConfigurationError, match=TASKS[parts]):
        check_entries(graded(tmp_path, found))


def test_no_score_of_a_task_leaves_its_agreed_range(place: Path, tmp_path: Path) -> None:
    code = (
        "import torch\nclass it:\n  def loss(s, o, t): return o.sum(1)\n"
        "  def scores(s, o, t): return {'closeness': t * 1e9, 'exact': t * float('nan')}\n"
    )
    found = by_hand(place, code, "[srflm.tasks]\nit = strange:it\n")
    task = task_of(graded(tmp_path, found).task)
    cases = Cases(torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 2]), torch.ones(3, 2))
    scores = task.scores(torch.zeros(3, 2), cases, True)
    assert task.summary(scores) == {"loss": 0.0, "closeness": pytest.approx(2 / 3)}
    assert task.shares(scores).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "kappa"}, "among the scores that choose"),
        ({"classes": []}, "at least two class names"),
        ({"target": "image"}, "expected no classes"),
        ({"scores": [{"name": "closeness"}] * 2}, "different names"),
        ({"scores": [{"name": "closeness", "low": 1.0}]}, "low below high"),
        ({"scores": [{"name": "loss"}], "metric": "loss"}, "another name"),
    ],
)
def test_table_of_a_task_that_contradicts_itself(
    extension: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        graded(tmp_path, tables("task"), **changes)


def test_bundle_of_a_task_of_an_extension_is_refused(extension: Path, tmp_path: Path) -> None:
    federation = graded(tmp_path, {**tables("task"), "options": {"grades": 3}})
    folder = new_run(with_changes(federation, run__rounds=1), tmp_path / "run")
    conduct(folder)
    with pytest.raises(ConfigurationError, match="task 'grading' of example-extension"):
        write_bundle(folder.global_model, tmp_path / "bundle", RunRecord())
