"""A launcher without a run looks less often, and is as quick as ever when its bell rings."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.processes.bell import Bell
from deploy.serving import looks
from tests.deploy.serving.launcher_bench import Bench


def looked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, until: float, rings: float | None = None
) -> list[float]:
    """Return when the launcher has looked, from now on; its bell ``rings`` once."""
    bell, found, step = Bell(bench.ledger_folder / "bell"), list[float](), bench.launcher.step

    def sleep(seconds: float) -> None:
        before, bench.now = bench.now, bench.now + seconds
        if rings is not None and before < rings <= bench.now:
            bell.ring()

    def noted() -> object:
        found.append(bench.now)
        return step()

    monkeypatch.setattr(looks.time, "sleep", sleep)
    monkeypatch.setattr(bench.launcher, "step", noted)
    looks.watch(bench.launcher, bell, lambda: bench.now >= until)
    monkeypatch.undo()
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path, "a")
    made.sync()
    return made


def test_site_without_a_run_looks_every_three_seconds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.launcher.resting
    assert looked(bench, monkeypatch, 9.0) == [0.0, 3.0, 6.0]


def test_bell_is_heard_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    times = looked(bench, monkeypatch, 4.0, rings=1.0)
    assert times[0] == 0.0 and 1.0 <= times[1] <= 1.0 + looks.IDLE_TICK_SECONDS


def test_site_with_a_run_looks_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, "c")
    bench.sync()
    bench.order(rounds=3)
    times = looked(bench, monkeypatch, 4.0)
    assert not bench.launcher.resting
    assert [round(time) for time in times] == [0, 1, 2, 3]


def test_site_that_knows_too_little_does_not_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, "a")
    bench.runs.refuses = True
    looked(bench, monkeypatch, 0.5)
    assert not bench.launcher.resting
