"""The guard in whole runs in memory: honest ones are the same, a poisoned server is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.models.model_file import read_model_file
from srflm_flower.attacks.lying_sites import TakenOver
from srflm_flower.attacks.poisoning import Attack
from srflm_flower.client_app import app
from srflm_flower.results.summary import RunSummary
from srflm_flower.run.conduct import ConductedRun
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import MemoryGrid
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.site import Site
from strategies.errors import DataError, FederationStopped, MessageRefused
from strategies.protocol.records import TermRecord
from strategies.weights import Model
from tests.support.tiny import VENDORS, conduct, new_run, records_of, tiny_federation

LEARNT = {
    "training__client_epochs": 4,
    "training__server_epochs": 2,
    "training__learning_rate": 0.01,
    "data__partition__alpha": 100.0,
    "aggregation__fine_tuned": "replaces",  # a server that joins is one of four, and harms less
}
"""Enough work for an accuracy that a lie can spoil, and vendors alike."""


class Refusing:
    """A guard of which nothing is good enough."""

    def check(self, record: TermRecord, model: Model) -> None:
        """Refuse."""
        raise MessageRefused("a poor model", "a good one", "", MessageRefused.HARMFUL)


def run_in(folder: Path, name: str, **changes: object) -> RunFolder:
    return new_run(tiny_federation(folder, **changes), folder / name)


def sites_of(run: RunFolder) -> list[Site]:
    SimulatedSite.forget(run.path)
    found = (SimulatedSite.at(run.path, n) for n in range(len(VENDORS)))
    return [each.site() for each in found if each is not None]


def go_on(run: RunFolder) -> RunSummary:
    """Conduct a run with the sites that are in memory."""
    federation = run.federation()
    return ConductedRun(run, federation).conduct(MemoryGrid(app, len(VENDORS), run.path))


def test_honest_run_is_the_same_with_a_guard_bit_for_bit(tmp_path: Path) -> None:
    plain, guarded = run_in(tmp_path, "plain"), run_in(tmp_path, "guard", aggregation__guard=0.9)
    assert plain.federation().hash != guarded.federation().hash
    conduct(plain)
    conduct(guarded)
    for ours, theirs in zip(records_of(guarded), records_of(plain), strict=True):
        same = ("server", "model", "averaged_model", "ballots", "metrics", "ranking", "absences")
        assert [getattr(ours, n) for n in same] == [getattr(theirs, n) for n in same]
    for path in plain.models.iterdir():
        assert read_model_file(guarded.models / path.name).hash == read_model_file(path).hash


def test_guard_measures_models_with_the_normalisation_that_stays_at_home(tmp_path: Path) -> None:
    home = {"aggregation__normalisation": "at-home", "run__rounds": 2}
    run = run_in(tmp_path, "run", aggregation__guard=0.9, **home)
    (tested, *_) = sites_of(run)
    assert tested.guard is not None
    assert not tested.first.keys() <= tested.initial.weights.keys(), "something stays at home"
    assert go_on(run).status == "completed"
    model = tested.models.find(records_of(run)[-1].model)
    assert model is not None
    whole = tested.home.complete(model.weights)
    assert tested.guard.measure(model.weights) == tested.learner.evaluate(whole, "validation")


@pytest.mark.parametrize("kind", ["sign-flip", "scaled"])
def test_term_of_a_poisoned_server_is_refused_and_made_again_by_the_next(
    tmp_path: Path, kind: str
) -> None:
    """Only as the server it lies here, so that the others' terms are honest."""
    run = run_in(tmp_path, "run", aggregation__guard=0.4, run__rounds=5, **LEARNT)
    sites = sites_of(run)
    liar = sites[3]
    honest = liar.learner
    TakenOver(Attack(kind)).before(sites)  # type: ignore[arg-type]
    lying = liar.learner

    class OnlyAsServer:
        def __getattr__(self, name: str) -> object:
            return getattr(honest, name)

        def train(self, weights, work, role, *more, **named):  # type: ignore[no-untyped-def]
            learner = lying if role == "server" else honest
            return learner.train(weights, work, role, *more, **named)

    liar.learner = OnlyAsServer()  # type: ignore[assignment]
    assert go_on(run).status == "completed"
    records = records_of(run)
    assert [record.attempt for record in records] == [0, 0, 0, 1, 0]
    assert "d" not in {record.server for record in records}
    (absence,) = records[3].absences
    assert (absence.vendor, absence.phase, absence.code) == ("d", "commit", MessageRefused.HARMFUL)
    for vendor in "abc":
        log = (run.site(vendor) / "site.log").read_text()
        assert "SRFLM-P20" in log or "validation data" in log
    assert all(records_of(run, vendor) == records for vendor in VENDORS)


def test_guard_that_refuses_everybody_stops_the_run_clearly(tmp_path: Path) -> None:
    run = run_in(tmp_path, "run", aggregation__guard=0.9)
    for site in sites_of(run):
        site.guard = Refusing()  # type: ignore[assignment]
    with pytest.raises(FederationStopped, match=MessageRefused.HARMFUL) as stopped:
        go_on(run)
    assert stopped.value.code == FederationStopped.NO_SERVER
    assert records_of(run) == []
    assert conduct(run).status == "completed", "it goes on once the models are good enough"
    assert len(records_of(run)) == 3


def test_one_site_that_refuses_everything_changes_nothing(tmp_path: Path) -> None:
    run, plain = (run_in(tmp_path, name, aggregation__guard=0.9) for name in ("run", "plain"))
    sites_of(run)[1].guard = Refusing()  # type: ignore[assignment]
    go_on(run)
    conduct(plain)
    assert [r.model for r in records_of(run)] == [r.model for r in records_of(plain)]


def test_site_that_cannot_read_its_data_votes_as_without_a_guard(tmp_path: Path) -> None:
    run = run_in(tmp_path, "run", aggregation__guard=0.0, run__rounds=1)
    sites = sites_of(run)

    def unreadable() -> None:
        raise DataError("no folder", "one", "make it")

    sites[2]._find_learner = unreadable  # type: ignore[assignment]
    go_on(run)
    (record,) = records_of(run)
    assert records_of(run, "c") == [record]
    assert "guard: " in (run.site("c") / "site.log").read_text()
