"""Published names stand for methods that run."""

from __future__ import annotations

from pathlib import Path

from srflm_flower.comparison.methods import METHODS, run_baseline, run_srflm
from srflm_flower.comparison.presets import PRESETS, about
from srflm_flower.federation.loading import load_federation
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from tests.support.tiny import tiny_federation


def test_every_preset_runs_as_a_method_and_names_its_source() -> None:
    assert {preset.method for preset in PRESETS.values()} <= set(METHODS)
    assert not PRESETS.keys() & set(METHODS)
    for name, preset in PRESETS.items():
        line = about(name)
        assert preset.source in line and preset.missing in line and preset.method in line


def test_servers_of_round_robin_take_turns_at_the_steps_of_the_budget(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, ("a", "b", "c"), election__policy="score")
    ours, budget = run_srflm(federation, tmp_path / "srflm")
    result = run_baseline("round-robin", federation, tmp_path / "turns", budget, 0.1)
    run = RunFolder(tmp_path / "turns")
    stored = load_federation(run.federation_file)
    servers = [record.server for record in Ledger(run.ledger, stored.hash).records()]
    assert servers == ["a", "b", "c"]
    assert result.steps == ours.steps
