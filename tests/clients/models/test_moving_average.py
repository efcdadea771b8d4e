"""Rules of the moving average of the global models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.models.model_file import read_model_file
from clients.models.moving_average import AverageFile, MovingAverage, advanced
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings
from deploy.site.export import export_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.simulated_site import SimulatedSite
from strategies.errors import ConfigurationError
from strategies.weights import Weights, hash_weights
from tests.support.deployed import DeployedFederation
from tests.support.tiny import conduct, new_run, records_of, tiny_federation

DECAY = 0.7


def model(value: float) -> Weights:
    return {"w": np.full(3, value, np.float32), "b": np.array([value], np.float64)}


def average_of(values: list[float], decay: float) -> MovingAverage:
    average = None
    for term, value in enumerate(values, start=1):
        average = advanced(average, model(value), term, decay)
    assert average is not None
    return average


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=12),
    decay=st.floats(0, 0.99),
)
def test_later_models_weigh_more_by_the_decay_and_the_first_has_no_privilege(
    values: list[float], decay: float
) -> None:
    shares = np.array([decay ** (len(values) - n) for n in range(1, len(values) + 1)])
    expected = float(np.dot(shares / shares.sum(), values))
    average = average_of(values, decay)
    assert average.weights["b"][0] == pytest.approx(expected, abs=1e-5)
    assert average.models == average.term == len(values)
    assert average.weights["w"].dtype == np.float32


def test_without_decay_it_is_the_latest_model() -> None:
    assert average_of([1.0, 5.0, 3.0], 0.0).weights["w"].tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_lies_between_0_and_1(decay: float) -> None:
    with pytest.raises(ConfigurationError, match="moving_average"):
        with_changes(Federation(), aggregation__moving_average=decay)


@pytest.fixture
def file(tmp_path: Path) -> AverageFile:
    return AverageFile(tmp_path / "average.safetensors", ModelSettings(), ClassificationSettings())


def test_model_that_is_in_it_already_does_not_count_twice(file: AverageFile) -> None:
    file.take_in([(1, model(1.0)), (2, model(2.0))], DECAY)
    once = file.read()
    assert file.take_in([(1, model(9.0)), (2, model(9.0))], DECAY) is None
    assert once is not None and file.read() is not None
    assert hash_weights(once.weights) == hash_weights(average_of([1.0, 2.0], DECAY).weights)


def test_site_that_missed_terms_goes_on_with_what_it_has(file: AverageFile) -> None:
    file.take_in([(1, model(1.0))], DECAY)
    file.take_in([(2, None), (3, None)], DECAY)
    found = file.take_in([(4, model(2.0))], DECAY)
    assert found is not None
    assert (found.models, found.term) == (2, 4)
    assert found.weights["b"][0] == average_of([1.0, 2.0], DECAY).weights["b"][0]


def test_simulation_releases_the_average_that_all_sites_have(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, aggregation__moving_average=DECAY)
    run = new_run(federation, tmp_path / "run")
    summary = conduct(run)
    assert (summary.released_kind, summary.released_term) == ("moving-average", 3)
    released = read_model_file(run.global_model)
    assert released.notes["kind"] == "moving-average"
    assert released.hash != records_of(run)[-1].model
    for place, vendor in enumerate(federation.roster):
        where = SimulatedSite.at(run.path, place)
        assert where is not None
        average = where.site().state.average.read()
        assert average is not None and (average.models, average.term) == (3, 3), vendor
        assert hash_weights(average.weights) == released.hash
    assert "moving average of the committed models" in run.report.read_text()


def test_site_tries_the_average_as_its_personalised_model(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, aggregation__moving_average=DECAY)
    run = new_run(federation, tmp_path / "run")
    tried: list[str] = []
    for place in range(len(federation.roster)):
        where = SimulatedSite.at(run.path, place)
        assert where is not None
        site = where.site()
        keep = site.state.keep_if_chosen

        def note(candidate, *rule, keep=keep):  # type: ignore[no-untyped-def]
            tried.append(candidate.origin)
            return keep(candidate, *rule)

        site.state.keep_if_chosen = note  # type: ignore[method-assign]
    from srflm_flower.client_app import app
    from srflm_flower.run.conduct import ConductedRun
    from srflm_flower.run.memory_grid import MemoryGrid

    ConductedRun(run, federation).conduct(MemoryGrid(app, 4, run.path))
    assert tried.count("average") == 4 * 3
    vendors, rounds = 4, 3  # a vendor trains once a round, as a client or as the server
    assert tried.count("local") == rounds * vendors
    assert tried.count("local-average") == (rounds - 1) * vendors  # the first is no average
    SimulatedSite.forget(run.path)


def test_run_that_is_resumed_releases_the_same_average(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, aggregation__moving_average=DECAY)
    whole, parts = new_run(federation, tmp_path / "whole"), tmp_path / "parts"
    conduct(whole)
    first = new_run(with_changes(federation, run__rounds=2), parts)
    conduct(first)
    first.federation_file.write_text(federation.to_toml())
    conduct(first)
    assert read_model_file(first.global_model).hash == read_model_file(whole.global_model).hash


def test_without_the_setting_no_site_keeps_one(tmp_path: Path) -> None:
    run = new_run(tiny_federation(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(run)
    assert not list(run.path.rglob("*average.safetensors"))


def test_deployed_sites_export_the_average_and_all_have_the_same(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), aggregation__moving_average=DECAY, evaluate_averaged=False
    )
    sites = DeployedFederation(tmp_path / "f", federation)
    sites.order("a", rounds=3)
    for _ in range(3):
        sites.turn()
    hashes = set()
    for vendor in ("a", "b", "c"):
        export = export_site(sites.site(vendor), tmp_path / vendor)
        assert (export.release.kind, export.release.term) == ("moving-average", 3)
        hashes.add(read_model_file(tmp_path / vendor / "global.safetensors").hash)
    assert len(hashes) == 1
