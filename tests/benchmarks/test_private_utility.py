"""Rules of the table of accuracy under differential privacy."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import private_utility
from benchmarks.private_utility import EXAMPLE, PrivateUtility, Utility, without_privacy
from clients.privacy.accounting.accounting import epsilon
from srflm_flower.federation.loading import load_federation, with_changes
from srflm_flower.privacy.plan import plan_federation


def row(budget: float | None, srflm: float, fedavg: float, local: float) -> Utility:
    values = {"srflm": srflm, "fedavg": fedavg, "local": local}
    table = {name: {"personalised": (value, 0.01)} for name, value in values.items()}
    return Utility(budget, table, None if budget is None else budget - 0.002)


def test_goals_are_judged_at_the_largest_epsilon() -> None:
    rows = row(None, 0.95, 0.9, 0.9), row(1.0, 0.1, 0.9, 0.9), row(8.0, 0.90, 0.91, 0.85)
    lost, fedavg, local = PrivateUtility(rows, 1e-5, 10, 3).goals()
    assert "loses 5.0 points" in lost and lost.endswith(": met")
    assert fedavg.endswith(": missed") and local.endswith(": met")
    (lost, *_) = PrivateUtility((rows[0], row(8.0, 0.89, 0, 0)), 1e-5, 10, 3).goals()
    assert lost.endswith(": missed")


def test_markdown_shows_what_was_planned_and_what_was_spent() -> None:
    text = PrivateUtility((row(None, 0.9, 0.8, 0.7), row(8.0, 0.8, 0.7, 0.6)), 1e-5, 10, 3)
    lines = text.as_markdown().splitlines()
    assert lines[0] == "δ = 1e-05, 10 rounds, 3 seed(s)."
    assert lines[4] == "| none | – | srflm | 0.900 ± 0.010 | – |"
    assert lines[7] == "| 8 | 7.998 | srflm | 0.800 ± 0.010 | – |"


def test_budget_that_is_measured_alone_has_no_goals() -> None:
    assert PrivateUtility((row(8.0, 0.8, 0.7, 0.6),), 1e-5, 10, 3).goals() == []


def test_without_the_data_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    federation = with_changes(load_federation(EXAMPLE), data__path=tmp_path / "missing.npz")
    monkeypatch.setattr(private_utility, "load_federation", lambda path: federation)
    assert "missing.npz is not there" in private_utility.run(True, tmp_path).as_markdown()


def test_reference_without_privacy_has_the_same_data_and_rounds() -> None:
    private = load_federation(EXAMPLE)
    plain = without_privacy(private)
    assert not plain.privacy.private and not plain.model.dp_ready
    for table in ("data", "splits", "run", "task", "election", "aggregation", "roster", "seed"):
        assert getattr(plain, table) == getattr(private, table)


@pytest.mark.slow
def test_noise_in_the_example_keeps_every_vendor_within_its_budget() -> None:
    federation = load_federation(EXAMPLE)
    privacy, planned = federation.privacy, plan_federation(federation)
    for member in federation.vendors:
        schedule = planned.plans[member.name].schedule
        assert member.client_noise is not None
        assert member.client_noise == member.server_noise
        for served in (0, schedule.server_rounds):
            spent = epsilon(schedule.history(member.client_noise, served), privacy.delta)
            assert 0.97 * privacy.epsilon < spent <= privacy.epsilon
