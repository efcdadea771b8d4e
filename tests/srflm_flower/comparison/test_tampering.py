"""Runs whose sites are tampered with: a run that stops has a result, too, and FedAvg goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from srflm_flower.comparison.methods import run_baseline, run_srflm
from srflm_flower.site.site import Site
from strategies.errors import FederationStopped, MessageRefused, TrainingDiverged
from strategies.protocol.records import TermRecord
from strategies.weights import Model, Weights
from tests.support.tiny import VENDORS, tiny_federation


class NothingIsGoodEnough:
    """A guard that refuses every model from the second term on."""

    def check(self, record: TermRecord, model: Model) -> None:
        """Refuse."""
        if record.term > 1:
            raise MessageRefused("a poor model", "a good one", "", MessageRefused.HARMFUL)


class Refused:
    """Tampering with all guards."""

    def before(self, sites: Sequence[Site]) -> None:
        """Set the guards."""
        for site in sites:
            site.guard = NothingIsGoodEnough()  # type: ignore[assignment]

    def success(self, sites: Sequence[Site], released: Weights) -> float | None:
        """Return the number of sites."""
        return float(len(sites))


class Broken(Refused):
    """Tampering after which the last vendor's training diverges."""

    def before(self, sites: Sequence[Site]) -> None:
        """Break the learner."""
        honest = sites[-1].learner

        def train(*work: object, **named: object) -> None:
            raise TrainingDiverged("a loss that is not finite", "a number", "")

        parts = {name: getattr(honest, name) for name in ("data", "evaluate", "spender", "measure")}
        sites[-1].learner = SimpleNamespace(**parts, train=train)  # type: ignore[assignment]


def test_attacked_run_that_stops_has_a_result_with_the_code(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    result, budget = run_srflm(federation, tmp_path / "run", tampering=Refused())
    assert result.stopped == FederationStopped.NO_SERVER
    assert set(result.personalised) == set(VENDORS)
    assert result.steps == budget.total > 0, "the first term was committed"


def test_honest_run_that_stops_is_an_error_and_has_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tiny_federation(tmp_path)

    def stop(*_: object) -> None:
        raise FederationStopped("no server", "one", "", FederationStopped.NO_SERVER)

    monkeypatch.setattr("srflm_flower.comparison.rotating.ConductedRun.conduct", stop)
    with pytest.raises(FederationStopped):
        run_srflm(federation, tmp_path / "run")


def test_fedavg_goes_on_with_the_others_when_an_attack_breaks_a_vendor(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, run__rounds=1)
    honest, budget = run_srflm(federation, tmp_path / "srflm")
    assert (honest.stopped, honest.success) == ("", None)
    given = federation, tmp_path / "fedavg", budget, 0.0
    result = run_baseline("fedavg", *given, tampering=Broken())
    assert 0 < result.steps < budget.total
    assert result.success == len(VENDORS)
