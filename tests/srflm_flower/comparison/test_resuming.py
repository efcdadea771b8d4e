"""An interrupted comparison goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from srflm_flower.comparison import compare as comparison
from srflm_flower.comparison.result import MethodResult
from srflm_flower.comparison.resuming import BEGUN, RESULT, name_of, once
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from strategies.errors import RunFolderError
from tests.support.tiny import tiny_federation

BUDGET = StepBudget(rounds=({"a": 1},))


def result(value: float = 0.5) -> MethodResult:
    return MethodResult(
        method="srflm",
        seed=1,
        steps=3,
        personalised={"a": value},
        global_own=None,
        global_all=None,
    )


def test_finished_run_is_read_and_not_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> tuple[MethodResult, StepBudget | None]:
        made.append(1)
        return result(), BUDGET

    first = once(tmp_path / "run", "x", make)
    again = once(tmp_path / "run", "x", make)
    assert first == again and len(made) == 1
    assert again.budget == BUDGET


def test_run_that_broke_off_is_begun_again_from_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def breaks() -> tuple[MethodResult, StepBudget | None]:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(folder, "x", breaks)
    assert once(folder, "x", lambda: (result(), None)).result == result()
    assert not (folder / "half.txt").exists()


@pytest.mark.parametrize("file", [RESULT, BEGUN])
def test_run_of_another_comparison_is_neither_read_nor_deleted(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "run"
    once(folder, "x", lambda: (result(), None))
    if file == BEGUN:
        (folder / RESULT).unlink()
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(RunFolderError, match="another comparison"):
        once(folder, "y", lambda: (result(), None))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_run_that_somebody_made_by_hand_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "federation.toml").write_text("mine")
    for _ in range(2):  # the second call must not take the folder for its own
        with pytest.raises(RunFolderError, match="another comparison"):
            once(tmp_path, "x", lambda: (result(), None))
    assert [path.name for path in tmp_path.iterdir()] == ["federation.toml"]


def test_begun_run_that_is_half_deleted_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / BEGUN).write_text("x")
    (tmp_path / "models").mkdir()

    def breaks(path: Path) -> None:
        (path / BEGUN).unlink(missing_ok=True)  # files go in any order
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("srflm_flower.comparison.resuming.shutil.rmtree", breaks)
        with pytest.raises(KeyboardInterrupt):
            once(tmp_path, "x", lambda: (result(), None))
    assert once(tmp_path, "x", lambda: (result(), None)).result == result()
    assert not (tmp_path / "models").exists()


def test_run_that_another_comparison_makes_right_now_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def make() -> tuple[MethodResult, StepBudget | None]:
        (folder / "half.txt").write_text("half")
        with pytest.raises(RunFolderError, match="another comparison"):
            once(folder, "x", lambda: (result(), None))
        assert (folder / "half.txt").exists()
        return result(), None

    assert once(folder, "x", make).result == result()


def test_damaged_result_is_no_result_of_this_comparison(tmp_path: Path) -> None:
    (tmp_path / RESULT).write_text("{")
    with pytest.raises(RunFolderError):
        once(tmp_path, "x", lambda: (result(), None))


def test_name_tells_federations_methods_and_budgets_apart(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    names = {
        name_of(federation, "fedavg", BUDGET, 0.1),
        name_of(federation, "fedprox", BUDGET, 0.1),
        name_of(federation, "fedavg", StepBudget(rounds=({"a": 2},)), 0.1),
        name_of(federation, "fedavg", BUDGET, 0.2),
        name_of(with_changes(federation, run__rounds=7), "fedavg", BUDGET, 0.1),
    }
    assert len(names) == 5
    assert name_of(federation, "fedavg", BUDGET, 0.1) in names


def test_name_is_the_same_for_a_version_with_further_settings(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)

    class Newer(Federation):
        came_later: int = Field(default=3)

    newer = Newer.model_validate(federation.model_dump())
    assert name_of(newer, "fedavg", BUDGET, 0.1) == name_of(federation, "fedavg", BUDGET, 0.1)
    other = Newer.model_validate(federation.model_dump() | {"came_later": 4})
    assert name_of(other, "fedavg", BUDGET, 0.1) != name_of(federation, "fedavg", BUDGET, 0.1)


@pytest.mark.slow
def test_comparison_goes_on_and_ends_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, run__rounds=2)
    given = federation, ("srflm", "local"), [1], tmp_path / "out", 1, 0.1
    seen: list[str] = []
    whole = comparison.compare(*given, lambda each: seen.append(each.method))  # type: ignore[arg-type]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("ledger.jsonl")}
    (tmp_path / "out" / "local-1" / RESULT).unlink()
    again = comparison.compare(*given, lambda each: None)  # type: ignore[arg-type]
    assert [r.personalised for r in again] == [r.personalised for r in whole]
    assert all(path.stat().st_mtime_ns == when for path, when in times.items())
